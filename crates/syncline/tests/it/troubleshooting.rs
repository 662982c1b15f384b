//! What is said when something common goes wrong: what, where, and what to do.

use std::process::Command;

use serde_json::Value;

use crate::support::{Ran, World};

const TOKEN: &str = "NOTION_API_TOKEN";

/// A workspace of one script target `main`, whose script holds these lines.
fn world(target: &str, script: &str) -> World {
    let world = World::new();
    let lines: String = target.lines().map(|line| format!("    {line}\n")).collect();
    world.configure(&format!(
        "version: \"1.0\"\nnode: {{ name: here }}\ntargets:\n  main:\n    direction: pull\n    entrypoint: scripts/main.sh\n    outputs: [\"docs/runtime/*.json\"]\n{lines}"
    ));
    world.write_local("scripts/main.sh", &format!("#!/bin/sh\nset -eu\n{script}\n"));
    world
}

/// Why the only target could not be run, and what to do about it.
fn error(report: &Value) -> (&str, &str) {
    let error = &report["results"][0]["error"];
    (error["message"].as_str().unwrap_or_default(), error["hint"].as_str().unwrap_or_default())
}

fn problem<'a>(report: &'a Value, code: &str) -> &'a str {
    let problems = report["results"][0]["problems"].as_array().unwrap();
    let found = problems.iter().find(|problem| problem["code"] == code);
    found.unwrap_or_else(|| panic!("no {code} in {report}"))["message"].as_str().unwrap()
}

#[test]
fn directory_not_found() {
    let world = world("", "echo '{}' > docs/runtime/a.json");
    world.expect(0, &["run"]);
    assert!(world.local("docs/runtime/a.json").exists(), "the folder of the outputs is made");
    world.write_local("scripts/main.sh", "echo first >&2\necho '{}' > docs/elsewhere/b.json\n");
    let report = world.json(1, &["run"]);
    let (message, hint) = error(&report);
    assert!(message.starts_with("scripts/main.sh ended with exit code"), "{message}");
    assert!(message.contains("it said: first; "), "what it said is one line: {message}");
    assert!(message.contains("docs/elsewhere/b.json"), "{message}");
    assert!(
        hint.contains("nothing was changed") && hint.contains("`outputs`") && hint.contains("`mkdir -p`"),
        "{hint}"
    );
    assert!(world.local("docs/runtime/a.json").exists(), "what was there stays");
}

#[test]
fn verification_fails() {
    let count = "verification: { command: \"ls docs/runtime | wc -l\", expected_min: 100 }";
    let world = world(count, "echo '{}' > docs/runtime/a.json");
    let report = world.json(4, &["run"]);
    let halt = report["results"][0]["halts"][0]["message"].as_str().unwrap();
    for words in [
        "verification: came to 1, and at least 100 was expected",
        "its command is `ls docs/runtime | wc -l`",
        "nothing was changed",
        "mend the script, or what is expected of it",
    ] {
        assert!(halt.contains(words), "{words}: {halt}");
    }
    assert!(!world.local("docs/runtime/a.json").exists());
}

#[test]
fn git_commit_fails() {
    let world = world("git_commit: true", "echo '{}' > docs/runtime/a.json");
    let report = world.json(0, &["run"]);
    let told = problem(&report, "not_committed");
    assert!(told.contains("does not lie in a Git repository"), "{told}");
    assert!(told.contains("`git init`") && told.contains("`git_commit: false`"), "{told}");
    assert!(world.local("docs/runtime/a.json").exists(), "what came in does not wait for the commit");
    let git = |arguments: &[&str]| {
        let mut command = Command::new("git");
        command.args(arguments).current_dir(world.path("local"));
        command.env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_CONFIG_GLOBAL", "/dev/null");
        String::from_utf8(command.output().unwrap().stdout).unwrap()
    };
    git(&["init", "--quiet", "--initial-branch=main"]);
    let run = |name: &str, value: &str| {
        let mut command = world.command(&["run", "--format", "json"]);
        command.env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_CONFIG_GLOBAL", "/dev/null").env(name, value);
        serde_json::from_slice::<Value>(&command.output().unwrap().stdout).unwrap()
    };
    let report = run("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1");
    let told = problem(&report, "not_committed");
    assert!(told.contains("belongs to another user") && told.contains("safe.directory"), "{told}");
    let report = run("LANG", "C");
    assert!(problem(&report, "commit").contains("committed as"), "{report}");
    assert_eq!(
        git(&["log", "--format=%an %s"]),
        "Syncline Sync main: 1 files\n",
        "nobody has to be configured"
    );
}

#[test]
fn environment_variables_not_found() {
    let world = world("", &format!(": \"${{{TOKEN}:?is missing}}\""));
    let run = |token: Option<&str>| {
        let mut command = world.command(&["run", "--format", "json"]);
        command.env_remove(TOKEN);
        command.envs(token.map(|token| (TOKEN, token)));
        let ran = Ran::from(command.output().unwrap());
        assert!(!ran.out.contains("ntn_value") && !ran.err.contains("ntn_value"), "{}{}", ran.out, ran.err);
        (ran.code, serde_json::from_str::<Value>(&ran.out).unwrap())
    };
    let grant = format!("`env: {{ {TOKEN}: \"${{env:{TOKEN}}}\" }}`");
    let (code, report) = run(Some("ntn_value"));
    let (message, hint) = error(&report);
    assert_eq!(code, 1);
    assert!(message.contains(TOKEN), "{message}");
    assert!(hint.starts_with(&format!("{TOKEN} is set here, and was not granted to it")), "{hint}");
    assert!(hint.contains(&grant) && hint.contains("the target main"), "{hint}");
    let (_, report) = run(None);
    let (_, hint) = error(&report);
    assert!(hint.starts_with(&format!("{TOKEN} is not set here either")) && hint.contains(&grant), "{hint}");
    let text = world.read_local("syncline.yaml").unwrap();
    world.configure(&format!("{text}    {}\n", grant.trim_matches('`')));
    let (code, report) = run(Some("ntn_value"));
    assert_eq!(code, 0, "what the hint says helps: {report}");
    let (code, report) = run(None);
    let (message, hint) = error(&report);
    assert_eq!(code, 2);
    assert!(message.contains(TOKEN) && message.contains("is not set"), "{report}");
    assert!(hint.contains(&format!("set {TOKEN}")), "{hint}");
}

#[test]
fn debug_mode() {
    let grant = format!(
        "env: {{ {TOKEN}: \"${{env:{TOKEN}}}\" }}\nverification: {{ command: \"ls docs/runtime/a.json\" }}"
    );
    let world =
        world(&grant, &format!("echo '{{}}' > docs/runtime/a.json; echo \"asking with ${TOKEN}\" >&2"));
    let mut command = world.command(&["run", "main", "--dry-run", "-vv"]);
    let ran = Ran::from(command.env(TOKEN, "ntn_value").output().unwrap());
    assert_eq!(ran.code, 0, "{}", ran.err);
    for words in [
        "a script starts",
        "scripts/main.sh",
        TOKEN,
        "a script ended with exit code 0",
        "asking with [redacted]",
        "a check was made",
        "ls docs/runtime/a.json",
    ] {
        assert!(ran.err.contains(words), "{words} is not in:\n{}", ran.err);
    }
    for noise in ["ntn_value", "PRAGMA", "SELECT"] {
        assert!(!ran.err.contains(noise), "{noise}:\n{}", ran.err);
    }
    assert!(ran.out.contains("docs/runtime/a.json"), "{}", ran.out);
    assert!(!world.local("docs").exists());
}
