//! Settles conflicts as people decide: one version, or both.

use std::collections::{BTreeMap, BTreeSet};

use schemars::{JsonSchema, schema_for};
use serde::{Deserialize, Serialize};
use syncline_config::Target as Configured;
use syncline_core::{Choices, Item, ItemPath, Side, Take as CoreTake, Verdict};
use syncline_engine::{Options, Target};
use syncline_store::{ConflictQuery, ConflictRecord, Store};

use crate::conflict_choice::matching;
use crate::glance::{self, Here};
use crate::operation::{Operation, Scope, ToolHints, answer, post, question};
use crate::operations::show_conflict::unknown;
use crate::problem::{Class, Problem, Result};
use crate::runner::{Done, Job, run_all};
use crate::service::Service;
use crate::wire::VERSION;

/// The line of this use case in the list.
pub const OPERATION: Operation = Operation {
    name: "resolve_conflict",
    summary: "Settle conflicts by taking one version, or both",
    scope: Scope::Write,
    route: post("/conflicts/resolve"),
    tool: Some(ToolHints::DESTRUCTIVE),
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
    pub conflicts: Vec<String>,
    /// Which version to take.
    pub take: Take,
    /// Only conflicts of this target.
    #[serde(default)]
    pub target: Option<String>,
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
    let writing = service.writing().await?;
    let store = &writing.store;
    let chosen = choose(service, store, request).await?;
    let mut groups: BTreeMap<&str, Vec<&ConflictRecord>> = BTreeMap::new();
    for record in &chosen {
        groups.entry(&record.target).or_default().push(record);
    }
    let mut conflicts = Vec::new();
    for (name, records) in groups {
        let configured = service.configured(name)?;
        conflicts.extend(settle(service, store, configured, &records, request.take).await?);
    }
    let open = store.conflicts(&ConflictQuery { target: None, open_only: true }).await?.len();
    Ok(Response { version: VERSION, conflicts, open: open as u64 })
}

