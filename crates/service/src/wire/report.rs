//! The report of a run of targets: the fields of the directional sync system, and Syncline's own besides.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use syncline_engine::Reach;
use syncline_engine::checks::Checked;

use super::{Conflict, Direction, Halt, Remark, TargetPlan};
use crate::problem::WireProblem;

/// What became of a run of targets.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Report {
    /// The version of this shape.
    pub version: u32,
    /// When the run began: RFC 3339.
    pub timestamp: String,
    /// Whether nothing was to be changed anywhere.
    pub dry_run: bool,
    /// How many targets there were.
    pub total_targets: u64,
    /// How many of them succeeded.
    pub successful: u64,
    /// How many of them did not.
    pub failed: u64,
    /// Seconds from beginning to end.
    pub total_duration: f64,
    /// What became of each target, in the order in which they go.
    pub results: Vec<TargetReport>,
    /// Targets that were chosen by a glob or by default, and that a run leaves alone now.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<LeftOut>,
}

/// A target that was left out of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LeftOut {
    /// The target.
    pub target: String,
    /// Why: `paused`, or `outside_window`.
    pub code: String,
    /// Why, for people.
    pub message: String,
}

/// What became of one target.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct TargetReport {
    /// The target.
    pub target: String,
    /// Which way changes could flow.
    pub direction: Direction,
    /// Whether everything was done.
    pub success: bool,
    /// What happened, in one line.
    pub message: String,
    /// Seconds from beginning to end.
    pub duration: f64,
    /// Paths that were created in the workspace, relative to its root.
    pub outputs_created: Vec<String>,
    /// Whether the verification passed; `null` when the target has none.
    pub verification_passed: Option<bool>,
    /// What the checks around the run came to, in the order in which they were made.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<CheckReport>,
    /// `succeeded`, `partial`, `halted` or `failed`.
    pub state: String,
    /// The identifier of the run; `null` when nothing was to be recorded.
    pub run: Option<String>,
    /// The hash of the plan: what `--approve` takes.
    pub plan_hash: Option<String>,
    /// How many steps did what.
    pub steps: Steps,
    /// Bytes transferred.
    pub bytes: u64,
    /// Conflicts that were found.
    pub conflicts: Vec<Conflict>,
    /// How many conflicts of the target wait for a decision, earlier ones included.
    pub open_conflicts: u64,
    /// Why it was not carried out.
    pub halts: Vec<Halt>,
    /// What was left alone, and why.
    pub problems: Vec<Remark>,
    /// How many items are agreed on.
    pub agreed: u64,
    /// Why the baseline was not trusted: then nothing is removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub distrust: Option<String>,
    /// Why it could not be carried out at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<WireProblem>,
    /// In a dry run: what would be done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<TargetPlan>,
    /// Whether the remote was found: for the process that ran it alone.
    #[serde(skip)]
    pub(crate) reach: Reach,
}

/// What a check came to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CheckReport {
    /// Its name.
    pub name: String,
    /// When it was made: `before`, `after`, `drift` or `verification`.
    pub phase: String,
    /// Whether it came to what was expected.
    pub passed: bool,
    /// What else it came to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Seconds that it took.
    pub duration: f64,
}

impl From<&Checked> for CheckReport {
    fn from(checked: &Checked) -> Self {
        Self {
            name: checked.name.clone(),
            phase: checked.phase.to_owned(),
            passed: checked.failure.is_none(),
            message: checked.failure.clone(),
            duration: checked.duration.as_secs_f64(),
        }
    }
}

/// How many steps did what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Steps {
    /// Items created.
    pub created: u64,
    /// Items overwritten.
    pub updated: u64,
    /// Items moved.
    pub moved: u64,
    /// Items removed.
    pub removed: u64,
}

impl Steps {
    /// All of them.
    #[must_use]
    pub const fn total(self) -> u64 {
        self.created + self.updated + self.moved + self.removed
    }
}

impl TargetReport {
    /// Whether it did not do what it was to do, though nothing halted it.
    fn has_failed(&self) -> bool {
        !self.success && self.halts.is_empty()
    }

    /// Whether the file is what keeps it from running.
    fn is_misconfigured(&self) -> bool {
        self.error.as_ref().is_some_and(WireProblem::is_usage)
    }

