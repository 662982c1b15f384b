//! Lists messages to programs elsewhere, and every try of each.

use schemars::{JsonSchema, schema_for};
use serde::{Deserialize, Serialize};
use syncline_store::{AttemptRecord, MessageQuery, MessageRecord, MessageState, Store};

use crate::operation::{Operation, Scope, ToolHints, answer, get, question};
use crate::operations::list_webhooks::{shown, visible_targets};
use crate::problem::{Problem, Result};
use crate::service::Service;
use crate::wire::{VERSION, timestamp};

/// The line of this use case in the list.
pub const OPERATION: Operation = Operation {
    name: "list_deliveries",
    summary: "List the messages that webhooks were sent, and what became of every try, the newest first",
    scope: Scope::Read,
    route: get("/webhooks/deliveries"),
    tool: Some(ToolHints::READ_ONLY),
    request: || schema_for!(Request),
    response: || schema_for!(Response),
    call: |service, value| {
        Box::pin(async move { answer(&list_deliveries(service, &question(value)?).await?) })
    },
};

/// Most messages that are listed at once.
const LIMIT_MAX: u32 = 1_000;

/// Which messages to list.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Request {
    /// Only those of this webhook.
    pub webhook: Option<String>,
    /// Only those of which this has become.
    pub state: Option<State>,
    /// At most so many, up to 1000.
    #[schemars(range(max = 1_000))]
    pub limit: u32,
    /// Only messages before this one: `next` of the answer before.
    pub before: Option<String>,
}

impl Default for Request {
    fn default() -> Self {
        Self { webhook: None, state: None, limit: 20, before: None }
    }
}

/// What has become of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It is to be sent, for the first time or again.
    Waiting,
    /// Its receiver has taken it.
    Delivered,
    /// It was given up.
    Failed,
}

impl From<State> for MessageState {
    fn from(state: State) -> Self {
        match state {
            State::Waiting => Self::Waiting,
            State::Delivered => Self::Delivered,
            State::Failed => Self::Failed,
        }
    }
}

impl From<MessageState> for State {
    fn from(state: MessageState) -> Self {
        match state {
            MessageState::Waiting => Self::Waiting,
            MessageState::Delivered => Self::Delivered,
            MessageState::Failed => Self::Failed,
        }
    }
}

/// The messages.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Response {
    /// The version of this shape.
    pub version: u32,
    /// The messages, the newest first.
    pub deliveries: Vec<Delivery>,
    /// What to ask for as `before` to get those that follow; `null` when there are none.
    pub next: Option<String>,
}

/// A message to a program elsewhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Delivery {
    /// Its identifier, which is the same each time it is sent: the header `webhook-id`.
    pub id: String,
    /// The webhook.
    pub webhook: String,
    /// The type of what it tells.
    pub event: String,
    /// The target that it is about; `null` when it is about none.
    pub target: Option<String>,
    /// When it was made.
    pub made: String,
    /// What has become of it.
    pub state: State,
    /// When it is tried next, while it waits.
    pub retry: Option<String>,
    /// Every try, the oldest first.
    pub attempts: Vec<Attempt>,
}

/// A try.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Attempt {
    /// When it began.
    pub at: String,
    /// The status of the answer; `null` when there was none.
    pub status: Option<u16>,
    /// How long it took, in milliseconds.
    pub duration_ms: i64,
    /// Why it failed; `null` when it did not.
    pub error: Option<String>,
}

impl From<AttemptRecord> for Attempt {
    fn from(record: AttemptRecord) -> Self {
        Self {
            at: timestamp(record.at),
            status: record.status,
            duration_ms: record.duration_ms,
            error: record.error,
        }
    }
}

/// Lists messages; whoever is limited to some targets is told of messages about these alone.
///
/// # Errors
/// When the request is wrong, there is no such webhook, or the state cannot be read.
pub async fn list_deliveries(service: &Service, request: &Request) -> Result<Response> {
    if request.limit > LIMIT_MAX {
        return Err(Problem::usage(
            "bad_request",
            format!("at most {LIMIT_MAX} messages are listed at once"),
        )
        .with_hint("those that follow are listed with `before`"));
    }
    let store = service.reading().await?;
    if let Some(webhook) = &request.webhook {
        known(service, &store, webhook).await?;
    }
    let before = match &request.before {
        Some(id) => Some(named(service, &store, id).await?.seq),
        None => None,
    };
    let query = MessageQuery {
        webhooks: request.webhook.iter().cloned().collect(),
        targets: visible_targets(service),
        state: request.state.map(Into::into),
        before,
        limit: request.limit + 1,
        ..MessageQuery::default()
    };
    let mut records = store.messages(&query).await?;
    let more = records.len() > request.limit as usize;
    records.truncate(request.limit as usize);
    let next = records.last().filter(|_| more).map(|record| record.message.id.clone());
    let mut deliveries = Vec::with_capacity(records.len());
    for record in records {
        let attempts = store.attempts(record.seq).await?;
        deliveries.push(Delivery {
            id: record.message.id,
            webhook: record.webhook,
            event: record.message.event,
            target: record.message.target,
            made: timestamp(record.made),
            state: record.state.into(),
            retry: (record.state == MessageState::Waiting).then(|| timestamp(record.next)),
            attempts: attempts.into_iter().map(Into::into).collect(),
        });
    }
    Ok(Response { version: VERSION, deliveries, next })
}

/// Refuses a webhook that the file does not name, unless there are messages from when it did.
async fn known(service: &Service, store: &Store, webhook: &str) -> Result<()> {
    if shown(service).any(|to| to.name == webhook) {
        return Ok(());
    }
    let query = MessageQuery {
        webhooks: vec![webhook.to_owned()],
        targets: visible_targets(service),
        limit: 1,
        ..MessageQuery::default()
    };
    if store.messages(&query).await?.is_empty() {
        let message = format!(
            "the file names no webhook {webhook:?} below `notify.webhooks`, and there are no messages of one"
        );
        return Err(Problem::not_found(message).with_hint("see `syncline webhooks list`"));
    }
    Ok(())
}

/// The message of an identifier, when it is any business of whoever asks.
pub(crate) async fn named(service: &Service, store: &Store, id: &str) -> Result<MessageRecord> {
    let query = MessageQuery {
        id: Some(id.to_owned()),
        targets: visible_targets(service),
        limit: 1,
        ..MessageQuery::default()
    };
    store.messages(&query).await?.pop().ok_or_else(|| {
        Problem::not_found(format!("there is no message {id:?}")).with_hint("see `syncline webhooks log`")
    })
}
