//! What a decision about conflicts binds to, for callers that must have seen what they decide about.

use serde_json::json;
use syncline_core::{Digest, Item, Side};
use syncline_store::{ConflictRecord, Store};

use crate::glance;
use crate::operations::start_run::seen;
use crate::problem::{Class, Problem, Result};
use crate::service::Service;

/// What a request says about the plan behind it.
pub(crate) struct Asked<'a> {
    pub(crate) dry_run: bool,
    pub(crate) plan_hash: Option<&'a str>,
}

/// The hash of the decision when it is only to be told; otherwise `None`, unless another hash was seen than the decision has
/// now.
///
/// # Errors
/// When another one was seen, or what is at the places of the conflicts cannot be told.
pub(crate) async fn admit(
    service: &Service,
    store: &Store,
    records: &[ConflictRecord],
    decision: (&str, Option<&[u8]>),
    asked: Asked<'_>,
) -> Result<Option<String>> {
    let wanted = asked.plan_hash.map(seen).transpose()?;
    if !asked.dry_run && wanted.is_none() {
        return Ok(None);
    }
    let hash = hash(service, store, records, decision).await?;
    match wanted {
        Some(wanted) if wanted != hash => {
            let message = format!("what would be done now has the hash {hash}, and {wanted} was seen");
            Err(Problem::new(Class::Stale, "plan_moved", message).with_hint(
                "something changed since, or something else was asked for; nothing was touched: ask for a dry run again",
            ))
        }
        _ => Ok(asked.dry_run.then_some(hash)),
    }
}

/// The hash over the conflicts as they are recorded, what is at their places now, and the decision.
async fn hash(
    service: &Service,
    store: &Store,
    records: &[ConflictRecord],
    (decision, content): (&str, Option<&[u8]>),
) -> Result<String> {
    let digest = |item: &Item| item.digest.map(|digest| digest.to_string());
    let mut all = Vec::with_capacity(records.len());
    for record in records {
        let configured = service.configured(&record.target)?;
        let target = service.target(configured, configured.direction)?;
        let mut places = Vec::new();
        for path in [Some(&record.path), record.copy.as_ref()].into_iter().flatten() {
            let here = glance::at(store, &target, path).await?;
            for side in Side::BOTH {
                let found = glance::digest(&target, side, path, &here[side]).await?;
                places.push(json!([path.as_str(), side.to_string(), found.map(|found| found.to_string())]));
            }
        }
        all.push(json!({
            "target": record.target,
            "direction": configured.direction.to_string(),
            "id": record.id,
            "versions": [digest(&record.versions.local), digest(&record.versions.remote)],
            "winner": record.winner.map(|side| side.to_string()),
            "merged": record.merged.as_ref().map(digest),
            "resolution": record.resolution,
            "places": places,
        }));
    }
    let content = content.map(|content| Digest::of(content).to_string());
    Ok(Digest::of(json!([decision, content, all]).to_string().as_bytes()).to_string())
}
