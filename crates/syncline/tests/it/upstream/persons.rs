//! What persons do with Git between two runs, and during one, is never undone.

use std::fs;

use super::support::{Pair, try_git};

#[test]
fn commits_by_hand_are_pushed_as_they_are() {
    let pair = Pair::new("");
    pair.one.write("a", "one\n");
    pair.sync_both();
    pair.one.write("a", "by hand\n");
    pair.one.write("b", "new\n");
    pair.one.commit("my own words");
    let mine = pair.one.head();
    pair.one.sync();
    assert_eq!(pair.tip(), mine, "the person's commit is what is pushed, and nothing on top of it");
    pair.one.is_clean_at(&mine);
    pair.two.sync();
    assert_eq!(pair.two.read("a").as_deref(), Some("by hand\n"));
    pair.two.is_clean_at(&mine);
}

#[test]
fn commits_by_hand_and_commits_of_others_become_a_merge() {
    let pair = Pair::new("");
    pair.one.write("a", "one\n");
    pair.sync_both();
    pair.two.write("b", "two\n");
    pair.two.sync();
    let theirs = pair.tip();
    pair.one.write("c", "three\n");
    pair.one.commit("my own words");
    let mine = pair.one.head();
    pair.one.sync();
    let parents = pair.hub(&["log", "-1", "--format=%P", "main"]);
    assert_eq!(parents.trim(), format!("{mine} {theirs}"));
    assert_eq!(pair.listed(), ["a", "b", "c"]);
    pair.one.is_clean_at(&pair.tip());
    pair.two.sync();
    pair.two.is_clean_at(&pair.tip());
}

#[test]
fn a_pull_by_hand_is_nothing_to_do() {
    let pair = Pair::new("");
    pair.one.write("a", "one\n");
    pair.sync_both();
    pair.two.write("a", "two\n");
    pair.two.sync();
    pair.one.git(&["pull", "--quiet"]);
    let before = pair.tip();
    pair.one.sync();
    assert_eq!(pair.tip(), before);
    pair.one.is_clean_at(&before);
}

#[test]
fn a_branch_that_was_merged_by_hand_arrives() {
    let pair = Pair::new("");
    pair.one.write("a", "one\n");
    pair.sync_both();
    pair.one.git(&["switch", "--quiet", "-c", "feature"]);
    pair.one.write("feature", "work\n");
    pair.one.commit("work");
    pair.one.is_refused("git_busy");
    pair.one.git(&["switch", "--quiet", "main"]);
    pair.one.sync();
    assert_eq!(pair.listed(), ["a"], "a branch that is not checked out is nobody's business");
    pair.one.git(&["merge", "--quiet", "--no-ff", "--no-edit", "feature"]);
    pair.one.sync();
    pair.two.sync();
    assert_eq!(pair.two.read("feature").as_deref(), Some("work\n"));
    pair.one.is_clean_at(&pair.tip());
}

#[test]
fn what_is_stashed_stays_stashed_and_comes_back() {
    let pair = Pair::new("");
    pair.one.write("a", "one\n");
    pair.sync_both();
    pair.one.write("a", "half done\n");
    pair.one.git(&["stash", "--quiet"]);
    pair.two.write("b", "two\n");
    pair.two.sync();
    pair.one.sync();
    assert_eq!(pair.one.read("a").as_deref(), Some("one\n"));
    pair.one.git(&["stash", "pop", "--quiet"]);
    pair.one.sync();
    assert_eq!(pair.at_hub("a"), "half done\n");
    assert_eq!(pair.at_hub("b"), "two\n");
}

#[test]
fn a_reset_does_not_take_back_what_others_have() {
    let pair = Pair::new("");
    pair.one.write("a", "one\n");
    pair.sync_both();
    pair.two.write("a", "two\n");
    pair.two.sync();
    pair.one.sync();
    let tip = pair.tip();
    pair.one.git(&["reset", "--quiet", "--hard", "HEAD~1"]);
    let report = pair.one.is_refused("git_rewound");
    assert!(report.to_string().contains("git merge"), "{report}");
    assert_eq!(pair.tip(), tip);
    pair.one.git(&["pull", "--quiet"]);
    pair.one.sync();
    assert_eq!(pair.one.read("a").as_deref(), Some("two\n"));
    // Taking back for everybody is what `git revert` is for.
    pair.one.git(&["revert", "--no-edit", "HEAD"]);
    pair.one.sync();
    pair.two.sync();
    assert_eq!(pair.two.read("a").as_deref(), Some("one\n"));
}

