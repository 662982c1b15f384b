//! Files that load, and what they become.

use std::path::{Path, PathBuf};

use syncline_config::{Workspace, discover, load as load_file, locate};
use syncline_core::{Direction, Guard, ItemPath, Policy, Resolution, Side};

use crate::support::{kinds, load, target, variables};

const SAMPLE: &str = r#"
# yaml-language-server: $schema=./syncline.schema.json
version: "1.0"
node: { name: helios }
defaults: { direction: pull, dry_run: true, fail_on_diff: true, idempotent: true }
endpoints:
  knowledge: { kind: s3, bucket: knowledge, endpoint: "https://…", token: "${env:R2_TOKEN}" }
targets:
  zebra:
    description: Comes first in the file
    remote: knowledge
  memories:
    direction: bidirectional
    path: ./shared/memories/
    remote: { kind: folder, path: /mnt/backup }
    include: ["**/*.md", "**/*.json"]
    exclude: [build/]
    conflicts:
      - { match: "settings/**", policy: prefer, side: remote }
      - { match: "*.log", policy: newest }
      - { match: "**", policy: manual }
    guard: { deletes_max_percent: 10, deletes_max: 7, sentinel: .syncline-sentinel }
    triggers: { watch: true }
  country: { path: "no", remote: knowledge, conflicts: newest }
history: { keep_days: 7 }
"#;

fn sample() -> Workspace {
    load(SAMPLE).unwrap()
}

#[test]
fn everything_written_takes_effect() {
    let workspace = sample();
    assert_eq!(workspace.node, "helios");
    assert!(workspace.dry_run && workspace.fail_on_diff);
    assert_eq!((workspace.history.keep_days, workspace.history.conflicts_keep_days), (7, 30));
    let names: Vec<&str> = workspace.targets.iter().map(|target| target.name.as_str()).collect();
    assert_eq!(names, ["zebra", "memories", "country"], "targets keep the order of the file");

    let memories = workspace.target("memories").unwrap();
    assert_eq!(memories.direction, Direction::Bidirectional);
    assert_eq!(memories.path, Some(ItemPath::parse("shared/memories").unwrap()));
    assert_eq!((memories.include.len(), memories.exclude.len()), (2, 1));
    assert!(memories.watch);
    let sentinel = Some(ItemPath::parse(".syncline-sentinel").unwrap());
    assert_eq!(memories.guard, Guard { deletes_max_percent: 10, deletes_max: 7, sentinel });
    assert_eq!((memories.remote.name.as_deref(), memories.remote.kind.as_str()), (None, "folder"));
    assert_eq!(*memories.remote.settings, serde_json::json!({ "path": "/mnt/backup" }));
}

#[test]
fn what_is_not_written_has_defaults() {
    let workspace = sample();
    let zebra = workspace.target("zebra").unwrap();
    assert_eq!(zebra.direction, Direction::Pull, "the direction of `defaults`");
    assert_eq!(zebra.path, None);
    assert_eq!(zebra.guard, Guard::default());
    assert!(!zebra.watch && zebra.conflicts.is_empty());
    assert_eq!(zebra.remote.name.as_deref(), Some("knowledge"));

    let bare = load("version: \"1.0\"\ntargets:\nendpoints:\n").unwrap();
    assert!(bare.targets.is_empty(), "a key without a value counts as not written");
    assert!(!bare.node.is_empty(), "the node has the name of the host");
}

#[test]
fn conflict_rules_decide_in_order() {
    let workspace = sample();
    let decide = |name: &str, path: &str| {
        let rules = workspace.target(name).unwrap().conflicts.clone();
        let policy = Policy { rules, ..Policy::new(Direction::Bidirectional) };
        policy.resolution(&ItemPath::parse(path).unwrap())
    };
    assert_eq!(decide("memories", "settings/a.log"), Resolution::Prefer(Side::Remote));
    assert_eq!(decide("memories", "deep/down/a.log"), Resolution::Newest);
    assert_eq!(decide("memories", "a.md"), Resolution::Manual);
    assert_eq!(decide("country", "deep/down/anything"), Resolution::Newest);
    assert_eq!(decide("zebra", "a.md"), Resolution::default());
}

#[test]
fn words_that_older_yaml_took_for_truth_values_stay_text() {
    let workspace = sample();
    assert_eq!(workspace.target("country").unwrap().path, Some(ItemPath::parse("no").unwrap()));
}

