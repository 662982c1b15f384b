//! Settles conflicts as people decide: one version, both, or what both become when they are merged.

mod decide;

use std::collections::{BTreeMap, BTreeSet};

use schemars::{JsonSchema, schema_for};
use serde::{Deserialize, Serialize};
use syncline_config::Target as Configured;
use syncline_core::merge::VERSION_BYTES_MAX;
use syncline_core::{Digest, ItemPath, Sides};
use syncline_engine::Options;
use syncline_store::{ConflictQuery, ConflictRecord, Store};

use crate::auditing::{Asked, Became, audited, each};
use crate::conflict_choice::matching;
use crate::conflict_places::{granted, trouble};
use crate::conflict_plan;
use crate::conflict_versions::Standing;
use crate::operation::{Operation, Scope, ToolHints, answer, post, question};
use crate::operations::show_conflict::unknown;
use crate::problem::{Problem, Result};
use crate::runner::{Done, Job, run_all};
use crate::service::Service;
use crate::wire::VERSION;
use decide::{After, Deciding, Meaning};

/// The line of this use case in the list.
pub const OPERATION: Operation = Operation {
    name: "resolve_conflict",
    summary: "Settle conflicts by taking one version, both, or what they become when they are merged",
    scope: Scope::Resolve,
    route: post("/conflicts/resolve"),
    tool: Some(ToolHints::DESTRUCTIVE.named("conflict_resolve").needing_a_plan()),
    request: || schema_for!(Request),
    response: || schema_for!(Response),
    call: |service, value| {
        Box::pin(async move { answer(&resolve_conflict(service, &question(value)?).await?) })
    },
};

/// Which conflicts to settle, and how.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// Identifiers or beginnings of them, paths, or globs over paths.
    #[schemars(length(min = 1))]
    pub conflicts: Vec<String>,
    /// Which version to take.
    pub take: Take,
    /// Only conflicts of this target.
    #[serde(default)]
    pub target: Option<String>,
    /// With `take: merged` and one conflict: the text that both sides shall hold, as somebody merged it.
    #[serde(default)]
    pub content: Option<String>,
    /// Only tell which conflicts would be settled, and the `plan_hash` of that.
    #[serde(default)]
    pub dry_run: bool,
    /// What `dry_run` told: exactly this is done, or nothing when something changed since.
    #[serde(default)]
    pub plan_hash: Option<String>,
}

/// Which version to take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Take {
    /// That of the workspace; the other one is in history.
    Local,
    /// That of the remote; the other one is in history.
    Remote,
    /// Both, one of them under a name of its own.
    Both,
    /// What both become when they are merged; refused where that is not clean. Of a file with markers: the file as it
    /// is now, without any.
    Merged,
}

/// What became of the conflicts.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Response {
    /// The version of this shape.
    pub version: u32,
    /// Each conflict that was chosen.
    pub conflicts: Vec<Settled>,
    /// How many conflicts are still open in the whole workspace.
    pub open: u64,
    /// What a `dry_run` binds to: the conflicts as they are, what is at their places, and what was decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plan_hash: Option<String>,
}

/// What became of one conflict.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Settled {
    /// Its identifier.
    pub id: String,
    /// The target.
    pub target: String,
    /// The path, relative to the target's folder.
    pub path: String,
    /// Whether it is settled.
    pub resolved: bool,
    /// What was done, or why it is not settled.
    pub message: String,
}

/// Settles conflicts.
///
/// # Errors
/// When one that was named is not there, another process changes the workspace, or the state cannot be written.
pub async fn resolve_conflict(service: &Service, request: &Request) -> Result<Response> {
    let content = request.content.as_ref().map(|text| text.as_bytes().to_vec());
    resolve(service, request, content, None).await
}

/// Settles one conflict with what somebody made of the versions that had the digests of `seen`; refused when they are
/// others by now.
///
/// # Errors
/// As [`resolve_conflict`].
pub async fn resolve_conflict_with(
    service: &Service,
    id: &str,
    content: Vec<u8>,
    seen: Sides<Digest>,
) -> Result<Response> {
    let request = Request {
        conflicts: vec![id.to_owned()],
        take: Take::Merged,
        target: None,
        content: None,
        dry_run: false,
        plan_hash: None,
    };
    resolve(service, &request, Some(content), Some(seen)).await
}

