//! The workflow that is generated from the targets: what it does, when it is stale, and that nothing breaks out of it.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::support::{Ran, World};
use crate::upstream::support::git;

const WORKFLOW: &str = ".github/workflows/syncline.yml";

/// Targets as in a repository that pulls from here and there, some at the same time.
const TARGETS: &str = r#"version: "1.0"
node: { name: here }
endpoints:
  knowledge: { kind: folder, path: ../remote }
targets:
  zebra:
    direction: pull
    entrypoint: scripts/zebra.sh
    schedule: "0 2 * * *"
    outputs: ["docs/zebra/**"]
    env: { NOTION_TOKEN: "${env:NOTION_API_TOKEN}", ROOT: "${env:GITHUB_WORKSPACE}" }
  apps:
    direction: pull
    entrypoint: scripts/apps.sh
    schedule: every 6h
    outputs: ["docs/apps/**"]
  notes:
    direction: push
    path: notes
    remote: knowledge
    schedule: "@daily"
  books:
    direction: push
    path: books
    remote: knowledge
    schedule: "0 2 * * *"
  by_hand:
    direction: push
    path: hand
    remote: { kind: git, url: "https://git.example/x.git", token: "${env:X_TOKEN}" }
"#;

fn world() -> World {
    let world = World::new();
    world.configure(TARGETS);
    world
}

fn read(file: &Path) -> Value {
    serde_saphyr::from_str(&fs::read_to_string(file).unwrap()).unwrap()
}

fn step<'a>(workflow: &'a Value, name: &str) -> &'a Value {
    let steps = workflow["jobs"]["sync"]["steps"].as_array().unwrap();
    steps.iter().find(|step| step["name"] == name).unwrap_or_else(|| panic!("no step {name:?}"))
}

#[test]
fn the_workflow_does_what_the_targets_say() {
    let world = world();
    world.expect(0, &["ci", "generate", "github", "--action", "ada/syncline@v0.1.0"]);
    let workflow = read(&world.local(WORKFLOW));
    assert_eq!(
        workflow["on"]["schedule"],
        json!([{ "cron": "0 2 * * *" }, { "cron": "0 */6 * * *" }, { "cron": "0 0 * * *" }]),
        "one for each schedule, in the order of the file"
    );
    let inputs = &workflow["on"]["workflow_dispatch"]["inputs"];
    assert_eq!(inputs["direction"]["options"], json!(["", "pull", "push", "bidirectional"]));
    let types =
        ["direction", "target", "dry_run", "verify"].map(|name| inputs[name]["type"].as_str().unwrap());
    assert_eq!(types, ["choice", "string", "boolean", "boolean"]);
    assert_eq!(workflow["permissions"], json!({ "contents": "read" }));
    assert_eq!(workflow["concurrency"], json!({ "group": "syncline", "cancel-in-progress": false }));
    let checkout = step(&workflow, "Check out the repository");
    assert_eq!(checkout["with"], json!({ "fetch-depth": 0, "persist-credentials": false }));
    assert_eq!(step(&workflow, "Install Syncline")["uses"], "ada/syncline@v0.1.0");
    let due = step(&workflow, "Run what is due at 0 2 * * *");
    assert_eq!(due["if"], "github.event.schedule == '0 2 * * *'");
    assert_eq!(
        due["env"],
        json!({ "SYNC_TARGETS": "zebra\nbooks", "NOTION_API_TOKEN": "${{ secrets.NOTION_API_TOKEN }}" }),
        "a run is given the secrets of its targets and no others"
    );
    let asked = step(&workflow, "Run what was asked for");
    assert_eq!(asked["env"]["X_TOKEN"], "${{ secrets.X_TOKEN }}");
    assert_eq!(asked["env"]["SYNC_TARGET"], "${{ inputs.target }}");
    for name in ["Keep the state", "Show the report", "Keep the report"] {
        assert_eq!(step(&workflow, name)["if"], "always()", "{name}");
    }
    let (restored, kept) = (step(&workflow, "Bring back the state"), step(&workflow, "Keep the state"));
    assert_eq!(
        (&restored["with"]["path"], &restored["with"]["key"]),
        (&kept["with"]["path"], &kept["with"]["key"])
    );
    let prefix = restored["with"]["restore-keys"].as_str().unwrap();
    assert!(kept["with"]["key"].as_str().unwrap().starts_with(prefix), "{kept}");
    // Whatever a run is told comes through variables: an expression in a script could be anything.
    for step in workflow["jobs"]["sync"]["steps"].as_array().unwrap() {
        assert!(!step["run"].as_str().unwrap_or_default().contains("${{"), "{step}");
    }
    let again = world.json(0, &["ci", "generate", "github"]);
    assert_eq!(again["changed"], false, "the same targets make the same bytes, and the action is remembered");
    let printed = world.expect(0, &["ci", "generate", "github", "--stdout"]);
    assert_eq!(printed.out, world.read_local(WORKFLOW).unwrap());
    world.expect(0, &["ci", "check"]);
}

