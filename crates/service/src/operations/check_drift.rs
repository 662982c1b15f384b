//! Tells how far the two sides of targets are apart; changes nothing anywhere.

use schemars::schema_for;

use crate::operation::{Operation, Scope, ToolHints, answer, get, question};
use crate::operations::make_plan;
use crate::problem::Result;
use crate::service::Service;
use crate::wire::{DriftReport, timestamp};

pub use crate::operations::make_plan::Request;

/// The line of this use case in the list.
pub const OPERATION: Operation = Operation {
    name: "check_drift",
    summary: "Tell how far the two sides of targets are apart, and change nothing",
    scope: Scope::Read,
    route: get("/drift"),
    tool: Some(ToolHints::READ_ONLY.named("drift")),
    request: || schema_for!(Request),
    response: || schema_for!(DriftReport),
    call: |service, value| Box::pin(async move { answer(&check_drift(service, &question(value)?).await?) }),
};

/// Looks at both sides of every chosen target.
///
/// # Errors
/// When the request is wrong or the state cannot be opened; a target that cannot be looked at says so in its place.
pub async fn check_drift(service: &Service, request: &Request) -> Result<DriftReport> {
    let began = timestamp(service.clock().now());
    let plan = make_plan::make_plan(service, request).await?;
    Ok(DriftReport::new(began, plan.targets))
}
