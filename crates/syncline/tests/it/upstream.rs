//! Workspaces that are clones in which persons work too.

mod persons;
mod policies;
mod slow;
pub(crate) mod support;

use support::{Pair, git};

#[test]
fn edits_travel_between_two_clones_and_the_branches_follow() {
    let pair = Pair::new("");
    pair.one.write("notes/a.md", "one\n");
    pair.one.write("b", "two\n");
    pair.one.sync();
    pair.two.sync();
    assert_eq!(pair.two.read("notes/a.md").as_deref(), Some("one\n"));
    pair.one.is_clean_at(&pair.tip());
    pair.two.is_clean_at(&pair.tip());
    pair.two.write("b", "two, edited\n");
    pair.two.remove("notes/a.md");
    pair.two.sync();
    pair.one.sync();
    assert_eq!(pair.one.read("b").as_deref(), Some("two, edited\n"));
    assert_eq!(pair.one.read("notes/a.md"), None);
    pair.one.is_clean_at(&pair.tip());
    pair.two.is_clean_at(&pair.tip());
    let told = pair.hub(&["log", "--format=%an %s", "main"]);
    assert_eq!(told, "two Batch sync: 2 files\none Batch sync: 2 files\nperson start\n");
    let before = pair.tip();
    for node in [&pair.one, &pair.two] {
        let report = node.json(0, &["run"]);
        assert_eq!(report["results"][0]["message"], "nothing to do", "{report}");
    }
    assert_eq!(pair.tip(), before, "nothing to do makes no commit");
}

#[test]
fn the_log_names_the_run() {
    let pair = Pair::new("");
    pair.one.write("a", "one\n");
    let report = pair.one.json(0, &["run"]);
    let run = report["results"][0]["run"].as_str().unwrap();
    let told = git(&pair.one.folder(), &["log", "-1", "--format=%(trailers:key=Syncline-Run,valueonly)"]);
    assert_eq!(told.trim(), run);
}

#[test]
fn edits_of_both_sides_merge_into_one_history() {
    let pair =
        Pair::new("conflicts: [{ match: \"*.json\", policy: json }, { match: \"**\", policy: merge }]");
    pair.one.write("text.md", "top\n\nmiddle\n\nend\n");
    pair.one.write("data.json", "{\n  \"a\": 1,\n  \"b\": 1\n}\n");
    pair.sync_both();
    pair.one.write("text.md", "top, one\n\nmiddle\n\nend\n");
    pair.two.write("text.md", "top\n\nmiddle\n\nend, two\n");
    pair.one.write("data.json", "{\n  \"a\": 2,\n  \"b\": 1\n}\n");
    pair.two.write("data.json", "{\n  \"a\": 1,\n  \"b\": 2\n}\n");
    pair.sync_both();
    for node in [&pair.one, &pair.two] {
        assert_eq!(node.read("text.md").as_deref(), Some("top, one\n\nmiddle\n\nend, two\n"));
        assert_eq!(node.read("data.json").as_deref(), Some("{\n  \"a\": 2,\n  \"b\": 2\n}\n"));
        node.is_clean_at(&pair.tip());
    }
}

#[test]
fn a_conflict_keeps_both_everywhere() {
    let pair = Pair::new("conflicts: keep-both");
    pair.one.write("a.bin", "base\n");
    pair.sync_both();
    pair.one.write("a.bin", "one\n");
    pair.two.write("a.bin", "two\n");
    pair.one.sync();
    pair.two.expect(5, &["run"]);
    pair.one.sync();
    for node in [&pair.one, &pair.two] {
        let contents = node.contents();
        assert!(contents.contains(&"one\n".into()) && contents.contains(&"two\n".into()), "{contents:?}");
        node.is_clean_at(&pair.tip());
    }
}

#[test]
fn a_rename_here_and_an_edit_there_come_together() {
    let pair = Pair::new("");
    pair.one.write("old", "a text that is long enough to be known again\n");
    pair.sync_both();
    std::fs::rename(pair.one.path("old"), pair.one.path("new")).unwrap();
    pair.one.sync();
    pair.two.sync();
    assert_eq!((pair.two.read("old"), pair.two.read("new").is_some()), (None, true));
    let told = pair.hub(&["log", "-1", "--find-renames", "--name-status", "--format=", "main"]);
    assert!(told.contains("R100\told\tnew"), "{told}");
    pair.two.is_clean_at(&pair.tip());
}

#[test]
fn somebody_who_pushes_during_the_run_is_not_overwritten() {
    let pair = Pair::new("");
    pair.one.write("a", "one\n");
    pair.sync_both();
    pair.two.write("b", "by hand\n");
    pair.two.git(&["add", "b"]);
    pair.two.git(&["commit", "--quiet", "-m", "by hand"]);
    // A program that stands in for Git pushes for the other one just before the first push.
    let hook = format!(
        "case \" $* \" in *' push '*) test -e \"{0}\" || {{ : > \"{0}\"; env -i PATH=\"$PATH\" GIT_CONFIG_GLOBAL=/dev/null git -C \"{1}\" push -q; }} ;; esac",
        pair.path("raced").display(),
        pair.two.folder().display()
    );
    pair.one.write("c", "mine\n");
    pair.one.expect_with_git(0, &hook, &["run"]);
    assert!(pair.path("raced").exists());
    assert_eq!(pair.listed(), ["a", "b", "c"]);
    pair.sync_both();
    pair.one.sync();
    assert_eq!(pair.one.read("b").as_deref(), Some("by hand\n"));
    assert_eq!(pair.two.read("c").as_deref(), Some("mine\n"));
    pair.one.is_clean_at(&pair.tip());
    pair.two.is_clean_at(&pair.tip());
}

#[test]
fn a_rewritten_upstream_removes_nothing_and_keeps_both() {
    let pair = Pair::new("conflicts: keep-both");
    for name in ["a", "b", "c"] {
        pair.one.write(name, &format!("{name}\n"));
    }
    pair.sync_both();
    let start = pair.hub(&["rev-list", "--max-parents=0", "main"]);
    pair.two.git(&["reset", "--quiet", "--hard", start.trim()]);
    pair.two.write("a", "another\n");
    pair.two.git(&["add", "a"]);
    pair.two.git(&["commit", "--quiet", "-m", "afresh"]);
    pair.two.git(&["push", "--quiet", "--force"]);
    let ran = pair.one.run(&["run"]);
    assert!(matches!(ran.code, 0 | 5), "{}{}", ran.out, ran.err);
    let contents = pair.one.contents();
    for content in ["a\n", "another\n", "b\n", "c\n"] {
        assert!(contents.contains(&content.to_owned()), "{content:?} is lost: {contents:?}");
    }
    pair.one.is_clean_at(&pair.tip());
}

#[test]
fn no_hook_of_the_clone_runs() {
    let pair = Pair::new("");
    let canary = pair.path("canary");
    for hook in [
        "pre-commit",
        "commit-msg",
        "post-commit",
        "pre-push",
        "post-checkout",
        "post-merge",
        "reference-transaction",
        "post-index-change",
        "prepare-commit-msg",
    ] {
        pair.one.hook(hook, &format!("echo {hook} >> '{}'", canary.display()));
    }
    pair.two.write("a", "one\n");
    pair.two.sync();
    pair.one.write("b", "two\n");
    pair.one.sync();
    assert_eq!(pair.listed(), ["a", "b"]);
    assert!(!canary.exists(), "{}", std::fs::read_to_string(canary).unwrap());
}
