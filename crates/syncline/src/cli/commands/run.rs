//! `syncline run`.

use std::io::{self, BufRead, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use syncline_service::operations::make_plan;
use syncline_service::operations::start_run::{Request, start_run};
use syncline_service::wire::{Plan, Report, TargetPlan, TargetReport};
use syncline_service::{Problem, Service};
use tokio::sync::oneshot;

use super::{OneWay, Selection, plan, watch};
use crate::cli::args::Globals;
use crate::cli::output::Output;
use crate::cli::text::{paint, shown, style};
use crate::cli::{render, report_file, runtime, session};

/// Bring both sides of targets into agreement.
///
/// Targets run in the order of the file, unless their `priority` and what they go `after` say otherwise; one that fails
/// stops none but those that go after it. What is overwritten or removed is kept in history first: `syncline rollback
/// last` undoes a run.
///
/// Without names, targets that are paused or outside of their windows are left out. One that is named runs at any time,
/// and is refused while it is paused.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  syncline run                               all targets
  syncline run notes 'oca_*'                 some of them
  syncline run --direction pull              those that only pull
  syncline run --dry-run                     show what would be done
  syncline run --plan notes.plan             do what was planned, or nothing when something changed since
  syncline run --report report.md --ci       in a CI job
  syncline run --watch                       keep running: every change starts a run
  syncline run --watch --interval 60s        keep running: once a minute
  syncline run --status                      is it kept running, and how is that doing?
  syncline run --stop                        end it when what is going on is through")]
pub(crate) struct Run {
    #[command(flatten)]
    selection: Selection,
    /// Run bidirectional targets in this one direction.
    #[arg(long, value_name = "DIRECTION", value_enum)]
    one_way: Option<OneWay>,
    /// Only show what would be done.
    #[arg(long, conflicts_with = "watch")]
    dry_run: bool,
    /// With --dry-run: end with exit code 3 when changes are pending.
    #[arg(long, requires = "dry_run")]
    detailed_exitcode: bool,
    /// Do exactly what this saved plan says, or nothing when something changed since.
    #[arg(long, value_name = "FILE", conflicts_with = "watch")]
    plan: Option<PathBuf>,
    /// Approve the halted plan of this hash.
    #[arg(long, value_name = "HASH", conflicts_with = "watch")]
    approve: Option<String>,
    /// Look again afterwards, and fail when both sides do not agree.
    #[arg(long, conflicts_with = "watch")]
    verify: bool,
    /// Never ask a question.
    #[arg(long)]
    ci: bool,
    /// Keep running: every change on either side starts a run.
    #[arg(long)]
    watch: bool,
    /// With --watch: run every so often instead of at every change, such as `60s` or `15m`.
    #[arg(long, value_name = "TIME", requires = "watch", value_parser = interval)]
    interval: Option<Duration>,
    /// Tell whether a watch of this workspace runs, and how it is doing.
    #[arg(long, conflicts_with_all = ["targets", "direction", "one_way", "dry_run", "plan", "approve", "verify", "watch", "report", "stop"])]
    status: bool,
    /// Ask the running watch of this workspace to end when its run is through, and wait until it has.
    #[arg(long, conflicts_with_all = ["targets", "direction", "one_way", "dry_run", "plan", "approve", "verify", "watch", "report"])]
    stop: bool,
    /// With --stop: how long to wait, such as `60s` or `15m` [default: 60s].
    #[arg(long, value_name = "TIME", requires = "stop", value_parser = interval)]
    wait: Option<Duration>,
    /// Write the report to a file: Markdown when its name ends in `.md`, JUnit XML when it ends in `.xml`, JSON
    /// otherwise. May be given more than once.
    #[arg(long, value_name = "FILE", conflicts_with = "watch")]
    report: Vec<PathBuf>,
}

impl Run {
    /// Runs the command.
    pub(crate) fn run(self, globals: &Globals, output: &Output) -> Result<u8, Problem> {
        if self.status || self.stop {
            let service = session::open_quietly(globals, output, "command line")?;
            return if self.stop {
                watch::stop(&service, self.wait, output)
            } else {
                watch::status(&service, output)
            };
        }
        let service = session::open_with_plan(globals, output, self.plan.as_deref())?;
        let request = Request {
            targets: self.selection.targets.clone(),
            direction: self.selection.direction.map(Into::into),
            one_way: self.one_way.map(Into::into),
            dry_run: self.dry_run,
            plan: self.plan.as_deref().map(read_plan).transpose()?,
            approve: self.approve.clone(),
            plan_hash: None,
            verify: self.verify,
        };
        if self.watch {
            return runtime::block_on_to_the_end(watch::keep_running(
                &service,
                &request,
                self.interval,
                output,
            ));
        }
        let report = runtime::block_on(self.finish(&service, &request, output))?;
        let changes_count = service.workspace().fail_on_diff;
        if report.dry_run {
            let made = Plan::new(report.results.into_iter().filter_map(|result| result.plan).collect());
            output.result(&made, || render::plan::plan(&made, output.verbose));
            return Ok(plan::exit_code(&made, self.detailed_exitcode || changes_count));
        }
        let code = report.exit_code(changes_count);
        let wrong = code != 0 || report.results.iter().any(never_synced);
        output.outcome(&report, wrong, || render::report::report(&report, output.verbose));
        Ok(code)
    }

    /// Runs, asks about what is halted, and writes the report.
    async fn finish(&self, service: &Service, request: &Request, output: &Output) -> Result<Report, Problem> {
        let mut report = start_run(service, request).await?;
        let may_ask = !self.ci && !report.dry_run && output.is_interactive() && io::stdin().is_terminal();
        for index in 0..report.results.len() {
            let result = &report.results[index];
            if !(may_ask && result.awaits_approval()) {
                continue;
            }
            if let Some(hash) = ask(service, request, result).await? {
                let approved =
                    Request { targets: vec![result.target.clone()], approve: Some(hash), ..request.clone() };
                report.replace(index, start_run(service, &approved).await?);
                run_those_after(service, request, &mut report).await?;
            }
        }
        for file in &self.report {
            report_file::write_report(file, &report)?;
        }
        Ok(report)
    }
}

/// Runs what had to wait for a target that was halted, now that this is approved and done.
async fn run_those_after(service: &Service, request: &Request, report: &mut Report) -> Result<(), Problem> {
    for index in 0..report.results.len() {
        let result = &report.results[index];
        let configured = service.workspace().target(&result.target);
        let succeeded = |name: &String| {
            let before = report.results.iter().find(|before| before.target == *name);
            before.is_none_or(|before| before.success)
        };
        let waited = result.error.as_ref().is_some_and(|error| error.code == "not_run");
        if waited && configured.is_some_and(|target| target.after.iter().all(succeeded)) {
            let alone = Request { targets: vec![result.target.clone()], ..request.clone() };
            report.replace(index, start_run(service, &alone).await?);
        }
    }
    Ok(())
}

/// Whether there is something that can never be synced: no failure, but nobody should have to look for it.
fn never_synced(result: &TargetReport) -> bool {
    result.problems.iter().any(|problem| matches!(problem.code.as_str(), "name_not_utf8" | "special_file"))
}

/// Reads a time such as `60s`, `15m` or `2h`; it is at least a second and at most a day.
pub(super) fn interval(text: &str) -> Result<Duration, String> {
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let seconds = match unit {
        "s" => Some(1),
        "m" => Some(60),
        "h" => Some(3600),
        _ => None,
    };
    let time = seconds.and_then(|unit: u64| number.parse::<u64>().ok()?.checked_mul(unit));
    match time {
        Some(time @ 1..=86_400) => Ok(Duration::from_secs(time)),
        _ => Err("write a number and `s`, `m` or `h`, from 1s to 24h".to_owned()),
    }
}

/// Reads a saved plan.
fn read_plan(file: &Path) -> Result<Plan, Problem> {
    let text = std::fs::read(file).map_err(|error| {
        Problem::usage("bad_plan", format!("the plan {} cannot be read: {error}", file.display()))
            .with_hint("save one with `syncline plan --out FILE`")
    })?;
    serde_json::from_slice(&text).map_err(|error| {
        Problem::usage("bad_plan", format!("{} is not a saved plan: {error}", file.display()))
            .with_hint("save one with `syncline plan --out FILE`")
    })
}

/// Shows a halted plan, and asks whether it is to be applied; its hash when it is.
async fn ask(service: &Service, request: &Request, result: &TargetReport) -> Result<Option<String>, Problem> {
    let look = make_plan::Request {
        targets: vec![result.target.clone()],
        one_way: request.one_way,
        ..make_plan::Request::default()
    };
    let plan = make_plan::make_plan(service, &look).await?;
    let Some(shown_plan) = plan.targets.into_iter().next().filter(TargetPlan::is_approvable) else {
        return Ok(None);
    };
    let name = paint(style::STRONG, &shown(&result.target));
    let question =
        format!("{}Apply the plan of {name} nevertheless? [y/N] ", render::plan::question(&shown_plan));
    let (answered, answer) = oneshot::channel();
    // A thread of its own: one that waits for a person must not keep the process from ending.
    std::thread::spawn(move || {
        let mut err = anstream::stderr().lock();
        let _ = err.write_all(question.as_bytes()).and_then(|()| err.flush());
        let mut answer = String::new();
        let read = io::stdin().lock().read_line(&mut answer);
        let _ = answered.send(read.is_ok() && matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"));
    });
    let approved = answer.await.unwrap_or(false);
    Ok(shown_plan.hash.filter(|_| approved))
}
