//! Re-reads everything that was agreed on, and everything that history keeps: finds content that changed although
//! nobody wrote it, and repairs it from where it is still good.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use schemars::{JsonSchema, schema_for};
use serde::{Deserialize, Serialize};
use syncline_connect::{Endpoint, ErrorKind};
use syncline_core::{Digest, Entry, Found, ItemPath, Seen, Side, Sides, Version, baseline};
use syncline_engine::Target;
use syncline_store::{BASELINE_HINT, Store};

use crate::auditing::{Asked, Became, audited, each};
use crate::glance;
use crate::operation::{Operation, Scope, ToolHints, answer, post, question};
use crate::problem::{Class, Problem, Result, WireProblem};
use crate::service::Service;
use crate::wire::{self, VERSION};

mod aside;
mod repair;
mod rows;

/// The line of this use case in the list.
pub const OPERATION: Operation = Operation {
    name: "scrub",
    summary: "Re-read everything, and find and repair content that rotted",
    scope: Scope::Admin,
    route: post("/scrub"),
    tool: Some(ToolHints::READ_ONLY.without(&["repair"])),
    request: || schema_for!(Request),
    response: || schema_for!(Response),
    call: |service, value| Box::pin(async move { answer(&scrub(service, &question(value)?).await?) }),
};

/// What to scrub.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Request {
    /// Names or globs; all targets when there are none.
    pub targets: Vec<String>,
    /// Repair what rotted from where it is still good.
    pub repair: bool,
}

/// What was found.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Response {
    /// The version of this shape.
    pub version: u32,
    /// Whether everything is sound, or was repaired.
    pub sound: bool,
    /// The targets.
    pub targets: Vec<ScrubbedTarget>,
    /// What history keeps.
    pub history: ScrubbedHistory,
    /// What the state knows besides.
    pub state: ScrubbedState,
}

/// What was found in the rows of the state that stand for themselves.
#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
pub struct ScrubbedState {
    /// How many rows were read.
    pub read: u64,
    /// Those that cannot be read.
    pub damaged: Vec<DamagedRow>,
    /// Why they could not be looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<WireProblem>,
}

/// A row that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct DamagedRow {
    /// What it is: one of `pauses`, `tokens`, `requests`, `totals`, `subscribers`, `news`, `messages` and `attempts`.
    pub kind: String,
    /// The target, the token, the webhook or the message that it is about.
    pub name: String,
    /// What is wrong, and what was or can be done about it.
    pub message: String,
    /// Whether it was repaired.
    pub repaired: bool,
}

/// What was found in a target.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct ScrubbedTarget {
    /// The target.
    pub target: String,
    /// How many contents were read, both sides together.
    pub read: u64,
    /// How many items were left out, because a change of them is pending.
    pub pending: u64,
    /// What is not sound.
    pub findings: Vec<Finding>,
    /// Why the target could not be scrubbed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<WireProblem>,
}

/// Content that is not what was agreed on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Finding {
    /// The side.
    pub side: wire::Side,
    /// The path, relative to the target's folder.
    pub path: String,
    /// What it is.
    pub kind: FindingKind,
    /// The digest agreed on.
    pub expected: String,
    /// The digest found.
    pub found: Option<String>,
    /// What was found, and what was done about it.
    pub message: String,
    /// Whether it was repaired.
    pub repaired: bool,
}

/// What a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FindingKind {
    /// The content changed, and nothing else did.
    Rotten,
    /// The content changed, and neither the size nor the time of modification did.
    Suspect,
    /// It cannot be read.
    Unreadable,
}

/// What was found in history.
#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
pub struct ScrubbedHistory {
    /// How many contents were read.
    pub read: u64,
    /// The digests of those that are damaged.
    pub damaged: Vec<String>,
    /// The digests of those that were repaired.
    pub repaired: Vec<String>,
    /// Those that nothing could repair, and that were set aside: what asks for them is told so, everything else works.
    pub set_aside: Vec<SetAside>,
    /// How many were set aside before, and still lie there.
    pub aside_before: u64,
    /// Why history could not be scrubbed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<WireProblem>,
}

/// A damaged object that was set aside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct SetAside {
    /// Its digest.
    pub digest: String,
    /// What is lost with it, in one line.
    pub message: String,
}

/// Scrubs targets and history.
///
/// # Errors
/// When a pattern matches nothing, the state cannot be opened, or, to repair, another process changes the workspace.
pub async fn scrub(service: &Service, request: &Request) -> Result<Response> {
    if !request.repair {
        return look_through(service, request).await;
    }
    let asked = Asked { operation: OPERATION.name, targets: &request.targets, about: "repair".to_owned() };
    let became = |response: &Response| {
        let targets = each(response.targets.iter().map(|target| &target.target));
        let outcome = if response.sound { "sound" } else { "not sound" };
        Some(Became { targets, outcome: outcome.to_owned() })
    };
    audited(service, asked, became, look_through(service, request)).await
}

