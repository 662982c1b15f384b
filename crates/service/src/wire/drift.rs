//! A drift check, as `drift` prints it and writes it to a file.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::report::cell;
use super::{Side, TargetPlan, VERSION, Verb};

/// Most paths of one target that the Markdown page lists.
const PATHS_MAX: usize = 500;

/// How far the two sides of each target are apart.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct DriftReport {
    /// The version of this shape.
    pub version: u32,
    /// When the check began: RFC 3339.
    pub timestamp: String,
    /// How many targets were looked at.
    pub total_targets: u64,
    /// How many of them have drifted.
    pub drifted: u64,
    /// How many of them could not be looked at.
    pub failed: u64,
    /// The scores of all targets together.
    pub score: u64,
    /// What was found, target by target, in the order of the file.
    pub results: Vec<TargetDrift>,
}

/// How far the two sides of one target are apart.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct TargetDrift {
    /// Whether the sides differ.
    pub drifted: bool,
    /// How many items differ: steps that a run would take, conflicts that wait for a decision, and changes that the
    /// direction keeps from flowing. 0 is agreement; `null` when the target could not be looked at.
    pub score: Option<u64>,
    /// What a run would do about it.
    #[serde(flatten)]
    pub plan: TargetPlan,
}

impl DriftReport {
    pub(crate) fn new(timestamp: String, plans: impl IntoIterator<Item = TargetPlan>) -> Self {
        let results: Vec<TargetDrift> = plans.into_iter().map(TargetDrift::of).collect();
        let count =
            |holds: fn(&TargetDrift) -> bool| results.iter().filter(|result| holds(result)).count() as u64;
        Self {
            version: VERSION,
            timestamp,
            total_targets: results.len() as u64,
            drifted: count(|result| result.drifted),
            failed: count(|result| result.score.is_none()),
            score: results.iter().filter_map(|result| result.score).sum(),
            results,
        }
    }

    /// The report as Markdown.
    #[must_use]
    pub fn to_markdown(&self) -> String {
        use std::fmt::Write as _;
        let mut page = format!(
            "# Syncline drift\n\n{} · {} of {} targets have drifted · score {}\n\n\
             | target | direction | score | to change here | to change there | conflicts | held back |\n\
             |---|---|--:|--:|--:|--:|--:|\n",
            self.timestamp, self.drifted, self.total_targets, self.score
        );
        for TargetDrift { score, plan, .. } in &self.results {
            let steps =
                |local: bool| plan.steps.iter().filter(|step| (step.side == Side::Local) == local).count();
            let _ = writeln!(
                page,
                "| {} | {} | {} | {} | {} | {} | {} |",
                cell(&plan.target),
                plan.direction.name(),
                score.map_or_else(|| "unknown".to_owned(), |score| score.to_string()),
                steps(true),
                steps(false),
                plan.conflicts.len(),
                plan.drift.len()
            );
        }
        for result in &self.results {
            result.write_details(&mut page);
        }
        page
    }
}

impl TargetDrift {
    fn of(plan: TargetPlan) -> Self {
        let score = plan.error.is_none().then(|| plan.pending() + plan.drift.len() as u64);
        // What halts a run, such as a side that is gone, is drift too, although no step tells of it.
        let drifted = score.is_some_and(|score| score > 0) || !plan.halts.is_empty();
        Self { drifted, score, plan }
    }

    fn write_details(&self, page: &mut String) {
        use std::fmt::Write as _;
        let plan = &self.plan;
        let errors = plan.error.iter().map(|error| format!("**error**: {}", cell(&error.message)));
        let halts = plan.halts.iter().map(|halt| format!("**a run would halt**: {}", cell(&halt.message)));
        let conflicts = plan.conflicts.iter().filter(|conflict| conflict.open);
        let conflicts = conflicts.map(|conflict| format!("**conflict**: `{}`", cell(&conflict.path)));
        let steps = plan.steps.iter().map(|step| {
            let from = step.from.as_ref().map(|from| format!(" from `{}`", cell(from))).unwrap_or_default();
            let verb = match step.action {
                Verb::Create => "missing",
                Verb::Update => "differs",
                Verb::Move => "moved",
                Verb::Remove => "to be removed",
            };
            format!("{verb} on the {} side: `{}`{from}", step.side.name(), cell(&step.path))
        });
        let held = plan.drift.iter().map(|held| {
            format!("changed on the {} side only, and kept there: `{}`", held.side.name(), cell(&held.path))
        });
        let problems = plan
            .problems
            .iter()
            .map(|problem| format!("`{}`: {}", cell(&problem.path), cell(&problem.message)));
        let lines: Vec<String> =
            errors.chain(halts).chain(conflicts).chain(steps).chain(held).chain(problems).collect();
        if lines.is_empty() {
            return;
        }
        let _ = write!(page, "\n## {}\n\n", cell(&plan.target));
        for line in lines.iter().take(PATHS_MAX) {
            let _ = writeln!(page, "- {line}");
        }
        if lines.len() > PATHS_MAX {
            let _ = writeln!(page, "- … and {} more", lines.len() - PATHS_MAX);
        }
    }
}
