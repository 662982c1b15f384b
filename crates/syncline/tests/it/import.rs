//! The files of older tools become a configuration that loads, holds no secret, and overwrites nothing.

use std::fs;
use std::process::Command;

use serde_json::{Value, json};

use crate::support::{Ran, World};

/// In two pieces, so that nobody who searches this file for tokens finds one.
const TOKEN: &str = concat!("ghp_", "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8");
const ENVIRONMENT: &str = concat!(
    "\
export NODE_NAME=helios          # or 'chad'
export CHAD_HOST=chad            # Peer hostname/IP
export CALEB_TELEGRAM_ID=512366713
export SYNC_INTERVAL=60
export HEARTBEAT_PORT=8765
export HEALTH_PORT=8080
export LOG_DIR=\"$PWD/logs\"
export GITHUB_TOKEN=",
    "ghp_",
    "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8\n"
);
const FILE_STATE: &str = r#"{
  "version": "1.0.0",
  "last_sync": { "local_to_remote": "2026-02-08T17:48:00Z", "remote_to_local": "2026-02-08T17:50:00Z" },
  "files": {
    "shared/memories/user_valentin/memories.json":
      { "hash": "sha256:abc123", "size": 4096, "last_modified": "2026-02-08T17:45:00Z", "source": "local" },
    "shared/documents/ingested/doc2.md": { "hash": "sha256:def456", "size": 12 }
  },
  "pending_conflicts": [{ "file": "shared/documents/ingested/doc2.md" }],
  "sync_health": { "status": "healthy", "last_error": null, "consecutive_failures": 0 }
}"#;
const PIPELINE: &str = r#"{
  "version": "1.0",
  "sync_schedule": { "interval_seconds": 3600, "on_ritual": true, "on_deploy": false },
  "sources": {
    "github": { "enabled": true, "repos": ["helix-unified", "Helix"] }, "ucf_state": { "enabled": true }
  },
  "exporters": { "notion": { "enabled": true }, "html": { "enabled": false } },
  "publishers": { "discord": { "enabled": true, "webhook": "https://discord.com/api/webhooks/1/hook-secret" } }
}"#;
const RUN_STATE: &str = r#"{ "node": "helios", "branch": "main", "remote": "origin", "status": "ok",
  "last_sync": "2026-02-18T02:00:00Z", "messages_pending": 0, "uptime": 7200, "api_token": "run-state-secret" }"#;
const SESSIONS: &str = r#"{ "projects": { "helix": { "path": "/home/ada/helix" }, "a: b\n- c #": {} },
  "topics": ["legal"], "sessions": [{ "id": "s1" }, { "id": "s2" }], "lastSync": "2025-11-01T16:00:00Z" }"#;

/// A folder without a configuration, with these files in it.
fn world(files: &[(&str, &str)]) -> World {
    let world = World::new();
    fs::remove_file(world.local("syncline.yaml")).unwrap();
    files.iter().for_each(|(name, text)| world.write_local(name, text));
    world
}

/// What became of a key: its fate and what is said of it.
#[track_caller]
fn told<'a>(made: &'a Value, key: &str) -> (&'a str, &'a str) {
    let mut keys = made["keys"].as_array().unwrap().iter();
    let found = keys.find(|told| told["key"] == key).unwrap_or_else(|| panic!("no {key} in {made}"));
    (found["fate"].as_str().unwrap(), found["message"].as_str().unwrap())
}

#[test]
fn variables_become_a_target_and_no_secret_is_written() {
    let world = world(&[("old.txt", ENVIRONMENT)]);
    let made = world.json(0, &["import", "old.txt"]);
    assert_eq!(made["files"], json!([{ "name": "old.txt", "recognised": "environment" }]));
    for (key, fate) in [
        ("NODE_NAME", "taken"),
        ("SYNC_INTERVAL", "taken"),
        ("CHAD_HOST", "commented"),
        ("HEALTH_PORT", "commented"),
        ("GITHUB_TOKEN", "commented"),
        ("LOG_DIR", "left"),
    ] {
        assert_eq!(told(&made, key).0, fate, "{key}");
    }
    let text = world.read_local("syncline.yaml").unwrap();
    assert!(text.contains("token: \"${env:GITHUB_TOKEN}\"") && text.contains("chad:8765"), "{text}");
    assert!(!text.contains(TOKEN) && !made.to_string().contains(TOKEN));
    let listed = world.json(0, &["targets"]);
    let target = &listed["targets"][0];
    assert_eq!((&target["name"], &target["schedule"]), (&json!("workspace"), &json!("every 1m")), "{listed}");
    assert_eq!(world.read_local("old.txt").as_deref(), Some(ENVIRONMENT));
}

