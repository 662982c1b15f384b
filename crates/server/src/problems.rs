//! Problems as RFC 9457 has them: `application/problem+json`.

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use serde_json::{Value, json};
use syncline_service::Problem;

/// A problem of a use case.
pub(crate) fn problem(problem: &Problem) -> Response {
    let (status, text) = described(problem);
    respond(status, "application/problem+json", text)
}

/// The status and the text of a problem.
pub(crate) fn described(problem: &Problem) -> (StatusCode, String) {
    let status = StatusCode::from_u16(problem.http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut members = serde_json::to_value(problem.to_wire()).unwrap_or_default();
    if let Some(members) = members.as_object_mut() {
        let detail = members.remove("message").unwrap_or_default();
        members.extend(common(status, detail));
    }
    (status, members.to_string())
}

/// A request that reaches no use case.
pub(crate) fn refused(status: StatusCode, code: &str, detail: &str) -> Response {
    let mut members = common(status, detail.into());
    members.insert("code".to_owned(), code.into());
    respond(status, "application/problem+json", Value::Object(members).to_string())
}

fn common(status: StatusCode, detail: Value) -> serde_json::Map<String, Value> {
    let title = status.canonical_reason().unwrap_or("Error");
    let members =
        json!({ "type": "about:blank", "title": title, "status": status.as_u16(), "detail": detail });
    members.as_object().cloned().unwrap_or_default()
}

/// A response of one text; what is told is of this moment, and for nobody else.
pub(crate) fn respond(status: StatusCode, kind: &'static str, text: String) -> Response {
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_TYPE, kind),
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}
