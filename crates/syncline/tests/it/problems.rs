//! What a problem tells: the path, the side, and what waits to be looked at.

use std::fs;
use std::process::Command;

use crate::support::World;

#[test]
fn a_problem_names_its_side() {
    let world = World::new();
    world.write_local("a.md", "a");
    assert!(Command::new("mkfifo").arg(world.remote("pipe")).status().unwrap().success());
    let plan = world.json(0, &["plan"]);
    let problem = &plan["targets"][0]["problems"][0];
    assert_eq!((&problem["path"], &problem["side"]), (&"pipe".into(), &"remote".into()), "{plan}");
    let ran = world.expect(0, &["run", "--report", "../report.md"]);
    assert!(ran.out.contains("pipe (remote): "), "{}", ran.out);
    let page = fs::read_to_string(world.path("report.md")).unwrap();
    assert!(page.contains("`pipe` (remote): "), "{page}");
}

#[test]
fn a_ci_system_sees_each_target_as_a_test() {
    let world = World::new();
    world.write_local("a<b>&\u{7}.md", "a");
    world.expect(0, &["run", "--report", "../run.xml"]);
    let page = fs::read_to_string(world.path("run.xml")).unwrap();
    assert!(
        page.contains(r#"<testsuite name="syncline run" tests="1" skipped="0" errors="0" failures="0""#),
        "{page}"
    );
    assert!(page.contains(r#"<testcase name="main" classname="syncline.bidirectional""#), "{page}");
    fs::remove_dir_all(world.path("remote")).unwrap();
    world.expect(4, &["run", "--ci", "--report", "../halted.xml"]);
    let page = fs::read_to_string(world.path("halted.xml")).unwrap();
    assert!(page.contains(r#"<failure message="halted: the remote root is gone"#), "{page}");
}

#[test]
fn what_was_rescued_is_told_until_somebody_takes_it_away() {
    let world = World::new();
    world.write_local("a.md", "a");
    world.expect(0, &["run"]);
    // What a run that died has left: somebody wrote into a folder at the moment it was changing places.
    let left = world.remote(".syncline/staging/dead-run/swap/7");
    fs::create_dir_all(&left).unwrap();
    fs::write(left.join("precious.md"), "precious").unwrap();
    world.write_local("a.md", "edited");
    world.expect(0, &["run"]);
    let place = ".syncline/rescued/dead-run-7";
    assert_eq!(world.read_remote(&format!("{place}/precious.md")).as_deref(), Some("precious"));

    let report = world.json(0, &["run"]);
    let problem = &report["results"][0]["problems"][0];
    assert_eq!((&problem["code"], &problem["path"]), (&"rescued".into(), &place.into()), "{report}");
    assert_eq!(problem["side"], "remote");
    for arguments in [&["run"][..], &["status"], &["doctor"]] {
        let told = world.expect(0, arguments).out;
        assert!(told.contains(place), "{arguments:?}: {told}");
    }
    let status = world.json(0, &["status"]);
    assert_eq!(status["targets"][0]["rescued"][0]["path"], place, "{status}");
    fs::remove_dir_all(world.remote(place)).unwrap();
    assert_eq!(world.json(0, &["run"])["results"][0]["problems"], serde_json::json!([]));
    assert!(!world.expect(0, &["doctor"]).out.contains("rescued"));
}

#[test]
fn a_run_that_left_no_record_still_ends_what_the_one_before_it_has_failed_at() {
    let world =
        World::with("safety:\n  post_sync_checks:\n    - { name: Gate, command: \"test ! -e ../closed\" }");
    let target = || world.json(0, &["status", "--fast"])["targets"][0].clone();
    world.write_local("a.md", "a");
    world.expect(0, &["run"]);
    fs::write(world.path("closed"), "").unwrap();
    world.write_local("b.md", "b");
    world.expect(1, &["run"]);
    let failed = target();
    assert_eq!((&failed["state"], &failed["last_end"]["state"]), (&"failed".into(), &"failed".into()));

    fs::remove_file(world.path("closed")).unwrap();
    fs::remove_file(world.local("b.md")).unwrap();
    assert_eq!(world.json(0, &["run"])["results"][0]["run"], serde_json::Value::Null, "no record");
    let well = target();
    assert_eq!(well["last_run"], failed["last_run"]);
    assert_eq!((&well["state"], &well["last_end"]["state"]), (&"in_agreement".into(), &"succeeded".into()));
    let page = world.expect(0, &["status"]).out;
    assert!(page.contains("in agreement") && page.contains(": nothing to do"), "{page}");
}
