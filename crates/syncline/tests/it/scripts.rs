//! Script targets: run in a scratch copy, planned like everything else, and never trusted.

use std::fs;

use serde_json::{Value, json};

use crate::support::World;

/// A workspace of one script target `main`, whose script holds these lines.
fn world(target: &str, lines: &str) -> World {
    let world = World::new();
    configure(&world, target, "");
    script(&world, lines);
    world
}

fn configure(world: &World, target: &str, rest: &str) {
    let lines: String = target.lines().map(|line| format!("    {}\n", line.trim())).collect();
    world.configure(&format!(
        "version: \"1.0\"\nnode: {{ name: here }}\ntargets:\n  main:\n    entrypoint: scripts/main.sh\n{lines}{rest}"
    ));
}

fn script(world: &World, lines: &str) {
    world.write_local("scripts/main.sh", &format!("#!/bin/sh\nset -eu\n{lines}\n"));
}

const PULL: &str = "direction: pull\noutputs: [\"docs/**\"]";

/// The only result of a report.
fn result(report: &Value) -> &Value {
    &report["results"][0]
}

#[test]
fn what_a_script_makes_is_planned_applied_and_agreed_on() {
    let world = world(PULL, "mkdir -p docs/deep; echo one > docs/deep/a.txt; echo 2 > docs/b.txt");
    let plan = world.json(0, &["plan"]);
    let steps: Vec<&Value> =
        plan["targets"][0]["steps"].as_array().unwrap().iter().map(|s| &s["path"]).collect();
    assert_eq!(steps, ["docs/b.txt", "docs/deep", "docs/deep/a.txt"]);
    assert!(
        !world.local("docs").exists() && !world.local(".syncline").exists(),
        "a plan leaves nothing behind"
    );
    let report = world.json(0, &["run"]);
    assert_eq!(result(&report)["steps"]["created"], 3, "{report}");
    assert_eq!(result(&report)["outputs_created"], json!(["docs/b.txt", "docs/deep", "docs/deep/a.txt"]));
    assert_eq!(result(&report)["problems"], json!([]));
    assert_eq!(world.read_local("docs/deep/a.txt").as_deref(), Some("one\n"));
    let again = world.json(0, &["run", "--verify"]);
    assert_eq!(
        (&result(&again)["steps"]["created"], &result(&again)["verification_passed"]),
        (&0.into(), &true.into())
    );
    assert_eq!(fs::read_dir(world.local(".syncline/scratch")).unwrap().count(), 0, "copies are removed");
    script(&world, "rm -rf docs/deep; echo 3 > docs/b.txt");
    world.expect(0, &["run"]);
    assert_eq!(world.read_local("docs/b.txt").as_deref(), Some("3\n"));
    assert!(!world.local("docs/deep").exists());
    let doctor = world.run(&["doctor"]).out;
    assert!(doctor.contains("remote side") && !doctor.contains("may not be written"), "{doctor}");
    world.expect(0, &["restore", "docs/deep/a.txt"]);
    assert_eq!(
        world.read_local("docs/deep/a.txt").as_deref(),
        Some("one\n"),
        "history has what a script removed"
    );
}

#[test]
fn a_script_finds_its_settings_and_little_else() {
    let target = format!(
        "{PULL}\nconfig: {{ agent_dir: \"$HOME/agents\", depth: 3 }}\nenv: {{ TOKEN: \"${{env:GIVEN}}\" }}"
    );
    let world = world(&target, "env > docs/env; printf %s \"$SYNCLINE_CONFIG_JSON\" > docs/config.json");
    let mut command = world.command(&["run"]);
    command.env("GIVEN", "granted-secret").env("OTHER_SECRET", "not-granted").env("HOME", "/home/ada");
    assert!(command.output().unwrap().status.success());
    let config: Value = serde_json::from_str(&world.read_local("docs/config.json").unwrap()).unwrap();
    assert_eq!(config, json!({ "agent_dir": "/home/ada/agents", "depth": 3 }));
    let environment = world.read_local("docs/env").unwrap();
    for line in [
        "TOKEN=granted-secret",
        "SYNCLINE_CONFIG_AGENT_DIR=/home/ada/agents",
        "SYNCLINE_CONFIG_DEPTH=3",
        "SYNCLINE_TARGET=main",
        "SYNCLINE_DIRECTION=pull",
        "SYNCLINE_DRY_RUN=0",
    ] {
        assert!(environment.lines().any(|found| found == line), "{line} in {environment}");
    }
    assert!(!environment.contains("not-granted"), "{environment}");
}

