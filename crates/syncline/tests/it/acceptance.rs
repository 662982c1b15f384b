//! The ten acceptance criteria of a directional sync system, one test each, on `examples/directional`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::examples::copy;
use crate::support::{Ran, World};

const CONFIG: &str = ".insightpulse/sync.yaml";
const WORKFLOW: &str = ".github/workflows/syncline.yml";

/// A copy of the example in a repository of its own, with everything committed.
struct Example {
    world: World,
}

impl Example {
    fn new() -> Self {
        let example = Self { world: World::new() };
        copy(&root().join("examples/directional"), &example.path(""));
        fs::create_dir(example.world.path("home")).unwrap();
        example.git(&["init", "--quiet", "--initial-branch=main"]);
        example.commit();
        example
    }

    fn path(&self, path: &str) -> PathBuf {
        self.world.path("directional").join(path)
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.path(path)).unwrap()
    }

    fn write(&self, path: &str, text: &str) {
        fs::write(self.path(path), text).unwrap();
    }

    /// Puts a check into the file, as the first one of its section.
    fn check(&self, section: &str, check: &str) {
        let key = format!("  {section}:\n");
        let text = self.read(CONFIG);
        assert!(text.contains(&key), "{section} is not in {text}");
        self.write(CONFIG, &text.replace(&key, &format!("{key}    - {check}\n")));
        self.commit();
    }

    fn commit(&self) {
        self.git(&["add", "-A"]);
        self.git(&["commit", "--quiet", "-m", "By hand"]);
    }

    fn git(&self, arguments: &[&str]) -> String {
        let mut git = Command::new("git");
        git.args(["-c", "user.name=Ada", "-c", "user.email=ada@example.org"]).args(arguments);
        let output = self.alone(git.current_dir(self.path(""))).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Without what the person who runs the tests has configured.
    fn alone<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        let command = command.env("HOME", self.world.path("home"));
        command.env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_CONFIG_GLOBAL", "/dev/null")
    }

    #[track_caller]
    fn run(&self, code: i32, arguments: &[&str]) -> Ran {
        let mut command = self.world.command(arguments);
        let ran = Ran::from(self.alone(command.current_dir(self.path(""))).output().unwrap());
        assert_eq!(ran.code, code, "{arguments:?}:\n{}{}", ran.out, ran.err);
        ran
    }

    #[track_caller]
    fn json(&self, code: i32, arguments: &[&str]) -> Value {
        let all: Vec<&str> = arguments.iter().copied().chain(["--format", "json"]).collect();
        serde_json::from_str(&self.run(code, &all).out).unwrap()
    }

    /// What the check of this name came to in each target of a run.
    #[track_caller]
    fn checked(&self, name: &str, code: i32, arguments: &[&str]) -> Vec<bool> {
        let report = self.json(code, arguments);
        let results = report["results"].as_array().unwrap().iter();
        let checks = results.filter_map(|result| result["checks"].as_array()).flatten();
        checks.filter(|check| check["name"] == name).map(|check| check["passed"] == true).collect()
    }

    /// Every file with its content, but for what Git and Syncline keep for themselves.
    fn everything(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let mut found = Vec::new();
        let mut folders = vec![self.path(""), self.world.path("home")];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
                let path = entry.path();
                if entry.file_name() == ".git" {
                    continue;
                }
                if entry.file_type().unwrap().is_dir() {
                    folders.push(path);
                } else {
                    let content = fs::read(&path).unwrap();
                    found.push((path, content));
                }
            }
        }
        found.sort();
        found
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// What a checker of schemas says; `None` where `cargo xtask test` has not installed it.
fn schema_checker(arguments: &[&str], file: &Path) -> Option<bool> {
    let checker = root().join("target/workflow-checker/bin/check-jsonschema");
    let output = Command::new(checker).args(arguments).arg(file).output().ok()?;
    Some(output.status.success())
}

#[test]
fn criterion_1_config_valid() {
    let example = Example::new();
    let schema = root().join("syncline.schema.json");
    let committed: Value = serde_json::from_str(&fs::read_to_string(&schema).unwrap()).unwrap();
    let own: Value = serde_json::from_str(&example.run(0, &["config", "schema"]).out).unwrap();
    assert_eq!(own, committed, "the schema that is committed is the one that the program checks against");
    let checker = ["--schemafile", schema.to_str().unwrap()];
    assert_ne!(schema_checker(&checker, &example.path(CONFIG)), Some(false));
    example.write(CONFIG, &example.read(CONFIG).replace("direction: pull", "direction: pul"));
    assert_ne!(schema_checker(&checker, &example.path(CONFIG)), Some(true));
    assert!(example.run(2, &["targets"]).err.contains("`pul`"));
}

