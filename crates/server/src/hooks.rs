//! Webhooks: `POST /hooks/NAME`. Whoever sends has no token and comes from elsewhere; the signature of the body decides.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use axum::routing::post;
use serde_json::json;
use syncline_service::webhooks::{DELIVERY_BYTES_MAX, Incoming, Received, receive};
use syncline_service::{Class, Problem, Service};
use tokio::time::timeout;

use crate::auth::Peer;
use crate::failures::{Failures, too_many};
use crate::problems::{problem, refused, respond};
use crate::room::{Read, Room, Unread};
use crate::routes::Served;
use crate::seats::Seat;

/// How long a sender waits for its answer at most: a delivery that takes longer is sent again, and then known.
const ANSWER_TIME: Duration = Duration::from_millis(900);
/// How long it is waited before more of one address is read.
const SHARE_REST: Duration = Duration::from_secs(10);

#[derive(Clone)]
struct Hooks {
    served: Served,
    room: Arc<Room>,
    /// Deliveries that were not genuine.
    failures: Arc<Failures>,
}

/// The route of webhooks.
pub(crate) fn router(served: Served) -> Router {
    let hooks = Hooks { served, room: Arc::default(), failures: Arc::default() };
    Router::new().route("/hooks/{name}", post(deliver)).with_state(hooks)
}

async fn deliver(State(hooks): State<Hooks>, Path(name): Path<String>, request: Request) -> Response {
    let Some(service) = hooks.served.borrow().clone() else {
        return unavailable("not_ready", "no workspace is served yet: try again");
    };
    let (head, body) = request.into_parts();
    let from = Peer::of(&head.extensions);
    if let Some(length) = head.headers.get(header::CONTENT_LENGTH) {
        let length = length.to_str().ok().and_then(|length| length.parse().ok());
        if length.is_none_or(|length: usize| length > DELIVERY_BYTES_MAX) {
            return too_large();
        }
    }
    let Read { body, place } = match hooks.room.read(body, from).await {
        Ok(read) => read,
        Err(why) => return unread(&why),
    };
    Seat::settle_of(&head.extensions);
    // A task of its own: what is being recorded is recorded, also when nobody waits for it any more.
    let hook = name.clone();
    let recorded = tokio::spawn(async move {
        let received = record(&service, &hook, &head.headers, &body).await;
        drop(place);
        received
    });
    match timeout(ANSWER_TIME, recorded).await {
        Ok(Ok(Ok(received))) => answer(received).unwrap_or_else(|why| {
            let log = || tracing::warn!(%from, webhook = name, "a delivery was refused: {why}");
            hooks.refusal(from, unsigned(), log)
        }),
        Ok(Ok(Err(wrong))) if wrong.class == Class::NotFound => {
            let log = || tracing::warn!(%from, "a delivery was refused: the file names no such webhook");
            hooks.refusal(from, problem(&wrong), log)
        }
        Ok(Ok(Err(wrong))) => {
            tracing::warn!(%wrong, "a delivery could not be taken");
            unavailable("not_recorded", "the delivery could not be recorded: send it again")
        }
        Ok(Err(_)) | Err(_) => unavailable("too_slow", "recording takes too long: send it again"),
    }
}

impl Hooks {
    /// The answer to a delivery that is not genuine: `refused`, and when there are too many of one address,
    /// that it may come again later. A genuine one is told from them by its signature alone, wherever it comes from. What was
    /// wrong with it is for `log` alone.
    fn refusal(&self, from: IpAddr, refused: Response, log: impl FnOnce()) -> Response {
        match self.failures.note(from, Instant::now(), "deliveries that are not genuine") {
            Some(rest) => {
                too_many(rest, "too many deliveries that are not signed as they must be: try again later")
            }
            None => {
                log();
                refused
            }
        }
    }
}

fn unread(why: &Unread) -> Response {
    match why {
        Unread::TooLarge => too_large(),
        Unread::TooSlow => refused(
            StatusCode::REQUEST_TIMEOUT,
            "too_slow",
            "the body took longer than 10 s, or stood still for 5 s",
        ),
        Unread::NoRoom => unavailable("too_many", "too much comes in at once: try again"),
        Unread::NoShare => {
            too_many(SHARE_REST, "too much comes in from this address at once: try again later")
        }
    }
}

async fn record(
    service: &Service,
    name: &str,
    headers: &HeaderMap,
    body: &Bytes,
) -> Result<Received, Problem> {
    let header = |name: &str| {
        let mut values = headers.get_all(name).iter();
        // A header that stands there twice means two things.
        values.next().filter(|_| values.next().is_none()).and_then(|value| value.to_str().ok())
    };
    receive(service, name, Incoming { header: &header, body }).await
}

/// The answer to a delivery that is genuine, or why it is not.
fn answer(received: Received) -> Result<Response, &'static str> {
    let status = match received {
        Received::Recorded => "recorded",
        Received::Known => "known",
        Received::Idle => "nothing_to_do",
        Received::Challenge(text) => {
            return Ok(respond(StatusCode::OK, "text/plain; charset=utf-8", text));
        }
        Received::Refused(why) => return Err(why),
    };
    Ok(respond(StatusCode::OK, "application/json", json!({ "version": 1, "status": status }).to_string()))
}

fn unsigned() -> Response {
    refused(StatusCode::UNAUTHORIZED, "bad_signature", "the delivery is not signed as it must be, or too old")
}

fn too_large() -> Response {
    refused(StatusCode::PAYLOAD_TOO_LARGE, "too_large", "the body is larger than 5 MiB, or was cut short")
}

fn unavailable(code: &str, detail: &str) -> Response {
    refused(StatusCode::SERVICE_UNAVAILABLE, code, detail)
}