#[test]
fn an_amended_commit_that_was_pushed_waits_for_its_person() {
    let pair = Pair::new("");
    pair.one.write("a", "one\n");
    pair.one.commit("mine");
    pair.one.sync();
    pair.one.git(&["commit", "--quiet", "--amend", "-m", "other words"]);
    pair.one.is_refused("git_rewound");
    pair.one.git(&["pull", "--quiet", "--no-edit"]);
    pair.one.sync();
    pair.one.is_clean_at(&pair.tip());
}

#[test]
fn what_is_not_the_targets_own_is_never_committed() {
    let pair = Pair::with("", "path: shared");
    pair.one.write("code.c", "int x;\n");
    pair.one.write("other.c", "int y;\n");
    pair.one.commit("code");
    pair.one.git(&["push", "--quiet"]);
    pair.two.git(&["pull", "--quiet"]);
    pair.one.write("code.c", "int x = 1;\n");
    pair.one.write("other.c", "int y = 1;\n");
    pair.one.git(&["add", "other.c"]);
    pair.one.write("untracked", "mine\n");
    pair.one.write("shared/a", "one\n");
    let before = "M  other.c";
    pair.one.sync();
    assert_eq!(pair.listed(), ["code.c", "other.c", "shared/a"]);
    assert_eq!((pair.at_hub("code.c"), pair.at_hub("other.c")), ("int x;\n".into(), "int y;\n".into()));
    assert_eq!(pair.one.status(), format!(" M code.c\n{before}\n?? untracked\n"), "staged stays staged");
    assert_eq!(pair.one.head(), pair.tip());
    pair.two.sync();
    assert_eq!(pair.two.read("shared/a").as_deref(), Some("one\n"));
    pair.two.is_clean_at(&pair.tip());
}

#[test]
fn changes_of_others_outside_the_target_come_along_where_nobody_is_at_work() {
    let pair = Pair::with("", "path: shared");
    for name in ["code.c", "other.c", "gone.c"] {
        pair.one.write(name, "old\n");
    }
    pair.one.commit("code");
    pair.one.git(&["push", "--quiet"]);
    pair.two.git(&["pull", "--quiet"]);
    pair.one.write("code.c", "new\n");
    pair.one.write("added.c", "new\n");
    pair.one.remove("gone.c");
    pair.one.commit("more code");
    pair.one.write("shared/a", "one\n");
    pair.one.sync();
    pair.two.write("other.c", "my edit\n");
    pair.two.write("shared/b", "two\n");
    pair.two.sync();
    assert_eq!(pair.two.read("code.c").as_deref(), Some("new\n"));
    assert_eq!(pair.two.read("added.c").as_deref(), Some("new\n"));
    assert_eq!(pair.two.read("gone.c"), None);
    assert_eq!(pair.two.status(), " M other.c\n");
    assert_eq!(pair.two.head(), pair.tip());
}

#[test]
fn an_edit_in_the_way_is_named_and_left_and_the_target_goes_on() {
    let pair = Pair::with("", "path: shared");
    pair.one.write("code.c", "old\n");
    pair.one.commit("code");
    pair.one.git(&["push", "--quiet"]);
    pair.two.git(&["pull", "--quiet"]);
    pair.one.write("code.c", "new\n");
    pair.one.commit("more code");
    pair.one.sync();
    pair.two.write("code.c", "my edit\n");
    pair.two.write("shared/b", "two\n");
    let before = pair.two.head();
    let report = pair.two.json(1, &["run"]);
    let problem = &report["results"][0]["problems"][0];
    assert_eq!((&problem["code"], &problem["path"]), (&"git_dirty".into(), &"code.c".into()), "{report}");
    assert_eq!(pair.two.read("code.c").as_deref(), Some("my edit\n"));
    assert_eq!(pair.two.head(), before);
    assert_eq!(pair.at_hub("shared/b"), "two\n");
    pair.two.git(&["stash", "--quiet", "--", "code.c"]);
    pair.two.sync();
    assert_eq!(pair.two.read("code.c").as_deref(), Some("new\n"));
    assert_eq!(pair.two.head(), pair.tip());
}

