//! Who asks: a token in the header `Authorization`, or somebody at this machine.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::time::Instant;

use axum::http::request::Parts;
use axum::http::{Extensions, HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use syncline_service::{Caller, ServeConfig, Service};

use crate::failures::{Failures, too_many};
use crate::problems::{problem, refused};
use crate::routes::Served;

/// Routes that answer everybody: what asks for them cannot have a token, and they tell nothing of the workspace.
const OPEN: [&str; 5] = ["/livez", "/readyz", "/docs", "/docs/page.js", "/docs/page.css"];
/// Where a request comes from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer(pub(crate) IpAddr);

impl Peer {
    /// Where the request with these extensions comes from; all of which that is not known are one.
    pub(crate) fn of(extensions: &Extensions) -> IpAddr {
        extensions.get::<Self>().map_or(Ipv6Addr::UNSPECIFIED.into(), |peer| peer.0)
    }
}

/// What decides who is let in.
#[derive(Clone)]
pub(crate) struct Gate {
    pub(crate) served: Served,
    /// Whether other machines can reach it.
    pub(crate) is_exposed: bool,
    /// Whether what is said is encrypted.
    pub(crate) is_encrypted: bool,
    failures: Arc<Failures>,
}

impl Gate {
    pub(crate) fn new(served: Served, is_exposed: bool, is_encrypted: bool) -> Self {
        Self { served, is_exposed, is_encrypted, failures: Arc::default() }
    }
}

/// What the file says of serving.
pub(crate) fn settings(service: &Service) -> ServeConfig {
    service.workspace().serve.clone().unwrap_or_default()
}

/// Whether the file says that everybody needs a token.
fn requires_token(service: &Service) -> bool {
    service.workspace().serve.as_ref().is_some_and(|settings| settings.require_token)
}

/// Lets a request through with the [`Caller`] among its extensions.
///
/// A token counts wherever it is sent. Nobody else's failures keep its owner out: it is looked at first, and 256 random
/// bits are not found by trying. What is limited is what failing costs.
///
/// # Errors
/// The answer to a request that is not let through.
pub(crate) async fn authenticate(gate: &Gate, request: &mut Parts) -> Result<(), Response> {
    if OPEN.contains(&request.uri.path()) {
        return Ok(());
    }
    let Some(service) = gate.served.borrow().clone() else {
        return Err(refused(
            StatusCode::SERVICE_UNAVAILABLE,
            "not_ready",
            "no workspace is served yet: try again",
        ));
    };
    let caller = match token(&request.headers) {
        Some(Ok(token)) => service.authenticate(token).await.map_err(|wrong| problem(&wrong))?,
        Some(Err(())) => None,
        None if gate.is_exposed || requires_token(&service) => None,
        None => Some(Caller::local()),
    };
    let Some(caller) = caller else {
        return Err(refusal(&gate.failures, Peer::of(&request.extensions)));
    };
    request.extensions.insert(caller);
    Ok(())
}

/// The token of a request; an error when there is something else in its place.
fn token(headers: &HeaderMap) -> Option<Result<&str, ()>> {
    let mut all = headers.get_all(header::AUTHORIZATION).iter();
    let text = all.next()?.to_str().ok().filter(|_| all.next().is_none());
    let token = text
        .and_then(|text| text.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    Some(token.map(|(_, token)| token.trim()).ok_or(()))
}

/// The answer to a failed attempt: the same, whatever was wrong.
fn refusal(failures: &Failures, from: IpAddr) -> Response {
    match failures.note(from, Instant::now(), "requests without a token that counts") {
        Some(rest) => too_many(rest, "too many requests without a token that counts: try again later"),
        None => {
            let mut response = refused(
                StatusCode::UNAUTHORIZED,
                "unauthenticated",
                "a token that counts is needed: send it as `Authorization: Bearer …`",
            );
            let how = HeaderValue::from_static("Bearer realm=\"syncline\"");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, how);
            response
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_stands_alone_behind_its_scheme() {
        let asked = |values: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(header::AUTHORIZATION, HeaderValue::from_static(value));
            }
            token(&headers).map(|token| token.map(str::to_owned))
        };
        assert_eq!(asked(&[]), None);
        assert_eq!(asked(&["Bearer a"]), Some(Ok("a".to_owned())));
        assert_eq!(asked(&["bearer  a "]), Some(Ok("a".to_owned())));
        for wrong in [&["Basic a"][..], &["Bearer"], &["a"], &["Bearer a", "Bearer a"]] {
            assert_eq!(asked(wrong), Some(Err(())), "{wrong:?}");
        }
    }
}
