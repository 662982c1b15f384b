//! The routes: one for each use case of the list, and those that watch over the process.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::to_bytes;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::from_fn;
use axum::response::Response;
use axum::routing::{get, post};
use serde_json::Value;
use syncline_service::{Method, OPERATIONS, Operation, Problem, Service};
use tokio::sync::watch as signal;

use crate::guard::guard;
use crate::hooks;
use crate::openapi::{API, document};
use crate::probes;
use crate::problems::{problem, refused, respond};
use crate::query;

/// Most bytes of a request: a saved plan is the largest.
const BODY_BYTES_MAX: usize = 16 << 20;
/// How long a client may take for the body of a request.
const BODY_TIME: Duration = Duration::from_secs(30);

/// The workspace that is served; none before the first one is.
pub(crate) type Served = signal::Receiver<Option<Arc<Service>>>;

/// All routes.
pub(crate) fn router(served: Served) -> Router {
    let mut router = Router::new();
    for operation in OPERATIONS {
        let path = format!("{API}{}", operation.route.path);
        let perform =
            move |State(served): State<Served>, request: Request| perform(served, operation, request);
        router = match operation.route.method {
            Method::Get => router.route(&path, get(perform)),
            Method::Post => router.route(&path, post(perform)),
        };
    }
    router
        .route("/openapi.json", get(async || json(&document())))
        .route("/livez", get(probes::livez))
        .route("/readyz", get(probes::readyz))
        .route("/metrics", get(probes::metrics))
        .fallback(async || {
            refused(StatusCode::NOT_FOUND, "unknown_route", "there is nothing here: see /openapi.json")
        })
        .method_not_allowed_fallback(async || {
            refused(
                StatusCode::METHOD_NOT_ALLOWED,
                "wrong_method",
                "this cannot be done here: see /openapi.json",
            )
        })
        .layer(from_fn(guard))
        .with_state(served.clone())
        // Whoever sends them has neither a token nor this machine for a host: these check what they are sent themselves.
        .merge(hooks::router(served))
}

async fn perform(served: Served, operation: &'static Operation, request: Request) -> Response {
    let Some(service) = served.borrow().clone() else {
        return refused(
            StatusCode::SERVICE_UNAVAILABLE,
            "not_ready",
            "no workspace is served yet: try again",
        );
    };
    let asked = match operation.route.method {
        Method::Get => {
            let schema = (operation.request)().to_value();
            Ok(query::request(request.uri().query().unwrap_or_default(), &schema))
        }
        Method::Post => body(request).await,
    };
    let asked = match asked {
        Ok(asked) => asked,
        Err(response) => return response,
    };
    // A task of its own: what has begun comes to its end, also when nobody waits for it any more.
    let done = tokio::spawn(async move { (operation.call)(&service, asked).await }).await;
    match done {
        Ok(Ok(answer)) => json(&answer),
        Ok(Err(wrong)) => problem(&wrong),
        Err(error) => {
            tracing::error!(%error, operation = operation.name, "an operation ended unexpectedly");
            refused(StatusCode::INTERNAL_SERVER_ERROR, "died", "it ended unexpectedly; the log says more")
        }
    }
}

/// The body of a request, within its limits; an empty one leaves everything open.
async fn body(request: Request) -> Result<Value, Response> {
    let read = tokio::time::timeout(BODY_TIME, to_bytes(request.into_body(), BODY_BYTES_MAX));
    let bytes = match read.await {
        Ok(Ok(bytes)) => bytes,
        Ok(Err(_)) => {
            return Err(refused(
                StatusCode::PAYLOAD_TOO_LARGE,
                "too_large",
                "the body is larger than 16 MiB, or was cut short",
            ));
        }
        Err(_) => {
            return Err(refused(StatusCode::REQUEST_TIMEOUT, "too_slow", "the body took longer than 30 s"));
        }
    };
    if bytes.is_empty() {
        return Ok(Value::Null);
    }
    serde_json::from_slice(&bytes)
        .map_err(|error| problem(&Problem::usage("bad_request", format!("the body is no JSON: {error}"))))
}

fn json(value: &Value) -> Response {
    respond(StatusCode::OK, "application/json", value.to_string())
}
