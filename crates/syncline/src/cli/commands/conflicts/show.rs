//! `syncline conflicts show`.

use clap::ValueEnum;
use syncline_service::Problem;
use syncline_service::operations::show_conflict::{Request, show_conflict};

use crate::cli::args::Globals;
use crate::cli::output::Output;
use crate::cli::render::{conflict, diff};
use crate::cli::{runtime, session};

/// Show a conflict, its versions and how they differ.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  syncline conflicts show 3f2a
  syncline conflicts show plan.md --diff side-by-side
  syncline conflicts show plan.md --diff three-way")]
pub(crate) struct Show {
    /// Its identifier or an unambiguous beginning of it, or a path or glob that only one conflict matches.
    #[arg(value_name = "ID|PATH|GLOB")]
    id: String,
    /// How to show the difference.
    #[arg(long, value_enum, value_name = "HOW", default_value_t = Diff::Unified)]
    diff: Diff,
}

/// How to show a difference, as typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Diff {
    /// From the local version to the remote one.
    Unified,
    /// The local version left, the remote one right.
    SideBySide,
    /// From what was agreed to the local version, and to the remote one.
    ThreeWay,
}

impl From<Diff> for diff::Layout {
    fn from(typed: Diff) -> Self {
        match typed {
            Diff::Unified => Self::Unified,
            Diff::SideBySide => Self::SideBySide { width: diff::terminal_width() },
            Diff::ThreeWay => Self::ThreeWay,
        }
    }
}

impl Show {
    /// Runs the command.
    pub(crate) fn run(self, globals: &Globals, output: &Output) -> Result<u8, Problem> {
        let service = session::open(globals, output, "command line")?;
        let response = runtime::block_on(show_conflict(&service, &Request { id: self.id }))?;
        output.result(&response, || conflict::page(&response, self.diff.into()));
        Ok(0)
    }
}
