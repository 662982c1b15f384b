//! The workspace around the targets: Git, state, subfolders, what outsiders left.

use std::process::Command;

use serde_json::Value;

use crate::support::World;

fn git(world: &World, arguments: &[&str]) -> String {
    let output = Command::new("git").args(arguments).current_dir(world.path("local")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_state_is_kept_out_of_git_without_touching_tracked_files() {
    let world = World::new();
    git(&world, &["init", "--quiet"]);
    world.write_local(".gitignore", "*.o\n");
    world.write_local("a.md", "a");
    git(&world, &["add", "."]);
    world.expect(0, &["run"]);
    world.write_local("a.md", "b");
    world.expect(0, &["run"]);
    let status = git(&world, &["status", "--porcelain"]);
    assert!(!status.contains(".syncline"), "{status}");
    assert_eq!(world.read_local(".gitignore").as_deref(), Some("*.o\n"));
    let exclude = world.read_local(".git/info/exclude").unwrap();
    assert_eq!(exclude.lines().filter(|line| *line == ".syncline/").count(), 1, "{exclude}");
    assert!(!world.remote(".git").exists(), "Git's own files are never synced");
}

#[test]
fn the_state_can_lie_elsewhere() {
    let world = World::new();
    world.write_local("a.md", "a");
    let state = world.path("state");
    world.expect(0, &["run", "--state", state.to_str().unwrap()]);
    assert!(state.join("state.db").exists());
    assert!(!world.local(".syncline/state.db").exists());
    let again = world.command(&["run"]).env("SYNCLINE_STATE", &state).output().unwrap();
    assert!(String::from_utf8(again.stdout).unwrap().contains("nothing to do"));
}

#[test]
fn a_workspace_that_was_somebody_elses_remote_works() {
    let world = World::new();
    world.write_local("a.md", "a");
    world.expect(0, &["run"]);
    world.write_remote(
        "syncline.yaml",
        "version: \"1.0\"\ntargets:\n  next:\n    remote: { kind: folder, path: ../third }\n",
    );
    let ran = world.command(&["run"]).current_dir(world.path("remote")).output().unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stdout));
    assert!(world.path("third/a.md").exists());
}

#[test]
fn a_target_of_a_subfolder_reports_paths_of_the_workspace() {
    let world = World::with("path: notes/daily");
    world.write_remote("a.md", "a");
    let report = world.json(0, &["run"]);
    assert_eq!(report["results"][0]["outputs_created"], serde_json::json!(["notes/daily/a.md"]));
    world.write_remote("a.md", "b");
    world.expect(0, &["run"]);
    world.expect(0, &["restore", "notes/daily/a.md"]);
    assert_eq!(world.read_remote("a.md").as_deref(), Some("a"));
    assert_eq!(world.json(0, &["explain", "elsewhere"])["targets"], serde_json::json!([]));
}

#[test]
fn the_ignore_file_of_the_workspace_is_about_paths_of_the_workspace() {
    let world = World::with("path: shared");
    world.write_local(".synclineignore", "shared/private/\n/build/\n*.log\n");
    for path in ["shared/private/a.md", "shared/build/b.md", "shared/c.log", "shared/d.md"] {
        world.write_local(path, "text");
    }
    world.expect(0, &["run"]);
    assert_eq!(World::names(&world.path("remote")), [".syncline", "build", "d.md"]);
    let private = world.json(0, &["explain", "shared/private/a.md"]);
    assert_eq!(private["targets"][0]["verdict"], "ignored", "{private:#}");
    // A file of the target's own counts instead.
    world.write_local("shared/.synclineignore", "/build/\n");
    world.write_local("shared/build/e.md", "text");
    world.expect(0, &["run"]);
    assert!(world.read_remote("private/a.md").is_some() && world.read_remote("build/e.md").is_none());
}

#[cfg(unix)]
#[test]
fn an_ignore_file_that_is_a_link_is_refused() {
    let world = World::new();
    world.write_local("rules", "*.o");
    std::os::unix::fs::symlink("rules", world.local(".synclineignore")).unwrap();
    let report = world.run(&["run", "--format", "json"]);
    assert!(report.out.contains("symbolic link"), "{}", report.out);
    assert_ne!(report.code, 0);
    assert!(World::names(&world.path("remote")).is_empty());
}

