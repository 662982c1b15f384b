//! Takes back how conflicts were settled: both versions are side by side again, and a person decides.

use std::collections::{BTreeMap, BTreeSet};

use schemars::{JsonSchema, schema_for};
use serde::{Deserialize, Serialize};
use syncline_config::Target as Configured;
use syncline_core::{ItemPath, Side};
use syncline_engine::{Options, Target};
use syncline_store::{ConflictQuery, ConflictRecord, Store};

use crate::auditing::{Asked, Became, audited, each};
use crate::conflict_choice::{is_glob, matching};
use crate::conflict_places::{apart, granted, trouble};
use crate::conflict_plan;
use crate::conflict_versions::Standing;
use crate::glance::{self, Here};
use crate::operation::{Operation, Scope, ToolHints, answer, post, question};
use crate::operations::show_conflict::unknown;
use crate::problem::{Class, Problem, Result};
use crate::runner::{Job, run_all};
use crate::service::Service;
use crate::wire::VERSION;
use crate::wishes::Wishes;

/// The line of this use case in the list.
pub const OPERATION: Operation = Operation {
    name: "abort_conflict",
    summary: "Take back how conflicts were settled: both versions are side by side again",
    scope: Scope::Resolve,
    route: post("/conflicts/abort"),
    tool: Some(ToolHints::DESTRUCTIVE.named("conflict_abort").needing_a_plan()),
    request: || schema_for!(Request),
    response: || schema_for!(Response),
    call: |service, value| {
        Box::pin(async move { answer(&abort_conflict(service, &question(value)?).await?) })
    },
};

/// Which conflicts to open again.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// Identifiers or beginnings of them, paths, or globs over paths; of several conflicts at one path, the last.
    #[schemars(length(min = 1))]
    pub conflicts: Vec<String>,
    /// Only conflicts of this target.
    #[serde(default)]
    pub target: Option<String>,
    /// Only tell which conflicts would be opened again, and the `plan_hash` of that.
    #[serde(default)]
    pub dry_run: bool,
    /// What `dry_run` told: exactly this is done, or nothing when something changed since.
    #[serde(default)]
    pub plan_hash: Option<String>,
}

/// What became of the conflicts.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Response {
    /// The version of this shape.
    pub version: u32,
    /// Each conflict that was chosen.
    pub conflicts: Vec<Reopened>,
    /// How many conflicts are open now in the whole workspace.
    pub open: u64,
    /// What a `dry_run` binds to: the conflicts as they are, and what is at their places.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plan_hash: Option<String>,
}

/// What became of one conflict.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Reopened {
    /// Its identifier.
    pub id: String,
    /// The target.
    pub target: String,
    /// The path, relative to the target's folder.
    pub path: String,
    /// Whether it is open again.
    pub reopened: bool,
    /// Where the version is that does not keep the name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub copy: Option<String>,
    /// What was done, or why nothing was.
    pub message: String,
}

/// A conflict to open again.
struct Chosen {
    record: ConflictRecord,
    /// Whether it was named itself, and not by a glob among others.
    by_name: bool,
}

/// How both versions come to be side by side.
enum Way {
    /// They are already: that of the side keeps the name.
    Already(Side, ItemPath),
    /// By a run, which puts the remote one there.
    Run(ItemPath),
}

/// Opens conflicts again.
///
/// # Errors
/// When one that was named is not there, another process changes the workspace, or the state cannot be written.
pub async fn abort_conflict(service: &Service, request: &Request) -> Result<Response> {
    let about = request.conflicts.join(", ");
    let asked = Asked { operation: OPERATION.name, targets: request.target.as_slice(), about };
    let became = |response: &Response| {
        let reopened = response.conflicts.iter().filter(|conflict| conflict.reopened).count();
        let outcome = format!("{reopened} of {} open again", response.conflicts.len());
        let targets = each(response.conflicts.iter().map(|conflict| &conflict.target));
        (!request.dry_run).then_some(Became { targets, outcome })
    };
    audited(service, asked, became, reopen_all(service, request)).await
}

