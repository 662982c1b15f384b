//! Brings back an earlier version of a path. That is a run itself, and is undone the same way.

use std::collections::BTreeSet;
use std::sync::Arc;

use schemars::{JsonSchema, schema_for};
use serde::Deserialize;
use syncline_core::{ItemPath, Root, Seen, Side};
use syncline_store::{RunQuery, RunRecord, Store};

use crate::auditing::{Asked, audited, of_report};
use crate::glance;
use crate::operation::{Operation, Scope, ToolHints, answer, post, question};
use crate::operations::start_run::{approval, seen};
use crate::problem::{Class, Problem, Result};
use crate::service::Service;
use crate::wire::Report;
use crate::wishes::{Granting, Wishes, grant};

/// The line of this use case in the list.
pub const OPERATION: Operation = Operation {
    name: "restore",
    summary: "Bring back an earlier version of a path",
    scope: Scope::Run,
    route: post("/restore"),
    tool: Some(ToolHints::DESTRUCTIVE.needing_a_plan()),
    request: || schema_for!(Request),
    response: || schema_for!(Report),
    call: |service, value| Box::pin(async move { answer(&restore(service, &question(value)?).await?) }),
};

/// What to bring back.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// The path, relative to the workspace; for a folder, everything below it; for the folder of a target, the whole target.
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
    #[schemars(regex(pattern = r"^[0-9a-f]{64}$"))]
    pub approve: Option<String>,
    /// The hash of the plan that was seen, as `dry_run` tells it: exactly this is done, or nothing when something changed
    /// since.
    #[serde(default)]
    pub plan_hash: Option<String>,
}

/// Brings a version back.
///
/// # Errors
/// When nothing is known of the path or the run, or history cannot be read.
pub async fn restore(service: &Service, request: &Request) -> Result<Report> {
    let asked = Asked { operation: OPERATION.name, targets: &[], about: request.path.clone() };
    if request.dry_run {
        return bring_back(service, request).await;
    }
    audited(service, asked, of_report, bring_back(service, request)).await
}

async fn bring_back(service: &Service, request: &Request) -> Result<Report> {
    let (store, _writing) = service.for_run(request.dry_run).await?;
    let (target, desired) = find(service, &store, request).await?;
    let at = request.at.as_deref().unwrap_or("its last version");
    let granting = Granting {
        cause: format!("restore of {} to {at}", request.path),
        dry_run: request.dry_run,
        approved: request.approve.as_deref().map(approval).transpose()?,
        plan: request.plan_hash.as_deref().map(seen).transpose()?,
    };
    grant(service, &store, target, desired, granting).await
}

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
        let missing =
            if at.is_none() { missing(service, store, target, path.as_ref()).await? } else { Wishes::new() };
        let desired = match &path {
            _ if !missing.is_empty() => missing,
            Some(path) => syncline_engine::version_at(store, &target.name, path, at.as_ref()).await?,
            None => whole(store, &target.name, at.as_ref()).await?,
        };
        // At its last run a whole target is known to have been what it is now.
        if !desired.is_empty() || path.is_none() && at.is_some() {
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

/// What was agreed on and is gone on a side since, though no run has looked at that yet: the other side has it, or
/// history. It is what somebody means who asks for a path right after removing it.
async fn missing(
    service: &Service,
    store: &Store,
    configured: &syncline_config::Target,
    path: Option<&ItemPath>,
) -> Result<Wishes> {
    let target = service.target(configured, configured.direction)?;
    let baseline = glance::baseline(store, &target.name).await?;
    let mut wishes = Wishes::new();
    for side in Side::BOTH {
        let only = path.map(|path| vec![path.clone()]);
        let snapshot = glance::scan(&target, side, Arc::clone(&baseline), only).await?;
        let gone = snapshot.complete && snapshot.root == Root::Present;
        for change in snapshot.changes.into_iter().filter(|change| gone && change.now == Seen::Absent) {
            wishes.extend(change.was.map(|was| (change.path, Some(was.item()))));
        }
    }
    Ok(wishes)
}

/// What every path of a target held: at the end of the run `at`, or before it was lost last.
async fn whole(store: &Store, target: &str, at: Option<&RunRecord>) -> Result<Wishes> {
    let runs = store.runs(&RunQuery { target: Some(target.to_owned()), ..RunQuery::default() }).await?;
    if let Some(at) = at {
        // The end of a run is what was before the next one; runs come newest first.
        let next = runs.iter().take_while(|run| run.start.id != at.start.id).last();
        return match next {
            Some(next) => Ok(syncline_engine::before_run(store, next).await?),
            None => Ok(Wishes::new()),
        };
    }
    let mut tops = BTreeSet::new();
    for run in &runs {
        for delta in store.known_deltas(&run.start.id).await? {
            let top = delta.path.as_str().split('/').next().unwrap_or_default();
            tops.extend(ItemPath::parse(top).ok());
        }
    }
    let mut wishes = Wishes::new();
    for top in tops {
        wishes.extend(syncline_engine::version_at(store, target, &top, None).await?);
    }
    // What is there is somebody's present work: only what is not comes back.
    let baseline = glance::baseline(store, target).await?;
    let mut absent = Wishes::new();
    for (path, item) in wishes {
        if baseline.get(&path)?.is_none() {
            absent.insert(path, item);
        }
    }
    Ok(absent)
}

fn nothing(request: &Request) -> Problem {
    let message = match &request.at {
        Some(run) => format!("history knows no version of {:?} at the run {run}", request.path),
        None => format!("history knows no version of {:?} that was overwritten or removed", request.path),
    };
    Problem::new(Class::NotFound, "no_version", message)
        .with_hint("see `syncline history PATH` for the versions of a path")
}
