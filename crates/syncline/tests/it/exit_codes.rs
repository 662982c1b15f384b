//! Every class of exit code.

use crate::support::World;

#[test]
fn done_and_nothing_to_do_are_0() {
    let world = World::new();
    world.write_local("a.txt", "a");
    world.expect(0, &["run"]);
    assert_eq!(world.agreed("a.txt").as_deref(), Some("a"));
    let again = world.expect(0, &["run"]);
    assert!(again.out.contains("nothing to do"), "{}", again.out);
    assert_eq!(again.err, "");
}

#[test]
fn a_failed_target_is_1_and_does_not_stop_the_others() {
    let world = World::new();
    world.configure(
        "version: \"1.0\"\ntargets:\n  bad:\n    path: bad\n    remote: { kind: folder, path: ../file/below }\n  \
         good:\n    path: good\n    remote: { kind: folder, path: ../remote }\n",
    );
    std::fs::write(world.path("file"), "no folder").unwrap();
    world.write_local("bad/a", "a");
    world.write_local("good/b", "b");
    let report = world.json(1, &["run"]);
    assert_eq!(report["total_targets"], 2);
    assert_eq!((&report["successful"], &report["failed"]), (&1.into(), &1.into()), "{report:#}");
    assert_eq!(world.read_remote("b").as_deref(), Some("b"));
}

#[test]
fn a_target_whose_settings_cannot_be_used_is_2_and_a_failure_beside_it_is_1() {
    let world = World::new();
    let bad = "  bad:\n    path: bad\n    remote: { kind: git, url: ../hub.git, token: \"${env:NOBODY_SETS_THIS}\" }\n";
    let good = "  good:\n    path: good\n    remote: { kind: folder, path: ../remote }\n";
    world.configure(&format!("version: \"1.0\"\ntargets:\n{bad}{good}"));
    world.write_local("good/b", "b");
    for arguments in [&["plan"][..], &["status"], &["run", "--dry-run"]] {
        world.expect(2, arguments);
    }
    let report = world.json(2, &["run"]);
    let error = &report["results"][0]["error"];
    assert_eq!((&error["code"], &error["class"]), (&"secret_missing".into(), &"usage".into()), "{report:#}");
    assert_eq!(world.read_remote("b").as_deref(), Some("b"), "the other one runs all the same");
    // Waiting may help one of them: that is what counts.
    let gone = "  gone:\n    path: gone\n    remote: { kind: git, url: ../hub.git }\n";
    world.configure(&format!("version: \"1.0\"\ntargets:\n{bad}{gone}"));
    for arguments in [&["plan"][..], &["status"], &["run"]] {
        world.expect(1, arguments);
    }
}

#[test]
fn a_wrong_command_line_or_file_is_2() {
    let world = World::new();
    world.expect(2, &["run", "--nonsense"]);
    world.expect(2, &["run", "no_such_target"]);
    world.expect(2, &["plan", "--config", "missing.yaml"]);
    world.expect(2, &["run", "--approve", "abc"]);
    let error = world.json(2, &["run", "--nonsense"]);
    assert_eq!(error["error"]["code"], "bad_arguments");
    world.configure("version: \"1.0\"\ntargts: {}\n");
    world.expect(2, &["targets"]);
}

#[test]
fn pending_changes_are_3_where_that_is_asked_for() {
    let world = World::new();
    world.write_local("a.txt", "a");
    world.expect(0, &["plan"]);
    world.expect(3, &["plan", "--detailed-exitcode"]);
    world.expect(3, &["run", "--dry-run", "--detailed-exitcode"]);
    assert_eq!(world.read_remote("a.txt"), None);
    assert!(!world.local(".syncline").exists(), "a dry run makes nothing");
    world.expect(0, &["run"]);
    world.expect(0, &["plan", "--detailed-exitcode"]);
}

#[test]
fn fail_on_diff_makes_changes_count() {
    let world = World::new();
    world.configure(
        "version: \"1.0\"\ndefaults: { fail_on_diff: true }\ntargets:\n  main:\n    remote: { kind: folder, path: ../remote }\n",
    );
    world.write_local("a.txt", "a");
    world.expect(3, &["plan"]);
    world.expect(3, &["run"]);
    world.expect(0, &["run"]);
}

#[test]
fn a_halt_is_4() {
    let world = World::new();
    for index in 0..10 {
        world.write_local(&format!("{index}"), "x");
    }
    world.expect(0, &["run"]);
    for index in 0..9 {
        std::fs::remove_file(world.local(&format!("{index}"))).unwrap();
    }
    world.expect(4, &["run"]);
    world.expect(4, &["plan", "--detailed-exitcode"]);
    assert!(world.read_remote("3").is_some(), "nothing was touched");
}

#[test]
fn open_conflicts_are_5_until_they_are_settled() {
    let world = World::new();
    world.write_local("a.txt", "one");
    world.write_remote("a.txt", "two");
    world.expect(5, &["run"]);
    world.expect(5, &["run"]);
    world.expect(0, &["conflicts", "resolve", "a.txt", "--take", "both"]);
    world.expect(0, &["run"]);
}
