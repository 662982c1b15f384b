//! Reports on conflicts: how many there are of which kind, every open one, and what was settled lately.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use schemars::{JsonSchema, schema_for};
use serde::{Deserialize, Serialize};
use syncline_core::Nanos;
use syncline_store::{ConflictQuery, ConflictRecord};

use crate::operation::{Operation, Scope, ToolHints, answer, get, question};
use crate::problem::Result;
use crate::service::Service;
use crate::wire::{Conflict, Item, VERSION, cell, timestamp};

/// How far back settled conflicts are listed, in days.
const SETTLED_DAYS: i64 = 30;
const SECOND_NS: Nanos = 1_000_000_000;
const DAY_NS: Nanos = 24 * 3600 * SECOND_NS;

/// The line of this use case in the list.
pub const OPERATION: Operation = Operation {
    name: "report_conflicts",
    summary: "Report on conflicts: counts, the open ones, and those settled in the last 30 days",
    scope: Scope::Read,
    route: get("/conflicts/report"),
    tool: Some(ToolHints::READ_ONLY.named("conflict_report")),
    request: || schema_for!(Request),
    response: || schema_for!(ConflictReport),
    call: |service, value| {
        Box::pin(async move { answer(&report_conflicts(service, &question(value)?).await?) })
    },
};

/// What to report on.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Request {
    /// Only conflicts of this target.
    pub target: Option<String>,
}

/// A report on conflicts.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct ConflictReport {
    /// The version of this shape.
    pub version: u32,
    /// When it was made.
    pub timestamp: String,
    /// How many conflicts are open.
    pub open: u64,
    /// How many were settled in the last 30 days.
    pub settled: u64,
    /// The same by target, policy and state.
    pub counts: Vec<Count>,
    /// Every open conflict, the oldest first.
    pub open_conflicts: Vec<Aged>,
    /// Every conflict that was settled in the last 30 days, the oldest first.
    pub settled_conflicts: Vec<Aged>,
}

/// How many conflicts there are of one target, policy and state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Count {
    /// The target.
    pub target: String,
    /// The policy that was applied.
    pub policy: String,
    /// `open` or `settled`.
    pub state: String,
    /// How many.
    pub count: u64,
}

/// A conflict and how long it was open, or has been until now.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Aged {
    /// How long, in seconds.
    pub age_seconds: u64,
    /// The conflict.
    #[serde(flatten)]
    pub conflict: Conflict,
}

/// Reports on conflicts.
///
/// # Errors
/// When the target is unknown or the state cannot be read.
pub async fn report_conflicts(service: &Service, request: &Request) -> Result<ConflictReport> {
    if let Some(target) = &request.target {
        service.configured(target)?;
    }
    let store = service.reading().await?;
    let records = service
        .conflicts(&store, &ConflictQuery { target: request.target.clone(), open_only: false })
        .await?;
    Ok(report(&records, service.clock().now()))
}

