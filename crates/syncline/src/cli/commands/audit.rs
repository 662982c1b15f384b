//! `syncline audit`.

use syncline_service::operations::list_audit::{Record, Request, Response, list_audit};
use syncline_service::{Class, Problem};

use crate::cli::args::Globals;
use crate::cli::output::Output;
use crate::cli::text::{count, local_time, paint, shown, style};
use crate::cli::{runtime, session};

/// Tell who had what changed, and check that nobody has changed that list.
///
/// Every run, rollback, restore, decision, pause and token that somebody asked for leaves a record, which holds the hash of
/// the one before it. Keep the last hash elsewhere, and `--pinned` shows later whether it is still the same list.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  syncline audit                          the last 20 records
  syncline audit --verify                 exit code 1 when a record was changed, removed or put in
  syncline audit --verify --pinned HASH   and when it was written anew, or cut off
  syncline audit --format json            for a program that keeps `head` elsewhere")]
pub(crate) struct Audit {
    /// Only check: list nothing, and end with exit code 1 when the list is broken.
    #[arg(long)]
    verify: bool,
    /// A hash that was the last one at some time; its record must still be there.
    #[arg(long, value_name = "HASH")]
    pinned: Option<String>,
    /// At most so many records.
    #[arg(long, value_name = "NUMBER", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    limit: u32,
    /// Only records before the one of this number.
    #[arg(long, value_name = "NUMBER")]
    before: Option<u64>,
}

impl Audit {
    /// Runs the command.
    pub(crate) fn run(self, globals: &Globals, output: &Output) -> Result<u8, Problem> {
        let service = session::open(globals, output, "command line")?;
        let limit = if self.verify { 0 } else { self.limit };
        let request = Request { limit, before: self.before, pinned: self.pinned };
        let response = runtime::block_on(list_audit(&service, &request))?;
        output.outcome(&response, !response.sound, || page(&response));
        if response.sound {
            return Ok(0);
        }
        if !output.is_json() {
            let reason = response.broken.as_ref().map(|broken| broken.reason.clone()).unwrap_or_default();
            output.problem(
                &Problem::new(Class::Damaged, "audit_broken", format!("the audit log is broken: {reason}"))
                    .with_hint("compare it with a copy of `.syncline/audit.jsonl`, and find out who could write to it"),
            );
        }
        Ok(1)
    }
}

fn page(response: &Response) -> String {
    let lines = response.records.iter().map(|record| {
        let who = format!("{} ({})", shown(&record.caller), shown(&record.face));
        format!(
            "{}  {}  {who}  {}: {}\n",
            paint(style::FAINT, &record.sequence.to_string()),
            local_time(&record.at),
            what(record),
            shown(&record.outcome),
        )
    });
    let mut page: String = lines.collect();
    match &response.broken {
        Some(broken) => {
            let place = broken.record.map(|record| format!("record {record}: ")).unwrap_or_default();
            page.push_str(&format!("{}: {place}{}\n", paint(style::BAD, "broken"), broken.reason));
        }
        None => {
            page.push_str(&format!("{}: {}\n", paint(style::GOOD, "sound"), count(response.count, "record")))
        }
    }
    if let Some(head) = &response.head {
        page.push_str(&format!("head: {head}\n"));
    }
    page
}

/// What was asked for, of which targets, and what it was about besides.
fn what(record: &Record) -> String {
    let targets: Vec<_> = record.targets.iter().map(|target| shown(target)).collect();
    let mut what = vec![shown(&record.operation)];
    what.extend((!targets.is_empty()).then(|| targets.join(", ")));
    let about = if record.about.is_empty() { String::new() } else { format!(" ({})", shown(&record.about)) };
    format!("{}{about}", paint(style::STRONG, &what.join(" ")))
}
