//! Help, manual pages, completions, operations by name, and the demonstration.

use std::io::Write;
use std::process::{Command, Stdio};

use crate::support::World;

#[test]
fn every_command_has_help_and_a_manual_page() {
    let world = World::new();
    let folder = world.path("man");
    world.expect(0, &["man", folder.to_str().unwrap()]);
    let pages = World::names(&folder);
    let commands = [
        "init",
        "import",
        "targets",
        "plan",
        "run",
        "status",
        "history",
        "rollback",
        "restore",
        "explain",
        "conflicts",
        "mcp",
        "scrub",
        "token",
        "audit",
        "doctor",
        "git",
        "demo",
        "call",
        "config",
        "completions",
        "man",
    ];
    for command in commands {
        let help = world.expect(0, &[command, "--help"]);
        assert!(help.out.contains("Usage:"), "{}", help.out);
        let page = std::fs::read_to_string(folder.join(format!("syncline-{command}.1"))).unwrap();
        assert!(page.contains(".SH NAME") && page.contains(".SH SYNOPSIS"), "{command}: {page}");
    }
    for page in ["syncline.1", "syncline-conflicts-resolve.1", "syncline-config-schema.1"] {
        assert!(pages.iter().any(|known| known == page), "{page} is not in {pages:?}");
    }
    assert!(world.expect(0, &["man"]).out.contains(".TH \"SYNCLINE\" \"1\""));
}

#[test]
fn completions_are_scripts_that_shells_accept() {
    let world = World::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = world.expect(0, &["completions", shell]).out;
        assert!(script.contains("syncline"), "{shell}");
        if shell == "bash" {
            let mut bash = Command::new("bash").arg("-n").stdin(Stdio::piped()).spawn().unwrap();
            bash.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
            assert!(bash.wait().unwrap().success());
        }
    }
}

#[test]
fn operations_are_called_by_name() {
    let world = World::new();
    world.write_local("a.md", "a");
    let list = world.json(0, &["call"]);
    let names: Vec<&str> =
        list["operations"].as_array().unwrap().iter().map(|each| each["name"].as_str().unwrap()).collect();
    assert!(names.contains(&"start_run"), "{names:?}");
    let plan = world.json(0, &["call", "make_plan", "--json", r#"{"targets": ["main"]}"#]);
    assert_eq!(plan["targets"][0]["steps"].as_array().unwrap().len(), 1);
    let report = world.json(0, &["call", "start_run"]);
    assert_eq!(report["successful"], 1);
    assert_eq!(world.json(0, &["history"])["runs"][0]["cause"], "call");
    world.expect(2, &["call", "make_plan", "--json", r#"{"tragets": []}"#]);
    world.expect(2, &["call", "nonsense"]);
    for name in names {
        let schema = world.json(0, &["call", name, "--schema"]);
        assert_eq!(schema["request"]["type"], "object", "{name}");
    }
}

#[test]
fn the_demonstration_runs_without_a_terminal() {
    let world = World::new();
    let folder = world.path("demo");
    let began = std::time::Instant::now();
    let ran = world.expect(0, &["demo", "--dir", folder.to_str().unwrap()]);
    assert!(began.elapsed().as_secs() < 10);
    for text in
        ["syncline init", "> move", "! conflict", "took local", "syncline rollback last", "in agreement"]
    {
        assert!(ran.out.contains(text), "{text:?} is not in:\n{}", ran.out);
    }
    assert!(!ran.out.contains('\u{1b}'), "no colours without a terminal");
    assert!(folder.join("report.json").exists());
    let both = |path: &str| {
        let read = |side: &str| std::fs::read(folder.join(side).join(path)).unwrap();
        assert_eq!(read("laptop"), read("server"), "{path}");
    };
    for path in ["config.toml", "media/logo.png", "src/main.rs", "notes/old.md"] {
        both(path);
    }
    world.expect(2, &["demo", "--dir", folder.to_str().unwrap()]);
}

#[test]
fn quiet_prints_only_what_is_wrong() {
    let world = World::new();
    world.write_local("a.md", "a");
    let ran = world.expect(0, &["run", "-q"]);
    assert_eq!((ran.out.as_str(), ran.err.as_str()), ("", ""));
    let ran = world.expect(2, &["run", "-q", "nobody"]);
    assert!(ran.err.contains("no target"), "{}", ran.err);
    assert!(std::process::Command::new("mkfifo").arg(world.local("pipe")).status().unwrap().success());
    let ran = world.expect(0, &["run", "-q"]);
    assert!(ran.out.contains("pipe (local): "), "{}", ran.out);
}
