//! Conflicts that merge themselves.

use std::fs;

use crate::support::World;

const BASE: &str = "one\ntwo\nthree\nfour\nfive\nsix\nseven\n";

/// A workspace in which both sides agreed on a file, and then both edited it.
fn edited(target: &str, name: &str, [base, local, remote]: [&str; 3]) -> World {
    let world = World::with(target);
    world.write_local(name, base);
    world.expect(0, &["run", "--ci"]);
    world.write_local(name, local);
    world.write_remote(name, remote);
    world
}

fn text(target: &str) -> World {
    let local = BASE.replace("two", "two, edited here");
    edited(target, "notes.md", [BASE, &local, &BASE.replace("six", "six, edited there")])
}

#[test]
fn edits_of_different_lines_become_one_version() {
    let world = text("");
    let plan = world.json(0, &["plan"]);
    let ran = world.json(0, &["run", "--ci"]);
    assert_eq!(plan["targets"][0]["hash"], ran["results"][0]["plan_hash"], "a plan tells what a run does");
    let expected = BASE.replace("two", "two, edited here").replace("six", "six, edited there");
    assert_eq!(world.agreed("notes.md").as_deref(), Some(expected.as_str()));
    assert_eq!(World::names(&world.local("")).len(), 3, "there is no conflict copy");
    assert_eq!(ran["results"][0]["message"], "2 updated, 1 merged");
    let all = world.json(0, &["conflicts", "list", "--all"]);
    let conflict = &all["conflicts"][0];
    assert_eq!((&conflict["open"], &conflict["policy"]), (&false.into(), &"auto".into()), "{all:#}");
    assert!(conflict["merged"]["digest"].is_string() && conflict["winner"].is_null(), "{all:#}");
    let again = world.json(0, &["run", "--ci"]);
    assert_eq!(again["results"][0]["message"], "nothing to do");
}

#[test]
fn a_merge_is_taken_back_like_any_run() {
    let world = text("");
    world.expect(0, &["run", "--ci"]);
    world.expect(0, &["rollback", "last"]);
    assert_eq!(world.agreed("notes.md").as_deref(), Some(BASE), "what both had agreed on before the run");
    world.expect(0, &["rollback", "last"]);
    let merged = BASE.replace("two", "two, edited here").replace("six", "six, edited there");
    assert_eq!(world.agreed("notes.md"), Some(merged), "and that too");
}

#[test]
fn edits_of_the_same_line_stay_twice_and_say_why() {
    let world = edited("", "notes.md", [BASE, &BASE.replace("two", "zwei"), &BASE.replace("two", "deux")]);
    let ran = world.expect(5, &["run", "--ci"]);
    assert!(format!("{}{}", ran.out, ran.err).contains("both sides changed line"), "{}{}", ran.out, ran.err);
    let names = World::names(&world.local(""));
    assert!(names.iter().any(|name| name.contains(".conflict-")), "{names:?}");
    let kept: Vec<String> =
        names.iter().filter(|name| name.contains("notes")).filter_map(|name| world.agreed(name)).collect();
    assert!(kept.iter().any(|text| text.contains("zwei")) && kept.iter().any(|text| text.contains("deux")));
    assert!(kept.iter().all(|text| !text.contains("<<<<")), "no file is left invalid");
}

#[test]
fn json_is_merged_by_structure_and_stays_json() {
    let base = "{\n  \"name\": \"a\",\n  \"size\": 1.0,\n  \"tags\": [\"x\"]\n}\n";
    let local = base.replace("1.0", "2.50");
    let remote = base.replace("\"a\"", "\"b\"");
    let world = edited("", "settings.json", [base, &local, &remote]);
    world.expect(0, &["run", "--ci"]);
    let merged = world.agreed("settings.json").unwrap();
    assert_eq!(
        merged,
        local.replace("\"a\"", "\"b\""),
        "both edits, numbers and layout as they were written"
    );
    world.write_local("settings.json", &merged.replace("2.50", "3"));
    world.write_remote("settings.json", &merged.replace("2.50", "4"));
    world.expect(5, &["run", "--ci"]);
    for name in World::names(&world.local("")).iter().filter(|name| name.contains("settings")) {
        let text = world.agreed(name).unwrap();
        assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok(), "{name}: {text}");
    }
}

#[test]
fn records_of_both_sides_are_united() {
    let rule = "conflicts:\n  - { match: \"**/*.json\", policy: union, key: id }";
    let base = "[{\"id\":1,\"text\":\"a\"},{\"id\":2,\"text\":\"b\"}]";
    let local = "[{\"id\":1,\"text\":\"a\"},{\"id\":2,\"text\":\"b\"},{\"id\":3,\"text\":\"here\"}]";
    let remote = "[{\"id\":1,\"text\":\"a\"},{\"id\":4,\"text\":\"there\"}]";
    let world = edited(rule, "memories.json", [base, local, remote]);
    world.expect(0, &["run", "--ci"]);
    let merged: serde_json::Value = serde_json::from_str(&world.agreed("memories.json").unwrap()).unwrap();
    let mut ids: Vec<i64> =
        merged.as_array().unwrap().iter().map(|one| one["id"].as_i64().unwrap()).collect();
    ids.sort_unstable();
    assert_eq!(ids, [1, 3, 4], "what one side removed stays removed, what both added is there");
}

