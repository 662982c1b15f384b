//! `defaults`: what holds for every target that does not say otherwise.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use syncline_core as core;

use super::committing;
use super::timing::{self, Missed, Window};

/// Which way changes may flow.
// `Serialize` lets the schema show the default.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Direction {
    /// From the remote to the workspace; the remote is never written.
    Pull,
    /// From the workspace to the remote; the workspace is never written.
    Push,
    /// Both ways.
    #[default]
    Bidirectional,
}

impl From<Direction> for core::Direction {
    fn from(written: Direction) -> Self {
        match written {
            Direction::Pull => Self::Pull,
            Direction::Push => Self::Push,
            Direction::Bidirectional => Self::Bidirectional,
        }
    }
}

/// What holds for every target that does not say otherwise.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Defaults {
    /// Which way changes may flow.
    pub(crate) direction: Direction,
    /// Whether a run only shows what it would do.
    pub(crate) dry_run: bool,
    /// Whether a run, a plan or a drift check that finds changes ends with exit code 3.
    pub(crate) fail_on_diff: bool,
    /// Whether running a script twice must come to the same as running it once. Mirrors always do.
    pub(crate) idempotent: bool,
    /// Whether what a target with `direction: pull`, or a script, brought into the workspace is committed there. Only what
    /// it brought, and never what people have staged or changed.
    pub(crate) git_commit: Option<committing::Written>,
    /// How many targets run at once. Those of the same folder, or of the same remote, never do.
    #[schemars(range(min = 1, max = 64))]
    pub(crate) concurrency: u64,
    /// The time zone of schedules, by its IANA name.
    #[schemars(example = &"Europe/Berlin", extend("default" = "UTC"))]
    timezone: Option<String>,
    /// What is made up for of the moments at which nobody was there to run a target that was due.
    missed: Missed,
    /// By how much a run that is due may begin later, so that not all begin at once: always the same for one moment of one
    /// target.
    #[schemars(example = &"5m")]
    jitter: Option<String>,
    /// When targets may run by themselves, or where no name is given; at any time when there are none.
    windows: Vec<Window>,
}

impl Defaults {
    /// When targets run by themselves.
    pub(crate) fn timing(&self) -> timing::Written {
        timing::Written {
            timezone: self.timezone.clone(),
            missed: Some(self.missed),
            jitter: self.jitter.clone(),
            windows: Some(self.windows.clone()),
        }
    }
}

impl Default for Defaults {
    fn default() -> Self {
        Self {
            direction: Direction::default(),
            dry_run: false,
            fail_on_diff: false,
            idempotent: true,
            git_commit: None,
            concurrency: 1,
            timezone: None,
            missed: Missed::default(),
            jitter: None,
            windows: Vec::new(),
        }
    }
}
