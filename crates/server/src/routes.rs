//! The routes: one for each use case of the list, and those that watch over the process.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::to_bytes;
use axum::extract::{FromRef, Request, State};
use axum::http::StatusCode;
use axum::middleware::from_fn;
use axum::response::Response;
use axum::routing::{get, post};
use serde_json::Value;
use syncline_service::live::Live;
use syncline_service::{Method, OPERATIONS, Operation, Problem, Service};
use tokio::sync::{Semaphore, watch as signal};

use crate::events::{self, LISTENERS_MAX};
use crate::guard::guard;
use crate::openapi::{API, EVENTS, document};
use crate::probes;
use crate::problems::{problem, refused, respond};
use crate::query;

/// Most bytes of a request: a saved plan is the largest.
const BODY_BYTES_MAX: usize = 16 << 20;
/// How long a client may take for the body of a request.
const BODY_TIME: Duration = Duration::from_secs(30);

/// The workspace that is served; none before the first one is.
pub(crate) type Served = signal::Receiver<Option<Arc<Service>>>;

/// What requests are answered from.
#[derive(Clone)]
pub(crate) struct App {
    pub(crate) served: Served,
    pub(crate) live: Arc<Live>,
    /// Turns true when streams are to end.
    pub(crate) stop: signal::Receiver<bool>,
    /// Places for those who listen to events.
    pub(crate) places: Arc<Semaphore>,
}

impl App {
    pub(crate) fn new(served: Served, live: Arc<Live>, stop: signal::Receiver<bool>) -> Self {
        Self { served, live, stop, places: Arc::new(Semaphore::new(LISTENERS_MAX as usize)) }
    }
}

impl FromRef<App> for Served {
    fn from_ref(app: &App) -> Self {
        app.served.clone()
    }
}

impl FromRef<App> for Arc<Live> {
    fn from_ref(app: &App) -> Self {
        Self::clone(&app.live)
    }
}

/// All routes.
pub(crate) fn router(app: App) -> Router {
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
        .route("/health", get(probes::health))
        .route("/status", get(probes::status))
        .route("/metrics", get(probes::metrics))
        .route(EVENTS, get(events::stream))
        .route(&format!("{EVENTS}/ws"), get(events::socket))
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
        .with_state(app)
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
