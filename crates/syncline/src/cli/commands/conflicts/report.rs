//! `syncline conflicts report`.

use std::path::PathBuf;

use syncline_service::Problem;
use syncline_service::operations::report_conflicts::{Request, report_conflicts};

use crate::cli::args::Globals;
use crate::cli::output::Output;
use crate::cli::text::{count, shown_lines};
use crate::cli::{report_file, runtime, session};

/// Report on conflicts: counts, the open ones, and those settled in the last 30 days.
///
/// Prints Markdown, or JSON with `--format json`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  syncline conflicts report
  syncline conflicts report --out conflicts.md
  syncline conflicts report --format json")]
pub(crate) struct Report {
    /// Write the report to this file instead: as Markdown when its name ends in `.md`, as JSON otherwise.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Only conflicts of this target.
    #[arg(long, value_name = "NAME")]
    target: Option<String>,
}

impl Report {
    /// Runs the command.
    pub(crate) fn run(self, globals: &Globals, output: &Output) -> Result<u8, Problem> {
        let service = session::open(globals, output, "command line")?;
        let report = runtime::block_on(report_conflicts(&service, &Request { target: self.target }))?;
        let Some(file) = self.out else {
            output.result(&report, || shown_lines(&report.to_markdown()));
            return Ok(0);
        };
        if report_file::is_markdown(&file) && !output.is_json() {
            report_file::write(&file, report.to_markdown().as_bytes())?;
        } else {
            report_file::write_json(&file, &report)?;
        }
        output.note(format!("{} written to {}", count(report.open, "open conflict"), file.display()));
        Ok(0)
    }
}
