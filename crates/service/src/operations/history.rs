//! Lists runs of the past.

use schemars::{JsonSchema, schema_for};
use serde::Deserialize;
use syncline_store::RunQuery;

use crate::operation::{Operation, Scope, ToolHints, answer, get, question};
use crate::problem::Result;
use crate::service::Service;
use crate::wire::{Run, RunList};

/// The line of this use case in the list.
pub const OPERATION: Operation = Operation {
    name: "history",
    summary: "List runs, the newest first",
    scope: Scope::Read,
    route: get("/runs"),
    tool: Some(ToolHints::READ_ONLY.named("sync_history")),
    request: || schema_for!(Request),
    response: || schema_for!(RunList),
    call: |service, value| Box::pin(async move { answer(&history(service, &question(value)?).await?) }),
};

/// Which runs to list.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Request {
    /// Only runs of this target.
    pub target: Option<String>,
    /// At most so many.
    pub limit: u32,
    /// Only runs before this one.
    pub before: Option<String>,
    /// Only this run: its identifier, or an unambiguous beginning of it.
    pub run: Option<String>,
}

impl Default for Request {
    fn default() -> Self {
        Self { target: None, limit: 20, before: None, run: None }
    }
}

/// Lists runs.
///
/// # Errors
/// When the target is unknown or the state cannot be read.
pub async fn history(service: &Service, request: &Request) -> Result<RunList> {
    if let Some(target) = &request.target {
        service.configured(target)?;
    }
    let store = service.reading().await?;
    if let Some(run) = &request.run {
        let run = service.run_named(&store, run).await?;
        return Ok(RunList::new(vec![Run::from(&run)]));
    }
    let before = match &request.before {
        Some(run) => Some(service.run_named(&store, run).await?.start.id),
        None => None,
    };
    let query = RunQuery { target: request.target.clone(), before, limit: Some(request.limit) };
    let runs = store.runs(&query).await?;
    Ok(RunList::new(runs.iter().map(Run::from).collect()))
}
