//! Conflicts, and every way to settle them.

use crate::support::World;

/// A workspace with an open keep-both conflict at `a.md`: the remote version is newer and keeps the name.
fn keep_both() -> World {
    let world = World::new();
    world.write_local("a.md", "base");
    world.expect(0, &["run"]);
    world.write_local("a.md", "local edit");
    std::thread::sleep(std::time::Duration::from_millis(20));
    world.write_remote("a.md", "remote edit");
    world.expect(5, &["run"]);
    assert_eq!(world.agreed("a.md").as_deref(), Some("remote edit"));
    assert_eq!(world.agreed(&copy(&world)).as_deref(), Some("local edit"));
    world
}

fn manual() -> World {
    let world = World::with("conflicts: manual");
    world.write_local("a.md", "base");
    world.write_local("b.md", "base");
    world.expect(0, &["run"]);
    world.write_local("a.md", "local edit");
    world.write_remote("a.md", "remote edit");
    world.write_local("b.md", "goes on");
    world.expect(5, &["run"]);
    assert_eq!(world.agreed("b.md").as_deref(), Some("goes on"));
    assert_eq!(world.read_local("a.md").as_deref(), Some("local edit"));
    assert_eq!(world.read_remote("a.md").as_deref(), Some("remote edit"));
    world
}

fn copies(world: &World) -> Vec<String> {
    World::names(&world.path("local")).into_iter().filter(|name| name.contains(".conflict-")).collect()
}

fn copy(world: &World) -> String {
    let copies = copies(world);
    assert_eq!(copies.len(), 1);
    copies[0].clone()
}

#[test]
fn keep_both_take_the_winner() {
    let world = keep_both();
    world.expect(0, &["conflicts", "resolve", &world.conflict(), "--take", "remote"]);
    assert_eq!(world.agreed("a.md").as_deref(), Some("remote edit"));
    assert!(copies(&world).is_empty());
    world.expect(0, &["run"]);
}

#[test]
fn keep_both_take_the_loser() {
    let world = keep_both();
    let id = world.conflict();
    world.expect(0, &["conflicts", "resolve", &id[..6], "--take", "local"]);
    assert_eq!(world.agreed("a.md").as_deref(), Some("local edit"));
    assert!(copies(&world).is_empty());
    assert!(world.expect(0, &["conflicts"]).out.contains("no open conflicts"));
    let all = world.json(0, &["conflicts", "list", "--all"]);
    assert_eq!(all["conflicts"][0]["resolution"], "took local");
    assert_eq!(all["conflicts"][0]["open"], false);
}

#[test]
fn keep_both_take_a_loser_that_somebody_worked_on() {
    let world = keep_both();
    let copy = copy(&world);
    world.write_local(&copy, "local edit, improved");
    world.expect(0, &["conflicts", "resolve", "a.md", "--take", "local"]);
    assert_eq!(world.agreed("a.md").as_deref(), Some("local edit, improved"));
    assert!(copies(&world).is_empty());
}

#[test]
fn keep_both_take_a_loser_that_somebody_worked_on_at_the_remote() {
    let world = keep_both();
    let copy = copy(&world);
    world.write_remote(&copy, "local edit, improved");
    world.expect(0, &["conflicts", "resolve", "a.md", "--take", "local"]);
    assert_eq!(world.agreed("a.md").as_deref(), Some("local edit, improved"));
    assert!(copies(&world).is_empty());
}

#[test]
fn a_loser_that_was_edited_twice_is_not_taken() {
    let world = keep_both();
    let copy = copy(&world);
    world.write_local(&copy, "improved here");
    world.write_remote(&copy, "improved there");
    let refused = world.json(1, &["conflicts", "resolve", "a.md", "--take", "local"]);
    assert!(refused["conflicts"][0]["message"].as_str().unwrap().contains("run first"), "{refused:#}");
    assert_eq!(world.read_local(&copy).as_deref(), Some("improved here"));
    assert_eq!(world.read_remote(&copy).as_deref(), Some("improved there"));
    world.write_remote(&copy, "improved here");
    world.expect(0, &["conflicts", "resolve", "a.md", "--take", "local"]);
    assert_eq!(world.agreed("a.md").as_deref(), Some("improved here"));
}

/// Expects that the loser cannot be taken, and that nothing was changed by the attempt.
#[track_caller]
fn refuses_the_loser(world: &World, copy: &str, why: &str) {
    let refused = world.json(1, &["conflicts", "resolve", "a.md", "--take", "local"]);
    assert_eq!(refused["conflicts"][0]["resolved"], false, "{refused:#}");
    assert!(refused["conflicts"][0]["message"].as_str().unwrap().contains(why), "{refused:#}");
    assert_eq!(world.agreed(copy).as_deref(), Some("local edit"));
    assert_eq!(world.read_local("a.md").as_deref(), Some("remote edit"));
    world.conflict();
}

