//! Puts a target back to what it was before a run. That is a run itself, and is undone the same way.

use schemars::{JsonSchema, schema_for};
use serde::Deserialize;

use crate::operation::{Operation, Scope, ToolHints, answer, post, question};
use crate::operations::start_run::approval;
use crate::problem::Result;
use crate::service::Service;
use crate::wire::Report;
use crate::wishes::{Granting, grant};

/// The line of this use case in the list.
pub const OPERATION: Operation = Operation {
    name: "rollback",
    summary: "Put a target back to what it was before a run",
    scope: Scope::Write,
    route: post("/rollback"),
    tool: Some(ToolHints::DESTRUCTIVE),
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
    pub approve: Option<String>,
}

/// Puts a target back.
///
/// # Errors
/// When the run is unknown, its target is not configured any more, or history cannot be read.
pub async fn rollback(service: &Service, request: &Request) -> Result<Report> {
    let (store, _writing) = service.for_run(request.dry_run).await?;
    let run = service.run_to_undo(&store, &request.run).await?;
    let target = service.configured(&run.start.target)?;
    let desired = syncline_engine::before_run(&store, &run).await?;
    let granting = Granting {
        cause: format!("rollback of {}", run.start.id),
        dry_run: request.dry_run,
        approved: request.approve.as_deref().map(approval).transpose()?,
    };
    grant(service, &store, target, desired, granting).await
}
