//! The whole flow on one screen.
//!
//! Recover what an earlier run left unfinished; look at both sides; plan; stop at a halt; apply; and, for the
//! few paths that somebody else changed meanwhile, look again.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use syncline_core::{ItemPath, Mark, Nanos, Plan, Problem, Sides};
use syncline_store::{
    ConflictRecord, Ended, ErrorKind, Lease, Opening, Right, RunFinish, RunQuery, RunStart, RunState,
    TargetState, WorkspaceLock,
};
use tokio::sync::OwnedMutexGuard;
use tracing::Instrument as _;

use crate::apply;
use crate::context::{Context, Event, Options, Target};
use crate::error::{Error, Result};
use crate::gates::{self, Gates};
use crate::keeper::Keeper;
use crate::look::{self, View};
use crate::result::{RunResult, is_remark};
use crate::settling;
use crate::spans;

/// How often a run looks again at paths that changed under its hands.
const ROUNDS_MAX: usize = 4;
/// How long a watch waits for the workspace, and how long between two tries.
const LOCK_PATIENCE: Duration = Duration::from_secs(30);
const LOCK_PAUSE: Duration = Duration::from_millis(10);
/// How long a lease holds without being renewed, in nanoseconds.
const LEASE_NS: i64 = 60_000_000_000;

/// Runs one target once.
///
/// # Errors
/// When the run could not be carried out at all: state or endpoint not usable, another run going on, or a saved
/// plan that no longer fits. Whatever was done until then is recovered by the next run.
pub async fn run(context: &Context, target: &Target, options: &Options) -> Result<RunResult> {
    run_in_turn(context, target, options, None).await
}

/// The turn of a run, in a process that makes one run after the other.
pub(crate) type Turn = OwnedMutexGuard<()>;

/// Waits for the turn of a run; `None` where nobody takes turns. However long another run of this process takes, it is waited
/// for. May be cancelled.
pub(crate) async fn turn(context: &Context) -> Option<Turn> {
    match &context.turns {
        Some(turns) => Some(Arc::clone(turns).lock_owned().await),
        None => None,
    }
}

/// The same as [`run`] for whoever has waited for the turn already.
pub(crate) async fn run_in_turn(
    context: &Context,
    target: &Target,
    options: &Options,
    taken: Option<Turn>,
) -> Result<RunResult> {
    let span = spans::run(target, options);
    let running = async {
        if options.dry_run {
            previewed(context, target, options).await
        } else {
            ran(context, target, options, taken).await
        }
    };
    let result = running.instrument(span.clone()).await;
    spans::ended(&span, &result);
    result
}

async fn ran(
    context: &Context,
    target: &Target,
    options: &Options,
    taken: Option<Turn>,
) -> Result<RunResult> {
    let turn = if taken.is_some() { taken } else { turn(context).await };
    // Other processes are waited for only a while.
    let _workspace = if turn.is_some() { Some(lock(context).await?) } else { None };
    let mut lease = None;
    if !context.store.is_at_rest(&target.name).await? {
        let now = context.clock.now();
        lease = Some(context.store.acquire(&target.name, &context.holder, now, LEASE_NS, false).await?);
    }
    let began = context.clock.now();
    let result = gated(context, target, options, &mut lease).await;
    count(context, target, &result, began).await;
    let released = match lease {
        Some(lease) => context.store.release(lease).await,
        None => Ok(()),
    };
    let result = result?;
    released?;
    context.events.happened(&Event::Finished { target: target.name.clone() });
    Ok(result)
}

/// Counts how a run ended. No run fails for want of a figure.
async fn count(context: &Context, target: &Target, result: &Result<RunResult>, began: Nanos) {
    let ended = match result {
        Ok(result) => result.to_ended(),
        Err(error) => Ended {
            started: Some(began),
            finished: context.clock.now(),
            state: RunState::Failed,
            run: None,
            message: error.to_string(),
            steps: 0,
            bytes: 0,
            pending: None,
        },
    };
    if let Err(error) = context.store.count(&target.name, &[ended]).await {
        tracing::warn!(target = target.name, %error, "how the run ended could not be counted");
    }
}