    /// Whether it waits for an approval of its plan.
    #[must_use]
    pub fn awaits_approval(&self) -> bool {
        !self.halts.is_empty() && self.halts.iter().all(|halt| halt.approvable)
    }
}

impl Report {
    /// The exit code of a command that ends with it: 1 when a target failed, 4 when one was halted, 5 when open
    /// conflicts remain, 3 when there were changes and `changes_count` says that this matters.
    #[must_use]
    pub fn exit_code(&self, changes_count: bool) -> u8 {
        let any = |holds: fn(&TargetReport) -> bool| self.results.iter().any(holds);
        if any(|result| result.has_failed() && !result.is_misconfigured()) {
            1
        } else if any(TargetReport::has_failed) {
            2
        } else if any(|result| !result.halts.is_empty()) {
            4
        } else if any(|result| result.open_conflicts > 0) {
            5
        } else if changes_count && any(TargetReport::has_changes) {
            3
        } else {
            0
        }
    }

    /// Takes over how one target ended when it was run again.
    pub fn replace(&mut self, index: usize, again: Self) {
        let (Some(slot), Some(result)) = (self.results.get_mut(index), again.results.into_iter().next())
        else {
            return;
        };
        *slot = result;
        self.total_duration += again.total_duration;
        self.successful = self.results.iter().filter(|result| result.success).count() as u64;
        self.failed = self.total_targets - self.successful;
    }

    /// The report as Markdown, for the summary of a CI job.
    #[must_use]
    pub fn to_markdown(&self) -> String {
        use std::fmt::Write as _;
        let mut page =
            String::from(if self.dry_run { "# Syncline dry run\n\n" } else { "# Syncline run\n\n" });
        let _ = write!(
            page,
            "{} · {} of {} targets succeeded · {:.1} s\n\n\
             | target | direction | result | created | updated | moved | removed | bytes | duration |\n\
             |---|---|---|--:|--:|--:|--:|--:|--:|\n",
            self.timestamp, self.successful, self.total_targets, self.total_duration
        );
        for result in &self.results {
            let Steps { created, updated, moved, removed } = result.steps;
            let sign = if result.success { "✅" } else { "❌" };
            let _ = writeln!(
                page,
                "| {} | {} | {sign} {} | {created} | {updated} | {moved} | {removed} | {} | {:.1} s |",
                cell(&result.target),
                result.direction.name(),
                cell(&result.message),
                result.bytes,
                result.duration
            );
        }
        for LeftOut { target, message, .. } in &self.left_out {
            let _ = writeln!(page, "\n{} was left out: {}", cell(target), cell(message));
        }
        for result in &self.results {
            result.write_details(&mut page);
        }
        page
    }
}

impl TargetReport {
    fn has_changes(&self) -> bool {
        self.steps.total() > 0 || !self.conflicts.is_empty()
    }

    fn write_details(&self, page: &mut String) {
        use std::fmt::Write as _;
        let halts = self.halts.iter().map(|halt| format!("**halted**: {}", cell(&halt.message)));
        let conflicts = self.conflicts.iter().filter(|conflict| conflict.open);
        let conflicts =
            conflicts.map(|conflict| format!("**conflict** {}: `{}`", conflict.id, cell(&conflict.path)));
        let problems = self.problems.iter();
        let problems = problems.map(|problem| {
            let side = problem.side.map(|side| format!(" ({})", side.name())).unwrap_or_default();
            format!("`{}`{side}: {}", cell(&problem.path), cell(&problem.message))
        });
        let errors = self.error.iter().map(|error| {
            let hint = error.hint.as_deref().map(|hint| format!("; {hint}")).unwrap_or_default();
            format!("**error**: {}{}", cell(&error.message), cell(&hint))
        });
        let lines: Vec<String> = errors.chain(halts).chain(conflicts).chain(problems).collect();
        if !lines.is_empty() {
            let _ = write!(page, "\n## {}\n\n", cell(&self.target));
            for line in lines {
                let _ = writeln!(page, "- {line}");
            }
        }
    }
}

/// Text that cannot leave its cell or begin markup of its own.
pub(crate) fn cell(text: &str) -> String {
    text.chars()
        .flat_map(|c| match c {
            '|' | '`' | '<' | '>' | '*' | '_' | '[' | ']' | '\\' => vec!['\\', c],
            c if c.is_control() => vec![' '],
            c => vec![c],
        })
        .collect()
}
