//! Applying a plan: conflicts are recorded and their losers kept first, then each side gets its steps in
//! batches, and what was reached is journaled after each of them.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use syncline_connect::{Batch, Contents, History};
use syncline_core::{
    Action, Digest, Entry, Goal, ItemPath, Mark, Outcome, Plan, Problem, Side, Sides, Source, Step, Version,
    fold,
};
use syncline_store::{Delta, Lost};
use tokio::sync::Mutex;
use tracing::Instrument as _;

use crate::bridge::{ContentsBridge, HistoryBridge};
use crate::context::{Context, Event, Target};
use crate::cycle::Session;
use crate::error::Result;
use crate::keeper::Keeper;
use crate::look::{self, View};
use crate::merging;
use crate::result::RunResult;
use crate::settling;
use crate::spans;

/// Most steps that are made durable together: what a kill may cost to do again.
const BATCH_STEPS_MAX: usize = 12_288;
/// Most bytes that are made durable together.
const BATCH_BYTES_MAX: u64 = 1 << 30;

/// What applying came to.
pub(crate) struct Applied {
    /// Paths that somebody else changed meanwhile: look again.
    pub(crate) again: Vec<ItemPath>,
    /// The sides on which the run left its mark.
    pub(crate) marked: Sides<bool>,
}

/// Applies a plan that nothing halts.
pub(crate) async fn apply(
    context: &Context,
    target: &Target,
    session: &Session<'_>,
    plan: &Plan,
    view: &View,
    result: &mut RunResult,
) -> Result<Applied> {
    let span = spans::apply(plan);
    let done = applied(context, target, session, plan, view, result).instrument(span.clone()).await;
    spans::applied(&span, &done);
    done
}

async fn applied(
    context: &Context,
    target: &Target,
    session: &Session<'_>,
    plan: &Plan,
    view: &View,
    result: &mut RunResult,
) -> Result<Applied> {
    let bytes = plan.steps.iter().map(Step::bytes).sum();
    let steps = plan.steps.len() as u64;
    context.events.happened(&Event::Applying { target: target.name.clone(), steps, bytes });
    settling::record(context, target, session, plan).await?;
    session.keeper.expect(plan.steps.iter().filter(|step| is_transfer(step)).map(Step::item));
    let work = Work {
        context,
        target,
        session,
        plan,
        state: Mutex::new(State {
            outcomes: fill_store(context, target, plan, view).await?,
            journaled: vec![false; plan.goals.len()],
            learned: false,
            taken_over: 0,
        }),
    };
    if context.workers == 0 {
        work.side(Side::Local).await?;
        work.side(Side::Remote).await?;
    } else {
        let (local, remote) = tokio::join!(work.side(Side::Local), work.side(Side::Remote));
        local?;
        remote?;
    }
    work.journal().await?;
    let unsettled = Sides::from_fn(|side| look::is_side_unsettled(target, view, side));
    let marked = work.leave_marks(unsettled).await?;
    let State { outcomes, taken_over, .. } = work.state.into_inner();
    result.taken_over += taken_over;
    result.count(plan, &outcomes);
    result.admit(&settling::not_reached(plan, &outcomes));
    Ok(Applied { again: moving(plan, &outcomes), marked })
}

fn is_transfer(step: &Step) -> bool {
    matches!(step.action, Action::Write { source: Source::Opposite { .. }, .. })
}

/// Lets both sides clear away what an interrupted run left in their staging: an empty batch does.
pub(crate) async fn clear_leftovers(context: &Context, target: &Target) -> Result<()> {
    for side in Side::BOTH.into_iter().filter(|&side| target.policy.direction.may_write(side)) {
        let run = context.clock.identifier();
        target.endpoints[side].apply(batch(context, target, run, Arc::new([]), None, None)).await?;
    }
    Ok(())
}

fn batch(
    context: &Context,
    target: &Target,
    run: String,
    steps: Arc<[Step]>,
    mark: Option<(String, Mark)>,
    keeper: Option<Arc<Keeper>>,
) -> Batch {
    let objects = context.store.objects().clone();
    let endpoints = target.endpoints.clone();
    Batch {
        run,
        steps,
        contents: Arc::new(ContentsBridge { endpoints, objects: objects.clone(), keeper })
            as Arc<dyn Contents>,
        history: Arc::new(HistoryBridge::new(objects)) as Arc<dyn History>,
        mark,
        progress: context.events.progress(),
    }
}

