//! Runs targets: plans, and does what the plan says.

use schemars::{JsonSchema, schema_for};
use serde::Deserialize;
use syncline_config::Target;
use syncline_core::order::order;
use syncline_core::{Choices, Digest, Direction as Way};
use syncline_engine::Options;
use syncline_engine::scheduler::{PAUSED, hold};
use syncline_store::Store;
use tracing::Instrument as _;
use tracing::field::Empty;

use crate::auditing::{Asked as Question, audited, of_report};
use crate::housekeeping;
use crate::operation::{Operation, Scope, ToolHints, answer, post, question};
use crate::problem::{Class, Problem, Result};
use crate::runner::{Done, Job, look_again, refuse_moved, report, run_all, run_in_order};
use crate::service::Service;
use crate::wire::{Direction, LeftOut, Plan, Report, VERSION};

/// The line of this use case in the list.
pub const OPERATION: Operation = Operation {
    name: "start_run",
    summary: "Bring both sides of targets into agreement",
    scope: Scope::Run,
    route: post("/runs"),
    tool: Some(ToolHints::DESTRUCTIVE.named("sync_trigger").idempotent().without(&["plan"])),
    request: || schema_for!(Request),
    response: || schema_for!(Report),
    call: |service, value| Box::pin(async move { answer(&start_run(service, &question(value)?).await?) }),
};

/// What to run, and how.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Request {
    /// Names or globs; all targets when there are none, or those of the saved plan.
    pub targets: Vec<String>,
    /// Only targets of this direction.
    pub direction: Option<Direction>,
    /// Run bidirectional targets in this one direction; a target of the opposite direction is refused.
    pub one_way: Option<Direction>,
    /// Only show what would be done.
    pub dry_run: bool,
    /// A saved plan: exactly this is done, or nothing when something changed since.
    pub plan: Option<Plan>,
    /// The hash of a halted plan that is approved.
    #[schemars(regex(pattern = r"^[0-9a-f]{64}$"))]
    pub approve: Option<String>,
    /// The hash of the plan of one target that was seen: exactly this is done, or nothing when something changed since.
    pub plan_hash: Option<String>,
    /// Look again afterwards, and fail when both sides do not agree.
    pub verify: bool,
}

/// Runs targets, each after those that it waits for; a failing one stops none but those that wait for it.
///
/// - A paused target is refused when it is named, and left out otherwise.
/// - A target outside of its windows runs when it is named, and is left out otherwise.
///
/// # Errors
/// When the request is wrong, the state cannot be opened, or another process changes the workspace. What befalls
/// single targets is in the report.
pub async fn start_run(service: &Service, request: &Request) -> Result<Report> {
    let approved = request.approve.as_deref().map(|hash| format!("approved {hash}"));
    let question = Question {
        operation: OPERATION.name,
        targets: &request.targets,
        about: approved.unwrap_or_default(),
    };
    if request.dry_run || service.workspace().dry_run {
        return carry_out(service, request, Asked::ByCaller).await;
    }
    audited(service, question, of_report, carry_out(service, request, Asked::ByCaller)).await
}

/// Runs targets that are due, or that something has asked for: whoever is paused or outside of its windows is left out.
pub(crate) async fn start_due(service: &Service, targets: Vec<String>, cause: &str) -> Result<Report> {
    carry_out(service, &Request { targets, ..Request::default() }, Asked::ByItself(cause)).await
}

/// Who wants targets to run.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Asked<'a> {
    /// Somebody who may mean those that he names.
    ByCaller,
    /// Nobody: it is their time, or this has happened.
    ByItself(&'a str),
}

impl Asked<'_> {
    /// What is told as the cause of the runs.
    fn cause(self, service: &Service) -> String {
        match self {
            Self::ByItself(cause) => cause.to_owned(),
            Self::ByCaller => service.cause(),
        }
    }
}

