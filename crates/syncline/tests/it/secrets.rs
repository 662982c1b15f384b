//! Secrets: what is about to leave is searched first, and what is found is told without being shown.

use std::fs;
use std::path::Path;

use crate::git::git;
use crate::support::{Ran, World};

/// Put together from pieces, so that whoever looks for secrets in this repository finds none.
fn token() -> String {
    ["gh", "p_", "q7Zt2KbX9vLm4RwD8nJc5HsY3fGp6TuEa1Wk"].concat()
}

const SCANNED: &str = "safety: { secret_scan: true }";

/// A workspace with a file that holds a secret in its third line, and one that holds none.
fn with_secret(world: &World) {
    world.write_local("deploy/settings.env", &format!("# settings\n\nGITHUB = {}\n", token()));
    world.write_local("a.md", "Nothing to hide.\n");
}

/// Runs into the halt, and checks that nothing but the file itself holds the secret.
#[track_caller]
fn halted(world: &World) -> String {
    let plan = world.json(0, &["plan"]);
    assert_eq!(plan["targets"][0]["halts"][0]["code"], "secret_found", "{plan}");
    let human = world.expect(4, &["run", "--report", "../report.md", "-v"]);
    let report = world.json(4, &["run", "--report", "../report.json"]);
    let halts = report["results"][0]["halts"].as_array().unwrap();
    assert_eq!(halts.len(), 1, "{report}");
    assert_eq!((&halts[0]["code"], &halts[0]["approvable"]), (&"secret_found".into(), &false.into()));
    let Ran { out, err, .. } = world.expect(0, &["history"]);
    for told in [human.out, human.err, report.to_string(), plan.to_string(), out, err] {
        assert!(!told.contains(&token()), "{told}");
    }
    assert_eq!(holding(&world.path("."), &token()), ["local/deploy/settings.env"]);
    halts[0]["message"].as_str().unwrap().to_owned()
}

/// The files below a folder that hold this text.
fn holding(folder: &Path, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut waiting = vec![folder.to_owned()];
    while let Some(next) = waiting.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                waiting.push(path);
            } else if fs::read(&path).unwrap().windows(text.len()).any(|part| part == text.as_bytes()) {
                found.push(path.strip_prefix(folder).unwrap().display().to_string());
            }
        }
    }
    found
}

fn fingerprint(message: &str) -> &str {
    let (_, after) = message.split_once("fingerprint ").unwrap();
    after.split_once(')').unwrap().0
}

#[test]
fn a_new_file_with_a_secret_does_not_leave() {
    let world = World::with(SCANNED);
    with_secret(&world);
    let message = halted(&world);
    assert!(message.contains("deploy/settings.env:3 (github-token, fingerprint "), "{message}");
    assert!(
        message.contains("`syncline:allow-secret`") && message.contains(".syncline-secrets"),
        "{message}"
    );
    assert!(World::names(&world.path("remote")).is_empty(), "nothing arrived");
    let drift = world.run(&["drift", "--format", "json"]);
    assert!(drift.out.contains("secret_found") && !drift.out.contains(&token()), "{}", drift.out);
    world.write_local("deploy/settings.env", "GITHUB = ${GITHUB_TOKEN}\n");
    world.expect(0, &["run"]);
    assert!(world.agreed("deploy/settings.env").is_some() && world.agreed("a.md").is_some());
    // It comes in through an edit and through a merge as well.
    world.write_local("deploy/settings.env", &format!("GITHUB = {}\n", token()));
    halted(&world);
    world.write_remote("deploy/settings.env", "# edited there\nGITHUB = ${GITHUB_TOKEN}\n");
    world.expect(4, &["run"]);
    assert_eq!(holding(&world.path("remote"), &token()), Vec::<String>::new());
}

#[test]
fn an_edit_that_merges_is_searched_before_it_is_merged() {
    let world = World::with(SCANNED);
    world.write_local("a.env", "one = 1\n\n\n\ntwo = 2\n");
    world.expect(0, &["run"]);
    world.write_local("a.env", &format!("one = {}\n\n\n\ntwo = 2\n", token()));
    world.write_remote("a.env", "one = 1\n\n\n\ntwo = 3\n");
    let report = world.json(4, &["run"]);
    assert_eq!(report["results"][0]["halts"][0]["code"], "secret_found", "{report}");
    assert_eq!(world.read_remote("a.env").as_deref(), Some("one = 1\n\n\n\ntwo = 3\n"));
}

#[test]
fn what_comes_in_is_not_searched() {
    let world = World::with(SCANNED);
    world.write_remote("there.env", &token());
    world.expect(0, &["run"]);
    assert_eq!(world.agreed("there.env"), Some(token()));
}

#[test]
fn a_line_says_that_its_secret_may_leave() {
    let world = World::with(SCANNED);
    world.write_local("a.env", &format!("GITHUB = {} # syncline:allow-secret\n", token()));
    world.expect(0, &["run"]);
    assert!(world.agreed("a.env").is_some());
}