#[test]
fn a_workflow_that_does_something_else_is_found() {
    let world = world();
    let state = |code| {
        let found = world.json(code, &["ci", "check", "github"]);
        (
            found["state"].as_str().unwrap().to_owned(),
            found["command"].as_str().unwrap_or_default().to_owned(),
        )
    };
    let generate = "syncline ci generate github".to_owned();
    let force = "syncline ci generate github --force".to_owned();
    assert_eq!(state(3), ("missing".to_owned(), generate.clone()));
    world.expect(0, &["ci", "generate", "github"]);
    assert_eq!(state(0), ("current".to_owned(), String::new()));
    let text = world.read_local(WORKFLOW).unwrap();
    world.write_local(WORKFLOW, &text.replace("name: Sync\n", "name:   \"Sync\"  # a comment\n"));
    assert_eq!(state(0).0, "current", "form is nobody's business");
    world.write_local(WORKFLOW, &text.replace("fetch-depth: 0", "fetch-depth: 1"));
    assert_eq!(state(3), ("edited".to_owned(), force.clone()));
    let refused = world.expect(2, &["ci", "generate", "github"]);
    assert!(
        refused.err.contains("was changed by hand") && refused.err.contains("--force"),
        "{}",
        refused.err
    );
    world.write_local(WORKFLOW, "name: Mine\non: push\n");
    assert_eq!(state(3), ("foreign".to_owned(), force));
    world.expect(2, &["ci", "generate", "github"]);
    assert_eq!(world.read_local(WORKFLOW).unwrap(), "name: Mine\non: push\n", "nothing was touched");
    world.expect(0, &["ci", "generate", "github", "--force"]);
    world.configure(&TARGETS.replace("schedule: every 6h", "schedule: every 12h"));
    assert_eq!(state(3), ("stale".to_owned(), generate));
    let told = world.expect(3, &["ci", "check"]);
    assert!(told.out.contains("run `syncline ci generate github`"), "{}", told.out);
    world.expect(0, &["ci", "generate", "github"]);
    assert_eq!(state(0).0, "current");
}

#[test]
fn what_github_cannot_do_is_told() {
    let world = world();
    world.configure(&TARGETS.replace("every 6h", "every 7m").replace("@daily", "0 0 L * *"));
    let zone = "schedule: \"0 2 * * *\"\n    timezone: Europe/Berlin";
    let file = world.read_local("syncline.yaml").unwrap();
    world.configure(&file.replacen("schedule: \"0 2 * * *\"", zone, 1));
    let made = world.json(0, &["ci", "generate", "github"]);
    let warnings: Vec<&str> =
        made["warnings"].as_array().unwrap().iter().map(|warning| warning.as_str().unwrap()).collect();
    let told = |what: &str| warnings.iter().any(|warning| warning.contains(what));
    assert!(told("apps: `every 7m` becomes `*/6 * * * *`"), "{warnings:?}");
    assert!(told("notes: GitHub does not understand the schedule `0 0 L * *`"), "{warnings:?}");
    assert!(told("zebra: GitHub counts in UTC"), "{warnings:?}");
    assert!(told("apps: what it brings into the workspace ends with the job"), "{warnings:?}");
    assert!(!told("books:"), "a push leaves nothing behind: {warnings:?}");
    assert!(told("the runner must have the program `syncline`"), "{warnings:?}");
    world.expect(2, &["ci", "generate", "github", "--action", "ada/syncline@${{ github.token }}"]);
    world.configure(&TARGETS.replacen("0 2 * * *", "0 0 * * 1", 1));
    let crowded = world.expect(0, &["ci", "generate", "github", "--stdout"]);
    assert!(
        crowded.err.contains("`0 0 * * 1`, `0 */6 * * *`, `0 0 * * *` may fall on the same minute"),
        "{}",
        crowded.err
    );
}

