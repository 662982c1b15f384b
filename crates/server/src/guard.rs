//! What a page in a browser sends is refused: it would act with the rights of whoever looks at it.

use axum::extract::Request;
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;

use crate::problems::refused;

/// The names of this machine that a request may be addressed to; others lead here by a trick of DNS.
pub(crate) const HOSTS: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];

/// Answers a request when it comes from a program, or from a page of this server.
pub(crate) async fn guard(request: Request, next: Next) -> Response {
    let headers = request.headers();
    if !host(headers).is_some_and(is_here) {
        return refused(
            StatusCode::FORBIDDEN,
            "foreign_host",
            "the request is addressed to another host than this machine: use http://127.0.0.1 or http://localhost",
        );
    }
    if is_from_elsewhere(headers) {
        return refused(
            StatusCode::FORBIDDEN,
            "foreign_origin",
            "pages of other origins may ask for nothing",
        );
    }
    if request.method() == Method::POST && !is_json(headers) {
        return refused(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "not_json",
            "the body is no JSON: send it with `Content-Type: application/json`",
        );
    }
    next.run(request).await
}

fn host(headers: &HeaderMap) -> Option<&str> {
    let mut all = headers.get_all(header::HOST).iter();
    let host = all.next()?.to_str().ok();
    host.filter(|_| all.next().is_none())
}

/// Whether a host, with or without a port, names this machine.
fn is_here(host: &str) -> bool {
    HOSTS.iter().any(|here| {
        let rest = host
            .get(..here.len())
            .filter(|name| name.eq_ignore_ascii_case(here))
            .map(|_| &host[here.len()..]);
        rest.is_some_and(|rest| rest.is_empty() || rest.strip_prefix(':').is_some_and(is_port))
    })
}

fn is_port(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether a browser says that another origin sends this.
fn is_from_elsewhere(headers: &HeaderMap) -> bool {
    let foreign_origin = headers.get_all(header::ORIGIN).iter().any(|origin| {
        let origin = origin.to_str().ok().and_then(|origin| origin.strip_prefix("http://"));
        origin.is_none() || origin != host(headers)
    });
    let site = headers.get_all("sec-fetch-site").iter();
    foreign_origin || site.into_iter().any(|site| site != "same-origin" && site != "none")
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_this_machine_are_hosts() {
        for here in ["localhost", "LocalHost:8080", "127.0.0.1", "127.0.0.1:1", "[::1]", "[::1]:8080"] {
            assert!(is_here(here), "{here}");
        }
        for elsewhere in [
            "",
            "example.org",
            "localhost.example.org",
            "127.0.0.1.nip.io",
            "localhost:",
            "localhost:80:80",
            "localhost@example.org",
            "127.0.0.10",
            "[::1]x",
            "::1",
            "é",
        ] {
            assert!(!is_here(elsewhere), "{elsewhere}");
        }
    }

    #[test]
    fn a_page_of_another_origin_is_told_by_any_of_its_headers() {
        let asked = |name: &'static str, value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, "localhost:8080".parse().unwrap());
            headers.insert(name, value.parse().unwrap());
            is_from_elsewhere(&headers)
        };
        assert!(!asked("accept", "*/*"));
        assert!(!asked("origin", "http://localhost:8080") && !asked("sec-fetch-site", "same-origin"));
        for origin in
            ["http://example.org", "http://localhost:8081", "https://localhost:8080", "null", "http://"]
        {
            assert!(asked("origin", origin), "{origin}");
        }
        assert!(asked("sec-fetch-site", "cross-site") && asked("sec-fetch-site", "same-site"));
    }
}
