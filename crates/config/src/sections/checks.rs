//! `safety` and `verification`: what decides whether a run may begin, whether anything may leave, and whether it counts.

use regex::Regex;
use schemars::JsonSchema;
use serde::Deserialize;
use syncline_core::{Direction, Expectation};

use super::{Resolver, secrets};

/// Checks of every target, or of one.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Safety {
    /// Checked before anything is changed: when one fails, nothing is.
    pre_sync_checks: Vec<Written>,
    /// Checked after the changes: when one fails, they are taken back.
    post_sync_checks: Vec<Written>,
    /// Checked after the changes: how far something is from where it should be. Of a script, in a copy.
    drift_gates: Vec<Written>,
    /// Whether content is searched for secrets before it leaves: what looks like one halts the run. Default: yes, unless
    /// the remote is a folder.
    secret_scan: Option<bool>,
    /// Secrets of your own kinds: names such as `NOTION_.*_DB_ID`, which find what is assigned to them, or regular
    /// expressions for the secret itself.
    #[schemars(extend("examples" = [["NOTION_.*_DB_ID", "SUPABASE_.*KEY", "password"]]))]
    secret_patterns: Vec<String>,
    /// A file of the workspace with the fingerprints of what looks like a secret and is allowed, one in a line.
    #[schemars(example = &".syncline-secrets")]
    secret_baseline: Option<String>,
}

/// What counts around the runs of every target, or of one.
pub(crate) struct Resolved {
    pub(crate) checks: Vec<Check>,
    pub(crate) secrets: secrets::Written,
}

/// A check: a command, and what it must come to.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Written {
    /// What people know it by.
    #[schemars(example = &"Git clean")]
    name: String,
    /// A line for the shell, run at the root of the workspace.
    #[schemars(example = &"git diff --quiet && git diff --staged --quiet")]
    command: String,
    /// Leave it out for targets that pull.
    #[serde(default)]
    skip_on_pull: bool,
    /// Leave it out for targets that push.
    #[serde(default)]
    skip_on_push: bool,
    /// The exit code that it must end with. Default: 0, unless `max_drift_score` is given.
    expected_exit_code: Option<i32>,
    /// The smallest number that it may print at the end.
    min_value: Option<f64>,
    /// The largest number that it may print at the end.
    max_value: Option<f64>,
    /// The largest score: the number that it prints at the end, or its exit code when it prints none.
    max_drift_score: Option<f64>,
    /// Whether changes stay although it fails. Only after the changes.
    #[serde(default)]
    keep: bool,
}

/// What the outputs of a target must come to; checked after the changes.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Verification {
    /// A line for the shell, run at the root of the workspace.
    #[schemars(example = &"find addons -name '__manifest__.py' | wc -l")]
    command: String,
    /// The smallest number that it may print at the end.
    expected_min: Option<f64>,
    /// The largest number that it may print at the end.
    expected_max: Option<f64>,
    /// The exit code that it must end with.
    #[serde(default)]
    expected_exit_code: i32,
    /// A regular expression that its output must match.
    expected_match: Option<String>,
    /// Whether changes stay although it fails.
    #[serde(default)]
    keep: bool,
}

/// When a check is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Before anything is changed.
    Before,
    /// After the changes.
    After,
    /// After the changes, in a scratch copy.
    Drift,
    /// After the changes: what the target itself must come to.
    Verification,
}

/// A check: a command, and what it must come to.
#[derive(Clone, Debug)]
pub struct Check {
    /// When it is made.
    pub phase: Phase,
    /// What people know it by.
    pub name: String,
    /// A line for the shell.
    pub command: String,
    /// The direction for which it is left out.
    pub skips: Vec<Direction>,
    /// What it must come to.
    pub expectation: Expectation,
    /// Whether changes stay although it fails.
    pub keep: bool,
}

impl Safety {
    pub(crate) fn resolve(self, path: &[&str], resolver: &mut Resolver<'_>) -> Resolved {
        let (scan, patterns) = (self.secret_scan, self.secret_patterns);
        let secrets = secrets::Written::read(scan, patterns, self.secret_baseline, path, resolver);
        let parts = [
            (Phase::Before, "pre_sync_checks", self.pre_sync_checks),
            (Phase::After, "post_sync_checks", self.post_sync_checks),
            (Phase::Drift, "drift_gates", self.drift_gates),
        ];
        let mut checks = Vec::new();
        for (phase, key, written) in parts {
            for (index, check) in written.into_iter().enumerate() {
                let index = index.to_string();
                let at: Vec<&str> = path.iter().copied().chain([key, &index, "command"]).collect();
                check_command(&check.command, &at, resolver);
                checks.push(check.resolve(phase));
            }
        }
        Resolved { checks, secrets }
    }
}

impl Written {
    fn resolve(self, phase: Phase) -> Check {
        let exit_code = self.expected_exit_code.or_else(|| self.max_drift_score.is_none().then_some(0));
        let skips = [(self.skip_on_pull, Direction::Pull), (self.skip_on_push, Direction::Push)];
        Check {
            phase,
            name: self.name,
            command: self.command,
            skips: skips.into_iter().filter_map(|(skip, direction)| skip.then_some(direction)).collect(),
            expectation: Expectation {
                exit_code,
                min: self.min_value,
                max: self.max_drift_score.or(self.max_value),
                pattern: None,
            },
            keep: self.keep,
        }
    }
}

impl Verification {
    pub(crate) fn resolve(self, target: &str, resolver: &mut Resolver<'_>) -> Check {
        check_command(&self.command, &["targets", target, "verification", "command"], resolver);
        let pattern = self.expected_match.as_deref().map(Regex::new).transpose();
        let pattern = pattern.unwrap_or_else(|error| {
            let hint = "see https://docs.rs/regex for what may stand in it".to_owned();
            let path = ["targets", target, "verification", "expected_match"];
            resolver.error(&path, "bad_value", format!("the expression cannot be understood: {error}"), hint);
            None
        });
        Check {
            phase: Phase::Verification,
            name: "verification".to_owned(),
            command: self.command,
            skips: Vec::new(),
            expectation: Expectation {
                exit_code: Some(self.expected_exit_code),
                min: self.expected_min,
                max: self.expected_max,
                pattern,
            },
            keep: self.keep,
        }
    }
}

fn check_command(command: &str, path: &[&str], resolver: &mut Resolver<'_>) {
    if command.trim().is_empty() {
        let hint = "write a line for the shell, such as `test -s docs/apps.json`".to_owned();
        resolver.error(path, "bad_value", "the command is empty", hint);
    }
}
