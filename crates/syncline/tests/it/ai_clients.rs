//! The configuration of AI clients in a home of its own, kept in agreement with a document.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::support::{Ran, World};

const SECRET: &str = "hunter2-value-of-a-variable";
const CURSOR: &str = "{\n  \"mcpServers\": {\n    \"github\": {\n      \"command\": \"npx\",\n      \"args\": [\"-y\", \"server-github\"],\n      \"env\": {\"GITHUB_TOKEN\": \"hunter2-value-of-a-variable\"}\n    }\n  }\n}\n";
const DOCUMENT: &str = "# Mine\n\n## 0. MCP servers\n\n- `docs`: `https://docs.example.org/mcp`\n- `github`: `npx -y server-github`, env `GITHUB_TOKEN`, in `cursor`\n\n## 1. Rules\n\nBe kind.\n";

/// A workspace with a document, and a home with the configuration of Cursor and Claude Code.
fn world(direction: &str, settings: &str) -> World {
    let world = World::new();
    world.configure(&format!(
        "version: \"1.0\"\nnode: {{ name: here }}\ntargets:\n  clients:\n    direction: {direction}\n    remote: {{ kind: ai_clients, document: claude.md, clients: [claude_code, cursor]{settings} }}\n"
    ));
    fs::create_dir_all(world.path("home/.cursor")).unwrap();
    fs::write(world.path("home/.cursor/mcp.json"), CURSOR).unwrap();
    world
}

fn command(world: &World, arguments: &[&str]) -> Command {
    let mut command = world.command(arguments);
    command.env("HOME", world.path("home")).env_remove("XDG_CONFIG_HOME");
    command
}

#[track_caller]
fn expect(world: &World, code: i32, arguments: &[&str]) -> String {
    let ran = Ran::from(command(world, arguments).output().unwrap());
    let said = format!("{}{}", ran.out, ran.err);
    assert_eq!(ran.code, code, "{said}");
    assert!(!said.contains(SECRET), "{said}");
    said
}

fn read(world: &World, path: &str) -> String {
    fs::read_to_string(world.path(path)).unwrap()
}

/// Looks for the secret in every file below a folder: texts as short as these are never compressed.
fn assert_no_secret(folder: &Path) {
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if entry.file_type().unwrap().is_dir() {
            assert_no_secret(&path);
        } else {
            let bytes = fs::read(&path).unwrap();
            let found = bytes.windows(SECRET.len()).any(|window| window == SECRET.as_bytes());
            assert!(!found, "{}", path.display());
        }
    }
}

#[test]
fn a_document_and_clients_come_to_agree_and_no_value_gets_anywhere() {
    let world = world("bidirectional", "");
    world.write_local("other.md", "no part of it\n");
    expect(&world, 0, &["run"]);
    let pulled = world.read_local("claude.md").unwrap();
    assert!(
        pulled.contains("- `github`: `npx -y server-github`, env `GITHUB_TOKEN`, in `cursor`"),
        "{pulled}"
    );
    // A person adds a server to the document: every client gets it, and nothing else of theirs changes.
    world.write_local("claude.md", &format!("{}- `docs`: `https://docs.example.org/mcp`\n", pulled));
    let said = expect(&world, 0, &["drift"]);
    assert!(said.contains("`docs` is named in line 6, and claude_code, cursor do not have it"), "{said}");
    expect(&world, 0, &["run"]);
    assert!(read(&world, "home/.claude.json").contains("\"type\": \"http\""));
    assert!(read(&world, "home/.cursor/mcp.json").starts_with(&CURSOR[..CURSOR.find("\n  }\n").unwrap()]));
    // A client adds one, and a person writes prose: both arrive.
    let cursor = read(&world, "home/.cursor/mcp.json");
    let more = cursor.replacen("\"docs\"", "\"slack\": { \"command\": \"slack-mcp\" },\n    \"docs\"", 1);
    fs::write(world.path("home/.cursor/mcp.json"), &more).unwrap();
    world.write_local("claude.md", &format!("Prose.\n\n{}", world.read_local("claude.md").unwrap()));
    expect(&world, 0, &["run"]);
    let merged = world.read_local("claude.md").unwrap();
    assert!(
        merged.starts_with("Prose.\n") && merged.contains("- `slack`: `slack-mcp`, in `cursor`"),
        "{merged}"
    );
    // Nothing is left to do, and what was done can be taken back.
    assert!(expect(&world, 0, &["drift"]).contains("no drift"));
    assert_eq!(read(&world, "home/.cursor/mcp.json"), more);
    expect(&world, 0, &["history"]);
    assert_no_secret(&world.path("local"));
    assert_eq!(read(&world, "home/.cursor/mcp.json").matches(SECRET).count(), 1);
}

