//! Lists conflicts.

use schemars::{JsonSchema, schema_for};
use serde::Deserialize;
use syncline_store::ConflictQuery;

use crate::operation::{Operation, Scope, ToolHints, answer, get, question};
use crate::problem::Result;
use crate::service::Service;
use crate::wire::{Conflict, ConflictList};

/// The line of this use case in the list.
pub const OPERATION: Operation = Operation {
    name: "list_conflicts",
    summary: "List conflicts that wait for a decision",
    scope: Scope::Read,
    route: get("/conflicts"),
    tool: Some(ToolHints::READ_ONLY.named("conflicts")),
    request: || schema_for!(Request),
    response: || schema_for!(ConflictList),
    call: |service, value| {
        Box::pin(async move { answer(&list_conflicts(service, &question(value)?).await?) })
    },
};

/// Which conflicts to list.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Request {
    /// Only conflicts of this target.
    pub target: Option<String>,
    /// Settled ones too.
    pub all: bool,
}

/// Lists conflicts, the oldest first.
///
/// # Errors
/// When the target is unknown or the state cannot be read.
pub async fn list_conflicts(service: &Service, request: &Request) -> Result<ConflictList> {
    if let Some(target) = &request.target {
        service.configured(target)?;
    }
    let store = service.reading().await?;
    let query = ConflictQuery { target: request.target.clone(), open_only: !request.all };
    let records = service.conflicts(&store, &query).await?;
    Ok(ConflictList::new(records.iter().map(Conflict::from).collect()))
}
