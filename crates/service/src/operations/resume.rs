//! Ends pauses of targets.

use schemars::{JsonSchema, schema_for};
use serde::{Deserialize, Serialize};

use crate::auditing::{Asked, Became, audited, each};
use crate::operation::{Operation, Scope, ToolHints, answer, post, question};
use crate::problem::Result;
use crate::service::Service;
use crate::wire::VERSION;

/// The line of this use case in the list.
pub const OPERATION: Operation = Operation {
    name: "resume",
    summary: "End the pause of targets",
    scope: Scope::Run,
    route: post("/pauses/end"),
    tool: Some(ToolHints::CHANGING),
    request: || schema_for!(Request),
    response: || schema_for!(Response),
    call: |service, value| Box::pin(async move { answer(&resume(service, &question(value)?).await?) }),
};

/// What to end the pause of.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Request {
    /// Names or globs; all targets when there are none.
    pub targets: Vec<String>,
}

/// What became of the pauses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Response {
    /// The version of this shape.
    pub version: u32,
    /// The targets, in the order of the file.
    pub targets: Vec<Target>,
}

/// A target that is not paused any more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Target {
    /// The name.
    pub target: String,
    /// Whether it was paused until now.
    pub was_paused: bool,
}

/// Ends pauses; nothing is run by that.
///
/// # Errors
/// When a pattern matches nothing or the state cannot be written.
pub async fn resume(service: &Service, request: &Request) -> Result<Response> {
    let asked = Asked { operation: OPERATION.name, targets: &request.targets, about: String::new() };
    let became = |response: &Response| {
        let ended = response.targets.iter().filter(|target| target.was_paused);
        let targets = each(ended.map(|target| &target.target));
        (!targets.is_empty()).then(|| Became { targets, outcome: "done".to_owned() })
    };
    audited(service, asked, became, resume_all(service, request)).await
}

async fn resume_all(service: &Service, request: &Request) -> Result<Response> {
    let chosen = service.workspace().select(&request.targets, None)?;
    let (store, now) = (service.stored().await?, service.clock().now());
    let mut targets = Vec::with_capacity(chosen.len());
    for target in chosen {
        // One that cannot be read counts as a pause, and is ended like any other.
        let was_on = store
            .paused(&target.name)
            .await
            .map_or(true, |pause| pause.is_some_and(|pause| pause.is_on(now)));
        let was_paused = store.resume(&target.name, now).await? && was_on;
        targets.push(Target { target: target.name.clone(), was_paused });
    }
    Ok(Response { version: VERSION, targets })
}
