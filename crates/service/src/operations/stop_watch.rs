//! Asks the watch of the workspace to end, and waits until it has.

use std::time::Duration;

use schemars::{JsonSchema, schema_for};
use serde::{Deserialize, Serialize};
use syncline_store::RunningWatch;
use tokio::time::{Instant, sleep};

use crate::auditing::{Asked, Became, audited};
use crate::operation::{Operation, Scope, ToolHints, answer, post, question};
use crate::problem::{Class, Problem, Result};
use crate::service::Service;
use crate::watch_post;
use crate::wire::{VERSION, Watch};

/// How long it is waited for, unless the request says otherwise.
const WAIT_SECONDS: u64 = 60;
/// The longest that may be asked for: a day.
const WAIT_SECONDS_MAX: u64 = 86_400;
/// How often it is looked whether the watch has ended.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// The line of this use case in the list.
pub const OPERATION: Operation = Operation {
    name: "stop_watch",
    summary: "Ask the watch of the workspace to end, and wait until it has",
    scope: Scope::Admin,
    route: post("/watch/stop"),
    tool: Some(ToolHints::CHANGING),
    request: || schema_for!(Request),
    response: || schema_for!(Response),
    call: |service, value| Box::pin(async move { answer(&stop_watch(service, &question(value)?).await?) }),
};

/// How long to wait.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Request {
    /// Seconds to wait for its end, at most a day; 60 when it is not said.
    pub wait_seconds: Option<u64>,
}

/// What became of the request.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Response {
    /// The version of this shape.
    pub version: u32,
    /// Whether a watch has ended; false when there was none.
    pub stopped: bool,
    /// What the watch told of itself before it ended; `null` when there was none.
    pub watch: Option<Watch>,
}

/// Asks the watch to end when its run is through, and waits until it has.
///
/// The watch is asked by a file that it looks for, never by a signal: so nobody else can be meant.
///
/// # Errors
/// When it has not ended in time; the request stands. Otherwise when the state cannot be used.
pub async fn stop_watch(service: &Service, request: &Request) -> Result<Response> {
    let asked = Asked { operation: OPERATION.name, targets: &[], about: String::new() };
    let became = |response: &Response| {
        response.stopped.then(|| Became { targets: Vec::new(), outcome: "done".to_owned() })
    };
    audited(service, asked, became, stop(service, request)).await
}

async fn stop(service: &Service, request: &Request) -> Result<Response> {
    let seconds = request.wait_seconds.unwrap_or(WAIT_SECONDS).min(WAIT_SECONDS_MAX);
    let deadline = Instant::now() + Duration::from_secs(seconds);
    let mut asked: Option<syncline_store::WatchRecord> = None;
    loop {
        let running = watch_post::running(service)?;
        let record = running.as_ref().and_then(|running| running.record.as_ref());
        let other = record.is_some_and(|record| asked.as_ref().is_some_and(|asked| asked.id != record.id));
        if running.is_none() || other {
            // Another one that began meanwhile was not meant.
            return Ok(Response {
                version: VERSION,
                stopped: asked.is_some(),
                watch: asked.map(Watch::from),
            });
        }
        if let (None, Some(record)) = (&asked, record) {
            RunningWatch::ask_to_stop(service.state(), &record.id)?;
            asked = Some(record.clone());
        }
        if Instant::now() >= deadline {
            return Err(late(seconds, asked.map(|asked| asked.pid)));
        }
        sleep(LOOK_EVERY).await;
    }
}

fn late(seconds: u64, pid: Option<u32>) -> Problem {
    let Some(pid) = pid else {
        let message = format!("a watch has begun, but not told who it is within {seconds} s");
        return Problem::new(Class::Busy, "watch_running", message).with_hint("try again");
    };
    let message = format!("the watch of process {pid} has not ended within {seconds} s");
    Problem::new(Class::Busy, "watch_running", message).with_hint(
        "it ends by itself when its run is through; if it hangs, end that process: nothing is lost, the next run goes on \
         where it stopped",
    )
}
