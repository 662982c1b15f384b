//! The shapes of JSON documents, as the design fixes them.

use serde_json::Value;

use crate::support::World;

#[track_caller]
fn has(value: &Value, fields: &[&str]) {
    for field in fields {
        assert!(value.get(field).is_some(), "{field} is missing in {value:#}");
    }
}

#[test]
fn the_report_has_every_field() {
    let world = World::new();
    world.write_remote("sub/a.md", "a");
    let report = world.json(0, &["run", "--verify", "--report", "../report.json"]);
    has(&report, &["timestamp", "total_targets", "successful", "failed", "total_duration", "results"]);
    let result = &report["results"][0];
    let seed =
        ["target", "direction", "success", "message", "duration", "outputs_created", "verification_passed"];
    has(result, &seed);
    has(result, &["run", "steps", "bytes", "conflicts", "halts", "problems"]);
    has(&result["steps"], &["created", "updated", "moved", "removed"]);
    assert_eq!(result["outputs_created"], serde_json::json!(["sub", "sub/a.md"]));
    assert_eq!(result["verification_passed"], true);
    assert!(report["timestamp"].as_str().unwrap().ends_with('Z'));
    let saved: Value =
        serde_json::from_str(&std::fs::read_to_string(world.path("report.json")).unwrap()).unwrap();
    assert_eq!(saved, report);
    assert_eq!(world.json(0, &["run"])["results"][0]["verification_passed"], Value::Null);
}

#[test]
fn a_markdown_report_is_a_table() {
    let world = World::new();
    world.write_local("a.md", "a");
    world.expect(0, &["run", "--report", "../report.md"]);
    let page = std::fs::read_to_string(world.path("report.md")).unwrap();
    assert!(page.starts_with("# Syncline run\n"), "{page}");
    assert!(page.contains("| main | bidirectional | ✅ 1 created | 1 | 0 | 0 | 0 | 1 |"), "{page}");
}

#[test]
fn status_counts_what_is_pending() {
    let world = World::new();
    world.write_local("a.md", "a");
    let status = world.json(0, &["status"]);
    assert_eq!(status["targets"][0]["state"], "never_run");
    assert_eq!(status["messages_pending"], 1);
    assert!(!world.local(".syncline").exists());
    world.expect(0, &["run"]);
    world.write_local("a.md", "b");
    world.write_local("b.md", "b");
    let status = world.json(0, &["status"]);
    has(&status, &["workspace", "node", "open_conflicts", "backups"]);
    assert_eq!(status["messages_pending"], 2);
    let target = &status["targets"][0];
    assert_eq!((&target["state"], &target["agreed"]), (&"pending".into(), &1.into()));
    assert_eq!(target["last_run"]["success"], true);
    let fast = world.json(0, &["status", "--fast"]);
    assert_eq!(fast["messages_pending"], Value::Null);
}

#[test]
fn an_error_is_a_document_too() {
    let world = World::new();
    let error = world.json(2, &["run", "mian"]);
    has(&error["error"], &["code", "message", "hint"]);
    assert_eq!(error["error"]["code"], "unknown_target");
    assert!(error["error"]["hint"].as_str().unwrap().contains("main"), "{error}");
}
