//! Tells whether the workspace is watched, and how its watch is doing. Needs no secret and no endpoint.

use schemars::{JsonSchema, schema_for};
use serde::{Deserialize, Serialize};

use crate::operation::{Operation, Scope, ToolHints, answer, get, question};
use crate::problem::Result;
use crate::service::Service;
use crate::watch_post;
use crate::wire::{VERSION, Watch};

/// The line of this use case in the list.
pub const OPERATION: Operation = Operation {
    name: "watch_status",
    summary: "Tell whether the workspace is watched, and how its watch is doing",
    scope: Scope::Read,
    route: get("/watch"),
    tool: Some(ToolHints::READ_ONLY),
    request: || schema_for!(Request),
    response: || schema_for!(Response),
    call: |service, value| {
        Box::pin(async move {
            let Request {} = question(value)?;
            answer(&watch_status(service)?)
        })
    },
};

/// Nothing is to be said.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Request {}

/// Whether the workspace is watched.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Response {
    /// The version of this shape.
    pub version: u32,
    /// Whether a process watches the workspace.
    pub running: bool,
    /// What the watch tells of itself; `null` when there is none, or it has only just begun.
    pub watch: Option<Watch>,
}

/// Tells whether the workspace is watched.
///
/// # Errors
/// When the state cannot be looked at.
pub fn watch_status(service: &Service) -> Result<Response> {
    let running = watch_post::running(service)?;
    Ok(Response {
        version: VERSION,
        running: running.is_some(),
        watch: running.and_then(|running| running.record).map(|record| seen(service, record.into())),
    })
}

/// What whoever asks may know of a watch.
pub(crate) fn seen(service: &Service, mut watch: Watch) -> Watch {
    watch.targets.retain(|target| service.may_see(&target.target));
    watch
}
