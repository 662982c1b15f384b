//! What watches over the process: whether it lives, whether it works, and how it is doing in words and in figures.
//!
//! All of it is answered from what was seen last, so that asking often costs the runs nothing.

use std::sync::Arc;
use std::time::SystemTime;

use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::Response;
use syncline_service::live::{Live, Looked, Words};

use crate::problems::{refused, respond};
use crate::routes::Served;

/// Whether the process answers; nothing outside of it counts, or a remote that is away would have it restarted.
pub(crate) async fn livez() -> Response {
    respond(StatusCode::OK, "text/plain; charset=utf-8", "ok\n".to_owned())
}

/// Whether a workspace is served, its state can be read, and more is begun.
pub(crate) async fn readyz(State(served): State<Served>, State(live): State<Arc<Live>>) -> Response {
    let unready = |code, detail| refused(StatusCode::SERVICE_UNAVAILABLE, code, detail);
    if live.is_draining() {
        return unready("draining", "what is going on comes to its end, and nothing else is begun");
    }
    match live.looked().filter(|_| served.borrow().is_some()) {
        None => not_ready(),
        Some(looked) if !looked.is_well() => unready("unhealthy", "the state cannot be read: see /health"),
        Some(_) => respond(StatusCode::OK, "text/plain; charset=utf-8", "ok\n".to_owned()),
    }
}

/// How the service is doing, in the words of those who ask for health: 503 when it cannot do its work.
pub(crate) async fn health(State(live): State<Arc<Live>>, RawQuery(query): RawQuery) -> Response {
    told(&live, query.as_deref(), Words::Healthy, |looked| {
        if looked.is_well() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
    })
}

/// The same in the words of those who ask for the status, which is an answer whatever it says.
pub(crate) async fn status(State(live): State<Arc<Live>>, RawQuery(query): RawQuery) -> Response {
    told(&live, query.as_deref(), Words::Ok, |_| StatusCode::OK)
}

fn told(live: &Live, query: Option<&str>, words: Words, code: impl Fn(&Looked) -> StatusCode) -> Response {
    let words = match query {
        None | Some("") => words,
        Some("words=healthy") => Words::Healthy,
        Some("words=ok") => Words::Ok,
        Some(_) => {
            let detail = "only `words=healthy` or `words=ok` can be asked for";
            return refused(StatusCode::BAD_REQUEST, "bad_request", detail);
        }
    };
    let Some(looked) = live.looked() else { return not_ready() };
    respond(code(&looked), "application/json", looked.json(words, now()))
}

/// Figures in the text format of Prometheus.
pub(crate) async fn metrics(State(live): State<Arc<Live>>) -> Response {
    // It asks the system about this process, which may block.
    let told = tokio::task::spawn_blocking(move || live.metrics(now())).await;
    match told {
        Ok(Some(text)) => respond(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", text),
        Ok(None) => not_ready(),
        Err(_) => refused(StatusCode::INTERNAL_SERVER_ERROR, "died", "it ended unexpectedly"),
    }
}

fn not_ready() -> Response {
    let detail = "no workspace is served yet: try again";
    refused(StatusCode::SERVICE_UNAVAILABLE, "not_ready", detail)
}

/// Nanoseconds since 1970.
fn now() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}
