//! Records of conflicts: what is decided about one is recorded before anything is overwritten, and that it is carried
//! out only when both sides agree on what it came to. So no record claims more than what happened, whatever failed and
//! whenever the program was killed.

use std::collections::HashSet;

use syncline_core::{
    Action, Baseline, Conflict, Damaged, Direction, Entry, Goal, Item, ItemPath, Outcome, Plan, fold,
};
use syncline_store::{ConflictQuery, ConflictRecord, Decided, Lease};

use crate::context::{Context, Options, Target};
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

/// Brings the records of open conflicts up to what both sides agree on by now: pending decisions that are carried out,
/// and files that the plan of a run, or people on both sides, moved. Gives the identifiers of what still waits to be carried
/// out.
pub(crate) async fn conclude(
    context: &Context,
    target: &Target,
    lease: &Lease,
    run: Option<(&Plan, &Options)>,
) -> Result<HashSet<String>> {
    let query = ConflictQuery { target: Some(target.name.clone()), open_only: true };
    let open = context.store.conflicts(&query).await?;
    let mut waiting = HashSet::new();
    if open.is_empty() {
        return Ok(waiting);
    }
    let state = context.store.target(&target.name).await?;
    let baseline = context.store.baseline(&state).await?;
    let now = context.clock.now();
    let mut changed = Vec::new();
    for mut record in open {
        let was = (record.path.clone(), record.copy.clone());
        if record.pending.is_some() {
            if is_carried_out(baseline.as_ref(), target, &record)? {
                record.carry_out(now, settled_as(&record, run.map(|(_, options)| options)));
                changed.push(record);
            } else {
                waiting.insert(record.id);
            }
        } else if let Some((plan, _)) = run.filter(|_| !record.is_untouched()) {
            let mut places = [Some(&mut record.path), record.copy.as_mut()];
            for path in places.iter_mut().flatten() {
                if baseline.get(path)?.is_none() {
                    **path = moved(plan, path).unwrap_or_else(|| path.clone());
                }
            }
            if was != (record.path.clone(), record.copy.clone()) {
                changed.push(record);
            }
        }
    }
    if !changed.is_empty() {
        context.store.put_conflicts(lease, &changed).await?;
    }
    Ok(waiting)
}

/// How a conflict is settled by what is carried out: as people have decided in this run, or by its policy.
fn settled_as<'a>(record: &ConflictRecord, options: Option<&'a Options>) -> &'a str {
    let is_decided = |options: &&Options| {
        options.choices.takes.contains_key(&record.id) || options.choices.desired.contains_key(&record.path)
    };
    let options = options.filter(is_decided);
    options.and_then(|options| options.settled_as.as_deref()).unwrap_or(ConflictRecord::BY_POLICY)
}

/// Where what was at `path` is now: a step moved it, or people did so on both sides, and no step tells of it.
fn moved(plan: &Plan, path: &ItemPath) -> Option<ItemPath> {
    let by_step = plan.steps.iter().find_map(|step| match &step.action {
        Action::Move { from, .. } => path.moved(from, &step.path),
        _ => None,
    });
    by_step.or_else(|| moved_by_people(plan, path))
}

fn moved_by_people(plan: &Plan, path: &ItemPath) -> Option<ItemPath> {
    let goals = &plan.goals;
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
