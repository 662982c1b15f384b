//! `syncline history`.

use std::fmt::Write as _;
use std::path::PathBuf;

use syncline_service::operations::{history, list_versions};
use syncline_service::wire::{Item, Run, RunList, Verb};
use syncline_service::{Problem, Service};

use crate::cli::args::Globals;
use crate::cli::output::Output;
use crate::cli::text::{bytes, count, local_time, paint, seconds, short_run, shown, style};
use crate::cli::{runtime, session};

/// List runs, the newest first, or the versions of a path.
///
/// Only runs that had something to do or were halted are recorded.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  syncline history                      the last 20 runs
  syncline history --target notes -n 5  the last five of one target
  syncline history plan.md              every version that plan.md had
  syncline history docs/                everything that happened below docs")]
pub(crate) struct History {
    /// List what runs did to this path instead, or to everything below it.
    #[arg(value_name = "PATH")]
    path: Option<PathBuf>,
    /// Only runs of this target.
    #[arg(long, value_name = "NAME")]
    target: Option<String>,
    /// At most so many.
    #[arg(long, short = 'n', value_name = "COUNT", default_value_t = 20)]
    limit: u32,
    /// Only runs before this one.
    #[arg(long, value_name = "RUN", conflicts_with = "path")]
    before: Option<String>,
}

impl History {
    /// Runs the command.
    pub(crate) fn run(self, globals: &Globals, output: &Output) -> Result<u8, Problem> {
        let service = session::open(globals, output, "command line")?;
        if let Some(path) = &self.path {
            let versions = runtime::block_on(self.versions(&service, path))?;
            output.result(&versions, || version_table(&versions));
            return Ok(0);
        }
        let request =
            history::Request { target: self.target, limit: self.limit, before: self.before, run: None };
        let runs = runtime::block_on(history::history(&service, &request))?;
        output.result(&runs, || run_table(&runs));
        Ok(0)
    }

    async fn versions(
        &self,
        service: &Service,
        path: &std::path::Path,
    ) -> Result<list_versions::Response, Problem> {
        let mut found = None;
        for path in session::meanings(service, path)? {
            let request = list_versions::Request { path, target: self.target.clone(), limit: self.limit };
            let versions = list_versions::list_versions(service, &request).await?;
            if !versions.versions.is_empty() {
                return Ok(versions);
            }
            found.get_or_insert(versions);
        }
        found.ok_or_else(|| Problem::not_found("nothing is known of this path"))
    }
}

fn run_table(list: &RunList) -> String {
    if list.runs.is_empty() {
        return "no run yet; `syncline run` makes one\n".to_owned();
    }
    let width = list.runs.iter().map(|run| run.target.chars().count()).max().unwrap_or_default();
    list.runs.iter().map(|run| run_line(run, width)).collect()
}

fn run_line(run: &Run, width: usize) -> String {
    let sign = match run.state.as_str() {
        "succeeded" => paint(style::GOOD, "✓"),
        "halted" => paint(style::WARN, "■"),
        "running" => paint(style::PLACE, "…"),
        _ => paint(style::BAD, "✗"),
    };
    let name = shown(&run.target);
    let gap = " ".repeat(width.saturating_sub(name.chars().count()));
    let mut details = Vec::new();
    if run.bytes > 0 {
        details.push(bytes(run.bytes));
    }
    details.extend(run.duration.map(seconds));
    if run.cause != "command line" {
        details.push(shown(&run.cause));
    }
    format!(
        "{sign} {}  {}  {}{gap}  {}  {}\n",
        paint(style::PLACE, short_run(&run.run)),
        local_time(&run.started),
        paint(style::STRONG, &name),
        if run.message.is_empty() { run.state.clone() } else { shown(&run.message) },
        paint(style::FAINT, &format!("({})", details.join(", ")))
    )
}

fn version_table(list: &list_versions::Response) -> String {
    if list.versions.is_empty() {
        return "no run touched it\n".to_owned();
    }
    let mut text = String::new();
    for version in &list.versions {
        let (word, look) = match version.action {
            Some(Verb::Create) => ("created", style::GOOD),
            Some(Verb::Update) => ("updated", style::CHANGE),
            Some(Verb::Move) => ("moved  ", style::PLACE),
            Some(Verb::Remove) => ("removed", style::BAD),
            None => ("kept   ", style::FAINT),
        };
        let item = version.after.as_ref().or(version.before.as_ref()).map(describe).unwrap_or_default();
        let _ = writeln!(
            text,
            "{}  {}  {}  {}  {}",
            paint(style::PLACE, short_run(&version.run)),
            local_time(&version.started),
            paint(look, word),
            shown(&version.path),
            paint(style::FAINT, &item)
        );
        for lost in &version.lost {
            let _ = writeln!(text, "    the {} version was kept: {}", lost.side.name(), describe(&lost.item));
        }
    }
    let runs = count(list.versions.len() as u64, "version");
    let _ = writeln!(
        text,
        "{}",
        paint(style::FAINT, &format!("{runs}; `syncline restore PATH --at RUN` brings one back"))
    );
    text
}

/// A version in few words.
fn describe(item: &Item) -> String {
    let digest = item.digest.as_deref().and_then(|digest| digest.get(..8)).unwrap_or_default();
    match item.kind.as_str() {
        "directory" => "directory".to_owned(),
        "symlink" => format!("symlink {digest}"),
        _ => format!("{} {digest}", bytes(item.size)),
    }
}
