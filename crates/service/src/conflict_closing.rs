//! Open conflicts that people have settled by what they did to the files.

use std::collections::HashSet;
use std::sync::Arc;

use syncline_core::{Baseline, Direction, ItemPath};
use syncline_engine::{RunResult, Target};
use syncline_store::{ConflictQuery, ConflictRecord, Store};

use crate::glance;
use crate::problem::Result;
use crate::service::Service;

/// Closes conflicts that people have settled by what they did to the files: they made both sides agree, worked the
/// markers off, or took the other version away.
pub(crate) async fn close_vanished(
    service: &Service,
    store: &Store,
    target: &Target,
    result: &RunResult,
) -> Result<()> {
    let query = ConflictQuery { target: Some(result.target.clone()), open_only: true };
    let open = store.conflicts(&query).await?;
    // There may be as many conflicts as there are files: each is looked up, and never looked for.
    let standing: HashSet<&str> = result.conflicts.iter().map(|conflict| conflict.id.as_str()).collect();
    let troubles: HashSet<&str> = result
        .problems
        .iter()
        .filter(|trouble| !matches!(trouble.code, "renamed_apart" | "differs"))
        .map(|trouble| trouble.path.as_str())
        .collect();
    let unseen = |path: &ItemPath| {
        ["", path.as_str()].iter().any(|at| troubles.contains(at))
            || path.ancestors().any(|above| troubles.contains(above.as_str()))
    };
    let mut baseline = None;
    for record in open {
        let seen = [Some(&record.path), record.copy.as_ref()].into_iter().flatten().all(|path| !unseen(path));
        if standing.contains(record.id.as_str()) || !seen {
            continue;
        }
        let baseline: &Arc<dyn Baseline> = match &mut baseline {
            Some(baseline) => baseline,
            none => none.insert(glance::baseline(store, &target.name).await?),
        };
        if let Some(how) = closed(store, target, baseline.as_ref(), &record).await? {
            store.resolve_conflict(&record.id, &how, service.clock().now()).await?;
        }
    }
    Ok(())
}

/// How people have settled a conflict by what they did to the files, if they have.
async fn closed(
    store: &Store,
    target: &Target,
    baseline: &dyn Baseline,
    record: &ConflictRecord,
) -> Result<Option<String>> {
    if record.merged.is_some() {
        if baseline.get(&record.path)?.is_none() {
            return Ok(Some(format!("{} was taken away", record.path)));
        }
        let marked = is_marked(store, target, baseline, record).await?;
        return Ok((!marked).then(|| "finished by hand".to_owned()));
    }
    if record.winner.is_none() {
        return Ok(Some("no longer a conflict".to_owned()));
    }
    // One way only, copies are on one side and never agreed on.
    let Some(copy) = record.copy.as_ref().filter(|_| target.policy.direction == Direction::Bidirectional)
    else {
        return Ok(None);
    };
    Ok(baseline.get(copy)?.is_none().then(|| format!("{copy} was taken away")))
}

/// Whether what both sides agree on at the path of a conflict holds open markers.
pub(crate) async fn is_marked(
    store: &Store,
    target: &Target,
    baseline: &dyn Baseline,
    record: &ConflictRecord,
) -> Result<bool> {
    let agreed = baseline.get(&record.path)?;
    let Some(entry) = agreed.filter(|entry| !entry.kind.is_directory()) else { return Ok(false) };
    let is_open = record.resolved.is_none();
    if is_open && record.merged.as_ref().is_some_and(|merged| merged.digest == Some(entry.digest)) {
        return Ok(true);
    }
    let limit = syncline_core::merge::VERSION_BYTES_MAX as u64;
    let content = glance::content(store, target, &record.path, &entry.digest, limit).await?;
    // What cannot be looked at is not taken for finished.
    Ok(content.map_or(is_open, |bytes| syncline_core::merge::has_open_markers(&bytes)))
}
