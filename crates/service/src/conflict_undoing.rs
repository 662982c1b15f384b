//! What a rollback makes of conflicts.
//!
//! It puts paths back to what both sides had agreed on before. Where that brings back both versions of a settled conflict,
//! or markers, nobody has decided any more: the conflict is open again. Where it takes a conflict back altogether, both
//! sides hold what they agreed on before they differed. The versions were never agreed on, so they are in history alone,
//! and whoever rolls back is told how to get them.

use std::collections::BTreeSet;

use syncline_config::Target as Configured;
use syncline_core::{Baseline, Direction, ItemPath, Problem as Trouble};
use syncline_engine::Target;
use syncline_store::{ConflictQuery, ConflictRecord, RunQuery, Store};

use crate::conflict_closing::is_marked;
use crate::conflict_versions::Standing;
use crate::glance;
use crate::problem::Result;
use crate::service::Service;

/// The runs that a rollback undoes.
pub(crate) async fn undone_runs(store: &Store, target: &str, first: &str) -> Result<BTreeSet<String>> {
    let query = RunQuery { target: Some(target.to_owned()), ..RunQuery::default() };
    let mut undone = BTreeSet::new();
    for run in store.runs(&query).await? {
        let last = run.start.id == first;
        undone.insert(run.start.id);
        if last {
            break;
        }
    }
    Ok(undone)
}

/// Brings the records of conflicts up to what a rollback of these runs did at these paths; tells of each.
pub(crate) async fn undo(
    service: &Service,
    store: &Store,
    configured: &Configured,
    runs: &BTreeSet<String>,
    paths: &BTreeSet<ItemPath>,
) -> Result<Vec<Trouble>> {
    let target = service.target(configured, configured.direction)?;
    let baseline = glance::baseline(store, &target.name).await?;
    let query = ConflictQuery { target: Some(target.name.clone()), open_only: false };
    let mut told = Vec::new();
    for record in store.conflicts(&query).await? {
        let at = [Some(&record.path), record.copy.as_ref()];
        if !at.into_iter().flatten().any(|path| paths.contains(path)) {
            continue;
        }
        let (id, path) = (record.id.clone(), record.path.to_string());
        let message = match after(store, &target, baseline.as_ref(), &record, runs).await? {
            After::Same => continue,
            After::Open(opened) => {
                store.replace_conflict(&opened).await?;
                format!("the conflict {id} is open again: the rollback undid how it was settled")
            }
            After::Gone => {
                store.resolve_conflict(&id, "rolled back", service.clock().now()).await?;
                format!(
                    "back at what both sides agreed on before the conflict {id}; its two versions are in history, and \
                     `syncline conflicts abort {id}` puts them side by side"
                )
            }
        };
        told.push(Trouble::new(path, "conflict_undone", message));
    }
    Ok(told)
}

/// What a conflict is after a rollback.
enum After {
    Same,
    Open(Box<ConflictRecord>),
    Gone,
}

async fn after(
    store: &Store,
    target: &Target,
    baseline: &dyn Baseline,
    record: &ConflictRecord,
    runs: &BTreeSet<String>,
) -> Result<After> {
    let settled = record.resolved.is_some();
    let beside = is_beside(baseline, record)?;
    let marked = record.merged.is_some() && is_marked(store, target, baseline, record).await?;
    let open = match Standing::of(record) {
        _ if beside && settled => opened(record, false),
        _ if marked && settled => opened(record, true),
        Standing::Beside if !settled => {
            let kept = match &record.copy {
                Some(copy) if target.policy.direction == Direction::Bidirectional => {
                    baseline.get(copy)?.is_some()
                }
                _ => true,
            };
            return Ok(if kept { After::Same } else { After::Gone });
        }
        Standing::Marked if !settled => return Ok(if marked { After::Same } else { After::Gone }),
        Standing::Untouched if !settled => return Ok(After::Same),
        _ if runs.contains(&record.run) => return Ok(After::Gone),
        _ => return Ok(After::Same),
    };
    Ok(After::Open(Box::new(open)))
}

/// Whether both sides agree on both versions, each under its name.
fn is_beside(baseline: &dyn Baseline, record: &ConflictRecord) -> Result<bool> {
    let (Some(winner), Some(copy)) = (record.winner, &record.copy) else { return Ok(false) };
    for (path, side) in [(&record.path, winner), (copy, winner.other())] {
        let version = &record.versions[side];
        let agreed = baseline.get(path)?;
        if agreed.is_none_or(|entry| entry.kind != version.kind || Some(entry.digest) != version.digest) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The record as one that waits for a person again.
fn opened(record: &ConflictRecord, marked: bool) -> ConflictRecord {
    let mut record = ConflictRecord { resolved: None, resolution: None, ..record.clone() };
    if marked {
        (record.winner, record.copy) = (None, None);
        "merged with markers: finish it in the file".clone_into(&mut record.action);
    } else {
        record.merged = None;
        if let (Some(winner), Some(copy)) = (record.winner, &record.copy) {
            record.action =
                format!("opened again: the {winner} version keeps the name; the other one is at {copy}");
        }
    }
    record
}
