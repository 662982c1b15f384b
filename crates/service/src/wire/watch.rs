//! The one watch of a workspace, as people and programs see it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use syncline_core::Nanos;
use syncline_store::{self as store, WatchRecord};

use super::{seconds, timestamp};

/// A running watch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Watch {
    /// The number of its process.
    pub pid: u32,
    /// When it began.
    pub since: String,
    /// Seconds between two runs; `null` when a change starts a run.
    pub interval: Option<f64>,
    /// Whether it is `syncline serve`, which keeps to the schedules of its targets.
    pub serving: bool,
    /// Its targets, in the order of the file.
    pub targets: Vec<WatchedTarget>,
}

/// A target of a running watch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct WatchedTarget {
    /// Its name.
    pub target: String,
    /// Its last run, also one that found nothing to do; `null` before the first.
    pub last_run: Option<LastRun>,
    /// How many runs and tries in a row did not do all that they were to do.
    pub failures: u32,
    /// When everything is looked at again at the latest; a change may start a run before.
    pub next_try: Option<String>,
    /// What is known of a remote that is away; `null` while it is there.
    pub offline: Option<Offline>,
}

/// The last run of a watched target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LastRun {
    /// Its identifier; `null` when nothing was to be recorded.
    pub run: Option<String>,
    /// When it ended.
    pub finished: String,
    /// Whether it did all that it was to do.
    pub success: bool,
    /// What happened, in one line.
    pub message: String,
}

/// A remote that is away.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Offline {
    /// Since when.
    pub since: String,
    /// How often it was tried since.
    pub tries: u32,
    /// When it is tried next.
    pub next_try: Option<String>,
    /// Why, in one line.
    pub reason: String,
    /// At how many paths something changed here since, at least; `null` where changes are not noticed one by one.
    pub waiting: Option<u64>,
}

impl Offline {
    pub(crate) fn new(
        since: Nanos,
        tries: u32,
        next: Option<Nanos>,
        reason: &str,
        waiting: Option<u64>,
    ) -> Self {
        let (since, next_try) = (timestamp(since), next.map(timestamp));
        Self { since, tries, next_try, reason: reason.to_owned(), waiting }
    }

    /// What the watch knows of the remote of a target, while it is away.
    pub(crate) fn of(watched: &store::WatchedTarget) -> Option<Self> {
        let away = watched.away.as_ref()?;
        Some(Self::new(away.since, away.tries, watched.next, &away.reason, away.waiting))
    }
}

impl From<&store::LastRun> for LastRun {
    fn from(last: &store::LastRun) -> Self {
        Self {
            run: last.run.clone(),
            finished: timestamp(last.finished),
            success: last.success,
            message: last.message.clone(),
        }
    }
}

impl From<WatchRecord> for Watch {
    fn from(record: WatchRecord) -> Self {
        let interval =
            record.interval.map(|time| seconds(0, Nanos::try_from(time.as_nanos()).unwrap_or(Nanos::MAX)));
        let targets = record.targets.into_iter().map(|target| WatchedTarget {
            last_run: target.last.as_ref().map(LastRun::from),
            failures: target.failures,
            next_try: target.next.map(timestamp),
            offline: Offline::of(&target),
            target: target.name,
        });
        let (pid, since, serving) = (record.pid, timestamp(record.since), record.serving);
        Self { pid, since, interval, serving, targets: targets.collect() }
    }
}