#[test]
fn aliases_of_whole_values_work() {
    let text =
        "version: \"1.0\"\ntargets:\n  a: &a { remote: { kind: folder, path: /x }, path: a }\n  b: *a\n";
    let workspace = load(text).unwrap();
    assert_eq!(workspace.targets.len(), 2);
    assert_eq!(workspace.warnings.len(), 1);
    assert_eq!(workspace.warnings[0].code, "targets_overlap");
}

#[test]
fn targets_that_share_files_are_pointed_out() {
    let text = target("remote: disk\npath: shared") + "  inner: { remote: disk, path: shared/deep }\n";
    let workspace = load(&text).unwrap();
    insta::assert_snapshot!(workspace.warnings[0], @"
    warning: the targets `notes` and `inner` share files
      --> syncline.yaml:8:32
      = help: that is allowed, but a change made by one is seen by the other; `include` and `exclude` part them
    ");
    let apart = target("remote: disk\npath: shared") + "  beside: { remote: disk, path: shared-not }\n";
    assert_eq!(load(&apart).unwrap().warnings, []);
}

#[test]
fn targets_are_selected_by_name_glob_and_direction() {
    let workspace = sample();
    let select = |patterns: &[&str], direction| {
        let patterns: Vec<String> = patterns.iter().map(|&pattern| pattern.to_owned()).collect();
        let names = |targets: Vec<&syncline_config::Target>| {
            targets.iter().map(|target| target.name.clone()).collect::<Vec<_>>().join(" ")
        };
        workspace.select(&patterns, direction).map(names).map_err(|error| error.to_string())
    };
    assert_eq!(select(&[], None).unwrap(), "zebra memories country");
    assert_eq!(select(&["country", "z*"], None).unwrap(), "zebra country");
    assert_eq!(select(&["*"], Some(Direction::Bidirectional)).unwrap(), "memories");
    insta::assert_snapshot!(select(&["memoris"], None).unwrap_err(), @"
    error: no target matches `memoris`
      = help: did you mean `memories`?
    ");
    insta::assert_snapshot!(select(&["oca_*"], None).unwrap_err(), @"
    error: no target matches `oca_*`
      = help: known targets: `zebra`, `memories`, `country`
    ");
    insta::assert_snapshot!(select(&["[z"], None).unwrap_err(), @"error: unclosed character class; missing ']' in the pattern `[z`");
    insta::assert_snapshot!(select(&[], Some(Direction::Push)).unwrap_err(), @"
    error: none of the chosen targets has the direction `push`
      = help: see `syncline targets`
    ");
}

#[test]
fn the_file_is_found_from_below() {
    let folder = tempfile::tempdir().unwrap();
    let deep = folder.path().join("a/b");
    std::fs::create_dir_all(&deep).unwrap();
    std::fs::create_dir_all(folder.path().join(".insightpulse")).unwrap();
    assert_eq!(discover(&deep), None);

    let legacy = folder.path().join(".insightpulse/sync.yaml");
    std::fs::write(&legacy, SAMPLE).unwrap();
    assert_eq!(discover(&deep), Some(legacy.clone()));
    let workspace = load_file(&legacy, &variables(&[]), &kinds()).unwrap();
    assert_eq!(workspace.root, folder.path(), "the workspace is the folder above `.insightpulse`");

    let file = folder.path().join("syncline.yaml");
    std::fs::write(&file, SAMPLE).unwrap();
    assert_eq!(discover(&deep), Some(file.clone()));
    assert_eq!(load_file(&file, &variables(&[]), &kinds()).unwrap().root, folder.path());
}

#[test]
fn the_file_can_be_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("other.yaml");
    std::fs::write(&file, SAMPLE).unwrap();
    let named = [("SYNCLINE_CONFIG", "other.yaml")];
    let find = |explicit: Option<&str>, environment: &[(&str, &str)]| {
        let found: Result<PathBuf, _> =
            locate(explicit.map(Path::new), &variables(environment), folder.path());
        found.map_err(|error| error.to_string().replace(folder.path().to_str().unwrap(), "/workspace"))
    };
    assert_eq!(find(Some("other.yaml"), &[]).unwrap(), file);
    assert_eq!(find(None, &named).unwrap(), file);
    insta::assert_snapshot!(find(Some("none.yaml"), &named).unwrap_err(), @"
    error: /workspace/none.yaml does not exist
      = help: run `syncline init` to make one
    ");
    insta::assert_snapshot!(find(None, &[("SYNCLINE_CONFIG", "gone.yaml")]).unwrap_err(), @"
    error: /workspace/gone.yaml does not exist (from SYNCLINE_CONFIG)
      = help: run `syncline init` to make one
    ");
    insta::assert_snapshot!(find(None, &[]).unwrap_err(), @"
    error: there is no syncline.yaml in /workspace or any folder above it
      = help: run `syncline init` to make one, or name it with `--config`
    ");
}

/// The file of a directional sync system, as its users have it.
const DIRECTIONAL: &str = r#"
version: "1.0"

defaults:
  direction: bidirectional  # pull | push | bidirectional
  dry_run: false
  fail_on_diff: false
  idempotent: true
  git_commit: true  # PULL only

targets:
  oca_repos:
    direction: pull
    entrypoint: "scripts/sync-oca-repos.sh"
    schedule: "0 2 * * *"  # Daily at 2 AM UTC
    outputs:
      - "insightpulse_odoo/addons/oca/**"
    verification:
      command: "find insightpulse_odoo/addons/oca -name '__manifest__.py' | wc -l"
      expected_min: 100
  claude_config:
    direction: bidirectional
    entrypoint: "scripts/sync-claude-configs.sh"
    schedule: "0 4 * * *"  # Daily at 4 AM UTC
    config:
      claude_md: "claude.md"
      mcp_config: "$HOME/.config/Code/User/globalStorage/saoudrizwan.claude-dev/settings/cline_mcp_settings.json"
      agent_dir: "$HOME/.claude/superclaude/agents"
      skills_dir: "docs/claude-code-skills"
    outputs:
      - "docs/claude-config-drift.md"
  apps_truth:
    direction: pull
    entrypoint: "scripts/apps-truth-sync.sh"
    schedule: "0 */6 * * *"  # Every 6 hours
    outputs:
      - "docs/runtime/apps_truth.json"
    verification:
      command: "test -f docs/runtime/apps_truth.json && jq -e '.apps | length > 0' docs/runtime/apps_truth.json"
      expected_exit_code: 0
  live_to_docs:
    direction: pull
    entrypoint: "scripts/sync-live-to-docs.sh"
    schedule: "0 */12 * * *"  # Every 12 hours
    outputs:
      - "docs/runtime/ADDONS_PATH.prod.txt"
      - "docs/runtime/DB_CONFIG.prod.txt"
      - "docs/runtime/ENV_VARS.prod.txt"
  skillsmith_catalog:
    direction: pull
    entrypoint: "scripts/skillsmith_sync.py"
    schedule: "0 5 * * 0"  # Weekly on Sunday at 5 AM
    outputs:
      - "docs/claude-code-skills/**"
    verification:
      command: "python scripts/skillsmith_sync.py --check"
      expected_exit_code: 0

safety:
  secret_patterns: [NOTION_API_TOKEN, "NOTION_.*_DB_ID", GITHUB_TOKEN, "SUPABASE_.*KEY", password, secret]
  pre_sync_checks:
    - name: "Git clean"
      command: "git diff --quiet && git diff --staged --quiet"
      skip_on_pull: false
    - name: "No secrets in repo"
      command: "git grep -i -E '(password|secret|token).*=' | grep -v '.insightpulse/sync.yaml' | grep -v 'env.example'"
      expected_exit_code: 1  # Expect no matches
  post_sync_checks:
    - name: "Valid JSON/YAML outputs"
      command: "find docs/runtime -name '*.json' -exec jq empty {} \\;"
      skip_on_push: true
    - name: "Python compileall"
      command: "python -m compileall scripts/"
      skip_on_push: false
  drift_gates:
    - name: "Claude config drift"
      command: "scripts/sync-claude-configs.sh"
      max_drift_score: 0
    - name: "OCA module count"
      command: "find insightpulse_odoo/addons/oca -name '__manifest__.py' | wc -l"
      min_value: 100
"#;

#[test]
fn the_file_of_a_directional_sync_system_loads_as_it_is() {
    let workspace = load(DIRECTIONAL).unwrap();
    assert!(workspace.warnings.is_empty(), "{:?}", workspace.warnings);
    let names: Vec<&str> = workspace.targets.iter().map(|target| target.name.as_str()).collect();
    assert_eq!(names, ["oca_repos", "claude_config", "apps_truth", "live_to_docs", "skillsmith_catalog"]);
    let modules = workspace.target("oca_repos").unwrap();
    assert_eq!(modules.schedule.as_ref().map(ToString::to_string).as_deref(), Some("0 2 * * *"));
    assert!(modules.git_commit.as_ref().is_some_and(|commit| !commit.push && !commit.propose));
    let checks: Vec<&str> = modules.checks.iter().map(|check| check.name.as_str()).collect();
    let of_all = ["Git clean", "No secrets in repo", "Valid JSON/YAML outputs", "Python compileall"];
    assert_eq!(checks[..4], of_all);
    assert_eq!(checks[4..], ["Claude config drift", "OCA module count", "verification"]);
    let claude = workspace.target("claude_config").unwrap().script.as_ref().unwrap();
    assert_eq!(claude.config["skills_dir"], "docs/claude-code-skills");
    assert!(claude.idempotent);
}

#[test]
fn times_and_order_are_those_of_the_target_or_else_of_the_defaults() {
    let file = "version: \"1.0\"
defaults:
  concurrency: 4
  timezone: Europe/Berlin
  missed: all
  jitter: 5m
  windows: [{ days: sat-mon, from: \"22:00\", to: \"06:30\" }]
endpoints: { disk: { kind: folder, path: /mnt/disk } }
targets:
  notes: { remote: disk, path: notes }
  photos:
    remote: disk
    path: photos
    priority: -2
    timezone: Asia/Tokyo
    missed: none
    jitter: 30s
    windows: [{ from: \"9:00\", to: \"24:00\" }, { days: sun, from: \"00:00\", to: \"01:00\", timezone: UTC }]
    triggers: { after: [notes] }
  always: { remote: disk, path: always, windows: [] }
";
    let workspace = load(file).unwrap();
    assert_eq!(workspace.concurrency, 4);
    assert_eq!(load(&target("remote: disk")).unwrap().concurrency, 1);
    let shown = |name: &str| {
        let target = workspace.target(name).unwrap();
        let windows: Vec<String> = target.windows.iter().map(ToString::to_string).collect();
        let (missed, jitter) = (target.missed.name(), target.jitter.as_secs());
        format!(
            "{} {missed} {jitter} {} {:?} [{}]",
            target.timezone,
            target.priority,
            target.after,
            windows.join(", ")
        )
    };
    assert_eq!(shown("notes"), "Europe/Berlin all 300 0 [] [mon,sat,sun 22:00-06:30 Europe/Berlin]");
    let windows = "mon-sun 09:00-24:00 Asia/Tokyo, sun 00:00-01:00 UTC";
    assert_eq!(shown("photos"), format!("Asia/Tokyo none 30 -2 [\"notes\"] [{windows}]"));
    assert_eq!(shown("always"), "Europe/Berlin all 300 0 [] []");
}

#[test]
fn how_it_answers_over_http_is_only_there_when_it_is_written() {
    assert_eq!(load(&target("remote: disk")).unwrap().serve, None);
    let usual = load(&(target("remote: disk") + "serve: {}\n")).unwrap().serve.unwrap();
    assert_eq!(usual.listen.to_string(), "127.0.0.1:8080");
    assert!(!usual.require_token && usual.tls.is_none() && usual.hosts.is_empty());
    assert_eq!((usual.body_max, usual.body_time.as_secs()), (16 << 20, 30));
    let all = "serve:\n  listen: \"[::]:8443\"\n  hosts: [Sync.Example.org, \"[2001:db8::1]\"]\n  require_token: true\n  \
               tls: { cert: /etc/cert.pem, key: key.pem }\n  body_max: 1MiB\n  body_time: 5s\n";
    let workspace = load(&(target("remote: disk") + all)).unwrap();
    let serve = workspace.serve.unwrap();
    assert_eq!((serve.listen.to_string().as_str(), serve.require_token), ("[::]:8443", true));
    assert_eq!(serve.hosts, ["sync.example.org", "[2001:db8::1]"]);
    let tls = serve.tls.unwrap();
    assert_eq!((tls.cert.to_str().unwrap(), tls.key), ("/etc/cert.pem", workspace.root.join("key.pem")));
    assert_eq!((serve.body_max, serve.body_time.as_secs()), (1 << 20, 5));
}

#[test]
fn a_workspace_that_is_limited_to_targets_has_no_others() {
    let file = target("remote: disk\ntriggers: { after: [photos] }")
        + "  photos: { remote: disk, path: photos }\n  repos: { remote: disk, path: repos }\n";
    let workspace = load(&file).unwrap();
    let limited = |patterns: &[&str]| {
        let patterns: Vec<String> = patterns.iter().map(|&pattern| pattern.to_owned()).collect();
        let limited = workspace.limited_to(&patterns).unwrap();
        limited.targets.iter().map(|target| (target.name.clone(), target.after.clone())).collect::<Vec<_>>()
    };
    let named = |name: &str| (name.to_owned(), Vec::new());
    assert_eq!(limited(&["notes", "re*"]), [named("notes"), named("repos")], "nobody hears of photos");
    assert_eq!(limited(&["gone"]), []);
    assert_eq!(limited(&["*"])[0].1, ["photos"]);
}
