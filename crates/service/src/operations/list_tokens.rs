//! Lists tokens: what each allows, and when it was used; never what it is.

use schemars::{JsonSchema, schema_for};
use serde::{Deserialize, Serialize};

use crate::operation::{Operation, Scope, answer, get, question};
use crate::problem::Result;
use crate::service::Service;
use crate::wire::{Token, VERSION};

/// The line of this use case in the list.
pub const OPERATION: Operation = Operation {
    name: "list_tokens",
    summary: "List the tokens with which others may ask over HTTP",
    scope: Scope::Admin,
    route: get("/tokens"),
    tool: None,
    request: || schema_for!(Request),
    response: || schema_for!(Response),
    call: |service, value| {
        Box::pin(async move {
            let Request {} = question(value)?;
            answer(&list_tokens(service).await?)
        })
    },
};

/// Nothing is to be said.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Request {}

/// The tokens.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Response {
    /// The version of this shape.
    pub version: u32,
    /// The tokens, by name.
    pub tokens: Vec<Token>,
}

/// Lists tokens.
///
/// # Errors
/// When the state cannot be read.
pub async fn list_tokens(service: &Service) -> Result<Response> {
    let now = service.clock().now();
    let tokens = service.reading().await?.tokens().await?;
    Ok(Response {
        version: VERSION,
        tokens: tokens.into_iter().map(|token| Token::new(token, now)).collect(),
    })
}
