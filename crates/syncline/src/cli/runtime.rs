//! The runtime and the signals of the process.

use std::future::Future;
use std::time::Duration;

use syncline_service::{Class, Problem};
use tokio::runtime::Builder;
use tokio::sync::watch as signal;

/// How long work that cannot be interrupted may go on after the end.
const GRACE: Duration = Duration::from_secs(10);

/// Runs `work` to its end, or until the user or the system ends it.
///
/// What is going on then stops between two steps; the next run goes on from there.
pub(crate) fn block_on<T>(work: impl Future<Output = Result<T, Problem>>) -> Result<T, Problem> {
    block_on_to_the_end(async {
        tokio::select! {
            biased;
            () = wait_for_signal() => Err(interrupted()),
            result = work => result,
        }
    })
}

/// Runs `work` to its end; it listens for signals itself.
pub(crate) fn block_on_to_the_end<T>(work: impl Future<Output = Result<T, Problem>>) -> Result<T, Problem> {
    // Content is read and written on blocking threads; these two only wait.
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.map_err(|error| Problem::io(error, "starting"))?;
    let result = runtime.block_on(work);
    runtime.shutdown_timeout(GRACE);
    result
}

/// What is told of work that was ended before its time.
pub(crate) fn interrupted() -> Problem {
    Problem::new(Class::Failed, "interrupted", "interrupted")
        .with_hint("nothing is lost: what was done is kept, and the next run goes on from there")
}

/// Waits until the user or the system asks the process to end.
#[cfg(unix)]
pub(crate) async fn wait_for_signal() {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut terminate) = signal(SignalKind::terminate()) else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        interrupt = tokio::signal::ctrl_c() => {
            if interrupt.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }
}

/// Waits until the user asks the process to end.
#[cfg(not(unix))]
pub(crate) async fn wait_for_signal() {
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// Waits until the system asks the process to read its configuration anew.
#[cfg(unix)]
pub(crate) async fn wait_for_hangup() {
    use tokio::signal::unix::{SignalKind, signal};
    match signal(SignalKind::hangup()) {
        Ok(mut hangup) => drop(hangup.recv().await),
        Err(_) => std::future::pending().await,
    }
}

/// Nobody can ask for it here.
#[cfg(not(unix))]
pub(crate) async fn wait_for_hangup() {
    std::future::pending().await
}

/// Asks `working` to end, and lets what is going on come to its end; a second signal ends it at once.
pub(crate) async fn finish(
    stop: &signal::Sender<bool>,
    working: impl Future<Output = Result<(), Problem>>,
) -> Result<(), Problem> {
    let _ = stop.send(true);
    tokio::select! {
        result = working => result,
        () = wait_for_signal() => Ok(()),
    }
}
