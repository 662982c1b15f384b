//! Lists what is wrong, and what waits to be told. Needs no secret and no endpoint.

use schemars::{JsonSchema, schema_for};
use serde::{Deserialize, Serialize};
use syncline_monitor::Rule;
use syncline_store::{Acknowledged, AlertBook, AlertRecord, DeliveryRecord};

use crate::operation::{Operation, Scope, ToolHints, answer, get, question};
use crate::service::Service;
use crate::wire::{VERSION, timestamp};

/// The line of this use case in the list.
pub const OPERATION: Operation = Operation {
    name: "list_alerts",
    summary: "List what is wrong, and the messages about it that have not arrived yet",
    scope: Scope::Read,
    route: get("/alerts"),
    tool: Some(ToolHints::READ_ONLY),
    request: || schema_for!(Request),
    response: || schema_for!(Response),
    call: |service, value| {
        Box::pin(async move {
            let Request {} = question(value)?;
            answer(&list_alerts(service))
        })
    },
};

/// Nothing is to be said.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Request {}

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Response {
    /// The version of this shape.
    pub version: u32,
    /// What is wrong, the oldest first.
    pub alerts: Vec<Alert>,
    /// The messages that have not arrived yet, the oldest first.
    pub waiting: Vec<Waiting>,
}

/// Something that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Alert {
    /// Its number.
    pub id: u64,
    /// The rule that found it.
    pub rule: String,
    /// What it concerns.
    pub subject: String,
    /// `critical`, or `warning`.
    pub severity: &'static str,
    /// What is wrong, in one line.
    pub message: String,
    /// Since when.
    pub since: String,
    /// Whether it was told to people.
    pub told: bool,
    /// The alert that it follows from, and because of which it is not told.
    pub follows: Option<String>,
    /// When somebody acknowledged it.
    pub acknowledged: Option<String>,
    /// What they had to say about it.
    pub note: Option<String>,
}

/// A message that has not arrived yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Waiting {
    /// Its channel.
    pub channel: String,
    /// When it was made.
    pub made: String,
    /// How often it was tried.
    pub tries: u32,
    /// Why the last try failed.
    pub error: Option<String>,
}

/// Whether an alert is any business of whoever asks: one that is limited to some targets is told of these alone.
pub(crate) fn may_see(service: &Service, alert: &AlertRecord) -> bool {
    let of_target = Rule::named(&alert.rule).is_some_and(Rule::is_of_a_target);
    !service.caller().is_limited() || of_target && service.may_see(&alert.subject)
}

/// Lists what is wrong, as whoever serves the workspace has last written it down.
///
/// Whoever is limited to some targets is not told of messages that wait: they may be about others as well.
#[must_use]
pub fn list_alerts(service: &Service) -> Response {
    let book = AlertBook::read(service.state()).unwrap_or_default();
    let given = Acknowledged::read(service.state());
    let alert = |alert: AlertRecord| {
        let given = given.0.get(&alert.id);
        Alert {
            id: alert.id,
            rule: alert.rule,
            subject: alert.subject,
            severity: if alert.critical { "critical" } else { "warning" },
            message: alert.message,
            since: timestamp(alert.since),
            told: alert.incident.is_some(),
            follows: alert.inhibited.filter(|_| alert.incident.is_none()).map(|inhibited| inhibited.by),
            acknowledged: given.map(|given| timestamp(given.at)),
            note: given.and_then(|given| given.note.clone()),
        }
    };
    let waiting = |delivery: DeliveryRecord| Waiting {
        channel: delivery.channel,
        made: timestamp(delivery.made),
        tries: delivery.tries,
        error: delivery.error,
    };
    let is_shown = |alert: &AlertRecord| alert.cleared.is_none() && may_see(service, alert);
    let is_whole = |_: &DeliveryRecord| !service.caller().is_limited();
    Response {
        version: VERSION,
        alerts: book.alerts.into_iter().filter(is_shown).map(alert).collect(),
        waiting: book.deliveries.into_iter().filter(is_whole).map(waiting).collect(),
    }
}
