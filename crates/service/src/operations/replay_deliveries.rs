//! Lets messages be sent again.

use schemars::{JsonSchema, schema_for};
use serde::{Deserialize, Serialize};
use syncline_core::Nanos;
use syncline_store::{MessageQuery, MessageRecord, MessageState, Store};

use crate::auditing::{Asked, Became, audited, each};
use crate::operation::{Operation, Scope, answer, post, question};
use crate::operations::list_deliveries::named;
use crate::operations::list_webhooks::visible_targets;
use crate::operations::pause::written;
use crate::problem::{Problem, Result};
use crate::service::Service;
use crate::watch_post;
use crate::wire::{VERSION, timestamp};

/// The line of this use case in the list.
pub const OPERATION: Operation = Operation {
    name: "replay_deliveries",
    summary: "Send a message of a webhook again, or all that were given up since a time",
    scope: Scope::Run,
    route: post("/webhooks/deliveries/replays"),
    // What others are told once more is for people to decide.
    tool: None,
    request: || schema_for!(Request),
    response: || schema_for!(Response),
    call: |service, value| {
        Box::pin(async move { answer(&replay_deliveries(service, &question(value)?).await?) })
    },
};

/// Most messages that are sent again at once.
const AT_ONCE_MAX: u32 = 10_000;

/// Which messages: either one, or those that were given up.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Request {
    /// The identifier of a message.
    pub id: Option<String>,
    /// All that were given up and began to wait then or later: a span of time back from now, such as `2h`, or a moment
    /// such as `2026-12-01T08:00Z`.
    pub failed_since: Option<String>,
    /// With `failed_since`: only those of this webhook.
    pub webhook: Option<String>,
}

/// What is sent again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Response {
    /// The version of this shape.
    pub version: u32,
    /// The identifiers of the messages, which stay the same, the newest first.
    pub deliveries: Vec<String>,
    /// Whether a process serves the workspace now, and so sends them; otherwise the next one does.
    pub handed_over: bool,
    /// The webhooks among theirs whose receivers want nothing more: their messages wait until a test has arrived.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub gone: Vec<Gone>,
}

/// A webhook whose receiver said that it wants nothing any more (410).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Gone {
    /// Its name.
    pub webhook: String,
    /// When its receiver said so.
    pub since: String,
    /// How many of the messages are for it.
    pub deliveries: u64,
}

/// Lets messages be sent again, with a whole schedule of tries before them.
///
/// # Errors
/// When the request is wrong, there is no such message, its webhook is gone from the file, or the state cannot be used.
pub async fn replay_deliveries(service: &Service, request: &Request) -> Result<Response> {
    let store = service.reading().await?;
    let (records, about) = chosen(service, &store, request).await?;
    let targets = each(records.iter().filter_map(|record| record.message.target.as_ref()));
    let asked = Asked { operation: OPERATION.name, targets: &targets, about };
    let became = |response: &Response| {
        let outcome = format!("{} to be sent again", response.deliveries.len());
        (!response.deliveries.is_empty()).then(|| Became { targets: targets.clone(), outcome })
    };
    audited(service, asked, became, replay(service, &store, &records)).await
}

async fn replay(service: &Service, store: &Store, records: &[MessageRecord]) -> Result<Response> {
    let places: Vec<i64> = records.iter().map(|record| record.seq).collect();
    store.replay(&places, service.clock().now()).await?;
    let serves = watch_post::running(service)?
        .is_some_and(|running| running.record.is_none_or(|record| record.serving));
    let deliveries = records.iter().map(|record| record.message.id.clone()).collect();
    let gone = gone(store, records).await?;
    Ok(Response { version: VERSION, deliveries, handed_over: serves, gone })
}

/// The webhooks of messages whose receivers want nothing more, by name.
async fn gone(store: &Store, records: &[MessageRecord]) -> Result<Vec<Gone>> {
    let mut gone = Vec::new();
    for subscriber in store.subscribers().await? {
        let deliveries = records.iter().filter(|record| record.webhook == subscriber.webhook).count() as u64;
        if let Some(since) = subscriber.gone.filter(|_| deliveries > 0) {
            gone.push(Gone { webhook: subscriber.webhook, since: timestamp(since), deliveries });
        }
    }
    gone.sort_by(|one, other| one.webhook.cmp(&other.webhook));
    Ok(gone)
}

/// The messages that are meant, and what they are in a few words.
async fn chosen(service: &Service, store: &Store, request: &Request) -> Result<(Vec<MessageRecord>, String)> {
    match (&request.id, &request.failed_since) {
        (Some(id), None) if request.webhook.is_none() => {
            let record = named(service, store, id).await?;
            known(service, &record.webhook)?;
            Ok((vec![record], format!("message {id}")))
        }
        (None, Some(text)) => {
            if let Some(webhook) = &request.webhook {
                known(service, webhook)?;
            }
            let notify = service.workspace().notify.iter().map(|to| to.name.clone());
            let wanted = |name: &String| request.webhook.as_ref().is_none_or(|webhook| webhook == name);
            let query = MessageQuery {
                webhooks: notify.filter(wanted).collect(),
                targets: visible_targets(service),
                state: Some(MessageState::Failed),
                since: Some(since(text, service.clock().now())?),
                limit: AT_ONCE_MAX,
                ..MessageQuery::default()
            };
            // Without any webhook in the file there is nobody to send to.
            let records = if query.webhooks.is_empty() { Vec::new() } else { store.messages(&query).await? };
            Ok((records, format!("failed since {text}")))
        }
        _ => {
            Err(Problem::usage("bad_request", "either `id` or `failed_since` says which messages are meant")
                .with_hint("`webhook` goes with `failed_since`"))
        }
    }
}

/// Refuses a webhook that the file does not name.
fn known(service: &Service, webhook: &str) -> Result<()> {
    if service.workspace().notify.iter().any(|to| to.name == webhook) {
        return Ok(());
    }
    Err(Problem::not_found(format!("the file names no webhook {webhook:?} below `notify.webhooks`"))
        .with_hint("see `syncline webhooks list`"))
}

/// The moment that a text names.
fn since(text: &str, now: Nanos) -> Result<Nanos> {
    let text = text.trim();
    let moment = match syncline_config::read_span(text) {
        Some(span) => Nanos::try_from(span.as_nanos()).ok().map(|span| now.saturating_sub(span)),
        None => written(text).and_then(|moment| Nanos::try_from(moment.as_nanosecond()).ok()),
    };
    moment.ok_or_else(|| {
        Problem::usage("bad_time", format!("{text:?} is no time"))
            .with_hint("write a span back from now such as `2h`, or a time such as `2026-12-01T08:00`")
    })
}
