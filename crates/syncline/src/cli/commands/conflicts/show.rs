//! `syncline conflicts show`.

use syncline_service::Problem;
use syncline_service::operations::show_conflict::{Request, show_conflict};

use crate::cli::args::Globals;
use crate::cli::output::Output;
use crate::cli::render::conflict;
use crate::cli::{runtime, session};

/// Show a conflict and the versions that are involved.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  syncline conflicts show 3f2a
  syncline conflicts show plan.md")]
pub(crate) struct Show {
    /// Its identifier or an unambiguous beginning of it, or a path or glob that only one conflict matches.
    #[arg(value_name = "ID|PATH|GLOB")]
    id: String,
}

impl Show {
    /// Runs the command.
    pub(crate) fn run(self, globals: &Globals, output: &Output) -> Result<u8, Problem> {
        let service = session::open(globals, output, "command line")?;
        let response = runtime::block_on(show_conflict(&service, &Request { id: self.id }))?;
        output.result(&response, || conflict::page(&response));
        Ok(0)
    }
}
