//! A page to try the API with: `/docs`. It reads `/openapi.json`, and loads nothing from anywhere else.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;

use crate::problems::respond;

/// What the page may do: run its own script, and ask this server.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'; \
                      form-action 'none'; frame-ancestors 'none'";

/// The page.
pub(crate) async fn page() -> Response {
    file("text/html; charset=utf-8", include_str!("page.html"))
}

/// Its script.
pub(crate) async fn script() -> Response {
    file("text/javascript; charset=utf-8", include_str!("page.js"))
}

/// How it looks.
pub(crate) async fn style() -> Response {
    file("text/css; charset=utf-8", include_str!("page.css"))
}

fn file(kind: &'static str, text: &str) -> Response {
    let mut response = respond(StatusCode::OK, kind, text.to_owned());
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}
