//! `syncline pause`.

use syncline_service::operations::pause::{Request, Response, pause};
use syncline_service::{Problem, wire};

use crate::cli::args::Globals;
use crate::cli::output::Output;
use crate::cli::text::{local_time, paint, shown, style};
use crate::cli::{runtime, session};

/// Leave targets alone for a while, and say why.
///
/// A run leaves a paused target out, refuses it when it is named, and a watch waits until the pause ends. A run that is
/// going on comes to its end. What you ask for a single path, such as `restore`, is done all the same.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  syncline pause notes --reason 'the disk is being replaced'
  syncline pause notes --reason 'moving house' --until 3d
  syncline pause --reason 'release freeze' --until 2026-12-01T08:00   all targets
  syncline resume notes                                               end it by hand")]
pub(crate) struct Pause {
    /// Names or globs [default: all targets].
    #[arg(value_name = "NAME|GLOB")]
    targets: Vec<String>,
    /// Why, for whoever wonders.
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// When it ends by itself: a span such as `2h`, or a time such as `2026-12-01T08:00` [default: never].
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
}

impl Pause {
    /// Runs the command.
    pub(crate) fn run(self, globals: &Globals, output: &Output) -> Result<u8, Problem> {
        let service = session::open(globals, output, "command line")?;
        let request = Request { targets: self.targets, reason: self.reason, until: self.until };
        let response = runtime::block_on(pause(&service, &request))?;
        output.result(&response, || page(&response));
        Ok(0)
    }
}

fn page(response: &Response) -> String {
    let line = |target: &syncline_service::operations::pause::Target| {
        format!("{}  {}\n", paint(style::STRONG, &shown(&target.target)), paused(&target.paused))
    };
    response.targets.iter().map(line).collect()
}

/// A pause, in a few words.
pub(super) fn paused(pause: &wire::Pause) -> String {
    let until = pause.until.as_deref().map(|until| format!(" until {}", local_time(until)));
    let paused = format!("paused{}", until.unwrap_or_default());
    format!("{}: {}", paint(style::WARN, &paused), shown(&pause.reason))
}
