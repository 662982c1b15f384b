//! The checks that Syncline makes itself, and drift gates, which look at a copy.

use std::fs;

use serde_json::Value;

use crate::git::git;
use crate::support::World;

/// Put together from pieces, so that whoever looks for secrets in this repository finds none.
fn token() -> String {
    ["gh", "p_", "q7Zt2KbX9vLm4RwD8nJc5HsY3fGp6TuEa1Wk"].concat()
}

/// A workspace whose target is the folder `own`, with these lines under its `safety`.
fn world(direction: &str, checks: &str) -> World {
    let world = World::new();
    world.configure(&format!(
        "version: \"1.0\"\nnode: {{ name: here }}\ntargets:\n  main:\n    path: own\n    direction: {direction}\n    remote: {{ kind: folder, path: ../remote }}\n    safety:\n      secret_patterns: [INTERN_.*]\n      {checks}\n"
    ));
    fs::create_dir_all(world.local("own")).unwrap();
    fs::create_dir_all(world.path("remote")).unwrap();
    world
}

fn result(world: &World, code: i32) -> Value {
    world.json(code, &["run"])["results"][0].clone()
}

/// Why the only check failed, as the report tells it.
#[track_caller]
fn failure(world: &World, code: i32) -> String {
    let result = result(world, code);
    let check = &result["checks"][0];
    assert_eq!(check["passed"], false, "{result}");
    check["message"].as_str().unwrap_or_else(|| panic!("{result}")).to_owned()
}

#[test]
fn what_is_not_committed_of_the_target_holds_a_run_and_nothing_else_does() {
    let world = world("push", "pre_sync_checks: [{ builtin: git_clean }]");
    world.write_local("own/a.md", "a");
    assert!(failure(&world, 4).contains("does not lie in a Git repository"));
    let local = world.local("");
    git(&local, &["init", "--quiet"]);
    for (name, value) in [("user.name", "Here"), ("user.email", "here@example.org")] {
        git(&local, &["config", name, value]);
    }
    world.write_local("own/é x.md", "b");
    let found = failure(&world, 4);
    assert_eq!(found, "own/a.md is not in Git; own/é x.md is not in Git");
    git(&local, &["add", "own"]);
    assert!(failure(&world, 4).contains("own/a.md is changed and not committed"));
    git(&local, &["commit", "--quiet", "-m", "own"]);
    // What belongs to nobody here is nobody's business.
    world.write_local("elsewhere.md", "draft");
    let passed = result(&world, 0);
    assert_eq!(
        (&passed["checks"][0]["name"], &passed["checks"][0]["passed"]),
        (&"git_clean".into(), &true.into())
    );
    world.write_local("own/a.md", "edited");
    fs::remove_file(world.local("own/é x.md")).unwrap();
    assert_eq!(
        failure(&world, 4),
        "own/a.md is changed and not committed; own/é x.md is removed, and that is not committed"
    );
}

#[test]
fn what_looks_like_a_secret_is_found_whichever_way_the_target_goes() {
    for (direction, key, code) in [("pull", "post_sync_checks", 1), ("bidirectional", "pre_sync_checks", 4)] {
        let world = world(direction, &format!("{key}: [{{ builtin: secret_scan, name: Clean }}]"));
        world.write_local("elsewhere.env", &token());
        fs::write(world.path("remote/first.md"), "").unwrap();
        world.expect(0, &["run"]);
        fs::write(world.path("remote/a.env"), "INTERN_ID = qwertz99\n").unwrap();
        if direction == "bidirectional" {
            world.write_local("own/b.env", &format!("x\nGITHUB = {}\n", token()));
        }
        let found = failure(&world, code);
        let place = if direction == "pull" {
            "own/a.env:1 (pattern INTERN_.*, "
        } else {
            "own/b.env:2 (github-token, "
        };
        assert!(found.contains(place) && !found.contains("elsewhere"), "{found}");
        assert!(!found.contains(&token()) && !found.contains("qwertz99"), "{found}");
        let (_, rest) = found.split_once("fingerprint ").unwrap();
        world.write_local(".syncline-secrets", rest.split_once(')').unwrap().0);
        world.expect(0, &["run"]);
    }
}

#[test]
fn what_cannot_be_read_as_what_it_calls_itself_is_taken_back() {
    let world = world("pull", "post_sync_checks: [{ builtin: valid_files }]");
    // A folder that is emptied again would make the next run ask.
    fs::write(world.path("remote/first.json"), "{}").unwrap();
    assert_eq!(result(&world, 0)["checks"][0]["passed"], true);
    fs::write(world.path("remote/a.json"), "{\n  \"a\": 1,\n}\n").unwrap();
    fs::write(world.path("remote/b.yaml"), "a: 1\n---\nb: [1\n").unwrap();
    fs::write(world.path("remote/c.txt"), "{ is no JSON, and does not say so").unwrap();
    world.write_local("elsewhere.json", "{");
    let found = failure(&world, 1);
    assert!(found.starts_with("own/a.json:3: key must be a string; own/b.yaml:"), "{found}");
    assert!(!found.contains("c.txt") && !found.contains("elsewhere"), "{found}");
    assert!(!world.local("own/a.json").exists(), "it was taken back");
    fs::write(world.path("remote/a.json"), "{}").unwrap();
    fs::write(world.path("remote/b.yaml"), "a: 1\n---\nb: [1]\n").unwrap();
    assert_eq!(result(&world, 0)["checks"][0]["passed"], true);
}