/// Paths whose steps found something else than expected.
fn moving(plan: &Plan, outcomes: &[Option<Outcome>]) -> Vec<ItemPath> {
    let mut paths = Vec::new();
    for (step, outcome) in plan.steps.iter().zip(outcomes) {
        if matches!(outcome, Some(Outcome::Refused { .. })) {
            paths.push(step.path.clone());
            if let Action::Move { from, .. } = &step.action {
                paths.push(from.clone());
            }
        }
    }
    paths.sort();
    paths.dedup();
    paths
}

/// Makes sure that what steps take from the content store is there: losing versions that get a conflict name,
/// and versions that a person asked for. Where that fails, no step of the path is tried: the outcomes are given.
async fn fill_store(
    context: &Context,
    target: &Target,
    plan: &Plan,
    view: &View,
) -> Result<Vec<Option<Outcome>>> {
    let objects = context.store.objects();
    let mut missing: HashSet<Digest> = plan
        .steps
        .iter()
        .filter_map(|step| match &step.action {
            Action::Write { source: Source::Object(digest), .. } => Some(*digest),
            _ => None,
        })
        .collect();
    // A power loss may leave the name of an object without its content: being there is not enough.
    missing.retain(|digest| !objects.verify(digest).unwrap_or(false));
    let mut outcomes = vec![None; plan.steps.len()];
    if missing.is_empty() {
        return Ok(outcomes);
    }
    let mut failed = merging::store(context, target, view, &mut missing).await?;
    merging::restore(context, &mut missing).await?;
    let mut holders = holders(view, &missing)?;
    for digest in missing {
        let fetched = fetch(context, target, holders.remove(&digest).unwrap_or_default(), &digest).await;
        // Of an object that is there but unsound, the step itself tells what is wrong.
        if let Err(problem) = fetched
            && !objects.contains(&digest)
        {
            failed.insert(digest, problem);
        }
    }
    let mut paths: HashMap<&ItemPath, &Problem> = HashMap::new();
    for step in &plan.steps {
        if let Action::Write { source: Source::Object(digest), .. } = &step.action
            && let Some(problem) = failed.get(digest)
        {
            paths.insert(&step.path, problem);
        }
    }
    // Where a losing version cannot be kept aside, the winning one does not replace it either.
    for conflict in &plan.conflicts {
        if let Some(&problem) = conflict.copy.as_ref().and_then(|copy| paths.get(copy)) {
            paths.insert(&conflict.path, problem);
        }
    }
    for (step, outcome) in plan.steps.iter().zip(&mut outcomes) {
        let problem = paths.get(&step.path);
        *outcome = problem.map(|problem| {
            Outcome::Failed(Problem { path: step.path.as_str().to_owned(), ..(*problem).clone() })
        });
    }
    Ok(outcomes)
}

/// Where a content can be read: the side, the path and the version there.
pub(crate) type Holder = (Side, ItemPath, Version);

/// Everything on both sides that holds one of these contents.
pub(crate) fn holders(view: &View, digests: &HashSet<Digest>) -> Result<HashMap<Digest, Vec<Holder>>> {
    let mut holders: HashMap<Digest, Vec<Holder>> = HashMap::new();
    let mut changed = Sides::from_fn(|_| HashSet::new());
    for side in Side::BOTH {
        for change in &view.snapshots[side].changes {
            changed[side].insert(change.path.clone());
            let Some(found) = change.now.found() else { continue };
            if let Some(digest) = found.item.digest.filter(|digest| digests.contains(digest)) {
                holders.entry(digest).or_default().push((side, change.path.clone(), found.version.clone()));
            }
        }
    }
    syncline_core::baseline::visit_all(view.baseline.as_ref(), &mut |path, entry| {
        if digests.contains(&entry.digest) && !entry.kind.is_directory() {
            for side in Side::BOTH.into_iter().filter(|&side| !changed[side].contains(&path)) {
                let holder = (side, path.clone(), entry.versions[side].clone());
                holders.entry(entry.digest).or_default().push(holder);
            }
        }
    })?;
    Ok(holders)
}

/// Puts a content into the content store, from the first holder that can give it.
async fn fetch(
    context: &Context,
    target: &Target,
    holders: Vec<Holder>,
    digest: &Digest,
) -> std::result::Result<(), Problem> {
    let message = format!("the content asked for ({}) is neither in history nor on a side", digest.short());
    let mut problem = Problem::new("", "content_gone", message);
    for (side, path, version) in holders {
        let kept = match target.endpoints[side].read(&path, &version).await {
            Ok(content) => HistoryBridge::new(context.store.objects().clone()).keep(digest, content).await,
            Err(error) => Err(error),
        };
        match kept {
            Ok(()) => return Ok(()),
            Err(error) => problem = error.on(side).to_problem(""),
        }
    }
    Err(problem)
}

