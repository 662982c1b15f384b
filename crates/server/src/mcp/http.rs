//! Over HTTP: one address of the server, without sessions, so that there is none to steal.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderValue, header};
use axum::response::Response;
use rmcp::transport::streamable_http_server::session::never::NeverSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use syncline_service::{Class, Problem};

use super::{Face, Open};
use crate::auth::settings;
use crate::routes::{Served, read};
use crate::seats::Seat;

/// What answers at the address.
#[derive(Clone)]
pub(crate) struct Mcp {
    service: StreamableHttpService<Face, NeverSessionManager>,
    served: Served,
}

impl Mcp {
    /// Answers about the workspace that is served.
    pub(crate) fn new(served: Served) -> Self {
        let now = served.clone();
        let open: Open = Arc::new(move || {
            let not_ready =
                || Problem::new(Class::Unavailable, "not_ready", "no workspace is served yet: try again");
            now.borrow().clone().ok_or_else(not_ready)
        });
        let face = Face::new(open);
        // The server's own guard has judged hosts and origins, by what the configuration says now; bodies are read by it.
        let config = StreamableHttpServerConfig::default()
            .disable_allowed_hosts()
            .disable_allowed_origins()
            .with_legacy_session_mode(false)
            .with_json_response(true)
            .with_max_request_body_bytes(usize::MAX);
        let service = StreamableHttpService::new(move || Ok(face.clone()), Arc::default(), config);
        Self { service, served }
    }

    /// Answers one request.
    pub(crate) async fn answer(self, request: Request) -> Response {
        let (parts, body) = request.into_parts();
        let limits = self.served.borrow().as_deref().map(settings).unwrap_or_default();
        let body = match read(body, &limits).await {
            Ok(bytes) => Body::from(bytes),
            Err(refused) => return refused,
        };
        Seat::settle_of(&parts.extensions);
        let mut response = self.service.handle(Request::from_parts(parts, body)).await.map(Body::new);
        let headers = response.headers_mut();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        response
    }
}

#[cfg(test)]
mod tests {
    use axum::body::to_bytes;
    use serde_json::{Value, json};
    use syncline_service::{Caller, Scope};
    use tokio::sync::watch as signal;

    use super::*;
    /// What is answered to a caller, or to one whom nothing tells of.
    async fn ask(caller: Option<Caller>, method: &str, params: Value) -> Value {
        let (_serving, served) = signal::channel(None);
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        let request = Request::post("/mcp")
            .header(header::HOST, "localhost:8080")
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::ACCEPT, "application/json, text/event-stream")
            .header("mcp-protocol-version", "2025-11-25");
        let mut request = request.body(Body::from(body.to_string())).unwrap();
        if let Some(caller) = caller {
            request.extensions_mut().insert(caller);
        }
        let answer = Mcp::new(served).answer(request).await;
        let bytes = to_bytes(answer.into_body(), 1 << 20).await.unwrap();
        serde_json::from_slice(&bytes).unwrap()
    }

    /// The code with which a tool refuses a caller.
    async fn refusal(caller: Option<Caller>, tool: &str) -> String {
        let params = json!({ "name": tool, "arguments": { "dry_run": true } });
        let answer = ask(caller, "tools/call", params).await;
        answer["result"]["_meta"]["syncline/problem"]["code"].as_str().unwrap().to_owned()
    }

    #[tokio::test]
    async fn who_may_only_read_sees_and_calls_only_what_reads() {
        let read = || Some(Caller { scopes: [Scope::Read].into(), ..Caller::local() });
        let listed = ask(read(), "tools/list", json!({})).await["result"]["tools"].to_string();
        assert!(listed.contains("\"sync_status\"") && !listed.contains("\"sync_trigger\""), "{listed}");
        assert_eq!(refusal(read(), "rollback").await, "forbidden");
        assert_eq!(refusal(read(), "sync_status").await, "not_ready", "it came as far as the workspace");
        assert_eq!(refusal(None, "sync_status").await, "forbidden");
        let resources = ask(None, "resources/list", json!({})).await;
        assert_eq!(resources["error"]["data"]["code"], "forbidden", "{resources}");
        assert_eq!(refusal(Some(Caller::local()), "rollback").await, "not_ready");
    }

    #[tokio::test]
    async fn a_body_beyond_the_limit_is_refused_before_it_is_understood() {
        let (_serving, served) = signal::channel(None);
        let limit = usize::try_from(syncline_service::ServeConfig::default().body_max).unwrap();
        let body = Body::from("x".repeat(limit + 1));
        let answer = Mcp::new(served).answer(Request::post("/mcp").body(body).unwrap()).await;
        assert_eq!(answer.status(), 413);
    }
}
