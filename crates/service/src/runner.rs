//! Running targets; a failing one stops none but those that wait for it.

use std::collections::HashSet;
use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;

use syncline_config::Target as Configured;
use syncline_core::{Direction, ItemPath, Nanos, Problem as Trouble};
use syncline_engine::checks::Checked;
use syncline_engine::scheduler::{PAUSED, hold};
use syncline_engine::{Context, Event, Options, Reach, RunResult, Target};
use syncline_store::{ConflictQuery, Ended, RunQuery, RunState, Store};

use crate::conflict_closing::close_vanished;
use crate::gates::VERIFICATION;
use crate::git::committing::{Committed, Committing};
use crate::glance;
use crate::problem::{Class, Problem, Result};
use crate::service::Service;
use crate::targets;
use crate::wire::{
    self, CheckReport, Conflict, Halt, Remark, Report, Steps, TargetPlan, TargetReport, seconds, timestamp,
};

/// A target and how it is to be run.
pub(crate) struct Job<'a> {
    pub(crate) target: &'a Configured,
    pub(crate) direction: Direction,
    pub(crate) options: Options,
    /// Why it must not be run, when it must not.
    pub(crate) refusal: Option<Problem>,
}

impl<'a> Job<'a> {
    /// A job in the direction that the file says.
    pub(crate) fn new(target: &'a Configured, options: Options) -> Self {
        Self { target, direction: target.direction, options, refusal: None }
    }
}

/// What became of a job.
pub(crate) struct Done {
    pub(crate) name: String,
    pub(crate) folder: Option<ItemPath>,
    pub(crate) direction: Direction,
    pub(crate) started: Nanos,
    pub(crate) finished: Nanos,
    pub(crate) dry_run: bool,
    pub(crate) open_conflicts: u64,
    pub(crate) reach: Reach,
    pub(crate) result: Result<RunResult>,
}

/// Carries out jobs in their order. Dropping it stops between two batches; the next run recovers.
pub(crate) async fn run_all(service: &Service, store: &Store, jobs: Vec<Job<'_>>) -> Vec<Done> {
    let context = service.context(store);
    let mut all = Vec::with_capacity(jobs.len());
    for job in jobs {
        all.push(run_one(service, &context, &job).await);
    }
    all
}

/// The error of a caller whose one plan is not what there is to do any more: nothing was touched.
pub(crate) fn refuse_moved(all: &[Done]) -> Result<()> {
    let moved = all.iter().filter_map(|done| done.result.as_ref().err());
    moved.into_iter().find(|problem| problem.code == "plan_moved").cloned().map_or(Ok(()), Err)
}

/// Carries out jobs in their order, several at once where the file says so.
///
/// - A job begins when those that it waits for have succeeded; when one of them has not, it is not run.
/// - Two that would work on the same folder or the same remote never go at once.
pub(crate) async fn run_in_order(service: &Service, store: &Store, jobs: Vec<Job<'_>>) -> Vec<Done> {
    let context = &service.context(store);
    let at_once = service.workspace().concurrency.max(1);
    let mut done: Vec<Option<Done>> = jobs.iter().map(|_| None).collect();
    let mut waiting: Vec<usize> = (0..jobs.len()).collect();
    let mut at_work: Vec<usize> = Vec::new();
    let mut running = FuturesUnordered::new();
    loop {
        let may_begin = |&index: &usize| {
            let target = jobs[index].target;
            let is_over =
                |other: usize| done[other].is_some() || !target.after.contains(&jobs[other].target.name);
            (0..jobs.len()).all(is_over) && !at_work.iter().any(|&other| share(target, jobs[other].target))
        };
        let next = waiting.iter().copied().find(may_begin).filter(|_| at_work.len() < at_once);
        if let Some(index) = next {
            waiting.retain(|&other| other != index);
            let job = &jobs[index];
            let failed = jobs.iter().zip(&done).find(|(before, done)| {
                let has_failed = done.as_ref().is_some_and(|done| !done.is_success());
                has_failed && job.target.after.contains(&before.target.name)
            });
            match failed {
                Some((before, _)) => done[index] = Some(not_run(service, job, before.target)),
                None => {
                    at_work.push(index);
                    running.push(async move { (index, run_one(service, context, job).await) });
                }
            }
            continue;
        }
        let Some((index, finished)) = running.next().await else { break };
        at_work.retain(|&other| other != index);
        done[index] = Some(finished);
    }
    done.into_iter().flatten().collect()
}

