//! How a workspace that is served is doing: what `/health` and `/status` tell.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use syncline_store::{LastRun, RunState, Totals, WatchedTarget};

use super::{Direction, Figures, Offline, timestamp};

/// How the workspace is doing, for machines that watch over it.
///
/// It has the fields of two older tools together, each with the meaning that it has there. They differ in the word for a
/// service that is well, so `/health` says `healthy` and `/status` says `ok`, unless `words` asks otherwise.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Health {
    /// The version of this shape.
    pub version: u32,
    /// `healthy`, `degraded` when a target needs attention, or `unhealthy` when the service itself does; or `ok`,
    /// `degraded` and `down`.
    pub status: String,
    /// For how many whole seconds the process has been serving.
    pub uptime: u64,
    /// The moment of this answer: RFC 3339.
    pub timestamp: String,
    /// What was seen at the last look, at most a second ago.
    #[serde(flatten)]
    pub seen: Seen,
}

/// What was seen at the last look.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Seen {
    /// The name of this machine.
    pub node: String,
    /// The workspace's folder.
    pub workspace: String,
    /// When a target last did all that it was to do; `null` before that.
    pub last_sync: Option<String>,
    /// When the next target runs by itself; `null` when only changes start runs.
    pub next_sync: Option<String>,
    /// How many changes wait to be carried to the other side, as far as the last runs got to know.
    pub messages_pending: u64,
    /// How many conflicts wait for a decision.
    pub open_conflicts: u64,
    /// What is read from: of each target that pulls, whether its remote can be reached (`ok`, `unreachable`, `unknown`).
    pub sources: BTreeMap<String, String>,
    /// Every target: `ok`, `never_run`, `conflicts`, `halted`, `paused`, `failing` or `offline`.
    pub targets: BTreeMap<String, String>,
    /// Every peer from which heartbeats are expected: `awaited`, `alive`, `suspected`, `down` or `left`.
    pub peers: BTreeMap<String, String>,
    /// What was counted of all targets.
    pub metrics: Figures,
    /// Each target in full, in the order of the file.
    pub details: Vec<TargetHealth>,
    /// Whether what is going on comes to its end, and the process with it.
    pub draining: bool,
    /// Why the service cannot do its work; `null` while it can.
    pub problem: Option<String>,
}

/// How a target is doing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TargetHealth {
    /// Its name.
    pub target: String,
    /// Which way changes may flow.
    pub direction: Direction,
    /// As in `targets`.
    pub state: String,
    /// Whether this process runs it by itself.
    pub served: bool,
    /// When it last did all that it was to do.
    pub last_sync: Option<String>,
    /// When it runs by itself next, at the latest.
    pub next_sync: Option<String>,
    /// When its last run ended, how, and with which words; `null` before the first.
    pub last_run: Option<LastEnd>,
    /// How many items are agreed on.
    pub agreed: u64,
    /// How many changes wait, as far as the last run got to know.
    pub pending: u64,
    /// How many conflicts wait for a decision.
    pub open_conflicts: u64,
    /// How many runs in a row failed.
    pub failures_in_a_row: u64,
    /// What is known of a remote that is away; `null` while it is there.
    pub offline: Option<Offline>,
    /// Why a run leaves it alone; `null` when nobody has paused it.
    pub paused: Option<String>,
    /// What was counted.
    pub metrics: Figures,
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LastEnd {
    /// Its identifier; `null` when nothing was recorded.
    pub run: Option<String>,
    /// When it ended: RFC 3339.
    pub finished: String,
    /// `succeeded`, `partial`, `failed`, `halted` or `interrupted`.
    pub state: String,
    /// What happened, in one line.
    pub message: String,
}

impl LastEnd {
    /// How the last run of a target ended, by what was counted of it and by what the watch tells.
    ///
    /// What was counted says it best, also of runs from a shell. But a failure that is told only by the watch could not be
    /// recorded, as on a full disk: it counts unless a later end was counted, or one that is bad in itself.
    pub(crate) fn of(totals: &Totals, watched: Option<&WatchedTarget>) -> Option<Self> {
        let counted = totals.recent.back();
        let failed = watched.and_then(|watched| watched.last.as_ref()).filter(|last| !last.success);
        let is_news = |failed: &&LastRun| {
            counted
                .is_none_or(|end| end.state == RunState::Succeeded.name() && end.finished < failed.finished)
        };
        if let Some(failed) = failed.filter(is_news) {
            return Some(Self {
                run: failed.run.clone(),
                finished: timestamp(failed.finished),
                state: RunState::Failed.name().to_owned(),
                message: failed.message.clone(),
            });
        }
        counted.map(|end| Self {
            run: end.run.clone(),
            finished: timestamp(end.finished),
            state: end.state.clone(),
            message: end.message.clone(),
        })
    }
}
