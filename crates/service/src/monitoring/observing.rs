//! What can be observed of a workspace that is served, from what others have written down anyway.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use syncline_config::Target;
use syncline_core::Nanos;
use syncline_monitor::{ConflictSeen, Observed, TargetSeen};
use syncline_store::{AlertBook, ConflictQuery, Pause, RunState, Store, WatchRecord, WatchedTarget, Writes};

use super::heartbeats::{Heard, Listening};
use super::machine;
use super::patience::Patience;
use crate::service::Service;
use crate::watch_post::WatchPost;

pub(super) struct Observing {
    service: Arc<Service>,
    post: Arc<WatchPost>,
    died: Option<Instant>,
    heard: Option<Heard>,
    /// The last success of each target that is known of.
    agreed: BTreeMap<String, Nanos>,
    patience: Patience,
    read: Option<Read>,
}

/// What was read from the state last.
struct Read {
    store: Store,
    writes: Writes,
    /// Whether it may have changed since.
    is_due: bool,
    /// What the watch told of itself then.
    record: Arc<WatchRecord>,
    pauses: Vec<Pause>,
    conflicts: Vec<ConflictSeen>,
    /// The runs that ended without success and wait for an approval, of those that are the last ones.
    halted: BTreeSet<String>,
}

impl Observing {
    pub(super) fn new(
        service: Arc<Service>,
        post: Arc<WatchPost>,
        died: Option<Instant>,
        book: &AlertBook,
    ) -> Self {
        let agreed = book.ages.agreed.iter().map(|(name, (wall, _))| (name.clone(), *wall)).collect();
        let patience = Patience::new(service.workspace().alerts.stale_after);
        Self { service, post, died, heard: None, agreed, patience, read: None }
    }

    pub(super) fn post(&self) -> Arc<WatchPost> {
        Arc::clone(&self.post)
    }

    pub(super) fn listen(&mut self, listening: &Listening) {
        self.heard = listening.heard();
    }

    pub(super) async fn observe(&mut self) -> Observed {
        let record = self.post.record();
        let targets = match self.look_into_the_state(&record).await {
            Some(()) => self.targets(&record),
            None => None,
        };
        Observed {
            conflicts: targets.as_ref().and(self.read.as_ref()).map(|read| read.conflicts.clone()),
            targets,
            peers: self.heard.as_ref().map(Heard::look),
            disk: machine::disk(&self.service.workspace().root),
            memory: machine::memory(),
            died: self.died.map(|since| since.elapsed()),
        }
    }

    /// Reads what may have changed in the state; `None` when it cannot be read.
    async fn look_into_the_state(&mut self, record: &Arc<WatchRecord>) -> Option<()> {
        if self.read.is_none() {
            self.read = Some(Read::new(self.service.stored().await.ok()?, record));
        }
        self.read.as_mut()?.again(record).await
    }

    fn targets(&mut self, record: &WatchRecord) -> Option<Vec<TargetSeen>> {
        let service = Arc::clone(&self.service);
        let (read, now) = (self.read.as_ref()?, service.clock().now());
        let paused: BTreeSet<&str> =
            read.pauses.iter().filter(|pause| pause.is_on(now)).map(|pause| pause.target.as_str()).collect();
        let watched: BTreeMap<&str, &WatchedTarget> =
            record.targets.iter().map(|watched| (watched.name.as_str(), watched)).collect();
        let peers = &service.workspace().peers.nodes;
        let mut seen = Vec::new();
        for configured in &service.workspace().targets {
            let name = &configured.name;
            let Some(watched) = watched.get(name.as_str()) else { continue };
            if let Some(last) = watched.last.as_ref().filter(|last| last.success) {
                self.agreed.insert(name.clone(), last.finished);
            }
            let agreed = self.agreed.get(name).copied();
            let paused = paused.contains(name.as_str());
            let failed = watched.last.as_ref().filter(|last| !last.success);
            // What was halted because the remote is gone waits for the remote, and for nobody's approval.
            let halted = failed.filter(|_| watched.away.is_none());
            let waits = halted.filter(|last| last.run.as_ref().is_some_and(|run| read.halted.contains(run)));
            seen.push(TargetSeen {
                name: name.clone(),
                remote: remote(configured),
                peer: peers.iter().find(|peer| peer.targets.contains(name)).map(|peer| peer.name.clone()),
                paused,
                agreed,
                failed: failed.map(|last| last.message.clone()),
                failures: watched.failures,
                // The run that found it away was a try as well.
                away: watched.away.as_ref().map(|away| (away.reason.clone(), away.tries.saturating_add(1))),
                waiting: waits.map(|last| last.message.clone()),
                stale_after: self.patience.with(configured, paused, agreed, now),
                stale_is_said: service.workspace().alerts.stale_after.is_some(),
            });
        }
        Some(seen)
    }
}

impl Read {
    fn new(store: Store, record: &Arc<WatchRecord>) -> Self {
        let writes = Writes::to(&store);
        let (pauses, conflicts, halted) = <_>::default();
        Self { store, writes, is_due: true, record: Arc::clone(record), pauses, conflicts, halted }
    }

    /// Reads it again where it may have changed.
    async fn again(&mut self, record: &Arc<WatchRecord>) -> Option<()> {
        self.is_due |= self.writes.may_have_come() || !Arc::ptr_eq(record, &self.record);
        if self.is_due {
            self.pauses = self.store.pauses().await.ok()?;
            self.conflicts = conflicts(&self.store).await?;
            self.halted = halted(&self.store, record).await;
            (self.record, self.is_due) = (Arc::clone(record), false);
        }
        Some(())
    }
}

/// What the remote of a target is called: its name where it has one.
fn remote(target: &Target) -> String {
    match &target.remote.name {
        Some(name) => name.clone(),
        None => format!("the remote of {}", target.name),
    }
}

/// The last runs of targets that were halted: they wait for an approval.
async fn halted(store: &Store, record: &WatchRecord) -> BTreeSet<String> {
    let failed =
        record.targets.iter().filter_map(|watched| watched.last.as_ref().filter(|last| !last.success));
    let mut halted = BTreeSet::new();
    for id in failed.filter_map(|last| last.run.as_ref()) {
        let finish = store.run(id).await.ok().flatten().and_then(|run| run.finish);
        if finish.is_some_and(|finish| finish.state == RunState::Halted) {
            halted.insert(id.clone());
        }
    }
    halted
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
