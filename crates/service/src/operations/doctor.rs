//! Looks at everything that must be right for Syncline to work, and says what to do about what is not.

use std::path::Path;

use schemars::{JsonSchema, schema_for};
use serde::{Deserialize, Serialize};
use syncline_core::Side;
use syncline_store::RunQuery;

use crate::answering::{certificate, check_address};
use crate::git_exclude;
use crate::monitoring::{Channels, key_of};
use crate::notifying;
use crate::operation::{Operation, Scope, ToolHints, answer, get, question};
use crate::problem::{Problem, Result};
use crate::service::Service;
use crate::wire::VERSION;

/// A moment before this program was made: 2026-01-01 UTC.
const PAST: i64 = 1_767_225_600_000_000_000;
const MINUTE_NS: i64 = 60_000_000_000;

/// The line of this use case in the list.
pub const OPERATION: Operation = Operation {
    name: "doctor",
    summary: "Check everything that must be right for Syncline to work",
    scope: Scope::Admin,
    route: get("/doctor"),
    tool: Some(ToolHints::READ_ONLY),
    request: || schema_for!(Request),
    response: || schema_for!(Response),
    call: |service, value| {
        Box::pin(async move {
            let Request {} = question(value)?;
            answer(&doctor(service).await?)
        })
    },
};

/// Nothing is to be said.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Request {}

/// What was found.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Response {
    /// The version of this shape.
    pub version: u32,
    /// Whether nothing failed.
    pub healthy: bool,
    /// The checks, in the order in which they were made.
    pub checks: Vec<Check>,
}

/// One check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Check {
    /// What was looked at.
    pub name: String,
    /// How it is.
    pub status: Status,
    /// What was found.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

/// How something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// As it should be.
    Ok,
    /// It works, but not as it should.
    Warn,
    /// It does not work.
    Fail,
}

/// Checks the workspace.
///
/// # Errors
/// None today; what is wrong is in the response.
pub async fn doctor(service: &Service) -> Result<Response> {
    let mut checks = vec![Check::ok("version", format!("syncline {}", env!("CARGO_PKG_VERSION")))];
    configuration(service, &mut checks);
    clock(service, &mut checks).await;
    state(service, &mut checks).await;
    git(service, &mut checks);
    watching(&mut checks);
    serving(service, &mut checks).await;
    peers(service, &mut checks);
    told(service, &mut checks);
    for target in &service.workspace().targets {
        endpoints(service, target, &mut checks).await;
    }
    let healthy = checks.iter().all(|check| check.status != Status::Fail);
    Ok(Response { version: VERSION, healthy, checks })
}

impl Check {
    fn ok(name: impl Into<String>, message: impl Into<String>) -> Self {
        Self { name: name.into(), status: Status::Ok, message: message.into(), hint: None }
    }

    fn warn(name: impl Into<String>, message: impl Into<String>, hint: Option<String>) -> Self {
        Self { name: name.into(), status: Status::Warn, message: message.into(), hint }
    }

    fn fail(name: impl Into<String>, problem: Problem) -> Self {
        Self { name: name.into(), status: Status::Fail, message: problem.message, hint: problem.hint }
    }
}

fn configuration(service: &Service, checks: &mut Vec<Check>) {
    let workspace = service.workspace();
    let count = workspace.targets.len();
    let message =
        format!("{} has {count} {}", workspace.file.display(), if count == 1 { "target" } else { "targets" });
    checks.push(Check::ok("configuration", message));
    let secrets = workspace.targets.iter().flat_map(|target| target.remote.secret_warnings());
    let warnings = workspace.warnings.iter().cloned().chain(secrets);
    checks.extend(warnings.map(|warning| Check::warn("configuration", warning.message, warning.hint)));
    if count == 0 {
        let hint = Some("add one under `targets`".to_owned());
        checks.push(Check::warn("configuration", "there is no target", hint));
    }
}

async fn clock(service: &Service, checks: &mut Vec<Check>) {
    let now = service.clock().now();
    let last = match service.reading().await {
        Ok(store) => {
            store.runs(&RunQuery { limit: Some(1), ..RunQuery::default() }).await.unwrap_or_default()
        }
        Err(_) => Vec::new(),
    };
    let ahead = last.first().is_some_and(|run| run.start.started > now + MINUTE_NS);
    checks.push(if now < PAST || ahead {
        let hint = Some(
            "set the clock; it never decides what changed, only which of two versions is newer".to_owned(),
        );
        Check::warn(
            "clock",
            format!("the clock says {}, which is in the past", crate::wire::timestamp(now)),
            hint,
        )
    } else {
        Check::ok("clock", crate::wire::timestamp(now))
    });
}

async fn state(service: &Service, checks: &mut Vec<Check>) {
    let folder = service.state().display().to_string();
    if !service.state().join("state.db").exists() {
        checks.push(Check::ok("state", format!("{folder} is made by the first run")));
        return;
    }
    let store = match service.reading().await {
        Ok(store) => store,
        Err(problem) => {
            checks.push(Check::fail("state", problem));
            return;
        }
    };
    match store.check().await {
        Ok(findings) if findings.is_empty() => checks.push(Check::ok("state", format!("{folder} is sound"))),
        Ok(findings) => {
            checks.extend(findings.into_iter().map(|finding| Check::fail("state", finding.into())));
        }
        Err(error) => checks.push(Check::fail("state", error.into())),
    }
    let aside = store.objects().aside_count();
    if aside > 0 {
        let place = service.state().join("objects").join("damaged");
        let message =
            format!("{aside} damaged objects of history were set aside, and nothing looks for them any more");
        let hint = format!("when a backup holds them, compare; otherwise {} can be removed", place.display());
        checks.push(Check::warn("history", message, Some(hint)));
    }
}

