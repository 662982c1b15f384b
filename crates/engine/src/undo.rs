//! Going back: what paths held before a run, or at the end of one. Both become wishes of an ordinary run.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use syncline_core::{Action, Baseline, Entry, Expected, Item, ItemPath, Plan, Retracted, Side, Sides, Step};
use syncline_store::{Delta, RunQuery, RunRecord, Store};

use crate::apply::is_same_content;
use crate::error::{Error, Result};

/// What the target's paths held before `run`: the wishes of a rollback. Runs after it are undone too.
///
/// # Errors
/// When the run is not known or history cannot be read.
pub async fn before_run(store: &Store, run: &RunRecord) -> Result<BTreeMap<ItemPath, Option<Item>>> {
    let mut desired = BTreeMap::new();
    for (_, deltas) in back_to(store, &run.start.target, &run.start.id, true).await? {
        for delta in deltas.into_iter().filter(changed) {
            // Runs come newest first: the oldest word counts.
            desired.insert(delta.path, delta.before.as_ref().map(Entry::item));
        }
    }
    Ok(desired)
}

/// What a run that has just ended did, to be taken back on the sides that it wrote, by its plan.
///
/// # Errors
/// When history cannot be read.
pub(crate) async fn taken_back(
    store: &Store,
    run: &RunRecord,
    plan: &Plan,
) -> Result<(BTreeMap<ItemPath, Option<Item>>, BTreeMap<ItemPath, Retracted>)> {
    let deltas: BTreeMap<ItemPath, Delta> =
        store.deltas(&run.start.id).await?.into_iter().map(|delta| (delta.path.clone(), delta)).collect();
    let baseline = store.baseline(&store.peek_target(&run.start.target).await?).await?;
    let written = Written::of(plan);
    let (mut desired, mut retracted) = (BTreeMap::new(), BTreeMap::new());
    // What was written without agreeing on it, such as beside an open conflict, has no delta.
    let paths: BTreeSet<&ItemPath> = deltas.keys().chain(written.at.keys().copied()).collect();
    for path in paths {
        let held = Sides::from_fn(|side| written.held(&deltas, path, side));
        if held.local.is_some() || held.remote.is_some() {
            let before = match deltas.get(path) {
                Some(delta) => delta.before.clone(),
                None => Baseline::get(baseline.as_ref(), path)?,
            };
            desired.insert(path.clone(), before.as_ref().map(Entry::item));
            retracted.insert(path.clone(), held);
        }
    }
    Ok((desired, retracted))
}

/// What a plan wrote, and where; places are indices into its steps.
struct Written<'a> {
    plan: &'a Plan,
    /// The steps that wrote a path or moved something away from it, in their order.
    at: HashMap<&'a ItemPath, Vec<usize>>,
    /// The steps that moved a folder with all that is in it, in their order.
    folders: Vec<usize>,
}

impl<'a> Written<'a> {
    fn of(plan: &'a Plan) -> Self {
        let (mut at, mut folders): (HashMap<_, Vec<usize>>, _) = (HashMap::new(), Vec::new());
        for (index, step) in plan.steps.iter().enumerate() {
            at.entry(&step.path).or_default().push(index);
            if let Action::Move { from, item, .. } = &step.action {
                at.entry(from).or_default().push(index);
                if item.kind.is_directory() {
                    folders.push(index);
                }
            }
        }
        Self { plan, at, folders }
    }

    /// What a side held at a path before the run; `None` when the run wrote nothing there.
    ///
    /// Follows what was at the path through the steps: the first that wrote it tells what it found. What was carried
    /// away in a folder and not written afterwards is what now lies where the folder is.
    fn held(&self, deltas: &BTreeMap<ItemPath, Delta>, path: &ItemPath, side: Side) -> Option<Option<Item>> {
        let (mut now, mut next) = (path.clone(), 0);
        loop {
            let written = self.at.get(&now).into_iter().flatten();
            let carried = self.folders.iter().filter(|&&at| self.carries(at, &now));
            let Some(&at) =
                written.chain(carried).filter(|&&at| at >= next && self.plan.steps[at].side == side).min()
            else {
                let after = || deltas.get(&now).and_then(|delta| delta.after.as_ref()).map(Entry::item);
                return (now != *path).then(after);
            };
            let step = &self.plan.steps[at];
            match &step.action {
                Action::Move { from, item, .. } if *from == now => return Some(Some(item.clone())),
                Action::Move { from, .. } if step.path != now => match now.moved(from, &step.path) {
                    Some(moved) => (now, next) = (moved, at + 1),
                    // It came with the folder, to where no folder was.
                    None => return Some(None),
                },
                _ => return Some(found(self.plan, step, deltas.get(&now))),
            }
        }
    }

    fn carries(&self, at: usize, path: &ItemPath) -> bool {
        let step = &self.plan.steps[at];
        let from = matches!(&step.action, Action::Move { from, .. } if path.is_below(from.as_str()));
        from || path.is_below(step.path.as_str())
    }
}

