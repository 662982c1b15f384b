//! Tells that something has happened: the targets that name the event run.

use schemars::{JsonSchema, schema_for};
use serde::{Deserialize, Serialize};

use crate::auditing::{Asked, Became, audited, of_report};
use crate::operation::{Operation, Scope, answer, post, question};
use crate::operations::start_run::start_due;
use crate::problem::Result;
use crate::service::Service;
use crate::watch_post;
use crate::wire::{Report, VERSION};

/// The line of this use case in the list.
pub const OPERATION: Operation = Operation {
    name: "trigger_event",
    summary: "Tell that something has happened, so that the targets that name the event run",
    scope: Scope::Run,
    route: post("/events"),
    // A model runs targets by name, where it sees the plan first.
    tool: None,
    request: || schema_for!(Request),
    response: || schema_for!(Response),
    call: |service, value| Box::pin(async move { answer(&trigger_event(service, &question(value)?).await?) }),
};

/// What has happened.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// The name of the event, as targets name it under `triggers.events`.
    pub event: String,
}

/// What follows from it.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Response {
    /// The version of this shape.
    pub version: u32,
    /// The event.
    pub event: String,
    /// The targets that name it, in the order of the file.
    pub targets: Vec<String>,
    /// Whether the process that serves the workspace runs them: soon, once for any number of events until then, and also
    /// when it is killed before that.
    pub handed_over: bool,
    /// What the runs came to, when they were run here and now; `null` otherwise.
    pub report: Option<Report>,
}

/// Runs the targets that name an event: through the process that serves the workspace when there is one, otherwise now.
///
/// Those that are paused or outside of their windows are left out now, and wait in a process that serves.
///
/// # Errors
/// When no target names the event, or the state cannot be used.
pub async fn trigger_event(service: &Service, request: &Request) -> Result<Response> {
    let event = &request.event;
    let targets = service.workspace().listening(event)?;
    let asked = Asked { operation: OPERATION.name, targets: &targets, about: format!("event {event}") };
    let became = |response: &Response| match &response.report {
        Some(report) => of_report(report),
        None => Some(Became { targets: response.targets.clone(), outcome: "handed over".to_owned() }),
    };
    audited(service, asked, became, carry_out(service, event, targets.clone())).await
}

async fn carry_out(service: &Service, event: &str, targets: Vec<String>) -> Result<Response> {
    let cause = format!("event {event}");
    let running = watch_post::running(service)?;
    // Whoever has only just begun has not told yet what it does: it finds the request if it serves, or the next one does.
    let handed_over = running.is_some_and(|running| running.record.is_none_or(|record| record.serving));
    let report = if handed_over {
        let store = service.stored().await?;
        store.ask_for(&targets, &cause, service.clock().now()).await?;
        service.arrivals().notify_one();
        None
    } else {
        Some(start_due(service, targets.clone(), &cause).await?)
    };
    Ok(Response { version: VERSION, event: event.to_owned(), targets, handed_over, report })
}
