//! Pauses: targets that are left alone until somebody, or the clock, says otherwise.

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStderr, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::World;

/// How long something may take that comes by itself.
const PATIENCE: Duration = Duration::from_secs(60);

/// A workspace of two mirrors, `main` and `other`.
fn world() -> World {
    let world = World::new();
    std::fs::create_dir_all(world.remote("other")).unwrap();
    std::fs::create_dir_all(world.remote("main")).unwrap();
    world.configure(
        "version: \"1.0\"\nnode: { name: here }\ntargets:\n  \
         main: { path: main, remote: { kind: folder, path: ../remote/main } }\n  \
         other: { path: other, remote: { kind: folder, path: ../remote/other } }\n",
    );
    world.write_local("main/a.md", "a");
    world.write_local("other/b.md", "b");
    world
}

#[test]
fn a_paused_target_is_left_out_and_refused_by_name_until_it_is_resumed() {
    let world = world();
    let paused = world.json(0, &["pause", "main", "--reason", "the disk is being replaced", "--until", "2h"]);
    assert_eq!(paused["targets"][0]["paused"]["reason"], "the disk is being replaced");
    let until: jiff::Timestamp = paused["targets"][0]["paused"]["until"].as_str().unwrap().parse().unwrap();
    let since: jiff::Timestamp = paused["targets"][0]["paused"]["since"].as_str().unwrap().parse().unwrap();
    assert_eq!(until.duration_since(since).as_secs(), 7_200);

    let report = world.json(0, &["run"]);
    assert_eq!(report["results"].as_array().unwrap().len(), 1);
    assert_eq!(report["left_out"][0]["target"], "main");
    assert!(report["left_out"][0]["message"].as_str().unwrap().contains("the disk is being replaced"));
    assert!(world.remote("other/b.md").exists() && !world.remote("main/a.md").exists());
    let named = world.json(4, &["run", "main"]);
    assert_eq!(named["results"][0]["halts"][0]["code"], "paused");
    assert_eq!(named["results"][0]["halts"][0]["approvable"], false);
    let people = world.expect(4, &["run", "main"]);
    assert!(people.out.contains("the disk is being replaced"), "{}", people.out);
    assert!(people.out.contains("syncline resume main"), "{}", people.out);
    assert!(!world.remote("main/a.md").exists());

    let status = world.json(0, &["status"]);
    assert_eq!(status["targets"][0]["paused"]["reason"], "the disk is being replaced");
    assert_eq!(status["targets"][1]["paused"], Value::Null);
    assert_eq!(world.json(0, &["targets"])["targets"][0]["paused"]["reason"], "the disk is being replaced");
    for command in ["status", "targets", "plan"] {
        let page = world.expect(0, &[command]);
        assert!(page.out.contains("the disk is being replaced"), "{command}: {}", page.out);
    }
    let plan = world.json(0, &["plan", "main"]);
    assert_eq!(plan["targets"][0]["problems"][0]["code"], "paused");

    let resumed = world.json(0, &["resume"]);
    let was = |index: usize| resumed["targets"][index]["was_paused"].as_bool();
    assert_eq!((was(0), was(1)), (Some(true), Some(false)));
    let report = world.json(0, &["run"]);
    assert_eq!(report["left_out"], Value::Null);
    assert!(world.remote("main/a.md").exists());
}

#[test]
fn what_waits_for_a_paused_target_runs_without_it() {
    let world = world();
    let file = std::fs::read_to_string(world.local("syncline.yaml")).unwrap();
    world.configure(&file.replace("other: {", "other: { triggers: { after: [main] },"));
    world.expect(0, &["pause", "main", "--reason", "away"]);
    world.expect(0, &["run"]);
    assert!(world.remote("other/b.md").exists());
}

#[test]
fn a_pause_ends_by_itself_and_wrong_ones_are_refused() {
    let world = world();
    world.expect(0, &["pause", "--reason", "for a moment", "--until", "1s"]);
    let began = Instant::now();
    while world.run(&["run", "main"]).code == 4 {
        assert!(began.elapsed() < PATIENCE, "it does not end");
        std::thread::sleep(Duration::from_millis(100));
    }
    assert!(world.remote("main/a.md").exists());
    assert_eq!(world.json(0, &["status"])["targets"][0]["paused"], Value::Null);
    for until in ["soon", "0h", "2020-01-01T00:00:00Z"] {
        world.expect(2, &["pause", "main", "--reason", "why", "--until", until]);
    }
    world.expect(2, &["pause", "main", "--reason", "  "]);
    world.expect(2, &["pause", "main"]);
    world.expect(2, &["pause", "nobody", "--reason", "why"]);
    world.expect(2, &["resume", "nobody"]);
    assert_eq!(world.json(0, &["status"])["targets"][0]["paused"], Value::Null);
}

/// Ends a watch when the test does, however it does.
struct Watch(Child);

impl Drop for Watch {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts a watch, and gives what it tells people.
fn watch(world: &World) -> (Watch, BufReader<ChildStderr>) {
    let mut command = world.command(&["run", "--watch"]);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let told = BufReader::new(child.stderr.take().unwrap());
    (Watch(child), told)
}

/// Reads on until a line holds these words.
#[track_caller]
fn until_told(told: &mut BufReader<ChildStderr>, words: &str) {
    let mut line = String::new();
    while !line.contains(words) {
        line.clear();
        assert!(told.read_line(&mut line).unwrap() > 0, "it ended without telling {words:?}");
    }
}

#[track_caller]
fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < PATIENCE, "{what} does not come");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_watch_leaves_a_paused_target_alone_and_goes_on_when_it_is_resumed() {
    let world = world();
    let (_watch, mut told) = watch(&world);
    eventually("the first run", || world.remote("main/a.md").exists() && world.remote("other/b.md").exists());
    world.expect(0, &["pause", "main", "--reason", "being moved"]);
    world.write_local("main/late.md", "late");
    until_told(&mut told, "being moved");
    world.write_local("other/late.md", "late");
    eventually("the other target", || world.remote("other/late.md").exists());
    assert!(!world.remote("main/late.md").exists());
    world.expect(0, &["resume", "main"]);
    eventually("what waited", || world.remote("main/late.md").exists());
}

#[test]
fn a_watch_goes_on_by_itself_when_a_pause_ends() {
    let world = world();
    world.expect(0, &["pause", "main", "--reason", "for a moment", "--until", "5s"]);
    let (_watch, mut told) = watch(&world);
    // Had it ended before the watch began, nothing would be told of it; the end is what counts.
    eventually("the end of the pause", || world.remote("main/a.md").exists());
    until_told(&mut told, "watching");
}