#[test]
fn a_fingerprint_in_the_baseline_lets_one_secret_leave() {
    let world = World::with(SCANNED);
    with_secret(&world);
    let message = halted(&world);
    let other = ["np", "m_", "q7Zt2KbX9vLm4RwD8nJc5HsY3fGp6TuEa1Wk"].concat();
    world.write_local(
        ".syncline-secrets",
        &format!("# known\n\n{}  of the test server\n", fingerprint(&message)),
    );
    world.write_local("b.env", &other);
    let report = world.json(4, &["run"]);
    let message = report["results"][0]["message"].as_str().unwrap();
    assert!(message.contains("b.env:1 (npm-token") && !message.contains("settings.env"), "{message}");
    fs::remove_file(world.local("b.env")).unwrap();
    world.expect(0, &["run"]);
    assert!(world.agreed("deploy/settings.env").is_some());
}

#[test]
fn patterns_of_the_user_find_what_is_assigned_and_pass_what_is_said() {
    let world = World::with("safety: { secret_scan: true, secret_patterns: [password] }");
    world.write_local(
        "guide.md",
        "# Passwords\n\nThe password: see the vault. Set `password` and `secret` in the environment:\n\n    \
         password: ${DB_PASSWORD}\n    password=<yours>\n",
    );
    world.expect(0, &["run"]);
    assert!(world.agreed("guide.md").is_some());
    world.write_local("db.yaml", &["password: ", "\"letmein\""].concat());
    let report = world.json(4, &["run"]);
    let message = report["results"][0]["message"].as_str().unwrap();
    assert!(message.contains("db.yaml:1 (pattern password, "), "{message}");
    assert_eq!(world.read_remote("db.yaml"), None);
}

#[test]
fn many_places_are_counted() {
    let world = World::with(SCANNED);
    world.write_local("a.env", &format!("{}\n", token()).repeat(23));
    let report = world.json(4, &["run"]);
    let message = report["results"][0]["message"].as_str().unwrap();
    assert!(message.contains("a.env:20 ") && message.contains(", and 3 more;"), "{message}");
    assert!(!message.contains("a.env:21 "), "{message}");
}

#[test]
fn a_folder_is_searched_only_where_that_is_asked_for() {
    let world = World::new();
    with_secret(&world);
    world.expect(0, &["run"]);
    assert!(world.agreed("deploy/settings.env").is_some());
}

#[test]
fn a_script_that_pushes_is_not_run_with_a_secret() {
    let world = World::new();
    world.configure(
        "version: \"1.0\"\nnode: { name: here }\ntargets:\n  main:\n    entrypoint: push.sh\n    direction: push\n    \
         inputs: [\"deploy/**\"]\n    allow_write: [\"../sent\"]\n",
    );
    world.write_local("push.sh", "#!/bin/sh\nset -eu\ncp -r deploy \"$SENT\"\n");
    with_secret(&world);
    halted(&world);
    assert!(!world.path("sent").exists());
}

#[test]
fn nothing_with_a_secret_is_committed() {
    let world = World::new();
    git(&world.path("."), &["init", "--quiet", "--bare", "--initial-branch=main", "hub.git"]);
    let configuration = |rest: &str| {
        format!(
            "version: \"1.0\"\nnode: {{ name: here }}\ntargets:\n  main:\n    remote: {{ kind: git, url: ../hub.git, \
             author: {{ name: Here, email: here@example.org }} }}\n{rest}"
        )
    };
    world.configure(&configuration(""));
    with_secret(&world);
    halted(&world);
    assert_eq!(git(&world.path("hub.git"), &["for-each-ref"]), "", "no branch was made");
    assert_eq!(git(&world.path("hub.git"), &["count-objects"]), "0 objects, 0 kilobytes\n");
    world.configure(&configuration("safety: { secret_scan: false }\n"));
    world.expect(0, &["run"]);
    let sent = git(&world.path("hub.git"), &["cat-file", "blob", "main:deploy/settings.env"]);
    assert!(sent.contains(&token()), "the search can be switched off");
}

#[test]
fn a_rollback_is_not_held_up_by_what_was_there_before() {
    let world = World::new();
    with_secret(&world);
    world.expect(0, &["run"]);
    fs::remove_file(world.local("deploy/settings.env")).unwrap();
    world.expect(0, &["run"]);
    let configured = world.read_local("syncline.yaml").unwrap();
    world.configure(&format!("{configured}    {SCANNED}\n"));
    world.expect(0, &["rollback", "last"]);
    assert!(world.agreed("deploy/settings.env").is_some());
}

#[test]
fn a_pattern_that_cannot_be_used_is_a_mistake_in_the_file() {
    let world = World::with("safety: { secret_patterns: [\"ok\", \"(\"] }");
    let ran = world.expect(2, &["plan"]);
    assert!(ran.err.contains("the pattern cannot be used"), "{}", ran.err);
    let world = World::with("safety: { secret_baseline: ../elsewhere }");
    assert!(world.expect(2, &["plan"]).err.contains("not a baseline"));
}