#[test]
fn criterion_2_runner_executable() {
    let listed = Example::new().json(0, &["targets"]);
    let names: Vec<&str> =
        listed["targets"].as_array().unwrap().iter().map(|target| target["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["oca_repos", "claude_config", "apps_truth", "live_to_docs", "status_page"]);
}

#[test]
fn criterion_3_dry_run_works() {
    let example = Example::new();
    let (before, head) = (example.everything(), example.git(&["rev-parse", "HEAD"]));
    let plan = example.json(0, &["run", "--dry-run"]);
    assert_eq!(plan["targets"].as_array().unwrap().len(), 5, "{plan}");
    let steps = |target: &Value| target["steps"].as_array().map_or(0, Vec::len);
    assert!(plan["targets"].as_array().unwrap()[..4].iter().all(|target| steps(target) > 0), "{plan}");
    assert_eq!(example.everything(), before, "a dry run changes nothing");
    assert_eq!(example.git(&["rev-parse", "HEAD"]), head);
    assert_eq!(example.git(&["status", "--porcelain"]), "");
}

#[test]
fn criterion_4_pre_sync_gates_pass() {
    let example = Example::new();
    let clean = "{ name: Git clean, command: \"git diff --quiet && git diff --staged --quiet\", skip_on_pull: false }";
    example.check("pre_sync_checks", clean);
    assert_eq!(example.checked("Git clean", 0, &["run"]), [true; 5]);
    let claude = example.read("claude.md");
    example.write("claude.md", "edited\n");
    assert_eq!(example.checked("Git clean", 4, &["run"]), [false; 5]);
    example.write("claude.md", &claude);
    // No secrets leave: what is published is searched, and what is not published may mention them.
    let token = format!("ghp_{}", "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8");
    let apps = json!({ "apps": [{ "name": "odoo", "token": token }] });
    example.write("world/apps.json", &apps.to_string());
    example.commit();
    let ran = example.run(4, &["run", "apps_truth", "status_page"]);
    assert!(ran.out.contains("docs/runtime/apps_truth.json") && !(ran.out + &ran.err).contains(&token));
    let page = fs::read_to_string(example.world.path("home/.syncline-example-site/index.html")).unwrap();
    assert!(!page.contains(&token), "{page}");
}

#[test]
fn criterion_5_post_sync_gates_pass() {
    let example = Example::new();
    let valid = "{ name: Valid JSON, command: \"for file in docs/runtime/*.json; do python3 -m json.tool < $file > /dev/null || exit 1; done\", skip_on_push: true }";
    let compiles = "{ name: Python compileall, command: \"python3 -m compileall -q scripts\" }";
    example.check("post_sync_checks", compiles);
    assert_eq!(example.checked("Python compileall", 0, &["run", "--direction", "pull"]), [true; 3]);
    example.write("scripts/broken.py", "def broken(:\n");
    example.commit();
    let apps = example.read("docs/runtime/apps_truth.json");
    assert_eq!(example.checked("Python compileall", 4, &["run", "apps_truth"]), [false]);
    fs::remove_file(example.path("scripts/broken.py")).unwrap();
    example.check("post_sync_checks", valid);
    assert_eq!(example.checked("Valid JSON", 0, &["run", "apps_truth"]), [true]);
    example.write("world/apps.json", "{ \"apps\": [");
    example.commit();
    assert_eq!(example.checked("Valid JSON", 4, &["run", "apps_truth"]), [false]);
    assert_eq!(example.read("docs/runtime/apps_truth.json"), apps, "what is not valid does not come in");
}

#[test]
fn criterion_6_drift_gates_green() {
    let example = Example::new();
    assert!(example.checked("Claude config drift", 0, &["run"]).iter().all(|passed| *passed));
    example.json(0, &["drift"]);
    let modules = "{ name: OCA module count, command: \"find addons/oca -name '__manifest__.py' | wc -l\", min_value: 2 }";
    example.check("drift_gates", modules);
    assert_eq!(example.checked("OCA module count", 0, &["run", "oca_repos"]), [true]);
    fs::remove_dir_all(example.path("world/oca/sale-flow")).unwrap();
    fs::remove_dir_all(example.path("addons/oca/sale-flow")).unwrap();
    assert_eq!(example.checked("OCA module count", 4, &["run", "oca_repos"]), [false]);
    example.write("claude.md", &format!("{}- mcp: slack\n", example.read("claude.md")));
    assert_eq!(example.checked("Claude config drift", 4, &["run", "claude_config"]), [false]);
}

#[test]
fn criterion_7_ci_workflow_valid() {
    let example = Example::new();
    example.run(0, &["ci", "generate", "github"]);
    let file = example.path(WORKFLOW);
    assert_ne!(schema_checker(&["--builtin-schema", "vendor.github-workflows"], &file), Some(false));
    let workflow: Value = serde_saphyr::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
    let steps = workflow["jobs"]["sync"]["steps"].as_array().unwrap();
    assert!(workflow["jobs"]["sync"]["runs-on"].is_string() && !steps.is_empty(), "{workflow}");
    for step in steps {
        assert!(step["uses"].is_string() != step["run"].is_string(), "{step}");
    }
    example.write(WORKFLOW, &example.read(WORKFLOW).replace("runs-on:", "runs_on:"));
    assert_ne!(schema_checker(&["--builtin-schema", "vendor.github-workflows"], &file), Some(true));
}

#[test]
fn criterion_8_verification_reports_generated() {
    let example = Example::new();
    example.run(0, &["run", "--report", "report.json"]);
    let report: Value = serde_json::from_str(&example.read("report.json")).unwrap();
    assert!(report["timestamp"].as_str().unwrap().parse::<jiff::Timestamp>().is_ok(), "{report}");
    let counts = [&report["total_targets"], &report["successful"], &report["failed"]];
    assert_eq!(counts, [&json!(5), &json!(5), &json!(0)]);
    assert!(report["total_duration"].is_f64());
    let results = report["results"].as_array().unwrap();
    for result in results {
        for key in ["target", "direction", "message"] {
            assert!(result[key].as_str().is_some_and(|text| !text.is_empty()), "{key} in {result}");
        }
        assert!(result["success"] == true && result["duration"].is_f64(), "{result}");
    }
    let of = |name: &str| results.iter().find(|result| result["target"] == name).unwrap();
    assert_eq!(of("oca_repos")["direction"], "pull");
    assert_eq!(of("oca_repos")["verification_passed"], true);
    assert_eq!(of("claude_config")["verification_passed"], Value::Null, "it has none");
    assert_eq!(of("apps_truth")["outputs_created"], json!(["docs/runtime/apps_truth.json"]));
    assert_eq!(of("status_page")["outputs_created"], json!([]), "what is sent creates nothing here");
}

#[test]
fn criterion_9_git_commits_work() {
    let example = Example::new();
    example.run(0, &["run"]);
    let log = example.git(&["log", "--format=%s"]);
    let subjects: Vec<&str> = log.lines().filter_map(|subject| subject.strip_prefix("Sync ")).collect();
    let targets: Vec<&str> = subjects.iter().map(|subject| subject.split(':').next().unwrap()).collect();
    assert_eq!(targets, ["live_to_docs", "apps_truth", "claude_config", "oca_repos"], "newest first");
    assert_eq!(example.git(&["status", "--porcelain"]), "", "all that came in is committed");
    let files = example.git(&["ls-files", "addons", "docs"]);
    assert!(files.contains("addons/oca/sale-flow/sale_order/__manifest__.py"), "{files}");
    let head = example.git(&["rev-parse", "HEAD"]);
    example.run(0, &["run"]);
    assert_eq!(example.git(&["rev-parse", "HEAD"]), head, "nothing came in, and nothing is committed");
}

#[test]
fn criterion_10_scheduled_runs_execute() {
    let example = Example::new();
    example.run(0, &["ci", "generate", "github"]);
    let workflow: Value = serde_saphyr::from_str(&example.read(WORKFLOW)).unwrap();
    let crons: Vec<&Value> =
        workflow["on"]["schedule"].as_array().unwrap().iter().map(|entry| &entry["cron"]).collect();
    let listed = example.json(0, &["targets"]);
    let due = listed["targets"].as_array().unwrap().iter().map(|target| &target["schedule"]);
    let due: Vec<&Value> = due.filter(|schedule| schedule.is_string()).collect();
    assert_eq!(crons, due, "every schedule of the file, and no other");
    assert_eq!(crons.len(), 4);
    example.run(0, &["ci", "check"]);
    example.write(CONFIG, &example.read(CONFIG).replace("0 */6 * * *", "30 */6 * * *"));
    let ran = example.run(3, &["ci", "check"]);
    assert!(ran.out.contains("syncline ci generate github"), "{}", ran.out);
}