#[test]
fn only_who_commits_may_write_to_the_repository() {
    let world = World::new();
    let with = |commit: &str| {
        world.configure(&format!(
            "version: \"1.0\"\ntargets:\n  all:\n    schedule: \"0 1 * * *\"\n    remote: {{ kind: upstream, token: \"${{env:GITHUB_TOKEN}}\"{commit} }}\n"
        ));
        world.expect(0, &["ci", "generate", "github", "--action", "./"]);
        read(&world.local(WORKFLOW))
    };
    let workflow = with("");
    assert_eq!(workflow["permissions"]["contents"], "write");
    let due = step(&workflow, "Run what is due at 0 1 * * *");
    assert_eq!(due["env"]["GITHUB_TOKEN"], "${{ secrets.GITHUB_TOKEN }}");
    assert_eq!(with(", commit: commit")["permissions"]["contents"], "read");
}

#[test]
fn a_workspace_in_a_folder_of_a_repository_is_named_from_its_top() {
    let world = World::new();
    fs::create_dir(world.path(".git")).unwrap();
    world.expect(0, &["ci", "generate", "github"]);
    let workflow = read(&world.path(WORKFLOW));
    assert_eq!(workflow["jobs"]["sync"]["env"]["SYNCLINE_CONFIG"], "local/syncline.yaml");
    assert_eq!(step(&workflow, "Keep the state")["with"]["path"], "local/.syncline");
    assert!(!world.local(WORKFLOW).exists());
    world.expect(0, &["ci", "check"]);
}

/// Runs the script of a step as a runner does.
fn run_step(world: &World, workflow: &Value, name: &str, variables: &[(&str, &str)]) -> Ran {
    let program = Path::new(env!("CARGO_BIN_EXE_syncline")).parent().unwrap();
    let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap());
    let script = world.path("step.sh");
    fs::write(&script, step(workflow, name)["run"].as_str().unwrap()).unwrap();
    let mut bash = Command::new("bash");
    bash.args(["--noprofile", "--norc", "-e", "-o", "pipefail"]).arg(script).current_dir(world.path("local"));
    bash.env("PATH", path).env("RUNNER_TEMP", world.path("temp")).env("SYNCLINE_CONFIG", "syncline.yaml");
    bash.env("GITHUB_STEP_SUMMARY", world.path("summary.md")).envs(variables.iter().copied());
    Ran::from(bash.output().unwrap())
}