async fn look_through(service: &Service, request: &Request) -> Result<Response> {
    let chosen = service.workspace().select(&request.targets, None)?;
    let (store, _writing) = service.for_run(!request.repair).await?;
    let mut targets = Vec::new();
    let mut sources = Vec::new();
    for configured in chosen {
        let target = match service.target(configured, configured.direction) {
            Ok(target) => target,
            Err(problem) => {
                targets.push(ScrubbedTarget::failed(&configured.name, &problem));
                continue;
            }
        };
        let mut scrubbed = match scrub_target(&store, &target).await {
            Ok(scrubbed) => scrubbed,
            Err(problem) => ScrubbedTarget::failed(&configured.name, &problem),
        };
        if request.repair && !scrubbed.findings.is_empty() {
            repair::target(service, &store, configured, &target, &mut scrubbed.findings).await?;
        }
        targets.push(scrubbed);
        sources.push(target);
    }
    let history = scrub_history(&store, request.repair.then_some(&sources[..])).await;
    let state = rows::scrub(&store, request.repair).await;
    let sound = history.error.is_none()
        && state.error.is_none()
        && state.damaged.iter().all(|row| row.repaired)
        && history.damaged.len() == history.repaired.len()
        && targets
            .iter()
            .all(|target| target.error.is_none() && target.findings.iter().all(|found| found.repaired));
    Ok(Response { version: VERSION, sound, targets, history, state })
}

impl ScrubbedTarget {
    fn failed(name: &str, problem: &Problem) -> Self {
        Self {
            target: name.to_owned(),
            read: 0,
            pending: 0,
            findings: Vec::new(),
            error: Some(problem.to_wire()),
        }
    }
}

/// What reading one item on one side came to.
enum Reading {
    Sound,
    /// Another digest.
    Other(Digest),
    /// It is gone or changed while it was read: a change of it is pending.
    Pending,
    Unreadable(String),
}

async fn scrub_target(store: &Store, target: &Target) -> Result<ScrubbedTarget> {
    let agreed = glance::baseline(store, &target.name).await?;
    let mut entries = Vec::new();
    baseline::visit_all(agreed.as_ref(), &mut |path, entry| {
        if !entry.kind.is_directory() {
            entries.push((path, entry));
        }
    })
    .map_err(|damaged| Problem::from(damaged).with_hint(BASELINE_HINT))?;
    let entries = Arc::new(entries);
    let mut scrubbed = ScrubbedTarget {
        target: target.name.clone(),
        read: 0,
        pending: 0,
        findings: Vec::new(),
        error: None,
    };
    let mut changed: Vec<(Side, usize, Digest)> = Vec::new();
    for side in Side::BOTH {
        // What the scan takes for changed may have been edited: only its new version can be read.
        let snapshot = glance::scan(target, side, Arc::clone(&agreed), None).await?;
        let now: HashMap<ItemPath, Seen> =
            snapshot.changes.into_iter().map(|change| (change.path, change.now)).collect();
        let work: Vec<(usize, Version)> = entries
            .iter()
            .enumerate()
            .filter_map(|(index, (path, entry))| match now.get(path) {
                None => Some((index, entry.versions[side].clone())),
                Some(Seen::Present(found)) => Some((index, found.version.clone())),
                Some(_) => None,
            })
            .collect();
        scrubbed.pending += (entries.len() - work.len()) as u64;
        scrubbed.read += work.len() as u64;
        for (index, reading) in read_all(&target.endpoints[side], &entries, work).await? {
            let (path, entry) = &entries[index];
            match reading {
                Reading::Sound => {}
                Reading::Pending => scrubbed.pending += 1,
                Reading::Unreadable(message) => {
                    let kind = FindingKind::Unreadable;
                    scrubbed.findings.push(finding(side, path, entry, kind, None, message));
                }
                Reading::Other(digest) if now.contains_key(path) => changed.push((side, index, digest)),
                Reading::Other(digest) => {
                    let message = "its content changed, and nothing that the side tells of it did".to_owned();
                    let kind = FindingKind::Rotten;
                    scrubbed.findings.push(finding(side, path, entry, kind, Some(digest), message));
                }
            }
        }
    }
    suspects(target, &entries, changed, &mut scrubbed).await?;
    scrubbed.findings.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(scrubbed)
}

type Agreed = Vec<(ItemPath, Entry)>;

/// Reads contents, on all threads at once.
async fn read_all(
    endpoint: &Arc<dyn Endpoint>,
    entries: &Arc<Agreed>,
    work: Vec<(usize, Version)>,
) -> Result<Vec<(usize, Reading)>> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let share = work.len().div_ceil(threads).max(1);
    let runtime = tokio::runtime::Handle::current();
    let workers: Vec<_> = work
        .chunks(share)
        .map(|part| {
            let (endpoint, entries, part) = (Arc::clone(endpoint), Arc::clone(entries), part.to_vec());
            let runtime = runtime.clone();
            tokio::task::spawn_blocking(move || {
                let read = |(index, version): &(usize, Version)| {
                    let (path, entry) = &entries[*index];
                    (*index, runtime.block_on(read(endpoint.as_ref(), path, version, &entry.digest)))
                };
                part.iter().map(read).collect::<Vec<_>>()
            })
        })
        .collect();
    let mut readings = Vec::new();
    for worker in workers {
        let part = worker.await;
        readings.extend(part.map_err(|error| Problem::new(Class::Failed, "cut_short", error.to_string()))?);
    }
    Ok(readings)
}

