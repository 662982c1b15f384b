//! `syncline serve`.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;

use syncline_server::{LISTEN_DEFAULT, Listening};
use syncline_service::live::Live;
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
  syncline serve --listen                    answer on http://127.0.0.1:8080 too
  syncline serve --format json               one JSON document on each line, for every run
  syncline run --status                      what runs next, and what became of the last runs")]
pub(crate) struct Serve {
    /// Answer over HTTP too, on an address of this machine [default address: 127.0.0.1:8080].
    #[arg(long, value_name = "ADDRESS", num_args = 0..=1, default_missing_value = LISTEN_DEFAULT)]
    listen: Option<SocketAddr>,
}

impl Serve {
    /// Runs the command.
    pub(crate) fn run(self, globals: &Globals, output: &Output) -> Result<u8, Problem> {
        let service = session::open(globals, output, "serve")?;
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
    let orders = Orders { stop: stopped, reload: Arc::clone(&reload), served, live: Arc::clone(&live) };
    let reopen = || session::open(globals, output, "serve");
    let working = async {
        // Before anything runs, so that an address that cannot be had is told at once.
        let listening = match address {
            Some(address) => Some(listen(address, output).await?),
            None => None,
        };
        let keeping = syncline_service::serve(service, reopen, tell, orders);
        answer_meanwhile(listening, serving, live, keeping).await
    };
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

async fn listen(address: SocketAddr, output: &Output) -> Result<Listening, Problem> {
    let listening = Listening::bind(address).await?;
    output.note(format_args!("listening on http://{}", listening.address()));
    Ok(listening)
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

fn show(news: &WatchNews, output: &Output) {
    match news {
        WatchNews::Began => {
            output.note(paint(style::FAINT, "serving; ctrl-c or `syncline run --stop` ends it"));
        }
        news => told(news, output),
    }
}
