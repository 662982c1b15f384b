//! Hearing the runs of this process while they go on.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};

use syncline_connect::Progress;
use syncline_engine::{Event, Events};

use super::bell::Bell;
use super::feed::Feed;
use crate::wire::News;

/// Passes on what happens, and tells the feed.
pub(crate) struct Hearing {
    events: Arc<dyn Events>,
    feed: Arc<Feed>,
    bell: Arc<Bell>,
    now: Mutex<Now>,
}

#[derive(Default)]
struct Now {
    /// The targets that something is being done for.
    targets: BTreeSet<String>,
    /// The counters of the phase that is going on, and what they were when they were told.
    progress: Option<Arc<Progress>>,
    told: (u64, u64),
}

impl Hearing {
    pub(crate) fn new(events: Arc<dyn Events>, feed: Arc<Feed>, bell: Arc<Bell>) -> Self {
        Self { events, feed, bell, now: Mutex::default() }
    }

    /// Tells how far the phase is that is going on, when it has come further; whether any goes on.
    pub(crate) fn tell_progress(&self) -> bool {
        let news = {
            let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(progress) = now.progress.as_ref().filter(|_| !now.targets.is_empty()) else {
                return false;
            };
            let reached = (progress.items.load(Ordering::Relaxed), progress.bytes.load(Ordering::Relaxed));
            if reached == now.told || reached == (0, 0) {
                return true;
            }
            now.told = reached;
            // The counters say for how many, but not for which target: they are nobody's while several are at work.
            let target = now.targets.first().filter(|_| now.targets.len() == 1).cloned();
            News::Progress { target, items: reached.0, bytes: reached.1 }
        };
        self.feed.tell(news);
        true
    }

    fn news(event: &Event) -> Option<News> {
        let phase = |target: &str, phase: &str, items: Option<u64>, bytes: Option<u64>| News::Phase {
            target: target.to_owned(),
            phase: phase.to_owned(),
            items,
            bytes,
        };
        Some(match event {
            Event::Scanning { target } => phase(target, "scanning", None, None),
            Event::Comparing { target, items } => phase(target, "comparing", Some(*items), None),
            Event::Searching { target, items } => phase(target, "searching", Some(*items), None),
            Event::Applying { target, steps, bytes } => phase(target, "applying", Some(*steps), Some(*bytes)),
            Event::Finished { .. } => return None,
        })
    }
}

impl Events for Hearing {
    fn happened(&self, event: &Event) {
        self.events.happened(event);
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            Event::Finished { target } => {
                now.targets.remove(target);
                now.told = (0, 0);
            }
            Event::Scanning { target }
            | Event::Comparing { target, .. }
            | Event::Searching { target, .. }
            | Event::Applying { target, .. } => {
                now.targets.insert(target.clone());
                now.told = (0, 0);
            }
        }
        drop(now);
        self.bell.ring();
        if let Some(news) = Self::news(event) {
            self.feed.tell(news);
        }
    }

    fn progress(&self) -> Arc<Progress> {
        let progress = self.events.progress();
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        now.progress = Some(Arc::clone(&progress));
        progress
    }
}
