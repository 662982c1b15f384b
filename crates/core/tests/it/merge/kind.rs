//! Which strategy fits by content.

use syncline_core::merge::{Input, Strategy, VERSION_BYTES_MAX, is_binary};

use super::input;

/// What it shows, the name, base, local, remote, expected.
type Case<'a> = (&'a str, &'a str, Option<&'a str>, &'a str, &'a str, &'a Option<Strategy>);

#[test]
fn the_strategy_follows_the_content() {
    let json = Some(Strategy::Json { key: None });
    let text = Some(Strategy::Text);
    let open = "<<<<<<< a\n=======\n>>>>>>> b\n";
    let cases: &[Case<'_>] = &[
        ("json", "a/state.json", Some("{}"), "{\"a\":1}", "[1]", &json),
        ("whatever the case of the name", "A.JSON", Some("{}"), "1", "2", &json),
        ("json that both created", "a.json", None, "{}", "[]", &json),
        ("settings with comments", "tsconfig.json", Some("// a\n{}"), "// b\n{}", "// c\n{}", &text),
        ("one side broke it", "a.json", Some("{}"), "{", "{\"a\":1}", &None),
        ("the base was broken", "a.json", Some("{"), "{}", "[]", &None),
        ("a key twice is not to be merged", "a.json", Some("{}"), "{\"a\":1,\"a\":2}", "[]", &None),
        ("lines of json", "log.jsonl", Some("{}\n"), "{}\n{}\n", "{}\n1\n", &text),
        ("json with comments", "a.jsonc", Some("{}"), "{}", "[]", &text),
        ("json by another name", "a.txt", Some("{}"), "{}", "[]", &text),
        ("text", "notes.md", Some("a"), "b", "c", &text),
        ("binary", "notes.md", Some("a"), "b\0", "c", &None),
        ("open markers", "notes.md", Some("a"), open, "c", &None),
        ("a short name", "json", Some("a"), "b", "c", &text),
    ];
    for &(what, name, base, local, remote, expected) in cases {
        assert_eq!(&Strategy::by_content(name, &input(base, local, remote)), expected, "{what}");
    }
    let large = vec![b'a'; VERSION_BYTES_MAX + 1];
    let versions = Input { base: None, local: &large, remote: b"a" };
    assert_eq!(Strategy::by_content("a.txt", &versions), None);
}

#[test]
fn binary_is_a_zero_byte_near_the_beginning() {
    assert!(is_binary(b"a\0"));
    assert!(!is_binary(b"\xff\xfe\xfd"));
    let mut late = vec![b'a'; 8 << 10];
    late.push(0);
    assert!(!is_binary(&late), "the zero byte is beyond 8 KiB");
}
