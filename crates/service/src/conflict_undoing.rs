//! What a rollback makes of conflicts.
//!
//! It puts paths back to what both sides had agreed on before. Where that brings back both versions of a settled conflict,
//! or markers, nobody has decided any more: the conflict is open again. Where it takes a conflict back altogether, both
//! sides hold what they agreed on before they differed. The versions were never agreed on, so they are in history alone,
//! and whoever rolls back is told how to get them. What was agreed on is not kept for each file: without it, both
//! versions are put side by side, and the conflict is open again.

use std::collections::{BTreeMap, BTreeSet};

use syncline_config::Target as Configured;
use syncline_core::{Baseline, Direction, Item, ItemPath, Problem as Trouble, Side, conflict_path};
use syncline_engine::Target;
use syncline_store::{ConflictQuery, ConflictRecord, RunQuery, Store};

use crate::conflict_closing::is_marked;
use crate::conflict_places::apart;
use crate::conflict_versions::Standing;
use crate::glance;
use crate::problem::Result;
use crate::service::Service;
use crate::wishes::Wishes;

/// The conflicts that a rollback is about.
pub(crate) struct Undoing {
    target: Target,
    /// The runs that it undoes.
    runs: BTreeSet<String>,
    /// The paths that it puts back.
    paths: BTreeSet<ItemPath>,
    /// The conflicts, by identifier, whose versions it puts side by side, and where the remote one comes to be.
    apart: BTreeMap<String, ItemPath>,
}

impl Undoing {
    /// Looks at the conflicts at the paths of a rollback of `first` and the runs after it. Where what was agreed on before
    /// is not kept any more, the wishes become those for both versions. A dry run keeps nothing for it.
    pub(crate) async fn prepare(
        service: &Service,
        store: &Store,
        configured: &Configured,
        (first, dry_run): (&str, bool),
        desired: &mut Wishes,
    ) -> Result<Option<Self>> {
        // Of a target that cannot be used, the run reports the same.
        let Ok(target) = service.target(configured, configured.direction) else { return Ok(None) };
        let runs = undone_runs(store, &target.name, first).await?;
        let paths = desired.keys().cloned().collect();
        let mut side_by_side = BTreeMap::new();
        let is_undone = |record: &&ConflictRecord| {
            let files = Side::BOTH.iter().all(|&side| !record.versions[side].kind.is_directory());
            files && runs.contains(&record.run) && target.policy.direction == Direction::Bidirectional
        };
        for record in conflicts(store, &target.name).await?.iter().filter(is_undone) {
            let Some(Some(wish)) = desired.get(&record.path) else { continue };
            let is_base =
                wish.digest.is_some() && record.base.as_ref().is_some_and(|base| base.digest == wish.digest);
            if !is_base || is_kept(store, wish)? {
                continue;
            }
            let baseline = glance::baseline(store, &target.name).await?;
            if is_beside(baseline.as_ref(), record)? {
                let stay = [Some(&record.path), record.copy.as_ref()];
                desired.retain(|path, _| !stay.contains(&Some(path)));
                continue;
            }
            let copy = if dry_run {
                Ok(conflict_path(&record.path, &record.versions.remote, &target.policy.nodes.remote))
            } else {
                apart(store, &target, record).await
            };
            if let Ok(copy) = copy {
                desired.insert(record.path.clone(), Some(record.versions.local.clone()));
                desired.insert(copy.clone(), Some(record.versions.remote.clone()));
                side_by_side.insert(record.id.clone(), copy);
            }
        }
        Ok(Some(Self { target, runs, paths, apart: side_by_side }))
    }

    /// Brings the records of conflicts up to what the rollback did; tells of each.
    pub(crate) async fn conclude(&self, service: &Service, store: &Store) -> Result<Vec<Trouble>> {
        let baseline = glance::baseline(store, &self.target.name).await?;
        let mut told = Vec::new();
        for mut record in conflicts(store, &self.target.name).await? {
            let at = [Some(&record.path), record.copy.as_ref()];
            if !at.into_iter().flatten().any(|path| self.paths.contains(path)) {
                continue;
            }
            if let Some(copy) = self.apart.get(&record.id) {
                (record.winner, record.copy) = (Some(Side::Local), Some(copy.clone()));
            }
            let (id, path) = (record.id.clone(), record.path.to_string());
            let message = match self.after(store, baseline.as_ref(), &record).await? {
                After::Same => continue,
                After::Open(opened) => {
                    store.replace_conflict(&opened, service.clock().now()).await?;
                    format!("the conflict {id} is open again: the rollback undid how it was settled")
                }
                After::Gone => {
                    store.resolve_conflict(&id, "rolled back", service.clock().now()).await?;
                    format!(
                        "back at what both sides agreed on before the conflict {id}; its two versions are in history, \
                         and `syncline conflicts abort {id}` puts them side by side"
                    )
                }
            };
            told.push(Trouble::new(path, "conflict_undone", message));
        }
        Ok(told)
    }

    async fn after(&self, store: &Store, baseline: &dyn Baseline, record: &ConflictRecord) -> Result<After> {
        let settled = record.resolved.is_some();
        let marked = record.merged.is_some() && is_marked(store, &self.target, baseline, record).await?;
        let both_ways = self.target.policy.direction == Direction::Bidirectional;
        let is_gone = match Standing::of(record) {
            _ if settled && is_beside(baseline, record)? => {
                return Ok(After::Open(Box::new(opened(record, false))));
            }
            _ if settled && marked => return Ok(After::Open(Box::new(opened(record, true)))),
            _ if settled => self.runs.contains(&record.run) && is_back(baseline, record)?,
            Standing::Beside => match record.copy.as_ref().filter(|_| both_ways) {
                Some(copy) => baseline.get(copy)?.is_none(),
                None => false,
            },
            Standing::Marked => !marked,
            Standing::Untouched => false,
        };
        Ok(if is_gone { After::Gone } else { After::Same })
    }
}

/// The runs from `first` to the last one of a target.
async fn undone_runs(store: &Store, target: &str, first: &str) -> Result<BTreeSet<String>> {
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

async fn conflicts(store: &Store, target: &str) -> Result<Vec<ConflictRecord>> {
    let query = ConflictQuery { target: Some(target.to_owned()), open_only: false };
    Ok(store.conflicts(&query).await?)
}

/// Whether the content of an item is kept.
fn is_kept(store: &Store, item: &Item) -> Result<bool> {
    let Some(digest) = item.digest else { return Ok(true) };
    Ok(store.objects().contains(&digest) || store.bases().find(&[digest].into())?.read(&digest).is_some())
}

/// Whether both sides agree on what they had agreed on before the conflict.
fn is_back(baseline: &dyn Baseline, record: &ConflictRecord) -> Result<bool> {
    let now = baseline.get(&record.path)?.map(|entry| (entry.kind, entry.item().digest));
    Ok(now == record.base.as_ref().map(|base| (base.kind, base.digest)))
}

/// What a conflict is after a rollback.
enum After {
    Same,
    Open(Box<ConflictRecord>),
    Gone,
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
