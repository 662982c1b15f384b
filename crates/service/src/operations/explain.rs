//! Explains a path: which target covers it, which rule decides, what each side holds, what happened and what would.

use schemars::{JsonSchema, schema_for};
use serde::{Deserialize, Serialize};
use syncline_core::{ItemPath, Side, Sides, Verdict};
use syncline_engine::Options;
use syncline_store::{ConflictQuery, Store};

use super::list_versions::{self, PathVersion, list_versions};
use crate::glance::{self, Here};
use crate::operation::{Operation, Scope, ToolHints, answer, get, question};
use crate::problem::{Result, WireProblem};
use crate::runner::{Job, run_all};
use crate::service::Service;
use crate::wire::{Conflict, Direction, Drift, Halt, Item, PlannedStep, Remark, TargetPlan, VERSION};

/// The line of this use case in the list.
pub const OPERATION: Operation = Operation {
    name: "explain",
    summary: "Explain what happens to a path, and why",
    scope: Scope::Read,
    route: get("/explain"),
    tool: Some(ToolHints::READ_ONLY),
    request: || schema_for!(Request),
    response: || schema_for!(Response),
    call: |service, value| Box::pin(async move { answer(&explain(service, &question(value)?).await?) }),
};

/// Which path to explain.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// The path, relative to the workspace.
    pub path: String,
}

/// What happens to a path.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Response {
    /// The version of this shape.
    pub version: u32,
    /// The path, relative to the workspace.
    pub path: String,
    /// The targets whose folder it lies in; when there is none, nothing happens to it.
    pub targets: Vec<Explanation>,
}

/// What happens to a path in one target.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Explanation {
    /// The target.
    pub target: String,
    /// Which way changes may flow.
    pub direction: Direction,
    /// The path, relative to the target's folder; `.` for that folder itself.
    pub path: String,
    /// Whether it is the target's folder itself: then what lies below it is what the target is about.
    pub is_root: bool,
    /// Whether the target's rules let it through.
    pub verdict: Ruling,
    /// The rule that decides, when it is left out.
    pub rule: Option<String>,
    /// What both sides last agreed on.
    pub agreed: Option<Item>,
    /// What the workspace holds now.
    pub local: Holding,
    /// What the remote holds now.
    pub remote: Holding,
    /// What the last run did that touched it.
    pub last: Option<PathVersion>,
    /// The conflict at it that waits for a decision.
    pub conflict: Option<Conflict>,
    /// What the next run would do to it.
    pub steps: Vec<PlannedStep>,
    /// Changes that the direction keeps from flowing.
    pub drift: Vec<Drift>,
    /// Why the next run would leave it alone.
    pub problems: Vec<Remark>,
    /// Why the next run would stop before it touches anything.
    pub halts: Vec<Halt>,
    /// Why nothing can be said of the sides.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<WireProblem>,
}

/// Whether the rules let a path through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Ruling {
    /// It belongs to the target.
    Included,
    /// A folder that does not itself belong to the target, but something below it may.
    Traverse,
    /// It does not belong to the target.
    Ignored,
}

/// What a side holds at a path.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Holding {
    /// In one word.
    pub state: HoldingState,
    /// What is there.
    pub item: Option<Item>,
    /// Why it cannot be told.
    pub message: Option<String>,
}

/// What a side holds at a path, in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum HoldingState {
    /// Nothing.
    Absent,
    /// What both sides last agreed on.
    Agreed,
    /// Something else.
    Changed,
    /// Something that rules leave out.
    Ignored,
    /// Something that cannot be read.
    Unreadable,
    /// Nobody could look.
    Unknown,
}

/// Explains a path.
///
/// # Errors
/// When it is no path or the state cannot be read.
pub async fn explain(service: &Service, request: &Request) -> Result<Response> {
    let store = service.reading().await?;
    let mut targets = Vec::new();
    for (configured, path) in service.covering(&request.path)? {
        targets.push(match path {
            Some(path) => explanation(service, &store, configured, path, &request.path).await?,
            None => Explanation { is_root: true, ..Explanation::empty(configured, ".") },
        });
    }
    Ok(Response { version: VERSION, path: request.path.clone(), targets })
}

