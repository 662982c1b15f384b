//! The feed: events in one order, each with an identifier that grows, and the last of them kept to go on from.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;
use syncline_core::Nanos;
use syncline_engine::Clock as _;
use tokio::sync::watch as signal;

use crate::clock::SystemClock;
use crate::wire::{News, VERSION, timestamp};

/// How many events are kept for those who come back.
pub const JOURNAL_MAX: usize = 4_096;
/// Most events that a listener is handed at once.
const BATCH_MAX: usize = 256;

/// Events, in the order in which they were told.
///
/// Whoever tells never waits: events are kept in a journal that is bounded, and each listener has its own place in it.
/// One that is so slow that its place is gone learns that events were lost, and goes on behind them.
pub struct Feed {
    /// Tells this process from those before it, whose events are gone.
    boot: String,
    journal: Mutex<VecDeque<Arc<Kept>>>,
    /// The number of the newest event.
    newest: signal::Sender<u64>,
}

struct Kept {
    number: u64,
    target: Option<String>,
    message: Message,
}

/// An event as it is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Where to go on from: `<boot>-<number>`.
    pub id: String,
    /// The name of the event.
    pub event: &'static str,
    /// The event as JSON, on one line.
    pub data: String,
}

/// The shape of an event.
#[derive(Serialize)]
struct Envelope<'a> {
    version: u32,
    id: &'a str,
    at: String,
    #[serde(flatten)]
    news: &'a News,
}

impl Default for Feed {
    fn default() -> Self {
        // The last characters of the identifier are random; the first ones are a time that a restart may share.
        let boot = uuid::Uuid::now_v7().simple().to_string();
        Self { boot: boot[16..].to_owned(), journal: Mutex::default(), newest: signal::channel(0).0 }
    }
}

impl Feed {
    /// Tells everyone who listens.
    pub(crate) fn tell(&self, news: News) {
        self.tell_at(&news, SystemClock.now());
    }

    fn tell_at(&self, news: &News, now: Nanos) {
        let mut journal = self.journal.lock().unwrap_or_else(PoisonError::into_inner);
        let number = *self.newest.borrow() + 1;
        let message = self.message(number, news, now);
        while journal.len() >= JOURNAL_MAX {
            journal.pop_front();
        }
        journal.push_back(Arc::new(Kept { number, target: news.target().map(str::to_owned), message }));
        self.newest.send_replace(number);
    }

    fn message(&self, number: u64, news: &News, now: Nanos) -> Message {
        let id = format!("{}-{number}", self.boot);
        let envelope = Envelope { version: VERSION, id: &id, at: timestamp(now), news };
        // Only maps whose keys are no texts cannot be written, and there are none.
        let data = serde_json::to_string(&envelope).unwrap_or_default();
        Message { id, event: news.name(), data }
    }

    /// Begins to listen: behind the event `after`, or from now on.
    ///
    /// - Only events of `targets` are heard, when there are any, and those that are of no target.
    #[must_use]
    pub fn listen(self: &Arc<Self>, after: Option<&str>, targets: Vec<String>) -> Listener {
        let newest = self.newest.subscribe();
        let now = *newest.borrow();
        let known = after.map(|after| self.number_of(after).filter(|&number| number <= now));
        let (seen, opening) = match known {
            None => (now, Some(News::Listening {})),
            Some(Some(number)) => (number, None),
            Some(None) => (0, Some(News::Gap { reason: "another_process".to_owned() })),
        };
        Listener { feed: Arc::clone(self), newest, seen, targets, opening }
    }

    fn number_of(&self, id: &str) -> Option<u64> {
        id.trim().strip_prefix(&self.boot)?.strip_prefix('-')?.parse().ok()
    }
}

/// Somebody who listens.
pub struct Listener {
    feed: Arc<Feed>,
    newest: signal::Receiver<u64>,
    /// The number of the last event that was seen, or passed over.
    seen: u64,
    targets: Vec<String>,
    /// What is said before anything else.
    opening: Option<News>,
}

