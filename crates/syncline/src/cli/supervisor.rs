//! What the service manager of the system is told, where there is one that wants to know (`sd_notify` of systemd).

/// What a service manager can be told.
#[derive(Clone, Copy, Debug)]
pub(crate) enum News {
    /// The process is ready for work.
    Ready,
    /// It ends once what is going on is through.
    Stopping,
    /// It lives.
    Alive,
}

pub(crate) use system::tell;

/// Tells the manager now and then that the process lives, for as long as it is polled: to be polled by the task that
/// does the work, so that nothing is told when that hangs.
pub(crate) async fn signs_of_life() -> std::convert::Infallible {
    loop {
        system::sign_of_life_due().await;
        tell(News::Alive);
    }
}

#[cfg(target_os = "linux")]
mod system {
    use std::time::Duration;

    use sd_notify::{NotifyState, notify, watchdog_enabled};

    use super::News;

    /// Tells the manager, when there is one.
    pub(crate) fn tell(news: News) {
        let state = match news {
            News::Ready => NotifyState::Ready,
            News::Stopping => NotifyState::Stopping,
            News::Alive => NotifyState::Watchdog,
        };
        if let Err(error) = notify(&[state]) {
            tracing::debug!(?news, %error, "the service manager could not be told");
        }
    }

    /// Waits until a sign of life is due; forever where nobody waits for one.
    ///
    /// Two come in each period that the manager grants, as `sd_watchdog_enabled(3)` asks for.
    pub(super) async fn sign_of_life_due() {
        match watchdog_enabled() {
            Some(period) => tokio::time::sleep((period / 2).max(Duration::from_millis(1))).await,
            None => std::future::pending().await,
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    use super::News;

    /// Nobody wants to know here.
    pub(crate) fn tell(_: News) {}

    /// Nobody waits for one here.
    pub(super) async fn sign_of_life_due() {
        std::future::pending().await
    }
}