#[test]
fn a_script_that_fails_changes_nothing_and_says_what_it_said() {
    let target = format!("{PULL}\nenv: {{ TOKEN: \"${{env:GIVEN}}\" }}");
    let world =
        world(&target, "echo half > docs/half.txt; echo \"no route to host with $TOKEN\" >&2; exit 3");
    world.write_local("docs/kept.txt", "kept");
    let mut command = world.command(&["run", "--format", "json"]);
    let ran = command.env("GIVEN", "granted-secret").output().unwrap();
    assert_eq!(ran.status.code(), Some(1));
    let said = String::from_utf8(ran.stdout).unwrap() + &String::from_utf8(ran.stderr).unwrap();
    assert!(
        said.contains("scripts/main.sh ended with exit code 3; it said: no route to host with [redacted]"),
        "{said}"
    );
    assert!(!said.contains("granted-secret"), "{said}");
    assert!(!world.local("docs/half.txt").exists());
    assert_eq!(world.read_local("docs/kept.txt").as_deref(), Some("kept"));
}

#[test]
fn a_script_that_destroys_its_workspace_destroys_a_copy() {
    let world = world(PULL, "rm -rf -- * .[!.]* || true");
    world.write_local("docs/a.txt", "a");
    world.write_local("src/code.rs", "code");
    let report = world.json(4, &["run"]);
    assert_eq!(world.read_local("src/code.rs").as_deref(), Some("code"), "{report}");
    assert_eq!(world.read_local("docs/a.txt").as_deref(), Some("a"), "a side that is emptied halts the run");
    let told: Vec<&str> =
        result(&report)["problems"].as_array().unwrap().iter().filter_map(|p| p["code"].as_str()).collect();
    assert!(told.contains(&"outside_outputs"), "{report}");
}

#[test]
fn a_script_that_hangs_is_ended() {
    let world = world(&format!("{PULL}\nlimits: {{ time: 1s }}"), "sleep 1000 & sleep 1000");
    let report = world.json(1, &["run"]);
    let error = &result(&report)["error"];
    assert!(error["message"].as_str().unwrap().contains("was ended after 1 s"), "{report}");
    assert!(error["hint"].as_str().unwrap().contains("`limits`"), "{report}");
}

#[test]
fn a_script_that_does_not_come_to_the_same_twice_is_told() {
    let world = world(PULL, "date +%s%N > docs/now");
    let report = world.json(0, &["run"]);
    assert_eq!(result(&report)["problems"][0]["code"], "not_idempotent", "{report}");
    script(&world, "mkdir docs/once");
    let report = world.json(0, &["run"]);
    assert!(result(&report)["problems"][0]["message"].as_str().unwrap().contains("would fail"), "{report}");
    script(&world, "date +%s%N > docs/now");
    configure(&world, &format!("{PULL}\nidempotent: false"), "");
    assert_eq!(result(&world.json(0, &["run"]))["problems"], json!([]));
}

#[test]
fn what_a_script_made_wins_over_an_edit_which_is_kept_in_history() {
    let world = world(PULL, "echo one > docs/a.txt");
    world.expect(0, &["run"]);
    world.write_local("docs/a.txt", "mine");
    script(&world, "echo two > docs/a.txt");
    let report = world.json(0, &["run"]);
    assert_eq!(result(&report)["conflicts"][0]["winner"], "remote", "{report}");
    assert_eq!(world.read_local("docs/a.txt").as_deref(), Some("two\n"));
    // As on a runner of a CI system: the files are there, and nothing is agreed on.
    std::fs::remove_dir_all(world.local(".syncline")).unwrap();
    script(&world, "echo three > docs/a.txt");
    world.expect(0, &["run"]);
    assert_eq!(world.read_local("docs/a.txt").as_deref(), Some("three\n"));
}

#[test]
fn where_nothing_is_known_yet_a_script_is_compared_with_what_it_was_given() {
    let world = world(PULL, "rm -f docs/old*; echo new > docs/changed.txt; echo more > docs/more.txt");
    world.write_local("docs/kept.txt", "kept");
    world.write_local("docs/same.txt", "same");
    world.write_local("docs/changed.txt", "was");
    world.write_local("docs/old.txt", "old");
    let is_done = |world: &World, report: &Value| {
        assert_eq!(result(report)["conflicts"], json!([]), "{report}");
        assert_eq!(result(report)["steps"]["removed"], 1, "{report}");
        assert_eq!(world.read_local("docs/changed.txt").as_deref(), Some("new\n"));
        assert_eq!(world.read_local("docs/kept.txt").as_deref(), Some("kept"));
    };
    is_done(&world, &world.json(0, &["run"]));
    assert!(!world.local("docs/old.txt").exists());
    world.expect(0, &["restore", "docs/old.txt"]);
    assert_eq!(world.read_local("docs/old.txt").as_deref(), Some("old"), "history has what it removed");

    // As in a fresh checkout with a restored cache: the state is a copy, and belongs to other files.
    let (state, aside) = (world.local(".syncline"), world.local("aside"));
    fs::rename(&state, &aside).unwrap();
    assert!(std::process::Command::new("cp").arg("-r").args([&aside, &state]).status().unwrap().success());
    fs::remove_dir_all(&aside).unwrap();
    fs::remove_file(world.local("docs/old.txt")).unwrap();
    world.write_local("docs/old2.txt", "old");
    world.write_local("docs/changed.txt", "as it was committed");
    let report = world.json(0, &["run"]);
    assert!(result(&report)["distrust"].as_str().unwrap().contains("told by what it was given"), "{report}");
    is_done(&world, &report);
    assert!(!world.local("docs/old2.txt").exists());
    let again = world.json(0, &["run"]);
    assert_eq!((&result(&again)["steps"]["removed"], &result(&again)["distrust"]), (&0.into(), &Value::Null));
}