#[test]
fn the_steps_run_what_is_due_and_what_was_asked_for_and_nothing_else() {
    let world = world();
    let targets = "  notes:\n    direction: push\n    path: notes\n    remote: { kind: folder, path: ../remote/notes }\n    schedule: \"0 2 * * *\"\n  books:\n    direction: push\n    path: books\n    remote: { kind: folder, path: ../remote/books }\n";
    world.configure(&format!("version: \"1.0\"\nnode: {{ name: here }}\ntargets:\n{targets}"));
    world.write_local("notes/a.md", "a");
    world.write_local("books/b.md", "b");
    world.expect(0, &["ci", "generate", "github"]);
    let workflow = read(&world.local(WORKFLOW));
    fs::create_dir(world.path("temp")).unwrap();
    let name = "Run what is due at 0 2 * * *";
    let due = step(&workflow, name)["env"]["SYNC_TARGETS"].as_str().unwrap();
    let ran = run_step(&world, &workflow, name, &[("SYNC_TARGETS", due)]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert_eq!((world.agreed("notes/a.md").as_deref(), world.read_remote("books/b.md")), (Some("a"), None));
    let report: Value =
        serde_json::from_str(&fs::read_to_string(world.path("temp/syncline/report.json")).unwrap()).unwrap();
    assert_eq!(report["total_targets"], 1, "{report}");
    assert_eq!(run_step(&world, &workflow, "Show the report", &[]).code, 0);
    assert!(fs::read_to_string(world.path("summary.md")).unwrap().contains("notes"));

    let ask = |direction, target, dry_run| {
        let asked = [
            ("SYNC_DIRECTION", direction),
            ("SYNC_TARGET", target),
            ("SYNC_DRY_RUN", dry_run),
            ("SYNC_VERIFY", "true"),
        ];
        run_step(&world, &workflow, "Run what was asked for", &asked)
    };
    assert_eq!(ask("push", "b*", "true").code, 0);
    assert_eq!(world.read_remote("books/b.md"), None, "a dry run changes nothing");
    for evil in
        ["$(touch evil)", "`touch evil`", "'; touch evil; '", "\"; touch evil; \"", "--help", "a\ntouch evil"]
    {
        assert_eq!(ask("", evil, "false").code, 2, "{evil:?} is a target that there is not");
    }
    assert_eq!(ask("push; touch evil", "", "false").code, 2);
    assert!(!world.local("evil").exists());
    let ran = ask("", "books", "false");
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert_eq!(world.agreed("books/b.md").as_deref(), Some("b"));
}

#[test]
fn a_job_in_a_fresh_clone_brings_in_what_is_new_and_pushes_it() {
    let world = World::new();
    let hub = world.path("hub.git");
    git(&world.path("."), &["init", "--quiet", "--bare", "--initial-branch=main", "hub.git"]);
    let local = world.path("local");
    git(&local, &["init", "--quiet", "--initial-branch=main"]);
    git(&local, &["remote", "add", "origin", hub.to_str().unwrap()]);
    world.configure(
        "version: \"1.0\"\nnode: { name: runner }\ntargets:\n  news:\n    direction: pull\n    entrypoint: scripts/news.sh\n    \
         outputs: [\"docs/**\"]\n    schedule: \"@daily\"\n    conflicts: [{ match: \"**\", policy: prefer, side: remote }]\n  \
         keep:\n    path: docs\n    remote: { kind: upstream }\n    schedule: \"@daily\"\n    \
         conflicts: [{ match: \"**\", policy: prefer, side: local }]\n",
    );
    let news = world.path("news");
    world.write_local(
        "scripts/news.sh",
        &format!("#!/bin/sh\nmkdir -p docs\ncat '{}' > docs/news\n", news.display()),
    );
    let made = world.json(0, &["ci", "generate", "github", "--action", "./"]);
    assert_eq!(made["warnings"], json!([]), "this is how it is meant");
    let workflow = read(&world.local(WORKFLOW));
    git(&local, &["add", "."]);
    git(
        &local,
        &["-c", "user.name=person", "-c", "user.email=p@example.org", "commit", "--quiet", "-m", "start"],
    );
    git(&local, &["push", "--quiet", "-u", "origin", "main"]);
    let name = "Run what is due at 0 0 * * *";
    let targets = step(&workflow, name)["env"]["SYNC_TARGETS"].as_str().unwrap();
    for said in ["one", "two", "three"] {
        fs::write(&news, said).unwrap();
        let ran = run_step(&world, &workflow, name, &[("SYNC_TARGETS", targets)]);
        assert_eq!(ran.code, 0, "{said}: {}{}", ran.out, ran.err);
        assert_eq!(git(&hub, &["show", "main:docs/news"]), said);
        assert_eq!(git(&hub, &["ls-tree", "--name-only", "main:docs"]), "news\n", "no copy of a conflict");
        // The next job has a clone of its own, and the state of this one.
        fs::rename(&local, world.path("before")).unwrap();
        git(&world.path("."), &["clone", "--quiet", "hub.git", "local"]);
        let copy =
            Command::new("cp").arg("-R").arg(world.path("before/.syncline")).arg(&local).status().unwrap();
        assert!(copy.success());
        fs::remove_dir_all(world.path("before")).unwrap();
    }
}

#[test]
fn the_action_builds_from_where_it_lies_and_scripts_hold_no_expression() {
    let action = read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../action.yml"));
    assert_eq!((&action["name"], &action["runs"]["using"]), (&"Syncline".into(), &"composite".into()));
    let inputs: Vec<&String> = action["inputs"].as_object().unwrap().keys().collect();
    assert_eq!(inputs, ["arguments", "version"]);
    let steps = action["runs"]["steps"].as_array().unwrap();
    for step in steps.iter().filter(|step| step["run"].is_string()) {
        assert_eq!(step["shell"], "bash", "{step}");
        assert!(!step["run"].as_str().unwrap().contains("${{"), "{step}");
    }
    let builds = |step: &&Value| {
        step["run"].as_str().is_some_and(|run| run.starts_with("cargo install --locked --path"))
    };
    assert_eq!(steps.iter().filter(builds).count(), 1);
}
