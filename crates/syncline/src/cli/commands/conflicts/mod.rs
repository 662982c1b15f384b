//! `syncline conflicts`.

mod abort;
mod edit;
mod list;
mod report;
mod resolve;
mod show;

use clap::Subcommand;
use syncline_service::Problem;

use crate::cli::args::Globals;
use crate::cli::output::Output;

/// List, show, merge and settle conflicts: what both sides changed differently.
///
/// Without a subcommand, lists the open ones. No version is ever lost: the one that is not taken stays in history.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Conflicts {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    list: list::List,
}

#[derive(Debug, Subcommand)]
enum Command {
    List(list::List),
    Show(show::Show),
    Resolve(resolve::Resolve),
    Abort(abort::Abort),
    Report(report::Report),
}

impl Conflicts {
    /// Runs the command.
    pub(crate) fn run(self, globals: &Globals, output: &Output) -> Result<u8, Problem> {
        match self.command {
            None => self.list.run(globals, output),
            Some(Command::List(command)) => command.run(globals, output),
            Some(Command::Show(command)) => command.run(globals, output),
            Some(Command::Resolve(command)) => command.run(globals, output),
            Some(Command::Abort(command)) => command.run(globals, output),
            Some(Command::Report(command)) => command.run(globals, output),
        }
    }
}