#[test]
fn state_tells_how_to_sync_and_is_not_believed() {
    let world = world(&[("state.json", FILE_STATE), ("sync_state.json", RUN_STATE)]);
    let made = world.json(0, &["import", "state.json", "sync_state.json"]);
    let kinds: Vec<&Value> =
        made["files"].as_array().unwrap().iter().map(|file| &file["recognised"]).collect();
    assert_eq!(kinds, ["file_state", "run_state"]);
    for key in ["files", "last_sync", "sync_health", "pending_conflicts", "uptime", "version"] {
        assert_eq!(told(&made, key).0, "left", "{key}");
    }
    assert!(told(&made, "files").1.contains("compares the files themselves"), "{made}");
    let text = world.read_local("syncline.yaml").unwrap();
    for words in [
        "path: \"shared\"",
        "branch: \"main\"",
        "remote: \"origin\"",
        "{ match: \"**/memories.json\", policy: union }",
        "{ match: \"**/documents/**\", policy: markers }",
        "\"${env:API_TOKEN}\"",
    ] {
        assert!(text.contains(words), "{words} is not in:\n{text}");
    }
    assert!(!text.contains("sha256:") && !text.contains("run-state-secret"), "{text}");
    assert_eq!(world.json(0, &["targets"])["targets"][0]["path"], "shared");
}

#[test]
fn what_this_version_does_not_run_is_a_comment_at_its_place() {
    let world = world(&[("c.json", PIPELINE), ("s.json", SESSIONS), (".sync_env", ENVIRONMENT)]);
    let made = world.json(0, &["import", "c.json", "s.json"]);
    assert_eq!(made["targets"], 0);
    let text = world.read_local("syncline.yaml").unwrap();
    for line in [
        "# targets:",
        "#     schedule: \"every 3600s\"",
        "#     triggers: { events: [ritual] }",
        "#       github: { repos: [\"helix-unified\", \"Helix\"] }",
        "#       html: { enabled: false }",
        "#       discord: { webhook: \"${env:DISCORD_SYNC_WEBHOOK}\" }",
        "#     - \"a: b\\n- c #\"",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is not in:\n{text}");
    }
    assert!(!text.contains("hook-secret") && !made.to_string().contains("hook-secret"));
    assert!(told(&made, "sources.github").1.contains("`owner/name`"), "{made}");
    assert!(
        world.expect(2, &["targets"]).err.contains("has no targets"),
        "it loads, and that is all it lacks"
    );
    let made = world.json(0, &["import", "--force", "c.json", "s.json", ".sync_env"]);
    assert_eq!(made["targets"], 1);
    // Uncommented, each part stands where it belongs: the key `targets` is there once.
    let text = world.read_local("syncline.yaml").unwrap();
    let whole: String =
        text.lines().map(|line| format!("{}\n", line.strip_prefix("# ").unwrap_or(line))).collect();
    assert_eq!(whole.lines().filter(|line| *line == "targets:").count(), 1, "{whole}");
    assert!(whole.find("\n  ecosystem:").unwrap() < whole.find("\npeers:").unwrap(), "{whole}");
}

#[test]
fn nothing_is_overwritten_without_being_kept() {
    let world = world(&[(".sync_env", ENVIRONMENT)]);
    world.configure("version: \"1.0\"\n# mine\n");
    let ran = world.expect(2, &["import", ".sync_env"]);
    assert!(
        ran.err.contains("exists already; nothing was written") && ran.err.contains("--force"),
        "{}",
        ran.err
    );
    let ran = world.expect(0, &["import", ".sync_env", "--dry-run"]);
    assert!(ran.out.contains("nothing was written") && ran.out.contains("name: \"helios\""), "{}", ran.out);
    assert_eq!(world.read_local("syncline.yaml").as_deref(), Some("version: \"1.0\"\n# mine\n"));
    assert_eq!(World::names(&world.path("local")), [".sync_env", "syncline.yaml"]);
    world.expect(0, &["import", ".sync_env", "--force"]);
    let first = world.read_local("syncline.yaml");
    assert_eq!(world.read_local("syncline.yaml.1.bak").as_deref(), Some("version: \"1.0\"\n# mine\n"));
    let made = world.json(0, &["import", ".sync_env", "--force"]);
    assert!(made["backup"].as_str().unwrap().ends_with("syncline.yaml.2.bak"), "{made}");
    assert_eq!(world.read_local("syncline.yaml.2.bak"), first);
    assert_eq!(world.read_local("syncline.yaml.1.bak").as_deref(), Some("version: \"1.0\"\n# mine\n"));
    world.expect(0, &["import", ".sync_env", "--out", "other.yaml"]);
    assert_eq!(world.read_local("other.yaml"), first);
}

