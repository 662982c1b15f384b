//! History: runs, versions, rollback, restore, explain.

use crate::support::World;

fn run_id(world: &World, index: usize) -> String {
    let history = world.json(0, &["history"]);
    history["runs"][index]["run"].as_str().unwrap().to_owned()
}

#[test]
fn a_rollback_and_its_own_rollback() {
    let world = World::new();
    world.write_local("keep.md", "keep");
    world.write_local("edit.md", "one");
    world.write_local("gone.md", "gone");
    world.expect(0, &["run"]);
    world.write_local("edit.md", "two");
    world.write_local("new.md", "new");
    std::fs::remove_file(world.local("gone.md")).unwrap();
    world.expect(0, &["run"]);
    world.expect(0, &["rollback", "last"]);
    assert_eq!(world.agreed("edit.md").as_deref(), Some("one"));
    assert_eq!(world.agreed("gone.md").as_deref(), Some("gone"));
    assert_eq!(world.agreed("new.md"), None);
    assert_eq!(world.agreed("keep.md").as_deref(), Some("keep"));
    world.expect(0, &["rollback", "last"]);
    assert_eq!(world.agreed("edit.md").as_deref(), Some("two"));
    assert_eq!(world.agreed("gone.md"), None);
    assert_eq!(world.agreed("new.md").as_deref(), Some("new"));
    world.expect(0, &["plan", "--detailed-exitcode"]);
}

#[test]
fn a_rollback_leaves_alone_what_it_is_not_about() {
    let world = World::new();
    world.write_local("a.md", "one");
    world.write_local("b.md", "one");
    world.expect(0, &["run"]);
    world.write_local("a.md", "two");
    world.expect(0, &["run"]);
    world.write_local("b.md", "not synced yet");
    let dry = world.json(0, &["rollback", "last", "--dry-run"]);
    assert_eq!(dry["targets"][0]["steps"].as_array().unwrap().len(), 2, "{dry:#}");
    world.expect(0, &["rollback", "last"]);
    assert_eq!(world.agreed("a.md").as_deref(), Some("one"));
    assert_eq!(world.read_local("b.md").as_deref(), Some("not synced yet"));
    assert_eq!(world.read_remote("b.md").as_deref(), Some("one"));
}

#[test]
fn the_last_run_is_the_last_one_that_changed_something() {
    let world = World::with("guard: { deletes_max_percent: 10 }");
    world.expect(1, &["rollback", "last"]);
    world.write_local("a.md", "one");
    world.write_local("b.md", "b");
    world.expect(0, &["run"]);
    world.write_local("a.md", "two");
    world.expect(0, &["run"]);
    // A run that only has new times to remember, and one that is halted.
    std::thread::sleep(std::time::Duration::from_millis(20));
    world.write_local("a.md", "two");
    world.expect(0, &["run"]);
    std::fs::remove_file(world.local("b.md")).unwrap();
    world.expect(4, &["run"]);
    assert_eq!(world.json(0, &["history"])["runs"].as_array().unwrap().len(), 4);
    world.expect(0, &["rollback", "last"]);
    assert_eq!(world.agreed("a.md").as_deref(), Some("one"));
}

#[test]
fn a_rollback_takes_an_unambiguous_prefix_and_refuses_what_is_unknown() {
    let world = World::new();
    world.write_local("a.md", "one");
    world.expect(0, &["run"]);
    let run = run_id(&world, 0);
    world.expect(1, &["rollback", "ffffffff"]);
    // Everything would go: that is asked about first.
    let told = world.expect(4, &["rollback", &run[..13]]);
    assert!(!told.out.contains("syncline run"), "{}", told.out);
    assert!(told.err.contains(&format!("syncline rollback {} --approve", &run[..13])), "{}", told.err);
    let halted = world.json(4, &["rollback", &run[..13]]);
    assert_eq!(world.agreed("a.md").as_deref(), Some("one"));
    let hash = halted["results"][0]["plan_hash"].as_str().unwrap();
    world.expect(0, &["rollback", &run[..13], "--approve", hash]);
    assert_eq!(world.agreed("a.md"), None);
}

#[test]
fn restore_brings_back_what_was_removed_or_overwritten() {
    let world = World::new();
    world.write_local("docs/a.md", "one");
    world.write_local("docs/b.md", "b");
    world.expect(0, &["run"]);
    let first = run_id(&world, 0);
    world.write_local("docs/a.md", "two");
    world.expect(0, &["run"]);
    std::fs::remove_dir_all(world.local("docs")).unwrap();
    let hash = world.json(4, &["run"])["results"][0]["plan_hash"].as_str().unwrap().to_owned();
    world.expect(0, &["run", "--approve", &hash]);
    world.expect(0, &["restore", "docs/a.md"]);
    assert_eq!(world.agreed("docs/a.md").as_deref(), Some("two"));
    world.expect(0, &["restore", "docs/a.md", "--at", &first]);
    assert_eq!(world.agreed("docs/a.md").as_deref(), Some("one"));
    world.expect(0, &["restore", "docs", "--at", &first]);
    assert_eq!(world.agreed("docs/b.md").as_deref(), Some("b"));
    let below =
        world.command(&["restore", "b.md", "--dry-run"]).current_dir(world.local("docs")).output().unwrap();
    assert!(below.status.success(), "{}", String::from_utf8_lossy(&below.stderr));
}

