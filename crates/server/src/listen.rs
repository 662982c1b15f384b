//! Connections: taking them, within limits, and ending when what was asked for is done.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use syncline_service::live::Live;
use syncline_service::{Problem, Service};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch as signal};

use crate::events::LISTENERS_MAX;
use crate::limits::allow_open_files;
use crate::routes::{App, router};
use crate::stall::Unstalled;

/// Where it listens unless it is said otherwise.
pub const LISTEN_DEFAULT: &str = "127.0.0.1:8080";
/// Most connections at once; more wait to be taken. Those who listen to events leave room for the others.
const CONNECTIONS_MAX: u32 = 256 + LISTENERS_MAX;
/// Files that are open besides connections: the state, what runs read and write, programs.
const OTHER_FILES: u64 = 1_024;
/// How long a client may take for the head of a request, also between two of one connection.
const HEAD_TIME: Duration = Duration::from_secs(10);
/// How long it is waited after a connection could not be taken, such as for want of a file descriptor.
const REST: Duration = Duration::from_millis(100);

/// A port that is listened to, whose requests are not answered yet.
pub struct Listening {
    listener: TcpListener,
    address: SocketAddr,
}

impl Listening {
    /// Listens to an address of this machine.
    ///
    /// # Errors
    /// When the address can be reached from elsewhere, or is taken.
    pub async fn bind(address: SocketAddr) -> Result<Self, Problem> {
        if !address.ip().is_loopback() {
            let message = format!(
                "{address} can be reached from other machines, and nobody would have to say who asks"
            );
            return Err(Problem::usage("open_address", message)
                .with_hint(format!("listen on this machine alone, such as on {LISTEN_DEFAULT}")));
        }
        let failed = |error| Problem::io(error, format_args!("listening on {address}"));
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Self { listener, address })
    }

    /// The address; its port is the one that the system gave when none was asked for.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers requests about the workspace that is served, until `stop` turns true and what was asked for is done.
    pub async fn answer(
        self,
        served: signal::Receiver<Option<Arc<Service>>>,
        live: Arc<Live>,
        mut stop: signal::Receiver<bool>,
    ) {
        allow_open_files(u64::from(CONNECTIONS_MAX) + OTHER_FILES);
        let app = App::new(served, live, stop.clone());
        let places = Arc::clone(&app.places);
        let router = router(app);
        let room = Arc::new(Semaphore::new(CONNECTIONS_MAX as usize));
        loop {
            let Ok(place) = Arc::clone(&room).acquire_owned().await else { return };
            let taken = tokio::select! {
                biased;
                // A sender that is gone counts as a stop.
                _ = stop.wait_for(|stop| *stop) => break,
                taken = self.listener.accept() => taken,
            };
            match taken {
                Ok((stream, _)) => {
                    let (router, stop) = (router.clone(), stop.clone());
                    tokio::spawn(async move {
                        converse(stream, router, stop).await;
                        drop(place);
                    });
                }
                Err(error) => {
                    tracing::debug!(%error, "a connection could not be taken");
                    tokio::time::sleep(REST).await;
                }
            }
        }
        drop(self.listener);
        // Every connection has given its place back when all places are there.
        let _ = room.acquire_many(CONNECTIONS_MAX).await;
        // A WebSocket is a connection no more, but has a place.
        let _ = places.acquire_many(LISTENERS_MAX).await;
    }
}

/// Answers the requests of one connection.
async fn converse(stream: TcpStream, router: Router, mut stop: signal::Receiver<bool>) {
    let service = TowerToHyperService::new(router);
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .serve_connection(TokioIo::new(Unstalled::new(stream)), service)
        .with_upgrades();
    tokio::pin!(connection);
    // A future of its own: what it returns must not hold on to the channel.
    let ending = async move {
        let _ = stop.wait_for(|stop| *stop).await;
    };
    let ended = tokio::select! {
        ended = &mut connection => ended,
        () = ending => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
}
