//! `syncline trigger`.

use syncline_service::Problem;
use syncline_service::operations::trigger_event::{Request, Response, trigger_event};

use crate::cli::args::Globals;
use crate::cli::output::Output;
use crate::cli::text::shown;
use crate::cli::{runtime, session};

/// Tell that something has happened: the targets that name the event run.
///
/// A target names events under `triggers.events`. While `syncline serve` runs, it is told and runs them soon, once for any
/// number of events until then, and also when it is killed before that. Otherwise they run now. Paused targets and those
/// outside of their windows are left out; one that serves runs them when that has ended.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  syncline trigger deploy                    run what has `triggers: { events: [deploy] }`
  syncline trigger deploy --format json      what follows from it, as JSON")]
pub(crate) struct Trigger {
    /// The name of the event.
    #[arg(value_name = "EVENT")]
    event: String,
}

impl Trigger {
    /// Runs the command.
    pub(crate) fn run(self, globals: &Globals, output: &Output) -> Result<u8, Problem> {
        let service = session::open(globals, output, "command line")?;
        let response = runtime::block_on(trigger_event(&service, &Request { event: self.event }))?;
        let Some(report) = &response.report else {
            output.result(&response, || handed_over(&response));
            return Ok(0);
        };
        let code = report.exit_code(service.workspace().fail_on_diff);
        output.outcome(&response, code != 0, || super::render::report::unapprovable(report, output.verbose));
        Ok(code)
    }
}

fn handed_over(response: &Response) -> String {
    let targets: Vec<String> = response.targets.iter().map(|target| shown(target)).collect();
    format!("{} will run: the process that serves this workspace is told\n", targets.join(", "))
}
