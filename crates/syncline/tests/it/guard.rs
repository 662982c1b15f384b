//! Halts, and how they are lifted.

use crate::support::World;

fn emptied() -> World {
    let world = World::new();
    for index in 0..10 {
        world.write_local(&format!("{index}.md"), "x");
    }
    world.expect(0, &["run"]);
    for index in 0..9 {
        std::fs::remove_file(world.local(&format!("{index}.md"))).unwrap();
    }
    world
}

#[test]
fn a_halted_run_is_approved_by_its_hash() {
    let world = emptied();
    let halted = world.expect(4, &["run", "--ci"]);
    let line = halted.out.lines().find(|line| line.contains("--approve")).unwrap();
    let hash = line.split_whitespace().last().unwrap();
    world.expect(4, &["run", "--approve", &"0".repeat(64)]);
    assert!(world.read_remote("1.md").is_some());
    let report = world.json(0, &["run", "main", "--approve", hash]);
    assert_eq!(report["results"][0]["steps"]["removed"], 9);
    assert_eq!(world.read_remote("1.md"), None);
}

#[test]
fn an_approval_binds_one_plan() {
    let world = emptied();
    let report = world.json(4, &["run"]);
    let result = &report["results"][0];
    assert_eq!(result["halts"][0]["code"], "too_many_removals");
    assert_eq!(result["state"], "halted");
    let hash = result["plan_hash"].as_str().unwrap().to_owned();
    world.write_local("new.md", "new");
    world.expect(4, &["run", "--approve", &hash]);
    assert!(world.read_remote("1.md").is_some());
}

#[test]
fn a_side_that_is_gone_removes_nothing() {
    let world = World::new();
    world.write_local("a.md", "a");
    world.expect(0, &["run"]);
    std::fs::rename(world.path("remote"), world.path("away")).unwrap();
    let report = world.json(4, &["run"]);
    assert_eq!(report["results"][0]["halts"][0]["code"], "root_missing", "{report:#}");
    assert_eq!(world.read_local("a.md").as_deref(), Some("a"));
    assert!(!world.path("remote").exists());
    std::fs::rename(world.path("away"), world.path("remote")).unwrap();
    world.expect(0, &["run"]);
}

#[test]
fn a_quiet_run_still_tells_why_it_halted() {
    let world = World::new();
    world.write_local("one.txt", "one");
    world.write_local("two.txt", "two");
    let calm = world.expect(0, &["run", "--ci", "-q"]);
    assert_eq!(calm.out, "");
    std::fs::remove_file(world.remote("one.txt")).unwrap();
    std::fs::remove_file(world.remote("two.txt")).unwrap();
    let halted = world.expect(4, &["run", "--ci", "-q"]);
    assert!(halted.out.contains("--approve"), "{}", halted.out);
}
