//! Merges the versions of a conflict and tells the result, for whoever wants to finish it; changes nothing.

use schemars::{JsonSchema, schema_for};
use serde::{Deserialize, Serialize};
use syncline_core::merge::{Merged, has_open_markers};
use syncline_core::{Digest, Sides};
use syncline_engine::Target;
use syncline_store::{ConflictRecord, Store};

use crate::conflict_versions::{self as versions, Standing};
use crate::operation::{Operation, Scope, ToolHints, answer, get, question};
use crate::operations::show_conflict::named;
use crate::problem::{Class, Problem, Result};
use crate::service::Service;
use crate::wire::VERSION;

/// The line of this use case in the list.
pub const OPERATION: Operation = Operation {
    name: "merge_conflict",
    summary: "Merge the versions of a conflict and tell the result, changing nothing",
    scope: Scope::Read,
    route: get("/conflicts/merge"),
    tool: Some(ToolHints::READ_ONLY.named("conflict_merge")),
    request: || schema_for!(Request),
    response: || schema_for!(Response),
    call: |service, value| {
        Box::pin(async move { answer(&merge_conflict(service, &question(value)?).await?) })
    },
};

/// Which conflict to merge.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// Its identifier or an unambiguous beginning of it, or a path or glob that only one open conflict matches.
    pub id: String,
}

/// What comes of merging.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Response {
    /// The version of this shape.
    pub version: u32,
    /// The identifier of the conflict.
    pub id: String,
    /// The target.
    pub target: String,
    /// The path, relative to the target's folder.
    pub path: String,
    /// Whether `take: merged` takes the text as it is.
    pub clean: bool,
    /// The merged text, with conflict markers where it is not clean; finished, it is the `content` of
    /// `resolve_conflict`. `null` when it is not UTF-8.
    pub text: Option<String>,
    /// What is in the way of a clean merge.
    pub note: Option<String>,
}

/// The versions of an open conflict, and what comes of merging them.
pub struct Prepared {
    /// Its identifier.
    pub id: String,
    /// The target.
    pub target: String,
    /// The path, relative to the target's folder.
    pub path: String,
    /// What both sides had agreed on, when it is known.
    pub base: Option<Vec<u8>>,
    /// The version of each side.
    pub versions: Sides<Vec<u8>>,
    /// The merged version, with conflict markers where it is not clean.
    pub merged: Vec<u8>,
    /// Whether it can be taken as it is.
    pub clean: bool,
    /// What is in the way of a clean merge.
    pub note: Option<String>,
    /// What the result was made of, for `resolve_conflict_with`.
    pub seen: Sides<Digest>,
}

/// Merges the versions of a conflict.
///
/// # Errors
/// When there is no such conflict, it is settled, or its versions cannot be merged even with markers.
pub async fn merge_conflict(service: &Service, request: &Request) -> Result<Response> {
    let Prepared { id, target, path, merged, clean, note, .. } = prepare(service, &request.id).await?;
    let text = String::from_utf8(merged).ok();
    Ok(Response { version: VERSION, id, target, path, clean, text, note })
}

/// Reads and merges the versions of an open conflict.
///
/// # Errors
/// As [`merge_conflict`].
pub async fn prepare(service: &Service, id: &str) -> Result<Prepared> {
    let store = service.reading().await?;
    let record = named(service, &store, id).await?;
    if record.resolved.is_some() {
        let message = format!("the conflict {} is settled already", record.id);
        return Err(
            Problem::not_found(message).with_hint("`syncline conflicts abort` takes back how it was settled")
        );
    }
    let configured = service.configured(&record.target)?;
    let target = service.target(configured, configured.direction)?;
    prepared(&store, &target, &record).await
}

/// Reads and merges the versions of a conflict that is open.
pub(crate) async fn prepared(store: &Store, target: &Target, record: &ConflictRecord) -> Result<Prepared> {
    let found = versions::read(store, target, record).await?;
    let (merged, clean, note, seen) = if Standing::of(record) == Standing::Marked {
        let there = versions::present(store, target, &record.path).await?;
        let (_, bytes) = there.ok_or_else(|| {
            Problem::new(Class::NotFound, "gone", format!("nothing is at {} any more", record.path))
        })?;
        let clean = !has_open_markers(&bytes);
        let note = (!clean).then(|| "the file still has conflict markers".to_owned());
        let digest = Digest::of(&bytes);
        (bytes, clean, note, Sides { local: digest, remote: digest })
    } else {
        let seen = found.digests();
        match found.merge(target, record) {
            Ok(bytes) => (bytes, true, None, seen),
            Err(why) => match found.mark(target) {
                Merged::Marked { bytes, .. } | Merged::Clean { bytes, .. } => (bytes, false, Some(why), seen),
                Merged::Unclean(_) => {
                    let message = format!("{} cannot be merged: {why}", record.path);
                    return Err(
                        Problem::new(Class::Stale, "unclean", message).with_hint("take one version, or both")
                    );
                }
            },
        }
    };
    Ok(Prepared {
        id: record.id.clone(),
        target: record.target.clone(),
        path: record.path.to_string(),
        base: found.base,
        versions: found.contents,
        merged,
        clean,
        note,
        seen,
    })
}
