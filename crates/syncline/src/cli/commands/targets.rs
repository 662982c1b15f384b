//! `syncline targets`.

use syncline_service::Problem;
use syncline_service::operations::list_targets::{Request, Response, Target, list_targets};

use super::Selection;
use super::pause::paused;
use crate::cli::args::Globals;
use crate::cli::output::Output;
use crate::cli::text::{paint, shown, style};
use crate::cli::{runtime, session};

/// List the targets of the workspace.
///
/// Needs no secret and contacts nothing.
#[derive(Debug, clap::Args)]
#[command(
    visible_alias = "list",
    after_help = "\
Examples:
  syncline targets                    all of them
  syncline targets 'oca_*'            those whose names match
  syncline targets --direction pull   those that only pull"
)]
pub(crate) struct Targets {
    #[command(flatten)]
    selection: Selection,
}

impl Targets {
    /// Runs the command.
    pub(crate) fn run(self, globals: &Globals, output: &Output) -> Result<u8, Problem> {
        let service = session::open(globals, output, "command line")?;
        let request =
            Request { targets: self.selection.targets, direction: self.selection.direction.map(Into::into) };
        let response = runtime::block_on(list_targets(&service, &request))?;
        output.result(&response, || table(&response));
        Ok(0)
    }
}

fn table(response: &Response) -> String {
    let width = response.targets.iter().map(|target| target.name.chars().count()).max().unwrap_or_default();
    response.targets.iter().map(|target| line(target, width)).collect()
}

fn line(target: &Target, width: usize) -> String {
    let arrow = match target.direction.name() {
        "pull" => "←",
        "push" => "→",
        _ => "↔",
    };
    let setting = |name: &str| target.remote.settings.get(name).and_then(serde_json::Value::as_str);
    let place = setting("path").or_else(|| setting("entrypoint")).unwrap_or_default();
    let remote = format!("{} {place}", target.remote.kind);
    let name = shown(&target.name);
    let gap = " ".repeat(width.saturating_sub(name.chars().count()));
    let mut text = format!(
        "{}{gap}  {} {arrow} {}",
        paint(style::STRONG, &name),
        shown(&target.path),
        shown(remote.trim_end())
    );
    if let Some(schedule) = &target.schedule {
        let timezone = Some(&target.timezone).filter(|timezone| *timezone != "UTC");
        let timezone = timezone.map(|timezone| format!(" {timezone}")).unwrap_or_default();
        text.push_str(&format!("  {}", paint(style::PLACE, &shown(&format!("{schedule}{timezone}")))));
    }
    if !target.windows.is_empty() {
        text.push_str(&format!("  {}", paint(style::PLACE, &shown(&target.windows.join(", ")))));
    }
    if !target.after.is_empty() {
        text.push_str(&format!("  after {}", shown(&target.after.join(", "))));
    }
    if let Some(pause) = &target.paused {
        text.push_str(&format!("  {}", paused(pause)));
    }
    if let Some(description) = &target.description {
        text.push_str(&format!("  {}", paint(style::FAINT, &shown(description))));
    }
    text.push('\n');
    text
}
