//! How everything is doing, made of one look at the state and at the watch of this process.

use syncline_config::{Target, Workspace};
use syncline_core::{Direction, Nanos};
use syncline_store::{Overview, RunState, TargetOverview, WatchRecord, WatchedTarget};

use super::Live;
use crate::wire::{Figures, Health, LastEnd, Offline, Seen, TargetHealth, VERSION, seconds, timestamp};

/// Which words tell how the service is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Words {
    /// `healthy`, `degraded`, `unhealthy`.
    Healthy,
    /// `ok`, `degraded`, `down`.
    Ok,
}

/// What was seen at one look, ready to be told.
pub struct Looked {
    /// When the process began to serve.
    pub(crate) since: Nanos,
    pub(crate) seen: Seen,
    pub(crate) overview: Overview,
    grade: Grade,
    /// `seen` as the members of a JSON object, without what is in front of them.
    members: String,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Grade {
    Well,
    Degraded,
    Down,
}

impl Looked {
    /// How everything is doing.
    pub(crate) fn new(
        workspace: &Workspace,
        overview: Overview,
        record: &WatchRecord,
        now: Nanos,
        live: &Live,
    ) -> Self {
        let none = TargetOverview::default();
        let details: Vec<TargetHealth> = workspace
            .targets
            .iter()
            .map(|target| {
                let known = overview.targets.get(&target.name).unwrap_or(&none);
                let watched = record.targets.iter().find(|watched| watched.name == target.name);
                health_of(target, known, watched, now)
            })
            .collect();
        let configured = || workspace.targets.iter().filter_map(|target| overview.targets.get(&target.name));
        let next = record.targets.iter().filter_map(|target| target.next).min();
        let last = configured().filter_map(|known| known.totals.last_success).max();
        let pairs = workspace.targets.iter().zip(&details);
        let sources = pairs
            .filter(|(target, _)| target.direction != Direction::Push)
            .map(|(target, health)| (target.name.clone(), reachability(health).to_owned()))
            .collect();
        let seen = Seen {
            node: workspace.node.clone(),
            workspace: workspace.root.display().to_string(),
            last_sync: last.map(timestamp),
            next_sync: next.map(timestamp),
            messages_pending: details.iter().map(|target| target.pending).sum(),
            open_conflicts: details.iter().map(|target| target.open_conflicts).sum(),
            sources,
            targets: details.iter().map(|target| (target.target.clone(), target.state.clone())).collect(),
            peers: live.peers(),
            metrics: Figures::of(configured().map(|known| &known.totals)),
            details,
            draining: live.is_draining(),
            problem: None,
        };
        Self::graded(record.since, seen, overview)
    }

    /// The same, and why nothing newer is known.
    pub(crate) fn stale(&self, problem: String) -> Self {
        let seen = Seen { problem: Some(problem), ..self.seen.clone() };
        Self::graded(self.since, seen, self.overview.clone())
    }

    /// Nothing is known, and why.
    pub(crate) fn blind(workspace: &Workspace, since: Nanos, problem: String) -> Self {
        let seen = Seen {
            node: workspace.node.clone(),
            workspace: workspace.root.display().to_string(),
            problem: Some(problem),
            ..Seen::default()
        };
        Self::graded(since, seen, Overview::default())
    }

    fn graded(since: Nanos, seen: Seen, overview: Overview) -> Self {
        let needs_attention =
            |target: &TargetHealth| matches!(&*target.state, "failing" | "offline" | "halted");
        let grade = if seen.problem.is_some() {
            Grade::Down
        } else if seen.details.iter().any(needs_attention) {
            Grade::Degraded
        } else {
            Grade::Well
        };
        // The shape holds nothing that JSON cannot.
        let members = serde_json::to_string(&seen).unwrap_or_default();
        let members = members.strip_prefix('{').unwrap_or("}").to_owned();
        Self { since, seen, overview, grade, members }
    }

    /// Whether the service can do its work.
    #[must_use]
    pub fn is_well(&self) -> bool {
        self.grade != Grade::Down
    }

    /// What it comes to in one word.
    #[must_use]
    pub const fn status(&self, words: Words) -> &'static str {
        match (self.grade, words) {
            (Grade::Well, Words::Healthy) => "healthy",
            (Grade::Well, Words::Ok) => "ok",
            (Grade::Degraded, _) => "degraded",
            (Grade::Down, Words::Healthy) => "unhealthy",
            (Grade::Down, Words::Ok) => "down",
        }
    }

    /// A [`Health`] as JSON. What was seen is written once for each look: this puts the moment in front of it.
    #[must_use]
    pub fn json(&self, words: Words, now: Nanos) -> String {
        let (status, uptime, timestamp) = (self.status(words), self.uptime(now), timestamp(now));
        let head = format!(
            "{{\"version\":{VERSION},\"status\":\"{status}\",\"uptime\":{uptime},\"timestamp\":\"{timestamp}\","
        );
        head + &self.members
    }

    /// The same as a value.
    #[must_use]
    pub fn health(&self, words: Words, now: Nanos) -> Health {
        Health {
            version: VERSION,
            status: self.status(words).to_owned(),
            uptime: self.uptime(now),
            timestamp: timestamp(now),
            seen: self.seen.clone(),
        }
    }

