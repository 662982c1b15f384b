//! What can be observed of a workspace that is served, from what others have written down anyway.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use syncline_config::Target;
use syncline_core::Nanos;
use syncline_engine::scheduler::Timetable;
use syncline_monitor::{ConflictSeen, Observed, TargetSeen};
use syncline_store::{ConflictQuery, RunState, Store, WatchRecord, WatchedTarget};

use super::heartbeats::{Heard, Listening};
use super::machine;
use crate::service::Service;
use crate::watch_post::WatchPost;

/// How many moments of a schedule are looked at to know its longest pause.
const MOMENTS: usize = 32;

pub(super) struct Observing {
    service: Arc<Service>,
    post: Arc<WatchPost>,
    died: Option<Instant>,
    heard: Option<Heard>,
    /// The last success of each target that this process has seen.
    agreed: BTreeMap<String, Nanos>,
}

impl Observing {
    pub(super) fn new(service: Arc<Service>, post: Arc<WatchPost>, died: Option<Instant>) -> Self {
        Self { service, post, died, heard: None, agreed: BTreeMap::new() }
    }

    pub(super) fn post(&self) -> Arc<WatchPost> {
        Arc::clone(&self.post)
    }

    pub(super) fn listen(&mut self, listening: &Listening) {
        self.heard = listening.heard();
    }

    pub(super) async fn observe(&mut self) -> Observed {
        let record = self.post.record();
        let store = self.service.stored().await.ok();
        let (targets, conflicts) = match &store {
            Some(store) => (self.targets(store, &record).await, conflicts(store).await),
            None => (None, None),
        };
        Observed {
            targets,
            conflicts,
            peers: self.heard.as_ref().map(Heard::seen),
            disk: machine::disk(&self.service.workspace().root),
            memory: machine::memory(),
            died: self.died.map(|since| since.elapsed()),
        }
    }

    async fn targets(&mut self, store: &Store, record: &WatchRecord) -> Option<Vec<TargetSeen>> {
        let service = Arc::clone(&self.service);
        let now = service.clock().now();
        let paused = store.pauses().await.ok()?;
        let is_paused = |name: &str| paused.iter().any(|pause| pause.target == name && pause.is_on(now));
        let mut seen = Vec::new();
        for watched in &record.targets {
            let Some(configured) = service.workspace().target(&watched.name) else { continue };
            if let Some(last) = watched.last.as_ref().filter(|last| last.success) {
                self.agreed.insert(watched.name.clone(), last.finished);
            }
            let peers = &service.workspace().peers.nodes;
            let peer = peers.iter().find(|peer| peer.targets.contains(&watched.name));
            let failed = watched.last.as_ref().filter(|last| !last.success);
            seen.push(TargetSeen {
                name: watched.name.clone(),
                remote: remote(configured),
                peer: peer.map(|peer| peer.name.clone()),
                paused: is_paused(&watched.name),
                agreed: self.agreed.get(&watched.name).copied(),
                failed: failed.map(|last| last.message.clone()),
                failures: watched.failures,
                away: watched.away.as_ref().map(|away| (away.reason.clone(), away.tries)),
                waiting: waiting(store, watched).await,
                stale_after: stale_after(configured, service.workspace().alerts.stale_after, now),
            });
        }
        Some(seen)
    }
}

/// What the remote of a target is called: its name where it has one.
fn remote(target: &Target) -> String {
    match &target.remote.name {
        Some(name) => name.clone(),
        None => format!("the remote of {}", target.name),
    }
}

/// What a target waits for an approval for: its last run was halted.
async fn waiting(store: &Store, watched: &WatchedTarget) -> Option<String> {
    let last = watched.last.as_ref().filter(|last| !last.success)?;
    let run = store.run(last.run.as_deref()?).await.ok()??;
    let is_halted = run.finish.is_some_and(|finish| finish.state == RunState::Halted);
    is_halted.then(|| last.message.clone())
}

/// How long without success a target may be: for two and a half of the longest pause of its schedule.
fn stale_after(target: &Target, said: Option<Duration>, now: Nanos) -> Option<Duration> {
    // A time at which it may not run by itself is no sign of trouble.
    let schedule = target.schedule.as_ref().filter(|_| target.windows.is_empty())?;
    if said.is_some() {
        return said;
    }
    let timetable = Timetable::new(&target.name, schedule, &target.timezone, target.missed, target.jitter);
    let first = timetable.next(now)?;
    let moments = std::iter::successors(Some(first), |moment| timetable.next(*moment)).take(MOMENTS);
    let moments: Vec<Nanos> = moments.collect();
    let longest = moments.windows(2).map(|pair| pair[1] - pair[0]).max()?;
    let longest = Duration::from_nanos(u64::try_from(longest).ok()?);
    // Even one that runs every second is not told of before a minute has passed.
    Some((longest * 5 / 2 + target.jitter).max(Duration::from_secs(60)))
}

async fn conflicts(store: &Store) -> Option<Vec<ConflictSeen>> {
    let query = ConflictQuery { open_only: true, ..ConflictQuery::default() };
    let open = store.conflicts(&query).await.ok()?;
    let seen = open.into_iter().map(|conflict| ConflictSeen {
        id: conflict.id,
        target: conflict.target,
        path: conflict.path.to_string(),
        opened: conflict.opened,
    });
    Some(seen.collect())
}
