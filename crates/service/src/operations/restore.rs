//! Brings back an earlier version of a path. That is a run itself, and is undone the same way.

use std::collections::BTreeMap;

use schemars::{JsonSchema, schema_for};
use serde::Deserialize;
use syncline_core::{Choices, Item, ItemPath};
use syncline_engine::Options;
use syncline_store::Store;

use crate::operation::{Operation, Scope, ToolHints, answer, post, question};
use crate::operations::start_run::approval;
use crate::problem::{Class, Problem, Result};
use crate::runner::{Job, report, run_all};
use crate::service::Service;
use crate::wire::Report;

/// The line of this use case in the list.
pub const OPERATION: Operation = Operation {
    name: "restore",
    summary: "Bring back an earlier version of a path",
    scope: Scope::Write,
    route: post("/restore"),
    tool: Some(ToolHints::DESTRUCTIVE),
    request: || schema_for!(Request),
    response: || schema_for!(Report),
    call: |service, value| Box::pin(async move { answer(&restore(service, &question(value)?).await?) }),
};

/// What to bring back.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// The path, relative to the workspace; for a folder, everything below it.
    pub path: String,
    /// The run at whose end the wanted version was agreed on; without it, the version that was lost last.
    #[serde(default)]
    pub at: Option<String>,
    /// The target, when several cover the path.
    #[serde(default)]
    pub target: Option<String>,
    /// Only show what would be done.
    #[serde(default)]
    pub dry_run: bool,
    /// The hash of a halted plan that is approved.
    #[serde(default)]
    pub approve: Option<String>,
}

/// Brings a version back.
///
/// # Errors
/// When nothing is known of the path or the run, or history cannot be read.
pub async fn restore(service: &Service, request: &Request) -> Result<Report> {
    let started = service.clock().now();
    let (store, _writing) = service.for_run(request.dry_run).await?;
    let (target, desired) = find(service, &store, request).await?;
    let at = request.at.as_deref().unwrap_or("its last version");
    let options = Options {
        cause: format!("restore of {} to {at}", request.path),
        dry_run: request.dry_run,
        only: Some(desired.keys().cloned().collect()),
        choices: Choices {
            desired,
            approved: request.approve.as_deref().map(approval).transpose()?,
            ..Choices::default()
        },
        plan: None,
    };
    let all = run_all(service, &store, vec![Job::new(target, options)]).await;
    Ok(report(service, started, request.dry_run, &all))
}

type Wishes = BTreeMap<ItemPath, Option<Item>>;

/// The target that knows the version asked for, and what its paths shall hold.
async fn find<'a>(
    service: &'a Service,
    store: &Store,
    request: &Request,
) -> Result<(&'a syncline_config::Target, Wishes)> {
    let at = match &request.at {
        Some(run) => Some(service.run_named(store, run).await?),
        None => None,
    };
    let mut found = Vec::new();
    for (target, path) in service.covering(&request.path)? {
        let asked = request.target.as_deref().is_none_or(|name| name == target.name);
        let of_run = at.as_ref().is_none_or(|run| run.start.target == target.name);
        if !asked || !of_run {
            continue;
        }
        let desired = syncline_engine::version_at(store, &target.name, &path, at.as_ref()).await?;
        if !desired.is_empty() {
            found.push((target, desired));
        }
    }
    match found.len() {
        0 => Err(nothing(request)),
        1 => Ok(found.remove(0)),
        _ => {
            let names: Vec<&str> = found.iter().map(|(target, _)| target.name.as_str()).collect();
            let message = format!("several targets know {:?}: {}", request.path, names.join(", "));
            Err(Problem::usage("ambiguous_target", message).with_hint("name one of them as the target"))
        }
    }
}

fn nothing(request: &Request) -> Problem {
    let message = match &request.at {
        Some(run) => format!("history knows no version of {:?} at the run {run}", request.path),
        None => format!("history knows no version of {:?} that was overwritten or removed", request.path),
    };
    Problem::new(Class::NotFound, "no_version", message)
        .with_hint("see `syncline history PATH` for the versions of a path")
}