#[test]
fn the_loser_is_not_taken_where_rules_leave_the_path_out() {
    let world = keep_both();
    world.write_local(".synclineignore", "/a.md\n");
    refuses_the_loser(&world, &copy(&world), "any more");
    std::fs::remove_file(world.local(".synclineignore")).unwrap();
    world.expect(0, &["conflicts", "resolve", "a.md", "--take", "local"]);
    assert_eq!(world.agreed("a.md").as_deref(), Some("local edit"));
}

#[cfg(unix)]
#[test]
fn the_loser_is_not_taken_where_a_side_cannot_be_read() {
    let world = keep_both();
    std::fs::remove_file(world.remote("a.md")).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(world.remote("a.md")).status().unwrap().success());
    refuses_the_loser(&world, &copy(&world), "cannot be read");
}

#[test]
fn a_manual_conflict_at_a_path_that_rules_leave_out_stays_open() {
    let world = manual();
    world.write_local(".synclineignore", "a.md\n");
    world.expect(1, &["conflicts", "resolve", "a.md", "--take", "remote"]);
    assert_eq!(world.read_local("a.md").as_deref(), Some("local edit"));
    world.conflict();
}

#[test]
fn keep_both_take_both() {
    let world = keep_both();
    world.expect(0, &["conflicts", "resolve", "*.md", "--take", "both"]);
    assert_eq!(world.agreed("a.md").as_deref(), Some("remote edit"));
    assert_eq!(world.agreed(&copy(&world)).as_deref(), Some("local edit"));
    world.expect(0, &["run"]);
}

#[test]
fn the_version_that_was_not_taken_is_in_history() {
    let world = keep_both();
    world.expect(0, &["conflicts", "resolve", "a.md", "--take", "local"]);
    world.expect(0, &["restore", "a.md"]);
    assert_eq!(world.agreed("a.md").as_deref(), Some("remote edit"));
}

#[test]
fn manual_take_one_side() {
    for (take, expected) in [("local", "local edit"), ("remote", "remote edit")] {
        let world = manual();
        world.expect(0, &["conflicts", "resolve", &world.conflict(), "--take", take]);
        assert_eq!(world.agreed("a.md").as_deref(), Some(expected));
        assert!(copies(&world).is_empty());
        world.expect(0, &["run"]);
    }
}

#[test]
fn manual_take_both() {
    let world = manual();
    world.expect(0, &["conflicts", "resolve", "a.md", "--take", "both"]);
    let (kept, other) = (world.agreed("a.md").unwrap(), world.agreed(&copy(&world)).unwrap());
    let mut both = [kept.as_str(), other.as_str()];
    both.sort_unstable();
    assert_eq!(both, ["local edit", "remote edit"]);
    world.expect(0, &["run"]);
}

#[test]
fn a_manual_conflict_that_people_settle_by_hand_closes_itself() {
    let world = manual();
    world.write_local("a.md", "merged by hand");
    world.write_remote("a.md", "merged by hand");
    world.expect(0, &["run"]);
    assert!(world.expect(0, &["conflicts"]).out.contains("no open conflicts"));
}

#[test]
fn a_manual_conflict_that_changed_is_another_one() {
    let world = manual();
    let id = world.conflict();
    world.write_local("a.md", "edited again");
    let response = world.json(1, &["conflicts", "resolve", &id, "--take", "remote"]);
    assert_eq!(response["conflicts"][0]["resolved"], false);
    assert_eq!(world.read_local("a.md").as_deref(), Some("edited again"));
    world.expect(5, &["run"]);
    let now = world.conflict();
    assert_ne!(now, id);
    let before = world.json(0, &["conflicts", "show", &id]);
    assert_eq!(before["conflict"]["resolution"], format!("superseded by {now}"));
    world.expect(0, &["conflicts", "resolve", &now, "--take", "local"]);
    assert_eq!(world.agreed("a.md").as_deref(), Some("edited again"));
}

