//! `syncline serve`.

use std::sync::Arc;

use syncline_service::{Orders, Problem, Service, WatchNews};
use tokio::sync::{Notify, mpsc, watch as signal};

use super::watch::told;
use crate::cli::args::Globals;
use crate::cli::output::Output;
use crate::cli::text::{paint, style};
use crate::cli::{runtime, session};

/// Keep running: targets run by their schedules, and at changes.
///
/// Those with a `schedule` run when they are due, those with `triggers.watch` at every change on either side.
///
/// What is due at once runs in the order of `syncline run`; paused targets and those outside of their windows are left
/// out. The workspace is free between the runs. SIGTERM, Ctrl-C and `syncline run --stop` end it when what is going on is
/// through; a second signal ends it at once, and the next run takes over.
///
/// The configuration is read anew when its file changes, and on SIGHUP. While it is wrong, the old one stays in force.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  syncline serve                             until ctrl-c or `syncline run --stop`
  syncline serve --format json               one JSON document on each line, for every run
  syncline run --status                      what runs next, and what became of the last runs")]
pub(crate) struct Serve {}

impl Serve {
    /// Runs the command.
    pub(crate) fn run(self, globals: &Globals, output: &Output) -> Result<u8, Problem> {
        let service = session::open(globals, output, "serve")?;
        runtime::block_on_to_the_end(keep_serving(service, globals, output))
    }
}

async fn keep_serving(service: Service, globals: &Globals, output: &Output) -> Result<u8, Problem> {
    let (stop, stopped) = signal::channel(false);
    let (tell, mut news) = mpsc::unbounded_channel();
    let reload = Arc::new(Notify::new());
    let orders = Orders { stop: stopped, reload: Arc::clone(&reload) };
    let reopen = || session::open(globals, output, "serve");
    let working = syncline_service::serve(service, reopen, tell, orders);
    tokio::pin!(working);
    // Listened to all the time, since a signal that comes while nobody does is lost.
    let mut ending = Box::pin(runtime::wait_for_signal());
    let mut hangup = Box::pin(runtime::wait_for_hangup());
    loop {
        tokio::select! {
            biased;
            () = &mut ending => {
                // The run that is going on comes to its end first; a second signal ends it at once.
                let _ = stop.send(true);
                tokio::select! {
                    result = &mut working => result?,
                    () = runtime::wait_for_signal() => {}
                }
                break;
            }
            () = &mut hangup => {
                hangup = Box::pin(runtime::wait_for_hangup());
                reload.notify_one();
            }
            Some(news) = news.recv() => {
                show(&news, output);
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
        show(&news, output);
    }
    Ok(0)
}

fn show(news: &WatchNews, output: &Output) {
    match news {
        WatchNews::Began => {
            output.note(paint(style::FAINT, "serving; ctrl-c or `syncline run --stop` ends it"));
        }
        news => told(news, output),
    }
}