/// Whether two targets work on the same folder or the same remote.
fn share(one: &Configured, other: &Configured) -> bool {
    let alike = one.remote.kind == other.remote.kind;
    // Whatever else their settings say, all upstreams are that of the one clone.
    let remote = alike && (one.remote.kind == "upstream" || *one.remote.settings == *other.remote.settings);
    // A script has no folder of its own: it says file by file what it makes.
    let mirrors = one.script.is_none() && other.script.is_none();
    let inside = |inner: &Configured, outer: &Configured| match (&inner.path, &outer.path) {
        (_, None) => true,
        (None, Some(_)) => false,
        (Some(inner), Some(outer)) => inner == outer || inner.is_below(outer.as_str()),
    };
    remote || mirrors && (inside(one, other) || inside(other, one))
}

/// What becomes of a job that waits for one that did not succeed.
fn not_run(service: &Service, job: &Job<'_>, before: &Configured) -> Done {
    let message = format!("not run: {} failed", before.name);
    let hint = format!("it goes after {}: run that again first, or this one alone", before.name);
    let problem = Problem::new(Class::Failed, NOT_RUN, message).with_hint(hint);
    Done::refused(service, job.target, job.direction, problem)
}

/// The code of a target that was not run because of another one.
pub(crate) const NOT_RUN: &str = "not_run";

async fn run_one(service: &Service, context: &Context, job: &Job<'_>) -> Done {
    if let Some(problem) = &job.refusal {
        return Done::refused(service, job.target, job.direction, problem.clone());
    }
    let started = service.clock().now();
    let mut reach = Reach::Unknown;
    let result = attempt(service, context, job, &mut reach).await;
    if let Err(problem) = &result {
        tracing::debug!(target = job.target.name, %problem, "the target could not be run");
        context.events.happened(&Event::Finished { target: job.target.name.clone() });
    }
    let open_conflicts = open_conflicts(&context.store, &job.target.name).await;
    Done {
        name: job.target.name.clone(),
        folder: job.target.path.clone(),
        direction: job.direction,
        started,
        finished: service.clock().now(),
        dry_run: job.options.dry_run,
        open_conflicts: open_conflicts.as_ref().copied().unwrap_or_default(),
        reach,
        result: result.and_then(|result| open_conflicts.map(|_| result)),
    }
}

async fn attempt(
    service: &Service,
    context: &Context,
    job: &Job<'_>,
    reach: &mut Reach,
) -> Result<RunResult> {
    let target = match service.target_to_run(job.target, job.direction, &job.options) {
        Ok(target) => target,
        Err(problem) => return Err(counted(service, context, job, problem).await),
    };
    let result = syncline_engine::run(context, &target, &job.options).await;
    // A script has no remote that could be away: one that takes too long has failed.
    if job.target.script.is_none() {
        *reach = Reach::of(&result);
    }
    let mut result = result.map_err(met)?;
    if is_to_be_idempotent(job, &result) {
        result.problems.extend(differs_again(service, &context.store, job).await);
    }
    if job.options.dry_run {
        let now = service.clock().now();
        let held = hold(&context.store, &target.name, &target.windows, now).await;
        result.problems.extend(held.map(|hold| Trouble::new("", hold.code, hold.message)));
    }
    if !job.options.dry_run && result.halts.is_empty() {
        // Git has one index for all of them.
        let _committing = service.committing().await;
        result.problems.extend(commit(service, &context.store, job.target, &target, &result).await?);
    }
    let whole = job.options.only.is_none();
    if whole && !job.options.dry_run && result.halts.is_empty() {
        close_vanished(service, &context.store, &target, &result).await?;
    }
    Ok(result)
}

/// Counts a run of a target that cannot even be opened, as the engine does once it has one.
async fn counted(service: &Service, context: &Context, job: &Job<'_>, problem: Problem) -> Problem {
    let now = service.clock().now();
    let ended = Ended {
        started: None,
        finished: now,
        state: RunState::Failed,
        run: None,
        message: problem.message.clone(),
        steps: 0,
        bytes: 0,
        pending: None,
    };
    if !job.options.dry_run
        && let Err(error) = context.store.count(&job.target.name, &[ended]).await
    {
        tracing::warn!(target = job.target.name, %error, "that it failed could not be counted");
    }
    problem
}