#[test]
fn hostile_files_are_refused_or_harmless() {
    let world = world(&[]);
    let refused = |text: &str| {
        world.write_local("x", text);
        let ran = world.expect(2, &["import", "x"]);
        assert!(
            ran.err.contains("x is no file that can be imported") && ran.err.contains("= help:"),
            "{}",
            ran.err
        );
        assert!(!world.local("syncline.yaml").exists());
    };
    for text in [
        "",
        "{",
        "[1]",
        "{}",
        "null",
        "version: \"1.0\"\n",
        "#!/bin/sh\nrm -rf /\n",
        "{\"files\": {}} trailing",
    ] {
        refused(text);
    }
    refused(&format!("{{\"files\": {}{}}}", "[".repeat(100_000), "]".repeat(100_000)));
    let large = fs::File::create(world.local("large")).unwrap();
    large.set_len(1 << 30).unwrap();
    assert!(world.expect(2, &["import", "large"]).err.contains("too large"));
    assert!(Command::new("mkfifo").arg(world.local("pipe")).status().unwrap().success());
    assert!(world.expect(2, &["import", "pipe"]).err.contains("is no file"));
    fs::write(world.local("bytes"), [b'{', 0xff, 0xfe]).unwrap();
    assert!(world.expect(2, &["import", "bytes"]).err.contains("not UTF-8"));
    world.expect(1, &["import", "nowhere"]);
    assert!(!world.local("syncline.yaml").exists());
}

#[test]
fn values_of_the_wrong_form_are_told_and_never_written() {
    let hostile = json!({
        "files": { "../../etc/passwd": {}, "/etc/shadow": {}, "a\nb: c": {} },
        "node": "x\ntargets: { evil: 1 }",
        "branch": "--upload-pack=evil",
        "remote_url": "https://ada:url-secret@git.example/ada/notes.git",
        "interval": -5,
        "path": "../outside",
        "pending_conflicts": "many",
        "git": { "sync_interval": [1], "deeper": { "branch": "main" } },
        TOKEN: 1,
        "\u{1b}[2J\u{202e}": {},
    });
    let world = world(&[("x", &hostile.to_string())]);
    let ran: Ran = world.expect(0, &["import", "x"]);
    let text = world.read_local("syncline.yaml").unwrap();
    for words in ["evil", "etc/", "outside", "url-secret", TOKEN, "\u{1b}"] {
        assert!(!text.contains(words), "{words:?} in {text}");
    }
    for words in ["url-secret", TOKEN, "\u{1b}[2J", "\u{202e}"] {
        assert!(!ran.out.contains(words) && !ran.err.contains(words), "{words:?} in {}", ran.out);
    }
    assert!(text.contains("url: \"https://git.example/ada/notes.git\""), "{text}");
    let made = world.json(0, &["import", "x", "--dry-run"]);
    for key in ["node", "branch", "interval", "path", "pending_conflicts", "git.sync_interval", "git.deeper"]
    {
        assert_eq!(told(&made, key).0, "left", "{key}");
    }
    world.expect(0, &["targets"]);
    let many: String = (0..5000).map(|n| format!("\"k{n}\": 1, ")).collect();
    world.write_local("x", &format!("{{ {many} \"files\": {{}} }}"));
    let made = world.json(0, &["import", "x", "--dry-run"]);
    assert!(made["keys"].as_array().unwrap().len() <= 201, "what is told has an end");
    assert!(told(&made, "…").1.contains("more keys"), "{}", made["keys"]);
}

#[test]
fn the_operation_takes_texts_and_touches_no_file() {
    let world = World::new();
    let before = world.read_local("syncline.yaml");
    let request = json!({ "files": [{ "name": ".sync_env", "text": ENVIRONMENT }] }).to_string();
    let made = world.json(0, &["call", "import_files", "--json", &request]);
    assert!(made["text"].as_str().unwrap().contains("name: \"helios\""), "{made}");
    assert_eq!(world.read_local("syncline.yaml"), before);
    world.expect(2, &["call", "import_files", "--json", "{}"]);
}

#[test]
fn where_two_files_say_different_things_the_first_one_counts() {
    let other = "NODE_NAME=chad\nCHAD_HOST=elsewhere\nHEALTH_PORT=9090\nSYNC_INTERVAL=60\n";
    let again = r#"{ "sync_schedule": { "interval_seconds": 60 }, "sources": { "github": { "repos": ["evil/x"] } } }"#;
    let world =
        world(&[(".sync_env", ENVIRONMENT), ("other", other), ("c.json", PIPELINE), ("again.json", again)]);
    let made = world.json(0, &["import", ".sync_env", "other", "c.json", "again.json"]);
    let left = |file: &str| -> Vec<String> {
        let keys = made["keys"].as_array().unwrap().iter();
        let left = keys.filter(|told| told["file"] == file && told["fate"] == "left");
        left.map(|told| told["key"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(left("other"), ["NODE_NAME", "CHAD_HOST", "HEALTH_PORT"], "what agrees is taken: {made}");
    assert_eq!(left("again.json"), ["sources.github", "sync_schedule.interval_seconds"], "{made}");
    let text = world.read_local("syncline.yaml").unwrap();
    for words in ["elsewhere", "9090", "evil", "every 60s\"\n"] {
        assert!(!text.contains(words), "{words} in {text}");
    }
}
