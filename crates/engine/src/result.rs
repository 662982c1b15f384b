//! What became of a run.

use syncline_core::{Conflict, Direction, Halt, ItemPath, Nanos, Outcome, Plan, Problem, Side};
use syncline_store::RunState;

use crate::checks::Checked;

/// How many steps did what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Items created.
    pub created: u64,
    /// Items overwritten.
    pub updated: u64,
    /// Items moved.
    pub moved: u64,
    /// Items removed.
    pub removed: u64,
    /// Bytes transferred.
    pub bytes: u64,
}

impl Tally {
    /// All steps together.
    #[must_use]
    pub const fn steps(&self) -> u64 {
        self.created + self.updated + self.moved + self.removed
    }
}

/// What became of one run of one target.
#[derive(Clone, Debug)]
pub struct RunResult {
    /// The target.
    pub target: String,
    /// Which way changes could flow.
    pub direction: Direction,
    /// The identifier of the run; `None` when nothing was recorded because nothing was to be done.
    pub run: Option<String>,
    /// When it began.
    pub started: Nanos,
    /// When it ended.
    pub finished: Nanos,
    /// How it ended.
    pub state: RunState,
    /// The first plan, for display: what was, or in a dry run would have been, done.
    pub plan: Plan,
    /// The hash of that plan.
    pub plan_hash: String,
    /// What was done.
    pub tally: Tally,
    /// How many changes a run that was cut short had made without recording them: they are recorded with this one.
    pub taken_over: u64,
    /// Paths that were created in the workspace.
    pub outputs_created: Vec<ItemPath>,
    /// Conflicts that were found.
    pub conflicts: Vec<Conflict>,
    /// Why it was not carried out.
    pub halts: Vec<Halt>,
    /// What was left alone and why.
    pub problems: Vec<Problem>,
    /// Why the baseline was not trusted, when it was not: then nothing is removed.
    pub distrust: Option<String>,
    /// How many items are agreed on now.
    pub agreed: u64,
    /// What the checks around it came to.
    pub checked: Vec<Checked>,
}

impl RunResult {
    /// Whether the run did all that it was to do.
    #[must_use]
    pub fn is_success(&self) -> bool {
        matches!(self.state, RunState::Succeeded)
    }

    /// What happened, in one line.
    #[must_use]
    pub fn message(&self) -> String {
        if let Some(halt) = self.halts.first() {
            return format!("halted: {}", halt.message);
        }
        let tally = &self.tally;
        let mut parts = Vec::new();
        for (count, word) in [
            (tally.created, "created"),
            (tally.updated, "updated"),
            (tally.moved, "moved"),
            (tally.removed, "removed"),
        ] {
            if count > 0 {
                parts.push(format!("{count} {word}"));
            }
        }
        if self.taken_over > 0 {
            parts.push(format!("{} taken over from a run that was cut short", self.taken_over));
        }
        let merged = self.conflicts.iter().filter(|conflict| conflict.merged.is_some()).count();
        if merged > 0 {
            parts.push(format!("{merged} merged"));
        }
        let open = self.conflicts.iter().filter(|conflict| conflict.open).count();
        if open > 0 {
            parts.push(format!("{open} open {}", if open == 1 { "conflict" } else { "conflicts" }));
        }
        let remarks = self.problems.iter().filter(|problem| is_remark(problem.code)).count();
        for (count, word) in [(self.problems.len() - remarks, "problem"), (remarks, "note")] {
            match count {
                0 => {}
                1 => parts.push(format!("1 {word}")),
                count => parts.push(format!("{count} {word}s")),
            }
        }
        if parts.is_empty() { "nothing to do".to_owned() } else { parts.join(", ") }
    }

    /// Counts the outcomes of a plan's steps.
    pub(crate) fn count(&mut self, plan: &Plan, outcomes: &[Option<Outcome>]) {
        for (step, outcome) in plan.steps.iter().zip(outcomes) {
            match outcome {
                Some(Outcome::Applied { size, .. }) => {
                    match step.verb() {
                        "create" => self.tally.created += 1,
                        "update" => self.tally.updated += 1,
                        "move" => self.tally.moved += 1,
                        _ => self.tally.removed += 1,
                    }
                    if step.bytes() > 0 {
                        self.tally.bytes += size;
                    }
                    if step.side == Side::Local && step.verb() == "create" {
                        self.outputs_created.push(step.path.clone());
                    }
                }
                Some(Outcome::Failed(problem)) => {
                    let problem = problem.clone().on(step.side);
                    // What fails as a whole fails for one reason.
                    if self.problems.last() != Some(&problem) {
                        self.problems.push(problem);
                    }
                }
                Some(Outcome::Refused { .. }) | None => {}
            }
        }
    }
}

/// Whether what has this code is only worth telling: things that can never be synced do not make a run fail, nor does
/// what an earlier run put aside and a person has not looked at yet, nor what is at another place than expected or at two
/// of them, nor what waits for somebody to take it, nor from which commit something comes or into which it went, nor what a script left outside
/// of its outputs, nor that a wish is granted as far as the direction goes, nor in what two sides differ, which the steps
/// settle.
#[must_use]
pub fn is_remark(code: &str) -> bool {
    matches!(
        code,
        "name_not_utf8"
            | "special_file"
            | "rescued"
            | "left_behind"
            | "renamed_apart"
            | "proposed"
            | "converted"
            | "commit"
            | "outside_outputs"
            | "one_sided"
            | "not_committed"
            | "not_idempotent"
            | "paused"
            | "outside_window"
            | "differs"
            | "sanitized"
            | "in_place"
    )
}
