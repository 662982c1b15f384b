//! One process at a time changes a workspace.

use std::fs::File;
use std::io::Write as _;

use crate::support::World;

#[test]
fn a_second_process_is_refused_and_told_which_one_runs() {
    let world = World::new();
    world.write_local("a.md", "a");
    world.expect(0, &["run"]);
    // This test stands for the process that changes the workspace.
    let mut held = File::options().write(true).open(world.local(".syncline/lock")).unwrap();
    held.lock().unwrap();
    held.set_len(0).unwrap();
    write!(held, "{}", std::process::id()).unwrap();
    let refused = world.expect(1, &["run", "--format", "json"]);
    assert!(refused.out.contains(&std::process::id().to_string()), "{}", refused.out);
    assert!(refused.out.contains("state_locked"), "{}", refused.out);
    world.expect(1, &["rollback", "last"]);
    // Looking is always allowed.
    world.expect(0, &["plan"]);
    world.expect(0, &["history"]);
    // One that ends, however it does, leaves nothing that keeps the next one from running.
    drop(held);
    world.expect(0, &["run"]);
}
