//! `syncline webhooks`.

use clap::{Subcommand, ValueEnum};
use syncline_service::Problem;
use syncline_service::operations::list_deliveries::{self, Delivery, list_deliveries};
use syncline_service::operations::list_webhooks::{self, Webhook, list_webhooks};
use syncline_service::operations::replay_deliveries::{self, replay_deliveries};
use syncline_service::operations::test_webhooks::{self, test_webhooks};

use crate::cli::args::Globals;
use crate::cli::output::Output;
use crate::cli::text::{count, local_time, paint, shown, style};
use crate::cli::{runtime, session};

/// See what programs elsewhere were told, tell it again, and try whether they hear it.
///
/// While `syncline serve` runs, it sends what happens to the webhooks below `notify.webhooks` in the file, also what happened
/// in other processes and before it was started; and again until it has arrived.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  syncline webhooks                               who is told, and how much waits
  syncline webhooks log --state failed            what was given up, with every try
  syncline webhooks replay msg_019a…              one message again, under the same identifier
  syncline webhooks replay --failed-since 2h      all that was given up
  syncline webhooks test team                     a test message, once")]
pub(crate) struct Webhooks {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List the webhooks that are sent what happens, and how much waits, has arrived or was given up.
    List,
    /// List the messages that were sent, and what became of every try, the newest first.
    Log {
        /// Only those of this webhook.
        #[arg(value_name = "WEBHOOK")]
        webhook: Option<String>,
        /// Only those of which this has become.
        #[arg(long, value_name = "STATE", value_enum)]
        state: Option<State>,
        /// At most so many.
        #[arg(long, short = 'n', value_name = "COUNT", default_value_t = 20)]
        limit: u32,
        /// Only messages before this one.
        #[arg(long, value_name = "ID")]
        before: Option<String>,
    },
    /// Send a message again, or all that were given up since a time.
    Replay {
        /// The identifier of a message.
        #[arg(required_unless_present = "failed_since", conflicts_with_all = ["failed_since", "webhook"])]
        id: Option<String>,
        /// All that were given up since then: a span back from now such as `2h`, or a time such as `2026-12-01T08:00`.
        #[arg(long, value_name = "TIME")]
        failed_since: Option<String>,
        /// Only those of this webhook.
        #[arg(long, value_name = "WEBHOOK")]
        webhook: Option<String>,
    },
    /// Send a test message, and wait for the answer.
    Test {
        /// The webhooks [default: all that are not disabled].
        #[arg(value_name = "WEBHOOK")]
        webhooks: Vec<String>,
    },
}

/// What has become of a message, as typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum State {
    /// It is to be sent, for the first time or again.
    Waiting,
    /// Its receiver has taken it.
    Delivered,
    /// It was given up.
    Failed,
}

impl From<State> for list_deliveries::State {
    fn from(typed: State) -> Self {
        match typed {
            State::Waiting => Self::Waiting,
            State::Delivered => Self::Delivered,
            State::Failed => Self::Failed,
        }
    }
}

impl Webhooks {
    /// Runs the command.
    pub(crate) fn run(self, globals: &Globals, output: &Output) -> Result<u8, Problem> {
        let service = session::open(globals, output, "command line")?;
        match self.command {
            None | Some(Command::List) => {
                let response = runtime::block_on(list_webhooks(&service))?;
                output.result(&response, || list(&response));
                Ok(0)
            }
            Some(Command::Log { webhook, state, limit, before }) => {
                let state = state.map(Into::into);
                let request = list_deliveries::Request { webhook, state, limit, before };
                let response = runtime::block_on(list_deliveries(&service, &request))?;
                output.result(&response, || log(&response));
                Ok(0)
            }
            Some(Command::Replay { id, failed_since, webhook }) => {
                let request = replay_deliveries::Request { id, failed_since, webhook };
                let response = runtime::block_on(replay_deliveries(&service, &request))?;
                output.outcome(&response, !response.gone.is_empty(), || replayed(&response));
                Ok(0)
            }
            Some(Command::Test { webhooks }) => {
                let request = test_webhooks::Request { webhooks };
                let response = runtime::block_on(test_webhooks(&service, &request))?;
                let wrong = response.webhooks.iter().any(|webhook| webhook.error.is_some());
                output.outcome(&response, wrong, || tested(&response));
                Ok(u8::from(wrong))
            }
        }
    }
}

