//! `syncline restore`.

use std::path::PathBuf;

use syncline_service::operations::restore::{Request, restore};
use syncline_service::wire::Report;
use syncline_service::{Class, Problem, Service};

use super::finish_run;
use crate::cli::args::Globals;
use crate::cli::output::Output;
use crate::cli::{runtime, session};

/// Bring back an earlier version of a path.
///
/// Without --at, the version that was overwritten or removed last. The restore is a run itself: it is recorded, and
/// `syncline rollback last` undoes it.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  syncline restore plan.md                      the version that was lost last
  syncline restore plan.md --at 0198f3a2-1b2c   the version agreed on at the end of that run
  syncline restore docs/ --at last              a whole folder")]
pub(crate) struct Restore {
    /// The path, relative to the working directory or to the workspace.
    #[arg(value_name = "PATH")]
    path: PathBuf,
    /// The run at whose end the wanted version was agreed on.
    #[arg(long, value_name = "RUN")]
    at: Option<String>,
    /// The target, when several cover the path.
    #[arg(long, value_name = "NAME")]
    target: Option<String>,
    /// Only show what would be done.
    #[arg(long)]
    dry_run: bool,
    /// Approve the halted plan of this hash.
    #[arg(long, value_name = "HASH")]
    approve: Option<String>,
}

impl Restore {
    /// Runs the command.
    pub(crate) fn run(self, globals: &Globals, output: &Output) -> Result<u8, Problem> {
        let service = session::open(globals, output, "command line")?;
        let report = runtime::block_on(self.find(&service))?;
        Ok(finish_run(report, output))
    }

    /// Restores the first meaning of the path that history knows.
    async fn find(&self, service: &Service) -> Result<Report, Problem> {
        let mut unknown = None;
        for path in session::meanings(service, &self.path)? {
            let request = Request {
                path,
                at: self.at.clone(),
                target: self.target.clone(),
                dry_run: self.dry_run,
                approve: self.approve.clone(),
                plan_hash: None,
            };
            match restore(service, &request).await {
                Err(problem) if problem.class == Class::NotFound => {
                    unknown.get_or_insert(problem);
                }
                result => return result,
            }
        }
        Err(unknown.unwrap_or_else(|| Problem::not_found("nothing is known of this path")))
    }
}