async fn carry_out(service: &Service, request: &Request, asked: Asked<'_>) -> Result<Report> {
    let span = tracing::info_span!(
        "start_run",
        syncline.cause = %asked.cause(service),
        syncline.dry_run = request.dry_run || service.workspace().dry_run,
        syncline.targets = Empty,
        syncline.successful = Empty,
        syncline.failed = Empty,
        syncline.left_out = Empty,
        otel.status_code = Empty,
        otel.status_description = Empty,
    );
    let made = carried_out(service, request, asked).instrument(span.clone()).await;
    match &made {
        Ok(report) => {
            span.record("syncline.targets", report.total_targets);
            span.record("syncline.successful", report.successful);
            span.record("syncline.failed", report.failed);
            span.record("syncline.left_out", report.left_out.len());
        }
        Err(problem) => {
            span.record("otel.status_code", "ERROR");
            span.record("otel.status_description", &problem.message);
        }
    }
    made
}

async fn carried_out(service: &Service, request: &Request, asked: Asked<'_>) -> Result<Report> {
    let started = service.clock().now();
    let chosen = choose(service, request)?;
    let only_plan = only_plan(request, chosen.len())?;
    let approved = request.approve.as_deref().map(approval).transpose()?;
    let dry_run = request.dry_run || service.workspace().dry_run;
    let cause = asked.cause(service);
    let jobs = chosen.into_iter().map(|(target, direction)| {
        let options = Options {
            cause: cause.clone(),
            dry_run,
            choices: Choices { approved, ..Choices::default() },
            plan: saved_hash(request, &target.name).or_else(|| only_plan.clone()),
            ..Options::default()
        };
        Job { direction, ..Job::new(target, options) }
    });
    let jobs = jobs.collect();
    if dry_run {
        let store = service.reading().await?;
        let all = run_all(service, &store, jobs).await;
        if only_plan.is_some() {
            refuse_moved(&all)?;
        }
        return Ok(report(service, started, true, &all));
    }
    let writing = service.writing().await?;
    let (jobs, left_out) = admit(service, &writing.store, (request, asked), jobs).await;
    let all = run_in_order(service, &writing.store, jobs).await;
    if only_plan.is_some() {
        refuse_moved(&all)?;
    }
    let mut made = report(service, started, false, &all);
    made.left_out = left_out;
    if request.verify {
        let span = tracing::info_span!("verify");
        verify(service, &writing.store, &all, &mut made).instrument(span).await?;
    }
    housekeeping::tidy(service, &writing.store).await;
    Ok(made)
}

/// Takes out what is to be left alone now, and refuses what is paused although it was named.
async fn admit<'a>(
    service: &Service,
    store: &Store,
    (request, asked): (&Request, Asked<'_>),
    jobs: Vec<Job<'a>>,
) -> (Vec<Job<'a>>, Vec<LeftOut>) {
    let (mut admitted, mut left_out) = (Vec::with_capacity(jobs.len()), Vec::new());
    for mut job in jobs {
        let name = &job.target.name;
        let is_named = asked == Asked::ByCaller && (request.targets.contains(name) || request.plan.is_some());
        let held = hold(store, name, &job.target.windows, service.clock().now()).await;
        match held {
            Some(hold) if hold.code == PAUSED && is_named => {
                let message = format!("{}; `syncline resume {name}` ends that", hold.message);
                job.refusal = Some(Problem::new(Class::Busy, PAUSED, message));
                admitted.push(job);
            }
            Some(hold) if !is_named => {
                let (target, code) = (name.clone(), hold.code.to_owned());
                left_out.push(LeftOut { target, code, message: hold.message });
            }
            _ => admitted.push(job),
        }
    }
    (admitted, left_out)
}

