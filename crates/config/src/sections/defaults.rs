//! `defaults`: what holds for every target that does not say otherwise.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use syncline_core as core;

use super::Resolver;

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
    /// Always `true`, because a run that finds nothing to do does nothing; `false` is an error.
    pub(crate) idempotent: bool,
}

impl Default for Defaults {
    fn default() -> Self {
        Self { direction: Direction::default(), dry_run: false, fail_on_diff: false, idempotent: true }
    }
}

impl Defaults {
    pub(crate) fn check(&self, resolver: &mut Resolver<'_>) {
        if !self.idempotent {
            resolver.error(
                &["defaults", "idempotent"],
                "not_available",
                "`idempotent: false` is not available: a run that finds nothing to do always does nothing",
                "remove the key".to_owned(),
            );
        }
    }
}
