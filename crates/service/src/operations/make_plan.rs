//! Shows what a run would do; changes nothing anywhere.

use schemars::{JsonSchema, schema_for};
use serde::Deserialize;
use syncline_engine::Options;

use crate::operation::{Operation, Scope, ToolHints, answer, get, question};
use crate::operations::start_run;
use crate::problem::Result;
use crate::runner::{Done, Job, run_all};
use crate::service::Service;
use crate::wire::{Direction, Plan};

/// The line of this use case in the list.
pub const OPERATION: Operation = Operation {
    name: "make_plan",
    summary: "Show what a run would do, and change nothing",
    scope: Scope::Read,
    route: get("/plan"),
    tool: Some(ToolHints::READ_ONLY.named("plan")),
    request: || schema_for!(Request),
    response: || schema_for!(Plan),
    call: |service, value| Box::pin(async move { answer(&make_plan(service, &question(value)?).await?) }),
};

/// What to plan.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Request {
    /// Names or globs; all targets when there are none.
    pub targets: Vec<String>,
    /// Only targets of this direction.
    pub direction: Option<Direction>,
    /// Plan bidirectional targets in this one direction.
    pub one_way: Option<Direction>,
}

/// Plans.
///
/// # Errors
/// When the request is wrong or the state cannot be opened; a target that cannot be planned says so in its place.
pub async fn make_plan(service: &Service, request: &Request) -> Result<Plan> {
    let run = start_run::Request {
        targets: request.targets.clone(),
        direction: request.direction,
        one_way: request.one_way,
        ..start_run::Request::default()
    };
    let chosen = start_run::choose(service, &run)?;
    let store = service.reading().await?;
    let options = Options { cause: service.cause().to_owned(), dry_run: true, ..Options::default() };
    let jobs =
        chosen.into_iter().map(|(target, direction)| Job { direction, ..Job::new(target, options.clone()) });
    let all = run_all(service, &store, jobs.collect()).await;
    Ok(Plan::new(all.iter().map(Done::plan).collect()))
}