fn list(response: &list_webhooks::Response) -> String {
    if response.webhooks.is_empty() {
        return "nobody is told: the file names no webhook below `notify.webhooks`\n".to_owned();
    }
    response.webhooks.iter().map(webhook).collect()
}

fn webhook(webhook: &Webhook) -> String {
    let all = |names: &[String], all: &str| match names {
        [] => all.to_owned(),
        names => shown(&names.join(", ")),
    };
    let state = match &webhook.gone {
        Some(since) => paint(style::BAD, &format!(", gone since {}", local_time(since))),
        None if webhook.disabled => ", disabled".to_owned(),
        None => String::new(),
    };
    format!(
        "{}: {} of {}; {} waiting, {} delivered, {} failed{state}\n",
        paint(style::STRONG, &shown(&webhook.webhook)),
        all(&webhook.events, "everything"),
        all(&webhook.targets, "all targets"),
        webhook.waiting,
        webhook.delivered,
        webhook.failed,
    )
}

fn log(response: &list_deliveries::Response) -> String {
    if response.deliveries.is_empty() {
        return "no messages\n".to_owned();
    }
    let mut page: String = response.deliveries.iter().map(delivery).collect();
    if let Some(next) = &response.next {
        page.push_str(&format!("more with --before {}\n", shown(next)));
    }
    page
}

fn delivery(delivery: &Delivery) -> String {
    let (mark, state) = match delivery.state {
        list_deliveries::State::Waiting => (style::WARN, "waiting"),
        list_deliveries::State::Delivered => (style::GOOD, "delivered"),
        list_deliveries::State::Failed => (style::BAD, "failed"),
    };
    let target = delivery.target.as_deref().map(|target| format!(" {}", shown(target))).unwrap_or_default();
    let retry = delivery.retry.as_deref().map(|at| format!(", next try {}", local_time(at)));
    let mut lines = format!(
        "{}  {}  {}: {}{target}  {}{}\n",
        local_time(&delivery.made),
        paint(style::FAINT, &shown(&delivery.id)),
        shown(&delivery.webhook),
        shown(&delivery.event),
        paint(mark, state),
        retry.unwrap_or_default(),
    );
    for attempt in &delivery.attempts {
        let outcome = match (&attempt.error, attempt.status) {
            (Some(error), _) => shown(error),
            (None, Some(status)) => format!("answered {status}"),
            (None, None) => "no answer".to_owned(),
        };
        let at = local_time(&attempt.at);
        lines.push_str(&format!("    {at}  {outcome} ({} ms)\n", attempt.duration_ms));
    }
    lines
}

fn replayed(response: &replay_deliveries::Response) -> String {
    if response.deliveries.is_empty() {
        return "nothing is to be sent again\n".to_owned();
    }
    let waiting: u64 = response.gone.iter().map(|gone| gone.deliveries).sum();
    let number = |number: u64| count(number, "message");
    let others = (response.deliveries.len() as u64).saturating_sub(waiting);
    let mut lines = match (others, response.handed_over) {
        (0, _) => String::new(),
        (others, true) => format!("{} will be sent again now\n", number(others)),
        (others, false) => {
            format!("{} will be sent again as soon as `syncline serve` runs\n", number(others))
        }
    };
    for gone in &response.gone {
        let (webhook, since) = (shown(&gone.webhook), local_time(&gone.since));
        lines.push_str(&format!(
            "{} for {webhook} will be sent again only when `syncline webhooks test {webhook}` has arrived: its receiver has \
             wanted nothing more since {since} (410)\n",
            number(gone.deliveries)
        ));
    }
    lines
}

fn tested(response: &test_webhooks::Response) -> String {
    let line = |tested: &test_webhooks::Tested| match &tested.error {
        None => format!("{}: arrived\n", shown(&tested.webhook)),
        Some(error) => format!("{}: {}\n", shown(&tested.webhook), paint(style::BAD, &shown(error))),
    };
    response.webhooks.iter().map(line).collect()
}
