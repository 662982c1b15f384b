//! Environment twins.

use syncline_core::Direction;

use crate::support::{load_in, refusal_in, target};

#[test]
fn a_variable_overrides_what_was_written() {
    let text = target("remote: disk\nguard: { deletes_max: 5 }\ntriggers: { watch: true }");
    let workspace = load_in(
        &text,
        &[
            ("SYNCLINE_NODE__NAME", "build-7"),
            ("SYNCLINE_DEFAULTS__DIRECTION", "push"),
            ("SYNCLINE_DEFAULTS__DRY_RUN", "1"),
            ("SYNCLINE_TARGETS__NOTES__GUARD__DELETES_MAX", "12"),
            ("SYNCLINE_TARGETS__NOTES__TRIGGERS__WATCH", "false"),
            ("SYNCLINE_TARGETS__NOTES__PATH", "123"),
            ("SYNCLINE_TARGETS__NOTES__CONFLICTS", "newest"),
            ("SYNCLINE_ENDPOINTS__DISK__PATH", "/mnt/other"),
            ("SYNCLINE_HISTORY__KEEP_DAYS", ""),
            ("SYNCLINE_CONFIG", "elsewhere.yaml"),
            ("SYNCLINE_LOG", "debug"),
            ("OTHER__THING", "1"),
        ],
    )
    .unwrap();
    let notes = workspace.target("notes").unwrap();
    assert_eq!(workspace.node, "build-7");
    assert_eq!(notes.direction, Direction::Push);
    assert!(workspace.dry_run && !notes.watch);
    assert_eq!(notes.guard.deletes_max, 12);
    assert_eq!(notes.path.as_ref().unwrap().as_str(), "123", "text stays text, whatever it looks like");
    assert_eq!(notes.conflicts.len(), 1);
    assert_eq!(notes.remote.settings["path"], "/mnt/other");
    assert_eq!(workspace.history.keep_days, 90, "an empty variable counts as not set");
}

#[test]
fn names_with_dashes_and_dots_have_twins() {
    let text = "version: \"1.0\"\ntargets:\n  my-notes.v2: { remote: { kind: folder, path: /x } }\n";
    let set = |name| load_in(text, &[(name, "/y")]).unwrap().targets[0].remote.settings["path"].clone();
    assert_eq!(set("SYNCLINE_TARGETS__MY_NOTES_V2__REMOTE__PATH"), "/y");
}

#[test]
fn a_target_whose_name_holds_the_separator_is_found() {
    let text = "version: \"1.0\"\ntargets:\n  a: { remote: { kind: folder, path: /x } }\n  a__b: { remote: { kind: folder, path: /x } }\n";
    let workspace = load_in(text, &[("SYNCLINE_TARGETS__A__B__PATH", "deep")]).unwrap();
    assert_eq!(workspace.target("a__b").unwrap().path.as_ref().unwrap().as_str(), "deep");
    assert_eq!(workspace.target("a").unwrap().path, None);
}

