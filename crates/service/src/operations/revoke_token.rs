//! Revokes a token: from then on it counts no more.

use schemars::{JsonSchema, schema_for};
use serde::{Deserialize, Serialize};

use crate::auditing::{Asked, Became, audited};
use crate::operation::{Operation, Scope, answer, post, question};
use crate::problem::{Class, Problem, Result};
use crate::service::Service;
use crate::wire::VERSION;

/// The line of this use case in the list.
pub const OPERATION: Operation = Operation {
    name: "revoke_token",
    summary: "Revoke a token, which counts no more from then on",
    scope: Scope::Admin,
    route: post("/tokens/revoke"),
    tool: None,
    request: || schema_for!(Request),
    response: || schema_for!(Response),
    call: |service, value| Box::pin(async move { answer(&revoke_token(service, &question(value)?).await?) }),
};

/// Which token to revoke.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// Its name.
    pub name: String,
}

/// What was revoked.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Response {
    /// The version of this shape.
    pub version: u32,
    /// The name of the token.
    pub revoked: String,
}

/// Revokes a token; a process that serves refuses it from its next request on.
///
/// # Errors
/// When there is none of this name, or the state cannot be written.
pub async fn revoke_token(service: &Service, request: &Request) -> Result<Response> {
    let asked = Asked { operation: OPERATION.name, targets: &[], about: request.name.clone() };
    let became = |_: &Response| Some(Became { targets: Vec::new(), outcome: "done".to_owned() });
    let work = async {
        if !service.reading().await?.remove_token(&request.name).await? {
            let message = format!("there is no token {:?}", request.name);
            return Err(Problem::new(Class::NotFound, "unknown_token", message)
                .with_hint("see `syncline token list` for those that there are"));
        }
        Ok(Response { version: VERSION, revoked: request.name.clone() })
    };
    audited(service, asked, became, work).await
}
