//! Lists the targets of the workspace. Needs no secret and no endpoint.

use schemars::{JsonSchema, schema_for};
use serde::{Deserialize, Serialize};

use crate::operation::{Operation, Scope, ToolHints, answer, get, question};
use crate::problem::Result;
use crate::service::Service;
use crate::wire::{Direction, Pause, VERSION};

/// The line of this use case in the list.
pub const OPERATION: Operation = Operation {
    name: "list_targets",
    summary: "List the targets of the workspace",
    scope: Scope::Read,
    route: get("/targets"),
    tool: Some(ToolHints::READ_ONLY.named("targets")),
    request: || schema_for!(Request),
    response: || schema_for!(Response),
    call: |service, value| Box::pin(async move { answer(&list_targets(service, &question(value)?).await?) }),
};

/// Which targets to list.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Request {
    /// Names or globs; all targets when there are none.
    pub targets: Vec<String>,
    /// Only targets of this direction.
    pub direction: Option<Direction>,
}

/// The targets, in the order of the file.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Response {
    /// The version of this shape.
    pub version: u32,
    /// The targets.
    pub targets: Vec<Target>,
}

/// A target.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Target {
    /// The name.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// Which way changes may flow.
    pub direction: Direction,
    /// Its folder, relative to the workspace.
    pub path: String,
    /// The place outside.
    pub remote: Remote,
    /// Whether changes start a run while Syncline is running.
    pub watch: bool,
    /// The targets that go first, when they are to run as well.
    pub after: Vec<String>,
    /// Higher goes first among those that may go.
    pub priority: i64,
    /// When it is due: five fields of cron, or `every` and a span.
    pub schedule: Option<String>,
    /// The time zone of its schedule.
    pub timezone: String,
    /// What is made up for of the moments at which nobody was there to run it: `none`, `last` or `all`.
    pub missed: String,
    /// By how many seconds a run that is due may begin later.
    pub jitter: u64,
    /// When it may run by itself; at any time when there are none.
    pub windows: Vec<String>,
    /// Why a run leaves it alone; `null` when nobody has paused it.
    pub paused: Option<Pause>,
    /// Globs of what a script works with.
    pub inputs: Vec<String>,
    /// Globs of what a script makes.
    pub outputs: Vec<String>,
    /// The names of the checks around its runs.
    pub checks: Vec<String>,
}

/// The place outside.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Remote {
    /// Its name under `endpoints`; `null` when it was written inside the target.
    pub name: Option<String>,
    /// Its kind.
    pub kind: String,
    /// Its settings, secrets masked.
    pub settings: serde_json::Value,
}

/// Lists targets.
///
/// # Errors
/// When a pattern matches nothing, or the state cannot be read.
pub async fn list_targets(service: &Service, request: &Request) -> Result<Response> {
    let direction = request.direction.map(Into::into);
    let chosen = service.workspace().select(&request.targets, direction)?;
    let (store, now) = (service.reading().await?, service.clock().now());
    let mut pauses = store.pauses().await?;
    pauses.retain(|pause| pause.is_on(now));
    let paused = |name: &str| pauses.iter().find(|pause| pause.target == name).cloned().map(Pause::from);
    let targets = chosen.into_iter().map(|target| Target {
        name: target.name.clone(),
        description: target.description.clone(),
        direction: target.direction.into(),
        path: target.path.as_ref().map_or_else(|| ".".to_owned(), ToString::to_string),
        remote: Remote {
            name: target.remote.name.clone(),
            kind: target.remote.kind.clone(),
            settings: target.remote.public_settings(),
        },
        watch: target.watch,
        after: target.after.clone(),
        priority: target.priority,
        schedule: target.schedule.as_ref().map(ToString::to_string),
        timezone: target.timezone.clone(),
        missed: target.missed.name().to_owned(),
        jitter: target.jitter.as_secs(),
        windows: target.windows.iter().map(ToString::to_string).collect(),
        paused: paused(&target.name),
        inputs: target.script.as_ref().map(|script| script.inputs.clone()).unwrap_or_default(),
        outputs: target.script.as_ref().map(|script| script.outputs.clone()).unwrap_or_default(),
        checks: target.checks.iter().map(|check| check.name.clone()).collect(),
    });
    Ok(Response { version: VERSION, targets: targets.collect() })
}
