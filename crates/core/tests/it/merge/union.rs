//! Union of records, by table.

use syncline_core::Side;
use syncline_core::merge::{Decided, DecidedBy, Merged, Strategy, Unclean, VERSION_VALUES_MAX};

use super::{clean, input, run, unclean};

const UNION: Strategy = Strategy::Union { key: None };

/// What it shows, base, one version, another version, expected; the same whichever side they are on.
type Case<'a> = (&'a str, Option<&'a str>, &'a str, &'a str, &'a str);

#[track_caller]
fn both_ways(strategy: &Strategy, cases: &[Case<'_>]) {
    for &(what, base, one, other, expected) in cases {
        assert_eq!(clean(strategy, base, one, other), expected, "{what}");
        assert_eq!(clean(strategy, base, other, one), expected, "{what}, other way round");
    }
}

#[test]
fn arrays_unite() {
    both_ways(
        &UNION,
        &[
            ("whole records", None, "[1,2]", "[2,3]", "[1,2,3]"),
            (
                "keyed records",
                None,
                r#"[{"id":1},{"id":3}]"#,
                r#"[{"id":2},{"id":3}]"#,
                r#"[{"id":1},{"id":2},{"id":3}]"#,
            ),
            ("numbers by value", None, r#"[{"id":10}]"#, r#"[{"id":9}]"#, r#"[{"id":9},{"id":10}]"#),
            ("duplicates", None, "[1,1,2]", "[1,2,2,3]", "[1,2,3]"),
            ("removed on one side", Some("[1,2,3]"), "[1,3]", "[1,2,3,4]", "[1,3,4]"),
            (
                "removed here, edited there",
                Some(r#"[{"id":1,"v":1},{"id":2,"v":1}]"#),
                r#"[{"id":2,"v":1}]"#,
                r#"[{"id":1,"v":2},{"id":2,"v":1}]"#,
                r#"[{"id":1,"v":2},{"id":2,"v":1}]"#,
            ),
            (
                "edited apart",
                Some(r#"[{"id":1,"v":1},{"id":2,"v":1}]"#),
                r#"[{"id":1,"v":2},{"id":2,"v":1}]"#,
                r#"[{"id":1,"v":1},{"id":2,"v":2}]"#,
                r#"[{"id":1,"v":2},{"id":2,"v":2}]"#,
            ),
            (
                "one record, two members",
                Some(r#"[{"id":1,"a":1,"b":1}]"#),
                r#"[{"id":1,"a":2,"b":1}]"#,
                r#"[{"id":1,"a":1,"b":2}]"#,
                r#"[{"id":1,"a":2,"b":2}]"#,
            ),
            (
                "two members and both times",
                Some(r#"[{"id":1,"a":1,"b":1,"updated_at":"2026-02-08T00:00:00Z"}]"#),
                r#"[{"id":1,"a":2,"b":1,"updated_at":"2026-02-08T10:00:00+02:00"}]"#,
                r#"[{"id":1,"a":1,"b":2,"updated_at":"2026-02-08T09:00:00Z"}]"#,
                r#"[{"id":1,"a":2,"b":2,"updated_at":"2026-02-08T09:00:00Z"}]"#,
            ),
            ("an empty file is no records", None, "", "[1,2]\n", "[1,2]\n"),
            ("all removed on one side", Some("[1,2]"), "[]", "[1,2,3]", "[3]"),
            (
                "by when they came to be",
                None,
                r#"[{"id":"z","created_at":"2026-01-01"}]"#,
                r#"[{"id":"a","created_at":"2026-01-02"}]"#,
                r#"[{"id":"z","created_at":"2026-01-01"},{"id":"a","created_at":"2026-01-02"}]"#,
            ),
            ("two orders: the lowest comes next", None, "[2,1,3]", "[1,2,3]", "[1,2,3]"),
            (
                "numbers keep their digits",
                None,
                "[1.0,1e400]",
                "[12345678901234567890]",
                "[12345678901234567890,1.0,1e400]",
            ),
        ],
    );
}

#[test]
fn an_object_around_an_array_unites() {
    both_ways(
        &UNION,
        &[
            (
                "the array of an object",
                Some("{\n  \"version\": 1,\n  \"memories\": [\n    {\"id\": 1}\n  ]\n}\n"),
                "{\n  \"version\": 1,\n  \"memories\": [\n    {\"id\": 1},\n    {\"id\": 2}\n  ]\n}\n",
                "{\n  \"version\": 2,\n  \"memories\": [\n    {\"id\": 1},\n    {\"id\": 3}\n  ]\n}\n",
                "{\n  \"version\": 2,\n  \"memories\": [\n    {\"id\": 1},\n    {\"id\": 2},\n    {\"id\": 3}\n  ]\n}\n",
            ),
            (
                "records on several lines",
                Some(
                    "{\n  \"m\": [\n    {\n      \"id\": 1,\n      \"a\": 1,\n      \"b\": 1\n    }\n  ]\n}\n",
                ),
                "{\n  \"m\": [\n    {\n      \"id\": 1,\n      \"a\": 2,\n      \"b\": 1\n    }\n  ]\n}\n",
                "{\"m\":[{\"id\":1,\"a\":1,\"b\":3},{\"id\":2,\"l\":[]}]}",
                "{\n  \"m\": [\n    {\n      \"id\": 1,\n      \"a\": 2,\n      \"b\": 3\n    },\n    {\"id\":2,\"l\":[]}\n  ]\n}\n",
            ),
            (
                "as the guide says",
                None,
                r#"{"memories": [{"id": 1, "text": "likes tea"}, {"id": 2, "text": "from Bonn"}]}"#,
                r#"{"memories": [{"id": 1, "text": "likes tea"}, {"id": 3, "text": "plays go"}]}"#,
                r#"{"memories": [{"id": 1, "text": "likes tea"}, {"id": 2, "text": "from Bonn"}, {"id": 3, "text": "plays go"}]}"#,
            ),
            ("on one line", None, r#"{"m":[1]}"#, r#"{"m":[1,2],"n":0}"#, r#"{"m":[1,2],"n":0}"#),
        ],
    );
}

#[test]
fn lines_of_json_unite() {
    let base = "{\"id\":1,\"v\":1}\n{\"id\":2,\"v\":1}\n";
    both_ways(
        &UNION,
        &[
            (
                "edited and added",
                Some(base),
                "{\"id\":1,\"v\":9}\n{\"id\":2,\"v\":1}\n",
                "{\"id\":1,\"v\":1}\n{\"id\":2,\"v\":1}\n{\"id\":3}\n",
                "{\"id\":1,\"v\":9}\n{\"id\":2,\"v\":1}\n{\"id\":3}\n",
            ),
            (
                "removed",
                Some(base),
                "{\"id\":2,\"v\":1}\n",
                "{\"id\":1,\"v\":1}\n{\"id\":2,\"v\":2}\n",
                "{\"id\":2,\"v\":2}\n",
            ),
            (
                "a log without keys",
                Some("{\"e\":1}\n"),
                "{\"e\":1}\n{\"e\":1}\n{\"e\":3}\n",
                "{\"e\":1}\n{\"e\":2}\n",
                "{\"e\":1}\n{\"e\":1}\n{\"e\":2}\n{\"e\":3}\n",
            ),
            (
                "the first records of a log",
                Some(""),
                "{\"id\":2}\n",
                "{\"id\":1}\n",
                "{\"id\":1}\n{\"id\":2}\n",
            ),
        ],
    );
}

#[test]
fn lines_unite() {
    both_ways(
        &UNION,
        &[
            (
                "a list",
                Some("target\n"),
                "target\n*.log\n",
                "target\nnode_modules\n",
                "target\n*.log\nnode_modules\n",
            ),
            ("removed on one side", Some("a\nb\nc\n"), "a\nc\n", "a\nb\nc\nd\n", "a\nc\nd\n"),
            ("once", None, "a\nb\n", "b\nc\n", "a\nb\nc\n"),
            ("empty lines are layout", None, "a\n\nb\n\nc\n", "a\n\nb\n\nd\n", "a\n\nb\n\nc\nd\n"),
            ("line breaks", None, "a\r\nb\r\n", "a\nc\n", "a\r\nb\r\nc\r\n"),
            ("no last line break", None, "a\nb", "a\nc", "a\nb\nc"),
            ("a continued log", None, "ok\nok\n", "ok\nok\nok\n", "ok\nok\nok\n"),
            (
                "a log with times, whose entries stay whole",
                Some("09:00 start\nok\nok\n"),
                "09:00 start\nok\nok\n09:01 failed\n  at a\n  at b\n09:05 end\n",
                "09:00 start\nok\nok\n09:02 failed\n  at c\n  at d\n",
                "09:00 start\nok\nok\n09:01 failed\n  at a\n  at b\n09:02 failed\n  at c\n  at d\n09:05 end\n",
            ),
            ("a byte order mark stays first", None, "\u{feff}b\n", "a\n", "\u{feff}a\nb\n"),
        ],
    );
}

#[test]
fn a_record_that_both_edited_is_decided_and_told() {
    let decide = |one: &str, other: &str| match run(&UNION, &input(Some(r#"[{"id":7,"v":0}]"#), one, other)) {
        Merged::Clean { bytes, decided } => (String::from_utf8(bytes).unwrap(), decided),
        refused => panic!("{refused:?}"),
    };
    let old = r#"[{"id":7,"v":1,"updated_at":"2026-02-08T17:30:00Z"}]"#;
    let new = r#"[{"id":7,"v":2,"updated_at":"2026-02-08T17:45:00Z"}]"#;
    let by_stamp = |winner| vec![Decided { key: "7".to_owned(), winner, by: DecidedBy::Stamp }];
    assert_eq!(decide(old, new), (new.to_owned(), by_stamp(Side::Remote)));
    assert_eq!(decide(new, old), (new.to_owned(), by_stamp(Side::Local)));
    // Without times the same version wins on both nodes.
    let (one, other) = (r#"[{"id":7,"v":1}]"#, r#"[{"id":7,"v":2}]"#);
    let (here, there) = (decide(one, other), decide(other, one));
    assert_eq!(here.0, there.0);
    assert_eq!(here.1[0].by, DecidedBy::Content);
    assert_eq!(here.1[0].winner, there.1[0].winner.other());
}

#[test]
fn a_key_that_was_asked_for_names_records() {
    let by_url = Strategy::Union { key: Some("url".to_owned()) };
    both_ways(
        &by_url,
        &[
            (
                "it names them",
                Some(r#"[{"url":"a","id":1}]"#),
                r#"[{"url":"a","id":2}]"#,
                r#"[{"url":"a","id":1},{"url":"b"}]"#,
                r#"[{"url":"a","id":2},{"url":"b"}]"#,
            ),
            (
                "a key twice is one record",
                None,
                r#"[{"url":"a","ts":1},{"url":"a","ts":3}]"#,
                r#"[{"url":"a","ts":2}]"#,
                r#"[{"url":"a","ts":3}]"#,
            ),
        ],
    );
}

#[test]
fn what_has_no_records_of_one_shape_is_refused() {
    let cases = [
        ("[1]", "{\"a\":[1]}", "a JSON array", "a JSON object with one array"),
        ("[1]", "text", "a JSON array", "text"),
        ("{\"a\":[1]}", "{\"b\":[1]}", "a JSON object with one array", "a JSON object with one array"),
        ("{\"a\":1}", "{\"a\":2}", "one JSON value", "one JSON value"),
        ("{\n\"a\":1\n}\n", "{\n\"a\":2\n}\n", "one JSON value", "one JSON value"),
    ];
    for (local, remote, here, there) in cases {
        let expected = Unclean::Shapes { local: here, remote: there };
        assert_eq!(unclean(&UNION, None, local, remote), expected, "{local} {remote}");
        let turned = Unclean::Shapes { local: there, remote: here };
        assert_eq!(unclean(&UNION, None, remote, local), turned, "{remote} {local}");
    }
}

#[test]
fn too_many_records_are_refused() {
    let many = "\n".repeat(VERSION_VALUES_MAX + 1);
    let refused = Unclean::TooMany { version: "local", lines_max: VERSION_VALUES_MAX };
    assert_eq!(unclean(&UNION, None, &many, "a\n"), refused);
    let documents = "{\"a\":[1,1,1,1,1,1,1]}\n".repeat(VERSION_VALUES_MAX / 8);
    assert_eq!(unclean(&UNION, None, &documents, "{}\n").code(), "too_many");
}
