//! One watch for each workspace: asked about, ended, waiting for a remote that is away.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::git::git;
use crate::support::World;

/// A loaded machine is slow; a test that fails may be slow too.
const PATIENCE: Duration = Duration::from_secs(120);

/// A running watch and what it has said so far; it ends when the test does.
pub(crate) struct Watched {
    pub(crate) child: Child,
    said: Arc<Mutex<String>>,
}

impl Drop for Watched {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Watched {
    /// Starts a watch, and waits until it is one.
    fn start(world: &World, arguments: &[&str]) -> Self {
        let mut all = vec!["run", "--watch"];
        all.extend(arguments);
        let started = Self::launch(world, &all);
        eventually("the watch began", || started.said().contains("watching"));
        started
    }

    /// Starts a command that goes on.
    pub(crate) fn launch(world: &World, all: &[&str]) -> Self {
        Self::of(world.command(all))
    }

    /// Starts a command that goes on, such as it is.
    pub(crate) fn of(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let said = Arc::<Mutex<String>>::default();
        let (lines, heard) = (BufReader::new(child.stderr.take().unwrap()), Arc::clone(&said));
        std::thread::spawn(move || {
            for line in lines.lines().map_while(Result::ok) {
                heard.lock().unwrap().push_str(&format!("{line}\n"));
            }
        });
        Self { child, said }
    }

    pub(crate) fn said(&self) -> String {
        self.said.lock().unwrap().clone()
    }