/// Commits what the target has brought in, when it is to be; what there is to say about that.
async fn commit(
    service: &Service,
    store: &Store,
    configured: &Configured,
    target: &Target,
    result: &RunResult,
) -> Result<Option<Trouble>> {
    let Some(how) = configured.git_commit.clone() else { return Ok(None) };
    let baseline = glance::baseline(store, &target.name).await?;
    let (folder, filter) = (targets::local_root(service, configured), Arc::clone(&target.filter));
    let (name, run) = (target.name.clone(), result.run.clone());
    let removed = removed_lately(store, &target.name).await?;
    let committed = tokio::task::spawn_blocking(move || {
        let committing = Committing {
            target: &name,
            folder: &folder,
            filter: &filter,
            baseline: baseline.as_ref(),
            removed: &removed,
            run: run.as_deref(),
            how: &how,
        };
        committing.commit()
    });
    let committed = committed.await.unwrap_or_else(|error| {
        Err(Problem::new(Class::Failed, "git_failed", format!("committing was cut short: {error}")))
    });
    Ok(match committed {
        Ok(Committed::Nothing) => None,
        Ok(Committed::Made { commit, branch, files }) => {
            let short = commit.get(..12).unwrap_or(&commit);
            Some(Trouble::new(
                "",
                "commit",
                format!(
                    "{} committed as {short} on {branch}",
                    if files == 1 { "1 file is".to_owned() } else { format!("{files} files are") }
                ),
            ))
        }
        Ok(Committed::Waits(why)) => Some(Trouble::new(
            "",
            "not_committed",
            format!("not committed yet: {why}; the next run commits it"),
        )),
        Err(problem) => {
            // A run is told where the repository is by its workspace, and not by an option.
            let hint = match problem.code {
                "no_repository" => Some("make one with `git init`, or write `git_commit: false`".to_owned()),
                _ => problem.hint,
            };
            let hint = hint.map(|hint| format!("; {hint}")).unwrap_or_default();
            let message = format!("not committed: {}{hint}; the files are in the workspace", problem.message);
            Some(Trouble::new("", "not_committed", message))
        }
    })
}

/// The paths of which the last word of the runs of a target is that they were removed.
async fn removed_lately(store: &Store, target: &str) -> Result<HashSet<ItemPath>> {
    /// How far back a removal that could not be committed at once is found.
    const RUNS_MAX: u32 = 50;
    let query = RunQuery { target: Some(target.to_owned()), limit: Some(RUNS_MAX), ..RunQuery::default() };
    let (mut seen, mut removed) = (HashSet::new(), HashSet::new());
    for run in store.runs(&query).await? {
        for delta in store.deltas(&run.start.id).await? {
            if seen.insert(delta.path.clone()) && delta.after.is_none() {
                removed.insert(delta.path);
            }
        }
    }
    Ok(removed)
}

/// Whether a script has changed something that it must not change again.
fn is_to_be_idempotent(job: &Job<'_>, result: &RunResult) -> bool {
    let script = job
        .target
        .script
        .as_ref()
        .filter(|script| script.idempotent && !script.in_place && !script.outputs.is_empty());
    script.is_some() && !job.options.dry_run && result.is_success() && result.tally.steps() > 0
}

/// What a script would do otherwise although it has just been run.
async fn differs_again(service: &Service, store: &Store, job: &Job<'_>) -> Option<Trouble> {
    let what = match look_again(service, store, job.target, job.direction).await {
        Ok(again) => {
            let first = &again.plan.steps.first()?.path;
            format!("would change {} more, {first} first", again.plan.steps.len())
        }
        Err(problem) => format!("would fail: {}", problem.message),
    };
    let message = format!(
        "run again at once, the script {what}; it does not come to the same twice: write `idempotent: false` if that is \
         meant"
    );
    Some(Trouble::new("", "not_idempotent", message))
}

/// What a run would do now, although one has just been.
pub(crate) async fn look_again(
    service: &Service,
    store: &Store,
    configured: &Configured,
    direction: Direction,
) -> Result<RunResult> {
    let options = Options { cause: service.cause(), ..Options::default() };
    let target = service.target_to_run(configured, direction, &options)?;
    let options = Options { dry_run: true, ..options };
    Ok(syncline_engine::preview(&service.context(store), &target, &options).await?)
}

/// What was met during a run is no mistake in the file, whatever it is: that was read, and understood.
fn met(error: syncline_engine::Error) -> Problem {
    let problem = Problem::from(error);
    let class = if problem.class == Class::Usage { Class::Failed } else { problem.class };
    Problem { class, ..problem }
}

async fn open_conflicts(store: &Store, target: &str) -> Result<u64> {
    let query = ConflictQuery { target: Some(target.to_owned()), open_only: true };
    Ok(store.conflicts(&query).await?.len() as u64)
}

/// The report of jobs that began at `started`.
pub(crate) fn report(service: &Service, started: Nanos, dry_run: bool, all: &[Done]) -> Report {
    let results: Vec<TargetReport> = all.iter().map(Done::report).collect();
    let successful = results.iter().filter(|result| result.success).count() as u64;
    Report {
        version: wire::VERSION,
        timestamp: timestamp(started),
        dry_run,
        total_targets: results.len() as u64,
        successful,
        failed: results.len() as u64 - successful,
        total_duration: seconds(started, service.clock().now()),
        results,
        left_out: Vec::new(),
    }
}

