//! Acknowledges an alert: somebody knows of it.

use schemars::{JsonSchema, schema_for};
use serde::{Deserialize, Serialize};
use syncline_store::{Acknowledged, Acknowledgement, AlertBook};

use crate::auditing::{Asked, Became, audited};
use crate::operation::{Operation, Scope, ToolHints, answer, post, question};
use crate::operations::list_alerts::may_see;
use crate::problem::{Problem, Result};
use crate::service::Service;
use crate::wire::VERSION;

/// The line of this use case in the list.
pub const OPERATION: Operation = Operation {
    name: "acknowledge_alert",
    summary: "Acknowledge an alert, so that only its end is told",
    scope: Scope::Resolve,
    route: post("/alerts/acknowledgements"),
    tool: Some(ToolHints::CHANGING),
    request: || schema_for!(Request),
    response: || schema_for!(Response),
    call: |service, value| {
        Box::pin(async move { answer(&acknowledge_alert(service, question(value)?).await?) })
    },
};

/// Longest note, in characters.
const NOTE_MAX: usize = 500;

/// Which alert, and why.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// The number of the alert.
    pub id: u64,
    /// What there is to say about it: one line of at most 500 characters.
    #[serde(default)]
    pub note: Option<String>,
}

/// What was acknowledged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Response {
    /// The version of this shape.
    pub version: u32,
    /// The number of the alert.
    pub id: u64,
    /// What is wrong.
    pub message: String,
}

/// Acknowledges an alert.
///
/// # Errors
/// When there is no such alert, or it cannot be written down.
pub async fn acknowledge_alert(service: &Service, request: Request) -> Result<Response> {
    let asked = Asked { operation: OPERATION.name, targets: &[], about: format!("alert {}", request.id) };
    let became = |_: &Response| Some(Became { targets: Vec::new(), outcome: "done".to_owned() });
    audited(service, asked, became, async { acknowledge(service, request) }).await
}

fn acknowledge(service: &Service, request: Request) -> Result<Response> {
    let note = request.note.map(|note| note.trim().to_owned()).filter(|note| !note.is_empty());
    if note
        .as_deref()
        .is_some_and(|note| note.chars().count() > NOTE_MAX || note.chars().any(char::is_control))
    {
        let message = format!("a note is one line of at most {NOTE_MAX} characters");
        return Err(Problem::usage("bad_note", message));
    }
    let book = AlertBook::read(service.state()).unwrap_or_default();
    let alert = book.alerts.iter().find(|alert| alert.id == request.id && may_see(service, alert));
    let alert = alert.ok_or_else(|| {
        Problem::not_found(format!("there is no alert {}", request.id)).with_hint("see `syncline alerts`")
    })?;
    // What others acknowledge at the same moment in another process may be lost, and can be acknowledged again.
    let mut given = Acknowledged::read(service.state());
    given.0.retain(|id, _| book.alerts.iter().any(|alert| alert.id == *id));
    given.0.insert(alert.id, Acknowledgement { at: service.clock().now(), note });
    given.write(service.state())?;
    Ok(Response { version: VERSION, id: alert.id, message: alert.message.clone() })
}
