//! Shows a conflict with the versions that are involved.

use schemars::{JsonSchema, schema_for};
use serde::{Deserialize, Serialize};
use syncline_core::{Digest, Direction, ItemPath, Side};
use syncline_engine::Target;
use syncline_store::{ConflictQuery, ConflictRecord, Store};

use crate::conflict_choice::matching;
use crate::conflict_versions::place;
use crate::glance;
use crate::operation::{Operation, Scope, ToolHints, answer, get, question};
use crate::operations::merge_conflict::prepared;
use crate::problem::{Class, Problem, Result};
use crate::service::Service;
use crate::wire::{Conflict, VERSION};

/// Most bytes of a version that are shown.
const SHOWN_BYTES_MAX: u64 = 64 * 1024;

/// The line of this use case in the list.
pub const OPERATION: Operation = Operation {
    name: "show_conflict",
    summary: "Show a conflict and the versions that are involved",
    scope: Scope::Read,
    route: get("/conflicts/show"),
    tool: Some(ToolHints::READ_ONLY.named("conflict_show")),
    request: || schema_for!(Request),
    response: || schema_for!(Response),
    call: |service, value| Box::pin(async move { answer(&show_conflict(service, &question(value)?).await?) }),
};

/// Which conflict to show.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// Its identifier or an unambiguous beginning of it, or a path or glob that only one conflict matches.
    pub id: String,
}

/// A conflict and its versions.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Response {
    /// The version of this shape.
    pub version: u32,
    /// The conflict.
    pub conflict: Conflict,
    /// What both sides had agreed on.
    pub base: Pane,
    /// What the workspace held.
    pub local: Pane,
    /// What the remote held.
    pub remote: Pane,
    /// What both became, when they were merged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub merged: Option<Pane>,
    /// What `take: merged` would come to; `null` when the conflict is settled, or nothing can be merged.
    pub merge: Option<Merge>,
    /// How the remote version differs from the local one, as a unified diff; `null` when one is no text.
    pub diff: Option<String>,
}

/// What merging the versions comes to.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Merge {
    /// Whether it is clean, so that it can be taken as it is.
    pub clean: bool,
    /// What is in the way.
    pub note: Option<String>,
}

/// One version.
#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
pub struct Pane {
    /// Its text, at most 64 KiB of it; `null` when there is none.
    pub text: Option<String>,
    /// Why there is no text, or not all of it.
    pub note: Option<String>,
}

/// Shows a conflict.
///
/// # Errors
/// When there is no such conflict or the state cannot be read.
pub async fn show_conflict(service: &Service, request: &Request) -> Result<Response> {
    let store = service.reading().await?;
    let record = named(service, &store, &request.id).await?;
    let configured = service.configured(&record.target)?;
    let target = service.target(configured, configured.direction)?;
    let base = match &record.base {
        Some(item) => pane(&store, &target, &record.path, item.digest.as_ref()).await?,
        None => Pane { text: None, note: Some("there was none".to_owned()) },
    };
    let digests = record.versions.as_ref().map(|item| item.digest.as_ref());
    let local = pane(&store, &target, place(&record, Side::Local), digests.local).await?;
    let remote = pane(&store, &target, place(&record, Side::Remote), digests.remote).await?;
    let diff = match (&local.text, &remote.text) {
        (Some(local), Some(remote)) => Some(diff(local, remote)),
        _ => None,
    };
    let merged = match &record.merged {
        Some(item) => Some(pane(&store, &target, &record.path, item.digest.as_ref()).await?),
        None => None,
    };
    let merge = if record.resolved.is_none() && target.policy.direction == Direction::Bidirectional {
        let prepared = prepared(&store, &target, &record).await;
        prepared.ok().map(|prepared| Merge { clean: prepared.clean, note: prepared.note })
    } else {
        None
    };
    let conflict = Conflict::from(&record);
    Ok(Response { version: VERSION, conflict, base, local, remote, merged, merge, diff })
}

/// The one conflict that `name` names; among several at one path, the one that is open.
pub(crate) async fn named(service: &Service, store: &Store, name: &str) -> Result<ConflictRecord> {
    let all = service.conflicts(store, &ConflictQuery::default()).await?;
    let mut found: Vec<&ConflictRecord> =
        matching(service, &all, name)?.into_iter().filter_map(|index| all.get(index)).collect();
    if found.iter().any(|record| record.resolved.is_none()) {
        found.retain(|record| record.resolved.is_none());
    }
    match found.as_slice() {
        [] => {
            let record = store.conflict(name).await?.filter(|record| service.may_see(&record.target));
            record.ok_or_else(|| unknown(name))
        }
        [record] => Ok((*record).clone()),
        several => {
            let ids: Vec<&str> = several.iter().map(|record| record.id.as_str()).collect();
            let message = format!("{name:?} names several conflicts: {}", ids.join(", "));
            Err(Problem::usage("ambiguous_conflict", message).with_hint("name one of them by its identifier"))
        }
    }
}

/// The error for a conflict that nobody knows.
pub(crate) fn unknown(id: &str) -> Problem {
    Problem::new(Class::NotFound, "unknown_conflict", format!("there is no conflict {id:?}"))
        .with_hint("see `syncline conflicts list --all` for all that there are")
}

async fn pane(store: &Store, target: &Target, path: &ItemPath, digest: Option<&Digest>) -> Result<Pane> {
    let note = |text: &str| Pane { text: None, note: Some(text.to_owned()) };
    let Some(digest) = digest else { return Ok(note("a directory has no content")) };
    let Some(bytes) = glance::content(store, target, path, digest, SHOWN_BYTES_MAX + 1).await? else {
        return Ok(note("its content is not kept"));
    };
    let cut = bytes.len() as u64 > SHOWN_BYTES_MAX;
    let bytes = if cut { &bytes[..whole_characters(&bytes)] } else { &bytes[..] };
    if bytes.contains(&0) {
        return Ok(note("its content is no text"));
    }
    match std::str::from_utf8(bytes) {
        Ok(text) => {
            Ok(Pane { text: Some(text.to_owned()), note: cut.then(|| "only its beginning".to_owned()) })
        }
        Err(_) => Ok(note("its content is no text")),
    }
}

/// How many bytes of a text that was cut off hold whole characters.
fn whole_characters(bytes: &[u8]) -> usize {
    match std::str::from_utf8(bytes) {
        Err(error) if error.error_len().is_none() => error.valid_up_to(),
        _ => bytes.len(),
    }
}

fn diff(local: &str, remote: &str) -> String {
    similar::TextDiff::from_lines(local, remote).unified_diff().header("local", "remote").to_string()
}
