//! Connections: taking them, within limits, and ending when what was asked for is done.

use std::convert::Infallible;
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
use syncline_service::answering::{check_address, is_exposed};
use syncline_service::live::Live;
use syncline_service::{Problem, Service, TlsConfig};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch as signal;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::auth::{Gate, Peer};
use crate::limits::allow_open_files;
use crate::routes::{App, router};
use crate::seats::{Answer, Seat, Seats};
use crate::stall::Unstalled;
use crate::tls::Keeper;

/// Most connections at once, as far as the system allows so many open files.
const CONNECTIONS_MAX: u64 = 1_536;
/// Files that are open besides connections: the state, what runs read and write, programs.
const OTHER_FILES: u64 = 1_024;
/// Of how many connections one is left to those who do not listen to events.
const OTHERS_ONE_OF: usize = 6;
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
        check_address(service, address).await?;
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
        let connections = connections_max(allow_open_files(CONNECTIONS_MAX + OTHER_FILES));
        let gate = Gate::new(served, is_exposed(self.address), self.keeper.is_some());
        let listeners = connections - connections / OTHERS_ONE_OF;
        let router = router(App::new(gate, live, stop.clone(), listeners));
        let (seats, mut left) = Seats::new(connections);
        loop {
            let taken = tokio::select! {
                biased;
                // A sender that is gone counts as a stop.
                _ = stop.wait_for(|stop| *stop) => break,
                taken = self.listener.accept() => taken,
            };
            match taken {
                Ok((stream, peer)) => {
                    // Without a seat it is closed at once.
                    let Some(seat) = seats.take(peer.ip()) else { continue };
                    let (router, stop) = (router.clone(), stop.clone());
                    let acceptor = self.keeper.as_mut().map(Keeper::acceptor);
                    tokio::spawn(async move {
                        let given_up = seat.clone();
                        tokio::select! {
                            () = attend(stream, Peer(peer.ip()), seat, acceptor, router, stop) => {}
                            () = given_up.given_up() => {}
                        }
                    });
                }
                Err(error) => {
                    tracing::debug!(%error, "a connection could not be taken");
                    tokio::time::sleep(REST).await;
                }
            }
        }
        drop(self.listener);
        drop(seats);
        // Every connection has given its seat back, a WebSocket too, when this ends.
        let _ = left.recv().await;
    }
}

/// How many connections there may be at once where so many files may be open: a quarter of them at the least, and so many
/// at the most that those are left over which the runs need.
fn connections_max(open_files: Option<u64>) -> usize {
    let possible = open_files.map_or(CONNECTIONS_MAX, |files| {
        files.saturating_sub(OTHER_FILES).max(files / 4).clamp(1, CONNECTIONS_MAX)
    });
    usize::try_from(possible).unwrap_or(usize::MAX)
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

/// Attends to one connection until it ends.
async fn attend(
    stream: TcpStream,
    peer: Peer,
    seat: Seat,
    acceptor: Option<TlsAcceptor>,
    router: Router,
    stop: signal::Receiver<bool>,
) {
    let stream = Unstalled::new(stream);
    let Some(acceptor) = acceptor else {
        return converse(TokioIo::new(stream), peer, seat, router, stop).await;
    };
    if let Some(stream) = shake_hands(&acceptor, stream).await {
        converse(TokioIo::new(stream), peer, seat, router, stop).await;
    }
}

/// Answers the requests of one connection.
async fn converse(
    stream: impl Read + Write + Unpin + Send + 'static,
    peer: Peer,
    seat: Seat,
    router: Router,
    mut stop: signal::Receiver<bool>,
) {
    let answering = TowerToHyperService::new(router);
    let service = service_fn(move |mut request: Request<Incoming>| {
        let (extensions, seat) = (request.extensions_mut(), seat.clone());
        extensions.insert(peer);
        extensions.insert(seat.clone());
        let answer = answering.call(request);
        async move { Ok::<_, Infallible>(answer.await?.map(|body| Answer::new(body, seat))) }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_files_for_the_runs_however_few_there_are() {
        assert_eq!(connections_max(None), 1_536);
        for (files, connections) in
            [(1 << 20, 1_536), (2_560, 1_536), (2_000, 976), (1_024, 256), (256, 64), (1, 1)]
        {
            assert_eq!(connections_max(Some(files)), connections, "{files}");
        }
    }
}