async fn resolve(
    service: &Service,
    request: &Request,
    content: Option<Vec<u8>>,
    seen: Option<Sides<Digest>>,
) -> Result<Response> {
    let about = format!("{:?}: {}", request.take, request.conflicts.join(", "));
    let asked = Asked { operation: OPERATION.name, targets: request.target.as_slice(), about };
    let became = |response: &Response| {
        let settled = response.conflicts.iter().filter(|settled| settled.resolved).count();
        let outcome = format!("{settled} of {} settled", response.conflicts.len());
        let targets = each(response.conflicts.iter().map(|settled| &settled.target));
        (!request.dry_run).then_some(Became { targets, outcome })
    };
    audited(service, asked, became, settle_all(service, request, content, seen)).await
}

async fn settle_all(
    service: &Service,
    request: &Request,
    content: Option<Vec<u8>>,
    seen: Option<Sides<Digest>>,
) -> Result<Response> {
    let (store, _writing) = service.for_run(request.dry_run).await?;
    let store = &store;
    let chosen = choose(service, store, request).await?;
    if let Some(content) = &content {
        check_content(request.take, content, chosen.len())?;
    }
    let decision = (request.take.name(), content.as_deref());
    if let Some(hash) = conflict_plan::admit(service, store, &chosen, decision, request.into()).await? {
        let conflicts = chosen.iter().map(|record| Settled::planned(record, request.take)).collect();
        let open = service.conflicts(store, &ConflictQuery { target: None, open_only: true }).await?.len();
        return Ok(Response { version: VERSION, conflicts, open: open as u64, plan_hash: Some(hash) });
    }
    let deciding = Deciding { take: request.take, content, seen };
    let mut groups: BTreeMap<&str, Vec<&ConflictRecord>> = BTreeMap::new();
    for record in &chosen {
        groups.entry(&record.target).or_default().push(record);
    }
    let mut conflicts = Vec::new();
    for (name, records) in groups {
        let configured = service.configured(name)?;
        conflicts.extend(settle(service, store, configured, &records, &deciding).await?);
    }
    let open = service.conflicts(store, &ConflictQuery { target: None, open_only: true }).await?.len();
    Ok(Response { version: VERSION, conflicts, open: open as u64, plan_hash: None })
}

impl Settled {
    fn planned(record: &ConflictRecord, take: Take) -> Self {
        Self {
            id: record.id.clone(),
            target: record.target.clone(),
            path: record.path.to_string(),
            resolved: false,
            message: format!("would take {}; nothing was changed", take.name()),
        }
    }
}

impl<'a> From<&'a Request> for conflict_plan::Asked<'a> {
    fn from(request: &'a Request) -> Self {
        Self { dry_run: request.dry_run, plan_hash: request.plan_hash.as_deref() }
    }
}

fn check_content(take: Take, content: &[u8], conflicts: usize) -> Result<()> {
    if take != Take::Merged {
        return Err(Problem::usage("bad_request", "`content` only goes with `take: merged`"));
    }
    if conflicts != 1 {
        let message = format!("`content` settles one conflict, and {conflicts} are named");
        return Err(
            Problem::usage("ambiguous_conflict", message).with_hint("name one of them by its identifier")
        );
    }
    if content.len() > VERSION_BYTES_MAX {
        let message =
            format!("the content has {} bytes, and at most {VERSION_BYTES_MAX} can be", content.len());
        return Err(Problem::usage("too_large", message));
    }
    if syncline_core::merge::has_open_markers(content) {
        let message = "conflict markers are left in the content; nothing was changed";
        return Err(Problem::usage("open_markers", message).with_hint("finish every marked place first"));
    }
    Ok(())
}

/// The open conflicts that the request names.
async fn choose(service: &Service, store: &Store, request: &Request) -> Result<Vec<ConflictRecord>> {
    if request.conflicts.is_empty() {
        return Err(Problem::usage("no_conflict", "no conflict was named")
            .with_hint("name them by identifier, path or glob; '**' is all of them"));
    }
    let query = ConflictQuery { target: request.target.clone(), open_only: true };
    let open = service.conflicts(store, &query).await?;
    let mut chosen = BTreeSet::new();
    for selector in &request.conflicts {
        let matches = matching(service, &open, selector)?;
        if matches.is_empty() {
            return Err(not_open(service, store, request, selector).await?);
        }
        chosen.extend(matches);
    }
    Ok(open
        .into_iter()
        .enumerate()
        .filter(|(index, _)| chosen.contains(index))
        .map(|(_, record)| record)
        .collect())
}

