//! What a run tells to tracing: one span for the run and one for each of its phases, with what they came to.
//!
//! Names and fields are an interface: people search for them. They stand in `docs/src/traces.md`.

use syncline_core::{Change, Plan, Seen, Sides, Snapshot, Step};
use tracing::field::Empty;
use tracing::{Span, field, info_span};

use crate::apply::Applied;
use crate::checks::{Check, Checked};
use crate::context::{Options, Target};
use crate::error::Result;
use crate::look::View;
use crate::result::{RunResult, Tally};

/// A run of a target, checks included.
pub(crate) fn run(target: &Target, options: &Options) -> Span {
    info_span!(
        "run",
        syncline.target = target.name,
        syncline.direction = %target.policy.direction,
        syncline.cause = options.cause,
        syncline.dry_run = options.dry_run,
        syncline.run = Empty,
        syncline.outcome = Empty,
        syncline.message = Empty,
        syncline.created = Empty,
        syncline.updated = Empty,
        syncline.moved = Empty,
        syncline.removed = Empty,
        syncline.bytes = Empty,
        syncline.conflicts = Empty,
        syncline.halts = Empty,
        syncline.problems = Empty,
        otel.status_code = Empty,
        otel.status_description = Empty,
    )
}

/// What a run came to.
pub(crate) fn ended(span: &Span, result: &Result<RunResult>) {
    if span.is_disabled() {
        return;
    }
    let (outcome, message) = match result {
        Ok(result) => (result.state.name(), result.message()),
        Err(error) => ("failed", error.to_string()),
    };
    span.record("syncline.outcome", outcome);
    span.record("syncline.message", &message);
    if !matches!(outcome, "succeeded" | "halted") {
        span.record("otel.status_code", "ERROR");
        span.record("otel.status_description", &message);
    }
    let Ok(result) = result else { return };
    let Tally { created, updated, moved, removed, bytes } = result.tally;
    let counts = [
        ("syncline.created", created),
        ("syncline.updated", updated),
        ("syncline.moved", moved),
        ("syncline.removed", removed),
        ("syncline.bytes", bytes),
        ("syncline.conflicts", result.conflicts.len() as u64),
        ("syncline.halts", result.halts.len() as u64),
        ("syncline.problems", result.problems.len() as u64),
    ];
    for (name, count) in counts {
        span.record(name, count);
    }
    if let Some(run) = &result.run {
        span.record("syncline.run", run);
    }
}

/// A check being made.
pub(crate) fn check(check: &Check) -> Span {
    info_span!(
        "check",
        syncline.check = check.name,
        syncline.phase = check.phase,
        syncline.passed = Empty,
        otel.status_code = Empty,
        otel.status_description = Empty,
    )
}

/// What a check came to.
pub(crate) fn checked(span: &Span, checked: &Checked) {
    span.record("syncline.passed", checked.failure.is_none());
    if let Some(failure) = &checked.failure {
        span.record("otel.status_code", "ERROR");
        span.record("otel.status_description", failure);
    }
}

/// Both sides being looked at.
pub(crate) fn scan() -> Span {
    info_span!(
        "scan",
        syncline.local.items = Empty,
        syncline.local.changes = Empty,
        syncline.remote.items = Empty,
        syncline.remote.changes = Empty,
        syncline.complete = Empty,
        otel.status_code = Empty,
    )
}

/// What was seen of both sides.
pub(crate) fn scanned(span: &Span, seen: &Result<View>) {
    let Ok(View { snapshots: Sides { local, remote }, .. }) = seen else {
        span.record("otel.status_code", "ERROR");
        return;
    };
    if span.is_disabled() {
        return;
    }
    // What a rule leaves out is a change to nobody.
    let is_change = |change: &&Change| !matches!(change.now, Seen::Ignored);
    let changes = |side: &Snapshot| side.changes.iter().filter(is_change).count();
    span.record("syncline.local.items", local.count);
    span.record("syncline.local.changes", changes(local));
    span.record("syncline.remote.items", remote.count);
    span.record("syncline.remote.changes", changes(remote));
    span.record("syncline.complete", local.complete && remote.complete);
}

/// The plan being made, with what had to be read for it.
pub(crate) fn plan() -> Span {
    info_span!(
        "plan",
        syncline.steps = Empty,
        syncline.conflicts = Empty,
        syncline.halts = Empty,
        syncline.plan_hash = Empty,
        otel.status_code = Empty,
    )
}

/// The plan that was made.
pub(crate) fn planned(span: &Span, made: &Result<(Plan, View)>) {
    if span.is_disabled() {
        return;
    }
    let Ok((plan, _)) = made else {
        span.record("otel.status_code", "ERROR");
        return;
    };
    span.record("syncline.steps", plan.steps.len());
    span.record("syncline.conflicts", plan.conflicts.len());
    span.record("syncline.halts", plan.halts.len());
    span.record("syncline.plan_hash", field::display(plan.hash()));
}

/// A plan being applied.
pub(crate) fn apply(plan: &Plan) -> Span {
    info_span!(
        "apply",
        syncline.steps = plan.steps.len(),
        syncline.bytes = plan.steps.iter().map(Step::bytes).sum::<u64>(),
        syncline.again = Empty,
        otel.status_code = Empty,
    )
}

/// What applying a plan came to.
pub(crate) fn applied(span: &Span, done: &Result<Applied>) {
    match done {
        Ok(applied) => span.record("syncline.again", applied.again.len()),
        Err(_) => span.record("otel.status_code", "ERROR"),
    };
}
