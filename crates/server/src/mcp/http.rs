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
use crate::guard::HOSTS;
use crate::routes::{BODY_BYTES_MAX, Served, read};

/// What answers at the address.
#[derive(Clone)]
pub(crate) struct Mcp {
    service: StreamableHttpService<Face, NeverSessionManager>,
}

impl Mcp {
    /// Answers about the workspace that is served.
    pub(crate) fn new(served: Served) -> Self {
        let open: Open = Arc::new(move || {
            let not_ready =
                || Problem::new(Class::Unavailable, "not_ready", "no workspace is served yet: try again");
            served.borrow().clone().ok_or_else(not_ready)
        });
        let face = Face::new(open);
        // The server's own guard has judged both headers before; this one judges them by other code.
        let origins = HOSTS.iter().map(|host| format!("http://{host}:*"));
        let config = StreamableHttpServerConfig::default()
            .with_allowed_hosts(HOSTS)
            .with_allowed_origins(origins)
            .enforce_origin_validation()
            .with_legacy_session_mode(false)
            .with_json_response(true)
            .with_max_request_body_bytes(BODY_BYTES_MAX);
        let service = StreamableHttpService::new(move || Ok(face.clone()), Arc::default(), config);
        Self { service }
    }

    /// Answers one request.
    pub(crate) async fn answer(self, request: Request) -> Response {
        let (parts, body) = request.into_parts();
        let body = match read(body).await {
            Ok(bytes) => Body::from(bytes),
            Err(refused) => return refused,
        };
        let mut response = self.service.handle(Request::from_parts(parts, body)).await.map(Body::new);
        let headers = response.headers_mut();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        response
    }
}
