//! Pauses targets: until it ends, nothing runs them by itself.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};
use schemars::{JsonSchema, schema_for};
use serde::{Deserialize, Serialize};
use syncline_core::Nanos;

use crate::auditing::{Asked, Became, audited, each};
use crate::operation::{Operation, Scope, ToolHints, answer, post, question};
use crate::problem::{Problem, Result};
use crate::service::Service;
use crate::wire::{Pause, VERSION};

/// The line of this use case in the list.
pub const OPERATION: Operation = Operation {
    name: "pause",
    summary: "Leave targets alone for a while, and say why",
    scope: Scope::Run,
    route: post("/pauses"),
    tool: Some(ToolHints::CHANGING),
    request: || schema_for!(Request),
    response: || schema_for!(Response),
    call: |service, value| Box::pin(async move { answer(&pause(service, &question(value)?).await?) }),
};

/// Longest reason, in characters.
const REASON_MAX: usize = 500;

/// What to pause, and why.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// Names or globs; all targets when there are none.
    #[serde(default)]
    pub targets: Vec<String>,
    /// Why, for people: one line of at most 500 characters.
    #[schemars(length(min = 1, max = 500))]
    pub reason: String,
    /// When it ends by itself: a span such as `2h` or `3d`, a moment such as `2026-12-01T08:00Z`, or a date and a time in
    /// the time zone of this machine. Somebody has to end it when nothing is given.
    #[serde(default)]
    pub until: Option<String>,
}

/// What is paused now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Response {
    /// The version of this shape.
    pub version: u32,
    /// The targets, in the order of the file.
    pub targets: Vec<Target>,
}

/// A target that is paused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Target {
    /// The name.
    pub target: String,
    /// Its pause.
    pub paused: Pause,
}

/// Pauses targets; a run that is going on comes to its end.
///
/// # Errors
/// When the request is wrong or the state cannot be written.
pub async fn pause(service: &Service, request: &Request) -> Result<Response> {
    let about = request.reason.clone();
    let asked = Asked { operation: OPERATION.name, targets: &request.targets, about };
    let became = |response: &Response| {
        let targets = each(response.targets.iter().map(|target| &target.target));
        Some(Became { targets, outcome: "done".to_owned() })
    };
    audited(service, asked, became, pause_all(service, request)).await
}

async fn pause_all(service: &Service, request: &Request) -> Result<Response> {
    let chosen = service.workspace().select(&request.targets, None)?;
    let reason = request.reason.trim();
    if reason.is_empty() || reason.chars().count() > REASON_MAX || reason.chars().any(char::is_control) {
        let message = format!("a reason is one line of 1 to {REASON_MAX} characters");
        return Err(Problem::usage("bad_reason", message)
            .with_hint("say why, for whoever wonders: \"the disk is being replaced\""));
    }
    let since = service.clock().now();
    let until = request.until.as_deref().map(|text| end(text, since)).transpose()?;
    let store = service.stored().await?;
    let mut targets = Vec::with_capacity(chosen.len());
    for target in chosen {
        let (name, reason) = (target.name.clone(), reason.to_owned());
        let pause = syncline_store::Pause { target: name.clone(), reason, since, until };
        store.pause(&pause).await?;
        targets.push(Target { target: name, paused: pause.into() });
    }
    Ok(Response { version: VERSION, targets })
}

/// The moment that a text names.
fn end(text: &str, now: Nanos) -> Result<Nanos> {
    let text = text.trim();
    let moment = match syncline_config::read_span(text) {
        Some(span) => Nanos::try_from(span.as_nanos()).ok().and_then(|span| now.checked_add(span)),
        None => written(text).and_then(|moment| Nanos::try_from(moment.as_nanosecond()).ok()),
    };
    let Some(moment) = moment else {
        let message = format!("{text:?} is no time at which a pause could end");
        return Err(Problem::usage("bad_time", message)
            .with_hint("write a span such as `2h` or `3d`, or a time such as `2026-12-01T08:00`"));
    };
    if moment <= now {
        let message = format!("the pause would have ended already: {text:?} is not in the future");
        return Err(Problem::usage("bad_time", message).with_hint("`syncline resume` ends a pause at once"));
    }
    Ok(moment)
}

/// A moment with its offset, or a date and a time as people here read their clocks.
pub(crate) fn written(text: &str) -> Option<Timestamp> {
    if let Ok(moment) = text.parse::<Timestamp>() {
        return Some(moment);
    }
    if let Ok(moment) = text.parse::<Zoned>() {
        return Some(moment.timestamp());
    }
    text.parse::<DateTime>().ok()?.to_zoned(TimeZone::system()).ok().map(|moment| moment.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Nanos {
        Nanos::try_from(text.parse::<Timestamp>().unwrap().as_nanosecond()).unwrap()
    }

    #[test]
    fn the_end_of_a_pause_is_read_or_refused() {
        let now = at("2026-11-29T10:00:00Z");
        for (text, expected) in [
            ("2h", "2026-11-29T12:00:00Z"),
            ("3d", "2026-12-02T10:00:00Z"),
            ("2026-12-01T08:00Z", "2026-12-01T08:00:00Z"),
            ("2026-12-01T08:00:00+02:00", "2026-12-01T06:00:00Z"),
            ("2026-12-01T08:00[Europe/Berlin]", "2026-12-01T07:00:00Z"),
        ] {
            assert_eq!(end(text, now).ok(), Some(at(expected)), "{text}");
        }
        let local = "2026-12-01T08:00".parse::<DateTime>().unwrap().to_zoned(TimeZone::system()).unwrap();
        assert_eq!(
            end("2026-12-01T08:00", now).ok(),
            Nanos::try_from(local.timestamp().as_nanosecond()).ok()
        );
        for text in
            ["", "soon", "0h", "2026-13-01T08:00Z", "2026-11-29T10:00:00Z", "2020-01-01", "99999999999d"]
        {
            assert_eq!(end(text, now).unwrap_err().code, "bad_time", "{text}");
        }
    }
}