#[test]
fn a_script_that_removes_most_of_what_it_was_given_waits_for_a_person() {
    let world = world(PULL, "rm -rf docs/*; echo new > docs/new.txt");
    for index in 0..20 {
        world.write_local(&format!("docs/{index}.txt"), "x");
    }
    let report = world.json(4, &["run"]);
    assert_eq!(result(&report)["halts"][0]["code"], "too_many_removals", "{report}");
    assert!(world.local("docs/7.txt").exists());
}

#[test]
fn an_entrypoint_that_is_not_there_is_told() {
    let world = world(PULL, "");
    fs::remove_file(world.local("scripts/main.sh")).unwrap();
    let report = world.json(1, &["run"]);
    let message = result(&report)["error"]["message"].as_str().unwrap().to_owned();
    assert!(message.contains("the entrypoint scripts/main.sh of main is not there"), "{message}");
}

#[test]
fn what_is_sent_is_sent_once_whole_or_not_at_all() {
    let world = world(
        "direction: push\ninputs: [\"public/**\"]\nallow_write: [\"$HOME/sent\"]",
        "cat \"$SYNCLINE_CHANGES\" >> \"$HOME/sent/log\"; [ ! -e public/fails ]; cp -r public/. \"$HOME/sent/\"",
    );
    let home = world.path("home");
    fs::create_dir(&home).unwrap();
    let run = |code: i32, arguments: &[&str]| {
        let ran = world.command(arguments).env("HOME", &home).output().unwrap();
        assert_eq!(ran.status.code(), Some(code), "{}", String::from_utf8_lossy(&ran.stderr));
        String::from_utf8(ran.stdout).unwrap()
    };
    let log = || fs::read_to_string(home.join("sent/log")).unwrap_or_default();
    world.write_local("public/a.html", "a");
    world.write_local("public/deep/b.html", "b");
    run(0, &["run", "--dry-run"]);
    assert_eq!(log(), "", "a dry run sends nothing");
    run(0, &["run"]);
    assert_eq!(log(), "create\tpublic/a.html\ncreate\tpublic/deep/b.html\n");
    assert_eq!(fs::read_to_string(home.join("sent/deep/b.html")).unwrap(), "b");
    run(0, &["run"]);
    assert_eq!(log().lines().count(), 2, "what was sent is not sent again");
    world.write_local("public/a.html", "edited");
    fs::remove_dir_all(world.local("public/deep")).unwrap();
    world.write_local("public/fails", "");
    assert!(run(1, &["run"]).contains("ended with exit code 1"));
    fs::remove_file(world.local("public/fails")).unwrap();
    run(0, &["run"]);
    let sent: Vec<String> = log().lines().skip(5).map(str::to_owned).collect();
    assert_eq!(sent, ["update\tpublic/a.html", "remove\tpublic/deep/b.html"], "what failed is sent again");
}

#[test]
fn keys_that_do_not_go_together_are_refused() {
    let world = World::new();
    for (target, message) in [
        ("direction: pull", "a script that is run as `pull` needs `outputs`"),
        ("direction: push", "a script that pushes needs `inputs`"),
        ("direction: push\ninputs: [a]\noutputs: [b]", "`outputs` do not go with `direction: push`"),
        ("outputs: [a]\npath: docs", "`path` only goes with `remote`"),
        ("outputs: [a]\nremote: { kind: folder, path: ../x }", "`entrypoint` does not go with `remote`"),
        ("outputs: [a]\nlimits: { time: soon }", "`soon` cannot be understood"),
        ("outputs: [a]\nschedule: often", "the schedule `often` cannot be understood"),
        ("outputs: [\"a[\"]", "in the pattern \"a[\""),
    ] {
        configure(&world, target, "");
        let ran = world.expect(2, &["targets"]);
        assert!(ran.err.contains(message), "{message}: {}", ran.err);
    }
}

const IN_PLACE: &str = "direction: pull\nin_place: true\noutputs: [\"docs/**\"]";