    fn uptime(&self, now: Nanos) -> u64 {
        u64::try_from((now - self.since).div_euclid(1_000_000_000)).unwrap_or_default()
    }
}

fn reachability(target: &TargetHealth) -> &'static str {
    match &*target.state {
        "offline" => "unreachable",
        "never_run" => "unknown",
        _ => "ok",
    }
}

fn health_of(
    target: &Target,
    known: &TargetOverview,
    watched: Option<&WatchedTarget>,
    now: Nanos,
) -> TargetHealth {
    let totals = &known.totals;
    let last_run = LastEnd::of(totals, watched);
    let paused = known.pause.as_ref().filter(|pause| pause.is_on(now));
    let next = watched.and_then(|watched| watched.next);
    let offline = watched.and_then(Offline::of);
    let waiting = offline.as_ref().and_then(|offline| offline.waiting).unwrap_or_default();
    let last_state = last_run.as_ref().and_then(|last| RunState::from_name(&last.state));
    let state = if offline.is_some() {
        "offline"
    } else if paused.is_some() {
        "paused"
    } else {
        match last_state {
            Some(RunState::Failed | RunState::Partial | RunState::Interrupted) => "failing",
            Some(RunState::Halted) => "halted",
            _ if known.open_conflicts > 0 => "conflicts",
            None if !known.has_baseline => "never_run",
            _ => "ok",
        }
    };
    TargetHealth {
        target: target.name.clone(),
        direction: target.direction.into(),
        state: state.to_owned(),
        served: watched.is_some(),
        last_sync: totals.last_success.map(timestamp),
        next_sync: next.map(timestamp),
        last_run,
        agreed: known.agreed,
        pending: totals.pending.max(waiting),
        open_conflicts: known.open_conflicts,
        failures_in_a_row: totals.failures_in_a_row.max(watched.map_or(0, |watched| watched.failures.into())),
        offline,
        paused: paused.map(|pause| pause.reason.clone()),
        metrics: Figures::of([totals]),
    }
}

/// Seconds since a moment; none when there was none.
pub(super) fn age(since: Option<Nanos>, now: Nanos) -> Option<f64> {
    since.map(|since| seconds(since, now))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::Path;

    use syncline_config::{KindSchema, Role};
    use syncline_store::{LastRun, RecentEnd};

    use super::*;

    fn workspace() -> Workspace {
        let text =
            "version: \"1.0\"\nnode: { name: here }\ntargets: { main: { remote: { kind: folder } } }\n";
        let schema = serde_json::json!({ "type": "object" });
        let kind = KindSchema { role: Role::Endpoint, name: "folder", summary: "A folder.", schema };
        syncline_config::parse(text, Path::new("syncline.yaml"), &BTreeMap::new(), &[kind]).unwrap()
    }

    fn recorded(state: RunState, finished: Nanos) -> TargetOverview {
        let (state, message) = (state.name().to_owned(), "as recorded".to_owned());
        let end = RecentEnd { finished, state, run: None, message, steps: 0, bytes: 0, duration_ns: Some(1) };
        let mut known = TargetOverview { has_baseline: true, ..TargetOverview::default() };
        known.totals.recent.push_back(end);
        known
    }

    fn looked(known: TargetOverview, success: bool, finished: Nanos) -> Looked {
        let message = if success { "nothing to do" } else { "database or disk is full" }.to_owned();
        let last = Some(LastRun { run: None, finished, success, message });
        let failures = u32::from(!success);
        let targets = vec![WatchedTarget { name: "main".into(), last, failures, ..WatchedTarget::default() }];
        let id = "watch".to_owned();
        let record = WatchRecord { pid: 1, id, since: 0, interval: None, serving: true, targets };
        let overview = Overview { targets: [("main".to_owned(), known)].into(), ..Overview::default() };
        Looked::new(&workspace(), overview, &record, 100, &Live::default())
    }

    #[test]
    fn a_failure_that_could_not_be_recorded_counts_until_something_newer_is() {
        let [well, full] = ["as recorded", "database or disk is full"];
        for (known, (success, finished), (word, state, message)) in [
            (recorded(RunState::Succeeded, 10), (false, 20), ("degraded", "failing", full)),
            (TargetOverview::default(), (false, 20), ("degraded", "failing", full)),
            (recorded(RunState::Succeeded, 30), (false, 20), ("healthy", "ok", well)),
            (recorded(RunState::Succeeded, 10), (true, 20), ("healthy", "ok", well)),
            (recorded(RunState::Halted, 10), (false, 20), ("degraded", "halted", well)),
            (recorded(RunState::Partial, 10), (false, 20), ("degraded", "failing", well)),
        ] {
            let looked = looked(known, success, finished);
            let last = looked.seen.details[0].last_run.as_ref().unwrap();
            let told = (looked.status(Words::Healthy), &*looked.seen.targets["main"], &*last.message);
            assert_eq!(told, (word, state, message));
            let has_succeeded = u8::from(state == "ok");
            let figure = format!("syncline_target_last_run_success{{target=\"main\"}} {has_succeeded}\n");
            assert!(super::super::exposition::exposition(&looked, 100, None).contains(&figure));
        }
    }
}
