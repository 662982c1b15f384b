//! Webhooks: `POST /hooks/NAME`. Whoever sends has no token and comes from elsewhere; the signature of the body decides.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Bytes, to_bytes};
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use axum::routing::post;
use serde_json::json;
use syncline_service::webhooks::{DELIVERY_BYTES_MAX, Incoming, Received, receive};
use syncline_service::{Class, Problem, Service};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::problems::{problem, refused, respond};
use crate::routes::Served;

/// How long a sender may take for a body.
const BODY_TIME: Duration = Duration::from_secs(10);
/// How long a sender waits for its answer at most: a delivery that takes longer is sent again, and then known.
const ANSWER_TIME: Duration = Duration::from_millis(900);
/// How long a delivery waits for room.
const ROOM_TIME: Duration = Duration::from_millis(100);
/// All bodies that are read at once take this many pieces, of [`PIECE_BYTES`] each: 64 MiB.
const PIECES_MAX: usize = 1024;
const PIECE_BYTES: usize = 64 << 10;

#[derive(Clone)]
struct Hooks {
    served: Served,
    room: Arc<Semaphore>,
}

/// The route of webhooks.
pub(crate) fn router(served: Served) -> Router {
    let hooks = Hooks { served, room: Arc::new(Semaphore::new(PIECES_MAX)) };
    Router::new().route("/hooks/{name}", post(deliver)).with_state(hooks)
}

async fn deliver(State(hooks): State<Hooks>, Path(name): Path<String>, request: Request) -> Response {
    let Some(service) = hooks.served.borrow().clone() else {
        return unavailable("not_ready", "no workspace is served yet: try again");
    };
    let (head, body) = request.into_parts();
    // One that does not tell its size may take all that is allowed.
    let length = match head.headers.get(header::CONTENT_LENGTH).map(|length| length.to_str()) {
        None => Some(DELIVERY_BYTES_MAX),
        Some(length) => length.ok().and_then(|length| length.parse().ok()),
    };
    let Some(length) = length.filter(|length| *length <= DELIVERY_BYTES_MAX) else { return too_large() };
    let pieces = u32::try_from(length.div_ceil(PIECE_BYTES).max(1)).unwrap_or(u32::MAX);
    let Ok(Ok(room)) = timeout(ROOM_TIME, Arc::clone(&hooks.room).acquire_many_owned(pieces)).await else {
        return unavailable("too_many", "too much comes in at once: try again");
    };
    let body = match timeout(BODY_TIME, to_bytes(body, DELIVERY_BYTES_MAX)).await {
        Ok(Ok(body)) => body,
        Ok(Err(_)) => return too_large(),
        Err(_) => {
            return refused(StatusCode::REQUEST_TIMEOUT, "too_slow", "the body took longer than 10 s");
        }
    };
    // A task of its own: what is being recorded is recorded, also when nobody waits for it any more.
    let recorded = tokio::spawn(async move {
        let received = record(&service, &name, &head.headers, &body).await;
        drop(room);
        received
    });
    match timeout(ANSWER_TIME, recorded).await {
        Ok(Ok(Ok(received))) => answer(received),
        Ok(Ok(Err(wrong))) if wrong.class == Class::NotFound => problem(&wrong),
        Ok(Ok(Err(wrong))) => {
            tracing::warn!(%wrong, "a delivery could not be taken");
            unavailable("not_recorded", "the delivery could not be recorded: send it again")
        }
        Ok(Err(_)) | Err(_) => unavailable("too_slow", "recording takes too long: send it again"),
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

fn answer(received: Received) -> Response {
    let status = match received {
        Received::Recorded => "recorded",
        Received::Known => "known",
        Received::Idle => "nothing_to_do",
        Received::Challenge(text) => {
            return respond(StatusCode::OK, "text/plain; charset=utf-8", text);
        }
        Received::Refused => {
            return refused(
                StatusCode::UNAUTHORIZED,
                "bad_signature",
                "the delivery is not signed as it must be, or too old",
            );
        }
    };
    respond(StatusCode::OK, "application/json", json!({ "version": 1, "status": status }).to_string())
}

fn too_large() -> Response {
    refused(StatusCode::PAYLOAD_TOO_LARGE, "too_large", "the body is larger than 5 MiB, or was cut short")
}

fn unavailable(code: &str, detail: &str) -> Response {
    refused(StatusCode::SERVICE_UNAVAILABLE, code, detail)
}