    pub(crate) fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([name, &pid]).status().unwrap().success());
    }

    /// Most memory that it has ever taken, in KiB.
    pub(crate) fn most_memory(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    pub(crate) fn ended(&mut self) -> ExitStatus {
        let mut status = None;
        eventually("the watch ended", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap()
    }
}

#[track_caller]
pub(crate) fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < PATIENCE, "never: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

pub(crate) fn status(world: &World) -> Value {
    world.json(0, &["run", "--status"])
}

/// What the running watch tells of the target `main`.
fn main_target(world: &World) -> Value {
    status(world)["watch"]["targets"][0].clone()
}

#[test]
fn a_second_watch_is_refused_and_the_first_is_asked_about_and_ended() {
    let world = World::new();
    world.write_local("a.md", "a");
    assert_eq!(status(&world), json!({ "version": 1, "running": false, "watch": null }));
    assert!(!world.local(".syncline").exists(), "asking leaves nothing");
    assert!(world.expect(0, &["run", "--stop"]).out.contains("no watch runs"));
    let mut first = Watched::start(&world, &["--interval", "60s"]);
    let pid = first.child.id();

    let second = world.expect(1, &["run", "--watch"]);
    assert!(second.err.contains(&format!("process {pid} since")), "{}", second.err);
    assert!(second.err.contains("syncline run --stop"), "{}", second.err);
    let refused = world.json(1, &["run", "--watch", "--interval", "5s"]);
    assert_eq!(refused["error"]["code"], "watch_running", "{refused}");

    eventually("the first run", || main_target(&world)["last_run"]["success"] == true);
    let known = status(&world);
    assert_eq!((&known["running"], &known["watch"]["pid"]), (&json!(true), &json!(pid)), "{known}");
    assert_eq!(known["watch"]["interval"], 60.0, "{known}");
    assert_eq!(known["watch"]["targets"][0]["failures"], 0, "{known}");
    assert_eq!(known["watch"]["targets"][0]["last_run"]["message"], "1 created", "{known}");
    assert!(known["watch"]["targets"][0]["next_try"].is_string(), "{known}");
    let page = world.expect(0, &["run", "--status"]).out;
    assert!(page.contains(&format!("process {pid}")) && page.contains("every 60 s"), "{page}");
    assert_eq!(world.json(0, &["status"])["watched"], true);

    // A run from a shell goes on beside it.
    world.write_local("b.md", "b");
    world.expect(0, &["run"]);
    assert_eq!(world.read_remote("b.md").as_deref(), Some("b"));

    let stopped = world.json(0, &["run", "--stop"]);
    assert_eq!((&stopped["stopped"], &stopped["watch"]["pid"]), (&json!(true), &json!(pid)), "{stopped}");
    assert_eq!(first.ended().code(), Some(0));
    assert_eq!(status(&world)["running"], false);
    assert_eq!(world.json(0, &["status"])["watched"], false);
}

#[test]
fn what_a_killed_watch_leaves_stops_nobody_and_harms_no_stranger() {
    let world = World::new();
    world.write_local("a.md", "a");
    let mut killed = Watched::start(&world, &["--interval", "60s"]);
    killed.signal("-KILL");
    killed.ended();
    // Its number belongs to somebody else by now.
    let mut stranger = Command::new("sleep").arg("600").spawn().unwrap();
    let record = world.local(".syncline/watch.json");
    let text = fs::read_to_string(&record).expect("a killed watch leaves its record");
    let mut left: Value = serde_json::from_str(&text).unwrap();
    left["pid"] = json!(stranger.id());
    fs::write(&record, left.to_string()).unwrap();
    assert_eq!(status(&world)["running"], false);
    assert_eq!(world.json(0, &["run", "--stop"])["stopped"], false);
    // Asking the dead one to end does not end the next one.
    fs::write(world.local(".syncline/watch.stop"), left["id"].as_str().unwrap()).unwrap();
    let next = Watched::start(&world, &["--interval", "60s"]);
    eventually("the next watch runs", || main_target(&world)["last_run"].is_object());
    assert_eq!(status(&world)["watch"]["pid"], next.child.id());
    assert!(stranger.try_wait().unwrap().is_none(), "the stranger was left alone");
    let _ = stranger.kill();
    let _ = stranger.wait();
}

#[test]
fn a_watch_that_does_not_end_in_time_is_told_and_ends_later() {
    let world = World::new();
    world.write_local("a.md", "a");
    let mut hung = Watched::start(&world, &["--interval", "60s"]);
    hung.signal("-STOP");
    let late = world.expect(1, &["run", "--stop", "--wait", "1s"]);
    assert!(
        late.err.contains(&format!("process {} has not ended within 1 s", hung.child.id())),
        "{}",
        late.err
    );
    assert_eq!(status(&world)["running"], true);
    hung.signal("-CONT");
    assert_eq!(hung.ended().code(), Some(0), "the request still stood");
    for wrong in
        [&["run", "--stop", "--watch"][..], &["run", "--status", "--dry-run"], &["run", "--wait", "1s"]]
    {
        world.expect(2, wrong);
    }
}

#[test]
fn a_git_remote_that_is_moved_away_and_back_is_waited_for() {
    let world = World::new();
    git(&world.path("."), &["init", "--quiet", "--bare", "--initial-branch=main", "hub.git"]);
    world.configure(
        "version: \"1.0\"\nnode: { name: here }\ntargets:\n  main:\n    remote: { kind: git, url: ../hub.git, \
         author: { name: Here, email: here@example.org } }\n",
    );
    world.write_local("a.md", "a");
    let watch = Watched::start(&world, &["--interval", "1s"]);
    let at_hub = |path: &str| {
        let names = git(&world.path("hub.git"), &["ls-tree", "-r", "--name-only", "main"]);
        names.lines().any(|name| name == path)
    };
    eventually("the first run", || main_target(&world)["last_run"]["success"] == true);
    assert!(at_hub("a.md"));

    fs::rename(world.path("hub.git"), world.path("elsewhere.git")).unwrap();
    world.write_local("b.md", "written while it was away");
    eventually("several tries", || main_target(&world)["offline"]["tries"].as_u64() >= Some(2));
    let offline = main_target(&world)["offline"].clone();
    assert!(offline["since"].is_string() && offline["next_try"].is_string(), "{offline}");
    assert!(offline["reason"].as_str().unwrap().contains("there is no repository"), "{offline}");
    let page = world.expect(0, &["run", "--status"]).out;
    assert!(page.contains("offline since") && page.contains("in a row"), "{page}");
    let page = world.run(&["status", "--fast"]).out;
    assert!(page.contains("offline since"), "{page}");

    fs::rename(world.path("elsewhere.git"), world.path("hub.git")).unwrap();
    eventually("what waited is synced", || at_hub("b.md"));
    eventually("the watch says so", || watch.said().contains("main: back online"));
    eventually("status says so", || main_target(&world)["offline"].is_null());
    let said = watch.said();
    assert_eq!(said.matches("the remote is away").count(), 1, "{said}");
    eventually("nothing fails any more", || main_target(&world)["failures"] == 0);
}

#[test]
fn a_folder_that_is_unmounted_and_mounted_again_is_watched_anew() {
    let world = World::new();
    world.write_local("a.md", "a");
    let watch = Watched::start(&world, &[]);
    eventually("the first run", || main_target(&world)["last_run"]["success"] == true);
    fs::rename(world.path("remote"), world.path("elsewhere")).unwrap();
    world.write_local("b.md", "written while it was away");
    eventually("the watch notices", || watch.said().contains("the remote is away"));
    world.write_local("c.md", "noticed while it was away");
    eventually("a change waits", || main_target(&world)["offline"]["waiting"].as_u64() >= Some(1));
    // What comes back is another folder with the same content, as another mount of the same disk is.
    let copied = Command::new("cp").arg("-a").args([world.path("elsewhere"), world.path("copy")]).status();
    assert!(copied.unwrap().success());
    fs::rename(world.path("copy"), world.path("remote")).unwrap();
    eventually("what waited is synced", || {
        world.read_remote("b.md").is_some() && world.read_remote("c.md").is_some()
    });
    world.write_remote("d.md", "theirs");
    eventually("changes over there are seen", || world.read_local("d.md").is_some());
    assert_eq!(watch.said().matches("the remote is away").count(), 1, "{}", watch.said());
}
