//! Lists runs of the past.

use schemars::{JsonSchema, schema_for};
use serde::Deserialize;
use syncline_store::RunQuery;

use crate::operation::{Operation, Scope, ToolHints, answer, get, question};
use crate::problem::{Problem, Result};
use crate::service::Service;
use crate::wire::{Run, RunList};

/// The line of this use case in the list.
pub const OPERATION: Operation = Operation {
    name: "history",
    summary: "List runs, the newest first",
    scope: Scope::Read,
    route: get("/runs"),
    tool: Some(ToolHints::READ_ONLY.named("sync_history")),
    request: || schema_for!(Request),
    response: || schema_for!(RunList),
    call: |service, value| Box::pin(async move { answer(&history(service, &question(value)?).await?) }),
};

/// Most runs that are listed at once.
const LIMIT_MAX: u32 = 1_000;

/// Which runs to list.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Request {
    /// Only runs of this target.
    pub target: Option<String>,
    /// At most so many, up to 1000.
    #[schemars(range(max = 1_000))]
    pub limit: u32,
    /// Only runs before this one: `next` of the answer before.
    pub before: Option<String>,
    /// Only this run: its identifier, or an unambiguous beginning of it.
    pub run: Option<String>,
}

impl Default for Request {
    fn default() -> Self {
        Self { target: None, limit: 20, before: None, run: None }
    }
}

/// Lists runs.
///
/// # Errors
/// When the target is unknown or the state cannot be read.
pub async fn history(service: &Service, request: &Request) -> Result<RunList> {
    if request.limit > LIMIT_MAX {
        return Err(Problem::usage("bad_request", format!("at most {LIMIT_MAX} runs are listed at once"))
            .with_hint("those that follow are listed with `before`"));
    }
    if let Some(target) = &request.target {
        service.configured(target)?;
    }
    let store = service.reading().await?;
    if let Some(run) = &request.run {
        let run = service.run_named(&store, run).await?;
        return Ok(RunList::new(vec![Run::from(&run)], None));
    }
    let before = match &request.before {
        Some(run) => Some(service.run_named(&store, run).await?.start.id),
        None => None,
    };
    let limit = request.limit as usize;
    let mut query = RunQuery { target: request.target.clone(), before, limit: Some(LIMIT_MAX + 1) };
    let mut runs = Vec::new();
    loop {
        let page = store.runs(&query).await?;
        let is_last = page.len() <= LIMIT_MAX as usize;
        query.before = page.last().map(|run| run.start.id.clone());
        runs.extend(page.into_iter().filter(|run| service.may_see(&run.start.target)));
        if is_last || runs.len() > limit {
            break;
        }
    }
    let more = runs.len() > limit;
    runs.truncate(limit);
    let next = runs.last().filter(|_| more).map(|run| run.start.id.clone());
    Ok(RunList::new(runs.iter().map(Run::from).collect(), next))
}