#[test]
fn a_first_run_of_two_that_differ_waits_for_a_person() {
    let world = world("bidirectional", "");
    world.write_local("claude.md", DOCUMENT);
    expect(&world, 5, &["run"]);
    assert_eq!(
        (world.read_local("claude.md").as_deref(), read(&world, "home/.cursor/mcp.json")),
        (Some(DOCUMENT), CURSOR.to_owned())
    );
    assert_eq!(World::names(&world.path("local")), [".syncline", "claude.md", "syncline.yaml"]);
    let list = Ran::from(command(&world, &["conflicts", "list", "--format", "json"]).output().unwrap());
    let list: Value = serde_json::from_str(&list.out).unwrap();
    let id = list["conflicts"][0]["id"].as_str().unwrap();
    expect(&world, 0, &["conflicts", "resolve", id, "--take", "local"]);
    assert!(read(&world, "home/.cursor/mcp.json").contains("docs.example.org"));
    assert_eq!(world.read_local("claude.md").as_deref(), Some(DOCUMENT));
    expect(&world, 0, &["run"]);
}

#[test]
fn sections_that_are_missing_fail_the_target_with_their_lines() {
    let world = world("push", ", sections: \"0-2\"");
    world.write_local("claude.md", DOCUMENT);
    let said = expect(&world, 1, &["run"]);
    assert!(said.contains("line 8: section 2 is missing"), "{said}");
    assert!(expect(&world, 0, &["drift"]).contains("line 8: section 2 is missing"));
    assert_eq!(read(&world, "home/.cursor/mcp.json"), CURSOR);
    world.write_local("claude.md", &format!("{DOCUMENT}\n## 2. Last\n"));
    expect(&world, 0, &["run"]);
}

#[test]
fn what_cannot_be_pushed_says_why_and_what_is_broken_is_never_overwritten() {
    let world = world("push", "");
    world.write_local("claude.md", &DOCUMENT.replace("- `github`", "- `gitlab`"));
    let said = expect(&world, 1, &["run"]);
    assert!(said.contains("GITHUB_TOKEN") && said.contains("by hand"), "{said}");
    assert_eq!(read(&world, "home/.cursor/mcp.json"), CURSOR);
    fs::write(world.path("home/.cursor/mcp.json"), &CURSOR[..CURSOR.len() - 4]).unwrap();
    let said = expect(&world, 1, &["run"]);
    assert!(said.contains("is no JSON in line") && said.contains("mcp.json"), "{said}");
    assert_eq!(read(&world, "home/.cursor/mcp.json"), &CURSOR[..CURSOR.len() - 4]);
    expect(&world, 1, &["doctor"]);
}

#[test]
fn the_drift_report_says_what_is_missing_where() {
    let world = world("pull", "");
    world.write_local("claude.md", DOCUMENT);
    expect(&world, 3, &["drift", "--detailed-exitcode", "--report", "drift.md"]);
    let page = world.read_local("drift.md").unwrap();
    assert!(page.contains("is named in line 5, and claude\\_code, cursor do not have it"), "{page}");
    let ran = Ran::from(command(&world, &["drift", "--format", "json"]).output().unwrap());
    let report: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(report["results"][0]["problems"][0]["code"], "differs", "{report}");
    assert!(!format!("{page}{report}").contains(SECRET));
}

#[test]
fn a_line_that_a_person_removes_goes_from_the_clients_even_while_they_change() {
    let world = world("bidirectional", "");
    expect(&world, 0, &["run"]);
    let first = world.read_local("claude.md").unwrap();
    let with = |line: &str| world.write_local("claude.md", &format!("{first}{line}"));
    with("- `bin`: `run it`, in `cursor`\n");
    expect(&world, 0, &["run"]);
    assert!(read(&world, "home/.cursor/mcp.json").contains("\"bin\""));
    with("");
    expect(&world, 0, &["run"]);
    assert_eq!(read(&world, "home/.cursor/mcp.json"), CURSOR);
    // What was agreed on is only remembered: without that, the state of the clients tells that they changed nothing.
    with("- `bin`: `run it`, in `cursor`\n");
    expect(&world, 0, &["run"]);
    fs::remove_dir_all(world.local(".syncline/ai_clients")).unwrap();
    with("");
    expect(&world, 0, &["run"]);
    assert_eq!(read(&world, "home/.cursor/mcp.json"), CURSOR);
    // The same, while a client adds a server of its own.
    with("- `bin`: `run it`, in `cursor`\n");
    expect(&world, 0, &["run"]);
    with("");
    fs::write(world.path("home/.claude.json"), "{\"mcpServers\": {\"abc\": {\"command\": \"abc\"}}}\n")
        .unwrap();
    expect(&world, 0, &["run"]);
    assert_eq!(read(&world, "home/.cursor/mcp.json"), CURSOR);
    assert!(world.read_local("claude.md").unwrap().contains("- `abc`: `abc`, in `claude_code`"));
    // And back: what a run did is taken back on both sides.
    expect(&world, 0, &["run"]);
    let list = Ran::from(command(&world, &["history", "--format", "json"]).output().unwrap());
    let list: Value = serde_json::from_str(&list.out).unwrap();
    let before_last = list["runs"][0]["run"].as_str().unwrap();
    let server_of_its_own = read(&world, "home/.claude.json");
    expect(&world, 0, &["rollback", before_last]);
    assert!(read(&world, "home/.cursor/mcp.json").contains("\"bin\""), "{server_of_its_own}");
}
