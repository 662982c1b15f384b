//! Heartbeats in and out, in a task of their own.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use syncline_config::PeerConfig;
use syncline_connect::AlertChannel;
use syncline_core::{Digest, Nanos};
use syncline_monitor::heartbeat::{BYTES_MAX, Heartbeat, Key, Says};
use syncline_monitor::peers::{Patience, PeerState, SENT_AT};
use syncline_monitor::{PeerSeen, Peers};
use syncline_store::{PeerRecord, PeersRecord};
use tokio::net::UdpSocket;
use tokio::sync::watch as signal;
use tokio::task::JoinHandle;

use super::delivery::test_message;
use crate::beat;
use crate::problem::{Problem, Result};
use crate::service::Service;
use crate::watch_post::WatchPost;

/// How often what is known of peers is written down.
const WRITE_EVERY: Duration = Duration::from_secs(10);
/// Whoever hears a heartbeat can try keys for as long as they like.
const KEY_BYTES_MIN: usize = 16;
/// How often those from which nothing is heard are asked in another way.
const ASK_EVERY: Duration = Duration::from_secs(20);
/// How long an answer may take.
const ANSWER_MAX: Duration = Duration::from_secs(10);

/// What has been heard so far, for whoever wants to know.
#[derive(Clone)]
pub(super) struct Heard {
    peers: Arc<Mutex<Peers>>,
    since: Instant,
    /// What was believed of each at the last look: all that tells of it says the same.
    believed: Arc<signal::Sender<BTreeMap<String, PeerState>>>,
}

impl Heard {
    fn new(peers: Peers, since: Instant) -> Self {
        Self {
            peers: Arc::new(Mutex::new(peers)),
            since,
            believed: Arc::new(signal::channel(BTreeMap::new()).0),
        }
    }

    /// Looks at what is to be believed of each from now on.
    pub(super) fn look(&self) -> Vec<PeerSeen> {
        let seen = self.seen();
        let now: BTreeMap<String, PeerState> =
            seen.iter().map(|peer| (peer.name.clone(), peer.state)).collect();
        self.believed.send_if_modified(|believed| {
            let is_news = *believed != now;
            *believed = now;
            is_news
        });
        seen
    }

    fn seen(&self) -> Vec<PeerSeen> {
        self.peers.lock().unwrap_or_else(PoisonError::into_inner).seen(self.since.elapsed())
    }
}

/// Those who can be asked over HTTP whether they live.
type Asked = Vec<(String, Arc<dyn AlertChannel>)>;

/// Asks those from which nothing is heard in another way: one that answers is not down. Ends never.
async fn ask(heard: Heard, asked: Asked) {
    let mut tick = beat::every(ASK_EVERY);
    loop {
        tick.tick().await;
        let silent: Vec<String> =
            heard.seen().into_iter().filter(|peer| peer.is_doubted()).map(|peer| peer.name).collect();
        let doubted = asked.iter().filter(|(name, _)| silent.contains(name));
        let answers = doubted.map(async |(name, site)| {
            // What is sent says nothing: it only asks.
            let answer = tokio::time::timeout(ANSWER_MAX, site.deliver(&test_message("", 0), None)).await;
            matches!(answer, Ok(Ok(_))).then_some(name)
        });
        for name in join_all(answers).await.into_iter().flatten() {
            let now = heard.since.elapsed();
            heard.peers.lock().unwrap_or_else(PoisonError::into_inner).answered(name, now);
        }
    }
}

/// The key for the heartbeats from and to a peer.
///
/// # Errors
/// When there is none, or it can be guessed.
pub(crate) fn key_of(node: &PeerConfig) -> Result<Key> {
    let key = node.key()?;
    if key.len() < KEY_BYTES_MIN {
        let message = format!("the key for heartbeats of {:?} is too short", node.name);
        let hint = format!(
            "it takes at least {KEY_BYTES_MIN} bytes: `openssl rand -hex 32` makes one for all nodes"
        );
        return Err(Problem::usage("bad_key", message).with_hint(hint));
    }
    Ok(Key::of(&key))
}

/// Somebody who listens, or nobody where there are no peers.
pub(super) struct Listening {
    heard: Option<Heard>,
    task: Option<JoinHandle<()>>,
}

