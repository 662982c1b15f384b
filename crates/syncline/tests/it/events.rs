//! Named events: `syncline trigger`, run here and now or by the process that serves the workspace.

use std::fs;

use serde_json::{Value, json};

use crate::support::World;
use crate::watch_place::{Watched, eventually};

/// A check before each run that counts the runs, and has them wait while there is a file `gate`.
const COUNTED: &str = "triggers: { events: [deploy] }\nsafety:\n  pre_sync_checks:\n    - name: Counted\n      \
                       command: \"echo run >> ../runs; while test -e ../gate; do sleep 0.05; done\"";

fn serve(world: &World) -> Watched {
    let mut serving = Watched::launch(world, &["serve"]);
    eventually("it serves", || {
        assert!(serving.child.try_wait().unwrap().is_none(), "{}", serving.said());
        serving.said().contains("serving;")
    });
    serving
}

fn runs(world: &World) -> usize {
    fs::read_to_string(world.path("runs")).unwrap_or_default().lines().count()
}

fn cause(world: &World) -> Value {
    world.json(0, &["history"])["runs"][0]["cause"].clone()
}

#[test]
fn without_a_process_that_serves_the_targets_that_name_the_event_run_at_once() {
    let world = World::new();
    for name in ["here", "there"] {
        fs::create_dir_all(world.remote(name)).unwrap();
        world.write_local(&format!("{name}/a.md"), name);
    }
    world.configure(
        "version: \"1.0\"\nnode: { name: here }\ntargets:\n  \
         here: { path: here, remote: { kind: folder, path: ../remote/here }, triggers: { events: [ritual, deploy] } }\n  \
         there: { path: there, remote: { kind: folder, path: ../remote/there } }\n",
    );
    let told = world.json(0, &["trigger", "deploy"]);
    assert_eq!((&told["targets"], &told["handed_over"]), (&json!(["here"]), &json!(false)), "{told}");
    assert_eq!(told["report"]["successful"], 1, "{told}");
    assert_eq!(world.agreed("here/a.md").as_deref(), Some("here"));
    assert_eq!(world.read_remote("there/a.md"), None, "it does not name the event");
    assert_eq!(cause(&world), "event deploy");

    let unknown = world.json(2, &["trigger", "deplyo"]);
    assert_eq!(unknown["error"]["code"], "unknown_event");
    assert!(unknown["error"]["hint"].as_str().unwrap().contains("`deploy`"), "{unknown}");
    world.json(0, &["pause", "here", "--reason", "a test"]);
    let left = world.json(0, &["trigger", "ritual"]);
    assert_eq!(left["report"]["left_out"][0]["target"], "here", "an event means nobody by name: {left}");
}

#[test]
fn whoever_serves_runs_once_for_all_events_before_a_run_begins_and_again_for_those_after() {
    let world = World::with(COUNTED);
    world.write_local("a.md", "a");
    fs::write(world.path("gate"), "").unwrap();
    let mut serving = serve(&world);
    let told = world.json(0, &["trigger", "deploy"]);
    assert_eq!((&told["handed_over"], &told["report"]), (&json!(true), &Value::Null), "{told}");
    eventually("the run begins", || runs(&world) == 1);
    for _ in 0..10 {
        world.json(0, &["trigger", "deploy"]);
    }
    fs::remove_file(world.path("gate")).unwrap();
    eventually("the second run begins", || runs(&world) == 2);
    assert_eq!(world.agreed("a.md").as_deref(), Some("a"));
    assert_eq!(cause(&world), "event deploy");
    world.json(0, &["run", "--stop"]);
    assert_eq!(serving.ended().code(), Some(0));
    // Nothing of the ten is left for the next one, which is asked for something else.
    let mut serving = serve(&world);
    world.write_local("b.md", "b");
    world.json(0, &["trigger", "deploy"]);
    eventually("the last run", || world.read_remote("b.md").is_some());
    world.json(0, &["run", "--stop"]);
    assert_eq!(serving.ended().code(), Some(0));
    assert_eq!(runs(&world), 3);
}

#[test]
fn what_was_asked_for_outlives_a_kill_before_its_run_and_in_the_middle_of_it() {
    let world = World::with(COUNTED);
    world.write_local("a.md", "a");
    fs::write(world.path("gate"), "").unwrap();
    let mut serving = serve(&world);
    world.json(0, &["trigger", "deploy"]);
    eventually("the run begins", || runs(&world) == 1);
    serving.signal("-KILL");
    serving.ended();
    assert_eq!(world.read_remote("a.md"), None);
    fs::remove_file(world.path("gate")).unwrap();

    let serving = serve(&world);
    eventually("the next one sees to it", || world.read_remote("a.md").is_some());
    assert_eq!(cause(&world), "event deploy");
    drop(serving);
}

#[test]
fn what_is_asked_of_a_paused_target_waits_until_the_pause_ends() {
    let world = World::with(COUNTED);
    world.write_local("a.md", "a");
    world.json(0, &["pause", "--reason", "a test"]);
    let serving = serve(&world);
    world.json(0, &["trigger", "deploy"]);
    eventually("it is left alone", || serving.said().contains("left alone: "));
    assert_eq!(runs(&world), 0);
    world.json(0, &["resume", "main"]);
    eventually("it runs after all", || world.read_remote("a.md").is_some());
}
