//! Watching over a workspace that is served: what is wrong with it is told to people.
//!
//! It is a task of its own beside the runs, and only ever looks: nothing that becomes of it stops or delays a run.

mod delivery;
mod heartbeats;
mod machine;
mod observing;
mod patience;
mod state_files;

use std::sync::Arc;
use std::time::{Duration, Instant};

use syncline_config::AlertsConfig;
use syncline_core::Window;
use syncline_engine::scheduler::is_open;
use syncline_monitor::{Alerts, Limits, Look, PeerSeen, outbox};
use syncline_store::{Acknowledged, AlertBook};
use tokio::sync::watch as signal;
use tokio::task::JoinHandle;
use tokio::time::Interval;

use crate::beat;
use crate::live::Live;
use crate::lookout::Signs;
use crate::service::Service;
use crate::watch_post::WatchPost;

pub(crate) use delivery::{Channels, test_message};
use delivery::{Sending, Tried};
use heartbeats::Listening;
pub(crate) use heartbeats::key_of;
use observing::Observing;
use state_files::StateFiles;

/// How often everything is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// How often, as long as nothing is wrong and there are no signs of anything new.
const LOOK_AT_REST: Duration = Duration::from_secs(30);
/// How long it may take to end: what is not sent by then is sent after the next start.
const END_MAX: Duration = Duration::from_secs(5);
/// How long the book may be older than what is known, when nothing has changed but the time.
const WRITE_EVERY: Duration = Duration::from_secs(120);

/// Somebody who watches over a workspace.
pub(crate) struct Watching(JoinHandle<()>);

impl Watching {
    /// Begins to watch over a workspace, until `ending` turns true.
    pub(crate) fn begin(
        service: Arc<Service>,
        post: Arc<WatchPost>,
        live: Arc<Live>,
        signs: Signs,
        ending: signal::Receiver<bool>,
    ) -> Self {
        Self(tokio::spawn(async move { Overseer::new(service, post, live, signs).go(ending).await }))
    }

    /// Waits for its end, but not for long.
    pub(crate) async fn ended(self) {
        let abort = self.0.abort_handle();
        match tokio::time::timeout(END_MAX, self.0).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(%error, "watching over the workspace ended by a defect"),
            Err(_) => abort.abort(),
        }
    }
}

/// Waits until it turns true; a sender that is gone counts as that.
async fn end_of(ending: &mut signal::Receiver<bool>) {
    let _ = ending.wait_for(|end| *end).await;
}

struct Overseer {
    service: Arc<Service>,
    live: Arc<Live>,
    signs: Signs,
    files: StateFiles,
    observing: Observing,
    alerts: Alerts,
    channels: Channels,
    /// What is on disk.
    written: AlertBook,
    written_at: Instant,
    last: Instant,
    /// When everything was looked at last.
    looked: Option<Instant>,
    /// Whether the next look waits for nothing but its time.
    is_due: bool,
    quiet: Vec<Window>,
}

fn limits(config: &AlertsConfig) -> Limits {
    Limits {
        failures: config.failures,
        conflict: config.conflict_after,
        disk_free_percent: config.disk_free_percent,
        memory_free_percent: config.memory_free_percent,
        gather: config.gather,
        calm: config.calm,
        cooldown: config.cooldown,
    }
}

impl Overseer {
    fn new(service: Arc<Service>, post: Arc<WatchPost>, live: Arc<Live>, signs: Signs) -> Self {
        let config = service.workspace().alerts.clone();
        let fresh = || AlertBook { name: uuid::Uuid::now_v7().simple().to_string(), ..AlertBook::default() };
        let mut book = AlertBook::read(service.state()).unwrap_or_else(fresh);
        // The same process may begin anew with another configuration: then nobody has died.
        let own = post.record().id.clone();
        let before = book.running.replace(own.clone());
        let died = before.is_some_and(|before| before != own);
        let channels = Channels::open(&service);
        outbox::keep_to_channels(&mut book, &channels.names());
        let now = Instant::now();
        let observing = Observing::new(Arc::clone(&service), post, died.then_some(now), &book);
        let alerts = Alerts::new(book, limits(&config));
        Self {
            files: StateFiles::of(&service),
            service,
            live,
            signs,
            observing,
            alerts,
            channels,
            written: AlertBook::default(),
            written_at: now,
            last: now,
            looked: None,
            is_due: true,
            quiet: config.quiet,
        }
    }

