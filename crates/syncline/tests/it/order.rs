//! The order of targets: what waits for what, several at once, and the times of the week.

use std::fs;

use serde_json::{Value, json};

use crate::support::World;

/// A workspace of mirrors: the name of each, and what is written below it.
fn mirrors(defaults: &str, targets: &[(&str, &str)]) -> World {
    let world = World::new();
    let mut text =
        format!("version: \"1.0\"\nnode: {{ name: here }}\ndefaults: {{ {defaults} }}\ntargets:\n");
    for (name, rest) in targets {
        fs::create_dir_all(world.remote(name)).unwrap();
        world.write_local(&format!("{name}/{name}.md"), name);
        text.push_str(&format!(
            "  {name}: {{ path: {name}, remote: {{ kind: folder, path: ../remote/{name} }}, {rest} }}\n"
        ));
    }
    world.configure(&text);
    world
}

/// A workspace of scripts that pull: the name of each, what is written below it, and its lines.
fn scripts(defaults: &str, targets: &[(&str, &str, &str)]) -> World {
    let world = World::new();
    let mut text =
        format!("version: \"1.0\"\nnode: {{ name: here }}\ndefaults: {{ {defaults} }}\ntargets:\n");
    for (name, rest, lines) in targets {
        world.write_local(&format!("scripts/{name}.sh"), &format!("#!/bin/sh\nset -eu\n{lines}\n"));
        text.push_str(&format!(
            "  {name}:\n    entrypoint: scripts/{name}.sh\n    direction: pull\n    idempotent: false\n    \
             outputs: [\"{name}/**\"]\n    {rest}\n"
        ));
    }
    world.configure(&text);
    world
}

fn targets(report: &Value) -> Vec<&str> {
    report["results"].as_array().unwrap().iter().map(|result| result["target"].as_str().unwrap()).collect()
}

#[test]
fn targets_go_after_what_they_wait_for_and_by_priority() {
    let world = mirrors(
        "",
        &[
            ("apps", "triggers: { after: [repos] }"),
            ("notes", "priority: -1"),
            ("photos", "priority: 3"),
            ("repos", "triggers: { after: [base] }"),
            ("base", "description: nothing"),
        ],
    );
    let all = ["photos", "base", "repos", "apps", "notes"];
    let plan = world.json(0, &["plan"]);
    let planned: Vec<&str> =
        plan["targets"].as_array().unwrap().iter().map(|target| target["target"].as_str().unwrap()).collect();
    assert_eq!(planned, all);
    assert_eq!(targets(&world.json(0, &["run"])), all);
    // What was not chosen is not waited for.
    assert_eq!(targets(&world.json(0, &["run", "notes", "apps", "base"])), ["apps", "base", "notes"]);
    let listed = world.json(0, &["targets"]);
    assert_eq!(listed["targets"][0]["after"], json!(["repos"]));
    assert_eq!(listed["targets"][2]["priority"], 3);
}

#[test]
fn what_waits_for_a_target_that_failed_is_not_run_and_says_so() {
    let made = |name: &str| format!("mkdir -p {name}; echo new > {name}/file");
    let world = scripts(
        "concurrency: 2",
        &[
            ("repos", "description: fails", "exit 7"),
            ("apps", "triggers: { after: [repos] }", &made("apps")),
            ("docs", "triggers: { after: [apps] }", &made("docs")),
            ("other", "description: alone", &made("other")),
        ],
    );
    let report = world.json(1, &["run"]);
    let told: Vec<(&str, bool, &str)> = report["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|result| {
            let text = |key: &str| result[key].as_str().unwrap();
            (text("target"), result["success"].as_bool().unwrap(), text("message"))
        })
        .collect();
    assert_eq!(
        told[1..],
        [
            ("apps", false, "not run: repos failed"),
            ("docs", false, "not run: apps failed"),
            ("other", true, "1 created"),
        ]
    );
    assert_eq!((report["successful"].as_u64(), report["failed"].as_u64()), (Some(1), Some(3)));
    assert!(!world.local("apps").exists() && !world.local("docs").exists());
    let people = world.expect(1, &["run", "repos", "apps"]);
    assert!(people.out.contains("apps   not run"), "{}", people.out);
    assert!(people.out.contains("not run: repos failed"), "{}", people.out);
    // Alone it waits for nobody.
    world.expect(0, &["run", "apps"]);
    assert_eq!(world.read_local("apps/file").as_deref(), Some("new\n"));
}

#[test]
fn what_waits_for_a_target_that_was_halted_is_not_run() {
    let world = mirrors("", &[("notes", "description: halts"), ("apps", "triggers: { after: [notes] }")]);
    world.expect(0, &["run"]);
    fs::remove_dir_all(world.remote("notes")).unwrap();
    world.write_local("apps/later.md", "later");
    let report = world.json(1, &["run"]);
    assert_eq!(report["results"][0]["state"], "halted");
    assert_eq!(report["results"][1]["message"], "not run: notes failed");
    assert!(!world.remote("apps/later.md").exists());
}