#[test]
fn what_rules_leave_out_by_now_is_not_brought_back() {
    let world = World::new();
    world.write_local("a.md", "one");
    world.write_local("b.log", "one");
    world.expect(0, &["run"]);
    let first = run_id(&world, 0);
    world.write_local("a.md", "two");
    world.write_local("b.log", "two");
    world.expect(0, &["run"]);
    world.write_local(".synclineignore", "*.log\n");
    for arguments in [["rollback", "last"].as_slice(), &["restore", "b.log", "--at", &first]] {
        let report = world.json(1, arguments);
        let problems = report["results"][0]["problems"].as_array().unwrap();
        assert_eq!(problems.len(), 1, "{report:#}");
        assert_eq!((&problems[0]["code"], &problems[0]["path"]), (&"excluded".into(), &"b.log".into()));
    }
    assert_eq!(world.agreed("a.md").as_deref(), Some("one"));
    assert_eq!(world.agreed("b.log").as_deref(), Some("two"));
}

#[test]
fn the_folder_of_a_target_means_the_whole_target() {
    let world = World::with("path: shared");
    world.write_local("shared/a.md", "one");
    world.write_local("shared/docs/b.md", "one");
    world.expect(0, &["run"]);
    let first = run_id(&world, 0);
    world.write_local("shared/a.md", "two");
    world.write_local("shared/docs/b.md", "two");
    world.write_local("shared/new.md", "new");
    world.expect(0, &["run"]);
    assert_eq!(world.json(0, &["history", "shared"])["versions"].as_array().unwrap().len(), 6);
    world.expect(0, &["restore", "shared", "--at", "last"]);
    assert_eq!(world.read_remote("a.md").as_deref(), Some("two"));
    world.expect(0, &["restore", "shared/", "--at", &first]);
    assert_eq!(world.read_local("shared/a.md").as_deref(), Some("one"));
    assert_eq!(world.read_remote("docs/b.md").as_deref(), Some("one"));
    assert_eq!((world.read_local("shared/new.md"), world.read_remote("new.md")), (None, None));
    world.expect(0, &["restore", "shared"]);
    assert_eq!(world.read_remote("new.md").as_deref(), Some("new"), "what is not there comes back");
    assert_eq!(world.read_remote("a.md").as_deref(), Some("one"), "what is there stays");
    let explained = world.json(0, &["explain", "shared"]);
    assert_eq!(explained["targets"][0]["is_root"], true);
    assert!(world.expect(0, &["explain", "shared"]).out.contains("the folder of the target itself"));
}

#[test]
fn restore_says_when_there_is_nothing() {
    let world = World::new();
    world.write_local("a.md", "one");
    world.expect(0, &["run"]);
    let ran = world.expect(1, &["restore", "never.md"]);
    assert!(ran.err.contains("knows no version"), "{}", ran.err);
    world.expect(2, &["restore", "/etc/passwd"]);
    world.expect(2, &["restore", "../../outside"]);
}

#[test]
fn history_of_runs_and_of_a_path() {
    let world = World::new();
    assert!(world.expect(0, &["history"]).out.contains("no run yet"));
    world.write_local("a.md", "one");
    world.expect(0, &["run"]);
    world.write_remote("a.md", "two!");
    world.expect(0, &["run"]);
    let history = world.json(0, &["history", "--limit", "1"]);
    let runs = history["runs"].as_array().unwrap();
    assert_eq!(runs.len(), 1);
    for field in
        ["run", "target", "direction", "started", "duration", "success", "steps", "bytes", "conflicts"]
    {
        assert!(!runs[0][field].is_null(), "{field}: {history:#}");
    }
    assert_eq!(runs[0]["bytes"], 4);
    let versions = world.json(0, &["history", "a.md"]);
    let versions = versions["versions"].as_array().unwrap();
    assert_eq!(versions.len(), 2);
    assert_eq!((&versions[0]["action"], &versions[1]["action"]), (&"update".into(), &"create".into()));
}