/// A run, and the checks after it.
async fn gated(
    context: &Context,
    target: &Target,
    options: &Options,
    lease: &mut Option<Lease>,
) -> Result<RunResult> {
    let result = cycle(context, target, options, lease).await?;
    match gates::of(target, options) {
        Some(gates) if result.halts.is_empty() => gates::after(gates, context, target, lease, result).await,
        _ => Ok(result),
    }
}

/// Takes the workspace, waiting a while for another run or command to give it back.
async fn lock(context: &Context) -> Result<WorkspaceLock> {
    let deadline = tokio::time::Instant::now() + LOCK_PATIENCE;
    loop {
        match context.store.lock() {
            Err(error) if error.kind() == ErrorKind::Locked && tokio::time::Instant::now() < deadline => {
                tokio::time::sleep(LOCK_PAUSE).await;
            }
            other => return Ok(other?),
        }
    }
}

pub(crate) async fn cycle(
    context: &Context,
    target: &Target,
    options: &Options,
    lease: &mut Option<Lease>,
) -> Result<RunResult> {
    if let Some(lease) = lease {
        recover(context, target, lease).await?;
    }
    let takes_over = follows_an_interrupted_run(context, target).await?;
    let mut result = begin(context, target);
    let keeper = Arc::new(Keeper::new(context.store.bases(), &target.policy));
    let mut journal = Journal {
        context,
        target,
        lease,
        cause: &options.cause,
        run: None,
        marked: Sides::default(),
        keeper: Arc::clone(&keeper),
        takes_over,
    };
    let gates = gates::of(target, options);
    if !result.may_begin(target, gates).await {
        return journal.finish(result).await;
    }
    let mut only = options.only.clone();
    for round in 0..ROUNDS_MAX {
        // Read anew: an earlier round may have announced and left its mark.
        let state = context.store.target(&target.name).await?;
        let view = look::look(context, target, &state, only.take(), true).await?;
        let (mut plan, view) = look::plan(context, target, options, view, Some(&keeper)).await?;
        result.look_back(gates, &mut plan);
        if round == 0 {
            result.plan_hash = plan.hash().to_string();
            check_saved(target, options, &result.plan_hash)?;
            result.distrust.clone_from(&view.distrust);
            result.agreed = view.agreed_count;
        }
        result.learn(&plan);
        let unsettled = look::is_unsettled(target, &view);
        let again = if plan.halts.is_empty() && (is_work(&plan) || unsettled) {
            journal.begin(&plan, &result.plan_hash, &state, &view).await?;
            let applied =
                apply::apply(context, target, &journal.session(&state)?, &plan, &view, &mut result).await?;
            journal.marked = Sides::from_fn(|side| journal.marked[side] || applied.marked[side]);
            applied.again
        } else {
            Vec::new()
        };
        if round == 0 {
            result.plan = plan;
        }
        if again.is_empty() {
            break;
        }
        if round + 1 == ROUNDS_MAX {
            result.give_up(&again);
        } else {
            result.forget_conflicts(&again);
        }
        only = Some(again);
    }
    let result = journal.finish(result).await;
    // What a halted run has read may be just what it was halted for.
    if result.as_ref().is_ok_and(|result| result.halts.is_empty()) {
        Keeper::finish(keeper);
    }
    concluded(context, target, options, lease.as_ref(), result?).await
}

/// A run that is over, with what became of the decisions about its conflicts.
async fn concluded(
    context: &Context,
    target: &Target,
    options: &Options,
    lease: Option<&Lease>,
    mut result: RunResult,
) -> Result<RunResult> {
    if let (Some(lease), Some(_)) = (lease, &result.run) {
        let waiting = settling::conclude(context, target, lease, Some((&result.plan, options))).await?;
        result.admit(&waiting);
    }
    Ok(result)
}

