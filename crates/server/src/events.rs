//! The feed of events: as server-sent events, and over a WebSocket.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{Message as Frame, WebSocket, WebSocketUpgrade};
use axum::extract::{Extension, RawQuery, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse as _, Response};
use futures_util::stream::{self, Stream, StreamExt as _};
use syncline_service::Caller;
use syncline_service::live::{Listener, Message};
use tokio::sync::{OwnedSemaphorePermit, watch as signal};

use crate::problems::{problem, refused};
use crate::routes::{App, seen_by};
use crate::seats::Seat;

/// Most targets of a filter.
const TARGETS_MAX: usize = 100;
/// How often something is sent when nothing happens, so that nobody on the way takes the connection for dead.
const BEAT_EVERY: Duration = Duration::from_secs(15);
/// Most bytes that a client may send over a WebSocket at once: it has nothing to say.
const FRAME_BYTES_MAX: usize = 1 << 12;

/// Events as a stream that browsers and `curl` understand: <https://html.spec.whatwg.org/multipage/server-sent-events.html>.
pub(crate) async fn stream(
    State(app): State<App>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
    caller: Option<Extension<Caller>>,
) -> Response {
    let (listener, place) = match listen(&app, caller, &headers, query.as_deref()) {
        Ok(listening) => listening,
        Err(response) => return response,
    };
    let events = messages(listener, app.stop).flat_map(stream::iter).map(move |message| {
        // It is given back when the stream is dropped.
        let _ = &place;
        Ok::<_, Infallible>(Event::default().id(message.id).event(message.event).data(message.data))
    });
    let mut response = Sse::new(events).keep_alive(KeepAlive::new().interval(BEAT_EVERY)).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    // A proxy that collects what it is sent would hold events back.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

/// Events as the text messages of a WebSocket, each one JSON object.
pub(crate) async fn socket(
    State(app): State<App>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
    (caller, seat): (Option<Extension<Caller>>, Option<Extension<Seat>>),
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Response {
    let upgrade = match upgrade {
        Ok(upgrade) => upgrade.max_message_size(FRAME_BYTES_MAX).max_frame_size(FRAME_BYTES_MAX),
        Err(rejection) => {
            return refused(rejection.status(), "no_websocket", "this is for WebSockets: see /api/v1/events");
        }
    };
    match listen(&app, caller, &headers, query.as_deref()) {
        Ok((listener, place)) => {
            if let Some(Extension(seat)) = &seat {
                seat.stay();
            }
            upgrade.on_upgrade(async move |socket| {
                converse(socket, listener, app.stop).await;
                drop((place, seat));
            })
        }
        Err(response) => response,
    }
}

/// Sends events until the client, or this process, has had enough.
async fn converse(mut socket: WebSocket, mut listener: Listener, mut stop: signal::Receiver<bool>) {
    let mut beat = tokio::time::interval(BEAT_EVERY);
    beat.tick().await;
    loop {
        tokio::select! {
            biased;
            messages = listener.next() => {
                for message in messages {
                    if socket.send(Frame::Text(message.data.into())).await.is_err() {
                        return;
                    }
                }
            }
            () = ending(&mut stop) => break,
            heard = socket.recv() => match heard {
                Some(Ok(Frame::Close(_)) | Err(_)) | None => return,
                // Whatever it says: there is nothing to be asked here. What is to be answered was answered.
                Some(Ok(_)) => {}
            },
            _ = beat.tick() => {
                if socket.send(Frame::Ping(Vec::new().into())).await.is_err() {
                    return;
                }
            }
        }
    }
    let _ = socket.send(Frame::Close(None)).await;
}

/// What a client listens to from now on, and its place among the listeners.
#[expect(clippy::result_large_err, reason = "a response, which is made once for each request")]
fn listen(
    app: &App,
    caller: Option<Extension<Caller>>,
    headers: &HeaderMap,
    query: Option<&str>,
) -> Result<(Listener, OwnedSemaphorePermit), Response> {
    let mut after = headers.get("last-event-id").and_then(|id| id.to_str().ok()).map(str::to_owned);
    let mut targets = Vec::new();
    for (key, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
        match &*key {
            // A browser that comes back says in the header what it heard last, and repeats the address as it was.
            "after" if after.is_none() => after = Some(value.into_owned()),
            "after" => {}
            "target" if targets.len() < TARGETS_MAX => targets.push(value.into_owned()),
            _ => {
                let detail = "only `after`, and `target` at most 100 times, can be asked for";
                return Err(refused(StatusCode::BAD_REQUEST, "bad_request", detail));
            }
        }
    }
    // What is asked of a target that there is not would be waited for in vain.
    let caller = caller.map(|Extension(caller)| caller);
    let service = seen_by(&app.gate.served, caller.as_ref()).map_err(|response| *response)?;
    for target in &targets {
        service.check_target(target).map_err(|wrong| problem(&wrong))?;
    }
    let place = Arc::clone(&app.places).try_acquire_owned().map_err(|_| {
        let detail = "so many listen already that there is no place left: try again later";
        refused(StatusCode::SERVICE_UNAVAILABLE, "too_many_listeners", detail)
    })?;
    Ok((app.live.feed().listen(after.as_deref(), targets), place))
}

async fn ending(stop: &mut signal::Receiver<bool>) {
    // A sender that is gone counts as a stop.
    let _ = stop.wait_for(|stop| *stop).await;
}

/// What is heard, until this process has had enough.
fn messages(listener: Listener, stop: signal::Receiver<bool>) -> impl Stream<Item = Vec<Message>> {
    stream::unfold((listener, stop), async |(mut listener, mut stop)| {
        let messages = tokio::select! {
            // What was told before the end is sent before it.
            biased;
            messages = listener.next() => messages,
            () = ending(&mut stop) => return None,
        };
        Some((messages, (listener, stop)))
    })
}
