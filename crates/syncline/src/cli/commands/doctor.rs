//! `syncline doctor`.

use std::fmt::Write as _;

use syncline_service::Problem;
use syncline_service::operations::doctor::{Response, Status, doctor};

use crate::cli::args::Globals;
use crate::cli::output::Output;
use crate::cli::text::{paint, shown, style};
use crate::cli::{runtime, session};

/// Check everything that must be right for Syncline to work.
///
/// Configuration, clock, state, Git, watching, what `syncline serve` would refuse to begin with, the keys for the heartbeats
/// of peers, and both sides of every target; each line says what to do about what is not right.
#[derive(Debug, clap::Args)]
#[command(after_help = "Exit codes: 0 nothing failed, 1 something did.")]
pub(crate) struct Doctor {}

impl Doctor {
    /// Runs the command.
    pub(crate) fn run(self, globals: &Globals, output: &Output) -> Result<u8, Problem> {
        let Self {} = self;
        // What the configuration warns of is among the checks.
        let service = session::open_quietly(globals, output, "command line")?;
        let response = runtime::block_on(doctor(&service))?;
        output.result(&response, || page(&response));
        Ok(u8::from(!response.healthy))
    }
}

fn page(response: &Response) -> String {
    let mut text = String::new();
    for check in &response.checks {
        let word = match check.status {
            Status::Ok => paint(style::GOOD, "ok  "),
            Status::Warn => paint(style::WARN, "warn"),
            Status::Fail => paint(style::BAD, "FAIL"),
        };
        let _ = writeln!(
            text,
            "{word}  {}: {}",
            paint(style::STRONG, &shown(&check.name)),
            shown(&check.message)
        );
        if let Some(hint) = &check.hint {
            let _ = writeln!(text, "      {} {}", paint(style::FAINT, "= help:"), shown(hint));
        }
    }
    text
}