#[test]
fn a_conflict_outside_of_the_target_is_for_a_person() {
    let pair = Pair::with("", "path: shared");
    pair.one.write("code.c", "old\n");
    pair.one.commit("code");
    pair.one.git(&["push", "--quiet"]);
    pair.two.git(&["pull", "--quiet"]);
    for (node, text) in [(&pair.one, "one\n"), (&pair.two, "two\n")] {
        node.write("code.c", text);
        node.commit("my code");
    }
    pair.one.sync();
    pair.two.write("shared/b", "two\n");
    let report = pair.two.is_refused("git_conflict");
    assert!(report.to_string().contains("code.c"), "{report}");
    try_git(&pair.two.folder(), &["pull", "--no-rebase"]);
    pair.two.is_refused("git_busy");
    pair.two.write("code.c", "both\n");
    pair.two.git(&["commit", "--quiet", "-a", "-m", "merged by hand"]);
    pair.two.sync();
    assert_eq!((pair.at_hub("code.c"), pair.at_hub("shared/b")), ("both\n".into(), "two\n".into()));
}

#[test]
fn whoever_is_in_the_middle_of_something_is_left_alone() {
    let pair = Pair::new("");
    pair.one.write("a", "one\n");
    pair.sync_both();
    pair.two.write("b", "two\n");
    pair.two.sync();
    let git = pair.one.path(".git");
    for name in ["MERGE_HEAD", "CHERRY_PICK_HEAD", "REVERT_HEAD", "BISECT_LOG"] {
        fs::write(git.join(name), format!("{}\n", pair.one.head())).unwrap();
        pair.one.is_refused("git_busy");
        fs::remove_file(git.join(name)).unwrap();
    }
    pair.one.git(&["switch", "--quiet", "--detach"]);
    pair.one.is_refused("git_busy");
    pair.one.git(&["switch", "--quiet", "main"]);
    pair.one.sync();
    assert_eq!(pair.one.read("b").as_deref(), Some("two\n"));
}

#[test]
fn a_rebase_that_stopped_is_left_alone() {
    let pair = Pair::new("");
    pair.one.write("a", "one\n");
    pair.sync_both();
    pair.one.git(&["switch", "--quiet", "-c", "side", "HEAD~1"]);
    pair.one.write("a", "other\n");
    pair.one.commit("other");
    assert!(!try_git(&pair.one.folder(), &["rebase", "main"]).status.success());
    pair.one.is_refused("git_busy");
    pair.one.git(&["rebase", "--abort"]);
    pair.one.git(&["switch", "--quiet", "main"]);
    pair.one.sync();
    pair.one.is_clean_at(&pair.tip());
}

#[test]
fn a_lock_that_stays_is_told_and_nothing_is_lost() {
    let pair = Pair::new("");
    pair.one.write("a", "one\n");
    pair.sync_both();
    pair.one.write("a", "edited\n");
    let lock = pair.one.path(".git/index.lock");
    fs::write(&lock, "").unwrap();
    let report = pair.one.json(1, &["run"]);
    assert_eq!(report["results"][0]["error"]["code"], "git_locked", "{report}");
    assert!(lock.exists(), "the lock of somebody else is not removed");
    assert_eq!(pair.one.read("a").as_deref(), Some("edited\n"));
    fs::remove_file(&lock).unwrap();
    pair.one.sync();
    assert_eq!(pair.at_hub("a"), "edited\n");
    pair.one.is_clean_at(&pair.tip());
}

