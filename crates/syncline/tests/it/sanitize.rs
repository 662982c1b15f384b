//! `sanitize`: secrets of what comes in never reach the workspace, its history, or its state.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::git::git;
use crate::support::World;

/// Put together from pieces, so that whoever looks for secrets in this repository finds none.
fn token() -> String {
    ["gh", "p_", "q7Zt2KbX9vLm4RwD8nJc5HsY3fGp6TuEa1Wk"].concat()
}

fn world(remote: &str, rest: &str) -> World {
    let world = World::new();
    configure(&world, remote, rest);
    world
}

fn configure(world: &World, remote: &str, rest: &str) {
    world.configure(&format!(
        "version: \"1.0\"\nnode: {{ name: here }}\ntargets:\n  main:\n    direction: pull\n    {remote}\n    {rest}\nsafety: {{ secret_patterns: [\"SUPABASE_.*KEY\", password] }}\n"
    ));
}

const FOLDER: &str = "remote: { kind: folder, path: ../remote }";

/// Checks that nothing below a folder holds the token, compressed or not.
fn holds_nothing(folder: &Path) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            holds_nothing(&path);
            continue;
        }
        let content = fs::read(&path).unwrap();
        let token = token();
        // Part of it would do for whoever wants it, and compression may part it.
        assert!(!content.windows(20).any(|part| part == &token.as_bytes()[..20]), "{}", path.display());
    }
}

fn result(report: &Value) -> &Value {
    &report["results"][0]
}

#[test]
fn only_placeholders_come_in_from_a_folder_and_a_second_run_finds_nothing() {
    let world = world(FOLDER, "sanitize: true");
    let env = format!("SUPABASE_ANON_KEY=short\nGITHUB={} # bot\nREGION=fra\n", token());
    world.write_remote("prod.env", &env);
    world.write_remote("plain.md", "A password is told to nobody.\n");
    let plan = world.json(0, &["plan"]);
    assert!(!plan.to_string().contains(&token()), "{plan}");
    let report = world.json(0, &["run"]);
    let expected = "SUPABASE_ANON_KEY=<redacted:custom>\nGITHUB=<redacted:github-token> # bot\nREGION=fra\n";
    assert_eq!(world.read_local("prod.env").as_deref(), Some(expected));
    assert_eq!(world.read_local("plain.md"), world.read_remote("plain.md"));
    let told = result(&report)["problems"][0]["message"].as_str().unwrap();
    assert!(
        told.starts_with(
            "2 secrets were replaced in what comes in: prod.env:1 (pattern SUPABASE_.*KEY), prod"
        ),
        "{told}"
    );
    assert!(told.contains("prod.env:2 (github-token, fingerprint ") && !told.contains(&token()), "{told}");
    let again = world.json(0, &["run", "--verify"]);
    assert_eq!(result(&again)["message"], "nothing to do", "{again}");
    // An edit there comes in as one here, and what was there before stays as clean.
    world.write_remote("prod.env", &format!("{env}MORE={}\n", token()));
    let report = world.json(0, &["run"]);
    assert_eq!(result(&report)["steps"]["updated"], 1, "{report}");
    assert_eq!(world.read_local("prod.env"), Some(format!("{expected}MORE=<redacted:github-token>\n")));
    world.expect(0, &["rollback", "last"]);
    assert_eq!(world.read_local("prod.env").as_deref(), Some(expected));
    assert!(world.read_remote("prod.env").unwrap().contains(&token()), "the source is never written");
    holds_nothing(&world.local(""));
}

#[test]
fn turning_it_on_cleans_what_came_in_before() {
    let world = world(FOLDER, "description: not yet");
    world.write_remote("a.env", "DB_PASSWORD=odoo\n");
    world.write_remote("b.env", "OTHER=1\n");
    world.expect(0, &["run"]);
    assert_eq!(world.read_local("a.env").as_deref(), Some("DB_PASSWORD=odoo\n"));
    configure(&world, FOLDER, "sanitize: { placeholder: \"[{rule}]\", patterns: [OTHER] }");
    world.expect(0, &["run"]);
    assert_eq!(world.read_local("a.env").as_deref(), Some("DB_PASSWORD=[custom]\n"));
    assert_eq!(world.read_local("b.env").as_deref(), Some("OTHER=[custom]\n"));
    assert_eq!(result(&world.json(0, &["run"]))["message"], "nothing to do");
}

