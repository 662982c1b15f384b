//! `syncline status`.

use std::fmt::Write as _;

use syncline_service::operations::status::{Request, Response, State, Target, status};
use syncline_service::wire::{Figures, Offline};
use syncline_service::{Problem, WireProblem};

use super::pause::paused;
use crate::cli::args::Globals;
use crate::cli::output::Output;
use crate::cli::render::plan::{error_lines, problem_line};
use crate::cli::text::{bytes, count, local_time, paint, shown, style};
use crate::cli::{runtime, session};

/// Tell how every target is doing.
///
/// Last run, what is agreed on, what is pending, what waits for a decision, and what history keeps.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  syncline status          all targets
  syncline status --fast   without looking at the sides")]
pub(crate) struct Status {
    /// Names or globs [default: all targets].
    #[arg(value_name = "NAME|GLOB")]
    targets: Vec<String>,
    /// Do not look at the sides: what is pending stays unknown.
    #[arg(long)]
    fast: bool,
}

impl Status {
    /// Runs the command.
    pub(crate) fn run(self, globals: &Globals, output: &Output) -> Result<u8, Problem> {
        let service = session::open(globals, output, "command line")?;
        let request = Request { targets: self.targets, fast: self.fast };
        let response = runtime::block_on(status(&service, &request))?;
        output.result(&response, || page(&response));
        let errors = || response.targets.iter().filter_map(|target| target.error.as_ref());
        let all_usage = errors().all(WireProblem::is_usage);
        Ok(match errors().next() {
            None => 0,
            Some(_) if all_usage => 2,
            Some(_) => 1,
        })
    }
}

fn page(response: &Response) -> String {
    let mut text = format!(
        "{} on {}\n",
        paint(style::STRONG, &shown(&response.workspace)),
        paint(style::STRONG, &shown(&response.node))
    );
    let width = response.targets.iter().map(|target| target.target.chars().count()).max().unwrap_or_default();
    response.targets.iter().for_each(|target| text.push_str(&lines(target, width)));
    let mut parts = Vec::new();
    if let Some(pending) = response.messages_pending {
        parts.push(format!("{} pending", count(pending, "change")));
    }
    parts.push(count(response.open_conflicts, "open conflict"));
    if response.watched {
        parts.push("watched".to_owned());
    }
    parts.extend(figures(&response.figures));
    let backups = response.backups;
    parts.push(format!("history: {} ({})", count(backups.objects, "object"), bytes(backups.bytes)));
    let _ = writeln!(text, "{}", paint(style::FAINT, &parts.join(" · ")));
    text
}

/// What was counted, in a few words; nothing before the first run.
fn figures(figures: &Figures) -> Option<String> {
    let rate = figures.success_rate?;
    let mut text = format!("{}, {:.1} % succeeded", count(figures.runs, "run"), rate * 100.0);
    if let (Some(average), Some(most)) = (figures.avg_duration_seconds, figures.p95_duration_seconds) {
        let _ = write!(text, ", {average:.2} s on average, 95 of 100 within {most:.2} s");
    }
    Some(text)
}

/// What is known of a remote that is away, in one line.
pub(super) fn offline_line(offline: &Offline) -> String {
    let mut text = format!(
        "offline since {}, tried {}",
        local_time(&offline.since),
        count(offline.tries.into(), "time")
    );
    if let Some(next) = &offline.next_try {
        let _ = write!(text, ", next {}", local_time(next));
    }
    if let Some(waiting) = offline.waiting.filter(|&waiting| waiting > 0) {
        let _ = write!(text, ", {} waiting", count(waiting, "changed path"));
    }
    text
}

/// When the last run was and what became of it, also of one that left no record.
fn last_run(target: &Target) -> Option<String> {
    const GOES_ON: &str = "is going on, or was cut short; the next run takes over";
    let recorded = target.last_run.as_ref();
    let (at, became) = match (recorded, &target.last_end) {
        (Some(run), _) if run.state == "running" => (&run.started, GOES_ON.to_owned()),
        (Some(run), Some(end)) if end.run.as_ref() == Some(&run.run) => (&run.started, shown(&run.message)),
        (_, Some(end)) => (&end.finished, shown(&end.message)),
        (Some(run), None) => (&run.started, shown(&run.message)),
        (None, None) => return None,
    };
    Some(format!("last run {}: {became}", local_time(at)))
}

fn lines(target: &Target, width: usize) -> String {
    let word = match target.state {
        State::NeverRun => paint(style::FAINT, "never run   "),
        State::InAgreement => paint(style::GOOD, "in agreement"),
        State::Pending => paint(style::CHANGE, "pending     "),
        State::Conflicts => paint(style::WARN, "conflicts   "),
        State::Halted => paint(style::WARN, "halted      "),
        State::Failed => paint(style::BAD, "failed      "),
        State::Unfinished => paint(style::WARN, "unfinished  "),
    };
    let mut facts = vec![format!("{} agreed", count(target.agreed, "item"))];
    facts.extend(target.pending.filter(|&pending| pending > 0).map(|pending| format!("{pending} pending")));
    if target.open_conflicts > 0 {
        facts.push(paint(style::WARN, &count(target.open_conflicts, "open conflict")));
    }
    facts.extend(last_run(target));
    facts.extend(target.paused.as_ref().map(paused));
    let opens =
        target.opens.as_deref().map(|opens| format!("outside of its windows until {}", local_time(opens)));
    facts.extend(opens.map(|opens| paint(style::WARN, &opens)));
    facts.extend(target.offline.as_ref().map(|offline| paint(style::WARN, &offline_line(offline))));
    let name = shown(&target.target);
    let gap = " ".repeat(width.saturating_sub(name.chars().count()));
    let mut text = format!("  {}{gap}  {word}  {}\n", paint(style::STRONG, &name), facts.join(" · "));
    text.extend(target.error.iter().map(error_lines));
    text.extend(target.rescued.iter().map(problem_line));
    text
}
