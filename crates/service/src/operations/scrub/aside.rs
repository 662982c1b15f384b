//! Setting aside what cannot be repaired, so that one damaged object does not keep everything else from working.

use std::collections::{BTreeMap, BTreeSet};

use syncline_core::{Digest, ItemPath};
use syncline_store::{RunQuery, Store};

use super::SetAside;

/// Sets damaged objects aside, and tells what is lost with each. One that cannot be moved stays damaged, where it is.
pub(super) async fn set_aside(store: &Store, lost: BTreeSet<Digest>) -> Vec<SetAside> {
    if lost.is_empty() {
        return Vec::new();
    }
    // Looked up before they go: the record of a run tells what it held as long as it is there.
    let losses = losses(store, &lost).await;
    let mut all = Vec::new();
    for digest in lost {
        let objects = store.objects().clone();
        let moved = tokio::task::spawn_blocking(move || objects.set_aside(&digest)).await;
        match moved {
            Ok(Ok(true)) => {
                let message = losses.get(&digest).cloned();
                let message = message.unwrap_or_else(|| "nothing that is remembered refers to it".to_owned());
                all.push(SetAside { digest: digest.to_string(), message });
            }
            Ok(Ok(false)) => {}
            Ok(Err(error)) => tracing::warn!(%digest, %error, "a damaged object could not be set aside"),
            Err(error) => tracing::warn!(%digest, %error, "a damaged object could not be set aside"),
        }
    }
    all
}

/// What each of these objects held.
async fn losses(store: &Store, lost: &BTreeSet<Digest>) -> BTreeMap<Digest, String> {
    let mut losses = BTreeMap::new();
    // What cannot be looked up is set aside all the same.
    let runs = store.runs(&RunQuery::default()).await.unwrap_or_default();
    let mut paths: BTreeMap<Digest, BTreeSet<ItemPath>> = BTreeMap::new();
    for run in runs {
        for digest in run.deltas.iter().filter(|digest| lost.contains(digest)) {
            let message =
                format!("the record of what the run {} changed: it cannot be rolled back", run.start.id);
            losses.insert(*digest, message);
        }
        for delta in store.known_deltas(&run.start.id).await.unwrap_or_default() {
            let entries = [&delta.before, &delta.after].into_iter().flatten().map(|entry| entry.digest);
            let digests = entries.chain(delta.lost.iter().map(|lost| lost.digest));
            for digest in digests.filter(|digest| lost.contains(digest)) {
                paths.entry(digest).or_default().insert(delta.path.clone());
            }
        }
    }
    for (digest, paths) in paths {
        let first = paths.first().map(ToString::to_string).unwrap_or_default();
        let more = paths.len() - 1;
        let rest = if more == 0 { String::new() } else { format!(" and {more} more") };
        losses.insert(digest, format!("a version of {first}{rest}"));
    }
    losses
}
