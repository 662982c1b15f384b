//! `syncline serve`.

use std::future::Future;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use syncline_server::Listening;
use syncline_service::answering::{LISTEN_DEFAULT, Listens};
use syncline_service::live::Live;
use syncline_service::{Orders, Problem, Service, WatchNews};
use tokio::sync::{Notify, mpsc, watch as signal};

use super::watch::told;
use crate::cli::args::Globals;
use crate::cli::output::Output;
use crate::cli::supervisor::{self, News};
use crate::cli::text::{paint, shown, style};
use crate::cli::{logs, render, runtime, session};

/// Keep running: targets run by their schedules, and at changes.
///
/// Those with a `schedule` run when they are due, those with `triggers.watch` at every change on either side.
///
/// What is due at once runs in the order of `syncline run`; paused targets and those outside of their windows are left
/// out. The workspace is free between the runs. SIGTERM, Ctrl-C and `syncline stop` end it when what is going on is through; a
/// second signal ends it at once, and the next run takes over.
///
/// The configuration is read anew when its file changes, and on SIGHUP. While it is wrong, the old one stays in force.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  syncline serve                             until ctrl-c or `syncline stop`
  syncline serve --listen                    answer on http://127.0.0.1:8080 too
  syncline serve --once                      run what is due now, and end: from cron
  syncline serve --format json               one JSON document on each line, for every run
  syncline run --status                      what runs next, and what became of the last runs")]
pub(crate) struct Serve {
    /// Answer over HTTP too, on this address instead of `serve.listen` [default address: 127.0.0.1:8080].
    #[arg(long, value_name = "ADDRESS", num_args = 0..=1, default_missing_value = LISTEN_DEFAULT)]
    listen: Option<SocketAddr>,
    /// Run what is due now and what is watched, what was missed included, and end as `syncline run` does: for cron and
    /// timers.
    #[arg(long, conflicts_with = "listen")]
    once: bool,
}

impl Serve {
    /// Runs the command.
    pub(crate) fn run(self, globals: &Globals, output: &Output) -> Result<u8, Problem> {
        let service = session::open(globals, output, "serve")?;
        if self.once {
            return runtime::block_on_to_the_end(serve_once(service, output));
        }
        runtime::block_on_to_the_end(keep_serving(self.listen, service, globals, output))
    }
}