#[test]
fn show_tells_both_versions_and_their_difference() {
    let world = keep_both();
    let id = world.conflict();
    let shown = world.json(0, &["conflicts", "show", &id]);
    assert_eq!(shown["local"]["text"], "local edit");
    assert_eq!(shown["remote"]["text"], "remote edit");
    assert!(shown["diff"].as_str().unwrap().contains("-local edit"), "{shown:#}");
    let conflict = &shown["conflict"];
    for field in
        ["id", "target", "path", "kind", "policy", "base", "local", "remote", "winner", "action", "opened"]
    {
        assert!(!conflict[field].is_null(), "{field} is missing: {conflict:#}");
    }
    assert_eq!(conflict["kind"], "edit-edit");
    assert_eq!(conflict["local"]["size"], 10);
    let human = world.expect(0, &["conflicts", "show", &id]);
    assert!(human.out.contains("-local edit"), "{}", human.out);
}

#[test]
fn show_takes_a_path_or_a_glob_that_names_one_conflict() {
    let world = keep_both();
    let id = world.conflict();
    for name in ["a.md", "*.md", &id[..5]] {
        assert_eq!(world.json(0, &["conflicts", "show", name])["conflict"]["id"], id.as_str(), "{name}");
    }
    world.expect(1, &["conflicts", "show", "b.md"]);
    world.expect(0, &["conflicts", "resolve", "a.md", "--take", "both"]);
    assert_eq!(world.json(0, &["conflicts", "show", "a.md"])["conflict"]["open"], false);
    for name in ["b.md", "c.md"] {
        world.write_local(name, "ours");
        world.write_remote(name, "theirs");
    }
    world.expect(5, &["run"]);
    let ambiguous = world.expect(2, &["conflicts", "show", "?.md"]);
    assert!(ambiguous.err.contains("several conflicts"), "{}", ambiguous.err);
    assert_eq!(world.json(0, &["conflicts", "show", "b.md"])["conflict"]["open"], true);
}

#[test]
fn what_is_unknown_or_settled_is_told() {
    let world = keep_both();
    let unknown = world.expect(1, &["conflicts", "resolve", "nothing.md", "--take", "both"]);
    assert!(unknown.err.contains("no conflict"), "{}", unknown.err);
    let id = world.conflict();
    world.expect(0, &["conflicts", "resolve", &id, "--take", "both"]);
    let settled = world.expect(1, &["conflicts", "resolve", &id, "--take", "both"]);
    assert!(settled.err.contains("settled already"), "{}", settled.err);
    let by_path = world.expect(1, &["conflicts", "resolve", "a.md", "--take", "both"]);
    assert!(by_path.err.contains("settled already"), "{}", by_path.err);
    assert!(by_path.err.contains(&format!("syncline conflicts abort {id}")), "{}", by_path.err);
    world.expect(1, &["conflicts", "show", "ffff"]);
}

#[test]
fn rules_settle_conflicts_by_path() {
    let world = World::with("conflicts: [{ match: \"*.cfg\", policy: prefer, side: local }]");
    world.write_local("a.cfg", "base");
    world.expect(0, &["run"]);
    world.write_local("a.cfg", "ours");
    world.write_remote("a.cfg", "theirs");
    let report = world.json(0, &["run"]);
    assert_eq!(report["results"][0]["conflicts"][0]["policy"], "prefer: local");
    assert_eq!(world.agreed("a.cfg").as_deref(), Some("ours"));
    world.expect(0, &["restore", "a.cfg"]);
    assert_eq!(world.agreed("a.cfg").as_deref(), Some("theirs"));
}

#[test]
fn a_rollback_of_how_a_conflict_was_settled_opens_it_again() {
    for take in ["local", "remote", "merged"] {
        let world = keep_both();
        let id = world.conflict();
        if take == "merged" {
            // Only what merges cleanly is taken: both versions come to the same.
            world.write_local(&copy(&world), "remote edit");
        }
        world.expect(0, &["conflicts", "resolve", &id, "--take", take]);
        assert!(copies(&world).is_empty());
        let told = world.expect(0, &["rollback", "last"]);
        assert!(
            format!("{}{}", told.out, told.err).contains("open again"),
            "{take}: {}{}",
            told.out,
            told.err
        );
        assert_eq!(world.agreed("a.md").as_deref(), Some("remote edit"), "{take}");
        assert_eq!(world.agreed(&copy(&world)).as_deref(), Some("local edit"), "{take}");
        assert_eq!(world.conflict(), id, "{take}");
        world.expect(5, &["run"]);
        world.expect(0, &["conflicts", "resolve", &id, "--take", "local"]);
        assert_eq!(world.agreed("a.md").as_deref(), Some("local edit"), "{take}");
    }
}

