//! `syncline resume`.

use syncline_service::Problem;
use syncline_service::operations::resume::{Request, Response, resume};

use crate::cli::args::Globals;
use crate::cli::output::Output;
use crate::cli::text::{paint, shown, style};
use crate::cli::{runtime, session};

/// End the pause of targets.
///
/// Nothing is run by that; a watch goes on within seconds.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  syncline resume notes   this one
  syncline resume         all targets")]
pub(crate) struct Resume {
    /// Names or globs [default: all targets].
    #[arg(value_name = "NAME|GLOB")]
    targets: Vec<String>,
}

impl Resume {
    /// Runs the command.
    pub(crate) fn run(self, globals: &Globals, output: &Output) -> Result<u8, Problem> {
        let service = session::open(globals, output, "command line")?;
        let response = runtime::block_on(resume(&service, &Request { targets: self.targets }))?;
        output.result(&response, || page(&response));
        Ok(0)
    }
}

fn page(response: &Response) -> String {
    let lines = response.targets.iter().map(|target| {
        let became = if target.was_paused { "resumed" } else { "was not paused" };
        format!("{}  {became}\n", paint(style::STRONG, &shown(&target.target)))
    });
    lines.collect()
}