/// Why no open conflict has the name `selector`: it is settled, or there never was one.
async fn not_open(service: &Service, store: &Store, request: &Request, selector: &str) -> Result<Problem> {
    let query = ConflictQuery { target: request.target.clone(), open_only: false };
    let all = service.conflicts(store, &query).await?;
    Ok(match matching(service, &all, selector)?.as_slice() {
        [] => unknown(selector),
        [index] => {
            let ConflictRecord { id, path, .. } = &all[*index];
            Problem::not_found(format!("the conflict {id} at {path} is settled already"))
                .with_hint(format!("`syncline conflicts abort {id}` takes that back"))
        }
        several => {
            let count = several.len();
            Problem::not_found(format!("all {count} conflicts that {selector:?} names are settled already"))
                .with_hint(
                    "`syncline conflicts abort` takes one of them back; see `syncline conflicts list --all`",
                )
        }
    })
}

/// Settles the conflicts of one target, by one run at most.
async fn settle(
    service: &Service,
    store: &Store,
    configured: &Configured,
    records: &[&ConflictRecord],
    deciding: &Deciding,
) -> Result<Vec<Settled>> {
    let target = service.target(configured, configured.direction)?;
    let mut meaning = Meaning::default();
    let mut refused = BTreeMap::new();
    for record in records {
        if let Err(problem) = meaning.decide(store, &target, record, deciding).await {
            let hint = problem.hint.map(|hint| format!(": {hint}")).unwrap_or_default();
            refused.insert(record.id.as_str(), format!("{}{hint}", problem.message));
        }
    }
    let Meaning { choices, only, after } = meaning;
    let wishes = choices.desired.clone();
    let done = if only.is_empty() {
        None
    } else {
        let options = Options {
            cause: format!("conflict settled: {}", deciding.take.name()),
            choices,
            settled_as: Some(took(deciding.take)),
            only: Some(only.into_iter().collect()),
            ..Options::default()
        };
        run_all(service, store, vec![Job::new(configured, options)]).await.pop()
    };
    let mut settled = Vec::new();
    for record in records {
        let found = match refused.remove(record.id.as_str()) {
            Some(message) => Err(message),
            None => match judge(record, deciding.take, done.as_ref()) {
                Ok(_)
                    if !granted(store, &record.target, &paths(record, after.get(&record.id)), &wishes)
                        .await? =>
                {
                    Err("the version could not be put in place; run, and try again".to_owned())
                }
                judged => judged,
            },
        };
        if let Ok(message) = &found {
            remember(service, store, record, message, after.get(&record.id)).await?;
        }
        settled.push(Settled {
            id: record.id.clone(),
            target: record.target.clone(),
            path: record.path.to_string(),
            resolved: found.is_ok(),
            message: found.unwrap_or_else(|message| message),
        });
    }
    Ok(settled)
}

/// Records how a conflict was settled. The run may have recorded it already, but knows nothing of the person.
async fn remember(
    service: &Service,
    store: &Store,
    record: &ConflictRecord,
    how: &str,
    after: Option<&After>,
) -> Result<()> {
    let mut record = store.conflict(&record.id).await?.unwrap_or_else(|| record.clone());
    let now = service.clock().now();
    record.resolved = Some(now);
    record.resolution = Some(how.to_owned());
    match after {
        Some(After::Merged(item)) => record.merged = Some(item.clone()),
        Some(After::Beside(winner, copy)) => {
            (record.winner, record.copy) = (Some(*winner), Some(copy.clone()));
        }
        None => {}
    }
    Ok(store.replace_conflict(&record, now).await?)
}

/// How a conflict is settled by taking this.
fn took(take: Take) -> String {
    format!("took {}", take.name())
}

/// Whether a conflict is settled after the run, and how; or why not.
fn judge(record: &ConflictRecord, take: Take, done: Option<&Done>) -> std::result::Result<String, String> {
    let how = took(take);
    let paths = [Some(&record.path), record.copy.as_ref()];
    if let Some(trouble) = done.and_then(|done| trouble(done, &paths)) {
        return Err(trouble);
    }
    let (Standing::Untouched, Some(Ok(result))) = (Standing::of(record), done.map(|done| &done.result))
    else {
        return Ok(how);
    };
    let standing = result.conflicts.iter().find(|conflict| conflict.path == record.path);
    match standing {
        Some(conflict) if conflict.id != record.id => {
            Err(format!("it changed since: it is the conflict {} now", conflict.id))
        }
        Some(conflict) if conflict.is_untouched() => Err("nothing was touched".to_owned()),
        Some(_) => Ok(how),
        None => Ok("no longer a conflict".to_owned()),
    }
}

/// The paths that a decision about a conflict changes.
fn paths<'a>(record: &'a ConflictRecord, after: Option<&'a After>) -> [Option<&'a ItemPath>; 3] {
    let beside = match after {
        Some(After::Beside(_, copy)) => Some(copy),
        _ => None,
    };
    [Some(&record.path), record.copy.as_ref(), beside]
}
