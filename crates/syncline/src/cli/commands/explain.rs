//! `syncline explain`.

use std::fmt::Write as _;
use std::path::PathBuf;

use syncline_service::Problem;
use syncline_service::operations::explain::{
    Explanation, Holding, HoldingState, Request, Response, Ruling, explain,
};
use syncline_service::wire::{Item, TargetPlan};

use crate::cli::args::Globals;
use crate::cli::output::Output;
use crate::cli::render::plan as render;
use crate::cli::text::{bytes, local_time, paint, short_run, shown, style};
use crate::cli::{runtime, session};

/// Explain what happens to a path, and why.
///
/// Which target covers it, which rule lets it through or leaves it out, what both sides last agreed on, what each of
/// them holds now, which run touched it last, and what the next one would do.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  syncline explain notes/today.md
  syncline explain build/out.o       why is it not synced?")]
pub(crate) struct Explain {
    /// The path, relative to the working directory or to the workspace.
    #[arg(value_name = "PATH")]
    path: PathBuf,
}

impl Explain {
    /// Runs the command.
    pub(crate) fn run(self, globals: &Globals, output: &Output) -> Result<u8, Problem> {
        let service = session::open(globals, output, "command line")?;
        let response = runtime::block_on(async {
            let mut first = None;
            for path in session::meanings(&service, &self.path)? {
                let response = explain(&service, &Request { path }).await?;
                if response.targets.iter().any(is_known) {
                    return Ok(response);
                }
                first.get_or_insert(response);
            }
            first.ok_or_else(|| Problem::not_found("nothing is known of this path"))
        })?;
        output.result(&response, || page(&response));
        Ok(0)
    }
}

/// Whether anything is or was at the path.
fn is_known(explanation: &Explanation) -> bool {
    let there = |holding: &Holding| holding.state != HoldingState::Absent;
    explanation.is_root
        || explanation.agreed.is_some()
        || explanation.last.is_some()
        || there(&explanation.local)
        || there(&explanation.remote)
}

fn page(response: &Response) -> String {
    let mut text = format!("{}\n", paint(style::STRONG, &shown(&response.path)));
    if response.targets.is_empty() {
        text.push_str("  no target covers it: it is not synced\n");
    }
    for explanation in &response.targets {
        write_target(&mut text, explanation);
    }
    text
}

fn write_target(text: &mut String, explanation: &Explanation) {
    let direction = paint(style::FAINT, explanation.direction.name());
    let _ = writeln!(text, "  target    {} {direction}", paint(style::STRONG, &shown(&explanation.target)));
    if explanation.is_root {
        text.push_str("  path      the folder of the target itself: its rules are about what lies below\n");
        return;
    }
    let rule = explanation.rule.as_deref().map(shown).unwrap_or_default();
    let _ = writeln!(
        text,
        "  rule      {}",
        match explanation.verdict {
            Ruling::Included => paint(style::GOOD, "belongs to the target"),
            Ruling::Traverse =>
                format!("{}: {rule}", paint(style::FAINT, "only what lies below may belong to the target")),
            Ruling::Ignored => format!("{}: {rule}", paint(style::WARN, "left out")),
        }
    );
    let agreed = explanation.agreed.as_ref().map_or_else(|| "nothing".to_owned(), describe);
    let _ = writeln!(text, "  agreed    {agreed}");
    let _ = writeln!(text, "  local     {}", holding(&explanation.local));
    let _ = writeln!(text, "  remote    {}", holding(&explanation.remote));
    if let Some(last) = &explanation.last {
        let action = last.action.map_or("kept a version", |verb| match verb {
            syncline_service::wire::Verb::Create => "created it",
            syncline_service::wire::Verb::Update => "updated it",
            syncline_service::wire::Verb::Move => "moved it",
            syncline_service::wire::Verb::Remove => "removed it",
        });
        let run = paint(style::PLACE, short_run(&last.run));
        let _ = writeln!(text, "  last run  {run} {} {action}", local_time(&last.started));
    }
    if let Some(conflict) = &explanation.conflict {
        let command = format!("syncline conflicts show {}", conflict.id);
        let _ = writeln!(text, "  conflict  {} {}", paint(style::WARN, "open:"), command);
    }
    match &explanation.error {
        Some(error) => text.push_str(&render::error_lines(error)),
        None => write_next(text, explanation),
    }
}

fn write_next(text: &mut String, explanation: &Explanation) {
    let idle =
        explanation.steps.is_empty() && explanation.problems.is_empty() && explanation.drift.is_empty();
    if idle && explanation.halts.is_empty() {
        text.push_str("  next run  does nothing to it\n");
        return;
    }
    text.push_str("  next run\n");
    let plan = TargetPlan {
        target: explanation.target.clone(),
        direction: explanation.direction,
        hash: None,
        steps: explanation.steps.clone(),
        conflicts: Vec::new(),
        halts: explanation.halts.clone(),
        problems: explanation.problems.clone(),
        drift: explanation.drift.clone(),
        agreed: 0,
        distrust: None,
        error: None,
    };
    let lines = render::target_plan(&plan, false);
    // The heading of a plan says nothing new here.
    lines.lines().skip(1).for_each(|line| text.push_str(&format!("  {line}\n")));
}

fn holding(holding: &Holding) -> String {
    let item = holding.item.as_ref().map(describe).unwrap_or_default();
    match holding.state {
        HoldingState::Absent => "nothing".to_owned(),
        HoldingState::Agreed => format!("{} {item}", paint(style::GOOD, "as agreed:")),
        HoldingState::Changed => format!("{} {item}", paint(style::CHANGE, "changed:")),
        HoldingState::Ignored => "something that rules leave out".to_owned(),
        HoldingState::Unreadable => {
            let message = holding.message.as_deref().map(shown).unwrap_or_default();
            format!("{} {message}", paint(style::BAD, "unreadable:"))
        }
        HoldingState::Unknown => "unknown".to_owned(),
    }
}

fn describe(item: &Item) -> String {
    let digest = item.digest.as_deref().and_then(|digest| digest.get(..8)).unwrap_or_default();
    let executable = if item.executable { "executable " } else { "" };
    let size = if item.kind == "directory" { String::new() } else { format!(", {}", bytes(item.size)) };
    let modified =
        item.modified.as_deref().map(|stamp| format!(", modified {}", local_time(stamp))).unwrap_or_default();
    format!("{executable}{}{size}{modified} {}", item.kind, paint(style::FAINT, digest)).trim_end().to_owned()
}