async fn reopen_all(service: &Service, request: &Request) -> Result<Response> {
    let (store, _writing) = service.for_run(request.dry_run).await?;
    let store = &store;
    let chosen = choose(service, store, request).await?;
    let records: Vec<ConflictRecord> = chosen.iter().map(|chosen| chosen.record.clone()).collect();
    if let Some(hash) =
        conflict_plan::admit(service, store, &records, ("abort", None), request.into()).await?
    {
        let conflicts = records.iter().map(Reopened::planned).collect();
        let open = service.conflicts(store, &ConflictQuery { target: None, open_only: true }).await?.len();
        return Ok(Response { version: VERSION, conflicts, open: open as u64, plan_hash: Some(hash) });
    }
    let mut groups: BTreeMap<String, Vec<Chosen>> = BTreeMap::new();
    for chosen in chosen {
        groups.entry(chosen.record.target.clone()).or_default().push(chosen);
    }
    let mut conflicts = Vec::new();
    for (name, chosen) in groups {
        conflicts.extend(reopen(service, store, service.configured(&name)?, chosen).await?);
    }
    let open = service.conflicts(store, &ConflictQuery { target: None, open_only: true }).await?.len();
    Ok(Response { version: VERSION, conflicts, open: open as u64, plan_hash: None })
}

impl Reopened {
    fn planned(record: &ConflictRecord) -> Self {
        let message = match idle(record) {
            Some(why) => why.to_owned(),
            None => "would be opened again, with both versions side by side; nothing was changed".to_owned(),
        };
        let (id, target, path) = (record.id.clone(), record.target.clone(), record.path.to_string());
        Self { id, target, path, reopened: false, copy: None, message }
    }
}

impl<'a> From<&'a Request> for conflict_plan::Asked<'a> {
    fn from(request: &'a Request) -> Self {
        Self { dry_run: request.dry_run, plan_hash: request.plan_hash.as_deref() }
    }
}

async fn choose(service: &Service, store: &Store, request: &Request) -> Result<Vec<Chosen>> {
    if request.conflicts.is_empty() {
        return Err(Problem::usage("no_conflict", "no conflict was named")
            .with_hint("name them by identifier, path or glob"));
    }
    let query = ConflictQuery { target: request.target.clone(), open_only: false };
    let all = service.conflicts(store, &query).await?;
    let mut chosen: BTreeMap<usize, bool> = BTreeMap::new();
    for selector in &request.conflicts {
        let matches = matching(service, &all, selector)?;
        let by_id =
            |index: &&usize| all[**index].path.as_str() != selector && all[**index].id.starts_with(selector);
        let named: Vec<usize> = if matches.iter().any(|index| by_id(&index)) {
            matches.iter().filter(by_id).copied().collect()
        } else {
            last_of_each_path(&all, &matches)
        };
        if named.is_empty() {
            return Err(unknown(selector));
        }
        let glob = is_glob(selector);
        let wanted = named.into_iter().filter(|&index| !glob || idle(&all[index]).is_none());
        for index in wanted {
            *chosen.entry(index).or_default() |= !glob;
        }
    }
    let mut all: Vec<Option<ConflictRecord>> = all.into_iter().map(Some).collect();
    let chosen = chosen.into_iter();
    Ok(chosen.filter_map(|(index, by_name)| Some(Chosen { record: all[index].take()?, by_name })).collect())
}

/// Of several conflicts at one path only the last: what came of the earlier ones is in what it was about.
fn last_of_each_path(all: &[ConflictRecord], matches: &[usize]) -> Vec<usize> {
    let mut last: BTreeMap<(&str, &ItemPath), usize> = BTreeMap::new();
    for &index in matches {
        last.insert((&all[index].target, &all[index].path), index);
    }
    last.into_values().collect()
}

/// Why there is nothing to take back; `None` when there is.
fn idle(record: &ConflictRecord) -> Option<&'static str> {
    match (record.resolved, Standing::of(record)) {
        (Some(_), _) | (None, Standing::Marked) => None,
        (None, Standing::Untouched) => {
            Some("it is open, and nothing was touched: there is nothing to take back")
        }
        (None, Standing::Beside) => Some("it is open, and both versions are side by side already"),
    }
}