/// Takes over what a run that was cut short had done, and clears away what it left behind. That comes first: were this
/// run cut short in between, nothing would tell the next one that there is something to clear.
async fn recover(context: &Context, target: &Target, lease: &Lease) -> Result<()> {
    if !context.store.is_interrupted(lease).await? {
        return Ok(());
    }
    if let Err(error) = apply::clear_leftovers(context, target).await {
        // A side that is away is halted at when it is looked at; the next batch there clears it.
        tracing::warn!(target = target.name, %error, "what an interrupted run had staged could not be cleared yet");
    }
    let now = context.clock.now();
    let recovered = context.store.recover(lease, now).await?;
    let ended = |run: &String| Ended {
        started: None,
        finished: now,
        state: RunState::Interrupted,
        run: Some(run.clone()),
        message: "the run was cut short".to_owned(),
        steps: 0,
        bytes: 0,
        pending: None,
    };
    let ends: Vec<Ended> = recovered.iter().map(ended).collect();
    if let Err(error) = context.store.count(&target.name, &ends).await {
        tracing::warn!(target = target.name, %error, "the runs that were cut short could not be counted");
    }
    if let Err(error) = settling::conclude(context, target, lease, None).await {
        // Whatever is wrong with the baseline is told where it is looked at; the end of the run tries again.
        tracing::warn!(target = target.name, %error, "what became of pending conflicts could not be told yet");
    }
    tracing::info!(target = target.name, runs = ?recovered, "recovered what an interrupted run had done");
    Ok(())
}

/// Whether the last run that touched anything was cut short. What it had done without getting to record it is found as
/// something that both sides have in common: it is recorded as done now, so that it can be taken back.
async fn follows_an_interrupted_run(context: &Context, target: &Target) -> Result<bool> {
    const HALTS_MAX: u32 = 32;
    let query = RunQuery { target: Some(target.name.clone()), limit: Some(HALTS_MAX), ..RunQuery::default() };
    let runs = context.store.runs(&query).await?;
    let mut states = runs.iter().filter_map(|run| run.finish.as_ref().map(|finish| finish.state));
    Ok(states.find(|state| *state != RunState::Halted) == Some(RunState::Interrupted))
}

/// Whether the plan has anything to do or to remember.
fn is_work(plan: &Plan) -> bool {
    !(plan.steps.is_empty() && plan.goals.is_empty() && plan.conflicts.is_empty())
}

/// Plans one target and changes nothing anywhere.
///
/// # Errors
/// As [`run`].
pub async fn preview(context: &Context, target: &Target, options: &Options) -> Result<RunResult> {
    let span = spans::run(target, &Options { dry_run: true, ..options.clone() });
    let result = previewed(context, target, options).instrument(span.clone()).await;
    spans::ended(&span, &result);
    result
}

async fn previewed(context: &Context, target: &Target, options: &Options) -> Result<RunResult> {
    let state = context.store.peek_target(&target.name).await?;
    let mut result = begin(context, target);
    let view = look::look(context, target, &state, options.only.clone(), false).await?;
    let (mut plan, view) = look::plan(context, target, options, view, None).await?;
    result.look_back(gates::of(target, options), &mut plan);
    result.plan_hash = plan.hash().to_string();
    check_saved(target, options, &result.plan_hash)?;
    result.distrust.clone_from(&view.distrust);
    result.learn(&plan);
    result.plan = plan;
    result.agreed = view.agreed_count;
    result.conclude(context);
    context.events.happened(&Event::Finished { target: target.name.clone() });
    Ok(result)
}

fn begin(context: &Context, target: &Target) -> RunResult {
    RunResult {
        target: target.name.clone(),
        direction: target.policy.direction,
        run: None,
        started: context.clock.now(),
        finished: 0,
        state: RunState::Succeeded,
        plan: Plan::default(),
        plan_hash: String::new(),
        tally: crate::Tally::default(),
        taken_over: 0,
        outputs_created: Vec::new(),
        conflicts: Vec::new(),
        halts: Vec::new(),
        problems: Vec::new(),
        distrust: None,
        agreed: 0,
        checked: Vec::new(),
    }
}