/// The targets that a request chooses, each with the direction in which it runs; in the order in which they go.
pub(crate) fn choose<'a>(service: &'a Service, request: &Request) -> Result<Vec<(&'a Target, Way)>> {
    let saved: Vec<String> = match &request.plan {
        Some(plan) if plan.version != VERSION => {
            let message =
                format!("the saved plan has version {}, and this program reads {VERSION}", plan.version);
            return Err(Problem::usage("bad_plan", message));
        }
        Some(plan) => plan.targets.iter().map(|target| target.target.clone()).collect(),
        None => Vec::new(),
    };
    let patterns = if request.targets.is_empty() { &saved } else { &request.targets };
    let mut chosen = service.workspace().select(patterns, request.direction.map(Into::into))?;
    if request.plan.is_some() {
        chosen.retain(|target| saved.contains(&target.name));
    }
    if chosen.is_empty() {
        return Err(Problem::usage("no_targets", "none of the chosen targets is in the saved plan"));
    }
    let standings: Vec<_> = chosen.iter().map(|target| target.standing()).collect();
    let in_order = order(&standings).into_iter().map(|index| chosen[index]);
    in_order.map(|target| Ok((target, way(target, request)?))).collect()
}

/// The direction in which a target runs: as configured, or narrowed to one way.
fn way(target: &Target, request: &Request) -> Result<Way> {
    let planned = request.plan.iter().flat_map(|plan| &plan.targets).find(|plan| plan.target == target.name);
    let Some(wanted) = request.one_way.or(planned.map(|plan| plan.direction)) else {
        return Ok(target.direction);
    };
    let wanted = Way::from(wanted);
    if target.direction == Way::Bidirectional || target.direction == wanted {
        return Ok(wanted);
    }
    let message = format!(
        "the target {:?} is configured as {}, so it is not run as {wanted}",
        target.name, target.direction
    );
    Err(Problem::usage("direction", message).with_hint("change its `direction` in the file if this is meant"))
}

fn saved_hash(request: &Request, target: &str) -> Option<String> {
    let plan = request.plan.as_ref()?;
    let saved = plan.targets.iter().find(|plan| plan.target == target)?;
    // A plan that could not be made fits nothing.
    Some(saved.hash.clone().unwrap_or_default())
}

/// The hash of the one plan that may be carried out, when the request has one.
fn only_plan(request: &Request, targets: usize) -> Result<Option<String>> {
    let Some(hash) = &request.plan_hash else { return Ok(None) };
    if request.plan.is_some() || targets != 1 {
        let message = format!("`plan_hash` is that of the plan of one target, and {targets} are chosen");
        let message = if targets == 1 { "`plan_hash` goes with no saved plan".to_owned() } else { message };
        return Err(Problem::usage("bad_plan", message).with_hint("run the targets one by one"));
    }
    seen(hash).map(Some)
}

/// Reads the hash of a plan that was seen.
pub(crate) fn seen(text: &str) -> Result<String> {
    approval(text).map(|hash| hash.to_string())
}

/// Reads the hash of an approved plan.
pub(crate) fn approval(text: &str) -> Result<Digest> {
    Digest::from_hex(text.trim()).ok_or_else(|| {
        Problem::usage("bad_hash", format!("{text:?} is not the hash of a plan"))
            .with_hint("copy it whole from the message of the halted run: 64 hexadecimal digits")
    })
}

/// Plans again: whatever is still to be done was not.
async fn verify(service: &Service, store: &Store, all: &[Done], made: &mut Report) -> Result<()> {
    for (done, result) in all.iter().zip(&mut made.results) {
        if !result.success {
            continue;
        }
        let again = look_again(service, store, service.configured(&done.name)?, done.direction).await;
        let pending = again.as_ref().map_or(0, |again| again.plan.steps.len());
        let passed = again.is_ok() && pending == 0;
        result.verification_passed = Some(passed && result.verification_passed != Some(false));
        if !passed {
            result.success = false;
            result.message = format!("{}; but {pending} changes are pending again", result.message);
            made.successful -= 1;
            made.failed += 1;
        }
    }
    Ok(())
}