impl Listening {
    /// Begins to listen and to be heard, until `ending` turns true.
    pub(super) async fn begin(
        service: &Arc<Service>,
        post: Arc<WatchPost>,
        ending: signal::Receiver<bool>,
    ) -> Self {
        let nobody = Self { heard: None, task: None };
        let config = &service.workspace().peers;
        if config.nodes.is_empty() {
            return nobody;
        }
        let socket = match UdpSocket::bind(config.listen).await {
            Ok(socket) => socket,
            Err(error) => {
                let address = config.listen;
                tracing::error!(%address, %error, "heartbeats cannot be heard or sent");
                return nobody;
            }
        };
        let mut record = PeersRecord::read(service.state());
        let seconds = u64::try_from(service.clock().now() / 1_000_000_000).unwrap_or_default();
        record.boot = seconds.max(record.boot.saturating_add(1));
        let since = Instant::now();
        let mut known = Vec::new();
        let mut receivers = Vec::new();
        let mut asked = Asked::new();
        for node in &config.nodes {
            let key = match key_of(node) {
                Ok(key) => key,
                Err(problem) => {
                    let hint = problem.hint.as_deref();
                    tracing::error!(peer = node.name, %problem, hint, "it is neither heard nor told anything");
                    continue;
                }
            };
            receivers.extend(node.address.map(|address| (address, key.clone())));
            if let Some(url) = &node.url {
                match (service.registry().ping)(&format!("{url}/livez")) {
                    Ok(site) => asked.push((node.name.clone(), site)),
                    Err(error) => tracing::error!(peer = node.name, %error, "it cannot be asked over HTTP"),
                }
            }
            let counted = record.peers.get(&node.name).and_then(|peer| peer.counted);
            known.push((node.name.clone(), key, counted));
        }
        let patience = Patience::new(config.every, config.down_after);
        let peers = Peers::new(&service.workspace().node, patience, known, Duration::ZERO);
        let heard = Heard::new(peers, since);
        let beating = Beating {
            service: Arc::clone(service),
            post,
            socket,
            receivers,
            heard: heard.clone(),
            record,
            counter: 0,
        };
        let (every, asking) = (config.every, ask(heard.clone(), asked));
        let task = tokio::spawn(async move {
            tokio::select! {
                () = beating.go(every, ending) => {}
                () = asking => {}
            }
        });
        Self { heard: Some(heard), task: Some(task) }
    }

    pub(super) fn heard(&self) -> Option<Heard> {
        self.heard.clone()
    }

    pub(super) async fn ended(self) {
        if let Some(task) = self.task
            && let Err(error) = task.await
        {
            tracing::error!(%error, "listening to heartbeats ended by a defect");
        }
    }
}

struct Beating {
    service: Arc<Service>,
    post: Arc<WatchPost>,
    socket: UdpSocket,
    receivers: Vec<(SocketAddr, Key)>,
    heard: Heard,
    record: PeersRecord,
    counter: u64,
}

impl Beating {
    async fn go(mut self, every: Duration, mut ending: signal::Receiver<bool>) {
        // The number of this life is on disk before anybody hears it.
        self.write().await;
        let mut write = beat::every(WRITE_EVERY);
        let mut believed = self.heard.believed.subscribe();
        let mut next = tokio::time::Instant::now();
        let mut copy = 0;
        // One byte more than any heartbeat has, so that what is too long is seen to be.
        let mut bytes = [0; BYTES_MAX + 1];
        loop {
            tokio::select! {
                biased;
                () = super::end_of(&mut ending) => break,
                () = tokio::time::sleep_until(next) => {
                    self.send(Says::Alive).await;
                    copy = (copy + 1) % SENT_AT.len();
                    next += match copy {
                        0 => every.saturating_sub(SENT_AT[SENT_AT.len() - 1]),
                        copy => SENT_AT[copy] - SENT_AT[copy - 1],
                    };
                }
                _ = write.tick() => self.write().await,
                Ok(()) = believed.changed() => self.write().await,
                Ok((length, _)) = self.socket.recv_from(&mut bytes) => {
                    let now = self.heard.since.elapsed();
                    let mut peers = self.heard.peers.lock().unwrap_or_else(PoisonError::into_inner);
                    if let Ok(beat) = peers.receive(&bytes[..length], now) {
                        let heard = Some(self.service.clock().now());
                        self.record.peers.entry(beat.node).or_default().heard = heard;
                    }
                }
            }
        }
        self.send(Says::Leaving).await;
        self.write().await;
    }

    async fn send(&mut self, says: Says) {
        self.counter += 1;
        let beat = Heartbeat {
            node: self.service.workspace().node.clone(),
            says,
            boot: self.record.boot,
            counter: self.counter,
            state: self.state(),
        };
        for (address, key) in &self.receivers {
            // What is lost is sent again soon.
            if let Err(error) = self.socket.send_to(&beat.seal(key), address).await {
                tracing::debug!(%address, %error, "a heartbeat could not be sent");
            }
        }
    }

    /// The digest of what the last runs came to.
    fn state(&self) -> [u8; 32] {
        let record = self.post.record();
        let runs = record.targets.iter().map(|target| {
            let last = target.last.as_ref();
            format!(
                "{} {:?} {:?}\n",
                target.name,
                last.and_then(|last| last.run.as_ref()),
                last.map(|last| last.success)
            )
        });
        Digest::of(runs.collect::<String>().as_bytes()).0
    }

    async fn write(&mut self) {
        let now: Nanos = self.service.clock().now();
        {
            let believed = self.heard.believed.borrow();
            let peers = self.heard.peers.lock().unwrap_or_else(PoisonError::into_inner);
            let mut known = BTreeMap::new();
            for seen in peers.seen(self.heard.since.elapsed()) {
                let heard = self.record.peers.get(&seen.name).and_then(|peer| peer.heard);
                let counted = peers.peers.get(&seen.name).and_then(|peer| peer.counted);
                let state = believed.get(&seen.name).copied().unwrap_or(seen.state).name().to_owned();
                known.insert(seen.name, PeerRecord { state, counted, heard });
            }
            self.record.peers = known;
            self.record.dropped =
                peers.dropped.iter().map(|(why, count)| (why.name().to_owned(), *count)).collect();
        }
        self.record.at = now;
        let (record, folder) = (self.record.clone(), self.service.state().to_owned());
        let written = tokio::task::spawn_blocking(move || record.write(&folder)).await;
        if let Ok(Err(error)) = written {
            tracing::warn!(%error, "what is known of peers could not be written");
        }
    }
}