/// A plan being applied.
struct Work<'a> {
    context: &'a Context,
    target: &'a Target,
    session: &'a Session<'a>,
    plan: &'a Plan,
    state: Mutex<State>,
}

struct State {
    outcomes: Vec<Option<Outcome>>,
    journaled: Vec<bool>,
    /// Whether the sides agree on something that they had not agreed on before.
    learned: bool,
    /// What a run that was cut short had done without recording it.
    taken_over: u64,
}

impl Work<'_> {
    /// Applies the steps of one side, batch by batch.
    async fn side(&self, side: Side) -> Result<()> {
        let waiting: Vec<usize> = {
            let state = self.state.lock().await;
            (0..self.plan.steps.len())
                .filter(|&index| self.plan.steps[index].side == side && state.outcomes[index].is_none())
                .collect()
        };
        let endpoint = &self.target.endpoints[side];
        let steps_max = match endpoint.capabilities().batch_max {
            usize::MAX => usize::MAX,
            most => most.clamp(1, BATCH_STEPS_MAX),
        };
        let copies: HashSet<&ItemPath> = self.plan.conflicts.iter().filter_map(|c| c.copy.as_ref()).collect();
        let (mut rest, mut kept): (&[usize], Vec<usize>);
        rest = &waiting;
        while !rest.is_empty() {
            let (now, later) = rest.split_at(batch_length(self.plan, rest, &copies, steps_max));
            rest = later;
            let steps = now.iter().map(|&index| self.plan.steps[index].clone()).collect();
            let outcomes = self.beside_journal(endpoint.apply(self.batch(steps, false))).await?;
            let mut state = self.state.lock().await;
            for (&index, outcome) in now.iter().zip(outcomes) {
                state.outcomes[index] = Some(as_refusal(outcome));
            }
            if self.withhold(now, rest, &copies, &mut state.outcomes) {
                kept = rest.iter().copied().filter(|&index| state.outcomes[index].is_none()).collect();
                rest = &kept;
            }
        }
        self.journal().await
    }

    /// Applies a batch while what earlier ones reached is journaled: a kill in between costs no more than one within a
    /// larger batch would. A simulation does one after the other, so that it can be repeated.
    async fn beside_journal(
        &self,
        applying: impl Future<Output = syncline_connect::Result<Vec<Outcome>>>,
    ) -> Result<Vec<Outcome>> {
        if self.context.workers == 0 {
            self.journal().await?;
            return Ok(applying.await?);
        }
        let (journaled, outcomes) = tokio::join!(self.journal(), applying);
        journaled?;
        Ok(outcomes?)
    }

    /// Where a conflict copy was not put, what it is a copy of is not overwritten either: such steps of the `rest`
    /// get the outcome of the copy. Tells whether there were any.
    fn withhold(
        &self,
        done: &[usize],
        rest: &[usize],
        copies: &HashSet<&ItemPath>,
        outcomes: &mut [Option<Outcome>],
    ) -> bool {
        let missing: HashMap<&ItemPath, Outcome> = done
            .iter()
            .filter_map(|&index| match &outcomes[index] {
                Some(outcome @ (Outcome::Failed(_) | Outcome::Refused { .. })) => {
                    Some((&self.plan.steps[index].path, outcome.clone()))
                }
                _ => None,
            })
            .filter(|(path, _)| copies.contains(path))
            .collect();
        let conflicts = self.plan.conflicts.iter();
        let held: HashMap<&ItemPath, &Outcome> = conflicts
            .filter_map(|conflict| Some((&conflict.path, missing.get(conflict.copy.as_ref()?)?)))
            .collect();
        for &index in rest {
            let path = &self.plan.steps[index].path;
            if let Some(&outcome) = held.get(path) {
                outcomes[index] = Some(match outcome {
                    Outcome::Failed(problem) => {
                        Outcome::Failed(Problem { path: path.as_str().to_owned(), ..problem.clone() })
                    }
                    other => other.clone(),
                });
            }
        }
        !held.is_empty()
    }

    fn batch(&self, steps: Arc<[Step]>, mark: bool) -> Batch {
        let mark = mark.then(|| (self.session.mark_id.clone(), self.session.mark.clone()));
        let (run, keeper) = (self.session.run.clone(), Arc::clone(&self.session.keeper));
        batch(self.context, self.target, run, steps, mark, Some(keeper))
    }

    /// Journals every goal that was reached and is not journaled yet.
    async fn journal(&self) -> Result<()> {
        let mut state = self.state.lock().await;
        let mut deltas = Vec::new();
        for (at, goal) in self.plan.goals.iter().enumerate() {
            if state.journaled[at] {
                continue;
            }
            if let Some(after) = fold::reached(goal, &state.outcomes) {
                state.journaled[at] = true;
                let lost = self.lost(goal, &state.outcomes);
                if after.as_ref() != goal.was.as_deref() || !lost.is_empty() {
                    state.learned |= !is_same_content(after.as_ref(), goal.was.as_deref());
                    let untouched = goal.steps == Sides { local: None, remote: None };
                    let taken_over = untouched
                        && self.session.takes_over
                        && !is_same_content(after.as_ref(), goal.was.as_deref());
                    state.taken_over += u64::from(taken_over);
                    // What both sides had done already is not this run's to undo: it was so before.
                    let before =
                        if untouched && !taken_over { after.clone() } else { goal.was.as_deref().cloned() };
                    deltas.push(Delta { path: goal.path.clone(), before, after, lost });
                }
            }
        }
        if !deltas.is_empty() {
            self.context.store.append(self.session.lease, &self.session.run, &deltas).await?;
        }
        Ok(())
    }

    /// Contents that the steps of a goal overwrote or removed and that had not been agreed on.
    fn lost(&self, goal: &Goal, outcomes: &[Option<Outcome>]) -> Vec<Lost> {
        let agreed = goal.was.as_ref().map(|was| was.digest);
        let taken = |side: Side| {
            let index = goal.steps[side]?;
            let applied = matches!(outcomes[index], Some(Outcome::Applied { .. }));
            self.plan.steps[index].expected.keep().filter(|_| applied)
        };
        let lost = |side: Side| taken(side).filter(|digest| Some(*digest) != agreed);
        Side::BOTH.into_iter().filter_map(|side| Some(self.describe(goal, side, lost(side)?))).collect()
    }

    fn describe(&self, goal: &Goal, side: Side, digest: Digest) -> Lost {
        let at = self.plan.conflicts.binary_search_by(|conflict| conflict.path.cmp(&goal.path));
        let item = at.ok().map(|at| &self.plan.conflicts[at].versions[side]);
        let kind = item.map_or(syncline_core::Kind::FILE, |item| item.kind);
        let stored = || self.context.store.objects().size(&digest).unwrap_or_default();
        Lost { side, kind, digest, size: item.map_or_else(stored, |item| item.size) }
    }

    /// Leaves the run's mark on every side that keeps one and may be written, when anything was done or is unsettled.
    async fn leave_marks(&self, unsettled: Sides<bool>) -> Result<Sides<bool>> {
        let state = self.state.lock().await;
        let applied = |outcome: &Option<Outcome>| matches!(outcome, Some(Outcome::Applied { .. }));
        let done = state.learned || state.outcomes.iter().any(applied);
        drop(state);
        let mut marked = Sides::default();
        for side in Side::BOTH {
            let endpoint = &self.target.endpoints[side];
            let able = endpoint.capabilities().marks && self.target.policy.direction.may_write(side);
            if able && (done || unsettled[side] || self.session.state.marks[side].is_none()) {
                endpoint.apply(self.batch(Arc::new([]), true)).await?;
                marked[side] = true;
            }
        }
        Ok(marked)
    }
}

