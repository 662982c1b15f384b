//! What a run brought into a Git repository is committed: only that, and never what people are doing.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::support::World;

const PULL: &str = "direction: pull\ngit_commit: { policy: commit, message: \"Pull {target}: {files}\", author: \"CI Bot <ci@example.org>\" }";

fn git(folder: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new("git");
    command.args(["-c", "user.name=Ada", "-c", "user.email=ada@example.org"]).args(arguments);
    command.current_dir(folder).env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_CONFIG_GLOBAL", "/dev/null");
    let output = command.output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// A workspace that is a repository with one commit.
fn world(target: &str) -> World {
    let world = World::with(target);
    let folder = world.path("local");
    git(&folder, &["init", "--quiet", "--initial-branch=main"]);
    git(&folder, &["add", "syncline.yaml"]);
    git(&folder, &["commit", "--quiet", "-m", "Start"]);
    world
}

fn told(report: &Value, code: &str) -> String {
    let problems = report["results"][0]["problems"].as_array().unwrap();
    let found = problems.iter().find(|problem| problem["code"] == code);
    found.unwrap_or_else(|| panic!("no {code} in {report}"))["message"].as_str().unwrap().to_owned()
}

#[test]
fn only_what_was_brought_in_is_committed() {
    let world = world(PULL);
    let folder = world.path("local");
    world.write_remote("a.md", "a");
    world.write_remote("deep/b.md", "b");
    world.write_local("mine.md", "mine");
    world.write_local("staged.md", "staged");
    git(&folder, &["add", "staged.md"]);
    let report = world.json(0, &["run"]);
    assert!(told(&report, "commit").contains("2 files are committed"), "{report}");
    assert_eq!(
        git(&folder, &["log", "-1", "--format=%an <%ae>%n%s"]),
        "CI Bot <ci@example.org>\nPull main: 2\n"
    );
    assert!(
        git(&folder, &["log", "-1", "--format=%B"]).contains(report["results"][0]["run"].as_str().unwrap())
    );
    assert_eq!(git(&folder, &["show", "--name-status", "--format="]), "A\ta.md\nA\tdeep/b.md\n");
    assert_eq!(
        git(&folder, &["status", "--porcelain"]),
        "A  staged.md\n?? mine.md\n",
        "what people do stays theirs"
    );
    let commits = git(&folder, &["rev-list", "--count", "HEAD"]);
    world.expect(0, &["run"]);
    assert_eq!(git(&folder, &["rev-list", "--count", "HEAD"]), commits, "nothing new, no commit");
    fs::remove_file(world.remote("a.md")).unwrap();
    world.write_remote("deep/b.md", "edited");
    world.expect(0, &["run"]);
    assert_eq!(git(&folder, &["show", "--name-status", "--format="]), "D\ta.md\nM\tdeep/b.md\n");
}

#[test]
fn a_person_in_the_middle_of_something_goes_first_and_the_next_run_commits() {
    let world = world(PULL);
    let folder = world.path("local");
    world.write_remote("a.md", "a");
    fs::write(folder.join(".git/MERGE_HEAD"), git(&folder, &["rev-parse", "HEAD"])).unwrap();
    let report = world.json(0, &["run"]);
    assert!(told(&report, "not_committed").contains("MERGE_HEAD"), "{report}");
    assert_eq!(world.read_local("a.md").as_deref(), Some("a"));
    fs::remove_file(folder.join(".git/MERGE_HEAD")).unwrap();
    world.expect(0, &["run"]);
    assert_eq!(git(&folder, &["show", "--name-status", "--format="]), "A\ta.md\n");
}

#[test]
fn what_is_proposed_goes_on_a_branch_of_its_own() {
    let world = world("direction: pull\ngit_commit: propose");
    let folder = world.path("local");
    let head = git(&folder, &["rev-parse", "HEAD"]);
    world.write_remote("a.md", "a");
    world.expect(0, &["run"]);
    assert_eq!(git(&folder, &["rev-parse", "HEAD"]), head);
    assert_eq!(git(&folder, &["show", "--name-status", "--format=", "syncline/main"]), "A\ta.md\n");
    assert_eq!(git(&folder, &["status", "--porcelain"]), "?? a.md\n");
    let proposed = git(&folder, &["rev-parse", "syncline/main"]);
    world.expect(0, &["run"]);
    assert_eq!(git(&folder, &["rev-parse", "syncline/main"]), proposed, "it is proposed once");
}

#[test]
fn what_a_person_removed_is_theirs_to_commit() {
    let world = world(PULL);
    let folder = world.path("local");
    world.write_local("mine.md", "mine");
    git(&folder, &["add", "mine.md"]);
    git(&folder, &["commit", "--quiet", "-m", "Mine"]);
    world.write_remote("a.md", "a");
    fs::remove_file(folder.join("mine.md")).unwrap();
    world.expect(0, &["run"]);
    assert_eq!(git(&folder, &["show", "--name-status", "--format="]), "A\ta.md\n");
    assert_eq!(git(&folder, &["status", "--porcelain"]), " D mine.md\n");
}

#[test]
fn what_is_committed_is_pushed_where_that_is_asked_for() {
    let world = world("direction: pull\ngit_commit: commit_and_push");
    let (folder, hub) = (world.path("local"), world.path("hub.git"));
    git(world.path(".").as_path(), &["init", "--quiet", "--bare", "--initial-branch=main", "hub.git"]);
    git(&folder, &["remote", "add", "origin", hub.to_str().unwrap()]);
    git(&folder, &["push", "--quiet", "-u", "origin", "main"]);
    world.write_remote("a.md", "a");
    fs::rename(&hub, world.path("away.git")).unwrap();
    assert!(told(&world.json(0, &["run"]), "not_committed").contains("it is committed"));
    fs::rename(world.path("away.git"), &hub).unwrap();
    world.expect(0, &["run"]);
    assert_eq!(
        git(&hub, &["log", "-1", "--format=%s", "main"]),
        "Sync main: 1 files\n",
        "what could not be pushed is later"
    );
}

#[test]
fn where_there_is_no_repository_that_is_told() {
    let world = World::with(PULL);
    world.write_remote("a.md", "a");
    let report = world.json(0, &["run"]);
    assert!(told(&report, "not_committed").contains("does not lie in a Git repository"), "{report}");
}