#[test]
fn what_git_ignores_is_never_committed() {
    let pair = Pair::new("");
    pair.one.write(".gitignore", "*.log\nbuild/\n");
    pair.one.write("a.log", "noise\n");
    pair.one.write("build/out", "binary\n");
    pair.one.write("sub/b.log", "noise\n");
    pair.one.write("sub/c", "work\n");
    pair.sync_both();
    assert_eq!(pair.listed(), [".gitignore", "sub/c"]);
    assert_eq!(pair.one.read("a.log").as_deref(), Some("noise\n"));
    pair.two.write("build/out", "another\n");
    pair.sync_both();
    assert_eq!(pair.one.read("build/out").as_deref(), Some("binary\n"));
    pair.one.is_clean_at(&pair.tip());
}

#[test]
fn what_git_converts_is_left_to_git() {
    let pair = Pair::new("");
    for node in [&pair.one, &pair.two] {
        node.git(&["config", "filter.shout.clean", "tr a-z A-Z"]);
        node.git(&["config", "filter.shout.smudge", "tr A-Z a-z"]);
    }
    pair.one.write(".gitattributes", "*.big filter=shout\n");
    pair.one.write("a.big", "content\n");
    pair.one.write("plain", "plain\n");
    let report = pair.one.json(0, &["run"]);
    let problem = &report["results"][0]["problems"][0];
    assert_eq!(problem["code"], "converted", "{report}");
    assert_eq!(pair.listed(), [".gitattributes", "plain"]);
    pair.one.commit("by Git");
    pair.one.sync();
    assert_eq!(pair.at_hub("a.big"), "CONTENT\n");
    pair.two.sync();
    assert_eq!(pair.two.read("a.big").as_deref(), Some("content\n"));
    pair.two.is_clean_at(&pair.tip());
}

#[test]
fn two_targets_of_one_clone_do_not_wait_for_each_other() {
    let pair = Pair::new("");
    for node in [&pair.one, &pair.two] {
        let target = |name: &str| format!("  {name}:\n    path: {name}\n    remote: {{ kind: upstream }}\n");
        let text = format!("version: \"1.0\"\ntargets:\n{}{}", target("left"), target("right"));
        fs::write(node.path("syncline.yaml"), text).unwrap();
    }
    for name in ["left", "right"] {
        pair.one.write(&format!("{name}/a"), "one\n");
        pair.one.write(&format!("{name}/b"), "one\n");
    }
    pair.sync_both();
    for name in ["left", "right"] {
        pair.one.write(&format!("{name}/a"), "one, edited\n");
        pair.two.write(&format!("{name}/b"), "two, edited\n");
    }
    pair.one.sync();
    for _ in 0..2 {
        // Files of the other target may be in the way of the branch until that one has run.
        pair.two.run(&["run"]);
    }
    pair.two.sync();
    pair.one.sync();
    for node in [&pair.one, &pair.two] {
        for name in ["left", "right"] {
            assert_eq!(node.read(&format!("{name}/a")).as_deref(), Some("one, edited\n"));
            assert_eq!(node.read(&format!("{name}/b")).as_deref(), Some("two, edited\n"));
        }
        node.is_clean_at(&pair.tip());
    }
}

#[test]
fn a_linked_worktree_is_a_clone_of_its_own() {
    let pair = Pair::new("");
    pair.one.write("a", "one\n");
    pair.one.sync();
    let side = pair.path("side");
    pair.hub(&["branch", "side", "main"]);
    pair.one.git(&["fetch", "--quiet"]);
    pair.one.git(&[
        "worktree",
        "add",
        "--quiet",
        side.to_str().unwrap(),
        "--track",
        "-b",
        "side",
        "origin/side",
    ]);
    fs::copy(pair.one.path("syncline.yaml"), side.join("syncline.yaml")).unwrap();
    fs::write(side.join("b"), "two\n").unwrap();
    let output = pair.one.command(&["run"]).current_dir(&side).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    assert_eq!(pair.hub(&["cat-file", "blob", "side:b"]), "two\n");
    assert_eq!(super::support::git(&side, &["status", "--porcelain"]), "");
    pair.one.sync();
    assert_eq!(pair.listed(), ["a"]);
    pair.one.is_clean_at(&pair.tip());
}