#[test]
fn explain_tells_rule_sides_and_what_comes_next() {
    let world = World::with("exclude: [\"*.log\"]");
    world.write_local(".synclineignore", "build/\n");
    world.write_local("a.md", "one");
    world.write_local("x.log", "log");
    world.write_local("build/out", "o");
    world.expect(0, &["run"]);
    let excluded = world.json(0, &["explain", "x.log"]);
    assert_eq!(excluded["targets"][0]["verdict"], "ignored");
    assert_eq!(excluded["targets"][0]["rule"], "exclude: *.log");
    let ignored = world.expect(0, &["explain", "build/out"]);
    assert!(ignored.out.contains(".synclineignore: build/"), "{}", ignored.out);
    let config = world.json(0, &["explain", "syncline.yaml"]);
    assert_eq!(config["targets"][0]["verdict"], "ignored");
    world.write_remote("a.md", "two!");
    let changed = world.json(0, &["explain", "a.md"]);
    let target = &changed["targets"][0];
    assert_eq!(target["local"]["state"], "agreed");
    assert_eq!(
        (&target["remote"]["state"], &target["remote"]["item"]["size"]),
        (&"changed".into(), &4.into())
    );
    assert_eq!(target["last"]["action"], "create");
    assert_eq!(target["steps"][0]["action"], "update");
    assert!(world.expect(0, &["explain", "a.md"]).out.contains("← local  ~ update"));
    assert!(world.expect(2, &["explain", "/etc/hosts"]).err.contains("workspace"));
}

/// A run that died after it had changed something and before it could record it: amid the swaps of its batch.
fn cut_short(world: &World) {
    let output = std::process::Command::new("strace")
        .args(["-f", "-qq", "-o", "/dev/null", "-e", "trace=renameat2"])
        .args(["-e", "inject=renameat2:signal=SIGKILL:when=8"])
        .arg(env!("CARGO_BIN_EXE_syncline"))
        .args(["run", "--ci"])
        .current_dir(world.local(""))
        .output()
        .expect("strace is installed by the test command");
    assert!(!output.status.success());
}

#[test]
fn what_a_run_did_that_was_cut_short_is_taken_back_and_restored() {
    let world = World::new();
    for number in 0..20 {
        world.write_local(&format!("d/{number}.txt"), &format!("first {number}"));
    }
    world.expect(0, &["run", "--ci"]);
    for number in 0..5 {
        std::fs::remove_file(world.local(&format!("d/{number}.txt"))).unwrap();
        world.write_local(&format!("d/{}.txt", 10 + number), &format!("second {number}"));
    }
    cut_short(&world);
    let refused = world.expect(1, &["rollback", "last"]);
    assert!(refused.err.contains("cut short"), "{}", refused.err);
    let ran = world.expect(0, &["run", "--ci"]);
    assert!(format!("{}{}", ran.out, ran.err).contains("cut short"), "{}{}", ran.out, ran.err);
    world.expect(0, &["restore", "d/3.txt"]);
    assert_eq!(world.agreed("d/3.txt").as_deref(), Some("first 3"));
    world.expect(0, &["rollback", "last"]);
    world.expect(0, &["rollback", "last"]);
    let run = world.json(0, &["history"])["runs"].as_array().unwrap().clone();
    let cut =
        run.iter().find(|run| run["state"] == "interrupted").unwrap()["run"].as_str().unwrap().to_owned();
    world.expect(0, &["rollback", &cut]);
    for number in 0..20 {
        assert_eq!(world.agreed(&format!("d/{number}.txt")), Some(format!("first {number}")), "{number}");
    }
}

#[test]
fn what_was_just_removed_comes_back_from_the_other_side() {
    let world = World::new();
    for name in ["a.txt", "b/c.txt"] {
        world.write_local(name, name);
    }
    world.expect(0, &["run", "--ci"]);
    std::fs::remove_file(world.local("a.txt")).unwrap();
    std::fs::remove_dir_all(world.local("b")).unwrap();
    assert_eq!(world.expect(4, &["run", "--ci"]).code, 4, "the guard asks");
    world.expect(0, &["restore", "a.txt"]);
    assert_eq!(world.agreed("a.txt").as_deref(), Some("a.txt"));
    world.expect(0, &["restore", "."]);
    assert_eq!(world.agreed("b/c.txt").as_deref(), Some("b/c.txt"));
}

#[test]
fn restoring_a_folder_leaves_what_is_there() {
    let world = World::with("path: proj");
    world.write_local("proj/edited.md", "first");
    world.write_local("proj/gone.md", "gone");
    world.expect(0, &["run", "--ci"]);
    world.write_local("proj/edited.md", "a day of work");
    world.expect(0, &["run", "--ci"]);
    std::fs::remove_file(world.local("proj/gone.md")).unwrap();
    world.expect(0, &["run", "--ci"]);
    world.expect(0, &["restore", "proj"]);
    assert_eq!(world.read_local("proj/gone.md").as_deref(), Some("gone"));
    assert_eq!(world.read_local("proj/edited.md").as_deref(), Some("a day of work"));
}