/// Whether two entries stand for the same content, whatever their versions.
pub(crate) fn is_same_content(one: Option<&Entry>, other: Option<&Entry>) -> bool {
    match (one, other) {
        (None, None) => true,
        (Some(one), Some(other)) => one.kind == other.kind && one.digest == other.digest,
        _ => false,
    }
}

/// How many of the waiting steps go into the next batch. Conflict copies end one: they must be durable before
/// what they are copies of is overwritten, and within a batch the order of writes is the endpoint's affair.
fn batch_length(plan: &Plan, waiting: &[usize], copies: &HashSet<&ItemPath>, steps_max: usize) -> usize {
    let (mut bytes, whole) = (0, steps_max == usize::MAX);
    let mut copied = false;
    for (count, &index) in waiting.iter().enumerate() {
        bytes += plan.steps[index].bytes();
        let copy = copies.contains(&plan.steps[index].path);
        if count == steps_max || count > 0 && bytes > BATCH_BYTES_MAX && !whole || copied && !copy {
            return count;
        }
        copied |= copy;
    }
    waiting.len()
}

/// Content that changed before it could be copied is looked at again, like a destination that changed.
fn as_refusal(outcome: Outcome) -> Outcome {
    match outcome {
        Outcome::Failed(problem) if matches!(problem.code, "changed" | "not_found") => {
            Outcome::Refused { found: problem.message }
        }
        other => other,
    }
}