async fn reopen(
    service: &Service,
    store: &Store,
    configured: &Configured,
    chosen: Vec<Chosen>,
) -> Result<Vec<Reopened>> {
    let target = service.target(configured, configured.direction)?;
    let mut desired = Wishes::new();
    let mut found = Vec::with_capacity(chosen.len());
    for Chosen { record, by_name } in chosen {
        let way = way(store, &target, &record, by_name, &desired).await;
        if let Ok(Way::Run(copy)) = &way {
            desired.insert(record.path.clone(), Some(record.versions.local.clone()));
            desired.insert(copy.clone(), Some(record.versions.remote.clone()));
        }
        found.push((record, way));
    }
    let done = if desired.is_empty() {
        None
    } else {
        let only: BTreeSet<ItemPath> = desired.keys().cloned().collect();
        let mut options = Options { cause: "conflict opened again".to_owned(), ..Options::default() };
        (options.only, options.choices.desired) = (Some(only.into_iter().collect()), desired.clone());
        run_all(service, store, vec![Job::new(configured, options)]).await.pop()
    };
    let mut reopened = Vec::with_capacity(found.len());
    for (record, way) in found {
        let outcome = match way {
            Err(problem) => Err(told(&problem)),
            Ok(Way::Already(winner, copy)) => Ok((winner, copy)),
            Ok(Way::Run(copy)) => {
                let paths = [Some(&record.path), Some(&copy)];
                match done.as_ref().and_then(|done| trouble(done, &paths)) {
                    Some(trouble) => Err(trouble),
                    None if !granted(store, &record.target, &paths, &desired).await? => {
                        Err("the versions could not be put in place; run, and try again".to_owned())
                    }
                    None => Ok((Side::Local, copy)),
                }
            }
        };
        reopened.push(remember(service, store, record, outcome).await?);
    }
    Ok(reopened)
}

fn told(problem: &Problem) -> String {
    match &problem.hint {
        Some(hint) => format!("{}: {hint}", problem.message),
        None => problem.message.clone(),
    }
}

/// How both versions of a conflict come to be side by side; an error when they cannot, or should not.
async fn way(
    store: &Store,
    target: &Target,
    record: &ConflictRecord,
    by_name: bool,
    desired: &Wishes,
) -> Result<Way> {
    if let Some(why) = idle(record) {
        return Err(Problem::new(Class::Stale, "open_already", why));
    }
    if let (Some(winner), Some(copy)) = (record.winner, &record.copy)
        && holds(store, target, &record.path, record, winner).await?
        && holds(store, target, copy, record, winner.other()).await?
    {
        return Ok(Way::Already(winner, copy.clone()));
    }
    if desired.contains_key(&record.path) {
        let message = format!("another conflict at {} is being opened again", record.path);
        return Err(Problem::new(Class::Stale, "one_at_a_time", message).with_hint("name one of them"));
    }
    let copy = apart(store, target, record).await?;
    if !by_name && !is_as_settled(store, target, record).await? {
        let message = format!("{} was edited since it was settled; nothing was changed", record.path);
        return Err(Problem::new(Class::Stale, "edited_since", message)
            .with_hint("name it by its identifier or path to put that version aside, into history"));
    }
    Ok(Way::Run(copy))
}

/// Whether both sides agree on the version of `side` at `path`.
async fn holds(
    store: &Store,
    target: &Target,
    path: &ItemPath,
    record: &ConflictRecord,
    side: Side,
) -> Result<bool> {
    let here = glance::at(store, target, path).await?;
    let version = &record.versions[side];
    Ok(Side::BOTH.iter().all(|&side| match &here[side] {
        Here::Agreed(entry) => Some(entry.digest) == version.digest && entry.kind == version.kind,
        _ => false,
    }))
}

/// Whether the path still holds one of the versions that are known of the conflict.
async fn is_as_settled(store: &Store, target: &Target, record: &ConflictRecord) -> Result<bool> {
    let known = [Some(&record.versions.local), Some(&record.versions.remote), record.merged.as_ref()];
    let here = glance::at(store, target, &record.path).await?;
    Ok(Side::BOTH.iter().all(|&side| match &here[side] {
        Here::Agreed(entry) => known.iter().flatten().any(|item| item.digest == Some(entry.digest)),
        _ => false,
    }))
}

/// Records that a conflict is open again.
async fn remember(
    service: &Service,
    store: &Store,
    mut record: ConflictRecord,
    outcome: std::result::Result<(Side, ItemPath), String>,
) -> Result<Reopened> {
    let (id, target, path) = (record.id.clone(), record.target.clone(), record.path.to_string());
    let (winner, copy) = match outcome {
        Ok(beside) => beside,
        Err(message) => return Ok(Reopened { id, target, path, reopened: false, copy: None, message }),
    };
    let message = format!("opened again: the {winner} version keeps the name; the other one is at {copy}");
    record.winner = Some(winner);
    record.copy = Some(copy.clone());
    record.merged = None;
    record.action.clone_from(&message);
    (record.resolved, record.resolution) = (None, None);
    store.replace_conflict(&record, service.clock().now()).await?;
    Ok(Reopened { id, target, path, reopened: true, copy: Some(copy.to_string()), message })
}
