//! `syncline alerts`.

use clap::Subcommand;
use syncline_service::Problem;
use syncline_service::operations::acknowledge_alert::{self, acknowledge_alert};
use syncline_service::operations::list_alerts::{Alert, Response, Waiting, list_alerts};
use syncline_service::operations::test_alerts::{self, test_alerts};

use crate::cli::args::Globals;
use crate::cli::output::Output;
use crate::cli::text::{local_time, paint, shown, style};
use crate::cli::{runtime, session};

/// See what is wrong, say that you know of it, and try the ways to you.
///
/// While `syncline serve` runs, it tells what is wrong through the channels below `alerts` in the file: once, and once more
/// when it is over.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  syncline alerts                                      what is wrong
  syncline alerts ack 12 --note 'on it'                only its end is told then
  syncline alerts test                                 a test message through every channel")]
pub(crate) struct Alerts {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List what is wrong, and the messages about it that have not arrived yet.
    List,
    /// Acknowledge an alert: only its end is told then.
    Ack {
        /// Its number.
        id: u64,
        /// What there is to say about it.
        #[arg(long, value_name = "TEXT")]
        note: Option<String>,
    },
    /// Send a test message.
    Test {
        /// The channels [default: all].
        #[arg(value_name = "CHANNEL")]
        channels: Vec<String>,
    },
}

impl Alerts {
    /// Runs the command.
    pub(crate) fn run(self, globals: &Globals, output: &Output) -> Result<u8, Problem> {
        let service = session::open(globals, output, "command line")?;
        match self.command {
            None | Some(Command::List) => {
                let response = list_alerts(&service);
                let wrong = !response.alerts.is_empty() || !response.waiting.is_empty();
                output.outcome(&response, wrong, || page(&response));
                Ok(0)
            }
            Some(Command::Ack { id, note }) => {
                let request = acknowledge_alert::Request { id, note };
                let response = runtime::block_on(acknowledge_alert(&service, request))?;
                output.result(&response, || format!("acknowledged: {}\n", shown(&response.message)));
                Ok(0)
            }
            Some(Command::Test { channels }) => {
                let request = test_alerts::Request { channels };
                let response = runtime::block_on(test_alerts(&service, &request))?;
                let wrong = response.channels.iter().any(|channel| channel.error.is_some());
                output.outcome(&response, wrong, || tested(&response));
                Ok(u8::from(wrong))
            }
        }
    }
}

fn page(response: &Response) -> String {
    if response.alerts.is_empty() && response.waiting.is_empty() {
        return "nothing is wrong\n".to_owned();
    }
    let alerts = response.alerts.iter().map(alert);
    alerts.chain(response.waiting.iter().map(waiting)).collect()
}

fn alert(alert: &Alert) -> String {
    let mark = if alert.severity == "critical" { style::BAD } else { style::WARN };
    let state = match (&alert.acknowledged, &alert.follows) {
        (Some(_), _) => {
            let note = alert.note.as_deref().map(|note| format!(": {}", shown(note))).unwrap_or_default();
            format!(", acknowledged{note}")
        }
        (None, Some(by)) => format!(", follows from {}", shown(by)),
        (None, None) if !alert.told => ", not told yet".to_owned(),
        (None, None) => String::new(),
    };
    let since = local_time(&alert.since);
    format!("{} {} (since {since}{state})\n", paint(mark, &alert.id.to_string()), shown(&alert.message))
}

fn waiting(waiting: &Waiting) -> String {
    let why = waiting.error.as_deref().map(|why| format!(": {}", shown(why))).unwrap_or_default();
    format!("a message waits for {} after {} tries{why}\n", shown(&waiting.channel), waiting.tries)
}

fn tested(response: &test_alerts::Response) -> String {
    let line = |tested: &test_alerts::Tested| match &tested.error {
        None => format!("{}: arrived\n", shown(&tested.channel)),
        Some(error) => format!("{}: {}\n", shown(&tested.channel), paint(style::BAD, &shown(error))),
    };
    response.channels.iter().map(line).collect()
}