/// What a step found at its path.
fn found(plan: &Plan, step: &Step, delta: Option<&Delta>) -> Option<Item> {
    let Expected::Present { keep, .. } = &step.expected else { return None };
    let Some(keep) = keep.as_deref().copied() else { return Some(Item::directory()) };
    if let Action::Remove { item } = &step.action {
        return Some(Item { digest: Some(keep), ..item.clone() });
    }
    let conflict = plan.conflicts.iter().find(|conflict| conflict.path == step.path);
    let known = conflict.map(|conflict| Item { digest: Some(keep), ..conflict.versions[step.side].clone() });
    known.or_else(|| lost_on(delta?, step.side)).or_else(|| delta?.before.as_ref().map(Entry::item))
}

/// The content that a run took away on one side, where that had not been agreed on.
fn lost_on(delta: &Delta, side: Side) -> Option<Item> {
    let lost = delta.lost.iter().find(|lost| lost.side == side)?;
    Some(Item { kind: lost.kind, digest: Some(lost.digest), size: lost.size, modified: 0 })
}

/// What `path` and everything below it held: at the end of the run `at`, or before it was lost last.
///
/// Nothing is returned for paths that are now as they were then.
///
/// # Errors
/// When the run is not known or history cannot be read.
pub async fn version_at(
    store: &Store,
    target: &str,
    path: &ItemPath,
    at: Option<&RunRecord>,
) -> Result<BTreeMap<ItemPath, Option<Item>>> {
    let concerns = |other: &ItemPath| other == path || other.is_below(path.as_str());
    let mut desired = BTreeMap::new();
    match at {
        Some(run) => {
            for (_, deltas) in back_to(store, target, &run.start.id, false).await? {
                for delta in deltas.into_iter().filter(|delta| concerns(&delta.path) && changed(delta)) {
                    desired.insert(delta.path, delta.before.as_ref().map(Entry::item));
                }
            }
            agreed_now(store, target, path, &mut desired).await?;
        }
        None => {
            for run in store.runs(&query(target)).await? {
                for delta in
                    store.known_deltas(&run.start.id).await?.into_iter().filter(|delta| concerns(&delta.path))
                {
                    if let Some(lost) = lost_item(&delta) {
                        desired.entry(delta.path).or_insert(Some(lost));
                    }
                }
                // The newest loss of the path itself is meant; below a directory, the newest of each.
                if desired.contains_key(path) && !is_directory(&desired, path) {
                    break;
                }
            }
            keep_absent(store, target, path, &mut desired).await?;
        }
    }
    Ok(desired)
}

/// Whether a run changed the content of the path, and did not only learn of it.
fn changed(delta: &Delta) -> bool {
    !is_same_content(delta.before.as_ref(), delta.after.as_ref())
}

fn is_directory(desired: &BTreeMap<ItemPath, Option<Item>>, path: &ItemPath) -> bool {
    matches!(desired.get(path), Some(Some(item)) if item.kind.is_directory())
}

/// The content that a run took away at a path: the loser of a conflict, or what had been agreed before.
fn lost_item(delta: &Delta) -> Option<Item> {
    if let Some(lost) = delta.lost.first() {
        return Some(Item { kind: lost.kind, digest: Some(lost.digest), size: lost.size, modified: 0 });
    }
    let before = delta.before.as_ref()?;
    let kept =
        delta.after.as_ref().is_some_and(|after| after.digest == before.digest && after.kind == before.kind);
    (!kept).then(|| before.item())
}

/// Adds the agreed entry of `path` itself where no later run touched it: both sides may have been edited since.
async fn agreed_now(
    store: &Store,
    target: &str,
    path: &ItemPath,
    desired: &mut BTreeMap<ItemPath, Option<Item>>,
) -> Result<()> {
    if !desired.contains_key(path) {
        let state = store.peek_target(target).await?;
        let baseline = store.baseline(&state).await?;
        if let Some(entry) = Baseline::get(baseline.as_ref(), path)? {
            desired.insert(path.clone(), Some(entry.item()));
        }
    }
    Ok(())
}

/// Below a directory, only what is not there any more is brought back: what is there is somebody's present work.
async fn keep_absent(
    store: &Store,
    target: &str,
    path: &ItemPath,
    desired: &mut BTreeMap<ItemPath, Option<Item>>,
) -> Result<()> {
    let baseline = store.baseline(&store.peek_target(target).await?).await?;
    let mut there = Vec::new();
    for below in desired.keys().filter(|below| *below != path) {
        if baseline.get(below)?.is_some() {
            there.push(below.clone());
        }
    }
    for below in there {
        desired.remove(&below);
    }
    Ok(())
}

fn query(target: &str) -> RunQuery {
    RunQuery { target: Some(target.to_owned()), ..RunQuery::default() }
}

/// The deltas of the target's runs, newest first, back to `run`, with or without it.
async fn back_to(
    store: &Store,
    target: &str,
    run: &str,
    included: bool,
) -> Result<Vec<(String, Vec<Delta>)>> {
    let mut found = Vec::new();
    for record in store.runs(&query(target)).await? {
        let last = record.start.id == run;
        if last && !included {
            return Ok(found);
        }
        found.push((record.start.id.clone(), store.deltas(&record.start.id).await?));
        if last {
            return Ok(found);
        }
    }
    Err(Error::NoRun(run.to_owned()))
}
