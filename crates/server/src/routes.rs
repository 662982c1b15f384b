//! The routes: one for each use case of the list, and those that watch over the process.

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes, HttpBody as _, to_bytes};
use axum::extract::{FromRef, FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::{from_extractor, from_extractor_with_state};
use axum::response::Response;
use axum::routing::{any, get, post};
use serde_json::Value;
use syncline_service::live::Live;
use syncline_service::{
    Caller, Method, OPERATIONS, Operation, Problem, Replay, Scope, ServeConfig, Service, Ticket,
};
use tokio::sync::{Semaphore, watch as signal};

use crate::auth::{Gate, authenticate, settings};
use crate::events;
use crate::guard::{guard, is_json, not_json};
use crate::hooks;
use crate::mcp::Mcp;
use crate::openapi::{API, EVENTS, document};
use crate::probes;
use crate::problems::{described, problem, refused, respond};
use crate::seats::Seat;
use crate::{query, trying};

/// The header with which a request names itself.
const KEY: &str = "idempotency-key";
/// How its callers ask, in the records of runs.
const FACE: &str = "http";
/// Use cases whose answer is a secret, which is never kept.
const SECRET: [&str; 1] = ["create_token"];

/// The workspace that is served; none before the first one is.
pub(crate) type Served = signal::Receiver<Option<Arc<Service>>>;

/// What requests are answered from.
#[derive(Clone)]
pub(crate) struct App {
    pub(crate) gate: Gate,
    pub(crate) live: Arc<Live>,
    /// Turns true when streams are to end.
    pub(crate) stop: signal::Receiver<bool>,
    /// Places for those who listen to events.
    pub(crate) places: Arc<Semaphore>,
}

impl App {
    /// With places for so many `listeners`.
    pub(crate) fn new(gate: Gate, live: Arc<Live>, stop: signal::Receiver<bool>, listeners: usize) -> Self {
        Self { gate, live, stop, places: Arc::new(Semaphore::new(listeners)) }
    }
}

impl FromRef<App> for Served {
    fn from_ref(app: &App) -> Self {
        app.gate.served.clone()
    }
}

impl FromRef<App> for Arc<Live> {
    fn from_ref(app: &App) -> Self {
        Self::clone(&app.live)
    }
}

/// All routes.
pub(crate) fn router(app: App) -> Router {
    let (gate, served) = (app.gate.clone(), app.gate.served.clone());
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
    let mcp = Mcp::new(served.clone());
    let overview = Router::new()
        .route("/health", get(probes::health))
        .route("/status", get(probes::status))
        .route("/metrics", get(probes::metrics))
        .route(EVENTS, get(events::stream))
        .route(&format!("{EVENTS}/ws"), get(events::socket))
        .route_layer(from_extractor::<OfAllTargets>());
    router
        .merge(overview)
        .route("/mcp", any(move |request: Request| mcp.clone().answer(request)))
        .route("/openapi.json", get(async || json(&document())))
        .route("/docs", get(trying::page))
        .route("/docs/page.js", get(trying::script))
        .route("/docs/page.css", get(trying::style))
        .route("/livez", get(probes::livez))
        .route("/readyz", get(probes::readyz))
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
        .layer(from_extractor_with_state::<Admitted, Gate>(gate))
        .with_state(app)
        // Whoever sends them has neither a token nor this machine for a host: these check what they are sent themselves.
        .merge(hooks::router(served))
}

/// A request that comes from whom it may, with the [`Caller`] among its extensions.
///
/// It, and what follows, is extracted and not a function around the rest: that one would cost as much again as the answer.
struct Admitted;

impl FromRequestParts<Gate> for Admitted {
    type Rejection = Response;

    async fn from_request_parts(request: &mut Parts, gate: &Gate) -> Result<Self, Response> {
        if let Some(refusal) = guard(gate, request) {
            return Err(refusal);
        }
        authenticate(gate, request).await?;
        // Whoever still has a body to send may take its time with that at nobody's cost.
        if !has_body(&request.headers) {
            Seat::settle_of(&request.extensions);
        }
        Ok(Self)
    }
}

/// Whether a request says that a body follows.
fn has_body(headers: &HeaderMap) -> bool {
    let is_empty = headers.get(header::CONTENT_LENGTH).is_none_or(|length| length == "0");
    !is_empty || headers.contains_key(header::TRANSFER_ENCODING)
}

/// A request of somebody who may look at all targets: what these routes tell is of all of them.
struct OfAllTargets;

impl<S: Sync> FromRequestParts<S> for OfAllTargets {
    type Rejection = Response;

    async fn from_request_parts(request: &mut Parts, _: &S) -> Result<Self, Response> {
        let Some(caller) = request.extensions.get::<Caller>() else {
            return Err(refused(StatusCode::UNAUTHORIZED, "unauthenticated", "nobody is known to ask"));
        };
        let checked = caller.check(Scope::Read).and_then(|()| caller.check_all_targets());
        checked.map(|()| Self).map_err(|wrong| problem(&wrong))
    }
}

/// The workspace, as there is one for whoever asks.
///
/// # Errors
/// The answer, when none is served or nobody was told of as the caller.
pub(crate) fn seen_by(served: &Served, caller: Option<&Caller>) -> Result<Service, Box<Response>> {
    let Some(service) = served.borrow().clone() else {
        let message = "no workspace is served yet: try again";
        return Err(Box::new(refused(StatusCode::SERVICE_UNAVAILABLE, "not_ready", message)));
    };
    let Some(caller) = caller else {
        let message = "nobody is known to ask";
        return Err(Box::new(refused(StatusCode::UNAUTHORIZED, "unauthenticated", message)));
    };
    service.for_caller(caller, FACE).map_err(|wrong| Box::new(problem(&wrong)))
}

async fn perform(served: Served, operation: &'static Operation, request: Request) -> Response {
    match prepared(&served, operation, request).await {
        Ok((service, asked, ticket)) => carry_out(service, operation, asked, ticket).await,
        Err(response) => response,
    }
}

/// Whoever asks, what is asked, and the right to answer it once, when it names itself.
async fn prepared(
    served: &Served,
    operation: &'static Operation,
    request: Request,
) -> Result<(Service, Value, Option<Ticket>), Response> {
    let caller = request.extensions().get::<Caller>();
    let service = seen_by(served, caller).map_err(|response| *response)?;
    service.caller().check(operation.scope).map_err(|wrong| problem(&wrong))?;
    if operation.route.method == Method::Get {
        let schema = (operation.request)().to_value();
        return Ok((service, query::request(request.uri().query().unwrap_or_default(), &schema), None));
    }
    if !is_json(request.headers()) {
        return Err(not_json());
    }
    let key = key(&request).map_err(|wrong| problem(&wrong))?;
    let asked = body(request, &settings(&service)).await?;
    let Some(key) = key else { return Ok((service, asked, None)) };
    if SECRET.contains(&operation.name) {
        let message = "the answer is a secret, which is told once and never again: send no key";
        return Err(problem(&Problem::usage("bad_key", message)));
    }
    match service.replay(&key, operation, &asked).await {
        Ok(Replay::New(ticket)) => Ok((service, asked, Some(ticket))),
        Ok(Replay::Again { status, body }) => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            let kind = if status.is_success() { "application/json" } else { "application/problem+json" };
            let mut response = respond(status, kind, body);
            response.headers_mut().insert("idempotent-replayed", HeaderValue::from_static("true"));
            Err(response)
        }
        Err(wrong) => Err(problem(&wrong)),
    }
}

