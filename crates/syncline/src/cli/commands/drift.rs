//! `syncline drift`.

use std::path::PathBuf;

use syncline_service::Problem;
use syncline_service::operations::check_drift::{Request, check_drift};
use syncline_service::wire::DriftReport;

use super::Selection;
use crate::cli::args::Globals;
use crate::cli::output::Output;
use crate::cli::{render, report_file, runtime, session};

/// Tell how far the two sides of targets are apart, and change nothing anywhere.
///
/// The score of a target is the number of items that differ: what a run would change, conflicts that wait for a
/// decision, and changes that the direction keeps on their side. 0 is agreement.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  syncline drift                             all targets
  syncline drift notes --report drift.md     and a page for people; JSON when the name does not end in .md
  syncline drift --detailed-exitcode         in a CI job: exit code 3 when anything differs
  syncline drift --max-score 10              the same, when more than 10 items of a target differ")]
pub(crate) struct Drift {
    #[command(flatten)]
    selection: Selection,
    /// Write what was found to a file: Markdown when its name ends in `.md`, JSON otherwise.
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// End with exit code 3 when the score of a target is higher, 4 when a guard would stop a run.
    #[arg(long, value_name = "NUMBER")]
    max_score: Option<u64>,
    /// The same as `--max-score 0`.
    #[arg(long, conflicts_with = "max_score")]
    detailed_exitcode: bool,
}

impl Drift {
    /// Runs the command.
    pub(crate) fn run(self, globals: &Globals, output: &Output) -> Result<u8, Problem> {
        let service = session::open(globals, output, "command line")?;
        let request = Request {
            targets: self.selection.targets.clone(),
            direction: self.selection.direction.map(Into::into),
            one_way: None,
        };
        let report = runtime::block_on(check_drift(&service, &request))?;
        if let Some(file) = &self.report {
            if report_file::is_markdown(file) {
                report_file::write(file, report.to_markdown().as_bytes())?;
            } else {
                report_file::write_json(file, &report)?;
            }
        }
        output.result(&report, || render::drift::drift(&report, output.verbose));
        Ok(self.exit_code(&report, service.workspace().fail_on_diff))
    }

    fn exit_code(&self, report: &DriftReport, changes_count: bool) -> u8 {
        let any_counts = self.detailed_exitcode || changes_count;
        let most = self.max_score.or_else(|| any_counts.then_some(0));
        let too_high = |most| report.results.iter().any(|result| result.score > Some(most));
        let halted = report.results.iter().any(|result| !result.plan.halts.is_empty());
        match most {
            _ if report.failed > 0 => 1,
            Some(_) if halted => 4,
            Some(most) if too_high(most) => 3,
            _ => 0,
        }
    }
}
