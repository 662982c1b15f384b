//! Watching: a change on either side arrives within two seconds.

use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use crate::support::World;

/// Ends a process when the test does, however it does.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[track_caller]
fn within(limit: Duration, what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < limit, "{what} took longer than {limit:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_change_on_either_side_arrives_within_two_seconds() {
    let world = World::new();
    world.write_local("first.md", "first");
    let child =
        world.command(&["run", "--watch"]).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut running = Running(child);
    within(Duration::from_secs(10), "the first run", || world.read_remote("first.md").is_some());
    std::thread::sleep(Duration::from_millis(300));
    let limit = Duration::from_secs(2);
    world.write_local("ours.md", "ours");
    within(limit, "local to remote", || world.read_remote("ours.md").as_deref() == Some("ours"));
    world.write_remote("theirs.md", "theirs");
    within(limit, "remote to local", || world.read_local("theirs.md").as_deref() == Some("theirs"));
    std::fs::remove_file(world.remote("first.md")).unwrap();
    within(limit, "a removal", || world.read_local("first.md").is_none());
    // A polite request to end is followed.
    let pid = running.0.id().to_string();
    assert!(std::process::Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    within(Duration::from_secs(5), "the end", || running.0.try_wait().unwrap().is_some());
    assert_eq!(running.0.wait().unwrap().code(), Some(0));
    let mut out = String::new();
    std::io::Read::read_to_string(&mut running.0.stdout.take().unwrap(), &mut out).unwrap();
    assert!(out.contains("1 created"), "{out}");
    assert!(!out.contains("nothing to do"), "{out}");
}