/// The key with which a request names itself.
fn key(request: &Request) -> Result<Option<String>, Problem> {
    let mut keys = request.headers().get_all(KEY).iter();
    let Some(key) = keys.next() else { return Ok(None) };
    let one = key.to_str().ok().filter(|_| keys.next().is_none());
    match one {
        Some(key) => Ok(Some(key.to_owned())),
        None => Err(Problem::usage("bad_key", "a request has one key, of characters of ASCII")),
    }
}

async fn carry_out(
    service: Service,
    operation: &'static Operation,
    asked: Value,
    ticket: Option<Ticket>,
) -> Response {
    // A task of its own: what has begun comes to its end, also when nobody waits for it any more.
    let done = tokio::spawn(async move {
        let answered = (operation.call)(&service, asked).await;
        if let Some(ticket) = ticket {
            match &answered {
                Ok(answer) => service.answered(ticket, StatusCode::OK.as_u16(), &answer.to_string()).await,
                Err(wrong) => service.answered(ticket, wrong.http_status(), &described(wrong).1).await,
            }
        }
        answered
    });
    match done.await {
        Ok(Ok(answer)) => json(&answer),
        Ok(Err(wrong)) => problem(&wrong),
        Err(error) => {
            tracing::error!(%error, operation = operation.name, "an operation ended unexpectedly");
            refused(StatusCode::INTERNAL_SERVER_ERROR, "died", "it ended unexpectedly; the log says more")
        }
    }
}

/// The request in a body; an empty one leaves everything open.
async fn body(request: Request, settings: &ServeConfig) -> Result<Value, Response> {
    let (head, body) = request.into_parts();
    let bytes = read(body, settings).await?;
    Seat::settle_of(&head.extensions);
    if bytes.is_empty() {
        return Ok(Value::Null);
    }
    let wrong = |why: String| problem(&Problem::usage("bad_request", why));
    match serde_json::from_slice(&bytes) {
        Ok(Value::Null) => Err(wrong("the body is `null`, and no request".to_owned())),
        Ok(asked) => Ok(asked),
        Err(error) => Err(wrong(format!("the body is no JSON: {error}"))),
    }
}

/// Reads a body, within its limits.
pub(crate) async fn read(body: Body, settings: &ServeConfig) -> Result<Bytes, Response> {
    let limit = usize::try_from(settings.body_max).unwrap_or(usize::MAX);
    let too_large = || {
        let message = format!("the body is larger than {limit} bytes, or was cut short");
        refused(StatusCode::PAYLOAD_TOO_LARGE, "too_large", &message)
    };
    // Whoever says beforehand how much it is to be is told before any of it is sent.
    if body.size_hint().lower() > settings.body_max {
        return Err(too_large());
    }
    match tokio::time::timeout(settings.body_time, to_bytes(body, limit)).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(_)) => Err(too_large()),
        Err(_) => {
            let message = format!("the body took longer than {} s", settings.body_time.as_secs());
            Err(refused(StatusCode::REQUEST_TIMEOUT, "too_slow", &message))
        }
    }
}

fn json(value: &Value) -> Response {
    respond(StatusCode::OK, "application/json", value.to_string())
}
