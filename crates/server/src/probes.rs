//! What watches over the process: whether it lives, whether it works, and how it is doing in figures.

use std::fmt::Write as _;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use syncline_service::Caller;
use syncline_service::operations::watch_status::watch_status;
use syncline_service::wire::Watch;

use crate::problems::{problem, refused, respond};
use crate::routes::{Served, seen_by};

/// Whether the process answers; nothing outside of it counts, or a remote that is away would have it restarted.
pub(crate) async fn livez() -> Response {
    respond(StatusCode::OK, "text/plain; charset=utf-8", "ok\n".to_owned())
}

/// Whether a workspace is served.
pub(crate) async fn readyz(State(served): State<Served>) -> Response {
    if served.borrow().is_none() {
        return refused(
            StatusCode::SERVICE_UNAVAILABLE,
            "not_ready",
            "no workspace is served yet: try again",
        );
    }
    respond(StatusCode::OK, "text/plain; charset=utf-8", "ok\n".to_owned())
}

/// Figures in the text format of Prometheus.
pub(crate) async fn metrics(State(served): State<Served>, request: Request) -> Response {
    let service = match seen_by(&served, request.extensions().get::<Caller>()) {
        Ok(service) => service,
        Err(response) => return *response,
    };
    // It looks at files, which may block.
    let looked = tokio::task::spawn_blocking(move || watch_status(&service)).await;
    match looked {
        Ok(Ok(status)) => {
            let text = status.watch.as_ref().map(exposition).unwrap_or_default();
            respond(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", text)
        }
        Ok(Err(wrong)) => problem(&wrong),
        Err(_) => refused(StatusCode::INTERNAL_SERVER_ERROR, "died", "it ended unexpectedly"),
    }
}

/// A figure of each target: its name, what it means, and its value where it has one.
type Figure = (&'static str, &'static str, fn(&syncline_service::wire::WatchedTarget) -> Option<u64>);

const FIGURES: [Figure; 3] = [
    ("syncline_target_last_run_success", "Whether the last run did all that it was to do.", |target| {
        target.last_run.as_ref().map(|last| u64::from(last.success))
    }),
    (
        "syncline_target_failures_in_a_row",
        "How many runs and tries in a row did not do all that they were to do.",
        |target| Some(target.failures.into()),
    ),
    ("syncline_target_offline", "Whether the remote is away.", |target| {
        Some(target.offline.is_some().into())
    }),
];

fn exposition(watch: &Watch) -> String {
    let mut text = String::new();
    for (name, help, value) in FIGURES {
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} gauge");
        for target in &watch.targets {
            if let Some(value) = value(target) {
                // Names of targets are letters, digits, `.`, `_` and `-`: nothing has to be escaped.
                let _ = writeln!(text, "{name}{{target=\"{}\"}} {value}", target.target);
            }
        }
    }
    text
}
