//! Tells how every target is doing: last run, what is agreed on, what is pending, what waits for a decision.

use schemars::{JsonSchema, schema_for};
use serde::{Deserialize, Serialize};
use syncline_config::Target as Configured;
use syncline_engine::Options;
use syncline_engine::scheduler::{is_open, opens};
use syncline_store::{ConflictQuery, RunQuery, RunState, Store, Totals, WatchedTarget};

use crate::operation::{Operation, Scope, ToolHints, answer, get, question};
use crate::problem::{Result, WireProblem};
use crate::runner::{Job, run_all};
use crate::service::Service;
use crate::watch_post;
use crate::wire::{Direction, Figures, LastEnd, Offline, Pause, Remark, Run, TargetPlan, VERSION, timestamp};

/// The line of this use case in the list.
pub const OPERATION: Operation = Operation {
    name: "status",
    summary: "Tell how every target is doing",
    scope: Scope::Read,
    route: get("/status"),
    tool: Some(ToolHints::READ_ONLY.named("sync_status")),
    request: || schema_for!(Request),
    response: || schema_for!(Response),
    call: |service, value| Box::pin(async move { answer(&status(service, &question(value)?).await?) }),
};

/// What to tell.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Request {
    /// Names or globs; all targets when there are none.
    pub targets: Vec<String>,
    /// Do not look at the sides: pending changes stay unknown.
    pub fast: bool,
}

/// How the workspace is doing.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Response {
    /// The version of this shape.
    pub version: u32,
    /// The workspace's folder.
    pub workspace: String,
    /// The name of this machine.
    pub node: String,
    /// The targets, in the order of the file.
    pub targets: Vec<Target>,
    /// Changes that wait to be carried to the other side, over all targets; `null` when nobody looked.
    pub messages_pending: Option<u64>,
    /// Conflicts that wait for a decision, over all targets.
    pub open_conflicts: u64,
    /// When a target last did all that it was to do: RFC 3339; `null` before that.
    pub last_sync: Option<String>,
    /// What was counted of all these targets; `/metrics` of a daemon tells the same.
    pub figures: Figures,
    /// What history keeps.
    pub backups: Backups,
    /// Whether a process watches the workspace; `watch_status` tells more.
    pub watched: bool,
}

/// How a target is doing.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Target {
    /// The name.
    pub target: String,
    /// Which way changes may flow.
    pub direction: Direction,
    /// The state in one word.
    pub state: State,
    /// How many items are agreed on.
    pub agreed: u64,
    /// How many changes are pending; `null` when nobody looked.
    pub pending: Option<u64>,
    /// How many conflicts wait for a decision.
    pub open_conflicts: u64,
    /// What was put aside because it could not go back to its place, and waits to be looked at; empty when nobody
    /// looked.
    pub rescued: Vec<Remark>,
    /// The last run that left a record.
    pub last_run: Option<Run>,
    /// How the last run ended, also one that left no record since it found nothing to do, or could not be recorded; `null`
    /// before the first end. `/health` of a daemon tells the same.
    pub last_end: Option<LastEnd>,
    /// What the watch of the workspace knows of a remote that is away; `null` while it is there, or nobody watches.
    pub offline: Option<Offline>,
    /// Why a run leaves it alone; `null` when nobody has paused it.
    pub paused: Option<Pause>,
    /// When the next of its windows opens: RFC 3339; `null` while one is open, and when it has none.
    pub opens: Option<String>,
    /// When it last did all that it was to do: RFC 3339; `null` before that.
    pub last_sync: Option<String>,
    /// What was counted of its runs, also those that found nothing to do.
    pub figures: Figures,
    /// Why it cannot be told what is pending.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<WireProblem>,
}

/// The state of a target in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It never ran.
    NeverRun,
    /// Both sides agree, as far as anybody looked.
    InAgreement,
    /// Changes are pending.
    Pending,
    /// Conflicts wait for a decision.
    Conflicts,
    /// It waits for an approval.
    Halted,
    /// It cannot be looked at, or its last run failed.
    Failed,
    /// Its last run is going on, or was cut short; the next one takes over.
    Unfinished,
}

/// What history keeps.
#[derive(Clone, Copy, Debug, Default, Serialize, JsonSchema)]
pub struct Backups {
    /// How many contents.
    pub objects: u64,
    /// Bytes that they take.
    pub bytes: u64,
}