impl Listener {
    /// The next events, as soon as there are any. May be cancelled: what was not returned comes with the next call.
    pub async fn next(&mut self) -> Vec<Message> {
        if let Some(opening) = self.opening.take() {
            return vec![self.feed.message(self.seen, &opening, SystemClock.now())];
        }
        loop {
            let seen = self.seen;
            // The feed outlives its listeners, so that the channel does not close.
            let _ = self.newest.wait_for(|&newest| newest > seen).await;
            let messages = self.heard();
            if !messages.is_empty() {
                return messages;
            }
        }
    }

    fn heard(&mut self) -> Vec<Message> {
        let journal = self.feed.journal.lock().unwrap_or_else(PoisonError::into_inner);
        let mut messages = Vec::new();
        let oldest = journal.front().map_or(self.seen + 1, |kept| kept.number);
        if oldest > self.seen + 1 {
            self.seen = oldest - 1;
            let gap = News::Gap { reason: "lost".to_owned() };
            messages.push(self.feed.message(self.seen, &gap, SystemClock.now()));
        }
        let skip = usize::try_from(self.seen + 1 - oldest).unwrap_or(usize::MAX);
        for kept in journal.iter().skip(skip) {
            if messages.len() >= BATCH_MAX {
                break;
            }
            self.seen = kept.number;
            let is_heard = |target: &String| self.targets.is_empty() || self.targets.contains(target);
            if kept.target.as_ref().is_none_or(is_heard) {
                messages.push(kept.message.clone());
            }
        }
        messages
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(target: &str) -> News {
        News::TargetResumed { target: target.to_owned() }
    }

    fn numbers(messages: &[Message]) -> Vec<u64> {
        messages.iter().map(|message| message.id.rsplit_once('-').unwrap().1.parse().unwrap()).collect()
    }

    #[tokio::test]
    async fn whoever_comes_back_hears_what_was_missed_and_nothing_twice() {
        let feed = Arc::new(Feed::default());
        feed.tell(note("a"));
        let mut listener = feed.listen(None, Vec::new());
        let opening = listener.next().await;
        assert_eq!((opening[0].event, numbers(&opening)), ("listening", vec![1]), "what was before is over");
        feed.tell(note("a"));
        feed.tell(note("b"));
        assert_eq!(numbers(&listener.next().await), [2, 3]);
        let mut again = feed.listen(Some(&opening[0].id), vec!["b".to_owned()]);
        feed.tell(News::DaemonDraining {});
        let heard = again.next().await;
        assert_eq!(
            heard.iter().map(|message| message.event).collect::<Vec<_>>(),
            ["target_resumed", "daemon_draining"]
        );
        assert_eq!(numbers(&heard), [3, 4]);
        let data: serde_json::Value = serde_json::from_str(&heard[0].data).unwrap();
        assert_eq!(
            (&data["version"], &data["event"], &data["target"]),
            (&1.into(), &"target_resumed".into(), &"b".into())
        );
        assert_eq!(data["id"], heard[0].id);
    }

    #[tokio::test]
    async fn what_was_lost_is_told_and_the_rest_follows() {
        let feed = Arc::new(Feed::default());
        let mut slow = feed.listen(None, Vec::new());
        slow.next().await;
        for _ in 0..JOURNAL_MAX + 10 {
            feed.tell(note("a"));
        }
        let heard = slow.next().await;
        assert_eq!((heard[0].event, numbers(&heard)[..3].to_vec()), ("gap", vec![10, 11, 12]));
        let mut all = heard.len() - 1;
        while all < JOURNAL_MAX {
            all += slow.next().await.len();
        }
        assert_eq!(all, JOURNAL_MAX, "memory is bounded");
        for foreign in ["", "0123456789abcdef-7", "x-1", &format!("{}-99999999", feed.boot)] {
            let mut foreign = feed.listen(Some(foreign), Vec::new());
            assert_eq!(foreign.next().await[0].event, "gap");
        }
    }
}
