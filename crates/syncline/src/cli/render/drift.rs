//! Drift checks.

use syncline_service::wire::{DriftReport, TargetDrift, TargetPlan};

use super::super::text::{count, paint, shown, style};
use super::plan::details;

/// What a check found, target by target.
pub(crate) fn drift(report: &DriftReport, all: bool) -> String {
    report.results.iter().map(|result| target(result, all)).collect()
}

fn target(result: &TargetDrift, all: bool) -> String {
    let plan = &result.plan;
    let name = format!(
        "{}  {}",
        paint(style::STRONG, &shown(&plan.target)),
        paint(style::FAINT, plan.direction.name())
    );
    let agreed = paint(style::FAINT, &format!("{} agreed", count(plan.agreed, "item")));
    let headline = match result.score {
        None => paint(style::BAD, "could not be looked at"),
        Some(_) if !result.drifted => format!("{} · {agreed}", paint(style::GOOD, "no drift")),
        Some(score) => format!("{} · {agreed}", paint(style::WARN, &format!("drift score {score}"))),
    };
    // How to approve is a matter of running.
    let plan = TargetPlan { hash: None, ..plan.clone() };
    format!("{name}  {headline}\n{}", details(&plan, all))
}
