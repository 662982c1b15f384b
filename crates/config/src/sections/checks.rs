//! `safety` and `verification`: what decides whether a run may begin, whether anything may leave, and whether it counts.

use regex::Regex;
use schemars::JsonSchema;
use serde::Deserialize;
use syncline_core::{Builtin, Direction, Expectation, filter};

use super::{Resolver, secrets};

/// Checks of every target, or of one.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Safety {
    /// Checked before anything is changed: when one fails, nothing is.
    pre_sync_checks: Vec<Written>,
    /// Checked after the changes: when one fails, they are taken back.
    post_sync_checks: Vec<Written>,
    /// Checked after the changes, in a scratch copy: how far something is from where it should be.
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

/// A check: a command, and what it must come to; or one that Syncline makes itself.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Written {
    /// What people know it by. Default: the name of the built-in check; a command needs one.
    #[schemars(example = &"Git clean")]
    name: Option<String>,
    /// A line for the shell, run at the root of the workspace.
    #[schemars(example = &"test ! -e .deploying")]
    command: Option<String>,
    /// Instead of `command`: a check that Syncline makes itself, of what belongs to the target.
    #[schemars(extend("enum" = builtins()))]
    builtin: Option<String>,
    /// Globs of the files of the workspace that `valid_files` looks at. Default: those of the target.
    #[serde(default)]
    #[schemars(extend("examples" = [["docs/runtime/**"]]))]
    paths: Vec<String>,
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

/// By what something is checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Means {
    /// A line for the shell.
    Command(String),
    /// A check that Syncline makes itself.
    Builtin {
        /// Which one.
        builtin: Builtin,
        /// Globs of the files of the workspace that it looks at; none for those of the target.
        paths: Vec<String>,
    },
}

/// A check, and what it must come to.
#[derive(Clone, Debug)]
pub struct Check {
    /// When it is made.
    pub phase: Phase,
    /// What people know it by.
    pub name: String,
    /// By what it is checked.
    pub means: Means,
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
                let at: Vec<&str> = path.iter().copied().chain([key, &index]).collect();
                checks.extend(check.resolve(phase, &at, resolver));
            }
        }
        Resolved { checks, secrets }
    }
}

impl Written {
    /// What will be checked; `None` when what was written is wrong.
    fn resolve(self, phase: Phase, path: &[&str], resolver: &mut Resolver<'_>) -> Option<Check> {
        let means = self.means(phase, path, resolver)?;
        let name = self.name.unwrap_or_else(|| match &means {
            Means::Builtin { builtin, .. } => builtin.name().to_owned(),
            Means::Command(_) => String::new(),
        });
        let exit_code = self.expected_exit_code.or_else(|| self.max_drift_score.is_none().then_some(0));
        let skips = [(self.skip_on_pull, Direction::Pull), (self.skip_on_push, Direction::Push)];
        Some(Check {
            phase,
            name,
            means,
            skips: skips.into_iter().filter_map(|(skip, direction)| skip.then_some(direction)).collect(),
            expectation: Expectation {
                exit_code,
                min: self.min_value,
                max: self.max_drift_score.or(self.max_value),
                pattern: None,
            },
            keep: self.keep,
        })
    }

    /// By what it is checked.
    fn means(&self, phase: Phase, path: &[&str], resolver: &mut Resolver<'_>) -> Option<Means> {
        let at = |key| path.iter().copied().chain([key]).collect::<Vec<&str>>();
        let builtin = self.builtin.as_deref().and_then(Builtin::named);
        if let Some(key) = self.out_of_place(builtin) {
            let (message, hint) = match builtin {
                Some(builtin) => (
                    format!("`{key}` does not go with `builtin: {}`", builtin.name()),
                    "it says by itself whether it passed; take the key away".to_owned(),
                ),
                None => (format!("`{key}` does not go with a command"), "take the key away".to_owned()),
            };
            resolver.error(&at(key), "unknown_key", message, hint);
            return None;
        }
        for (index, pattern) in self.paths.iter().enumerate() {
            if let Err(error) = filter::glob(pattern) {
                let index = index.to_string();
                let at: Vec<&str> = path.iter().copied().chain(["paths", &index]).collect();
                resolver.error(&at, "bad_glob", error.to_string(), error.hint.map(str::to_owned));
            }
        }
        let needs = |key: &str| format!("missing key `{key}` in a check");
        match (&self.command, builtin) {
            (_, Some(builtin)) if builtin.is_only_before() && phase != Phase::Before => {
                let message = format!("`{}` only goes with `pre_sync_checks`", builtin.name());
                let hint = "what a run has brought in is not committed yet when it is checked".to_owned();
                resolver.error(&at("builtin"), "bad_value", message, hint);
                None
            }
            (_, Some(builtin)) => Some(Means::Builtin { builtin, paths: self.paths.clone() }),
            (Some(command), None) => {
                check_command(command, &at("command"), resolver);
                if self.name.is_none() {
                    let hint = "for example `name: \"Git clean\"`".to_owned();
                    resolver.error(path, "missing_key", needs("name"), hint);
                }
                Some(Means::Command(command.clone()))
            }
            (None, None) => {
                let hint =
                    format!("write a line for the shell, or `builtin` and one of {}", builtins().join(", "));
                resolver.error(path, "missing_key", needs("command"), hint);
                None
            }
        }
    }

    /// A key that says something which does not count.
    fn out_of_place(&self, builtin: Option<Builtin>) -> Option<&'static str> {
        let of_commands = [
            ("command", self.command.is_some()),
            ("expected_exit_code", self.expected_exit_code.is_some()),
            ("min_value", self.min_value.is_some()),
            ("max_value", self.max_value.is_some()),
            ("max_drift_score", self.max_drift_score.is_some()),
        ];
        let is_written = |(key, written): (&'static str, bool)| written.then_some(key);
        let paths = ("paths", !self.paths.is_empty());
        match builtin {
            Some(builtin) if builtin.takes_paths() => of_commands.into_iter().find_map(is_written),
            Some(_) => of_commands.into_iter().chain([paths]).find_map(is_written),
            None => is_written(paths),
        }
    }
}

/// The names of the checks that Syncline makes itself.
fn builtins() -> Vec<&'static str> {
    Builtin::ALL.iter().map(|builtin| builtin.name()).collect()
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
            means: Means::Command(self.command),
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
