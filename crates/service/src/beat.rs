//! One beat for all who look at something every so often: a process at rest is woken once, and not by each of them.

use std::sync::OnceLock;
use std::time::Duration;

use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};

/// Ticks now, and then every so often: with others whose periods divide one another, at the same moments. Ticks that
/// nobody waited for are left out.
pub(crate) fn every(period: Duration) -> Interval {
    static FIRST: OnceLock<Instant> = OnceLock::new();
    let now = Instant::now();
    let passed = now.saturating_duration_since(*FIRST.get_or_init(|| now));
    let late = passed.as_nanos() % period.as_nanos();
    let late = u64::try_from(late).map_or(Duration::ZERO, Duration::from_nanos);
    let mut beat = interval_at(now.checked_sub(late).unwrap_or(now), period);
    beat.set_missed_tick_behavior(MissedTickBehavior::Skip);
    beat
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_comes_later_is_woken_with_the_others() {
        let (short, long) = (Duration::from_millis(20), Duration::from_millis(60));
        let mut first = every(short);
        first.tick().await;
        tokio::time::sleep(Duration::from_millis(7)).await;
        let mut second = every(long);
        let begun = Instant::now();
        assert!(second.tick().await <= begun, "the first tick is at once");
        // What is told are the moments that were meant, however late they were waited for.
        let (one, other) = (first.tick().await, second.tick().await);
        let apart = one.max(other) - one.min(other);
        assert_eq!(apart.as_nanos() % short.as_nanos(), 0, "{one:?} and {other:?}");
        assert!(other > begun && other - begun <= long);
    }
}
