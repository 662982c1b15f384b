//! What becomes of open conflicts by what people do to the files: one goes where its files are moved, and is settled when
//! nothing is left to decide.

use std::collections::HashSet;

use syncline_core::{Action, Baseline, Direction, Goal, ItemPath};
use syncline_engine::{RunResult, Target};
use syncline_store::{ConflictQuery, ConflictRecord, Store};

use crate::glance;
use crate::problem::Result;
use crate::service::Service;

/// Brings open conflicts to where a run, or people on both sides, moved their files; after a look at the `whole` target
/// it also closes what people have settled: they made both sides agree, worked the markers off, or took the other version
/// away.
pub(crate) async fn keep_up(
    service: &Service,
    store: &Store,
    target: &Target,
    result: &RunResult,
    whole: bool,
) -> Result<()> {
    let query = ConflictQuery { target: Some(result.target.clone()), open_only: true };
    let open = store.conflicts(&query).await?;
    if open.is_empty() {
        return Ok(());
    }
    // There may be as many conflicts as there are files: each is looked up, and never looked for.
    let standing: HashSet<&str> = result.conflicts.iter().map(|conflict| conflict.id.as_str()).collect();
    let troubles: HashSet<&str> = result
        .problems
        .iter()
        .filter(|trouble| trouble.code != "renamed_apart")
        .map(|trouble| trouble.path.as_str())
        .collect();
    let unseen = |path: &ItemPath| {
        ["", path.as_str()].iter().any(|at| troubles.contains(at))
            || path.ancestors().any(|above| troubles.contains(above.as_str()))
    };
    let baseline = glance::baseline(store, &target.name).await?;
    for record in open {
        let seen = [Some(&record.path), record.copy.as_ref()].into_iter().flatten().all(|path| !unseen(path));
        if standing.contains(record.id.as_str()) || !seen {
            continue;
        }
        let was = (record.path.clone(), record.copy.clone());
        let record = moved_along(baseline.as_ref(), result, record)?;
        let closed = if whole { closed(store, target, baseline.as_ref(), &record).await? } else { None };
        if let Some(how) = closed {
            store.resolve_conflict(&record.id, &how, service.clock().now()).await?;
        } else if was != (record.path.clone(), record.copy.clone()) {
            store.replace_conflict(&record).await?;
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

/// A conflict whose files were moved goes with them: it is as open as before.
fn moved_along(
    baseline: &dyn Baseline,
    result: &RunResult,
    mut record: ConflictRecord,
) -> Result<ConflictRecord> {
    for path in [Some(&mut record.path), record.copy.as_mut()].into_iter().flatten() {
        if baseline.get(path)?.is_none() {
            let moved = result.plan.steps.iter().find_map(|step| match &step.action {
                Action::Move { from, .. } => path.moved(from, &step.path),
                _ => None,
            });
            if let Some(moved) = moved.or_else(|| moved_by_people(result, path)) {
                *path = moved;
            }
        }
    }
    Ok(record)
}

/// Where people moved what both sides had agreed on at `path`, when they did so on both: then no step tells of it.
fn moved_by_people(result: &RunResult, path: &ItemPath) -> Option<ItemPath> {
    let goals = &result.plan.goals;
    let left = &goals[goals.binary_search_by(|goal| goal.path.cmp(path)).ok()?];
    let was = left.was.as_ref().filter(|was| left.item.is_none() && !was.kind.is_directory())?;
    let is_it = |goal: &&Goal| {
        let item = goal.item.as_ref().filter(|_| goal.was.is_none());
        item.is_some_and(|item| item.kind == was.kind && item.digest == Some(was.digest))
    };
    let same_name = |goal: &&Goal| goal.path.name() == path.name();
    let found = goals.iter().filter(is_it).find(same_name).or_else(|| goals.iter().find(is_it));
    found.map(|goal| goal.path.clone())
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
