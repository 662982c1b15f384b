//! `syncline run --watch`, and what asks about it: `--status` and `--stop`.

use std::fmt::Write as _;
use std::time::Duration;

use syncline_service::operations::start_run::Request;
use syncline_service::operations::stop_watch::{self, stop_watch};
use syncline_service::operations::watch_status::{self, watch_status};
use syncline_service::wire::{self, Offline, Watch, WatchedTarget};
use syncline_service::{Problem, Service, WatchNews};
use tokio::sync::{mpsc, watch};

use super::status::offline_line;
use crate::cli::output::Output;
use crate::cli::text::{count, local_time, paint, shown, style};
use crate::cli::{render, runtime};

/// Runs targets whenever something changes, until the user or the system ends it.
pub(super) async fn keep_running(
    service: &Service,
    request: &Request,
    interval: Option<Duration>,
    output: &Output,
) -> Result<u8, Problem> {
    let (stop, stopped) = watch::channel(false);
    let (tell, mut news) = mpsc::unbounded_channel();
    let working = syncline_service::watch(service, request, interval, tell, stopped);
    tokio::pin!(working);
    loop {
        tokio::select! {
            biased;
            () = runtime::wait_for_signal() => {
                runtime::finish(&stop, &mut working).await?;
                break;
            }
            Some(news) = news.recv() => {
                told(&news, output);
                if output.is_unread() {
                    // Nobody sees any more what is done: the run that is going on is the last.
                    let _ = stop.send(true);
                }
            }
            result = &mut working => {
                result?;
                break;
            }
        }
    }
    // What the last runs came to is told as well.
    while let Ok(news) = news.try_recv() {
        told(&news, output);
    }
    Ok(0)
}

/// Prints what a watch tells; a run that found nothing to do is not worth a line.
pub(super) fn told(news: &WatchNews, output: &Output) {
    match news {
        WatchNews::Ran(result) => {
            // A run that only had times to remember is none that people look for.
            let idle = result.steps.total() == 0 && result.success && result.conflicts.is_empty();
            if output.is_json() {
                // One document on each line.
                let document = serde_json::json!({ "version": wire::VERSION, "result": result });
                if let Ok(line) = serde_json::to_string(&document) {
                    output.raw(&format!("{line}\n"));
                }
            } else if !idle {
                output.raw(&render::report::target(result, 0, output.verbose));
            }
        }
        WatchNews::Began => {
            output.note(paint(style::FAINT, "watching; ctrl-c or `syncline run --stop` ends it"));
        }
        WatchNews::Away { target, offline } => {
            output.warn(format_args!("{}: {}", shown(target), away(offline)))
        }
        WatchNews::Back { target, offline } => {
            let since = local_time(&offline.since);
            output.note(format_args!("{}: back online; it was away since {since}", shown(target)));
        }
        WatchNews::Limited { target, side, message } => {
            output.warn(format_args!("{}: {} side: {}", shown(target), side.name(), shown(message)));
        }
        WatchNews::Note { target: Some(target), message } => {
            output.note(format_args!("{}: {}", shown(target), shown(message)));
        }
        WatchNews::Note { target: None, message } => output.note(shown(message)),
    }
}

/// What is told once of a remote that is away.
fn away(offline: &Offline) -> String {
    let next = offline.next_try.as_deref().map(|next| format!(", next {}", local_time(next)));
    format!(
        "the remote is away: {}; what changes here waits, and it is tried again by itself{}",
        shown(&offline.reason),
        next.unwrap_or_default()
    )
}

/// `syncline run --status`.
pub(super) fn status(service: &Service, output: &Output) -> Result<u8, Problem> {
    let response = watch_status(service)?;
    output.result(&response, || page(&response));
    Ok(0)
}

fn page(response: &watch_status::Response) -> String {
    match (&response.watch, response.running) {
        (Some(watch), _) => lines(watch),
        (None, true) => "a watch has only just begun\n".to_owned(),
        (None, false) => "no watch runs; `syncline run --watch` starts one\n".to_owned(),
    }
}

fn lines(watch: &Watch) -> String {
    let (verb, how) = match (watch.serving, watch.interval) {
        (true, _) => ("served", "by schedules and at changes".to_owned()),
        (false, Some(interval)) => ("watched", format!("every {interval} s")),
        (false, None) => ("watched", "at every change".to_owned()),
    };
    let mut text = format!(
        "{} by process {} since {}, {how}\n",
        paint(style::GOOD, verb),
        watch.pid,
        local_time(&watch.since)
    );
    for target in &watch.targets {
        let _ =
            writeln!(text, "  {}  {}", paint(style::STRONG, &shown(&target.target)), facts(target, watch));
    }
    text
}

fn facts(target: &WatchedTarget, watch: &Watch) -> String {
    let mut facts = vec![match &target.last_run {
        Some(last) => format!("last run {}: {}", local_time(&last.finished), shown(&last.message)),
        None if watch.serving => "no run since then".to_owned(),
        None => "the first run is going on".to_owned(),
    }];
    if target.failures > 0 {
        facts.push(paint(style::BAD, &format!("{} in a row", count(target.failures.into(), "failure"))));
    }
    match (&target.offline, &target.next_try) {
        (Some(offline), _) => facts.push(paint(style::WARN, &offline_line(offline))),
        (None, Some(next)) => facts.push(format!("next try {} at the latest", local_time(next))),
        (None, None) => {}
    }
    facts.join(" · ")
}

/// `syncline run --stop`.
pub(super) fn stop(service: &Service, wait: Option<Duration>, output: &Output) -> Result<u8, Problem> {
    let request = stop_watch::Request { wait_seconds: wait.map(|wait| wait.as_secs()) };
    let response = runtime::block_on(stop_watch(service, &request))?;
    output.result(&response, || match &response.watch {
        Some(watch) if response.stopped => format!("the watch of process {} has ended\n", watch.pid),
        _ => "no watch runs\n".to_owned(),
    });
    Ok(0)
}
