//! Lists what runs did to one path: every version that it had.

use schemars::{JsonSchema, schema_for};
use serde::{Deserialize, Serialize};
use syncline_core::{Item as CoreItem, ItemPath};
use syncline_store::{Delta, RunQuery};

use crate::operation::{Operation, Scope, ToolHints, answer, get, question};
use crate::problem::Result;
use crate::service::Service;
use crate::wire::{Item, Side, VERSION, Verb, timestamp};

/// The line of this use case in the list.
pub const OPERATION: Operation = Operation {
    name: "list_versions",
    summary: "List the versions of a path, the newest first",
    scope: Scope::Read,
    route: get("/versions"),
    tool: Some(ToolHints::READ_ONLY.named("versions")),
    request: || schema_for!(Request),
    response: || schema_for!(Response),
    call: |service, value| Box::pin(async move { answer(&list_versions(service, &question(value)?).await?) }),
};

/// Whose versions to list.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// The path, relative to the workspace; for a folder, everything below it.
    pub path: String,
    /// Only what this target did.
    #[serde(default)]
    pub target: Option<String>,
    /// At most so many.
    #[serde(default = "limit")]
    pub limit: u32,
}

const fn limit() -> u32 {
    50
}

/// The versions, the newest first.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Response {
    /// The version of this shape.
    pub version: u32,
    /// The versions.
    pub versions: Vec<PathVersion>,
}

/// What one run did to one path.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct PathVersion {
    /// The run.
    pub run: String,
    /// The target.
    pub target: String,
    /// When the run began: RFC 3339.
    pub started: String,
    /// The path, relative to the target's folder.
    pub path: String,
    /// What was done; `null` when only a version that lost was kept.
    pub action: Option<Verb>,
    /// What was agreed on before; `null` when nothing.
    pub before: Option<Item>,
    /// What was agreed on then; `null` when nothing.
    pub after: Option<Item>,
    /// Versions that were overwritten or removed without having been agreed on; history keeps them.
    pub lost: Vec<LostVersion>,
}

/// A version that was overwritten or removed.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct LostVersion {
    /// The side that held it.
    pub side: Side,
    /// What it was.
    #[serde(flatten)]
    pub item: Item,
}

/// Lists the versions of a path.
///
/// # Errors
/// When the path is none or the state cannot be read.
pub async fn list_versions(service: &Service, request: &Request) -> Result<Response> {
    let store = service.reading().await?;
    let mut versions = Vec::new();
    let wanted = |name: &str| request.target.as_deref().is_none_or(|target| target == name);
    for (target, path) in
        service.covering(&request.path)?.into_iter().filter(|(target, _)| wanted(&target.name))
    {
        let mut query = RunQuery { target: Some(target.name.clone()), ..RunQuery::default() };
        query.limit = None;
        for run in store.runs(&query).await? {
            if versions.len() >= request.limit as usize {
                break;
            }
            let deltas = store.known_deltas(&run.start.id).await?;
            let deltas = deltas.iter().filter(|delta| concerns(path.as_ref(), &delta.path));
            versions.extend(deltas.map(|delta| describe(&run.start, delta)));
        }
    }
    versions.sort_by(|a: &PathVersion, b| b.run.cmp(&a.run).then_with(|| a.path.cmp(&b.path)));
    versions.truncate(request.limit as usize);
    Ok(Response { version: VERSION, versions })
}

fn concerns(path: Option<&ItemPath>, other: &ItemPath) -> bool {
    path.is_none_or(|path| other == path || other.is_below(path.as_str()))
}

fn describe(start: &syncline_store::RunStart, delta: &Delta) -> PathVersion {
    let changed = match (&delta.before, &delta.after) {
        (Some(before), Some(after)) => before.digest != after.digest || before.kind != after.kind,
        _ => true,
    };
    let action = match (&delta.before, &delta.after) {
        (None, Some(_)) => Some(Verb::Create),
        (Some(_), Some(_)) => changed.then_some(Verb::Update),
        (Some(_), None) => Some(Verb::Remove),
        (None, None) => None,
    };
    let lost = delta.lost.iter().map(|lost| LostVersion {
        side: lost.side.into(),
        item: (&CoreItem { kind: lost.kind, digest: Some(lost.digest), size: lost.size, modified: 0 }).into(),
    });
    PathVersion {
        run: start.id.clone(),
        target: start.target.clone(),
        started: timestamp(start.started),
        path: delta.path.to_string(),
        action,
        before: delta.before.as_ref().map(Item::from),
        after: delta.after.as_ref().map(Item::from),
        lost: lost.collect(),
    }
}