#[test]
fn a_rollback_to_before_a_conflict_tells_where_its_versions_are() {
    for policy in ["auto", "keep-both"] {
        let world = World::with(&format!("conflicts: {policy}"));
        world.write_local("a.md", "base");
        world.expect(0, &["run"]);
        world.write_local("a.md", "local edit");
        world.write_remote("a.md", "remote edit");
        world.run(&["run"]);
        let told = world.json(0, &["rollback", "last"]);
        let remark = &told["results"][0]["problems"][0];
        assert_eq!(
            (&remark["code"], &remark["path"]),
            (&"conflict_undone".into(), &"a.md".into()),
            "{told:#}"
        );
        assert_eq!(
            (&told["results"][0]["success"], &told["results"][0]["open_conflicts"]),
            (&true.into(), &0.into())
        );
        assert_eq!(world.agreed("a.md").as_deref(), Some("base"), "{policy}");
        world.expect(0, &["run"]);
        world.expect(0, &["conflicts", "abort", "a.md"]);
        assert_eq!(world.agreed("a.md").as_deref(), Some("local edit"), "{policy}");
        assert_eq!(world.agreed(&copy(&world)).as_deref(), Some("remote edit"), "{policy}");
    }
}

#[test]
fn where_what_was_agreed_on_is_not_kept_a_rollback_puts_both_versions_side_by_side() {
    let world = World::with("conflicts: newest");
    world.write_local("a.md", "base");
    world.write_local("b.md", "one");
    world.expect(0, &["run"]);
    world.write_local("a.md", "local edit");
    world.write_remote("a.md", "remote edit");
    world.write_local("b.md", "two");
    world.expect(0, &["run"]);
    let dry = world.json(0, &["rollback", "last", "--dry-run"]);
    assert_eq!(dry["targets"][0]["problems"].as_array().map(Vec::len), Some(0), "{dry:#}");
    assert!(world.expect(0, &["conflicts"]).out.contains("no open conflicts"), "a dry run opens nothing");
    let told = world.json(0, &["rollback", "last"]);
    assert_eq!(told["results"][0]["open_conflicts"], 1, "{told:#}");
    assert_eq!(world.agreed("a.md").as_deref(), Some("local edit"));
    assert_eq!(world.agreed(&copy(&world)).as_deref(), Some("remote edit"));
    assert_eq!(world.agreed("b.md").as_deref(), Some("one"));
    world.expect(0, &["conflicts", "resolve", &world.conflict(), "--take", "local"]);
    assert_eq!(world.agreed("a.md").as_deref(), Some("local edit"));
    assert!(copies(&world).is_empty());
}

#[test]
fn open_markers_that_people_move_on_both_sides_stay_an_open_conflict() {
    let world = World::with("conflicts: markers");
    world.write_local("a.md", "base\n");
    world.expect(0, &["run"]);
    world.write_local("a.md", "local edit\n");
    world.write_remote("a.md", "remote edit\n");
    world.expect(5, &["run"]);
    let id = world.conflict();
    for side in [world.local(""), world.remote("")] {
        std::fs::create_dir(side.join("moved")).unwrap();
        std::fs::rename(side.join("a.md"), side.join("moved/b.md")).unwrap();
    }
    world.expect(5, &["run"]);
    assert_eq!(world.conflict(), id);
    let list = world.json(0, &["conflicts", "list"]);
    assert_eq!(list["conflicts"][0]["path"], "moved/b.md");
    world.expect(0, &["conflicts", "resolve", "moved/b.md", "--take", "remote"]);
    assert_eq!(world.agreed("moved/b.md").as_deref(), Some("remote edit\n"));
    world.expect(0, &["run"]);
}

#[test]
fn what_both_sides_rename_differently_is_kept_under_both_names_and_told() {
    let world = World::new();
    world.write_local("plan.md", "the plan");
    world.write_local("other.md", "another file");
    world.expect(0, &["run"]);
    std::fs::rename(world.local("plan.md"), world.local("plan-2026.md")).unwrap();
    std::fs::rename(world.remote("plan.md"), world.remote("old-plan.md")).unwrap();
    let report = world.json(0, &["run"]);
    let remark = &report["results"][0]["problems"][0];
    assert_eq!(
        (&remark["code"], &remark["path"]),
        (&"renamed_apart".into(), &"plan.md".into()),
        "{report:#}"
    );
    for name in ["plan-2026.md", "old-plan.md"] {
        assert!(remark["message"].as_str().unwrap().contains(name), "{report:#}");
        assert_eq!(world.agreed(name).as_deref(), Some("the plan"));
    }
    std::fs::remove_file(world.remote("plan-2026.md")).unwrap();
    let again = world.json(0, &["run"]);
    assert_eq!(again["results"][0]["problems"].as_array().map(Vec::len), Some(0), "{again:#}");
    assert_eq!((world.agreed("plan-2026.md"), world.agreed("old-plan.md").is_some()), (None, true));
}
