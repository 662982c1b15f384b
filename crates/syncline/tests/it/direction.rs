//! Pull never writes the remote, push never writes the workspace.

use crate::support::World;

#[test]
fn pull_never_writes_the_remote() {
    let world = World::with("direction: pull");
    world.write_remote("theirs.md", "theirs");
    world.write_local("ours.md", "ours");
    world.expect(0, &["run"]);
    assert_eq!(world.read_local("theirs.md").as_deref(), Some("theirs"));
    assert_eq!(World::names(&world.path("remote")), ["theirs.md"]);
    std::fs::remove_file(world.local("theirs.md")).unwrap();
    world.expect(0, &["run"]);
    assert_eq!(world.read_local("theirs.md").as_deref(), Some("theirs"), "the source still has it");
    assert_eq!(World::names(&world.path("remote")), ["theirs.md"]);
    assert_eq!(world.read_local("ours.md").as_deref(), Some("ours"));
}

#[test]
fn push_never_writes_the_workspace() {
    let world = World::with("direction: push");
    world.write_remote("theirs.md", "theirs");
    world.write_local("ours.md", "ours");
    world.expect(0, &["run"]);
    assert_eq!(world.read_remote("ours.md").as_deref(), Some("ours"));
    assert_eq!(World::names(&world.path("local")), [".syncline", "ours.md", "syncline.yaml"]);
}

#[test]
fn a_conflict_cannot_be_settled_against_the_direction() {
    let world = World::with("direction: push\nconflicts: manual");
    world.write_local("a.md", "base");
    world.expect(0, &["run"]);
    world.write_local("a.md", "ours");
    world.write_remote("a.md", "theirs");
    world.expect(5, &["run"]);
    let response = world.json(1, &["conflicts", "resolve", "a.md", "--take", "remote"]);
    assert!(response["conflicts"][0]["message"].as_str().unwrap().contains("direction"), "{response:#}");
    assert_eq!(world.read_local("a.md").as_deref(), Some("ours"));
    world.expect(0, &["conflicts", "resolve", "a.md", "--take", "local"]);
    assert_eq!(world.agreed("a.md").as_deref(), Some("ours"));
}

#[test]
fn direction_selects_and_one_way_narrows() {
    let world = World::new();
    world.configure(
        "version: \"1.0\"\ntargets:\n  down: { path: down, direction: pull, remote: { kind: folder, path: ../remote/down } }\n  \
         both: { path: both, remote: { kind: folder, path: ../remote/both } }\n",
    );
    let list = world.json(0, &["targets", "--direction", "pull"]);
    assert_eq!(list["targets"].as_array().unwrap().len(), 1);
    let list = world.json(0, &["targets", "*o*"]);
    assert_eq!(list["targets"].as_array().unwrap().len(), 2);
    world.expect(2, &["targets", "--direction", "push"]);
    world.write_local("both/ours", "x");
    world.write_remote("both/theirs", "y");
    world.expect(0, &["run", "both", "--one-way", "push"]);
    assert!(world.remote("both/ours").exists() && !world.local("both/theirs").exists());
    world.expect(2, &["run", "down", "--one-way", "push"]);
}