impl Done {
    /// A target that was refused before anything was looked at.
    pub(crate) fn refused(
        service: &Service,
        target: &Configured,
        direction: Direction,
        problem: Problem,
    ) -> Self {
        let now = service.clock().now();
        Self {
            name: target.name.clone(),
            folder: target.path.clone(),
            direction,
            started: now,
            finished: now,
            dry_run: false,
            open_conflicts: 0,
            reach: Reach::Unknown,
            result: Err(problem),
        }
    }

    /// Whether everything was done.
    fn is_success(&self) -> bool {
        self.result.as_ref().is_ok_and(RunResult::is_success)
    }

    /// What would be done, or why that is not known.
    pub(crate) fn plan(&self) -> TargetPlan {
        match &self.result {
            Ok(result) => TargetPlan::of(result),
            Err(problem) => TargetPlan::failed(&self.name, self.direction, problem.to_wire()),
        }
    }

    pub(crate) fn report(&self) -> TargetReport {
        let empty = TargetReport {
            target: self.name.clone(),
            direction: self.direction.into(),
            success: false,
            message: String::new(),
            duration: seconds(self.started, self.finished),
            outputs_created: Vec::new(),
            verification_passed: None,
            checks: Vec::new(),
            state: RunState::Failed.name().to_owned(),
            run: None,
            plan_hash: None,
            steps: Steps::default(),
            bytes: 0,
            conflicts: Vec::new(),
            open_conflicts: self.open_conflicts,
            halts: Vec::new(),
            problems: Vec::new(),
            agreed: 0,
            distrust: None,
            error: None,
            plan: self.dry_run.then(|| self.plan()),
            reach: self.reach.clone(),
        };
        match &self.result {
            Ok(result) => self.with_result(empty, result),
            Err(problem) => with_problem(empty, problem),
        }
    }

    fn with_result(&self, empty: TargetReport, result: &RunResult) -> TargetReport {
        let steps = if self.dry_run { planned(result) } else { done(result) };
        let message = result.message();
        let message = match (self.dry_run, steps.total()) {
            (true, 0) if message == "nothing to do" => message,
            (true, 1) => "dry run: 1 change pending".to_owned(),
            (true, count) if result.halts.is_empty() => format!("dry run: {count} changes pending"),
            _ => message,
        };
        let outputs = result.outputs_created.iter().map(|path| match &self.folder {
            Some(folder) => format!("{folder}/{path}"),
            None => path.to_string(),
        });
        TargetReport {
            success: result.is_success(),
            message,
            outputs_created: outputs.collect(),
            verification_passed: verification(&result.checked),
            checks: result.checked.iter().map(CheckReport::from).collect(),
            state: result.state.name().to_owned(),
            run: result.run.clone(),
            plan_hash: Some(result.plan_hash.clone()),
            steps,
            bytes: result.tally.bytes,
            conflicts: result
                .conflicts
                .iter()
                .map(|conflict| Conflict::planned(&self.name, conflict))
                .collect(),
            halts: result.halts.iter().map(Halt::from).collect(),
            problems: result.problems.iter().map(Remark::from).collect(),
            agreed: result.agreed,
            distrust: result.distrust.clone(),
            ..empty
        }
    }
}

/// Whether the verification of a target passed, when it has one that was made.
fn verification(checked: &[Checked]) -> Option<bool> {
    let made = checked.iter().filter(|checked| checked.phase == VERIFICATION);
    made.map(|checked| checked.failure.is_none()).reduce(|one, other| one && other)
}

fn with_problem(empty: TargetReport, problem: &Problem) -> TargetReport {
    if problem.code == PAUSED {
        // It waits for a person, like everything that is halted; but nobody can approve it.
        let (code, message) = (problem.code.to_owned(), problem.message.clone());
        let halt = Halt { code, side: wire::Side::Local, message: message.clone(), approvable: false };
        let state = RunState::Halted.name().to_owned();
        return TargetReport { message, halts: vec![halt], state, ..empty };
    }
    TargetReport { message: problem.message.clone(), error: Some(problem.to_wire()), ..empty }
}

fn done(result: &RunResult) -> Steps {
    let syncline_engine::Tally { created, updated, moved, removed, .. } = result.tally;
    Steps { created, updated, moved, removed }
}

fn planned(result: &RunResult) -> Steps {
    let count = |verb: &str| result.plan.steps.iter().filter(|step| step.verb() == verb).count() as u64;
    Steps {
        created: count("create"),
        updated: count("update"),
        moved: count("move"),
        removed: count("remove"),
    }
}
