//! Puts a target back to what it was before a run. That is a run itself, and is undone the same way.

use schemars::{JsonSchema, schema_for};
use serde::Deserialize;
use syncline_store::ConflictQuery;

use crate::auditing::{Asked, audited, of_report};
use crate::conflict_undoing::Undoing;
use crate::operation::{Operation, Scope, ToolHints, answer, post, question};
use crate::operations::start_run::{approval, seen};
use crate::problem::Result;
use crate::service::Service;
use crate::wire::{Remark, Report};
use crate::wishes::{Granting, grant};

/// The line of this use case in the list.
pub const OPERATION: Operation = Operation {
    name: "rollback",
    summary: "Put a target back to what it was before a run",
    scope: Scope::Run,
    route: post("/rollback"),
    tool: Some(ToolHints::DESTRUCTIVE.needing_a_plan()),
    request: || schema_for!(Request),
    response: || schema_for!(Report),
    call: |service, value| Box::pin(async move { answer(&rollback(service, &question(value)?).await?) }),
};

/// What to undo.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// The run: its identifier, an unambiguous beginning of it, or `last` for the last one that changed something.
    /// Runs of its target after it are undone too.
    pub run: String,
    /// Only show what would be done.
    #[serde(default)]
    pub dry_run: bool,
    /// The hash of a halted plan that is approved.
    #[serde(default)]
    #[schemars(regex(pattern = r"^[0-9a-f]{64}$"))]
    pub approve: Option<String>,
    /// The hash of the plan that was seen, as `dry_run` tells it: exactly this is done, or nothing when something changed
    /// since.
    #[serde(default)]
    pub plan_hash: Option<String>,
}

/// Puts a target back.
///
/// # Errors
/// When the run is unknown, its target is not configured any more, or history cannot be read.
pub async fn rollback(service: &Service, request: &Request) -> Result<Report> {
    let asked = Asked { operation: OPERATION.name, targets: &[], about: request.run.clone() };
    if request.dry_run {
        return put_back(service, request).await;
    }
    audited(service, asked, of_report, put_back(service, request)).await
}

async fn put_back(service: &Service, request: &Request) -> Result<Report> {
    let (store, _writing) = service.for_run(request.dry_run).await?;
    let run = service.run_to_undo(&store, &request.run).await?;
    let target = service.configured(&run.start.target)?;
    let mut desired = syncline_engine::before_run(&store, &run).await?;
    let granting = Granting {
        cause: format!("rollback of {}", run.start.id),
        dry_run: request.dry_run,
        approved: request.approve.as_deref().map(approval).transpose()?,
        plan: request.plan_hash.as_deref().map(seen).transpose()?,
    };
    let what = (run.start.id.as_str(), request.dry_run);
    let undoing = Undoing::prepare(service, &store, target, what, &mut desired).await?;
    let mut report = grant(service, &store, target, desired, granting).await?;
    // What was halted or failed as a whole has undone nothing.
    let done = report.results.first_mut().filter(|result| result.error.is_none() && result.halts.is_empty());
    if let (Some(result), Some(undoing), false) = (done, undoing, request.dry_run) {
        let told = undoing.conclude(service, &store).await?;
        result.problems.extend(told.iter().map(Remark::from));
        let query = ConflictQuery { target: Some(target.name.clone()), open_only: true };
        result.open_conflicts = store.conflicts(&query).await?.len() as u64;
    }
    Ok(report)
}
