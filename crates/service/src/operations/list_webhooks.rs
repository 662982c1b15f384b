//! Lists the programs elsewhere that are told what happens, and how far that has come. Needs no secret and no endpoint.

use std::collections::BTreeMap;

use schemars::{JsonSchema, schema_for};
use serde::{Deserialize, Serialize};
use syncline_config::Notification;
use syncline_store::{MessageState, Subscriber};

use crate::operation::{Operation, Scope, ToolHints, answer, get, question};
use crate::problem::Result;
use crate::service::Service;
use crate::wire::{VERSION, timestamp};

/// The line of this use case in the list.
pub const OPERATION: Operation = Operation {
    name: "list_webhooks",
    summary: "List the webhooks that are sent what happens, and how much waits, has arrived or was given up",
    scope: Scope::Read,
    route: get("/webhooks"),
    tool: Some(ToolHints::READ_ONLY),
    request: || schema_for!(Request),
    response: || schema_for!(Response),
    call: |service, value| {
        Box::pin(async move {
            let Request {} = question(value)?;
            answer(&list_webhooks(service).await?)
        })
    },
};

/// Nothing is to be said.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Request {}

/// The webhooks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Response {
    /// The version of this shape.
    pub version: u32,
    /// The webhooks below `notify.webhooks`, by name.
    pub webhooks: Vec<Webhook>,
}

/// A program elsewhere that is told what happens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Webhook {
    /// Its name.
    pub webhook: String,
    /// What it is told: types or globs; everything when there are none.
    pub events: Vec<String>,
    /// The targets of which it is told; all targets when there are none.
    pub targets: Vec<String>,
    /// Whether the file says that nothing is told for now.
    pub disabled: bool,
    /// When its receiver said that it wants nothing any more (410); nothing is sent until a test has arrived.
    pub gone: Option<String>,
    /// How many messages wait.
    pub waiting: u64,
    /// How many have arrived, of those that are remembered.
    pub delivered: u64,
    /// How many were given up, of those that are remembered.
    pub failed: u64,
}

/// Lists the webhooks; whoever is limited to some targets is told of those that are told of these, and of messages about
/// these alone.
///
/// # Errors
/// When the state cannot be read.
pub async fn list_webhooks(service: &Service) -> Result<Response> {
    let store = service.reading().await?;
    let counts = store.message_counts(visible_targets(service).as_deref()).await?;
    let gone: BTreeMap<String, Option<String>> =
        store.subscribers().await?.into_iter().map(|subscriber| gone(&subscriber)).collect();
    let webhook = |to: &Notification| {
        let count =
            |state: MessageState| counts.get(&(to.name.clone(), state.name())).copied().unwrap_or_default();
        Webhook {
            webhook: to.name.clone(),
            events: to.events.clone(),
            targets: to.targets.iter().filter(|target| service.may_see(target)).cloned().collect(),
            disabled: to.disabled,
            gone: gone.get(&to.name).cloned().flatten(),
            waiting: count(MessageState::Waiting),
            delivered: count(MessageState::Delivered),
            failed: count(MessageState::Failed),
        }
    };
    let webhooks = shown(service).map(webhook).collect();
    Ok(Response { version: VERSION, webhooks })
}

/// The webhooks of the file that are any business of whoever asks.
pub(crate) fn shown(service: &Service) -> impl Iterator<Item = &Notification> {
    let is_shown =
        |to: &&Notification| to.targets.is_empty() || to.targets.iter().any(|target| service.may_see(target));
    service.workspace().notify.iter().filter(is_shown)
}

fn gone(subscriber: &Subscriber) -> (String, Option<String>) {
    (subscriber.webhook.clone(), subscriber.gone.map(timestamp))
}

/// The targets whose messages are any business of whoever asks; `None` when all are.
pub(crate) fn visible_targets(service: &Service) -> Option<Vec<String>> {
    let names = || service.workspace().targets.iter().map(|target| target.name.clone()).collect();
    service.caller().is_limited().then(names)
}
