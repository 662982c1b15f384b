//! Drift checks: they tell, and never change anything.

use crate::support::World;

#[test]
fn a_check_tells_how_far_apart_the_sides_are_and_changes_nothing() {
    let world = World::new();
    world.write_local("a.md", "a");
    world.expect(0, &["run"]);
    let calm = world.json(0, &["drift", "--detailed-exitcode"]);
    assert_eq!((&calm["drifted"], &calm["score"]), (&0.into(), &0.into()), "{calm}");
    world.write_local("new.md", "new");
    world.write_remote("a.md", "theirs");
    let (before, state) = (World::names(&world.path("remote")), World::names(&world.path("local")));
    let found = world.json(3, &["drift", "--detailed-exitcode"]);
    assert_eq!(
        (&found["total_targets"], &found["drifted"], &found["score"]),
        (&1.into(), &1.into(), &2.into())
    );
    let result = &found["results"][0];
    assert_eq!(
        (&result["target"], &result["score"], &result["drifted"]),
        (&"main".into(), &2.into(), &true.into())
    );
    assert_eq!(result["steps"][0]["path"], "a.md");
    assert_eq!(World::names(&world.path("remote")), before);
    assert_eq!(World::names(&world.path("local")), state, "a check leaves nothing behind");
    assert_eq!(world.read_local("a.md").as_deref(), Some("a"));
    let human = world.expect(0, &["drift"]);
    assert!(human.out.contains("drift score 2"), "{}", human.out);
    assert!(human.out.contains("→ remote + create  new.md"), "{}", human.out);
}

#[test]
fn a_score_may_be_allowed() {
    let world = World::new();
    world.write_local("a.md", "a");
    world.write_local("b.md", "b");
    world.expect(3, &["drift", "--max-score", "1"]);
    world.expect(0, &["drift", "--max-score", "2"]);
    world.expect(2, &["drift", "--max-score", "2", "--detailed-exitcode"]);
}

#[test]
fn what_the_direction_holds_back_is_drift_and_what_a_guard_stops_is_told() {
    let world = World::with("direction: push");
    world.write_local("a.md", "a");
    world.expect(0, &["run"]);
    world.write_remote("a.md", "edited there");
    let found = world.json(3, &["drift", "--detailed-exitcode"]);
    assert_eq!(found["results"][0]["drift"][0]["path"], "a.md", "{found}");
    std::fs::remove_dir_all(world.path("remote")).unwrap();
    let halted = world.json(4, &["drift", "--detailed-exitcode"]);
    assert_eq!(halted["drifted"], 1, "{halted}");
}

#[test]
fn a_page_tells_people_what_differs() {
    let world = World::new();
    world.write_local("a|b.md", "a");
    world.expect(0, &["drift", "--report", "../drift.md"]);
    let page = std::fs::read_to_string(world.path("drift.md")).unwrap();
    assert!(page.starts_with("# Syncline drift\n\n"), "{page}");
    assert!(page.contains("| main | bidirectional | 1 | 0 | 1 | 0 | 0 |"), "{page}");
    assert!(page.contains("- missing on the remote side: `a\\|b.md`"), "{page}");
    world.expect(0, &["drift", "--report", "../drift.json"]);
    let report: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(world.path("drift.json")).unwrap()).unwrap();
    assert_eq!(report["version"], 1);
}

#[test]
fn a_target_that_cannot_be_looked_at_is_a_failure() {
    let world = World::new();
    world.expect(2, &["drift", "nope"]);
}
