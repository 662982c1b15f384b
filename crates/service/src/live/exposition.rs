//! Figures in the text format of Prometheus:
//! <https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format>.

use std::fmt::{Display, Write as _};

use syncline_core::Nanos;
use syncline_store::{DURATION_BOUNDS_MS, RunState, Totals};

use super::health::{Looked, age};
use super::process::Process;
use crate::wire::TargetHealth;

/// Most targets that have figures of their own; those behind them are only counted. Whoever collects figures pays for
/// each series.
const TARGETS_MAX: usize = 500;

/// Collects figures, each kind with what it means.
#[derive(Default)]
struct Page(String);

impl Page {
    fn kind(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn line(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        let labels: Vec<String> =
            labels.iter().map(|(label, value)| format!("{label}=\"{}\"", escaped(value))).collect();
        let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        let _ = writeln!(self.0, "{name}{labels} {value}");
    }

    fn one(&mut self, name: &str, kind: &str, help: &str, value: Option<impl Display>) {
        if let Some(value) = value {
            self.kind(name, kind, help);
            self.line(name, &[], value);
        }
    }

    /// A figure of each target, where it has one.
    fn each<V: Display>(
        &mut self,
        targets: &[Of<'_>],
        (name, kind, help): (&str, &str, &str),
        value: impl Fn(&Of<'_>) -> Option<V>,
    ) {
        self.kind(name, kind, help);
        for of in targets {
            if let Some(value) = value(of) {
                self.line(name, &[("target", &of.health.target)], value);
            }
        }
    }
}

/// The value of a label as the format wants it.
fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

/// A target, and what was counted of it.
struct Of<'a> {
    health: &'a TargetHealth,
    totals: &'a Totals,
}

/// All figures, at a moment; `lag_ns` is how late the last run that was due began.
pub(super) fn exposition(looked: &Looked, now: Nanos, lag_ns: Option<u64>) -> String {
    let none = Totals::default();
    let details = looked.seen.details.iter();
    let targets: Vec<Of<'_>> = details
        .take(TARGETS_MAX)
        .map(|health| {
            let known = looked.overview.targets.get(&health.target);
            Of { health, totals: known.map_or(&none, |known| &known.totals) }
        })
        .collect();
    let mut page = Page::default();
    whole(&mut page, looked, now, lag_ns);
    runs(&mut page, &targets);
    states(&mut page, &targets, now);
    process(&mut page, looked);
    page.0
}

/// What is of no target.
fn whole(page: &mut Page, looked: &Looked, now: Nanos, lag_ns: Option<u64>) {
    let seen = &looked.seen;
    page.kind("syncline_build_info", "gauge", "Always 1; the version is a label.");
    page.line("syncline_build_info", &[("version", env!("CARGO_PKG_VERSION"))], 1);
    let well = u8::from(looked.is_well());
    page.one("syncline_up", "gauge", "Whether the service can do its work.", Some(well));
    page.one(
        "syncline_draining",
        "gauge",
        "Whether the process is about to end.",
        Some(u8::from(seen.draining)),
    );
    page.one("syncline_targets", "gauge", "How many targets are configured.", Some(seen.details.len()));
    let left_out = seen.details.len().saturating_sub(TARGETS_MAX);
    page.one(
        "syncline_targets_left_out",
        "gauge",
        "How many targets have no figures of their own here, because there are so many.",
        Some(left_out),
    );
    page.kind("syncline_peer_up", "gauge", "Whether heartbeats of a peer arrive.");
    for (peer, state) in &seen.peers {
        page.line("syncline_peer_up", &[("peer", peer)], u8::from(matches!(&**state, "alive" | "suspected")));
    }
    let help = "The share of all runs that did all that they were to do.";
    page.one("syncline_run_success_ratio", "gauge", help, seen.metrics.success_rate);
    let help = "How many changes wait, over all targets, as far as the last runs got to know.";
    page.one("syncline_pending_changes", "gauge", help, Some(seen.messages_pending));
    let help = "How late the last run that was due began.";
    page.one("syncline_scheduler_lag_seconds", "gauge", help, lag_ns.map(in_seconds));
    let help = "For how long the process has been serving.";
    page.one("syncline_uptime_seconds", "gauge", help, age(Some(looked.since), now));
}

/// What was counted.
fn runs(page: &mut Page, targets: &[Of<'_>]) {
    const RUNS: &str = "syncline_runs_total";
    page.kind(RUNS, "counter", "Runs that ended, by how.");
    for of in targets {
        for state in RunState::ALL {
            let labels = [("target", &*of.health.target), ("result", state.name())];
            page.line(RUNS, &labels, of.totals.runs(state));
        }
    }
    const DURATION: &str = "syncline_run_duration_seconds";
    page.kind(DURATION, "histogram", "How long runs took.");
    for of in targets {
        let mut count = 0;
        let bucket = format!("{DURATION}_bucket");
        for (index, in_class) in of.totals.durations.iter().enumerate() {
            count += in_class;
            let bound = DURATION_BOUNDS_MS.get(index).map(|bound| in_seconds(bound * 1_000_000).to_string());
            let bound = bound.as_deref().unwrap_or("+Inf");
            page.line(&bucket, &[("target", &of.health.target), ("le", bound)], count);
        }
        let labels = [("target", &*of.health.target)];
        page.line(&format!("{DURATION}_sum"), &labels, in_seconds(of.totals.duration_ns));
        page.line(&format!("{DURATION}_count"), &labels, count);
    }
    for (name, help, value) in [
        ("syncline_steps_total", "Steps that were done.", (|totals| totals.steps) as fn(&Totals) -> u64),
        ("syncline_transferred_bytes_total", "Bytes of content that were transferred.", |totals| {
            totals.bytes
        }),
        ("syncline_conflicts_found_total", "Conflicts that were found.", |totals| totals.conflicts_opened),
        ("syncline_conflicts_resolved_total", "Conflicts that were settled.", |totals| {
            totals.conflicts_resolved
        }),
    ] {
        page.each(targets, (name, "counter", help), |of| Some(value(of.totals)));
    }
}

/// How each target is doing now.
fn states(page: &mut Page, targets: &[Of<'_>], now: Nanos) {
    let gauge = |name: &'static str, help: &'static str| (name, "gauge", help);
    let kind = gauge("syncline_target_last_run_success", "Whether the last run did all that it was to do.");
    page.each(targets, kind, |of| {
        of.health.last_run.as_ref().map(|last| u8::from(last.state == RunState::Succeeded.name()))
    });
    let kind = gauge("syncline_target_failures_in_a_row", "How many runs and tries in a row failed.");
    page.each(targets, kind, |of| Some(of.health.failures_in_a_row));
    let kind = gauge("syncline_target_offline", "Whether the remote is away.");
    page.each(targets, kind, |of| Some(u8::from(of.health.offline.is_some())));
    let kind = gauge(
        "syncline_target_reachable",
        "Whether the remote could be reached; absent before the first run.",
    );
    page.each(targets, kind, |of| {
        let known = of.health.state != "never_run";
        known.then(|| u8::from(of.health.offline.is_none()))
    });
    let kind = gauge("syncline_target_paused", "Whether it is paused.");
    page.each(targets, kind, |of| Some(u8::from(of.health.paused.is_some())));
    let kind = gauge(
        "syncline_target_pending_changes",
        "How many changes wait, as far as the last run got to know.",
    );
    page.each(targets, kind, |of| Some(of.health.pending));
    let kind = gauge("syncline_target_open_conflicts", "How many conflicts wait for a decision.");
    page.each(targets, kind, |of| Some(of.health.open_conflicts));
    let kind = gauge("syncline_target_agreed_items", "How many items both sides agree on.");
    page.each(targets, kind, |of| Some(of.health.agreed));
    let name = "syncline_target_last_success_timestamp_seconds";
    let kind = gauge(name, "When a run last did all that it was to do.");
    page.each(targets, kind, |of| of.totals.last_success.map(|at| at.div_euclid(1_000_000_000)));
    let kind = gauge("syncline_target_freshness_seconds", "How long ago that is.");
    page.each(targets, kind, |of| age(of.totals.last_success, now));
    const SOURCE: &str = "syncline_source_available";
    page.kind(
        SOURCE,
        "gauge",
        "Whether the remote of a target that pulls can be read from; absent before the first run.",
    );
    for of in
        targets.iter().filter(|of| of.health.direction.name() != "push" && of.health.state != "never_run")
    {
        page.line(SOURCE, &[("source", &of.health.target)], u8::from(of.health.offline.is_none()));
    }
}

/// What the system tells of this process.
fn process(page: &mut Page, looked: &Looked) {
    let Process { resident_bytes, cpu, open_files, threads } = Process::now();
    page.one("process_resident_memory_bytes", "gauge", "Memory that is resident.", resident_bytes);
    let cpu = cpu.map(|cpu| cpu.as_secs_f64());
    page.one("process_cpu_seconds_total", "counter", "Time that was spent on a CPU.", cpu);
    page.one("process_open_fds", "gauge", "Open files.", open_files);
    page.one("process_threads", "gauge", "Threads.", threads);
    let since = looked.since.div_euclid(1_000_000_000);
    page.one("process_start_time_seconds", "gauge", "When the process began to serve.", Some(since));
}

#[expect(clippy::cast_precision_loss, reason = "nobody needs the last nanoseconds of a sum")]
fn in_seconds(ns: u64) -> f64 {
    ns as f64 / 1e9
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_escaped() {
        let mut page = Page::default();
        page.line("name", &[("target", "a\\b\"c\nd"), ("le", "+Inf")], 1);
        assert_eq!(page.0, "name{target=\"a\\\\b\\\"c\\nd\",le=\"+Inf\"} 1\n");
    }
}