#[test]
fn markers_wait_until_somebody_has_worked_them_off() {
    let versions = [BASE, &BASE.replace("two", "zwei"), &BASE.replace("two", "deux")];
    let world = edited("conflicts: markers", "notes.md", versions);
    world.expect(5, &["run", "--ci"]);
    let marked = world.agreed("notes.md").unwrap();
    assert!(marked.contains("<<<<<<<") && marked.contains("zwei") && marked.contains("deux"), "{marked}");
    world.expect(5, &["run", "--ci"]);
    assert_eq!(world.agreed("notes.md"), Some(marked.clone()), "a second run changes nothing");
    // An edit that leaves the markers goes to the other side, and the conflict stays.
    let half = marked.replace("seven", "seven, edited");
    world.write_local("notes.md", &half);
    world.expect(5, &["run", "--ci"]);
    assert_eq!(world.agreed("notes.md"), Some(half));
    world.conflict();
    world.write_remote("notes.md", &BASE.replace("two", "zwei und deux"));
    world.expect(0, &["run", "--ci"]);
    assert!(world.expect(0, &["conflicts"]).out.contains("no open conflicts"));
    assert_eq!(world.agreed("notes.md"), Some(BASE.replace("two", "zwei und deux")));
}

#[test]
fn a_file_that_is_moved_takes_its_open_markers_along() {
    let versions = [BASE, &BASE.replace("two", "zwei"), &BASE.replace("two", "deux")];
    let world = edited("conflicts: markers", "notes.md", versions);
    world.expect(5, &["run", "--ci"]);
    fs::rename(world.local("notes.md"), world.local("moved.md")).unwrap();
    world.expect(5, &["run", "--ci"]);
    assert!(world.agreed("moved.md").unwrap().contains("<<<<<<<"));
    assert_eq!(world.json(0, &["conflicts", "list"])["conflicts"][0]["path"], "moved.md");
    fs::create_dir(world.remote("folder")).unwrap();
    fs::rename(world.remote("moved.md"), world.remote("folder/again.md")).unwrap();
    world.expect(5, &["run", "--ci"]);
    world.expect(0, &["conflicts", "resolve", "folder/again.md", "--take", "remote"]);
    assert_eq!(world.agreed("folder/again.md"), Some(BASE.replace("two", "deux")));
    world.expect(0, &["run", "--ci"]);
    assert!(world.expect(0, &["conflicts"]).out.contains("no open conflicts"));
}

#[test]
fn one_version_that_was_taken_by_hand_is_not_undone_by_an_edit_of_the_markers() {
    let versions = [BASE, &BASE.replace("two", "zwei"), &BASE.replace("two", "deux")];
    let world = edited("conflicts: markers", "notes.md", versions);
    world.expect(5, &["run", "--ci"]);
    let marked = world.agreed("notes.md").unwrap();
    world.write_local("notes.md", versions[1]);
    world.write_remote("notes.md", &marked.replace("deux", "deux, better"));
    world.expect(5, &["run", "--ci"]);
    let names = World::names(&world.local(""));
    let notes = names.iter().filter(|name| name.starts_with("notes"));
    let texts: Vec<String> = notes.filter_map(|name| world.agreed(name)).collect();
    assert!(texts.iter().any(|text| text == versions[1]), "what was decided is still a file: {names:?}");
    assert!(texts.iter().any(|text| text.contains("deux, better")), "and so is what was edited: {names:?}");
}

#[test]
fn without_the_version_that_both_started_from_both_stay() {
    let world = text("");
    fs::remove_dir_all(world.local(".syncline/bases")).unwrap();
    let ran = world.expect(5, &["run", "--ci"]);
    assert!(format!("{}{}", ran.out, ran.err).contains("is not kept"), "{}{}", ran.out, ran.err);
    assert!(World::names(&world.local("")).iter().any(|name| name.contains(".conflict-")));
}

#[test]
fn what_is_binary_is_not_merged() {
    let world = World::new();
    fs::write(world.local("picture.bin"), b"\0one\ntwo\nthree\n").unwrap();
    world.expect(0, &["run", "--ci"]);
    fs::write(world.local("picture.bin"), b"\0ONE\ntwo\nthree\n").unwrap();
    fs::write(world.remote("picture.bin"), b"\0one\ntwo\nTHREE\n").unwrap();
    world.expect(5, &["run", "--ci"]);
}

#[test]
fn a_run_killed_between_the_two_sides_ends_as_if_it_had_not_been() {
    for policy in ["auto", "markers"] {
        let (local, remote) = if policy == "auto" { ("two", "six") } else { ("two", "two") };
        let versions = [BASE, &BASE.replace(local, "edited here"), &BASE.replace(remote, "edited there")];
        let calm = edited(&format!("conflicts: {policy}"), "notes.md", versions);
        calm.run(&["run", "--ci"]);
        let expected = calm.agreed("notes.md").unwrap();
        // As a kill would have left it: one side has the merged version, and nothing was agreed on.
        let cut = edited(&format!("conflicts: {policy}"), "notes.md", versions);
        cut.write_remote("notes.md", &expected);
        cut.run(&["run", "--ci"]);
        assert_eq!(cut.agreed("notes.md"), Some(expected), "{policy}");
        let names = World::names(&cut.local(""));
        assert!(names.iter().all(|name| !name.contains(".conflict-")), "{policy}: {names:?}");
    }
}