/// Tells how the workspace is doing.
///
/// # Errors
/// When a pattern matches nothing or the state cannot be read; a target that cannot be looked at says so itself.
pub async fn status(service: &Service, request: &Request) -> Result<Response> {
    let chosen = service.workspace().select(&request.targets, None)?;
    let store = service.reading().await?;
    let running = watch_post::running(service)?;
    let watched = running.is_some();
    let record = running.and_then(|running| running.record);
    let (mut targets, mut all_totals) = (Vec::new(), Vec::new());
    for target in chosen {
        let plan = if request.fast { None } else { Some(look(service, &store, target).await) };
        let totals = store.totals(&target.name).await?;
        let known = record.iter().flat_map(|record| &record.targets).find(|known| known.name == target.name);
        let mut described = describe(&store, target, plan, (&totals, known)).await?;
        described.offline = known.and_then(Offline::of);
        let now = service.clock().now();
        described.paused =
            store.paused(&target.name).await?.filter(|pause| pause.is_on(now)).map(Pause::from);
        if !is_open(&target.windows, now) {
            described.opens = opens(&target.windows, now).map(timestamp);
        }
        described.last_sync = totals.last_success.map(timestamp);
        described.figures = Figures::of([&totals]);
        all_totals.push(totals);
        targets.push(described);
    }
    let objects = store.objects().clone();
    let total = tokio::task::spawn_blocking(move || objects.total()).await;
    let total = total.ok().and_then(std::result::Result::ok).unwrap_or_default();
    let pending: Option<Vec<u64>> = targets.iter().map(|target| target.pending).collect();
    Ok(Response {
        version: VERSION,
        workspace: service.workspace().root.display().to_string(),
        node: service.workspace().node.clone(),
        messages_pending: pending.map(|counts| counts.iter().sum()),
        open_conflicts: targets.iter().map(|target| target.open_conflicts).sum(),
        targets,
        last_sync: all_totals.iter().filter_map(|totals| totals.last_success).max().map(timestamp),
        figures: Figures::of(&all_totals),
        backups: Backups { objects: total.count, bytes: total.bytes },
        watched,
    })
}

async fn look(service: &Service, store: &Store, target: &Configured) -> TargetPlan {
    let options = Options { dry_run: true, ..Options::default() };
    let done = run_all(service, store, vec![Job::new(target, options)]).await;
    done.first().map_or_else(
        || TargetPlan::failed(&target.name, target.direction, crate::Problem::not_found("no plan").to_wire()),
        crate::runner::Done::plan,
    )
}

async fn describe(
    store: &Store,
    target: &Configured,
    plan: Option<TargetPlan>,
    (totals, watched): (&Totals, Option<&WatchedTarget>),
) -> Result<Target> {
    let name = target.name.as_str();
    let state = store.peek_target(name).await?;
    let query = RunQuery { target: Some(name.to_owned()), before: None, limit: Some(1) };
    let last_run = store.runs(&query).await?.first().map(Run::from);
    let last_end = LastEnd::of(totals, watched);
    let is_going_on = last_run.as_ref().is_some_and(|run| run.state == "running");
    let last_state = match (&last_end, &last_run) {
        (Some(end), _) if !is_going_on => RunState::from_name(&end.state),
        (_, Some(run)) => RunState::from_name(&run.state),
        _ => None,
    };
    let query = ConflictQuery { target: Some(name.to_owned()), open_only: true };
    let open_conflicts = store.conflicts(&query).await?.len() as u64;
    let error = plan.as_ref().and_then(|plan| plan.error.clone());
    let pending = plan.as_ref().filter(|plan| plan.error.is_none()).map(TargetPlan::pending);
    let problems = plan.iter().flat_map(|plan| &plan.problems);
    let rescued = problems.filter(|problem| problem.code == "rescued").cloned().collect();
    let halted = plan.as_ref().is_some_and(|plan| !plan.halts.is_empty());
    let ended_badly = matches!(last_state, Some(RunState::Failed | RunState::Partial));
    let word = if error.is_some() || ended_badly {
        State::Failed
    } else if halted || plan.is_none() && last_state == Some(RunState::Halted) {
        State::Halted
    } else if is_going_on {
        // What a run that did not end has done is not in the baseline: nobody can say that both sides agree.
        State::Unfinished
    } else if open_conflicts > 0 {
        State::Conflicts
    } else if last_run.is_none() && !state.has_baseline {
        State::NeverRun
    } else if pending.unwrap_or_default() > 0 {
        State::Pending
    } else {
        State::InAgreement
    };
    Ok(Target {
        target: name.to_owned(),
        direction: target.direction.into(),
        state: word,
        agreed: state.count(),
        pending,
        open_conflicts,
        rescued,
        last_run,
        last_end,
        offline: None,
        paused: None,
        opens: None,
        last_sync: None,
        figures: Figures::default(),
        error,
    })
}
