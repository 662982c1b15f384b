//! Who asks: a token in the header `Authorization`, or somebody at this machine.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use syncline_service::{Caller, ServeConfig, Service};

use crate::problems::{problem, refused};
use crate::routes::Served;

/// Routes that answer everybody: what asks for them cannot have a token, and they tell nothing of the workspace.
const OPEN: [&str; 5] = ["/livez", "/readyz", "/docs", "/docs/page.js", "/docs/page.css"];
/// Most failed attempts of one address in [`WINDOW`] that are looked at.
const FAILURES_MAX: u32 = 20;
/// For how long failed attempts are counted.
const WINDOW: Duration = Duration::from_secs(60);
/// Most addresses that are counted; among more, all others count as one.
const ADDRESSES_MAX: usize = 4_096;

/// Where a request comes from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer(pub(crate) IpAddr);

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
        let peer = request.extensions.get::<Peer>().map_or(Ipv6Addr::UNSPECIFIED.into(), |peer| peer.0);
        return Err(gate.failures.refusal(peer, Instant::now()));
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

/// Failed attempts, by where they come from.
#[derive(Default)]
struct Failures(Mutex<HashMap<IpAddr, (u32, Instant)>>);

impl Failures {
    /// The answer to a failed attempt: the same, whatever was wrong.
    fn refusal(&self, from: IpAddr, now: Instant) -> Response {
        match self.note(from, now) {
            Some(rest) => {
                let seconds = rest.as_secs() + 1;
                let mut response = refused(
                    StatusCode::TOO_MANY_REQUESTS,
                    "too_many_failures",
                    "too many requests without a token that counts: try again later",
                );
                response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
                response
            }
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

    /// Counts a failure; when there were too many, how long it is until they are forgotten.
    fn note(&self, from: IpAddr, now: Instant) -> Option<Duration> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut key = network(from);
        if !counts.contains_key(&key) && counts.len() >= ADDRESSES_MAX {
            counts.retain(|_, (_, since)| now.duration_since(*since) < WINDOW);
            if counts.len() >= ADDRESSES_MAX {
                key = Ipv6Addr::UNSPECIFIED.into();
            }
        }
        let (count, since) = counts.entry(key).or_insert((0, now));
        if now.duration_since(*since) >= WINDOW {
            (*count, *since) = (0, now);
        }
        *count = count.saturating_add(1);
        if *count == FAILURES_MAX + 1 {
            tracing::warn!(%from, "too many requests without a token that counts");
        }
        (*count > FAILURES_MAX).then(|| WINDOW.saturating_sub(now.duration_since(*since)))
    }
}

/// What one party has: a whole /64 of IPv6.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        address => address,
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

    #[test]
    fn failures_are_limited_by_where_they_come_from_and_forgotten() {
        let (failures, now) = (Failures::default(), Instant::now());
        let [one, neighbour, other] =
            ["2001:db8::1", "2001:db8::2", "192.0.2.1"].map(|text| text.parse().unwrap());
        for _ in 0..FAILURES_MAX {
            assert_eq!(failures.note(one, now), None);
        }
        assert_eq!(failures.note(neighbour, now), Some(WINDOW), "whoever has one address has its neighbours");
        assert_eq!(failures.note(other, now), None);
        assert_eq!(failures.note(one, now + WINDOW), None);
    }

    #[test]
    fn many_addresses_take_no_more_room() {
        let (failures, now) = (Failures::default(), Instant::now());
        let mut limited = 0;
        for number in 0..u32::try_from(ADDRESSES_MAX).unwrap() + 100 {
            limited += u32::from(failures.note(IpAddr::from(number.to_be_bytes()), now).is_some());
        }
        assert!(failures.0.lock().unwrap().len() <= ADDRESSES_MAX + 1);
        assert_eq!(limited, 100 - FAILURES_MAX);
    }
}
