//! Watching: a change on either side arrives within two seconds.

use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use crate::support::World;

/// How long a change may take to arrive.
const LIMIT: Duration = Duration::from_secs(2);

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
    world.write_local("ours.md", "ours");
    within(LIMIT, "local to remote", || world.read_remote("ours.md").as_deref() == Some("ours"));
    world.write_remote("theirs.md", "theirs");
    within(LIMIT, "remote to local", || world.read_local("theirs.md").as_deref() == Some("theirs"));
    std::fs::remove_file(world.remote("first.md")).unwrap();
    within(LIMIT, "a removal", || world.read_local("first.md").is_none());
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

/// Starts `run --watch` and waits until its first run is through.
fn watching(world: &World, arguments: &[&str]) -> Running {
    world.write_local("first.md", "first");
    let mut all = vec!["run", "--watch"];
    all.extend(arguments);
    let child = world.command(&all).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let running = Running(child);
    within(Duration::from_secs(10), "the first run", || world.read_remote("first.md").is_some());
    std::thread::sleep(Duration::from_millis(300));
    running
}

#[test]
fn with_an_interval_runs_come_by_themselves_and_end_with_the_program() {
    let world = World::new();
    world.write_local("a", "one\n");
    let mut running = watching(&world, &["--interval", "1s"]);
    let arrived = |path: &str| world.read_remote(path).is_some();
    within(Duration::from_secs(60), "the first run", || arrived("a"));
    world.write_local("b", "two\n");
    within(Duration::from_secs(60), "a later run", || arrived("b"));
    assert!(running.0.try_wait().unwrap().is_none(), "it keeps running");
    drop(running);
    for wrong in ["60", "0s", "s", "1d", "25h", "-1s"] {
        world.expect(2, &["run", "--watch", "--interval", wrong]);
    }
    world.expect(2, &["run", "--interval", "60s"]);
}

#[test]
fn other_commands_work_between_the_runs_of_a_watch() {
    let world = World::with("conflicts: manual");
    world.write_local("a.md", "base");
    let _running = watching(&world, &[]);
    world.write_local("b.md", "one");
    within(LIMIT, "local to remote", || world.read_remote("b.md").as_deref() == Some("one"));
    // The watch may see one edit before the other: then there is no conflict, and both are made again.
    let id = loop {
        world.write_local("a.md", "local edit");
        world.write_remote("a.md", "remote edit");
        let list = world.json(0, &["conflicts", "list"]);
        if let Some(conflict) = list["conflicts"].as_array().unwrap().first() {
            break conflict["id"].as_str().unwrap().to_owned();
        }
        std::thread::sleep(Duration::from_millis(50));
    };
    patiently(&world, &["conflicts", "resolve", &id, "--take", "remote"]);
    assert_eq!(world.agreed("a.md").as_deref(), Some("remote edit"));
    assert!(world.expect(0, &["history"]).out.contains("conflict settled"));
    world.write_local("b.md", "two");
    within(LIMIT, "an update", || world.read_remote("b.md").as_deref() == Some("two"));
    patiently(&world, &["rollback", "last"]);
    assert_eq!(world.agreed("b.md").as_deref(), Some("one"));
}

/// Runs a command until it does not happen to meet a run of the watch.
#[track_caller]
fn patiently(world: &World, arguments: &[&str]) {
    let began = Instant::now();
    loop {
        let ran = world.run(arguments);
        if ran.code == 0 {
            return;
        }
        let busy = ran.err.contains("in use by process");
        assert!(busy && began.elapsed() < Duration::from_secs(5), "{}{}", ran.out, ran.err);
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_watch_follows_the_ignore_file_and_tells_of_a_new_configuration() {
    let world = World::new();
    world.write_local("first.md", "first");
    world.write_local(".synclineignore", "*.log\n");
    world.write_local("a.log", "log");
    let child =
        world.command(&["run", "--watch"]).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut running = Running(child);
    within(Duration::from_secs(10), "the first run", || world.read_remote("first.md").is_some());
    assert_eq!(world.read_remote("a.log"), None);
    world.write_local(".synclineignore", "*.tmp\n");
    within(Duration::from_secs(10), "new rules", || world.read_remote("a.log").is_some());
    world.write_local("b.tmp", "tmp");
    world.write_local("c.md", "c");
    within(LIMIT, "a change under new rules", || world.read_remote("c.md").is_some());
    assert_eq!(world.read_remote("b.tmp"), None);
    let before = world.read_local("syncline.yaml").unwrap();
    world.configure(&format!("{before}\n# changed\n"));
    std::thread::sleep(Duration::from_millis(2500));
    running.0.kill().unwrap();
    let mut err = String::new();
    std::io::Read::read_to_string(&mut running.0.stderr.take().unwrap(), &mut err).unwrap();
    assert!(err.contains("main: the ignore rules changed"), "{err}");
    assert!(err.contains("start the watch again"), "{err}");
}

/// The most memory that a process has had, in bytes.
#[cfg(target_os = "linux")]
fn memory(running: &Running) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", running.0.id())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

#[test]
#[cfg(target_os = "linux")]
fn a_watch_that_has_done_much_takes_no_more_memory_than_one_that_has_done_little() {
    const CALM: u64 = 24 * 1024 * 1024;
    const MOST: u64 = 200 * 1024 * 1024;
    let world = World::new();
    for file in 0..2_000 {
        world.write_local(&format!("notes/{}/{file}.md", file % 40), &format!("note {file}\n").repeat(20));
    }
    let running = watching(&world, &[]);
    let round = |number: usize| {
        for file in (0..2_000).step_by(50) {
            let path = format!("notes/{}/{file}.md", file % 40);
            world.write_local(&path, &format!("note {file}, edit {number}\n").repeat(20));
        }
        let last = format!("last-{number}.md");
        world.write_local(&last, "last");
        within(Duration::from_secs(60), "an edit", || world.read_remote(&last).is_some());
    };
    (0..10).for_each(round);
    let before = memory(&running);
    (10..60).for_each(round);
    let after = memory(&running);
    assert!(after < MOST && after < before + CALM, "{before} bytes after 10 rounds, {after} after 60");
}
