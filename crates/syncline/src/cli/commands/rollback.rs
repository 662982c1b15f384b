//! `syncline rollback`.

use syncline_service::Problem;
use syncline_service::operations::rollback::{Request, rollback};

use super::finish_run;
use crate::cli::args::Globals;
use crate::cli::output::Output;
use crate::cli::text::shown;
use crate::cli::{runtime, session};

/// Put a target back to what it was before a run.
///
/// Runs of the same target after it are undone too. The rollback is a run itself: it is recorded, and rolling it
/// back brings everything back.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  syncline rollback last                  undo the last run
  syncline rollback 0198f3a2-1b2c         undo this run and those after it
  syncline rollback last --dry-run        show what would be done")]
pub(crate) struct Rollback {
    /// The run: its identifier, an unambiguous beginning of it, or `last` for the last one that changed something.
    #[arg(value_name = "RUN")]
    run: String,
    /// Only show what would be done.
    #[arg(long)]
    dry_run: bool,
    /// Approve the halted plan of this hash.
    #[arg(long, value_name = "HASH")]
    approve: Option<String>,
}

impl Rollback {
    /// Runs the command.
    pub(crate) fn run(self, globals: &Globals, output: &Output) -> Result<u8, Problem> {
        let service = session::open(globals, output, "command line")?;
        let request =
            Request { run: self.run, dry_run: self.dry_run, approve: self.approve, plan_hash: None };
        let report = runtime::block_on(rollback(&service, &request))?;
        let approvable = report.results.iter().find(|result| result.awaits_approval());
        let hash = approvable.and_then(|result| result.plan_hash.clone());
        let code = finish_run(report, output);
        if let Some(hash) = hash {
            output.note(format_args!(
                "a rollback is approved by its own command: syncline rollback {} --approve {hash}",
                shown(&request.run)
            ));
        }
        Ok(code)
    }
}
