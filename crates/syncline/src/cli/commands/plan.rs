//! `syncline plan`.

use std::path::PathBuf;

use syncline_service::operations::make_plan::{Request, make_plan};
use syncline_service::{Problem, wire};

use super::{OneWay, Selection};
use crate::cli::args::Globals;
use crate::cli::output::Output;
use crate::cli::{render, report_file, runtime, session};

/// Show what a run would do, and change nothing anywhere.
///
/// Arrows tell which side would change: `→ remote` or `← local`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  syncline plan                              all targets
  syncline plan notes --out notes.plan       save it; `syncline run --plan notes.plan` does exactly this
  syncline plan --detailed-exitcode          exit code 3 when there is something to do")]
pub(crate) struct Plan {
    #[command(flatten)]
    selection: Selection,
    /// Plan bidirectional targets in this one direction.
    #[arg(long, value_name = "DIRECTION", value_enum)]
    one_way: Option<OneWay>,
    /// Save the plan to a file, for `syncline run --plan`.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// End with exit code 3 when changes are pending, 4 when a guard would stop them.
    #[arg(long)]
    detailed_exitcode: bool,
}

impl Plan {
    /// Runs the command.
    pub(crate) fn run(self, globals: &Globals, output: &Output) -> Result<u8, Problem> {
        let service = session::open_with_plan(globals, output, self.out.as_deref())?;
        let request = Request {
            targets: self.selection.targets,
            direction: self.selection.direction.map(Into::into),
            one_way: self.one_way.map(Into::into),
        };
        let plan = runtime::block_on(make_plan(&service, &request))?;
        if let Some(file) = &self.out {
            report_file::write_json(file, &plan)?;
        }
        output.result(&plan, || render::plan::plan(&plan, output.verbose));
        if let Some(file) = &self.out {
            output.note(format_args!("saved; do exactly this with: syncline run --plan {}", file.display()));
        }
        Ok(exit_code(&plan, self.detailed_exitcode || service.workspace().fail_on_diff))
    }
}

/// The exit code of a plan: 1 when there is none, and when details count, 4 for a halt and 3 for changes.
pub(crate) fn exit_code(plan: &wire::Plan, details: bool) -> u8 {
    let any = |holds: fn(&wire::TargetPlan) -> bool| plan.targets.iter().any(holds);
    if any(|target| target.error.as_ref().is_some_and(|error| !error.is_usage())) {
        1
    } else if any(|target| target.error.is_some()) {
        2
    } else if details && any(|target| !target.halts.is_empty()) {
        4
    } else if details && any(|target| target.pending() > 0) {
        3
    } else {
        0
    }
}