fn report(records: &[ConflictRecord], now: Nanos) -> ConflictReport {
    let since = now.saturating_sub(SETTLED_DAYS * DAY_NS);
    let recent = |record: &&ConflictRecord| record.resolved.is_none_or(|resolved| resolved >= since);
    let mut counts: BTreeMap<(&str, &str, &'static str), u64> = BTreeMap::new();
    let (mut open_conflicts, mut settled_conflicts) = (Vec::new(), Vec::new());
    for record in records.iter().filter(recent) {
        let (state, list) = match record.resolved {
            None => ("open", &mut open_conflicts),
            Some(_) => ("settled", &mut settled_conflicts),
        };
        *counts.entry((&record.target, &record.policy, state)).or_default() += 1;
        let age = record.resolved.unwrap_or(now).saturating_sub(record.opened).max(0) / SECOND_NS;
        list.push(Aged { age_seconds: age.unsigned_abs(), conflict: record.into() });
    }
    let counts = counts.into_iter().map(|((target, policy, state), count)| {
        let (target, policy, state) = (target.to_owned(), policy.to_owned(), state.to_owned());
        Count { target, policy, state, count }
    });
    ConflictReport {
        version: VERSION,
        timestamp: timestamp(now),
        open: open_conflicts.len() as u64,
        settled: settled_conflicts.len() as u64,
        counts: counts.collect(),
        open_conflicts,
        settled_conflicts,
    }
}

impl ConflictReport {
    /// The report as Markdown, for people.
    #[must_use]
    pub fn to_markdown(&self) -> String {
        let mut page = format!(
            "# Conflicts\n\n{} · {} open · {} settled in the last {SETTLED_DAYS} days\n",
            self.timestamp, self.open, self.settled
        );
        if !self.counts.is_empty() {
            page.push_str("\n| target | policy | state | conflicts |\n|---|---|---|--:|\n");
        }
        for Count { target, policy, state, count } in &self.counts {
            let _ = writeln!(page, "| {} | {} | {state} | {count} |", cell(target), cell(policy));
        }
        section(&mut page, "Open", "open for", &self.open_conflicts);
        section(&mut page, "Settled", "was open for", &self.settled_conflicts);
        page
    }
}

fn section(page: &mut String, title: &str, age: &str, conflicts: &[Aged]) {
    if conflicts.is_empty() {
        return;
    }
    let _ = write!(
        page,
        "\n## {title}\n\n| conflict | path | policy | local | remote | winner | what was done | {age} |\n\
         |---|---|---|---|---|---|---|---|\n"
    );
    for Aged { age_seconds, conflict } in conflicts {
        let winner = conflict.winner.map_or("none", |winner| winner.name());
        let done = [conflict.action.as_deref(), conflict.resolution.as_deref()];
        let done: Vec<String> = done.into_iter().flatten().map(cell).collect();
        let _ = writeln!(
            page,
            "| {} | {}: {} | {} | {} | {} | {winner} | {} | {} |",
            conflict.id,
            cell(&conflict.target),
            cell(&conflict.path),
            cell(&conflict.policy),
            version(&conflict.local),
            version(&conflict.remote),
            done.join("; "),
            span(*age_seconds)
        );
    }
}

fn version(item: &Item) -> String {
    let modified = item.modified.as_deref().map(|stamp| format!(", {stamp}")).unwrap_or_default();
    match item.kind.as_str() {
        "directory" => "directory".to_owned(),
        _ => format!("{} bytes{modified}", item.size),
    }
}

/// A span as people say it, in its largest unit.
fn span(seconds: u64) -> String {
    let (count, unit) = match seconds {
        0..60 => (seconds, "second"),
        60..3600 => (seconds / 60, "minute"),
        3600..86_400 => (seconds / 3600, "hour"),
        _ => (seconds / 86_400, "day"),
    };
    format!("{count} {unit}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use syncline_core::{Digest, Item, ItemPath, Kind, Side, Sides};

    fn record(path: &str, opened: i64, resolved: Option<i64>) -> ConflictRecord {
        let item = |text: &str, days: i64| Item {
            kind: Kind::FILE,
            digest: Some(Digest::of(text.as_bytes())),
            size: text.len() as u64,
            modified: days * DAY_NS,
        };
        ConflictRecord {
            id: format!("id-{opened}"),
            target: "notes".into(),
            run: "run".into(),
            path: ItemPath::parse(path).unwrap(),
            kind: "edit-edit".into(),
            policy: "newest".into(),
            base: None,
            versions: Sides { local: item("ours", 10), remote: item("theirs!", 11) },
            winner: Some(Side::Remote),
            copy: None,
            merged: None,
            action: "the remote version won; the other one is in history".into(),
            clamped: false,
            opened: opened * DAY_NS,
            resolved: resolved.map(|day| day * DAY_NS),
            resolution: resolved.map(|_| "by policy".into()),
            pending: None,
        }
    }

    #[test]
    fn open_conflicts_are_listed_whatever_their_age_and_settled_ones_for_thirty_days() {
        let records =
            [record("old|open.md", 1, None), record("gone.md", 2, Some(69)), record("b.md", 60, Some(75))];
        let report = report(&records, 100 * DAY_NS);
        assert_eq!((report.open, report.settled), (1, 1));
        assert_eq!(report.open_conflicts[0].age_seconds, 99 * 86_400);
        assert_eq!(report.settled_conflicts[0].age_seconds, 15 * 86_400);
        assert_eq!(report.settled_conflicts[0].conflict.path, "b.md");
        let page = report.to_markdown();
        let open = "| id-1 | notes: old\\|open.md | newest | 4 bytes, 1970-01-11T00:00:00Z | \
                    7 bytes, 1970-01-12T00:00:00Z | remote | the remote version won; the other one is in history | \
                    99 days |";
        assert!(page.contains(open), "{page}");
        assert!(page.contains("| notes | newest | settled | 1 |"), "{page}");
        assert!(!page.contains("gone.md"), "{page}");
    }
}
