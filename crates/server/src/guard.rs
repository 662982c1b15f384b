//! What a page in a browser sends is refused: it would act with the rights of whoever looks at it.

use std::net::{IpAddr, Ipv6Addr};

use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::Response;

use crate::auth::Gate;
use crate::problems::refused;

/// The names of this machine that a request may be addressed to; others lead here by a trick of DNS.
pub(crate) const HOSTS: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];

/// The refusal of a request that comes neither from a program nor from a page of this server.
pub(crate) fn guard(gate: &Gate, request: &Parts) -> Option<Response> {
    let headers = &request.headers;
    let host = host(headers);
    let is_named = host.is_some_and(|host| is_named(gate, host));
    // An address is no trick of DNS.
    let is_addressed = gate.is_exposed && host.is_some_and(is_address);
    if !is_named && !is_addressed && !host.is_some_and(is_here) {
        return Some(refused(
            StatusCode::FORBIDDEN,
            "foreign_host",
            "the request is addressed to another host than this machine: use http://127.0.0.1 or http://localhost, or \
             name it in `serve.hosts`",
        ));
    }
    // In front of a host that was named there may be a proxy that encrypts.
    let schemes: &[&str] = match (is_named, gate.is_encrypted) {
        (true, _) => &["http://", "https://"],
        (false, true) => &["https://"],
        (false, false) => &["http://"],
    };
    if is_from_elsewhere(headers, schemes) {
        return Some(refused(
            StatusCode::FORBIDDEN,
            "foreign_origin",
            "pages of other origins may ask for nothing",
        ));
    }
    // A use case looks itself, when it is known to be one that takes a body.
    let is_unread = request.method == Method::POST && request.uri.path() == "/mcp" && !is_json(headers);
    is_unread.then(not_json)
}

/// Whether the file names a host.
fn is_named(gate: &Gate, host: &str) -> bool {
    let served = gate.served.borrow();
    let settings = served.as_ref().and_then(|service| service.workspace().serve.as_ref());
    settings.is_some_and(|settings| is_one_of(host, settings.hosts.iter().map(String::as_str)))
}

fn host(headers: &HeaderMap) -> Option<&str> {
    let mut all = headers.get_all(header::HOST).iter();
    let host = all.next()?.to_str().ok();
    host.filter(|_| all.next().is_none())
}

/// Whether a host, with or without a port, names this machine.
fn is_here(host: &str) -> bool {
    is_one_of(host, HOSTS.into_iter())
}

/// Whether a host, with or without a port, is an address.
fn is_address(host: &str) -> bool {
    let (address, port) = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, rest)) => (address.parse::<Ipv6Addr>().ok().map(IpAddr::from), rest),
        None => {
            let (address, port) = host.split_at(host.find(':').unwrap_or(host.len()));
            (address.parse().ok(), port)
        }
    };
    address.is_some() && (port.is_empty() || port.strip_prefix(':').is_some_and(is_port))
}

fn is_one_of<'a>(host: &str, mut hosts: impl Iterator<Item = &'a str>) -> bool {
    hosts.any(|here| {
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
fn is_from_elsewhere(headers: &HeaderMap, schemes: &[&str]) -> bool {
    let foreign_origin = headers.get_all(header::ORIGIN).iter().any(|origin| {
        let origin = origin.to_str().unwrap_or_default();
        let mut hosts = schemes.iter().filter_map(|scheme| origin.strip_prefix(scheme));
        !hosts.any(|origin| Some(origin) == host(headers))
    });
    let site = headers.get_all("sec-fetch-site").iter();
    foreign_origin || site.into_iter().any(|site| site != "same-origin" && site != "none")
}

/// The refusal of a body that a form of any page can send.
pub(crate) fn not_json() -> Response {
    refused(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "not_json",
        "the body is no JSON: send it with `Content-Type: application/json`",
    )
}

/// Whether a body is said to be JSON.
pub(crate) fn is_json(headers: &HeaderMap) -> bool {
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
    fn addresses_and_hosts_that_were_named_are_told_from_names() {
        for address in ["192.0.2.1", "192.0.2.1:8443", "[2001:db8::1]", "[2001:db8::1]:8443"] {
            assert!(is_address(address), "{address}");
        }
        for name in
            ["", "example.org", "192.0.2.1.nip.io", "192.0.2", "2001:db8::1", "[::1", "192.0.2.1:", "[::1]8"]
        {
            assert!(!is_address(name), "{name}");
        }
        let named = |host| is_one_of(host, ["sync.example.org"].into_iter());
        assert!(named("sync.example.org") && named("Sync.Example.org:443"));
        assert!(!named("other.example.org") && !named("sync.example.org.evil.example"));
    }

    #[test]
    fn a_page_of_another_origin_is_told_by_any_of_its_headers() {
        let asked = |name: &'static str, value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, "localhost:8080".parse().unwrap());
            headers.insert(name, value.parse().unwrap());
            is_from_elsewhere(&headers, &["http://"])
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