async fn explanation(
    service: &Service,
    store: &Store,
    configured: &syncline_config::Target,
    path: ItemPath,
    full: &str,
) -> Result<Explanation> {
    let looked = look(service, store, configured, &path).await;
    let request =
        list_versions::Request { path: full.to_owned(), target: Some(configured.name.clone()), limit: 1 };
    let last = list_versions(service, &request).await?.versions.into_iter().next();
    let query = ConflictQuery { target: Some(configured.name.clone()), open_only: true };
    let open = store.conflicts(&query).await?;
    let conflict = open.iter().find(|record| record.path == path || record.copy.as_ref() == Some(&path));
    let agreed =
        glance::baseline(store, &configured.name).await.and_then(|baseline| Ok(baseline.get(&path)?));
    let empty = Explanation {
        agreed: agreed.ok().flatten().as_ref().map(Item::from),
        last,
        conflict: conflict.map(Conflict::from),
        ..Explanation::empty(configured, path.as_str())
    };
    Ok(match looked {
        Ok(looked) => looked.into_explanation(empty, &path),
        Err(problem) => Explanation { error: Some(problem.to_wire()), ..empty },
    })
}

/// What a look at both sides found.
struct Looked {
    verdict: Verdict,
    here: Sides<Here>,
    plan: TargetPlan,
}

async fn look(
    service: &Service,
    store: &Store,
    configured: &syncline_config::Target,
    path: &ItemPath,
) -> Result<Looked> {
    let target = service.target(configured, configured.direction)?;
    let here = glance::at(store, &target, path).await?;
    let on_disk =
        std::fs::symlink_metadata(crate::targets::local_root(service, configured).join(path.as_str()));
    let is_directory = on_disk.is_ok_and(|metadata| metadata.is_dir())
        || Side::BOTH.iter().any(|&side| here[side].is_directory());
    let verdict = target.filter.decide_deep(path, is_directory);
    let options = Options { dry_run: true, only: Some(vec![path.clone()]), ..Options::default() };
    let done = run_all(service, store, vec![Job::new(configured, options)]).await;
    let plan = done.first().map(crate::runner::Done::plan);
    let plan = plan.ok_or_else(|| crate::Problem::not_found("no plan could be made"))?;
    Ok(Looked { verdict, here, plan })
}

impl Looked {
    fn into_explanation(self, empty: Explanation, path: &ItemPath) -> Explanation {
        let (verdict, rule) = match self.verdict {
            Verdict::Included => (Ruling::Included, None),
            Verdict::Traverse => {
                (Ruling::Traverse, Some("include: only what lies below may match".to_owned()))
            }
            Verdict::Ignored(rule) => (Ruling::Ignored, Some(rule)),
        };
        let concerns = |text: &str| {
            text == path.as_str() || ItemPath::parse(text).is_ok_and(|below| below.is_below(path.as_str()))
        };
        let plan = self.plan;
        Explanation {
            verdict,
            rule,
            local: Holding::of(&self.here.local),
            remote: Holding::of(&self.here.remote),
            steps: plan.steps.into_iter().filter(|step| concerns(&step.path)).collect(),
            drift: plan.drift.into_iter().filter(|drift| concerns(&drift.path)).collect(),
            problems: plan.problems.into_iter().filter(|problem| concerns(&problem.path)).collect(),
            halts: plan.halts,
            error: plan.error,
            ..empty
        }
    }
}

impl Explanation {
    fn empty(configured: &syncline_config::Target, path: &str) -> Self {
        Self {
            target: configured.name.clone(),
            direction: configured.direction.into(),
            path: path.to_owned(),
            is_root: false,
            verdict: Ruling::Included,
            rule: None,
            agreed: None,
            local: Holding::unknown(),
            remote: Holding::unknown(),
            last: None,
            conflict: None,
            steps: Vec::new(),
            drift: Vec::new(),
            problems: Vec::new(),
            halts: Vec::new(),
            error: None,
        }
    }
}

impl Holding {
    const fn unknown() -> Self {
        Self { state: HoldingState::Unknown, item: None, message: None }
    }

    fn of(here: &Here) -> Self {
        let (state, item, message) = match here {
            Here::Absent => (HoldingState::Absent, None, None),
            Here::Ignored => (HoldingState::Ignored, None, None),
            Here::Unreadable(trouble) => (HoldingState::Unreadable, None, Some(trouble.message.clone())),
            Here::Agreed(entry) => (HoldingState::Agreed, Some(Item::from(entry)), None),
            Here::Other(found) => (HoldingState::Changed, Some(Item::from(&found.item)), None),
        };
        Self { state, item, message }
    }
}
