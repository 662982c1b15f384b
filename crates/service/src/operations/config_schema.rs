//! Gives the JSON Schema of the configuration file, for editors.

use schemars::{JsonSchema, schema_for};
use serde::{Deserialize, Serialize};

use crate::operation::{Operation, Scope, answer, get, question};
use crate::problem::Result;
use crate::service::{Service, kind_schemas};
use crate::wire::VERSION;

/// The line of this use case in the list.
pub const OPERATION: Operation = Operation {
    name: "config_schema",
    summary: "Give the JSON Schema of the configuration file",
    scope: Scope::Read,
    route: get("/config/schema"),
    tool: None,
    request: || schema_for!(Request),
    response: || schema_for!(Response),
    call: |service, value| {
        Box::pin(async move {
            let Request {} = question(value)?;
            answer(&config_schema(service)?)
        })
    },
};

/// Nothing is to be said.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Request {}

/// The schema.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Response {
    /// The version of this shape.
    pub version: u32,
    /// The JSON Schema, draft 2020-12.
    pub schema: serde_json::Value,
}

/// Gives the schema.
///
/// # Errors
/// None today; a face must be ready for one.
pub fn config_schema(service: &Service) -> Result<Response> {
    Ok(Response { version: VERSION, schema: syncline_config::schema(&kind_schemas(service.registry())) })
}
