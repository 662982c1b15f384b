//! Checks around runs: what fails before changes nothing, what fails after is taken back.

use serde_json::{Value, json};

use crate::support::World;

fn checks(world: &World, code: i32, arguments: &[&str]) -> (Value, Value) {
    let report = world.json(code, arguments);
    let result = report["results"][0].clone();
    let made = result["checks"].as_array().cloned().unwrap_or_default();
    let made = made.iter().map(|check| json!([check["name"], check["phase"], check["passed"]]));
    (made.collect(), result)
}

#[test]
fn a_check_that_fails_before_a_run_keeps_it_from_beginning() {
    let world =
        World::with("safety:\n  pre_sync_checks:\n    - { name: Gate, command: \"test ! -e closed\" }");
    world.write_local("a.md", "a");
    world.write_local("closed", "");
    let (made, result) = checks(&world, 4, &["run"]);
    assert_eq!(made, json!([["Gate", "before", false]]));
    assert_eq!(result["halts"][0]["code"], "check_failed");
    assert!(
        result["message"].as_str().unwrap().starts_with("halted: Gate: ended with exit code 1"),
        "{result}"
    );
    assert_eq!(world.read_remote("a.md"), None);
    std::fs::remove_file(world.local("closed")).unwrap();
    let (made, _) = checks(&world, 0, &["run"]);
    assert_eq!(made, json!([["Gate", "before", true]]));
    assert_eq!(world.agreed("a.md").as_deref(), Some("a"));
}

#[test]
fn a_verification_that_fails_after_a_run_has_it_taken_back() {
    let world = World::with("verification: { command: \"ls *.md | wc -l\", expected_min: 2 }");
    world.write_remote("a.md", "a");
    let (made, result) = checks(&world, 1, &["run"]);
    assert_eq!(made, json!([["verification", "verification", false]]));
    assert_eq!(result["verification_passed"], false);
    let told: Vec<&str> =
        result["problems"].as_array().unwrap().iter().filter_map(|p| p["code"].as_str()).collect();
    assert_eq!(told, ["check_failed", "taken_back"], "{result}");
    assert_eq!(result["problems"][1]["message"], "what was done was taken back");
    assert_eq!(
        (world.read_local("a.md"), world.read_remote("a.md").as_deref()),
        (None, Some("a")),
        "both sides are as they were before"
    );
    world.write_remote("b.md", "b");
    let (_, result) = checks(&world, 0, &["run"]);
    assert_eq!(result["verification_passed"], true, "{result}");
}

#[test]
fn what_a_mirror_pulled_is_taken_back_here_alone() {
    let world = World::with("direction: pull\nverification: { command: \"test ! -e bad.md\" }");
    world.write_remote("a.md", "a");
    world.expect(0, &["run"]);
    world.write_remote("a.md", "a2");
    world.write_remote("bad.md", "bad");
    let (_, result) = checks(&world, 1, &["run"]);
    assert_eq!(result["problems"][1]["message"], "what was done was taken back", "{result}");
    assert_eq!((world.read_local("a.md").as_deref(), world.read_local("bad.md")), (Some("a"), None));
    assert_eq!(world.read_remote("a.md").as_deref(), Some("a2"), "nothing is written there");
    let (_, result) = checks(&world, 1, &["run"]);
    assert_eq!(result["steps"]["created"], 1, "the next run tries the same again: {result}");
    std::fs::remove_file(world.remote("bad.md")).unwrap();
    world.expect(0, &["run"]);
    assert_eq!(world.agreed("a.md").as_deref(), Some("a2"));
}

#[test]
fn what_fails_may_be_kept() {
    let world = World::with("verification: { command: \"false\", keep: true }");
    world.write_remote("a.md", "a");
    let (_, result) = checks(&world, 1, &["run"]);
    assert_eq!(result["verification_passed"], false);
    assert_eq!(world.agreed("a.md").as_deref(), Some("a"));
}

#[test]
fn what_a_script_made_is_checked_before_it_comes_in() {
    let world = World::new();
    world.configure(
        "version: \"1.0\"\ntargets:\n  main:\n    direction: pull\n    entrypoint: main.sh\n    outputs: [\"out/**\"]\n    verification: { command: \"ls out | wc -l\", expected_min: 2 }\nsafety:\n  post_sync_checks:\n    - { name: Named, command: \"test -e out/1\", skip_on_push: true }\n    - { name: Not here, command: \"false\", skip_on_pull: true }\n  drift_gates:\n    - { name: Drift, command: \"rm -r out; echo score 0\", max_drift_score: 0 }\n",
    );
    world.write_local("main.sh", "mkdir -p out; touch out/1");
    let (made, result) = checks(&world, 4, &["run"]);
    let expected =
        [["Named", "after", "true"], ["Drift", "drift", "true"], ["verification", "verification", "false"]];
    let expected: Value =
        expected.map(|[name, phase, passed]| json!([name, phase, passed == "true"])).into_iter().collect();
    assert_eq!(made, expected);
    assert_eq!(result["verification_passed"], false);
    assert!(!world.local("out").exists(), "{result}");
    world.write_local("main.sh", "mkdir -p out; touch out/1 out/2");
    let (_, result) = checks(&world, 0, &["run"]);
    assert_eq!(result["verification_passed"], true);
    assert!(world.local("out/2").exists(), "a drift gate changes a copy of what was made");
}

#[test]
fn a_check_that_cannot_be_started_fails() {
    let world = World::with("safety:\n  pre_sync_checks:\n    - { name: Gone, command: no-such-program }");
    let (_, result) = checks(&world, 4, &["run"]);
    assert!(result["message"].as_str().unwrap().contains("exit code 127"), "{result}");
}