    async fn go(mut self, ending: signal::Receiver<bool>) {
        self.write().await;
        let dead_man = self.channels.dead_man(&self.service);
        let listening = Listening::begin(&self.service, self.observing.post(), ending.clone()).await;
        self.observing.listen(&listening);
        let watch = async {
            let mut tick = beat::every(LOOK_EVERY);
            let (mut ending, mut sending) = (ending, Sending::default());
            loop {
                let tried = tokio::select! {
                    biased;
                    // What is being sent then is in the book, and is sent again after the next start.
                    () = end_of(&mut ending) => break,
                    tried = sending.next() => Some(tried),
                    () = self.wait(&mut tick) => None,
                };
                tokio::select! {
                    biased;
                    () = end_of(&mut ending) => break,
                    () = self.go_on(tried, &mut sending) => {}
                }
            }
        };
        tokio::select! {
            () = watch => {}
            () = dead_man => {}
        }
        self.alerts.book.running = None;
        self.write().await;
        listening.ended().await;
    }

    /// Waits until it is time for a look: for as long as nothing can have become wrong or right since the last one but what
    /// time alone brings. May be cancelled.
    async fn wait(&mut self, tick: &mut Interval) {
        let book = &self.alerts.book;
        // What could not be sent is tried again by the book's clock, which a look advances.
        let is_waited_for =
            !book.alerts.is_empty() || !book.incidents.is_empty() || !book.deliveries.is_empty();
        let is_told = self.files.are_wanted() || !self.service.workspace().peers.nodes.is_empty();
        if let Some(looked) = self.looked.filter(|_| !self.is_due && !is_waited_for && !is_told) {
            let _ = tokio::time::timeout_at((looked + LOOK_AT_REST).into(), self.signs.changed()).await;
        }
        self.is_due = true;
        tick.tick().await;
    }

    /// Looks at everything, unless a message was `tried`, which is noted; and sends what is due.
    async fn go_on(&mut self, tried: Option<Tried>, sending: &mut Sending) {
        match tried {
            Some(tried) => tried.note(&mut self.alerts.book),
            None => self.look().await,
        }
        // It is on disk before it is sent. When it cannot be, it is sent all the same.
        self.write_when_changed().await;
        let wall = self.service.clock().now();
        self.channels.send(sending, &self.alerts.book, &self.service.workspace().node, wall);
    }

    async fn look(&mut self) {
        let observed = self.observing.observe().await;
        let believed = |peer: &PeerSeen| (peer.name.clone(), peer.state.name().to_owned());
        self.live.believe(observed.peers.iter().flatten().map(believed).collect());
        for id in Acknowledged::read(self.service.state()).0.into_keys() {
            self.alerts.acknowledge(id);
        }
        let wall = self.service.clock().now();
        let quiet = !self.quiet.is_empty() && is_open(&self.quiet, wall);
        let now = Instant::now();
        let passed = now.saturating_duration_since(self.last);
        (self.last, self.looked, self.is_due) = (now, Some(now), false);
        let notices = self.alerts.look(Look { passed, wall, quiet, observed: &observed });
        let lost = outbox::post(&mut self.alerts.book, &notices, &self.channels.names(), wall);
        for lost in lost {
            tracing::error!(channel = lost.channel, reason = lost.reason, "an alert was given up");
        }
        self.files.write(&self.service, &self.live, wall).await;
    }

    async fn write_when_changed(&mut self) {
        let book = &self.alerts.book;
        let same_but_for_the_time =
            AlertBook { clock: book.clock, ages: book.ages.clone(), ..self.written.clone() } == *book;
        if !same_but_for_the_time || self.written_at.elapsed() > WRITE_EVERY {
            self.write().await;
        }
    }

    async fn write(&mut self) {
        self.written.clone_from(&self.alerts.book);
        self.written_at = Instant::now();
        let (book, folder) = (self.written.clone(), self.service.state().to_owned());
        // A disk may take its time, and nobody else is to wait for it.
        let written = tokio::task::spawn_blocking(move || book.write(&folder)).await;
        if let Ok(Err(error)) = written {
            tracing::warn!(%error, "what is known of alerts could not be written");
        }
    }
}
