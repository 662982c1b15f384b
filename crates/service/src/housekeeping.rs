//! Forgetting what is old: once a day at most, after a run, and never a reason for one to fail.

use std::time::{Duration, SystemTime};

use syncline_core::Nanos;
use syncline_store::{Pruned, Store};

use crate::problem::Result;
use crate::service::Service;

/// The file whose time tells when this was done last.
const STAMP: &str = "pruned";
/// How often it is done.
const EVERY: Duration = Duration::from_secs(24 * 3600);
/// How long messages to others are remembered, with what became of them.
const MESSAGES_KEEP_DAYS: u32 = 30;
const DAY_NS: Nanos = 24 * 3600 * 1_000_000_000;

/// Forgets versions and settled conflicts that are older than the configuration says, and old messages, when it is time.
pub(crate) async fn tidy(service: &Service, store: &Store) {
    let stamp = service.state().join(STAMP);
    let done = std::fs::metadata(&stamp).and_then(|metadata| metadata.modified());
    let Ok(done) = done else {
        // A new state folder holds nothing that is old.
        let _ = std::fs::write(&stamp, "");
        return;
    };
    if SystemTime::now().duration_since(done).is_ok_and(|age| age < EVERY) {
        return;
    }
    match prune(service, store).await {
        Ok(pruned) => {
            tracing::info!(runs = pruned.runs, objects = pruned.objects, "old history was forgotten")
        }
        Err(problem) => tracing::warn!(%problem, "old history could not be forgotten"),
    }
    let _ = std::fs::write(&stamp, "");
}

async fn prune(service: &Service, store: &Store) -> Result<Pruned> {
    let history = &service.workspace().history;
    let now = service.clock().now();
    let before = |days: u32| now.saturating_sub(DAY_NS * Nanos::from(days));
    store.prune_messages(before(MESSAGES_KEEP_DAYS)).await?;
    store.prune_conflicts(before(history.conflicts_keep_days)).await?;
    Ok(store.prune(before(history.keep_days)).await?)
}