/// Reads one content; blocks while it does.
async fn read(endpoint: &dyn Endpoint, path: &ItemPath, version: &Version, expected: &Digest) -> Reading {
    let content = match endpoint.read(path, version).await {
        Ok(content) => content,
        Err(error) if matches!(error.kind(), ErrorKind::Changed | ErrorKind::NotFound) => {
            return Reading::Pending;
        }
        Err(error) => return Reading::Unreadable(error.to_string()),
    };
    match glance::read_and_digest(content.into_reader(), 0) {
        Ok((_, digest)) if digest == *expected => Reading::Sound,
        Ok((_, digest)) => Reading::Other(digest),
        Err(error) if error.kind() == std::io::ErrorKind::Other => Reading::Pending,
        Err(error) => Reading::Unreadable(error.to_string()),
    }
}

/// Tells edits from rot among what changed: whoever edits a file changes its size or its time of modification, so
/// content that differs from the other side's while both stay the same was hardly edited.
async fn suspects(
    target: &Target,
    entries: &Agreed,
    changed: Vec<(Side, usize, Digest)>,
    scrubbed: &mut ScrubbedTarget,
) -> Result<()> {
    if changed.is_empty() {
        return Ok(());
    }
    let items =
        Sides { local: items(target, Side::Local).await?, remote: items(target, Side::Remote).await? };
    let twice: HashSet<usize> = both(&changed);
    for (side, index, digest) in changed {
        let (path, entry) = &entries[index];
        let same = match (items[side].get(path), items[side.other()].get(path)) {
            (Some(here), Some(there)) => {
                let (here, there) = (&here.item, &there.item);
                here.size == entry.size && there.size == entry.size && here.modified == there.modified
            }
            _ => false,
        };
        if same && !twice.contains(&index) {
            let message =
                "its content changed, and neither its size nor its time of modification did".to_owned();
            let kind = FindingKind::Suspect;
            scrubbed.findings.push(finding(side, path, entry, kind, Some(digest), message));
        } else {
            scrubbed.pending += 1;
        }
    }
    Ok(())
}

/// What changed on both sides: then no side is known to be good.
fn both(changed: &[(Side, usize, Digest)]) -> HashSet<usize> {
    let mut seen = HashSet::new();
    changed.iter().filter(|(_, index, _)| !seen.insert(*index)).map(|(_, index, _)| *index).collect()
}

async fn items(target: &Target, side: Side) -> Result<HashMap<ItemPath, Found>> {
    let snapshot = glance::scan_all(target, side).await?;
    let present = snapshot.changes.into_iter().filter_map(|change| match change.now {
        Seen::Present(found) => Some((change.path, found)),
        _ => None,
    });
    Ok(present.collect())
}

fn finding(
    side: Side,
    path: &ItemPath,
    entry: &Entry,
    kind: FindingKind,
    found: Option<Digest>,
    message: String,
) -> Finding {
    Finding {
        side: side.into(),
        path: path.to_string(),
        kind,
        expected: entry.digest.to_string(),
        found: found.map(|digest| digest.to_string()),
        message,
        repaired: false,
    }
}

/// Reads everything that history keeps; with `sources`, fetches what is damaged from them again.
async fn scrub_history(store: &Store, sources: Option<&[Target]>) -> ScrubbedHistory {
    let objects = store.objects().clone();
    let checked = tokio::task::spawn_blocking(move || {
        let mut digests = Vec::new();
        objects.list(&mut |digest, _| digests.push(digest))?;
        let mut damaged = BTreeSet::new();
        for digest in &digests {
            if !objects.verify(digest)? {
                damaged.insert(*digest);
            }
        }
        Ok::<_, syncline_store::Error>((digests.len() as u64, damaged))
    });
    let (read, damaged) = match checked.await {
        Ok(Ok(found)) => found,
        Ok(Err(error)) => {
            return ScrubbedHistory {
                error: Some(Problem::from(error).to_wire()),
                ..ScrubbedHistory::default()
            };
        }
        Err(error) => {
            let problem = Problem::new(Class::Failed, "cut_short", error.to_string());
            return ScrubbedHistory { error: Some(problem.to_wire()), ..ScrubbedHistory::default() };
        }
    };
    let aside_before = store.objects().aside_count();
    let (mut repaired, mut set_aside) = (Vec::new(), Vec::new());
    if let Some(sources) = sources {
        for target in sources {
            repaired.extend(repair::history(store, target, &damaged).await);
        }
        repaired.extend(repair::from_bases(store, &damaged).await);
        repaired.sort_unstable();
        repaired.dedup();
        let lost = damaged.iter().filter(|digest| !repaired.contains(digest)).copied().collect();
        set_aside = aside::set_aside(store, lost).await;
    }
    let text = |digest: &Digest| digest.to_string();
    ScrubbedHistory {
        read,
        damaged: damaged.iter().map(text).collect(),
        repaired: repaired.iter().map(text).collect(),
        set_aside,
        aside_before,
        error: None,
    }
}
