//! What becomes of changes: nothing, a proposal, a commit, or a commit that is pushed.

use std::fs;

use super::support::{Pair, git};

#[test]
fn off_takes_and_never_gives() {
    let pair = Pair::with(", commit: off", "direction: pull");
    let start = pair.tip();
    pair.two.write("a", "one\n");
    pair.two.commit("by hand");
    pair.two.git(&["push", "--quiet"]);
    pair.one.write("mine", "mine\n");
    let tip = pair.tip();
    pair.one.sync();
    assert_eq!(pair.one.read("a").as_deref(), Some("one\n"));
    assert_eq!(pair.one.head(), start, "nothing is committed");
    assert_eq!((pair.tip(), pair.one.read("mine").as_deref()), (tip, Some("mine\n")));
}

#[test]
fn commit_leaves_the_push_to_a_person() {
    let pair = Pair::with(", commit: commit", "");
    let start = pair.tip();
    pair.one.write("a", "one\n");
    pair.one.sync();
    assert_eq!(pair.tip(), start);
    assert_eq!(pair.one.git(&["log", "-1", "--format=%an %s"]), "one Batch sync: 1 files\n");
    assert_eq!(pair.one.status(), "");
    let head = pair.one.head();
    let report = pair.one.json(0, &["run"]);
    assert_eq!(report["results"][0]["message"], "nothing to do", "{report}");
    pair.two.write("b", "two\n");
    pair.two.commit("by hand");
    pair.two.git(&["push", "--quiet"]);
    pair.one.sync();
    assert_eq!(pair.one.read("b").as_deref(), Some("two\n"));
    assert!(pair.one.git(&["rev-list", "HEAD"]).contains(&head), "what was committed stays");
    assert_eq!(pair.one.status(), "");
    pair.one.git(&["push", "--quiet"]);
    pair.one.sync();
    assert_eq!(pair.listed(), ["a", "b"]);
    pair.one.is_clean_at(&pair.tip());
}

#[test]
fn a_proposal_is_pushed_once_and_is_over_when_it_is_merged() {
    let pair = Pair::with(", commit: propose", "");
    let start = pair.tip();
    pair.one.write("a", "one\n");
    let report = pair.one.json(0, &["run"]);
    assert_eq!(report["results"][0]["steps"]["created"], 1, "{report}");
    assert_eq!((pair.tip(), pair.one.head()), (start.clone(), start.clone()));
    let proposed = || pair.hub(&["rev-parse", "syncline/workspace"]).trim().to_owned();
    let first = proposed();
    let report = pair.one.json(0, &["run"]);
    let told = &report["results"][0]["problems"][0];
    assert_eq!(told["code"], "proposed", "{report}");
    assert_eq!(proposed(), first, "the same is not proposed twice");
    pair.one.write("b", "two\n");
    pair.one.sync();
    let second = proposed();
    assert_eq!(pair.hub(&["log", "-1", "--format=%P", &second]).trim(), first);
    pair.hub(&["update-ref", "refs/heads/main", &second]);
    let report = pair.one.json(0, &["run"]);
    assert_eq!(report["results"][0]["problems"].as_array().map(Vec::len), Some(0), "{report}");
    pair.one.is_clean_at(&second);
}

#[test]
fn a_proposal_that_is_taken_down_takes_nothing_back() {
    let pair = Pair::with(", commit: propose", "");
    pair.one.write("a", "one\n");
    pair.one.sync();
    pair.hub(&["update-ref", "-d", "refs/heads/syncline/workspace"]);
    pair.one.sync();
    assert_eq!(pair.one.read("a").as_deref(), Some("one\n"));
}

#[test]
fn what_cannot_be_followed_is_told() {
    let pair = Pair::new("");
    pair.one.git(&["branch", "--unset-upstream"]);
    let told = pair.one.run(&["run"]);
    assert!(
        told.code != 0 && told.err.contains("git push -u") | told.out.contains("git push -u"),
        "{}",
        told.out
    );
    pair.one.git(&["branch", "--set-upstream-to=origin/main"]);
    pair.one.sync();
    pair.one.git(&["remote", "rename", "origin", "elsewhere"]);
    pair.one.sync();
    pair.one.git(&["remote", "remove", "elsewhere"]);
    assert_ne!(pair.one.run(&["run"]).code, 0);
    let empty = pair.path("empty");
    fs::create_dir(&empty).unwrap();
    fs::copy(pair.one.path("syncline.yaml"), empty.join("syncline.yaml")).unwrap();
    let ran = pair.one.command(&["run"]).current_dir(&empty).output().unwrap();
    let said = String::from_utf8_lossy(&ran.stdout).into_owned() + &String::from_utf8_lossy(&ran.stderr);
    assert!(said.contains("lies in no clone"), "{said}");
    git(&empty, &["init", "--quiet", "--initial-branch=main"]);
    let ran = pair.one.command(&["run"]).current_dir(&empty).output().unwrap();
    let said = String::from_utf8_lossy(&ran.stdout).into_owned() + &String::from_utf8_lossy(&ran.stderr);
    assert!(said.contains("has no commit yet"), "{said}");
}

#[test]
fn an_upstream_that_is_gone_removes_nothing() {
    let pair = Pair::new("");
    pair.one.write("a", "one\n");
    pair.one.sync();
    let tip = pair.tip();
    pair.hub(&["update-ref", "-d", "refs/heads/main"]);
    pair.one.expect(4, &["run"]);
    assert_eq!(pair.one.read("a").as_deref(), Some("one\n"));
    pair.hub(&["update-ref", "refs/heads/main", &tip]);
    pair.one.sync();
    pair.one.is_clean_at(&tip);
}

#[test]
fn a_dry_run_changes_neither_branch() {
    let pair = Pair::new("");
    pair.one.write("a", "one\n");
    pair.two.write("b", "two\n");
    pair.two.sync();
    let before = (pair.one.head(), pair.tip(), pair.one.status());
    let report = pair.one.json(0, &["run", "--dry-run"]);
    assert_eq!(report["targets"][0]["steps"].as_array().map(Vec::len), Some(2), "{report}");
    assert_eq!((pair.one.head(), pair.tip(), pair.one.status()), before);
}