fn check_saved(target: &Target, options: &Options, found: &str) -> Result<()> {
    match &options.plan {
        Some(expected) if expected != found => Err(Error::PlanMoved {
            target: target.name.clone(),
            expected: expected.clone(),
            found: found.to_owned(),
        }),
        _ => Ok(()),
    }
}

impl RunResult {
    /// Makes the checks before a run; one that fails halts it.
    async fn may_begin(&mut self, target: &Target, gates: Option<&Gates>) -> bool {
        if let Some(gates) = gates {
            self.checked = gates.before(target).await;
            self.halts.extend(gates::halts(&self.checked));
        }
        self.halts.is_empty()
    }

    /// Takes over what was checked while the sides were looked at; what failed halts the plan.
    fn look_back(&mut self, gates: Option<&Gates>, plan: &mut Plan) {
        let checked = gates.map(Gates::looked).unwrap_or_default();
        plan.halts.extend(gates::halts(&checked));
        self.checked.extend(checked);
    }

    /// Takes over what a plan found, as far as an earlier round has not.
    fn learn(&mut self, plan: &Plan) {
        self.halts.extend(plan.halts.iter().cloned());
        for problem in &plan.problems {
            if !self.problems.contains(problem) {
                self.problems.push(problem.clone());
            }
        }
        self.conflicts.extend(plan.conflicts.iter().cloned());
    }

    /// Takes back what is said of conflicts at paths that are looked at again.
    fn forget_conflicts(&mut self, again: &[ItemPath]) {
        self.conflicts.retain(|conflict| again.binary_search(&conflict.path).is_err());
    }

    /// Says of conflicts whose decision still waits to be carried out no more than that.
    pub(crate) fn admit(&mut self, waiting: &HashSet<String>) {
        for conflict in self.conflicts.iter_mut().filter(|conflict| waiting.contains(&conflict.id)) {
            (conflict.winner, conflict.copy, conflict.merged) = (None, None, None);
            (conflict.open, conflict.note) = (true, Some(ConflictRecord::PENDING.to_owned()));
        }
    }

    /// Reports paths that changed under the hands of every round.
    fn give_up(&mut self, paths: &[ItemPath]) {
        let message = "changed again and again during the run; run again when it is quiet";
        let problem = |path: &ItemPath| Problem::new(path.as_str(), "keeps_changing", message);
        self.problems.extend(paths.iter().map(problem));
    }

    fn conclude(&mut self, context: &Context) {
        self.finished = context.clock.now();
        let failed = self.problems.iter().any(|problem| !is_remark(problem.code));
        self.state = match (self.halts.is_empty(), failed) {
            (false, _) => RunState::Halted,
            (true, false) => RunState::Succeeded,
            (true, true) => RunState::Partial,
        };
    }

    fn to_ended(&self) -> Ended {
        let undecided = self.plan.conflicts.iter().filter(|conflict| conflict.is_untouched()).count() as u64;
        let planned = self.plan.steps.len() as u64;
        Ended {
            started: Some(self.started),
            finished: self.finished,
            state: self.state,
            run: self.run.clone(),
            message: self.message(),
            steps: self.tally.steps() + self.taken_over,
            bytes: self.tally.bytes,
            pending: Some(planned.saturating_sub(self.tally.steps()) + undecided),
        }
    }

    fn to_finish(&self) -> RunFinish {
        RunFinish {
            finished: self.finished,
            state: self.state,
            message: self.message(),
            steps: self.tally.steps() + self.taken_over,
            bytes: self.tally.bytes,
            conflicts: self.conflicts.len() as u64,
            report: String::new(),
        }
    }
}

/// What a run of this attempt writes with.
pub(crate) struct Session<'a> {
    pub(crate) lease: &'a Lease,
    pub(crate) run: String,
    /// The identifier under which both sides keep the mark.
    pub(crate) mark_id: String,
    /// The mark that this run leaves.
    pub(crate) mark: Mark,
    pub(crate) state: &'a TargetState,
    /// Remembers contents to merge from.
    pub(crate) keeper: Arc<Keeper>,
    /// Whether what both sides have in common was done by a run that was cut short.
    pub(crate) takes_over: bool,
}

