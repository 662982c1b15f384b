//! Structural JSON, by table.

use syncline_core::merge::{Strategy, Unclean, VERSION_LINES_MAX, VERSION_VALUES_MAX};

use super::{clean, unclean};

const JSON: Strategy = Strategy::Json { key: None };

/// What it shows, base, local, remote, expected.
type Case<'a> = (&'a str, Option<&'a str>, &'a str, &'a str, &'a str);

#[test]
fn edits_of_different_values_are_both_kept() {
    let cases: &[Case<'_>] = &[
        ("two members", Some(r#"{"a":1,"b":2}"#), r#"{"a":9,"b":2}"#, r#"{"a":1,"b":8}"#, r#"{"a":9,"b":8}"#),
        (
            "deep",
            Some(r#"{"x":{"a":1,"b":2}}"#),
            r#"{"x":{"a":9,"b":2}}"#,
            r#"{"x":{"a":1,"b":8}}"#,
            r#"{"x":{"a":9,"b":8}}"#,
        ),
        ("both added", Some(r#"{"a":1}"#), r#"{"a":1,"l":1}"#, r#"{"a":1,"r":2}"#, r#"{"a":1,"l":1,"r":2}"#),
        ("both added the same", Some("{}"), r#"{"a":1}"#, r#"{ "a" : 1 }"#, r#"{"a":1}"#),
        (
            "removed and edited apart",
            Some(r#"{"a":1,"b":2}"#),
            r#"{"b":2}"#,
            r#"{"a":1,"b":3}"#,
            r#"{"b":3}"#,
        ),
        ("both removed", Some(r#"{"a":1,"b":2}"#), "{}", r#"{"c":3}"#, r#"{"c":3}"#),
        ("null is a value", Some(r#"{"a":1,"b":1}"#), r#"{"a":null,"b":1}"#, r#"{"a":1}"#, r#"{"a":null}"#),
        (
            "remote members follow what they follow",
            Some(r#"{"a":1,"b":2}"#),
            r#"{"a":1,"b":3}"#,
            r#"{"a":1,"n":0,"b":2}"#,
            r#"{"a":1,"n":0,"b":3}"#,
        ),
        (
            "and come first when they do",
            Some(r#"{"a":1}"#),
            r#"{"a":2}"#,
            r#"{"n":0,"a":1}"#,
            r#"{"n":0,"a":2}"#,
        ),
        (
            "nothing agreed, nothing different",
            None,
            r#"{"a":1,"x":{"l":1}}"#,
            r#"{"x":{"r":2},"a":1}"#,
            r#"{"a":1,"x":{"l":1,"r":2}}"#,
        ),
        (
            "an array that one side changed",
            Some(r#"{"a":[1],"b":1}"#),
            r#"{"a":[1,2],"b":1}"#,
            r#"{"a":[1],"b":2}"#,
            r#"{"a":[1,2],"b":2}"#,
        ),
        ("elements apart", Some("[1,2,3,4]"), "[0,1,2,3,4]", "[1,2,3,5]", "[0,1,2,3,5]"),
        (
            "records by key",
            Some(r#"[{"id":1,"v":1},{"id":2,"v":1}]"#),
            r#"[{"id":1,"v":2},{"id":2,"v":1}]"#,
            r#"[{"id":1,"v":1},{"id":2,"v":3}]"#,
            r#"[{"id":1,"v":2},{"id":2,"v":3}]"#,
        ),
        (
            "one record, two members",
            Some(r#"[{"id":"x","a":1,"b":1}]"#),
            r#"[{"id":"x","a":2,"b":1}]"#,
            r#"[{"id":"x","a":1,"b":2}]"#,
            r#"[{"id":"x","a":2,"b":2}]"#,
        ),
        (
            "records added at the end",
            Some(r#"[{"id":1}]"#),
            r#"[{"id":1},{"id":2}]"#,
            r#"[{"id":1},{"id":3}]"#,
            r#"[{"id":1},{"id":2},{"id":3}]"#,
        ),
        (
            "records of nobody",
            None,
            r#"[{"name":"a"}]"#,
            r#"[{"name":"b"}]"#,
            r#"[{"name":"a"},{"name":"b"}]"#,
        ),
        (
            "the remote order, when only it changed",
            Some(r#"[{"id":1,"v":0},{"id":2}]"#),
            r#"[{"id":1,"v":5},{"id":2}]"#,
            r#"[{"id":2},{"id":1,"v":0}]"#,
            r#"[{"id":2},{"id":1,"v":5}]"#,
        ),
        (
            "as the guide says",
            Some(r#"{ "theme": "dark", "size": 12, "plugins": [{ "id": "git", "on": true }] }"#),
            r#"{ "theme": "dark", "size": 14, "plugins": [{ "id": "git", "on": true }] }"#,
            r#"{ "theme": "dark", "size": 12, "plugins": [{ "id": "git", "on": false }, { "id": "lsp", "on": true }] }"#,
            r#"{ "theme": "dark", "size": 14, "plugins": [{ "id": "git", "on": false }, { "id": "lsp", "on": true }] }"#,
        ),
        (
            "escapes are one string",
            Some(r#"{"é":1,"b":1}"#),
            r#"{"\u00e9":2,"b":1}"#,
            r#"{"é":1,"b":2}"#,
            r#"{"\u00e9":2,"b":2}"#,
        ),
    ];
    for &(what, base, local, remote, expected) in cases {
        assert_eq!(clean(&JSON, base, local, remote), expected, "{what}");
    }
}

#[test]
fn numbers_stay_as_they_are_written() {
    let base = r#"{"a":1.0,"b":1e400,"c":12345678901234567890,"d":-0,"x":1,"y":1}"#;
    let local = base.replace(r#""x":1"#, r#""x":1.50"#);
    let remote = base.replace(r#""y":1"#, r#""y":0.10E+2"#);
    let expected = r#"{"a":1.0,"b":1e400,"c":12345678901234567890,"d":-0,"x":1.50,"y":0.10E+2}"#;
    assert_eq!(clean(&JSON, Some(base), &local, &remote), expected);
    // Another spelling is an edit: nobody knows what reads it.
    let refused = unclean(&JSON, Some(r#"{"a":1}"#), r#"{"a":1.0}"#, r#"{"a":1e0}"#);
    assert_eq!(refused, Unclean::SameValue { pointer: "/a".to_owned() });
}

#[test]
fn the_layout_of_the_local_version_is_kept() {
    let base = "{\n  \"a\": 1,\n  \"tags\": [\"x\", \"y\"],\n  \"b\": {}\n}\n";
    let local = base.replace("1", "2");
    let remote = "{\"a\":1,\"tags\":[\"x\",\"y\"],\"b\":{\"n\":[1,{\"m\":2}]}}";
    let expected = "{\n  \"a\": 2,\n  \"tags\": [\"x\", \"y\"],\n  \"b\": {\n    \"n\": [\n      1,\n      {\n        \"m\": 2\n      }\n    ]\n  }\n}\n";
    assert_eq!(clean(&JSON, Some(base), &local, remote), expected);
    // The other way round it stays on one line, without a last line break.
    assert_eq!(
        clean(&JSON, Some(base), remote, &local),
        "{\"a\":2,\"tags\":[\"x\", \"y\"],\"b\":{\"n\":[1,{\"m\":2}]}}"
            .replace("[\"x\", \"y\"]", "[\"x\",\"y\"]")
    );
    let tabs = "\u{feff}{\r\n\t\"a\" : 1,\r\n\t\"l\" : [1, 2]\r\n}\r\n";
    let merged = clean(
        &JSON,
        Some("{\"a\":1,\"l\":[1]}"),
        tabs,
        "{\n  \"a\": 1,\n  \"l\": [1],\n  \"o\": {\"k\": [3, 4]},\n  \"p\": {\n    \"q\": 1\n  }\n}",
    );
    assert_eq!(
        merged,
        "\u{feff}{\r\n\t\"a\" : 1,\r\n\t\"l\" : [1, 2],\r\n\t\"o\" : {\"k\": [3, 4]},\r\n\t\"p\" : {\r\n\t\t\"q\" : 1\r\n\t}\r\n}\r\n"
    );
}

#[test]
fn what_meets_is_refused_with_its_place() {
    let same = |pointer: &str| Unclean::SameValue { pointer: pointer.to_owned() };
    let removal = |pointer: &str| Unclean::EditRemoval { pointer: pointer.to_owned() };
    let order = |pointer: &str| Unclean::Order { pointer: pointer.to_owned() };
    let cases: &[(&str, Option<&str>, &str, &str, Unclean)] = &[
        ("a value", Some(r#"{"a":{"b":1}}"#), r#"{"a":{"b":2}}"#, r#"{"a":{"b":3}}"#, same("/a/b")),
        ("a pointer is escaped", Some(r#"{"a/b~":1}"#), r#"{"a/b~":2}"#, r#"{"a/b~":3}"#, same("/a~1b~0")),
        ("edited and removed", Some(r#"{"a":1}"#), r#"{"a":2}"#, "{}", removal("/a")),
        ("removed and edited", Some(r#"{"a":1}"#), "{}", r#"{"a":2}"#, removal("/a")),
        ("edited inside and removed", Some(r#"{"a":{"b":1}}"#), r#"{"a":{"b":2}}"#, "{}", removal("/a")),
        ("both added, differently", Some("{}"), r#"{"a":1}"#, r#"{"a":2}"#, same("/a")),
        ("both created, differently", None, r#"{"a":1}"#, r#"{"a":2}"#, same("/a")),
        ("both created arrays", None, "[1]", "[2]", same("")),
        ("another kind", Some(r#"{"a":1}"#), r#"{"a":{"b":1}}"#, r#"{"a":{"c":1}}"#, same("/a")),
        ("one element", Some(r#"{"a":[1,2]}"#), r#"{"a":[1,3]}"#, r#"{"a":[1,4]}"#, same("/a/1")),
        (
            "a member of a record",
            Some(r#"[{"id":7,"v":1}]"#),
            r#"[{"id":7,"v":2}]"#,
            r#"[{"id":7,"v":3}]"#,
            same("/0/v"),
        ),
        (
            "a record edited and removed",
            Some(r#"[{"id":1},{"id":7}]"#),
            r#"[{"id":1},{"id":7,"v":2}]"#,
            r#"[{"id":1}]"#,
            removal("/1"),
        ),
        (
            "two orders",
            Some(r#"[{"id":1},{"id":2},{"id":3}]"#),
            r#"[{"id":2},{"id":1},{"id":3}]"#,
            r#"[{"id":1},{"id":3},{"id":2}]"#,
            order(""),
        ),
    ];
    for (what, base, local, remote, expected) in cases {
        let refused = unclean(&JSON, *base, local, remote);
        assert_eq!(&refused, expected, "{what}");
    }
    assert_eq!(same("/a/b").to_string(), "both sides changed /a/b, differently");
    assert_eq!(same("").to_string(), "both sides changed the whole document, differently");
}

#[test]
fn a_record_is_known_by_the_key_that_was_asked_for() {
    let by_slug = Strategy::Json { key: Some("slug".to_owned()) };
    let base = r#"[{"slug":"a","v":1},{"slug":"b","v":1}]"#;
    let local = r#"[{"slug":"a","v":2},{"slug":"b","v":1}]"#;
    let remote = r#"[{"slug":"a","v":1},{"slug":"b","v":2}]"#;
    assert_eq!(clean(&by_slug, Some(base), local, remote), r#"[{"slug":"a","v":2},{"slug":"b","v":2}]"#);
    // Without a key adjoining elements conflict.
    assert_eq!(unclean(&JSON, Some(base), local, remote).code(), "same_value");
    // Keys that repeat name nothing, and records are never joined by them.
    let twice = r#"[{"id":1,"v":1},{"id":1,"v":2}]"#;
    unclean(&JSON, Some(twice), r#"[{"id":1,"v":3},{"id":1,"v":2}]"#, r#"[{"id":1,"v":1},{"id":1,"v":4}]"#);
    // A number and a text are different keys.
    let kinds = clean(&JSON, None, r#"[{"id":1}]"#, r#"[{"id":"1"}]"#);
    assert_eq!(kinds, r#"[{"id":1},{"id":"1"}]"#);
}

#[test]
fn only_json_is_merged() {
    let deep = |count: usize| format!("{}1{}", "[".repeat(count), "]".repeat(count));
    let bad: &[&str] = &[
        "",
        "{",
        "}",
        "[1,]",
        "[,1]",
        "{\"a\":1,}",
        "{a:1}",
        "{\"a\" 1}",
        "{\"a\":}",
        "01",
        "1.",
        ".5",
        "+1",
        "1e",
        "-",
        "nul",
        "nulll",
        "NaN",
        "'a'",
        "\"a",
        "\"\n\"",
        "\"\t\"",
        "\"\\x\"",
        "\"\\u12g4\"",
        "\"\\u+123\"",
        "\"\\ud800\"",
        "\"\\udc00\"",
        "\"\\ud800\\u0041\"",
        "[1 2]",
        "1 2",
        "{} x",
        "// a\n{}",
        "{\"a\":1,\"a\":2}",
        "{\"a\":1,\"\\u0061\":2}",
        "\u{a0}1",
    ];
    let too_deep = deep(128);
    for text in bad.iter().copied().chain([too_deep.as_str()]) {
        assert_eq!(unclean(&JSON, None, "[1]", text).code(), "not_json", "{text:?}");
    }
    let good_depth = deep(127);
    let good = [
        "null",
        " true ",
        "\"\\ud83d\\ude00\\/\\b\"",
        "-0.0e-0",
        "[[],{}]",
        "{\"\":[]}",
        "\u{feff}1",
        "\t\r\n1",
        good_depth.as_str(),
    ];
    for text in good {
        assert_eq!(unclean(&JSON, None, "[1]", text).code(), "same_value", "{text:?}");
    }
    let place = unclean(&JSON, Some("{}"), "{\n \"a\": 1,\n \"a\": 2\n}", "{\"b\":1}");
    assert_eq!(
        place,
        Unclean::NotJson { version: "local", line: 3, problem: "a key stands twice in one object" }
    );
    let long = |first: u8| format!("[{first}{}]", ",1".repeat(VERSION_LINES_MAX));
    assert_eq!(unclean(&JSON, Some("[]"), &long(2), &long(3)).code(), "too_many");
    let many = format!("[{}1]", "1,".repeat(VERSION_VALUES_MAX));
    assert_eq!(unclean(&JSON, None, "[1]", &many).code(), "too_many");
}
