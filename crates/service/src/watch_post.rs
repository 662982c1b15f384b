//! The one watch of a workspace: taking its place, and telling others how it is doing.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use syncline_core::Nanos;
use syncline_engine::{Away, Reach};
use syncline_store::{LastRun, RunningWatch, Taking, WatchAway, WatchLock, WatchRecord, WatchedTarget};

use crate::problem::{Class, Problem, Result};
use crate::service::Service;
use crate::wire::{self, TargetReport};

/// How a watch works.
#[derive(Clone, Copy, Default)]
pub(crate) struct How {
    /// How often its targets run; at every change when it is not said.
    pub(crate) interval: Option<Duration>,
    /// Whether it keeps to the schedules of its targets.
    pub(crate) serving: bool,
}

/// The place of the watch, taken by this process.
pub(crate) struct WatchPost {
    lock: WatchLock,
    record: Mutex<Arc<WatchRecord>>,
}

impl WatchPost {
    /// Refuses what [`WatchPost::take`] would: before anything else is begun that somebody might see.
    pub(crate) async fn check_free(service: &Service) -> Result<()> {
        // The state folder is made, or refused, before anything is put into it.
        service.stored().await?;
        service.check_owner()?;
        RunningWatch::of(service.state())?.map_or(Ok(()), |other| Err(refused(other)))
    }

    /// Becomes the watch of the workspace.
    pub(crate) async fn take(
        service: &Service,
        how: How,
        names: impl Iterator<Item = String>,
    ) -> Result<Self> {
        Self::check_free(service).await?;
        let record = WatchRecord {
            pid: std::process::id(),
            id: uuid::Uuid::now_v7().to_string(),
            since: service.clock().now(),
            interval: how.interval,
            serving: how.serving,
            targets: names.map(|name| WatchedTarget { name, ..WatchedTarget::default() }).collect(),
        };
        match WatchLock::take(service.state(), &record)? {
            Taking::Ours(lock) => Ok(Self { lock, record: Mutex::new(record.into()) }),
            Taking::Taken(other) => Err(refused(other)),
        }
    }

    /// What it tells of itself: as long as that stays the same, the same record.
    pub(crate) fn record(&self) -> Arc<WatchRecord> {
        Arc::clone(&self.record.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn is_asked_to_stop(&self) -> bool {
        self.lock.is_asked_to_stop()
    }

    /// Tells that these are the targets from now on; what is known of them stays known.
    pub(crate) fn renew(&self, names: impl Iterator<Item = String>) {
        let mut record = self.record.lock().unwrap_or_else(PoisonError::into_inner);
        let record = Arc::make_mut(&mut record);
        let mut known = std::mem::take(&mut record.targets);
        let targets = names.map(|name| match known.iter().position(|target| target.name == name) {
            Some(index) => known.swap_remove(index),
            None => WatchedTarget { name, ..WatchedTarget::default() },
        });
        record.targets = targets.collect();
        self.write(record);
    }

    /// Tells of a run, and when the next one begins at the latest, if ever.
    pub(crate) fn ran(&self, report: &TargetReport, finished: Nanos, next: Option<Nanos>) {
        self.tell(&report.target, |target| {
            target.failures = if report.success { 0 } else { target.failures.saturating_add(1) };
            target.next = next;
            match &report.reach {
                Reach::Unknown => {}
                Reach::Reached => target.away = None,
                Reach::Away(reason) => {
                    let known = target.away.take().map(|away| (away.since, away.tries.saturating_add(1)));
                    let (since, tries) = known.unwrap_or((finished, 0));
                    let waiting = None;
                    target.away = Some(WatchAway { since, tries, reason: reason.clone(), waiting });
                }
            }
            target.last = Some(LastRun {
                run: report.run.clone(),
                finished,
                success: report.success,
                message: report.message.clone(),
            });
        });
    }

    /// Tells that a remote is away; whether that is news.
    pub(crate) fn away(&self, name: &str, away: &Away) -> bool {
        let mut news = false;
        self.tell(name, |target| {
            news = target.away.is_none();
            // The run that found it away was counted when it was told of.
            target.failures = target.failures.saturating_add(u32::from(!news));
            target.next = Some(away.next);
            target.away = Some(WatchAway {
                since: away.since,
                tries: away.tries,
                reason: away.reason.clone(),
                waiting: away.waiting,
            });
        });
        news
    }

    /// Tells when a target is looked at again, if ever.
    pub(crate) fn waits(&self, name: &str, next: Option<Nanos>) {
        self.tell(name, |target| target.next = next);
    }

    /// Tells that a remote is there again.
    pub(crate) fn back(&self, name: &str) {
        self.tell(name, |target| target.away = None);
    }

    fn tell(&self, name: &str, change: impl FnOnce(&mut WatchedTarget)) {
        let mut record = self.record.lock().unwrap_or_else(PoisonError::into_inner);
        let record = Arc::make_mut(&mut record);
        let Some(target) = record.targets.iter_mut().find(|target| target.name == name) else { return };
        change(target);
        self.write(record);
    }

    fn write(&self, record: &WatchRecord) {
        if let Err(error) = self.lock.tell(record) {
            // What is synced does not depend on what is told about it.
            tracing::warn!(%error, "how the watch is doing could not be written");
        }
    }
}

/// The watch of a workspace, if one runs, in the words of its own record.
pub(crate) fn running(service: &Service) -> Result<Option<RunningWatch>> {
    Ok(RunningWatch::of(service.state())?)
}

fn refused(other: RunningWatch) -> Problem {
    let who = match other.record.map(wire::Watch::from) {
        Some(watch) => format!(" by process {} since {}", watch.pid, watch.since),
        None => " by a process that has only just begun".to_owned(),
    };
    Problem::new(Class::Busy, "watch_running", format!("the workspace is watched already{who}")).with_hint(
        "`syncline run --status` tells how it is doing; `syncline run --stop` ends it when its run is through",
    )
}
