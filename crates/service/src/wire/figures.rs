//! What was counted of the runs of a target, or of all.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use syncline_store::{DURATION_BOUNDS_MS, RunState, Totals};

/// What was counted since the state exists: runs of every process, also those that found nothing to do.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Figures {
    /// How many runs ended.
    pub runs: u64,
    /// How many of them did all that they were to do.
    pub succeeded: u64,
    /// How many failed, wholly or in part, or were cut short.
    pub failed: u64,
    /// How many waited for a person.
    pub halted: u64,
    /// The share of those that succeeded, from 0 to 1; `null` before the first.
    pub success_rate: Option<f64>,
    /// The share of those that failed, from 0 to 1; `null` before the first.
    pub error_rate: Option<f64>,
    /// How long a run took on average, in seconds; `null` before the first.
    pub avg_duration_seconds: Option<f64>,
    /// How long half of the runs took at most, in seconds, by the classes of the histogram.
    pub p50_duration_seconds: Option<f64>,
    /// The same of 95 of 100 runs.
    pub p95_duration_seconds: Option<f64>,
    /// The same of 99 of 100 runs.
    pub p99_duration_seconds: Option<f64>,
    /// How many steps were done.
    pub steps: u64,
    /// Bytes transferred.
    pub bytes: u64,
    /// How many conflicts were found.
    pub conflicts_found: u64,
    /// How many of them were settled.
    pub conflicts_resolved: u64,
}

impl Figures {
    /// What was counted of several targets together.
    pub(crate) fn of<'a>(all: impl IntoIterator<Item = &'a Totals>) -> Self {
        let mut figures = Self::default();
        let (mut durations, mut duration_ns) = ([0; DURATION_BOUNDS_MS.len() + 1], 0_u64);
        for totals in all {
            figures.runs += totals.ends();
            figures.succeeded += totals.runs(RunState::Succeeded);
            figures.halted += totals.runs(RunState::Halted);
            figures.steps = figures.steps.saturating_add(totals.steps);
            figures.bytes = figures.bytes.saturating_add(totals.bytes);
            figures.conflicts_found += totals.conflicts_opened;
            figures.conflicts_resolved += totals.conflicts_resolved;
            duration_ns = duration_ns.saturating_add(totals.duration_ns);
            for (sum, count) in durations.iter_mut().zip(totals.durations) {
                *sum += count;
            }
        }
        figures.failed = figures.runs - figures.succeeded - figures.halted;
        let timed: u64 = durations.iter().sum();
        figures.success_rate = share(figures.succeeded, figures.runs);
        figures.error_rate = share(figures.failed, figures.runs);
        figures.avg_duration_seconds =
            share(duration_ns / 1_000_000, timed.saturating_mul(1_000)).map(rounded);
        figures.p50_duration_seconds = quantile(&durations, 0.50);
        figures.p95_duration_seconds = quantile(&durations, 0.95);
        figures.p99_duration_seconds = quantile(&durations, 0.99);
        figures
    }
}

#[expect(clippy::cast_precision_loss, reason = "nobody needs the last digits of a share")]
fn share(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

fn rounded(seconds: f64) -> f64 {
    (seconds * 1000.0).round() / 1000.0
}

/// A quantile of classes, as Prometheus computes it: within a class, runs count as spread evenly, and what is beyond the
/// last bound counts as being there:
/// <https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile>.
#[expect(clippy::cast_precision_loss, reason = "counts of runs and bounds are far below 2^52")]
fn quantile(durations: &[u64; DURATION_BOUNDS_MS.len() + 1], part: f64) -> Option<f64> {
    let timed: u64 = durations.iter().sum();
    let rank = (timed > 0).then_some(part * timed as f64)?;
    let (mut below, mut low) = (0_u64, 0_u64);
    for (count, high) in durations.iter().zip(DURATION_BOUNDS_MS) {
        let reached = below + count;
        if *count > 0 && reached as f64 >= rank {
            let within = (rank - below as f64) / *count as f64;
            return Some(rounded((low as f64 + within * (high - low) as f64) / 1000.0));
        }
        (below, low) = (reached, high);
    }
    Some(low as f64 / 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_prometheus() {
        let mut durations = [0; DURATION_BOUNDS_MS.len() + 1];
        assert_eq!(quantile(&durations, 0.5), None);
        // Of 100 runs, 90 took 100 to 250 ms and 10 took 1 to 2.5 s.
        (durations[4], durations[7]) = (90, 10);
        assert_eq!(quantile(&durations, 0.45), Some(0.175));
        assert_eq!(quantile(&durations, 0.95), Some(1.75));
        assert_eq!(quantile(&durations, 0.99), Some(2.35));
        durations = [0; DURATION_BOUNDS_MS.len() + 1];
        durations[DURATION_BOUNDS_MS.len()] = 1;
        assert_eq!(quantile(&durations, 0.99), Some(1800.0), "it took longer than the last bound");
    }
}
