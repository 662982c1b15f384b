//! `syncline stop`.

use std::time::Duration;

use syncline_service::Problem;

use crate::cli::args::Globals;
use crate::cli::output::Output;
use crate::cli::session;

/// Ask the `syncline serve` or `run --watch` of this workspace to end; it finishes the run that is going on.
///
/// The same as `syncline run --stop`.
#[derive(Debug, clap::Args)]
pub(crate) struct Stop {
    /// How long to wait for its end, such as `60s` or `15m` [default: 60s].
    #[arg(long, value_name = "TIME", value_parser = super::run::interval)]
    wait: Option<Duration>,
}

impl Stop {
    /// Runs the command.
    pub(crate) fn run(self, globals: &Globals, output: &Output) -> Result<u8, Problem> {
        let service = session::open_quietly(globals, output, "command line")?;
        super::watch::stop(&service, self.wait, output)
    }
}
