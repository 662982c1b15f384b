//! Sends a test message through alert channels.

use schemars::{JsonSchema, schema_for};
use serde::{Deserialize, Serialize};

use crate::auditing::{Asked, Became, audited};
use crate::monitoring::{Channels, test_message};
use crate::operation::{Operation, Scope, answer, post, question};
use crate::problem::{Problem, Result};
use crate::service::Service;
use crate::wire::VERSION;

/// The line of this use case in the list.
pub const OPERATION: Operation = Operation {
    name: "test_alerts",
    summary: "Send a test message through alert channels",
    scope: Scope::Admin,
    route: post("/alerts/tests"),
    tool: None,
    request: || schema_for!(Request),
    response: || schema_for!(Response),
    call: |service, value| Box::pin(async move { answer(&test_alerts(service, &question(value)?).await?) }),
};

/// Which channels.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Request {
    /// The names of channels; all of them when there are none.
    pub channels: Vec<String>,
}

/// What became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Response {
    /// The version of this shape.
    pub version: u32,
    /// The channels.
    pub channels: Vec<Tested>,
}

/// A channel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Tested {
    /// Its name.
    pub channel: String,
    /// Why the message did not arrive; `null` when it did.
    pub error: Option<String>,
}

/// Sends a test message.
///
/// # Errors
/// When there is no channel.
pub async fn test_alerts(service: &Service, request: &Request) -> Result<Response> {
    let asked = Asked { operation: OPERATION.name, targets: &[], about: request.channels.join(", ") };
    let became = |response: &Response| {
        let failed = response.channels.iter().filter(|channel| channel.error.is_some()).count();
        let outcome = format!("{} of {} arrived", response.channels.len() - failed, response.channels.len());
        Some(Became { targets: Vec::new(), outcome })
    };
    audited(service, asked, became, send(service, request)).await
}

async fn send(service: &Service, request: &Request) -> Result<Response> {
    let known = &service.workspace().alerts.channels;
    if known.is_empty() {
        return Err(Problem::usage("no_channels", "the file names no alert channels")
            .with_hint("write one below `alerts.channels`"));
    }
    let mut names = request.channels.clone();
    if names.is_empty() {
        names = known.iter().map(|channel| channel.name.clone()).collect();
    }
    let mut channels = Vec::new();
    for name in names {
        let error = match Channels::one(service, &name) {
            Ok(channel) => {
                let message = test_message(&service.workspace().node, service.clock().now());
                channel.deliver(&message, None).await.err().map(|error| error.to_string())
            }
            Err(problem) => Some(problem.to_string()),
        };
        channels.push(Tested { channel: name, error });
    }
    Ok(Response { version: VERSION, channels })
}
