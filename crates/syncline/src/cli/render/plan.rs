//! Plans.

use std::fmt::Write as _;

use syncline_service::WireProblem;
use syncline_service::wire::{Conflict, Halt, Plan, PlannedStep, Remark, Side, TargetPlan, Verb};

use super::super::text::{bytes, count, paint, quoted, shown, style};

/// Most lines of each kind that are printed, unless more are asked for.
const LINES_MAX: usize = 200;

/// A plan of several targets.
pub(crate) fn plan(plan: &Plan, all: bool) -> String {
    let mut text = String::new();
    for (index, target) in plan.targets.iter().enumerate() {
        if index > 0 {
            text.push('\n');
        }
        text.push_str(&target_plan(target, all));
    }
    text
}

/// As [`plan`], of a command other than `syncline plan`: without saying that `syncline run` approves it.
pub(crate) fn unapprovable(made: &Plan, all: bool) -> String {
    let mut made = made.clone();
    made.targets.iter_mut().for_each(|target| target.hash = None);
    plan(&made, all)
}

/// The plan of one target, as a question shows it: without saying how to approve it.
pub(crate) fn question(plan: &TargetPlan) -> String {
    let mut text = target_plan(&TargetPlan { hash: None, ..plan.clone() }, false);
    text.push('\n');
    text
}

/// The plan of one target.
pub(crate) fn target_plan(plan: &TargetPlan, all: bool) -> String {
    let mut text = format!(
        "{}  {}  {}\n",
        paint(style::STRONG, &shown(&plan.target)),
        paint(style::FAINT, plan.direction.name()),
        headline(plan)
    );
    text.push_str(&details(plan, all));
    text
}

/// Everything about the plan of one target but its headline.
pub(crate) fn details(plan: &TargetPlan, all: bool) -> String {
    let mut text = String::new();
    if let Some(error) = &plan.error {
        text.push_str(&error_lines(error));
    }
    if let Some(distrust) = &plan.distrust {
        let _ = writeln!(text, "  {} {}", paint(style::WARN, "!"), shown(distrust));
    }
    steps(&mut text, &plan.steps, all);
    some(&mut text, &plan.conflicts, all, "conflict", conflict_line);
    some(&mut text, &plan.problems, all, "problem", problem_line);
    some(&mut text, &plan.drift, all, "change", |drift| {
        let why = format!("changed on the {} side only; the direction keeps it there", drift.side.name());
        format!("  {} {}  {}\n", paint(style::FAINT, "·"), shown(&drift.path), paint(style::FAINT, &why))
    });
    text.push_str(&halt_lines(&plan.halts, &plan.target, plan.hash.as_deref()));
    text
}

fn headline(plan: &TargetPlan) -> String {
    if plan.error.is_some() {
        return paint(style::BAD, "no plan could be made");
    }
    let mut parts = Vec::new();
    if plan.steps.is_empty() && !plan.halts.is_empty() {
        parts.push(paint(style::WARN, "halted"));
    } else if plan.steps.is_empty() {
        parts.push(paint(
            style::GOOD,
            if plan.pending() == 0 { "nothing to do" } else { "nothing can be done" },
        ));
    } else {
        parts.push(count(plan.steps.len() as u64, "change"));
        let transferred: u64 =
            plan.steps.iter().filter(|step| transfers(step)).filter_map(|step| step.size).sum();
        if transferred > 0 {
            parts.push(bytes(transferred));
        }
    }
    if !plan.conflicts.is_empty() {
        parts.push(paint(style::WARN, &count(plan.conflicts.len() as u64, "conflict")));
    }
    let notes = plan.problems.iter().filter(|problem| problem.is_note()).count();
    if plan.problems.len() > notes {
        parts.push(paint(style::BAD, &count((plan.problems.len() - notes) as u64, "problem")));
    }
    if notes > 0 {
        parts.push(paint(style::FAINT, &count(notes as u64, "note")));
    }
    parts.push(paint(style::FAINT, &format!("{} agreed", count(plan.agreed, "item"))));
    parts.join(" · ")
}

const fn transfers(step: &PlannedStep) -> bool {
    matches!(step.action, Verb::Create | Verb::Update)
}