#[test]
fn targets_run_at_once_and_what_waits_begins_when_they_are_done() {
    let world = World::new();
    let meeting = world.path("meeting");
    fs::create_dir(&meeting).unwrap();
    let meeting = meeting.display();
    // Each of the two ends only when it has seen the other begin.
    let meet = |own: &str, other: &str| {
        format!(
            "mkdir -p {own}; echo done > {own}/file; touch {meeting}/{own}; n=0\n\
             until test -e {meeting}/{other}; do n=$((n+1)); test $n -lt 600; sleep 0.1; done\n\
             touch {meeting}/{own}-done"
        )
    };
    let rest = format!("allow_write: [\"{meeting}\"]");
    let late =
        format!("mkdir -p late; test -e {meeting}/one-done; test -e {meeting}/two-done; echo 1 > late/file");
    let (one, two) = (meet("one", "two"), meet("two", "one"));
    let after = format!("{rest}\n    triggers: {{ after: [one, two] }}");
    let world =
        scripts("concurrency: 3", &[("late", &after, &late), ("one", &rest, &one), ("two", &rest, &two)]);
    let report = world.json(0, &["run"]);
    assert_eq!(targets(&report), ["one", "two", "late"], "the report does not depend on who was faster");
    for name in ["one", "two", "late"] {
        assert!(world.local(&format!("{name}/file")).exists(), "{name}");
    }
    assert_eq!(fs::read_dir(world.local(".syncline/scratch")).unwrap().count(), 0, "copies are removed");
    assert_eq!(world.json(0, &["history"])["runs"].as_array().unwrap().len(), 3);
}

#[test]
fn many_targets_at_once_agree_and_have_nothing_to_do_afterwards() {
    let names: Vec<String> = (0..12).map(|number| format!("t{number}")).collect();
    let all: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "conflicts: auto")).collect();
    let world = mirrors("concurrency: 8", &all);
    let text = |line: &str| format!("first\n\n{line}\n\nlast\n");
    names.iter().for_each(|name| world.write_local(&format!("{name}/merged.md"), &text("base")));
    world.expect(0, &["run"]);
    // What each has agreed on is kept as the base of a merge, whichever of them kept it at the same time.
    for name in &names {
        world.write_local(&format!("{name}/merged.md"), &text("base").replace("first", "first of ours"));
        world.write_remote(&format!("{name}/merged.md"), &text("base").replace("last", "last of theirs"));
    }
    let report = world.json(0, &["run"]);
    assert_eq!(report["successful"], 12, "{report}");
    for name in &names {
        let merged = world.agreed(&format!("{name}/merged.md")).unwrap();
        assert_eq!(merged, "first of ours\n\nbase\n\nlast of theirs\n", "{name}");
    }
    let again = world.json(0, &["run"]);
    assert!(again["results"].as_array().unwrap().iter().all(|result| result["message"] == "nothing to do"));
    world.expect(0, &["scrub"]);
}

/// A day of the week on which no window of today can be open, wherever midnight is.
fn another_day() -> &'static str {
    let today = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).weekday().to_monday_zero_offset();
    ["mon", "tue", "wed", "thu", "fri", "sat", "sun"][usize::try_from(today + 3).unwrap() % 7]
}

#[test]
fn outside_of_its_windows_a_target_runs_only_when_it_is_named() {
    let closed = format!("windows: [{{ days: {}, from: \"08:00\", to: \"09:00\" }}]", another_day());
    let world = mirrors(
        "",
        &[("notes", closed.as_str()), ("photos", "windows: [{ from: \"00:00\", to: \"24:00\" }]")],
    );
    for choice in [&["run"][..], &["run", "*"], &["run", "--direction", "bidirectional"]] {
        let report = world.json(0, choice);
        assert_eq!(targets(&report), ["photos"], "{choice:?}");
        assert_eq!(report["left_out"][0]["target"], "notes");
        assert_eq!(report["left_out"][0]["code"], "outside_window");
    }
    assert!(!world.remote("notes/notes.md").exists());
    let people = world.expect(0, &["run"]);
    assert!(people.out.contains("notes  left out: outside of its windows"), "{}", people.out);
    let status = world.json(0, &["status"]);
    assert!(status["targets"][0]["opens"].is_string() && status["targets"][1]["opens"].is_null(), "{status}");
    let plan = world.json(0, &["plan"]);
    assert_eq!(plan["targets"][0]["problems"][0]["code"], "outside_window");
    assert_eq!(plan["targets"][0]["steps"].as_array().unwrap().len(), 1, "a plan tells what there is to do");
    world.expect(0, &["run", "notes"]);
    assert!(world.remote("notes/notes.md").exists());
}
