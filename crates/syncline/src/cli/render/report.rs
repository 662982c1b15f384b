//! Reports of runs.

use std::fmt::Write as _;

use syncline_service::wire::{Report, TargetReport};

use super::super::text::{bytes, count, paint, seconds, short_run, shown, style};
use super::plan::{conflict_line, error_lines, halt_lines, problem_line};

/// Most problems and conflicts that are printed, unless more are asked for.
const LINES_MAX: usize = 50;

/// What became of a run.
pub(crate) fn report(report: &Report, all: bool) -> String {
    let width = report.results.iter().map(|result| result.target.chars().count()).max().unwrap_or_default();
    let mut text: String = report.results.iter().map(|result| target(result, width, all)).collect();
    for left_out in &report.left_out {
        let (name, message) = (shown(&left_out.target), shown(&left_out.message));
        let line = format!("· {name}  left out: {message}");
        let _ = writeln!(text, "{}", paint(style::FAINT, &line));
    }
    if report.results.len() > 1 {
        let summary = format!(
            "{} of {} succeeded in {}",
            report.successful,
            count(report.total_targets, "target"),
            seconds(report.total_duration)
        );
        let _ = writeln!(text, "{}", paint(style::FAINT, &summary));
    }
    text
}

/// As [`report`], of a command other than `syncline run`: without saying that `syncline run` approves it.
pub(crate) fn unapprovable(made: &Report, all: bool) -> String {
    let mut made = made.clone();
    made.results.iter_mut().for_each(|result| result.plan_hash = None);
    report(&made, all)
}

/// What became of one target.
pub(crate) fn target(result: &TargetReport, width: usize, all: bool) -> String {
    let sign = if result.success {
        paint(style::GOOD, "✓")
    } else if result.halts.is_empty() {
        paint(style::BAD, "✗")
    } else {
        paint(style::WARN, "■")
    };
    let mut details = Vec::new();
    if result.bytes > 0 {
        details.push(bytes(result.bytes));
    }
    details.push(seconds(result.duration));
    details.extend(result.run.as_deref().map(|run| format!("run {}", short_run(run))));
    let message = match &result.error {
        Some(error) if error.code == "not_run" => "not run".to_owned(),
        Some(_) => "could not be run".to_owned(),
        None => summary(result),
    };
    let name = shown(&result.target);
    let mut text = format!(
        "{sign} {}{}  {message}  {}\n",
        paint(style::STRONG, &name),
        " ".repeat(width.saturating_sub(name.chars().count())),
        paint(style::FAINT, &format!("({})", details.join(", ")))
    );
    text.push_str(&particulars(result, all));
    text
}

/// What happened, without what the lines below it say.
fn summary(result: &TargetReport) -> String {
    if result.halts.is_empty() {
        shown(&result.message)
    } else if result.halts.iter().any(|halt| halt.code == "paused") {
        "left alone".to_owned()
    } else {
        "halted before anything was touched".to_owned()
    }
}

fn particulars(result: &TargetReport, all: bool) -> String {
    let limit = if all { usize::MAX } else { LINES_MAX };
    let mut text = String::new();
    text.extend(result.error.iter().map(error_lines));
    if let Some(distrust) = &result.distrust {
        let _ = writeln!(text, "  {} {}", paint(style::WARN, "!"), shown(distrust));
    }
    let conflicts = result.conflicts.iter().filter(|conflict| conflict.open || all);
    text.extend(conflicts.take(limit).map(conflict_line));
    text.extend(result.problems.iter().take(limit).map(problem_line));
    let hidden = result.problems.len().saturating_sub(limit);
    if hidden > 0 {
        let _ = writeln!(
            text,
            "  {}",
            paint(style::FAINT, &format!("… and {hidden} more problems (-v prints all)"))
        );
    }
    text.push_str(&halt_lines(&result.halts, &result.target, result.plan_hash.as_deref()));
    if result.open_conflicts > 0 {
        let open = count(result.open_conflicts, "open conflict");
        let _ = writeln!(text, "  {} {open}: syncline conflicts", paint(style::FAINT, "to decide:"));
    }
    text
}
