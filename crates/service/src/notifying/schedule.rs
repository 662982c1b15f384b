//! When a message is tried again.

use std::time::Duration;

use syncline_connect::Receipt;
use syncline_core::Nanos;
use syncline_store::Verdict;

/// How long it is waited after the first try, the second, and so on; after the last one there is none. As Standard Webhooks
/// recommends: <https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>.
const PAUSES: [Duration; 9] = [
    Duration::from_secs(5),
    Duration::from_secs(5 * 60),
    Duration::from_secs(30 * 60),
    Duration::from_secs(2 * 3600),
    Duration::from_secs(5 * 3600),
    Duration::from_secs(10 * 3600),
    Duration::from_secs(14 * 3600),
    Duration::from_secs(20 * 3600),
    Duration::from_secs(24 * 3600),
];
/// By which part of it a pause is longer at most, so that not all is tried again at the same moment.
const JITTER_DIVISOR: u64 = 5;
/// The longest that a receiver may want to be left alone.
const LEFT_ALONE_MAX: Duration = Duration::from_secs(24 * 3600);
/// How far a try can lie ahead at most: one that lies further was set by a clock that was wrong.
pub(super) const AHEAD_MAX: Duration = Duration::from_secs(30 * 3600);
/// How long a message waits at most, however seldom anybody was there to send it.
pub(super) const WAITING_MAX: Duration = Duration::from_secs(7 * 24 * 3600);

/// What a try comes to, the `tries`-th of the message `id`, and why it failed.
pub(super) fn verdict(
    answer: Result<Receipt, String>,
    tries: u32,
    id: &str,
    now: Nanos,
) -> (Verdict, Option<String>) {
    let (error, left_alone) = match answer {
        Ok(Receipt { status: 200..=299, .. }) => return (Verdict::Delivered, None),
        Ok(Receipt { status: 410, .. }) => {
            return (Verdict::Gone, Some("it answered 410: it wants nothing any more".to_owned()));
        }
        Ok(Receipt { status: status @ 300..=399, retry_after }) => {
            (format!("it answered {status}: redirects are not followed"), retry_after)
        }
        Ok(Receipt { status, retry_after }) => (format!("it answered {status}"), retry_after),
        Err(error) => (error, None),
    };
    let verdict = pause(tries, id).map_or(Verdict::GivenUp, |pause| {
        let pause = pause.max(left_alone.unwrap_or_default().min(LEFT_ALONE_MAX));
        Verdict::Again(now.saturating_add(nanos(pause)))
    });
    (verdict, Some(error))
}

/// How long it is waited after the `tries`-th try; `None` after the last one.
fn pause(tries: u32, id: &str) -> Option<Duration> {
    let pause = *PAUSES.get(usize::try_from(tries.checked_sub(1)?).ok()?)?;
    // The share follows from the message and the try, so that it needs no source of randomness.
    let hash = blake3::hash(format!("{id} {tries}").as_bytes());
    let share = u64::from(hash.as_bytes()[0]);
    let more = pause.as_millis() as u64 / JITTER_DIVISOR * share / 255;
    Some(pause + Duration::from_millis(more))
}

/// A span in nanoseconds.
pub(super) fn nanos(span: Duration) -> Nanos {
    Nanos::try_from(span.as_nanos()).unwrap_or(Nanos::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "msg_1";

    fn answered(status: u16, retry_after: Option<u64>, tries: u32) -> (Verdict, String) {
        let receipt = Receipt { status, retry_after: retry_after.map(Duration::from_secs) };
        let (verdict, error) = verdict(Ok(receipt), tries, ID, 0);
        (verdict, error.unwrap_or_default())
    }

    /// After how many seconds it is tried again.
    fn seconds(verdict: Verdict) -> i64 {
        match verdict {
            Verdict::Again(next) => next / 1_000_000_000,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn tries_become_rarer_as_the_standard_has_it_and_end_after_three_days() {
        let expected = [5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400];
        let mut all = 0;
        for (tries, expected) in (1..).zip(expected) {
            let again = seconds(answered(500, None, tries).0);
            assert!((expected..=expected + expected / 5).contains(&again), "{tries}: {again}");
            all += again;
        }
        assert!((3 * 86_400..4 * 86_400).contains(&all), "{all}");
        assert!(
            nanos(WAITING_MAX) > (all + 86_400) * 1_000_000_000,
            "it ends before it has waited for too long"
        );
        assert_eq!(answered(500, None, 10).0, Verdict::GivenUp);
        assert_eq!(answered(500, None, u32::MAX).0, Verdict::GivenUp);
        assert_eq!(answered(500, None, 0).0, Verdict::GivenUp, "what was not tried has no pause");
    }

    #[test]
    fn not_all_is_tried_again_at_the_same_moment_and_each_at_one_that_is_known() {
        let moments = (0..100).map(|number| pause(5, &format!("msg_{number}")).unwrap());
        let moments: std::collections::BTreeSet<Duration> = moments.collect();
        assert!(moments.len() > 50, "{moments:?}");
        assert_eq!(pause(5, ID), pause(5, ID));
        assert!(moments.iter().all(|moment| nanos(*moment) < nanos(AHEAD_MAX)));
    }

    #[test]
    fn what_an_answer_says_decides() {
        for status in [200, 201, 202, 204, 299] {
            assert_eq!(answered(status, None, 1), (Verdict::Delivered, String::new()), "{status}");
        }
        assert_eq!(answered(410, None, 1).0, Verdict::Gone);
        for status in [300, 301, 302, 303, 304, 307, 308] {
            let (verdict, error) = answered(status, None, 1);
            assert!(matches!(verdict, Verdict::Again(_)), "{status}");
            assert_eq!(error, format!("it answered {status}: redirects are not followed"));
        }
        for status in [100, 400, 401, 403, 404, 409, 429, 500, 502, 503] {
            let (verdict, error) = answered(status, None, 1);
            assert!(matches!(verdict, Verdict::Again(_)), "{status}");
            assert_eq!(error, format!("it answered {status}"));
        }
        let (unsent, error) = verdict(Err("it did not answer in time".to_owned()), 10, ID, 0);
        assert_eq!((unsent, error.as_deref()), (Verdict::GivenUp, Some("it did not answer in time")));
    }

    #[test]
    fn whoever_wants_to_be_left_alone_is_for_a_day_at_most_and_never_shorter_than_others() {
        assert_eq!(seconds(answered(429, Some(3_600), 1).0), 3_600);
        assert_eq!(seconds(answered(503, Some(u64::MAX), 1).0), 86_400);
        assert!(seconds(answered(503, Some(0), 3).0) >= 1_800);
        assert_eq!(answered(503, Some(60), 10).0, Verdict::GivenUp);
    }
}
