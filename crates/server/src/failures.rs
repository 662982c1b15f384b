//! Failed attempts, counted by where they come from, so that what failing costs has a limit.
//!
//! Whoever has failed too often is told to come again later; what proves to be genuine is never turned away for the
//! failures of others, who may come from the same address as a proxy hands them on.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;

use crate::problems::refused;

/// Most failed attempts of one address in [`WINDOW`] that are looked at.
pub(crate) const FAILURES_MAX: u32 = 20;
/// For how long failed attempts are counted.
const WINDOW: Duration = Duration::from_secs(60);
/// Most addresses that are counted; among more, all others count as one.
const ADDRESSES_MAX: usize = 4_096;

/// Failed attempts, by where they come from.
#[derive(Default)]
pub(crate) struct Failures(Mutex<HashMap<IpAddr, (u32, Instant)>>);

impl Failures {
    /// Counts a failure of `what`; when there were too many, how long it is until they are forgotten.
    pub(crate) fn note(&self, from: IpAddr, now: Instant, what: &'static str) -> Option<Duration> {
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
            tracing::warn!(%from, "too many {what}");
        }
        (*count > FAILURES_MAX).then(|| WINDOW.saturating_sub(now.duration_since(*since)))
    }
}

/// The answer to whoever has failed too often, and is to come again after `rest`.
pub(crate) fn too_many(rest: Duration, detail: &str) -> Response {
    let mut response = refused(StatusCode::TOO_MANY_REQUESTS, "too_many_failures", detail);
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(rest.as_secs() + 1));
    response
}

/// What one party has: a whole /64 of IPv6.
pub(crate) fn network(address: IpAddr) -> IpAddr {
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
    fn failures_are_limited_by_where_they_come_from_and_forgotten() {
        let (failures, now) = (Failures::default(), Instant::now());
        let [one, neighbour, other] =
            ["2001:db8::1", "2001:db8::2", "192.0.2.1"].map(|text| text.parse().unwrap());
        for _ in 0..FAILURES_MAX {
            assert_eq!(failures.note(one, now, "attempts"), None);
        }
        let refused = failures.note(neighbour, now, "attempts");
        assert_eq!(refused, Some(WINDOW), "whoever has one address has its neighbours");
        assert_eq!(failures.note(other, now, "attempts"), None);
        assert_eq!(failures.note(one, now + WINDOW, "attempts"), None);
    }

    #[test]
    fn many_addresses_take_no_more_room() {
        let (failures, now) = (Failures::default(), Instant::now());
        let mut limited = 0;
        for number in 0..u32::try_from(ADDRESSES_MAX).unwrap() + 100 {
            let from = IpAddr::from(number.to_be_bytes());
            limited += u32::from(failures.note(from, now, "attempts").is_some());
        }
        assert!(failures.0.lock().unwrap().len() <= ADDRESSES_MAX + 1);
        assert_eq!(limited, 100 - FAILURES_MAX);
    }
}
