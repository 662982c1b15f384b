//! Runs of the past.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use syncline_store::RunRecord;

use super::{Direction, VERSION, seconds, timestamp};

/// Runs, the newest first.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct RunList {
    /// The version of this shape.
    pub version: u32,
    /// The runs.
    pub runs: Vec<Run>,
    /// What `before` is to be for those that follow; `null` when there are none.
    #[serde(default)]
    pub next: Option<String>,
}

/// A run of one target.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Run {
    /// Its identifier; any unambiguous beginning of it is accepted.
    pub run: String,
    /// The target.
    pub target: String,
    /// Which way changes could flow.
    pub direction: Direction,
    /// Who or what asked for it.
    pub cause: String,
    /// When it began: RFC 3339.
    pub started: String,
    /// Seconds from beginning to end; `null` while it has not ended.
    pub duration: Option<f64>,
    /// Whether everything was done.
    pub success: bool,
    /// `running`, `succeeded`, `partial`, `failed`, `halted` or `interrupted`.
    pub state: String,
    /// What happened, in one line.
    pub message: String,
    /// How many steps were done.
    pub steps: u64,
    /// Bytes transferred.
    pub bytes: u64,
    /// How many conflicts were found.
    pub conflicts: u64,
}

impl RunList {
    pub(crate) const fn new(runs: Vec<Run>, next: Option<String>) -> Self {
        Self { version: VERSION, runs, next }
    }
}

impl From<&RunRecord> for Run {
    fn from(record: &RunRecord) -> Self {
        let (start, finish) = (&record.start, record.finish.as_ref());
        Self {
            run: start.id.clone(),
            target: start.target.clone(),
            direction: start.direction.into(),
            cause: start.cause.clone(),
            started: timestamp(start.started),
            duration: finish.map(|finish| seconds(start.started, finish.finished)),
            success: finish.is_some_and(|finish| finish.state == syncline_store::RunState::Succeeded),
            state: finish.map_or("running", |finish| finish.state.name()).to_owned(),
            message: finish.map(|finish| finish.message.clone()).unwrap_or_default(),
            steps: finish.map_or(0, |finish| finish.steps),
            bytes: finish.map_or(0, |finish| finish.bytes),
            conflicts: finish.map_or(0, |finish| finish.conflicts),
        }
    }
}