#[test]
fn a_script_that_works_in_place_is_put_back_and_then_planned() {
    let world = world(
        IN_PLACE,
        "test -e .git/here; echo new > docs/a.txt; rm docs/b.txt; mkdir docs/deep; echo c > docs/deep/c.txt",
    );
    world.write_local(".git/here", "not in any copy");
    world.write_local("docs/a.txt", "a");
    world.write_local("docs/b.txt", "b");
    world.write_local("docs/kept.txt", "kept");
    let plan = world.json(0, &["plan"]);
    assert_eq!(plan["targets"][0]["problems"][0]["code"], "in_place", "a plan does not run it: {plan}");
    assert_eq!(world.read_local("docs/a.txt").as_deref(), Some("a"));
    let report = world.json(0, &["run"]);
    let steps = &result(&report)["steps"];
    assert_eq!((&steps["updated"], &steps["removed"]), (&1.into(), &1.into()), "{report}");
    assert_eq!(world.read_local("docs/a.txt").as_deref(), Some("new\n"));
    assert_eq!(world.read_local("docs/deep/c.txt").as_deref(), Some("c\n"));
    assert!(!world.local("docs/b.txt").exists());
    assert!(!world.local(".syncline/rescued").exists(), "nothing was in doubt");
    world.expect(0, &["rollback", "last"]);
    assert_eq!(world.read_local("docs/a.txt").as_deref(), Some("a"), "history has what was there");
    assert_eq!(world.read_local("docs/b.txt").as_deref(), Some("b"));
}

#[test]
fn a_script_that_fails_in_place_leaves_its_outputs_as_they_were() {
    let world = world(IN_PLACE, "echo half > docs/a.txt; echo more > docs/more.txt; rm docs/b.txt; exit 3");
    world.write_local("docs/a.txt", "a");
    world.write_local("docs/b.txt", "b");
    let report = world.json(1, &["run"]);
    let message = result(&report)["message"].as_str().unwrap().to_owned();
    assert!(message.contains("its outputs are as they were, and what it had made is in"), "{message}");
    let found = ["docs/a.txt", "docs/b.txt", "docs/more.txt"].map(|path| world.read_local(path));
    assert_eq!(found, [Some("a".to_owned()), Some("b".to_owned()), None]);
    let aside = fs::read_dir(world.local(".syncline/rescued")).unwrap().next().unwrap().unwrap().path();
    assert_eq!(fs::read_to_string(aside.join("docs/a.txt")).unwrap(), "half\n");
    assert_eq!(fs::read_to_string(aside.join("docs/more.txt")).unwrap(), "more\n");
    // What a check refuses is not left there either.
    configure(&world, &format!("{IN_PLACE}\nverification: {{ command: \"false\" }}"), "");
    script(&world, "echo refused > docs/a.txt");
    world.expect(4, &["run"]);
    assert_eq!(world.read_local("docs/a.txt").as_deref(), Some("a"));
}

#[cfg(unix)]
#[test]
fn a_script_that_is_killed_in_place_is_put_back_by_the_next_run() {
    let world = world(
        IN_PLACE,
        "echo half > docs/a.txt; rm docs/b.txt; touch docs/ready; until test -e docs/go; do sleep 0.1; done",
    );
    world.write_local("docs/a.txt", "a");
    world.write_local("docs/b.txt", "b");
    let mut run = world.command(&["run"]).stdout(std::process::Stdio::null()).spawn().unwrap();
    let end = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while !world.local("docs/ready").exists() {
        assert!(std::time::Instant::now() < end, "the script did not start");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    run.kill().unwrap();
    run.wait().unwrap();
    script(&world, "true");
    // What it runs outlives it: as long as that may still write, nothing is put back.
    let ran = world.expect(1, &["run"]);
    let said = ran.out + &ran.err;
    assert!(said.contains("of a run that was cut short is still at work"), "{said}");
    fs::write(world.local("docs/go"), "").unwrap();
    let end = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while world.run(&["run"]).code != 0 {
        assert!(std::time::Instant::now() < end, "it is not put back");
    }
    let found = ["docs/a.txt", "docs/b.txt", "docs/ready"].map(|path| world.read_local(path));
    assert_eq!(found, [Some("a".to_owned()), Some("b".to_owned()), None]);
    assert_eq!(fs::read_dir(world.local(".syncline/rescued")).unwrap().count(), 1);
}

#[test]
fn what_a_script_that_works_in_place_may_not_say() {
    let world = World::new();
    for (target, expected) in [
        (
            "direction: pull\nin_place: true\noutputs: [\"*.json\"]",
            "`*.json` names no folder, as `in_place` needs",
        ),
        (
            "direction: push\nin_place: true\ninputs: [\"docs/**\"]",
            "`in_place` does not go with `direction: push`",
        ),
    ] {
        configure(&world, target, "");
        let said = world.expect(2, &["plan"]).err;
        assert!(said.contains(expected), "{said}");
    }
}
