//! Lists what somebody had changed, and checks that nobody has changed the list.

use schemars::{JsonSchema, schema_for};
use serde::{Deserialize, Serialize};
use syncline_core::Digest;
use syncline_store::{AuditLog, AuditRecord};

use crate::operation::{Operation, Scope, answer, get, question};
use crate::problem::{Problem, Result};
use crate::service::Service;
use crate::wire::{VERSION, timestamp};

/// The line of this use case in the list.
pub const OPERATION: Operation = Operation {
    name: "list_audit",
    summary: "List who had what changed, and check that the list is whole",
    scope: Scope::Admin,
    route: get("/audit"),
    tool: None,
    request: || schema_for!(Request),
    response: || schema_for!(Response),
    call: |service, value| Box::pin(async move { answer(&list_audit(service, &question(value)?).await?) }),
};

/// Most records that are listed at once.
const LIMIT_MAX: u32 = 10_000;

/// Which records to list.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Request {
    /// At most so many, up to 10000; all are checked whatever is listed.
    #[schemars(range(max = 10_000))]
    pub limit: u32,
    /// Only records before the one of this number: `next` of the answer before.
    pub before: Option<u64>,
    /// A hash that was the last one at some time: without its record the list was written anew or cut off.
    #[schemars(regex(pattern = r"^[0-9a-f]{64}$"))]
    pub pinned: Option<String>,
}

impl Default for Request {
    fn default() -> Self {
        Self { limit: 20, before: None, pinned: None }
    }
}

/// What somebody had changed.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Response {
    /// The version of this shape.
    pub version: u32,
    /// Whether every record follows the one before it, and the pinned one is among them.
    pub sound: bool,
    /// Where the list is broken first; `null` when it is not.
    pub broken: Option<Broken>,
    /// How many records hold.
    pub count: u64,
    /// The hash of the last record that holds: kept elsewhere, it shows later that nothing before it was changed.
    pub head: Option<String>,
    /// The records, the newest first.
    pub records: Vec<Record>,
    /// What `before` is to be for those that follow; `null` when there are none.
    pub next: Option<u64>,
}

/// Where the list is broken.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Broken {
    /// The number that the record should have; `null` when the pinned one is missing.
    pub record: Option<u64>,
    /// Why it does not hold.
    pub reason: String,
}

/// A change that somebody asked for.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Record {
    /// Its number, from 1.
    pub sequence: u64,
    /// When it ended: RFC 3339.
    pub at: String,
    /// Who asked: the name of a token, or `local`.
    pub caller: String,
    /// How it was asked for: `command line`, `call`, `http`, `mcp`.
    pub face: String,
    /// What was asked for: the name of an operation.
    pub operation: String,
    /// The targets that it concerned; all targets when there are none.
    pub targets: Vec<String>,
    /// What it was about besides.
    pub about: String,
    /// What came of it.
    pub outcome: String,
    /// Its hash.
    pub hash: String,
}

impl From<&AuditRecord> for Record {
    fn from(record: &AuditRecord) -> Self {
        let entry = record.entry.clone();
        Self {
            sequence: record.sequence,
            at: timestamp(entry.at),
            caller: entry.caller,
            face: entry.face,
            operation: entry.operation,
            targets: entry.targets,
            about: entry.about,
            outcome: entry.outcome,
            hash: record.hash.to_string(),
        }
    }
}

/// Lists what somebody had changed; all of it is checked.
///
/// # Errors
/// When the request is wrong or the log cannot be read.
pub async fn list_audit(service: &Service, request: &Request) -> Result<Response> {
    if request.limit > LIMIT_MAX {
        return Err(Problem::usage("bad_request", format!("at most {LIMIT_MAX} records are listed at once")));
    }
    let pinned = request.pinned.as_deref().map(hash).transpose()?;
    let log = AuditLog::of(service.state());
    let read = tokio::task::spawn_blocking(move || log.read()).await;
    let (records, broken) = read.map_err(|error| {
        Problem::new(crate::Class::Failed, "died", format!("reading the audit log was cut short: {error}"))
    })??;
    let mut broken =
        broken.map(|broken| Broken { record: Some(broken.line), reason: broken.reason.to_owned() });
    if let Some(pinned) = pinned
        && broken.is_none()
        && !records.iter().any(|record| record.hash == pinned)
    {
        let reason = "the pinned record is missing: the list was written anew, or cut off";
        broken = Some(Broken { record: None, reason: reason.to_owned() });
    }
    let is_listed = |record: &&AuditRecord| request.before.is_none_or(|before| record.sequence < before);
    let mut following = records.iter().rev().filter(is_listed);
    let listed: Vec<Record> = following.by_ref().take(request.limit as usize).map(Record::from).collect();
    let next = following.next().and(listed.last()).map(|record| record.sequence);
    Ok(Response {
        version: VERSION,
        sound: broken.is_none(),
        broken,
        count: records.len() as u64,
        head: records.last().map(|record| record.hash.to_string()),
        records: listed,
        next,
    })
}

fn hash(text: &str) -> Result<Digest> {
    Digest::from_hex(text.trim()).ok_or_else(|| {
        Problem::usage("bad_hash", format!("{text:?} is not the hash of a record"))
            .with_hint("copy it whole from `head`: 64 hexadecimal digits")
    })
}