/// The open conflicts that the request names.
async fn choose(service: &Service, store: &Store, request: &Request) -> Result<Vec<ConflictRecord>> {
    if request.conflicts.is_empty() {
        return Err(Problem::usage("no_conflict", "no conflict was named")
            .with_hint("name them by identifier, path or glob; '**' is all of them"));
    }
    let query = ConflictQuery { target: request.target.clone(), open_only: true };
    let open = store.conflicts(&query).await?;
    let mut chosen = BTreeSet::new();
    for selector in &request.conflicts {
        let matches = matching(service, &open, selector)?;
        if matches.is_empty() {
            return Err(match store.conflict(selector).await? {
                Some(record) => Problem::not_found(format!("the conflict {} is settled already", record.id)),
                None => unknown(selector),
            });
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

/// Settles the conflicts of one target, by one run at most.
async fn settle(
    service: &Service,
    store: &Store,
    configured: &Configured,
    records: &[&ConflictRecord],
    take: Take,
) -> Result<Vec<Settled>> {
    let target = service.target(configured, configured.direction)?;
    let mut choices = Choices::default();
    let mut only = BTreeSet::new();
    let mut refused = BTreeMap::new();
    for record in records {
        if let Err(problem) = decide(store, &target, record, take, &mut choices, &mut only).await {
            refused.insert(record.id.as_str(), problem.message);
        }
    }
    let wishes = choices.desired.clone();
    let done = if only.is_empty() {
        None
    } else {
        let options = Options {
            cause: format!("conflict settled: {}", take.name()),
            choices,
            only: Some(only.into_iter().collect()),
            ..Options::default()
        };
        run_all(service, store, vec![Job::new(configured, options)]).await.pop()
    };
    let mut settled = Vec::new();
    for record in records {
        let found = match refused.remove(record.id.as_str()) {
            Some(message) => Err(message),
            None => match judge(record, take, done.as_ref()) {
                Ok(_) if !granted(store, record, &wishes).await? => {
                    Err("the version could not be put in place; run, and try again".to_owned())
                }
                judged => judged,
            },
        };
        if let Ok(message) = &found {
            store.resolve_conflict(&record.id, message, service.clock().now()).await?;
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

/// Writes down what a decision means for the run that carries it out.
async fn decide(
    store: &Store,
    target: &Target,
    record: &ConflictRecord,
    take: Take,
    choices: &mut Choices,
    only: &mut BTreeSet<ItemPath>,
) -> Result<()> {
    if let Some(side) = take.side() {
        may_take(target, side)?;
    }
    let Some(winner) = record.winner else {
        reachable(store, target, &record.path).await?;
        choices.takes.insert(record.id.clone(), take.into());
        only.insert(record.path.clone());
        return Ok(());
    };
    let Some(side) = take.side() else { return Ok(()) };
    if side != winner {
        reachable(store, target, &record.path).await?;
    }
    if let Some(copy) = &record.copy {
        reachable(store, target, copy).await?;
    }
    if side != winner {
        let item = loser(store, target, record, side).await?;
        choices.desired.insert(record.path.clone(), Some(item));
        only.insert(record.path.clone());
    }
    if let Some(copy) = &record.copy {
        choices.desired.insert(copy.clone(), None);
        only.insert(copy.clone());
    }
    Ok(())
}

/// Refuses a path that no run would touch: rules leave it out by now, or a side cannot be read there.
async fn reachable(store: &Store, target: &Target, path: &ItemPath) -> Result<()> {
    let here = glance::at(store, target, path).await?;
    let is_directory = Side::BOTH.iter().any(|&side| here[side].is_directory());
    if let Verdict::Ignored(rule) = target.filter.decide_deep(path, is_directory) {
        let message = format!("{path} does not belong to the target any more ({rule}); nothing was changed");
        return Err(Problem::usage("excluded", message));
    }
    for side in Side::BOTH {
        if let Here::Unreadable(trouble) = &here[side] {
            let message = format!(
                "{path} cannot be read on the {side} side ({}); nothing was changed",
                trouble.message
            );
            return Err(Problem::new(Class::Unavailable, "not_reachable", message));
        }
        if let Here::Ignored = &here[side] {
            let message =
                format!("rules leave out what the {side} side holds at {path}; nothing was changed");
            return Err(Problem::usage("excluded", message));
        }
    }
    Ok(())
}

fn may_take(target: &Target, side: Side) -> Result<()> {
    let direction = target.policy.direction;
    if direction.may_write(side.other()) {
        return Ok(());
    }
    let message = format!(
        "the {side} version cannot be taken: the direction of the target is {direction}, so the {} side is never written",
        side.other()
    );
    Err(Problem::usage("direction", message))
}

/// The version that lost, as it is now under its conflict name: somebody may have gone on working there.
async fn loser(store: &Store, target: &Target, record: &ConflictRecord, side: Side) -> Result<Item> {
    let recorded = record.versions[side].clone();
    if record.versions[side.other()].kind.is_directory() {
        let message = "a directory keeps its name: move what it holds elsewhere first";
        return Err(Problem::usage("directory", message));
    }
    let Some(copy) = &record.copy else { return Ok(recorded) };
    let was = glance::baseline(store, &target.name).await?.get(copy)?.map(|entry| entry.item());
    let here = glance::at(store, target, copy).await?;
    let same = |a: &Item, b: &Item| a.digest == b.digest && a.kind == b.kind;
    let (mut edited, mut agreed): (Option<Item>, Option<Item>) = (None, None);
    for holder in Side::BOTH {
        let Some(item) = held(store, target, holder, copy, &here[holder]).await? else { continue };
        // A file that is still young counts as changed until its content has been read.
        if was.as_ref().is_some_and(|was| same(was, &item)) {
            agreed = Some(item);
        } else if edited.as_ref().is_some_and(|other| !same(other, &item)) {
            let message = format!("{copy} was edited on both sides since, differently: run first");
            return Err(Problem::new(Class::Stale, "copies_differ", message));
        } else {
            edited = Some(item);
        }
    }
    let found = edited.or(agreed).map(|item| Item { modified: recorded.modified, ..item });
    Ok(found.unwrap_or(recorded))
}

/// What a side holds at the path of a copy, with its content in history; `None` when nothing is there.
async fn held(
    store: &Store,
    target: &Target,
    side: Side,
    copy: &ItemPath,
    here: &Here,
) -> Result<Option<Item>> {
    let kind = match here {
        Here::Agreed(entry) => entry.kind,
        Here::Other(found) => found.item.kind,
        _ => return Ok(None),
    };
    match glance::keep(store, target, side, copy, here).await? {
        Some((digest, size)) => Ok(Some(Item { kind, digest: Some(digest), size, modified: 0 })),
        None => {
            let message = format!("{copy} is a directory by now: move it elsewhere first");
            Err(Problem::usage("directory", message))
        }
    }
}

/// Whether a conflict is settled after the run, and how; or why not.
fn judge(record: &ConflictRecord, take: Take, done: Option<&Done>) -> std::result::Result<String, String> {
    let how = format!("took {}", take.name());
    let Some(done) = done else { return Ok(how) };
    let result = match &done.result {
        Ok(result) => result,
        Err(problem) => return Err(problem.message.clone()),
    };
    if let Some(halt) = result.halts.first() {
        return Err(format!("halted: {}", halt.message));
    }
    let touches = |path: &str| {
        let at = |own: &ItemPath| own.as_str() == path || own.is_below(path);
        at(&record.path) || record.copy.as_ref().is_some_and(at)
    };
    if let Some(trouble) = result.problems.iter().find(|trouble| touches(&trouble.path)) {
        return Err(trouble.message.clone());
    }
    if record.winner.is_some() {
        return Ok(how);
    }
    let standing = result.conflicts.iter().find(|conflict| conflict.path == record.path);
    match standing {
        Some(conflict) if conflict.id != record.id => {
            Err(format!("it changed since: it is the conflict {} now", conflict.id))
        }
        Some(conflict) if conflict.winner.is_none() => Err("nothing was touched".to_owned()),
        Some(_) => Ok(how),
        None => Ok("no longer a conflict".to_owned()),
    }
}

/// Whether both sides agree by now on what was wished for the paths of a conflict.
async fn granted(
    store: &Store,
    record: &ConflictRecord,
    wishes: &BTreeMap<ItemPath, Option<Item>>,
) -> Result<bool> {
    let baseline = glance::baseline(store, &record.target).await?;
    for path in [Some(&record.path), record.copy.as_ref()].into_iter().flatten() {
        let Some(wish) = wishes.get(path) else { continue };
        let agreed = baseline.get(path)?;
        let is_so = match (wish, &agreed) {
            (Some(item), Some(entry)) => item.digest == entry.item().digest && item.kind == entry.kind,
            (None, None) => true,
            _ => false,
        };
        if !is_so {
            return Ok(false);
        }
    }
    Ok(true)
}

impl Take {
    const fn side(self) -> Option<Side> {
        match self {
            Self::Local => Some(Side::Local),
            Self::Remote => Some(Side::Remote),
            Self::Both => None,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Remote => "remote",
            Self::Both => "both",
        }
    }
}

impl From<Take> for CoreTake {
    fn from(take: Take) -> Self {
        take.side().map_or(Self::Both, Self::Side)
    }
}