#[test]
fn only_placeholders_come_in_from_git_whatever_it_says_of_its_content() {
    let world = World::new();
    git(&world.path("."), &["init", "--quiet", "--initial-branch=main", "hub"]);
    let hub = world.path("hub");
    for (name, value) in [("user.name", "Here"), ("user.email", "here@example.org")] {
        git(&hub, &["config", name, value]);
    }
    fs::write(hub.join("app.conf"), "db_password = odoo\nport = 1\n").unwrap();
    git(&hub, &["add", "."]);
    git(&hub, &["commit", "--quiet", "-m", "one"]);
    configure(&world, "remote: { kind: git, url: ../hub }", "sanitize: true");
    world.expect(0, &["run"]);
    assert_eq!(world.read_local("app.conf").as_deref(), Some("db_password = <redacted:custom>\nport = 1\n"));
    assert_eq!(result(&world.json(0, &["run"]))["message"], "nothing to do");
}

#[test]
fn what_a_script_makes_is_clean_before_it_is_looked_at() {
    let world = world(
        "entrypoint: main.sh",
        "outputs: [\"docs/**\"]\n    sanitize: true\n    verification: { command: \"! grep -r hunter docs\" }",
    );
    world.write_local(
        "main.sh",
        &format!("echo 'ADMIN_PASSWORD=hunter' > docs/env.txt; echo {} >> docs/env.txt", token()),
    );
    let report = world.json(0, &["run"]);
    assert_eq!(result(&report)["verification_passed"], true, "{report}");
    let told = &result(&report)["problems"][0];
    assert_eq!(
        (&told["code"], result(&report)["problems"].as_array().unwrap().len()),
        (&"sanitized".into(), 1)
    );
    assert!(told["message"].as_str().unwrap().contains("docs/env.txt:2 (github-token, "), "{told}");
    let expected = "ADMIN_PASSWORD=<redacted:custom>\n<redacted:github-token>\n";
    assert_eq!(world.read_local("docs/env.txt").as_deref(), Some(expected));
    assert_eq!(result(&world.json(0, &["run"]))["steps"]["updated"], 0);
    // What it says when it fails is told without them as well.
    world.write_local("main.sh", &format!("echo 'it was {}' >&2; exit 1", token()));
    let ran = world.expect(1, &["run"]);
    let told = ran.out + &ran.err;
    assert!(told.contains("it was <redacted:github-token>") && !told.contains(&token()), "{told}");
}

#[test]
fn what_cannot_be_searched_is_left_out_and_told() {
    let world = world(FOLDER, "sanitize: true");
    let large = fs::File::create(world.remote("large.txt")).unwrap();
    large.set_len(9 << 20).unwrap();
    fs::write(world.remote("secret.bin"), format!("\0{}", token())).unwrap();
    fs::write(world.remote("picture.bin"), b"\x89PNG\0\0\x01\x02").unwrap();
    let report = world.json(1, &["run"]);
    let told = result(&report)["problems"].as_array().unwrap();
    let told: Vec<(&str, &str)> = told
        .iter()
        .map(|problem| (problem["path"].as_str().unwrap(), problem["code"].as_str().unwrap()))
        .collect();
    assert_eq!(told, [("large.txt", "not_sanitized"), ("secret.bin", "not_sanitized")], "{report}");
    assert_eq!(World::names(&world.local("")), [".syncline", "picture.bin", "syncline.yaml"]);
}

#[test]
fn it_goes_with_what_only_comes_in() {
    let world = World::with("sanitize: true");
    let told = world.expect(2, &["run"]).err;
    assert!(told.contains("`sanitize` does not go with `direction: bidirectional`"), "{told}");
    assert!(told.contains("sanitize: true") && told.contains("syncline.yaml:"), "{told}");
}