/// The record of a run: begun when there is something to record, and not before.
struct Journal<'a> {
    context: &'a Context,
    target: &'a Target,
    /// Taken when there is something to write: most runs find nothing to do, and need not write that anywhere.
    lease: &'a mut Option<Lease>,
    cause: &'a str,
    run: Option<String>,
    marked: Sides<bool>,
    keeper: Arc<Keeper>,
    takes_over: bool,
}

impl Journal<'_> {
    async fn begin(&mut self, plan: &Plan, hash: &str, state: &TargetState, view: &View) -> Result<()> {
        if self.run.is_some() {
            return Ok(());
        }
        let (store, clock) = (&self.context.store, &self.context.clock);
        let right = match self.lease.as_ref() {
            Some(lease) => Right::Held(lease),
            // The plan was made without it, so it counts only while nobody else has had the target since.
            None => Right::AsSeen {
                seen: state,
                holder: &self.context.holder,
                now: clock.now(),
                ttl_ns: LEASE_NS,
            },
        };
        let run = clock.identifier();
        let forget = view.distrust.is_some();
        // A mark that an interrupted run left is the known one from now on; only then may another be announced.
        let known = Sides::from_fn(|side| match &view.snapshots[side].mark {
            Some(there) if !forget && Some(there) == state.pending_mark.as_ref() => Some(there.clone()),
            _ if forget => None,
            _ => state.marks[side].clone(),
        });
        let opening = Opening { forget, identity: self.target.identity(), known, pending: Mark(run.clone()) };
        let start = self.start(&run, plan, hash, clock.now());
        let lease = store.open_run(right, &opening, &start).await?;
        *self.lease = Some(lease);
        self.run = Some(run);
        Ok(())
    }

    fn start(&self, run: &str, plan: &Plan, hash: &str, started: Nanos) -> RunStart {
        RunStart {
            id: run.to_owned(),
            target: self.target.name.clone(),
            direction: self.target.policy.direction,
            started,
            cause: self.cause.to_owned(),
            plan_hash: hash.to_owned(),
            steps: plan.steps.len() as u64,
        }
    }

    fn session<'s>(&'s self, state: &'s TargetState) -> Result<Session<'s>> {
        let run = self.run.clone().ok_or_else(not_begun)?;
        let (mark, mark_id, keeper) = (Mark(run.clone()), state.id.clone(), Arc::clone(&self.keeper));
        Ok(Session {
            lease: held(self.lease)?,
            mark,
            run,
            mark_id,
            state,
            keeper,
            takes_over: self.takes_over,
        })
    }

    async fn finish(mut self, mut result: RunResult) -> Result<RunResult> {
        result.conclude(self.context);
        let store = &self.context.store;
        if self.run.is_none() && !result.halts.is_empty() {
            // A halt is worth remembering although nothing was done.
            let run = self.context.clock.identifier();
            let start = self.start(&run, &result.plan, &result.plan_hash, result.started);
            if self.lease.is_none() {
                let (holder, now) = (&self.context.holder, self.context.clock.now());
                *self.lease = Some(store.acquire(&self.target.name, holder, now, LEASE_NS, false).await?);
            }
            store.begin_run(held(self.lease)?, &start).await?;
            self.run = Some(run);
        }
        let Some(run) = self.run else { return Ok(result) };
        let state = store.target(&self.target.name).await?;
        let marks = (self.marked.local || self.marked.remote).then(|| {
            let left =
                |side| if self.marked[side] { Some(Mark(run.clone())) } else { state.marks[side].clone() };
            Sides::from_fn(left)
        });
        store.finish_run(held(self.lease)?, &run, &result.to_finish(), marks).await?;
        result.agreed = store.target(&self.target.name).await?.count();
        result.run = Some(run);
        Ok(result)
    }
}

fn held(lease: &Option<Lease>) -> Result<&Lease> {
    lease.as_ref().ok_or_else(not_begun)
}

fn not_begun() -> Error {
    Error::NoRun("that was not begun".into())
}
