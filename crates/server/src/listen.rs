//! Connections: taking them, within limits, and ending when what was asked for is done.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::Request;
use hyper::body::Incoming;
use hyper::rt::{Read, Write};
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use syncline_service::live::Live;
use syncline_service::{Problem, Service, TlsConfig};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch as signal};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::auth::{Gate, Peer};
use crate::events::LISTENERS_MAX;
use crate::limits::allow_open_files;
use crate::routes::{App, router};
use crate::stall::Unstalled;
use crate::tls::Keeper;

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
    keeper: Option<Keeper>,
}

impl Listening {
    /// Listens to an address of this machine, and with `tls`, encrypts what is said.
    ///
    /// # Errors
    /// When the address can be reached from elsewhere and nobody has a token, is taken, or the certificate is wrong.
    pub async fn bind(
        address: SocketAddr,
        tls: Option<TlsConfig>,
        service: &Service,
    ) -> Result<Self, Problem> {
        if is_exposed(address) && !service.has_tokens().await? {
            let message = format!("{address} can be reached from other machines, and nobody has a token yet");
            return Err(Problem::usage("open_address", message).with_hint(format!(
                "make one with `syncline token create`, or listen on this machine alone, such as on {LISTEN_DEFAULT}"
            )));
        }
        let keeper = tls.map(Keeper::open).transpose()?;
        let failed = |error| Problem::io(error, format_args!("listening on {address}"));
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Self { listener, address, keeper })
    }

    /// The address; its port is the one that the system gave when none was asked for.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where it answers, as clients write it.
    #[must_use]
    pub fn url(&self) -> String {
        let scheme = if self.keeper.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
    }

    /// Whether other machines can read what is said.
    #[must_use]
    pub fn is_open_to_readers(&self) -> bool {
        is_exposed(self.address) && self.keeper.is_none()
    }

    /// Answers requests about the workspace that is served, until `stop` turns true and what was asked for is done.
    pub async fn answer(
        mut self,
        served: signal::Receiver<Option<Arc<Service>>>,
        live: Arc<Live>,
        mut stop: signal::Receiver<bool>,
    ) {
        allow_open_files(u64::from(CONNECTIONS_MAX) + OTHER_FILES);
        let gate = Gate::new(served, is_exposed(self.address), self.keeper.is_some());
        let app = App::new(gate, live, stop.clone());
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
                Ok((stream, peer)) => {
                    let (router, stop) = (router.clone(), stop.clone());
                    let acceptor = self.keeper.as_mut().map(Keeper::acceptor);
                    tokio::spawn(async move {
                        let (peer, stream) = (Peer(peer.ip()), Unstalled::new(stream));
                        match acceptor {
                            None => converse(TokioIo::new(stream), peer, router, stop).await,
                            Some(acceptor) => {
                                if let Some(stream) = shake_hands(&acceptor, stream).await {
                                    converse(TokioIo::new(stream), peer, router, stop).await;
                                }
                            }
                        }
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

/// Whether other machines can reach an address.
fn is_exposed(address: SocketAddr) -> bool {
    !address.ip().to_canonical().is_loopback()
}

/// Agrees on how what is said is encrypted; nothing, when the client does not, or takes too long.
async fn shake_hands(
    acceptor: &TlsAcceptor,
    stream: Unstalled<TcpStream>,
) -> Option<TlsStream<Unstalled<TcpStream>>> {
    match tokio::time::timeout(HEAD_TIME, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => Some(stream),
        Ok(Err(error)) => {
            tracing::debug!(%error, "a connection was not encrypted");
            None
        }
        Err(_) => None,
    }
}

/// Answers the requests of one connection.
async fn converse(
    stream: impl Read + Write + Unpin + Send + 'static,
    peer: Peer,
    router: Router,
    mut stop: signal::Receiver<bool>,
) {
    let answering = TowerToHyperService::new(router);
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(peer);
        answering.call(request)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .serve_connection(stream, service)
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
