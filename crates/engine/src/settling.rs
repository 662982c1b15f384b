//! Records of conflicts: what is decided about one is recorded before anything is overwritten, and that it is carried
//! out only when both sides agree on what it came to. So no record claims more than what happened, whatever failed and
//! whenever the program was killed.

use std::collections::HashSet;

use syncline_core::{Baseline, Conflict, Damaged, Direction, Entry, Item, ItemPath, Outcome, Plan, fold};
use syncline_store::{ConflictQuery, ConflictRecord, Decided, Lease};

use crate::context::{Context, Target};
use crate::cycle::Session;
use crate::error::Result;

/// Records the conflicts of a plan, with what is decided about them as pending.
pub(crate) async fn record(
    context: &Context,
    target: &Target,
    session: &Session<'_>,
    plan: &Plan,
) -> Result<()> {
    let now = context.clock.now();
    let records: Vec<ConflictRecord> = plan
        .conflicts
        .iter()
        .map(|conflict| {
            let decided = (!conflict.is_untouched()).then(|| decided(conflict));
            ConflictRecord {
                id: conflict.id.clone(),
                target: target.name.clone(),
                run: session.run.clone(),
                path: conflict.path.clone(),
                kind: conflict.kind.to_owned(),
                policy: conflict.policy.to_owned(),
                base: conflict.base.clone(),
                versions: conflict.versions.clone(),
                winner: None,
                copy: None,
                merged: None,
                action: match decided {
                    Some(_) => ConflictRecord::PENDING.to_owned(),
                    None => action(conflict),
                },
                clamped: conflict.clamped,
                opened: now,
                resolved: None,
                resolution: None,
                pending: decided.map(Box::new),
            }
        })
        .collect();
    if !records.is_empty() {
        context.store.put_conflicts(session.lease, &records).await?;
    }
    Ok(())
}

fn decided(conflict: &Conflict) -> Decided {
    Decided {
        winner: conflict.winner,
        copy: conflict.copy.clone(),
        merged: conflict.merged.clone(),
        action: action(conflict),
        settles: !conflict.open,
    }
}

/// The conflicts of a plan that did not become what was decided.
pub(crate) fn not_reached(plan: &Plan, outcomes: &[Option<Outcome>]) -> HashSet<String> {
    let is_reached = |path: &ItemPath| match plan.goals.binary_search_by(|goal| goal.path.cmp(path)) {
        Ok(at) => fold::reached(&plan.goals[at], outcomes).is_some(),
        Err(_) => true,
    };
    let mut waiting = HashSet::new();
    for conflict in plan.conflicts.iter().filter(|conflict| !conflict.is_untouched()) {
        if ![Some(&conflict.path), conflict.copy.as_ref()].into_iter().flatten().all(is_reached) {
            waiting.insert(conflict.id.clone());
        }
    }
    waiting
}

/// Says of every pending decision that it is carried out, where it is; the identifiers of the others.
pub(crate) async fn conclude(context: &Context, target: &Target, lease: &Lease) -> Result<HashSet<String>> {
    let query = ConflictQuery { target: Some(target.name.clone()), open_only: true };
    let open = context.store.conflicts(&query).await?;
    let pending: Vec<ConflictRecord> = open.into_iter().filter(|record| record.pending.is_some()).collect();
    if pending.is_empty() {
        return Ok(HashSet::new());
    }
    let state = context.store.target(&target.name).await?;
    let baseline = context.store.baseline(&state).await?;
    let now = context.clock.now();
    let (mut done, mut waiting) = (Vec::new(), HashSet::new());
    for mut record in pending {
        if is_carried_out(baseline.as_ref(), target, &record)? {
            record.carry_out(now);
            done.push(record);
        } else {
            waiting.insert(record.id);
        }
    }
    if !done.is_empty() {
        context.store.put_conflicts(lease, &done).await?;
    }
    Ok(waiting)
}

/// Whether both sides agree on what was decided.
fn is_carried_out(
    baseline: &dyn Baseline,
    target: &Target,
    record: &ConflictRecord,
) -> std::result::Result<bool, Damaged> {
    let Some(decided) = &record.pending else { return Ok(true) };
    // One way, a copy is on one side alone, and is put there before what it is a copy of is overwritten.
    let agreed_copy = decided.copy.as_ref().filter(|_| target.policy.direction == Direction::Bidirectional);
    if let Some(copy) = agreed_copy
        && baseline.get(copy)?.is_none()
    {
        return Ok(false);
    }
    let winning = || decided.winner.map(|winner| &record.versions[winner]);
    let Some(item) = decided.merged.as_ref().or_else(winning) else { return Ok(true) };
    Ok(match baseline.get(&record.path)? {
        Some(entry) => is_item(&entry, item),
        // Where a side keeps no directories, none is agreed on: the copy tells.
        None => item.kind.is_directory() && agreed_copy.is_some(),
    })
}

fn is_item(entry: &Entry, item: &Item) -> bool {
    entry.kind == item.kind && (item.kind.is_directory() || Some(entry.digest) == item.digest)
}

/// What was done about a conflict, in words.
pub(crate) fn action(conflict: &Conflict) -> String {
    let note = conflict.note.as_ref().map(|note| format!(" ({note})")).unwrap_or_default();
    if conflict.merged.is_some() {
        let what = if conflict.open { "merged with markers: finish it in the file" } else { "merged" };
        return format!("{what}{note}");
    }
    let done = match (conflict.winner, &conflict.copy) {
        (None, _) => "nothing was touched; waiting for a decision".to_owned(),
        (Some(winner), None) => format!("the {winner} version won; the other one is in history"),
        (Some(winner), Some(copy)) => {
            format!("the {winner} version kept the name; the other one is at {copy}")
        }
    };
    format!("{done}{note}")
}