async fn keep_serving(
    address: Option<SocketAddr>,
    service: Service,
    globals: &Globals,
    output: &Output,
) -> Result<u8, Problem> {
    let (stop, stopped) = signal::channel(false);
    let (tell, mut news) = mpsc::unbounded_channel();
    let reload = Arc::new(Notify::new());
    let (served, serving) = signal::channel(None);
    let live = Arc::new(Live::default());
    let listens = Listens::new(&service, address);
    let orders = Orders {
        stop: stopped,
        reload: Arc::clone(&reload),
        served,
        live: Arc::clone(&live),
        listens: listens.clone(),
    };
    let logs = service.state().join("logs");
    // The same file always: while it is away, one of a folder above must not take its place.
    let globals = Globals { config: Some(service.workspace().file.clone()), ..globals.clone() };
    let reopen = || session::open(&globals, output, "serve");
    let working = async {
        // Before anything runs, so that an address that cannot be had is told at once.
        let listening = listen(&listens, &service, output).await?;
        let keeping = syncline_service::serve(service, reopen, tell, orders);
        let keeping = answer_meanwhile(listening, serving, live, keeping);
        tokio::select! {
            result = keeping => result,
            never = supervisor::signs_of_life() => match never {},
        }
    };
    tokio::pin!(working);
    // Listened to all the time, since a signal that comes while nobody does is lost.
    let mut ending = Box::pin(runtime::wait_for_signal());
    let mut hangup = Box::pin(runtime::wait_for_hangup());
    loop {
        tokio::select! {
            biased;
            () = &mut ending => {
                supervisor::tell(News::Stopping);
                output.note("asked to end: what is going on comes to its end first, and a second signal ends it at once");
                runtime::finish(&stop, &mut working).await?;
                break;
            }
            () = &mut hangup => {
                hangup = Box::pin(runtime::wait_for_hangup());
                reload.notify_one();
            }
            Some(news) = news.recv() => {
                show(&news, &logs, output);
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
        show(&news, &logs, output);
    }
    Ok(0)
}

/// `syncline serve --once`.
async fn serve_once(service: Service, output: &Output) -> Result<u8, Problem> {
    let changes_count = service.workspace().fail_on_diff;
    let (stop, stopped) = signal::channel(false);
    let (tell, mut news) = mpsc::unbounded_channel();
    let working = syncline_service::serve_once(service, tell, stopped);
    tokio::pin!(working);
    let mut ending = Box::pin(runtime::wait_for_signal());
    let report = loop {
        tokio::select! {
            biased;
            () = &mut ending => {
                // What is going on comes to its end; a second signal ends it at once.
                let _ = stop.send(true);
                tokio::select! {
                    report = &mut working => break report?,
                    () = runtime::wait_for_signal() => return Err(runtime::interrupted()),
                }
            }
            Some(news) = news.recv() => told(&news, output),
            report = &mut working => break report?,
        }
    };
    let code = report.exit_code(changes_count);
    output.outcome(&report, code != 0, || match (report.results.is_empty(), report.left_out.is_empty()) {
        (true, true) => "nothing is due\n".to_owned(),
        _ => render::report::report(&report, output.verbose),
    });
    Ok(code)
}

/// Listens where that is wanted.
async fn listen(listens: &Listens, service: &Service, output: &Output) -> Result<Option<Listening>, Problem> {
    // Another process that serves may hold the address as well, and that would say less.
    syncline_service::check_place(service, listens).await?;
    let Some(address) = listens.address() else { return Ok(None) };
    let listening = Listening::bind(address, listens.tls().cloned(), service).await?;
    output.note(format_args!("listening on {}", listening.url()));
    if listening.is_open_to_readers() {
        output.warn(format_args!(
            "whoever can read what goes over the network can read tokens on {address}: set `serve.tls`, or put a proxy that \
             encrypts in front"
        ));
    }
    Ok(Some(listening))
}

/// Answers over HTTP for as long as `working` goes on; what was asked for by then comes to its end as well.
async fn answer_meanwhile(
    listening: Option<Listening>,
    served: signal::Receiver<Option<Arc<Service>>>,
    live: Arc<Live>,
    working: impl Future<Output = Result<(), Problem>>,
) -> Result<(), Problem> {
    let Some(listening) = listening else { return working.await };
    let (close, closing) = signal::channel(false);
    let working = async {
        let result = working.await;
        close.send_replace(true);
        result
    };
    let (result, ()) = tokio::join!(working, listening.answer(served, live, closing));
    result
}

fn show(news: &WatchNews, logs: &Path, output: &Output) {
    if matches!(news, WatchNews::Began)
        && let Err(problem) = logs::to_files(logs)
    {
        // What is synced does not depend on what is told about it.
        output.warn(shown(&problem.to_string()));
    }
    log(news);
    match news {
        WatchNews::Began => {
            supervisor::tell(News::Ready);
            output.note(paint(style::FAINT, "serving; ctrl-c or `syncline stop` ends it"));
        }
        news => told(news, output),
    }
}

/// Keeps what happens in the logs too, since nobody may have looked.
fn log(news: &WatchNews) {
    match news {
        WatchNews::Began => tracing::info!(version = env!("CARGO_PKG_VERSION"), "serving"),
        WatchNews::Ran(run) => tracing::info!(
            target = run.target,
            run = run.run,
            success = run.success,
            steps = run.steps.total(),
            conflicts = run.conflicts.len(),
            said = run.message,
            "a target ran"
        ),
        WatchNews::Away { target, offline } => {
            tracing::info!(target, reason = offline.reason, tries = offline.tries, "the remote is away");
        }
        WatchNews::Back { target, .. } => tracing::info!(target, "the remote is back"),
        WatchNews::Limited { target, side, message } => {
            tracing::info!(target, side = side.name(), message, "watching is limited");
        }
        WatchNews::Note { target, message } => tracing::info!(target, note = message, "a note"),
    }
}