fn steps(text: &mut String, steps: &[PlannedStep], all: bool) {
    let limit = if all { usize::MAX } else { LINES_MAX };
    let lines: Vec<(&PlannedStep, String)> =
        steps.iter().take(limit).map(|step| (step, path_of(step))).collect();
    let width = lines.iter().map(|(_, path)| path.chars().count()).max().unwrap_or_default().min(60);
    for (step, path) in &lines {
        let (sign, look) = match step.action {
            Verb::Create => ("+ create", style::GOOD),
            Verb::Update => ("~ update", style::CHANGE),
            Verb::Move => ("> move  ", style::PLACE),
            Verb::Remove => ("- remove", style::BAD),
        };
        let size = step.size.filter(|_| transfers(step)).map(bytes).unwrap_or_default();
        let line = format!(
            "  {} {}  {path:<width$}  {}",
            arrow(step.side),
            paint(look, sign),
            paint(style::FAINT, &size)
        );
        let _ = writeln!(text, "{}", if size.is_empty() { line.trim_end_matches([' ']) } else { &line });
    }
    rest(text, steps.len(), lines.len(), "change");
}

/// Which side changes.
const fn arrow(side: Side) -> &'static str {
    match side {
        Side::Local => "← local ",
        Side::Remote => "→ remote",
    }
}

fn path_of(step: &PlannedStep) -> String {
    let directory = if step.kind == "directory" { "/" } else { "" };
    match &step.from {
        Some(from) => format!("{}{directory} → {}{directory}", shown(from), shown(&step.path)),
        None => format!("{}{directory}", shown(&step.path)),
    }
}

fn some<T>(text: &mut String, items: &[T], all: bool, thing: &str, line: impl Fn(&T) -> String) {
    let limit = if all { usize::MAX } else { LINES_MAX };
    items.iter().take(limit).for_each(|item| text.push_str(&line(item)));
    rest(text, items.len(), items.len().min(limit), thing);
}

fn rest(text: &mut String, total: usize, printed: usize, thing: &str) {
    if total > printed {
        let more = format!("… and {} more (-v prints all)", count((total - printed) as u64, thing));
        let _ = writeln!(text, "  {}", paint(style::FAINT, &more));
    }
}

/// A conflict, in one line.
pub(crate) fn conflict_line(conflict: &Conflict) -> String {
    let what = match (conflict.winner, &conflict.copy) {
        _ if conflict.merged.is_some() && conflict.open => {
            "merged, with markers to be finished by hand".to_owned()
        }
        _ if conflict.merged.is_some() => "the edits of both sides are in it".to_owned(),
        (None, _) => match &conflict.action {
            Some(action) => shown(action),
            None => "waits for your decision; nothing is touched".to_owned(),
        },
        (Some(winner), Some(copy)) => {
            format!("the {} version keeps the name, the other one is {}", winner.name(), shown(copy))
        }
        (Some(winner), None) => format!("the {} version wins, the other one is in history", winner.name()),
    };
    let note = conflict.note.as_ref().map(|note| format!("; {}", shown(note))).unwrap_or_default();
    let sign = match (conflict.open, &conflict.merged) {
        (true, _) => paint(style::WARN, "! conflict"),
        (false, Some(_)) => paint(style::GOOD, "· merged"),
        (false, None) => paint(style::FAINT, "· conflict"),
    };
    format!(
        "  {sign} {}  {what}{note}  {}\n",
        shown(&conflict.path),
        paint(style::FAINT, &format!("({}, {})", conflict.policy, &conflict.id))
    )
}

/// A problem, in one line.
pub(crate) fn problem_line(problem: &Remark) -> String {
    let side = problem.side.map(|side| format!(" ({})", side.name())).unwrap_or_default();
    let place = if problem.path.is_empty() { side } else { format!(" {}{side}", shown(&problem.path)) };
    let place = if place.is_empty() { place } else { format!("{place}:") };
    let sign = if problem.is_note() { paint(style::FAINT, "·") } else { paint(style::BAD, "✗") };
    format!("  {sign}{place} {}\n", shown(&problem.message))
}

/// Why a target could not be handled at all.
pub(crate) fn error_lines(error: &WireProblem) -> String {
    let mut text = format!("  {} {}\n", paint(style::BAD, "✗"), shown(&error.message));
    if let Some(hint) = &error.hint {
        let _ = writeln!(text, "    {} {}", paint(style::FAINT, "= help:"), shown(hint));
    }
    text
}

/// Why a plan is halted, and how to go on.
pub(crate) fn halt_lines(halts: &[Halt], target: &str, hash: Option<&str>) -> String {
    let mut text = String::new();
    for halt in halts {
        let _ = writeln!(text, "  {} {}", paint(style::WARN, "halted:"), shown(&halt.message));
    }
    if let Some(hash) = hash
        && !halts.is_empty()
        && halts.iter().all(|halt| halt.approvable)
    {
        let _ = writeln!(
            text,
            "  {} {}",
            paint(style::FAINT, "look at it:"),
            format_args!("syncline plan {}", quoted(target))
        );
        let _ = writeln!(
            text,
            "  {} {}",
            paint(style::FAINT, "approve it:"),
            format_args!("syncline run {} --approve {hash}", quoted(target))
        );
    }
    text
}
