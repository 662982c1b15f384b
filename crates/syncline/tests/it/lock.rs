//! One process at a time changes a workspace.

use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::support::World;

#[test]
fn a_second_process_is_refused_and_told_which_one_runs() {
    let world = World::new();
    world.write_local("a.md", "a");
    let mut watching =
        world.command(&["run", "--watch"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let deadline = Instant::now() + Duration::from_secs(10);
    while world.read_remote("a.md").is_none() {
        assert!(Instant::now() < deadline, "the watch never ran");
        std::thread::sleep(Duration::from_millis(20));
    }
    let refused = world.run(&["run", "--format", "json"]);
    let looked = world.run(&["plan"]);
    watching.kill().unwrap();
    watching.wait().unwrap();
    assert_eq!(refused.code, 1);
    assert!(refused.out.contains(&watching.id().to_string()), "{}", refused.out);
    assert!(refused.out.contains("state_locked"), "{}", refused.out);
    assert_eq!(looked.code, 0, "looking is always allowed");
    // The one that was killed leaves nothing that keeps the next one from running.
    world.expect(0, &["run"]);
}