#[test]
fn files_that_are_named_are_checked_instead_of_those_of_the_target() {
    let world = world(
        "pull",
        "pre_sync_checks: [{ builtin: valid_files, paths: [\"conf/**\"], skip_on_push: true }]",
    );
    world.write_local("own/a.json", "{");
    world.write_local("conf/deep/x.toml", "a = 1\nb = \n");
    world.write_local("conf/log.ndjson", "{}\n{}\n");
    let found = failure(&world, 4);
    assert!(found.starts_with("conf/deep/x.toml:2: ") && !found.contains("own/"), "{found}");
}

#[test]
fn what_a_script_made_is_checked_in_its_copy() {
    let world = World::new();
    world.configure(
        "version: \"1.0\"\ntargets:\n  main:\n    direction: pull\n    entrypoint: main.sh\n    outputs: [\"out/**\"]\nsafety:\n  post_sync_checks:\n    - { builtin: valid_files }\n    - { builtin: secret_scan }\n",
    );
    world.write_local("main.sh", &format!("mkdir -p out; echo '{{' > out/a.json; echo {} > out/b", token()));
    let found = result(&world, 4);
    let told: Vec<&str> =
        found["checks"].as_array().unwrap().iter().filter_map(|check| check["message"].as_str()).collect();
    assert!(told[0].starts_with("out/a.json:2: EOF"), "{told:?}");
    assert!(told[1].contains("out/b:1 (github-token"), "{told:?}");
    assert!(!world.local("out").exists());
}

#[test]
fn keys_that_do_not_count_are_refused_where_they_stand() {
    for (check, told) in [
        ("{ builtin: git_clen }", "did you mean `git_clean`?"),
        ("{ builtin: git_clean, command: x }", "`command` does not go with `builtin: git_clean`"),
        ("{ builtin: git_clean, paths: [x] }", "`paths` does not go with `builtin: git_clean`"),
        ("{ builtin: valid_files, expected_exit_code: 1 }", "`expected_exit_code` does not go with"),
        ("{ name: x, command: y, paths: [x] }", "`paths` does not go with a command"),
        ("{ name: x }", "missing key `command`"),
        ("{ command: x }", "missing key `name`"),
    ] {
        let world = world("pull", &format!("pre_sync_checks: [{check}]"));
        let ran = world.expect(2, &["run"]);
        assert!(ran.err.contains(told) && ran.err.contains("syncline.yaml:10:"), "{check}: {}", ran.err);
    }
    let world = world("pull", "drift_gates: [{ builtin: git_clean }]");
    let told = world.expect(2, &["run"]).err;
    assert!(told.contains("only goes with `pre_sync_checks`"), "{told}");
}

#[test]
fn a_drift_gate_of_a_mirror_changes_a_copy() {
    let gate = "rm -r own && echo gone > gate.sh && touch new && test -z \\\"$(git rev-parse --git-dir 2>/dev/null)\\\" && echo 0";
    let world = world(
        "bidirectional",
        &format!("drift_gates: [{{ name: Drift, command: \"{gate}\", max_drift_score: 0 }}]"),
    );
    git(&world.local(""), &["init", "--quiet"]);
    world.write_local("own/a.md", "a");
    world.write_local("gate.sh", "here");
    let passed = result(&world, 0);
    assert_eq!(
        (&passed["checks"][0]["phase"], &passed["checks"][0]["passed"]),
        (&"drift".into(), &true.into())
    );
    assert_eq!(world.read_local("gate.sh").as_deref(), Some("here"));
    assert!(world.local("own/a.md").exists() && !world.local("new").exists());
    assert_eq!(fs::read(world.path("remote/a.md")).unwrap(), b"a");
    assert_eq!(fs::read_dir(world.local(".syncline/scratch")).unwrap().count(), 0, "copies are removed");
}

#[test]
fn a_drift_gate_sees_what_the_run_did_and_has_it_taken_back() {
    let world = world("pull", "drift_gates: [{ name: Count, command: \"ls own | wc -l\", max_value: 1 }]");
    fs::write(world.path("remote/a"), "").unwrap();
    fs::write(world.path("remote/b"), "").unwrap();
    assert_eq!(
        failure(&world, 1),
        "came to 2, and at most 1 was expected; it said: 2; its command is `ls own | wc -l`"
    );
    assert!(!world.local("own/a").exists());
}

#[cfg(target_os = "linux")]
#[test]
fn a_drift_gate_cannot_reach_the_workspace_where_the_system_sees_to_that() {
    // Landlock lists itself where it is at work.
    let modules = fs::read_to_string("/sys/kernel/security/lsm").unwrap_or_default();
    if !modules.contains("landlock") {
        return;
    }
    let gate = "echo gone > $SYNCLINE_WORKSPACE/gate.sh";
    let world = world("pull", &format!("drift_gates: [{{ name: Drift, command: '{gate}' }}]"));
    world.write_local("gate.sh", "here");
    failure(&world, 1);
    assert_eq!(world.read_local("gate.sh").as_deref(), Some("here"));
}