#[test]
fn names_that_could_drive_a_terminal_are_escaped() {
    let world = World::new();
    world.write_local("evil\u{1b}[2J.md", "x");
    let plan = world.expect(0, &["plan", "--color", "always"]);
    assert!(plan.out.contains("evil\\u{1b}[2J.md"), "{}", plan.out);
    let plan = world.json(0, &["plan"]);
    assert_eq!(plan["targets"][0]["steps"][0]["path"], "evil\u{1b}[2J.md");
}

#[test]
fn doctor_says_what_is_wrong_and_what_to_do() {
    let world = World::new();
    let fresh = world.json(0, &["doctor"]);
    assert_eq!(fresh["healthy"], true, "{fresh:#}");
    world.write_local("a.md", "a");
    world.expect(0, &["run"]);
    let names: Vec<String> = world.json(0, &["doctor"])["checks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|check| check["name"].as_str().unwrap().to_owned())
        .collect();
    for name in ["version", "configuration", "clock", "state", "git", "main, local side", "main, remote side"]
    {
        assert!(names.iter().any(|known| known == name), "{name} is not in {names:?}");
    }
    std::fs::remove_dir_all(world.path("remote")).unwrap();
    let gone = world.expect(1, &["doctor"]);
    assert!(gone.out.contains("though 1 item was agreed on"), "{}", gone.out);
    assert!(gone.out.contains("mount or restore") && !gone.out.contains("make it"), "{}", gone.out);
    std::fs::write(world.path("remote"), "a file").unwrap();
    let sick = world.expect(1, &["doctor"]);
    assert!(sick.out.contains("FAIL"), "{}", sick.out);
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let world = World::new();
    for index in 0..300 {
        world.write_local(&format!("{index:04}-{}.md", "x".repeat(200)), "x");
    }
    let mut child = world.command(&["plan", "-v"]).stdout(std::process::Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn a_copy_of_a_workspace_keeps_an_agreement_of_its_own() {
    let world = World::new();
    for name in ["a.md", "b.md", "c.md"] {
        world.write_local(name, "agreed");
    }
    world.expect(0, &["run"]);
    let copied = Command::new("cp").arg("-a").args([world.path("local"), world.path("copy")]).status();
    assert!(copied.unwrap().success());
    let in_copy = |arguments: &[&str]| {
        let output = world.command(arguments).current_dir(world.path("copy")).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        serde_json::from_slice::<Value>(&output.stdout).unwrap()
    };
    let in_original = || world.json(0, &["run"])["results"][0].clone();

    // The copy never agreed on anything: what it lacks was not removed.
    std::fs::remove_file(world.path("copy/a.md")).unwrap();
    let planned = in_copy(&["plan", "--format", "json"]);
    assert_eq!(planned["targets"][0]["steps"][0]["action"], "create", "{planned}");
    let first = in_copy(&["run", "--format", "json"]);
    assert!(first["results"][0]["distrust"].is_string(), "{first}");
    assert_eq!(world.read_remote("a.md").as_deref(), Some("agreed"));
    assert_eq!(std::fs::read_to_string(world.path("copy/a.md")).unwrap(), "agreed");

    // From now on both work with the same remote, and neither takes the other for a stranger.
    for round in 0..3 {
        world.write_local("b.md", &format!("from the original, {round}"));
        assert!(in_original()["distrust"].is_null());
        let run = in_copy(&["run", "--format", "json"]);
        assert!(run["results"][0]["distrust"].is_null(), "{run}");
        let edit = format!("from the copy, {round}");
        std::fs::write(world.path("copy/c.md"), &edit).unwrap();
        in_copy(&["run", "--format", "json"]);
        assert!(in_original()["distrust"].is_null());
        assert_eq!(world.agreed("c.md"), Some(edit));
    }
    std::fs::remove_file(world.path("copy/b.md")).unwrap();
    in_copy(&["run", "--format", "json"]);
    assert_eq!(in_original()["steps"]["removed"], 1);
    assert_eq!(world.agreed("b.md"), None);

    // A workspace that was moved stays what it is.
    std::fs::rename(world.path("copy"), world.path("moved")).unwrap();
    let output =
        world.command(&["run", "--format", "json"]).current_dir(world.path("moved")).output().unwrap();
    let run: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(run["results"][0]["distrust"].is_null(), "{run}");
}
