//! Applying a plan: conflicts are recorded and their losers kept first, then each side gets its steps in
//! batches, and what was reached is journaled after each of them.

use std::collections::HashMap;
use std::sync::Arc;

use syncline_connect::{Batch, Contents, History};
use syncline_core::{
    Action, Conflict, Digest, Expected, Goal, ItemPath, Outcome, Plan, Problem, Side, Sides, Source, Step,
    Version, fold,
};
use syncline_store::{ConflictRecord, Delta, Lost};
use tokio::sync::Mutex;

use crate::bridge::{ContentsBridge, HistoryBridge};
use crate::context::{Context, Event, Target};
use crate::cycle::Session;
use crate::error::Result;
use crate::look::View;
use crate::result::RunResult;

/// Most steps that are made durable together: what a kill may cost to do again.
const BATCH_STEPS_MAX: usize = 32_768;
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
    let bytes = plan.steps.iter().map(Step::bytes).sum();
    let steps = plan.steps.len() as u64;
    context.events.happened(&Event::Applying { target: target.name.clone(), steps, bytes });
    record_conflicts(context, target, session, plan).await?;
    let work = Work {
        context,
        target,
        session,
        plan,
        state: Mutex::new(State {
            outcomes: fill_store(context, target, plan, view).await,
            journaled: vec![false; plan.goals.len()],
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
    let marked = work.leave_marks().await?;
    let outcomes = work.state.into_inner().outcomes;
    result.count(plan, &outcomes);
    Ok(Applied { again: moving(plan, &outcomes), marked })
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

async fn record_conflicts(
    context: &Context,
    target: &Target,
    session: &Session<'_>,
    plan: &Plan,
) -> Result<()> {
    let now = context.clock.now();
    let records: Vec<ConflictRecord> = plan
        .conflicts
        .iter()
        .map(|conflict| ConflictRecord {
            id: conflict.id.clone(),
            target: target.name.clone(),
            run: session.run.clone(),
            path: conflict.path.clone(),
            kind: conflict.kind.to_owned(),
            policy: conflict.policy.to_owned(),
            base: conflict.base.clone(),
            versions: conflict.versions.clone(),
            winner: conflict.winner,
            copy: conflict.copy.clone(),
            action: action(conflict),
            clamped: conflict.clamped,
            opened: now,
            resolved: (!conflict.open).then_some(now),
            resolution: (!conflict.open).then(|| "by policy".to_owned()),
        })
        .collect();
    if !records.is_empty() {
        context.store.put_conflicts(session.lease, &records).await?;
    }
    Ok(())
}

/// What was done about a conflict, in words.
pub(crate) fn action(conflict: &Conflict) -> String {
    match (conflict.winner, &conflict.copy) {
        (None, _) => "nothing was touched; waiting for a decision".to_owned(),
        (Some(winner), None) => format!("the {winner} version won; the other one is in history"),
        (Some(winner), Some(copy)) => {
            format!("the {winner} version kept the name; the other one is at {copy}")
        }
    }
}

/// Makes sure that what steps take from the content store is there: losing versions that get a conflict name,
/// and versions that a person asked for. Where that fails, no step of the path is tried: the outcomes are given.
async fn fill_store(context: &Context, target: &Target, plan: &Plan, view: &View) -> Vec<Option<Outcome>> {
    let mut outcomes = vec![None; plan.steps.len()];
    let copies: HashMap<&ItemPath, &Conflict> =
        plan.conflicts.iter().filter_map(|conflict| Some((conflict.copy.as_ref()?, conflict))).collect();
    let mut failed: HashMap<ItemPath, Problem> = HashMap::new();
    for step in &plan.steps {
        let Action::Write { source: Source::Object(digest), .. } = &step.action else { continue };
        if context.store.objects().contains(digest) {
            continue;
        }
        let conflict = copies.get(&step.path).copied();
        let holder = conflict.map_or(&step.path, |conflict| &conflict.path);
        if let Err(problem) = fetch(context, target, view, holder, digest).await {
            failed.insert(step.path.clone(), problem.clone());
            failed.insert(holder.clone(), problem);
        }
    }
    for (step, outcome) in plan.steps.iter().zip(&mut outcomes) {
        *outcome = failed.get(&step.path).map(|problem| Outcome::Failed(problem.clone()));
    }
    outcomes
}

/// Puts the content of `digest` into the content store, from whichever side holds it at `path`.
async fn fetch(
    context: &Context,
    target: &Target,
    view: &View,
    path: &ItemPath,
    digest: &Digest,
) -> std::result::Result<(), Problem> {
    let gone = || {
        let message =
            format!("the content asked for ({}) is neither in history nor on a side", digest.short());
        Problem::new(path.as_str(), "content_gone", message)
    };
    let mut problem = None;
    for side in Side::BOTH {
        let Some(version) = holds(view, side, path, digest) else { continue };
        let kept = match target.endpoints[side].read(path, &version).await {
            Ok(content) => HistoryBridge(context.store.objects().clone()).keep(digest, content).await,
            Err(error) => Err(error),
        };
        match kept {
            Ok(()) => return Ok(()),
            Err(error) => problem = Some(error.to_problem(path.as_str())),
        }
    }
    Err(problem.unwrap_or_else(gone))
}

/// The version under which `side` holds that content at `path`, when it does.
fn holds(view: &View, side: Side, path: &ItemPath, digest: &Digest) -> Option<Version> {
    let changes = &view.snapshots[side].changes;
    match changes.binary_search_by(|change| change.path.cmp(path)) {
        Ok(at) => {
            let found = changes[at].now.found()?;
            (found.item.digest.as_ref() == Some(digest)).then(|| found.version.clone())
        }
        Err(_) => {
            let entry = view.baseline.get(path).ok()??;
            (entry.digest == *digest).then(|| entry.versions[side].clone())
        }
    }
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
        let steps_max = endpoint.capabilities().batch_max.clamp(1, BATCH_STEPS_MAX);
        let mut rest = &waiting[..];
        while !rest.is_empty() {
            let (now, later) = rest.split_at(batch_length(self.plan, rest, steps_max));
            rest = later;
            let steps = now.iter().map(|&index| self.plan.steps[index].clone()).collect();
            let outcomes = endpoint.apply(self.batch(steps, false)).await?;
            let mut state = self.state.lock().await;
            for (&index, outcome) in now.iter().zip(outcomes) {
                state.outcomes[index] = Some(as_refusal(outcome));
            }
            drop(state);
            self.journal().await?;
        }
        Ok(())
    }

    fn batch(&self, steps: Vec<Step>, mark: bool) -> Batch {
        let objects = self.context.store.objects().clone();
        let endpoints = self.target.endpoints.clone();
        Batch {
            run: self.session.run.clone(),
            steps,
            contents: Arc::new(ContentsBridge { endpoints, objects: objects.clone() }) as Arc<dyn Contents>,
            history: Arc::new(HistoryBridge(objects)) as Arc<dyn History>,
            mark: mark.then(|| (self.session.mark_id.clone(), self.session.mark.clone())),
            progress: self.context.events.progress(),
        }
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
                if after != goal.was || !lost.is_empty() {
                    deltas.push(Delta { path: goal.path.clone(), before: goal.was.clone(), after, lost });
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
        let step = |side: Side| goal.steps[side].map(|index| (&self.plan.steps[index], &outcomes[index]));
        Side::BOTH
            .into_iter()
            .filter_map(|side| match step(side)? {
                (
                    Step { expected: Expected::Present { keep: Some(digest), .. }, .. },
                    Some(Outcome::Applied { .. }),
                ) if Some(*digest) != agreed => Some(self.describe(goal, side, *digest)),
                _ => None,
            })
            .collect()
    }

    fn describe(&self, goal: &Goal, side: Side, digest: Digest) -> Lost {
        let at = self.plan.conflicts.binary_search_by(|conflict| conflict.path.cmp(&goal.path));
        let item = at.ok().map(|at| &self.plan.conflicts[at].versions[side]);
        let kind = item.map_or(syncline_core::Kind::FILE, |item| item.kind);
        let stored = || self.context.store.objects().size(&digest).unwrap_or_default();
        Lost { side, kind, digest, size: item.map_or_else(stored, |item| item.size) }
    }

    /// Leaves the run's mark on every side that keeps one and may be written, when anything was done.
    async fn leave_marks(&self) -> Result<Sides<bool>> {
        let state = self.state.lock().await;
        let done = state.outcomes.iter().any(|outcome| matches!(outcome, Some(Outcome::Applied { .. })));
        drop(state);
        let mut marked = Sides::default();
        for side in Side::BOTH {
            let endpoint = &self.target.endpoints[side];
            let able = endpoint.capabilities().marks && self.target.policy.direction.may_write(side);
            if able && (done || self.session.state.marks[side].is_none()) {
                endpoint.apply(self.batch(Vec::new(), true)).await?;
                marked[side] = true;
            }
        }
        Ok(marked)
    }
}

/// How many of the waiting steps go into the next batch.
fn batch_length(plan: &Plan, waiting: &[usize], steps_max: usize) -> usize {
    let mut bytes = 0;
    for (count, &index) in waiting.iter().enumerate() {
        bytes += plan.steps[index].bytes();
        if count == steps_max || count > 0 && bytes > BATCH_BYTES_MAX {
            return count;
        }
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
