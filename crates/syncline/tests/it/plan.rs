//! Plans: shown, saved, applied, and refused when the world moved.

use crate::support::World;

#[test]
fn a_plan_tells_what_would_be_done_on_which_side() {
    let world = World::new();
    world.write_local("new.md", "new");
    world.write_remote("theirs.md", "theirs");
    let plan = world.json(0, &["plan"]);
    let target = &plan["targets"][0];
    assert_eq!((&target["target"], &target["direction"]), (&"main".into(), &"bidirectional".into()));
    assert_eq!(target["hash"].as_str().unwrap().len(), 64);
    let steps = target["steps"].as_array().unwrap();
    assert_eq!(steps.len(), 2);
    assert_eq!(steps[0]["path"], "new.md");
    assert_eq!((&steps[0]["side"], &steps[0]["action"]), (&"remote".into(), &"create".into()));
    assert_eq!(steps[0]["size"], 3);
    assert_eq!((&steps[1]["side"], &steps[1]["path"]), (&"local".into(), &"theirs.md".into()));
    let human = world.expect(0, &["plan"]);
    assert!(human.out.contains("→ remote + create  new.md"), "{}", human.out);
    assert!(human.out.contains("← local  + create  theirs.md"), "{}", human.out);
}

#[test]
fn a_saved_plan_is_applied_exactly_or_not_at_all() {
    let world = World::new();
    world.write_local("a.md", "a");
    world.expect(0, &["plan", "--out", "../a.plan"]);
    world.write_local("b.md", "b");
    let report = world.json(1, &["run", "--plan", "../a.plan"]);
    assert_eq!(report["results"][0]["error"]["code"], "plan_moved");
    assert_eq!(world.read_remote("a.md"), None);
    world.expect(0, &["plan", "--out", "../b.plan"]);
    world.expect(0, &["run", "--plan", "../b.plan"]);
    assert_eq!(world.agreed("a.md").as_deref(), Some("a"));
    world.expect(1, &["run", "--plan", "../b.plan"]);
}

#[test]
fn what_is_no_plan_is_refused() {
    let world = World::new();
    world.write_local("../no.plan", "{}");
    let ran = world.expect(2, &["run", "--plan", "../no.plan"]);
    assert!(ran.err.contains("is not a saved plan"), "{}", ran.err);
    world.expect(2, &["run", "--plan", "../missing.plan"]);
}

#[test]
fn a_dry_run_touches_nothing_on_either_side() {
    let world = World::new();
    world.write_local("a.md", "a");
    world.expect(0, &["run"]);
    world.write_local("a.md", "b");
    let before = World::names(&world.path("remote"));
    let plan = world.json(0, &["run", "--dry-run", "--report", "../dry.json"]);
    assert_eq!(plan["targets"][0]["steps"][0]["action"], "update");
    assert_eq!(World::names(&world.path("remote")), before);
    assert_eq!(world.read_remote("a.md").as_deref(), Some("a"));
    let report: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(world.path("dry.json")).unwrap()).unwrap();
    assert_eq!(report["dry_run"], true);
}

#[test]
fn a_rename_is_a_move() {
    let world = World::new();
    world.write_local("old/a.md", "a");
    world.write_local("old/b.md", "b");
    world.expect(0, &["run"]);
    std::fs::rename(world.local("old"), world.local("new")).unwrap();
    let plan = world.json(0, &["plan"]);
    let steps = plan["targets"][0]["steps"].as_array().unwrap();
    assert_eq!(steps.len(), 1, "{plan:#}");
    assert_eq!((&steps[0]["action"], &steps[0]["from"]), (&"move".into(), &"old".into()));
    world.expect(0, &["run"]);
    assert_eq!(world.agreed("new/a.md").as_deref(), Some("a"));
    assert!(!world.remote("old").exists());
}

#[test]
fn a_plan_saved_in_the_workspace_right_after_an_edit_is_still_good() {
    let world = World::new();
    world.write_local("notes.txt", "first");
    world.expect(0, &["run", "--ci"]);
    world.write_local("notes.txt", "second");
    world.expect(0, &["plan", "--out", "saved.plan"]);
    std::thread::sleep(std::time::Duration::from_millis(80));
    world.expect(0, &["run", "--ci", "--plan", "saved.plan"]);
    assert_eq!(world.agreed("notes.txt").as_deref(), Some("second"));
    assert_eq!(world.read_remote("saved.plan"), None, "the plan itself was not synced");
}

#[test]
fn an_edit_follows_the_folder_that_the_other_side_renamed() {
    let world = World::with("guard: { deletes_max_percent: 100 }");
    for name in ["edited.md", "left.md", "deep/also.md"] {
        world.write_local(&format!("draft/{name}"), &format!("first {name}"));
        // A file that was written a moment ago is never taken for another one by its inode alone.
        let file = std::fs::File::options().write(true).open(world.local(&format!("draft/{name}"))).unwrap();
        file.set_modified(std::time::SystemTime::now() - std::time::Duration::from_secs(3600)).unwrap();
    }
    world.expect(0, &["run"]);
    std::fs::rename(world.local("draft"), world.local("final")).unwrap();
    world.write_remote("draft/edited.md", "an edit that must not be lost");
    world.write_remote("draft/new.md", "added");
    let report = world.json(0, &["run"]);
    assert_eq!(world.agreed("final/edited.md").as_deref(), Some("an edit that must not be lost"));
    assert_eq!(world.agreed("final/left.md").as_deref(), Some("first left.md"));
    assert_eq!(world.agreed("final/deep/also.md").as_deref(), Some("first deep/also.md"));
    assert_eq!(world.agreed("draft/new.md").as_deref(), Some("added"), "nothing tells that it moved");
    assert_eq!(World::names(&world.local("draft")), ["new.md"]);
    let problems = &report["results"][0]["problems"];
    assert_eq!(problems.as_array().unwrap().len(), 1, "{problems}");
    assert_eq!((&problems[0]["code"], &problems[0]["path"]), (&"left_behind".into(), &"draft/new.md".into()));
    assert_eq!(world.json(0, &["run"])["results"][0]["message"], "nothing to do");

    // And back: what the run did can be undone.
    world.expect(0, &["rollback", "last"]);
    assert_eq!(world.agreed("draft/edited.md").as_deref(), Some("first edited.md"));
    assert_eq!(world.agreed("draft/left.md").as_deref(), Some("first left.md"));
}
