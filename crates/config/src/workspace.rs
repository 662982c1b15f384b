//! What will be done: the effective configuration.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use syncline_core::{Direction, Guard, ItemPath, Missed, Rule, Schedule, Standing, Window};

use crate::error::{ConfigError, Warning};
use crate::sections::alerts::AlertsConfig;
use crate::sections::checks::Check;
use crate::sections::committing::GitCommit;
use crate::sections::endpoint::EndpointConfig;
use crate::sections::history::HistoryConfig;
use crate::sections::notify::Notification;
use crate::sections::peers::PeersConfig;
use crate::sections::script::Script;
use crate::sections::secrets::SecretScan;
use crate::sections::serve::ServeConfig;
use crate::sections::webhooks::Webhook;
use crate::suggest::{hint, quote};

/// A workspace, as its file describes it.
#[derive(Clone, Debug)]
pub struct Workspace {
    /// Its folder, absolute: the local side of every target.
    pub root: PathBuf,
    /// The file, absolute.
    pub file: PathBuf,
    /// The name of this machine.
    pub node: String,
    /// The folder below the root into which is written how this node is doing, where that is asked for.
    pub state_files: Option<PathBuf>,
    /// Whether a run, a plan or a drift check that finds changes fails.
    pub fail_on_diff: bool,
    /// Whether a run only shows what it would do.
    pub dry_run: bool,
    /// How many targets run at once.
    pub concurrency: usize,
    /// How long old versions are kept.
    pub history: HistoryConfig,
    /// How it answers over HTTP; `None` when the file does not say that it is to.
    pub serve: Option<ServeConfig>,
    /// When people are told that something is wrong, and how.
    pub alerts: AlertsConfig,
    /// The other nodes.
    pub peers: PeersConfig,
    /// The program that conflicts are merged with by hand, and its arguments, as it is written.
    pub merge_tool: Option<String>,
    /// The targets, in the order of the file.
    pub targets: Vec<Target>,
    /// Who may tell that something has changed, in the order of their names.
    pub webhooks: Vec<Webhook>,
    /// Programs elsewhere that are told what happens, in the order of their names.
    pub notify: Vec<Notification>,
    /// What is allowed but probably not meant.
    pub warnings: Vec<Warning>,
}

/// A mirror, or a script.
#[derive(Clone, Debug)]
pub struct Target {
    /// Its name.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// Which way changes may flow.
    pub direction: Direction,
    /// Its folder, relative to the workspace; `None` is the workspace itself.
    pub path: Option<ItemPath>,
    /// The place outside; of a script, its entrypoint and its environment, of the kind `script`.
    pub remote: EndpointConfig,
    /// The script, when it is one.
    pub script: Option<Script>,
    /// Globs: when there are any, only what they match belongs to the target.
    pub include: Vec<String>,
    /// Globs: what they match does not belong to the target.
    pub exclude: Vec<String>,
    /// Conflict rules, first match first.
    pub conflicts: Vec<Rule>,
    /// When to stop and ask.
    pub guard: Guard,
    /// Whether changes on a side that can be watched start a run.
    pub watch: bool,
    /// The targets that go first, when they are to run as well.
    pub after: Vec<String>,
    /// The events that start a run.
    pub events: Vec<String>,
    /// Higher goes first among those that may go.
    pub priority: i64,
    /// When it is due.
    pub schedule: Option<Schedule>,
    /// The time zone of its schedule, by its name in the IANA database.
    pub timezone: String,
    /// What is made up for of the moments at which nobody was there to run it.
    pub missed: Missed,
    /// By how much a run may begin later than it is due, so that not all begin at once.
    pub jitter: Duration,
    /// When it may run by itself; at any time when there are none.
    pub windows: Vec<Window>,
    /// What is checked before and after a run: the checks of the file, then its own.
    pub checks: Vec<Check>,
    /// How what it brought in is committed, when it is.
    pub git_commit: Option<GitCommit>,
    /// What counts as a secret, and where it is looked for.
    pub secrets: SecretScan,
}

impl Target {
    /// What decides when it runs among others.
    #[must_use]
    pub fn standing(&self) -> Standing<'_> {
        Standing { name: &self.name, after: &self.after, priority: self.priority }
    }
}

impl Workspace {
    /// The target of this name.
    #[must_use]
    pub fn target(&self, name: &str) -> Option<&Target> {
        self.targets.iter().find(|target| target.name == name)
    }

