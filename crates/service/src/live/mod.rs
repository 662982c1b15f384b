//! What goes on in a workspace while it is served: one ordered feed of events, and how everything is doing.
//!
//! Both come from looking at the state a few times a second, so that they tell of runs from a shell as they tell of those
//! of this process, and whoever asks costs the runs nothing: a request is answered from what was seen last.

mod bell;
mod diff;
mod exposition;
mod feed;
mod follow;
mod health;
mod hearing;
mod process;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use syncline_core::Nanos;
use syncline_engine::Events;
use tokio::sync::watch as signal;

pub(crate) use bell::Bell;
pub use feed::{Feed, JOURNAL_MAX, Listener, Message};
pub(crate) use follow::Following;
pub use health::{Looked, Words};
pub(crate) use hearing::Hearing;

use crate::wire::News;

/// What is known of the workspace that is served, for those who only look.
pub struct Live {
    feed: Arc<Feed>,
    looked: signal::Sender<Option<Arc<Looked>>>,
    draining: AtomicBool,
    /// How late the last run that was due began, in nanoseconds; below zero before the first.
    lag_ns: AtomicI64,
    hearing: Mutex<Option<Arc<Hearing>>>,
    /// What is believed of each peer.
    peers: Mutex<BTreeMap<String, String>>,
    /// How often something changed of this that is in no state.
    stirred: AtomicU64,
    /// Rung when this process does something that others may see.
    bell: Arc<Bell>,
}

impl Default for Live {
    fn default() -> Self {
        Self {
            feed: Arc::default(),
            looked: signal::channel(None).0,
            draining: AtomicBool::new(false),
            lag_ns: AtomicI64::new(-1),
            hearing: Mutex::default(),
            peers: Mutex::default(),
            stirred: AtomicU64::new(0),
            bell: Arc::default(),
        }
    }
}

impl Live {
    /// The feed of events.
    #[must_use]
    pub const fn feed(&self) -> &Arc<Feed> {
        &self.feed
    }

    /// What was seen last; `None` before the first look.
    #[must_use]
    pub fn looked(&self) -> Option<Arc<Looked>> {
        self.looked.borrow().clone()
    }

    /// Whether it is about to end: what is going on comes to its end, and nothing else is begun.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    /// Figures in the text format of Prometheus; `None` before the first look.
    #[must_use]
    pub fn metrics(&self, now: Nanos) -> Option<String> {
        let lag = self.lag_ns.load(Ordering::Relaxed);
        self.looked().map(|looked| exposition::exposition(&looked, now, u64::try_from(lag).ok()))
    }

    /// Tells that no more runs are begun.
    pub(crate) fn drain(&self) {
        if !self.draining.swap(true, Ordering::AcqRel) {
            self.stir();
            self.feed.tell(News::DaemonDraining {});
        }
    }

    /// Tells how late something that was due began.
    pub(crate) fn late_by(&self, lag: Nanos) {
        self.lag_ns.store(lag.max(0), Ordering::Relaxed);
    }

    /// Tells what is believed of each peer.
    pub(crate) fn believe(&self, peers: BTreeMap<String, String>) {
        let mut believed = self.peers.lock().unwrap_or_else(PoisonError::into_inner);
        if *believed != peers {
            *believed = peers;
            drop(believed);
            self.stir();
        }
    }

    /// What is believed of each peer, by name.
    pub(crate) fn peers(&self) -> BTreeMap<String, String> {
        self.peers.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whoever listens to runs, and this.
    pub(crate) fn beside(&self, events: Arc<dyn Events>) -> Arc<dyn Events> {
        let hearing = Arc::new(Hearing::new(events, Arc::clone(&self.feed), Arc::clone(&self.bell)));
        *self.hearing.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&hearing));
        hearing
    }

    /// Tells how far the runs of this process have come; whether any goes on.
    pub(crate) fn tell_progress(&self) -> bool {
        let hearing = self.hearing.lock().unwrap_or_else(PoisonError::into_inner).clone();
        hearing.is_some_and(|hearing| hearing.tell_progress())
    }

    /// What is rung when this process does something that others may see.
    pub(crate) const fn bell(&self) -> &Arc<Bell> {
        &self.bell
    }

    fn stir(&self) {
        self.stirred.fetch_add(1, Ordering::Release);
        self.bell.ring();
    }

    /// Changes whenever it drains, or something else is believed of a peer.
    pub(crate) fn stirred(&self) -> u64 {
        self.stirred.load(Ordering::Acquire)
    }
}