fn git(service: &Service, checks: &mut Vec<Check>) {
    let root = &service.workspace().root;
    let Some(exclude) = git_exclude::exclude_file(root) else {
        checks.push(Check::ok("git", "the workspace is in no Git repository"));
        return;
    };
    let inside = service.state().starts_with(root);
    checks.push(if !inside || git_exclude::is_excluded(&exclude) {
        Check::ok("git", "the state is kept out of the repository")
    } else {
        let hint = Some(format!("the next run adds `.syncline/` to {}", exclude.display()));
        Check::warn("git", "the state is not kept out of the repository yet", hint)
    });
}

/// How many folders Linux lets one user watch.
fn watching(checks: &mut Vec<Check>) {
    const FILE: &str = "/proc/sys/fs/inotify/max_user_watches";
    let limit =
        std::fs::read_to_string(Path::new(FILE)).ok().and_then(|text| text.trim().parse::<u64>().ok());
    match limit {
        Some(limit) if limit < 65_536 => {
            let hint = Some("raise it: sysctl fs.inotify.max_user_watches=524288".to_owned());
            checks.push(Check::warn("watching", format!("at most {limit} folders can be watched"), hint));
        }
        Some(limit) => checks.push(Check::ok("watching", format!("up to {limit} folders can be watched"))),
        None => {}
    }
}

/// What `syncline serve` would refuse to answer over HTTP with.
async fn serving(service: &Service, checks: &mut Vec<Check>) {
    let Some(serve) = &service.workspace().serve else { return };
    checks.push(match check_address(service, serve.listen).await {
        Ok(()) => Check::ok("serve", format!("it may listen on {}", serve.listen)),
        Err(problem) => Check::fail("serve", problem),
    });
    let Some(tls) = &serve.tls else { return };
    checks.push(match certificate(tls) {
        Ok(_) => Check::ok("serve", format!("the certificate {} can be used", tls.cert.display())),
        Err(problem) => Check::fail("serve", problem),
    });
}

/// Whether there is a key for the heartbeats of each peer.
fn peers(service: &Service, checks: &mut Vec<Check>) {
    for peer in &service.workspace().peers.nodes {
        let name = format!("peer {}", peer.name);
        checks.push(match key_of(peer) {
            Ok(_) => Check::ok(name, "there is a key for its heartbeats"),
            Err(problem) => Check::fail(name, problem),
        });
    }
}

/// Whether those can be told who are to be told: nothing is sent.
fn told(service: &Service, checks: &mut Vec<Check>) {
    for channel in &service.workspace().alerts.channels {
        let name = format!("alerts, {}", channel.name);
        checks.push(match Channels::one(service, &channel.name) {
            Ok(_) => {
                Check::ok(name, "its secrets are there; `syncline alerts test` shows whether it arrives")
            }
            Err(problem) => Check::fail(name, problem),
        });
    }
    for webhook in &service.workspace().notify {
        let name = format!("notify, {}", webhook.name);
        checks.push(match notifying::check(webhook) {
            Ok(_) => {
                Check::ok(name, "its secret is there; `syncline webhooks test` shows whether it arrives")
            }
            Err(problem) => Check::fail(name, problem),
        });
    }
}

async fn endpoints(service: &Service, configured: &syncline_config::Target, checks: &mut Vec<Check>) {
    let target = match service.target(configured, configured.direction) {
        Ok(target) => target,
        Err(problem) => {
            checks.push(Check::fail(&configured.name, problem));
            return;
        }
    };
    let agreed = agreed(service, &configured.name).await;
    for side in Side::BOTH {
        let name = format!("{}, {side} side", configured.name);
        let endpoint = &target.endpoints[side];
        match endpoint.check().await {
            Ok(health) => {
                checks.push(Check::ok(&name, health.message));
                // What is only read need not be written: a script never is.
                if !health.writable && configured.direction.may_write(side) {
                    checks.push(not_writable(&name, &endpoint.capabilities().location, agreed > 0));
                }
                checks.extend(health.warnings.into_iter().map(|warning| Check::warn(&name, warning, None)));
            }
            Err(error) if error.kind() == syncline_connect::ErrorKind::NotFound => {
                checks.push(missing(&name, &error, agreed));
            }
            Err(error) => checks.push(Check::fail(&name, error.into())),
        }
    }
}

/// How many items of a target are agreed on, as far as the state can be read.
async fn agreed(service: &Service, target: &str) -> u64 {
    let Ok(store) = service.reading().await else { return 0 };
    store.peek_target(target).await.map_or(0, |state| state.count())
}

/// A root that is not there: before the first run it may be made, afterwards it is lost.
fn missing(name: &str, error: &syncline_connect::Error, agreed: u64) -> Check {
    if agreed == 0 {
        return Check::warn(name, error.to_string(), error.hint().map(str::to_owned));
    }
    let items = if agreed == 1 { "item was" } else { "items were" };
    let message = format!("{error}, though {agreed} {items} agreed on");
    Check {
        status: Status::Fail,
        ..Check::warn(name, message, Some("mount or restore what belongs there".to_owned()))
    }
}

/// A root that may not be written; `needed` says whether runs that were made already write there.
fn not_writable(name: &str, location: &str, needed: bool) -> Check {
    let hint = "check the owner and the permissions, and that it is not mounted read-only".to_owned();
    let status = if needed { Status::Fail } else { Status::Warn };
    Check { status, ..Check::warn(name, format!("{location} may not be written"), Some(hint)) }
}