    /// The targets that any of `patterns` (names or globs) matches, all of them without patterns, and among these
    /// the ones of `direction` when one is given; in the order of the file.
    ///
    /// # Errors
    /// When a pattern matches no target, and when no target is left.
    pub fn select(
        &self,
        patterns: &[String],
        direction: Option<Direction>,
    ) -> Result<Vec<&Target>, ConfigError> {
        if self.targets.is_empty() {
            return Err(ConfigError::new("no_targets", format!("{} has no targets", self.file.display()))
                .with_hint("add one under `targets`".to_owned()));
        }
        let mut chosen = vec![patterns.is_empty(); self.targets.len()];
        for pattern in patterns {
            let matches = self.matches(pattern)?;
            chosen.iter_mut().zip(matches).for_each(|(chosen, matched)| *chosen |= matched);
        }
        let wanted = |target: &Target| direction.is_none_or(|direction| target.direction == direction);
        let targets = self.targets.iter().zip(chosen).filter(|(target, chosen)| *chosen && wanted(target));
        let targets: Vec<&Target> = targets.map(|(target, _)| target).collect();
        match (targets.is_empty(), direction) {
            (true, Some(direction)) => Err(ConfigError::new(
                "no_targets",
                format!("none of the chosen targets has the direction `{direction}`"),
            )
            .with_hint("see `syncline targets`".to_owned())),
            _ => Ok(targets),
        }
    }

    /// The same workspace with those targets alone that any of `patterns` (names or globs) matches, as if there were no
    /// others; a pattern that matches nothing counts for nothing.
    ///
    /// # Errors
    /// When a glob cannot be understood.
    pub fn limited_to(&self, patterns: &[String]) -> Result<Self, ConfigError> {
        let mut kept = vec![false; self.targets.len()];
        for pattern in patterns {
            match self.matches(pattern) {
                Ok(matches) => kept.iter_mut().zip(matches).for_each(|(kept, matched)| *kept |= matched),
                Err(error) if error.code == "unknown_target" => {}
                Err(error) => return Err(error),
            }
        }
        let mut limited = self.clone();
        let mut kept = kept.into_iter();
        limited.targets.retain(|_| kept.next().unwrap_or_default());
        let names: Vec<String> = limited.targets.iter().map(|target| target.name.clone()).collect();
        for target in &mut limited.targets {
            target.after.retain(|name| names.contains(name));
        }
        // They may tell of the others.
        limited.warnings.clear();
        Ok(limited)
    }

    /// The events that targets name, each once.
    #[must_use]
    pub fn events(&self) -> BTreeSet<&str> {
        self.targets.iter().flat_map(|target| &target.events).map(String::as_str).collect()
    }

    /// The names of the targets that run at `event`, in the order of the file.
    ///
    /// # Errors
    /// When there is none.
    pub fn listening(&self, event: &str) -> Result<Vec<String>, ConfigError> {
        let listens = |target: &&Target| target.events.iter().any(|name| name == event);
        let names: Vec<String> =
            self.targets.iter().filter(listens).map(|target| target.name.clone()).collect();
        if names.is_empty() {
            let hint = hint(event, self.events(), "known events")
                .unwrap_or_else(|| format!("write `triggers: {{ events: [{event}] }}` for a target"));
            return Err(ConfigError::new("unknown_event", format!("no target runs at {}", quote(event)))
                .with_hint(hint));
        }
        Ok(names)
    }

    /// Which targets a name or a glob matches.
    fn matches(&self, pattern: &str) -> Result<Vec<bool>, ConfigError> {
        let found: Vec<bool> = if pattern.contains(['*', '?', '[', '{']) {
            let glob = globset::Glob::new(pattern)
                .map_err(|error| {
                    ConfigError::new(
                        "bad_glob",
                        format!("{} in the pattern {}", error.kind(), quote(pattern)),
                    )
                })?
                .compile_matcher();
            self.targets.iter().map(|target| glob.is_match(&target.name)).collect()
        } else {
            self.targets.iter().map(|target| target.name == pattern).collect()
        };
        if found.contains(&true) {
            return Ok(found);
        }
        let names = self.targets.iter().map(|target| target.name.as_str());
        Err(ConfigError::new("unknown_target", format!("no target matches {}", quote(pattern)))
            .with_hint(hint(pattern, names, "known targets")))
    }
}
