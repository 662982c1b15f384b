//! Input that nobody means well: it must be refused, quickly and without a panic.

use std::path::Path;

use proptest::prelude::*;
use syncline_config::{FILE_BYTES_MAX, load as load_file};

use crate::support::{kinds, load, load_in, refusal, target, variables};

fn refuse_bytes(bytes: &[u8]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("syncline.yaml");
    std::fs::write(&file, bytes).unwrap();
    let errors = load_file(&file, &variables(&[]), &kinds()).unwrap_err();
    errors.to_string().replace(folder.path().to_str().unwrap(), "/workspace")
}

#[test]
fn files_that_are_not_text_are_refused() {
    insta::assert_snapshot!(refuse_bytes(b"version: \"1.0\"\nnode: { name: h\xe9lios }\n"), @"
    error: /workspace/syncline.yaml is not UTF-8 text: line 2 holds other bytes
      = help: save it as UTF-8
    ");
    insta::assert_snapshot!(refuse_bytes(&vec![b'#'; usize::try_from(FILE_BYTES_MAX).unwrap() + 1]), @"error: /workspace/syncline.yaml is too large (at most 1048576 bytes)");
    insta::assert_snapshot!(refuse_bytes(b""), @"
    error: the file is empty
      --> /workspace/syncline.yaml:1:1
      = help: run `syncline init` to get one to start from
    ");
    insta::assert_snapshot!(refuse_bytes(b"\n# nothing but a comment\n"), @"
    error: the file is empty
      --> /workspace/syncline.yaml:1:1
       |
     1 | 
       | ^
      = help: run `syncline init` to get one to start from
    ");
    insta::assert_snapshot!(refuse_bytes(b"a\0b: 1\n"), @r"
    error: unexpected character: `\u{0}'
      --> /workspace/syncline.yaml:1:2
       |
     1 | a b: 1
       |  ^
    ");
    let folder = tempfile::tempdir().unwrap();
    let errors = load_file(folder.path(), &variables(&[]), &kinds()).unwrap_err();
    assert!(errors.to_string().ends_with("is not a regular file"), "{errors}");
    let errors = load_file(Path::new("/nonexistent/syncline.yaml"), &variables(&[]), &kinds()).unwrap_err();
    insta::assert_snapshot!(errors, @"error: /nonexistent/syncline.yaml cannot be read: No such file or directory (os error 2)");
}

#[test]
fn a_byte_order_mark_is_no_trouble() {
    load(&format!("\u{feff}{}", target("remote: disk"))).unwrap();
    load(&target("remote: disk").replace('\n', "\r\n")).unwrap();
}

#[test]
fn bombs_are_refused() {
    let mut laughs = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        let below = format!("*a{}, ", level - 1).repeat(10);
        laughs.push_str(&format!("a{level}: &a{level} [{below}]\n"));
    }
    insta::assert_snapshot!(refusal(&laughs), @"
    error: the file has too many anchors or aliases
      --> syncline.yaml:5:20
       |
     5 | a4: &a4 [*a3, *a3, *a3, *a3, *a3, *a3, *a3, *a3, *a3, *a3, ]
       |                    ^^^
    ");
    insta::assert_snapshot!(refusal("a: &a [*a]\n"), @"
    error: the value contains itself through an alias
      --> syncline.yaml:1:8
       |
     1 | a: &a [*a]
       |        ^^
    ");
    insta::assert_snapshot!(refusal(&format!("a: {}", "[".repeat(5000))), @"
    error: the file is nested too deeply (at most 32 levels)
      --> syncline.yaml:1:259
       |
     1 | [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[
       |                                         ^
    ");
    insta::assert_snapshot!(refusal(&format!("a: {}", "{a: ".repeat(5000))), @"
    error: the file is nested too deeply (at most 32 levels)
      --> syncline.yaml:1:128
       |
     1 | {a: {a: {a: {a: {a: {a: {a: {a: {a: {a: {a: {a: {a: {a: {a: {a: {a: {a: {a: {a: {a: {a: {a: {a: {a:
       |                                         ^
    ");
    let deep: String = (0..200).map(|level| format!("{}a:\n", " ".repeat(level))).collect();
    insta::assert_snapshot!(refusal(&deep), @"
    error: the file is nested too deeply (at most 32 levels)
      --> syncline.yaml:33:33
        |
     33 |                                 a:
        |                                 ^
    ");
    let many = format!("a: [{}]", "x,".repeat(200_000));
    insta::assert_snapshot!(refusal(&many), @"
    error: the file holds too many values (at most 50000)
      --> syncline.yaml:1:99999
       |
     1 | x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,
       |                                         ^
    ");
    let documents = "---\na: 1\n".repeat(3);
    insta::assert_snapshot!(refusal(&documents), @"
    error: the file holds more than one document
      --> syncline.yaml:4:1
       |
     4 | a: 1
       | ^
      = help: remove the `---` line
    ");
}

#[test]
fn a_storm_of_errors_is_cut() {
    let text: String = (0..10_000).map(|number| format!("k{number}: 1\n")).collect();
    let errors = load(&text).unwrap_err();
    assert!(errors.count() <= 60, "{}", errors.count());
}

#[test]
fn terminal_escapes_do_not_reach_the_terminal() {
    let shown = refusal("version: \"1.0\"\n\"a\\e[2Jb\\nc\": 1\n");
    assert!(!shown.contains('\u{1b}'), "{shown:?}");
    let shown = refusal("version: \"1.0\"\ndefaults: { direction: \"\\e[2J\" }\n");
    assert!(!shown.contains('\u{1b}'), "{shown:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        if let Err(errors) = load(&String::from_utf8_lossy(&bytes)) {
            prop_assert!(!errors.to_string().is_empty());
        }
    }

    #[test]
    fn arbitrary_yaml_never_panics(text in r##"([a-z]{0,4}|[ \n\t:{}\[\],&*!|>'"%@`#?$<-]|version|targets|remote|token|é){0,60}"##) {
        if let Err(errors) = load(&text) {
            prop_assert!(!errors.to_string().is_empty());
        }
    }

    #[test]
    fn a_damaged_file_never_panics(at in 0usize..400, insert in r##"[ \n\t:{}\[\],&*!|>'"#$<é-]{0,4}"##, remove in 0usize..8) {
        let text = target("remote: { kind: s3, bucket: b, token: \"${env:X}\" }\nconflicts:\n  - { match: \"**\", policy: newest }\nguard: { deletes_max: 5 }");
        let characters: Vec<char> = text.chars().collect();
        let at = at.min(characters.len());
        let after = (at + remove).min(characters.len());
        let damaged: String = characters[..at].iter().copied().chain(insert.chars()).chain(characters[after..].iter().copied()).collect();
        let _ = load(&damaged).map_err(|errors| errors.to_string());
    }

    #[test]
    fn arbitrary_variables_never_panic(name in "SYNCLINE_(NODE|TARGETS|ENDPOINTS|NOTES|DISK|PATH|_|__|[A-Z]){0,6}", value in "\\PC{0,12}") {
        let _ = load_in(&target("remote: disk"), &[(&name, &value)]).map_err(|errors| errors.to_string());
    }
}