#[test]
fn a_variable_that_matches_nothing_is_named() {
    let text = target("remote: disk");
    let refuse = |name, value| refusal_in(&text, &[(name, value)]);
    insta::assert_snapshot!(refuse("SYNCLINE_DEFALTS__DIRECTION", "pull"), @"
    error: the environment variable SYNCLINE_DEFALTS__DIRECTION matches no setting
      --> the environment variable SYNCLINE_DEFALTS__DIRECTION
      = help: did you mean `SYNCLINE_DEFAULTS__DIRECTION`?
    ");
    insta::assert_snapshot!(refuse("SYNCLINE_TARGETS__NOTE__PATH", "x"), @"
    error: the environment variable SYNCLINE_TARGETS__NOTE__PATH matches no setting
      --> the environment variable SYNCLINE_TARGETS__NOTE__PATH
      = help: did you mean `SYNCLINE_TARGETS__NOTES__PATH`?
    ");
    insta::assert_snapshot!(refuse("SYNCLINE_TARGETS__NOTES__GUARD__DELETE_MAX", "5"), @"
    error: the environment variable SYNCLINE_TARGETS__NOTES__GUARD__DELETE_MAX matches no setting
      --> the environment variable SYNCLINE_TARGETS__NOTES__GUARD__DELETE_MAX
      = help: did you mean `SYNCLINE_TARGETS__NOTES__GUARD__DELETES_MAX`?
    ");
    insta::assert_snapshot!(refuse("SYNCLINE_TARGETS__NOTES__INCLUDE", "*.md"), @"
    error: the environment variable SYNCLINE_TARGETS__NOTES__INCLUDE matches more than a single value
      --> the environment variable SYNCLINE_TARGETS__NOTES__INCLUDE
      = help: lists and mappings are set in the file
    ");
    insta::assert_snapshot!(refuse("SYNCLINE_TARGETS__NOTES__REMOTE__PATH", "/x"), @"
    error: the environment variable SYNCLINE_TARGETS__NOTES__REMOTE__PATH matches no setting
      --> the environment variable SYNCLINE_TARGETS__NOTES__REMOTE__PATH
      = help: the setting above it is a single value, or empty
    ");
    insta::assert_snapshot!(refuse("SYNCLINE__TARGTES__NOTES__DIRECTON", "pull"), @"
    error: the environment variable SYNCLINE__TARGTES__NOTES__DIRECTON matches no setting
      --> the environment variable SYNCLINE__TARGTES__NOTES__DIRECTON
      = help: did you mean `SYNCLINE_TARGETS__NOTES__DIRECTION`?
    ");
    insta::assert_snapshot!(refuse("SYNCLINE_TARGETS__", "/x"), @"
    error: the environment variable SYNCLINE_TARGETS__ matches no setting
      --> the environment variable SYNCLINE_TARGETS__
      = help: did you mean `SYNCLINE_TARGETS`?
    ");
}

#[test]
fn a_bad_value_points_to_its_variable() {
    let text = target("remote: disk");
    let refuse = |name, value| refusal_in(&text, &[(name, value)]);
    insta::assert_snapshot!(refuse("SYNCLINE_DEFAULTS__DIRECTION", "pul"), @"
    error: unknown value `pul` for defaults.direction
      --> the environment variable SYNCLINE_DEFAULTS__DIRECTION
      = help: did you mean `pull`? allowed: `pull`, `push`, `bidirectional`
    ");
    insta::assert_snapshot!(refuse("SYNCLINE_DEFAULTS__DRY_RUN", "maybe"), @"
    error: defaults.dry_run must be `true` or `false`, not text
      --> the environment variable SYNCLINE_DEFAULTS__DRY_RUN
    ");
    insta::assert_snapshot!(refuse("SYNCLINE_TARGETS__NOTES__GUARD__DELETES_MAX", "-1"), @"
    error: targets.notes.guard.deletes_max is -1, but must be at least 0
      --> the environment variable SYNCLINE_TARGETS__NOTES__GUARD__DELETES_MAX
    ");
    insta::assert_snapshot!(refuse("SYNCLINE_TARGETS__NOTES__PATH", "../x"), @"
    error: the path `../x` leads out of the workspace
      --> the environment variable SYNCLINE_TARGETS__NOTES__PATH
      = help: a target lies inside the workspace; write its path relative to it, such as `shared/notes`
    ");
    insta::assert_snapshot!(refuse("SYNCLINE_TARGETS__NOTES__REMOTE", "dsk"), @"
    error: there is no endpoint `dsk`
      --> the environment variable SYNCLINE_TARGETS__NOTES__REMOTE
      = help: did you mean `disk`?
    ");
}

#[test]
fn two_keys_with_one_twin_are_told_apart_by_nobody() {
    let text = "version: \"1.0\"\ntargets:\n  a-b: { remote: { kind: folder, path: /x } }\n  a.b: { remote: { kind: folder, path: /x } }\n";
    insta::assert_snapshot!(refusal_in(text, &[("SYNCLINE_TARGETS__A_B__PATH", "x")]), @"
    error: the environment variable SYNCLINE_TARGETS__A_B__PATH matches more than one setting
      --> the environment variable SYNCLINE_TARGETS__A_B__PATH
      = help: set the value in the file
    ");
}
