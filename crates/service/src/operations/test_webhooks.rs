//! Sends a test message to webhooks.

use schemars::{JsonSchema, schema_for};
use serde::{Deserialize, Serialize};
use syncline_config::Notification;

use crate::auditing::{Asked, Became, audited};
use crate::notifying::{of_test, send};
use crate::operation::{Operation, Scope, answer, post, question};
use crate::problem::{Problem, Result};
use crate::service::Service;
use crate::wire::VERSION;

/// The line of this use case in the list.
pub const OPERATION: Operation = Operation {
    name: "test_webhooks",
    summary: "Send a test message to webhooks; one that arrives takes up a webhook again whose receiver was gone",
    scope: Scope::Admin,
    route: post("/webhooks/tests"),
    tool: None,
    request: || schema_for!(Request),
    response: || schema_for!(Response),
    call: |service, value| Box::pin(async move { answer(&test_webhooks(service, &question(value)?).await?) }),
};

/// Which webhooks.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Request {
    /// The names of webhooks; all that are not disabled when there are none.
    pub webhooks: Vec<String>,
}

/// What became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Response {
    /// The version of this shape.
    pub version: u32,
    /// The webhooks.
    pub webhooks: Vec<Tested>,
}

/// A webhook.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Tested {
    /// Its name.
    pub webhook: String,
    /// The identifier of the message.
    pub delivery: String,
    /// The status of the answer; `null` when there was none.
    pub status: Option<u16>,
    /// Why the message did not arrive; `null` when it did.
    pub error: Option<String>,
}

/// Sends a test message to each, once, and waits for the answer.
///
/// # Errors
/// When there is no such webhook, or the state cannot be written.
pub async fn test_webhooks(service: &Service, request: &Request) -> Result<Response> {
    let asked = Asked { operation: OPERATION.name, targets: &[], about: request.webhooks.join(", ") };
    let became = |response: &Response| {
        let arrived = response.webhooks.iter().filter(|webhook| webhook.error.is_none()).count();
        let outcome = format!("{arrived} of {} arrived", response.webhooks.len());
        Some(Became { targets: Vec::new(), outcome })
    };
    audited(service, asked, became, send_all(service, request)).await
}

async fn send_all(service: &Service, request: &Request) -> Result<Response> {
    let chosen = chosen(service, &request.webhooks)?;
    let store = service.stored().await?;
    let mut webhooks = Vec::with_capacity(chosen.len());
    for to in chosen {
        let message = of_test(&service.workspace().node, service.clock().now());
        let (answer, mut attempt) = send(service, to, &message).await;
        attempt.error = match answer {
            Ok(receipt) if (200..300).contains(&receipt.status) => None,
            Ok(receipt) => Some(format!("it answered {}", receipt.status)),
            Err(reason) => Some(reason),
        };
        store.record_message(&to.name, &message, &attempt).await?;
        let (status, error) = (attempt.status, attempt.error);
        webhooks.push(Tested { webhook: to.name.clone(), delivery: message.id, status, error });
    }
    Ok(Response { version: VERSION, webhooks })
}

fn chosen<'a>(service: &'a Service, names: &[String]) -> Result<Vec<&'a Notification>> {
    let known = &service.workspace().notify;
    if known.is_empty() {
        return Err(Problem::usage("no_webhooks", "the file names no webhooks that are sent anything")
            .with_hint("write one below `notify.webhooks`"));
    }
    if names.is_empty() {
        return Ok(known.iter().filter(|to| !to.disabled).collect());
    }
    let named = |name: &String| {
        let found = known.iter().find(|to| to.name == *name);
        found.ok_or_else(|| {
            Problem::not_found(format!("the file names no webhook {name:?} below `notify.webhooks`"))
                .with_hint("see `syncline webhooks list`")
        })
    };
    names.iter().map(named).collect()
}
