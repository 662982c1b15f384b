//! A lookout: one small task that notices, for everybody, that there may be something new, so that a daemon at rest wakes
//! nobody else.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use syncline_store::{Store, WatchRecord, Writes};
use tokio::sync::watch as signal;
use tokio::task::JoinHandle;

use crate::beat;
use crate::live::Live;
use crate::watch_post::WatchPost;

/// How often it looks.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Changes when there may be something new: in the state, written by whichever process; about the watch; or about the peers
/// and the end of this process.
pub(crate) type Signs = signal::Receiver<u64>;

/// Whoever looks out, until it is dropped.
pub(crate) struct Lookout {
    pub(crate) signs: Signs,
    /// Turns true when another process asks this one to end.
    pub(crate) asked_to_end: signal::Receiver<bool>,
    task: JoinHandle<Infallible>,
}

impl Drop for Lookout {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Lookout {
    pub(crate) fn begin(store: &Store, post: &Arc<WatchPost>, live: &Arc<Live>) -> Self {
        let (tell, signs) = signal::channel(0);
        let (ask, asked_to_end) = signal::channel(false);
        let looking = Looking {
            writes: Writes::to(store),
            record: post.record(),
            stirred: live.stirred(),
            post: Arc::clone(post),
            live: Arc::clone(live),
        };
        let task = tokio::spawn(looking.go(tell, ask));
        Self { signs, asked_to_end, task }
    }
}

struct Looking {
    post: Arc<WatchPost>,
    live: Arc<Live>,
    writes: Writes,
    /// What the watch told of itself at the last look.
    record: Arc<WatchRecord>,
    /// How often something that is in no state had changed then.
    stirred: u64,
}

impl Looking {
    async fn go(mut self, tell: signal::Sender<u64>, ask: signal::Sender<bool>) -> Infallible {
        let mut beat = beat::every(LOOK_EVERY);
        loop {
            beat.tick().await;
            self.live.tell_progress();
            if self.is_something_new() {
                tell.send_modify(|count| *count = count.wrapping_add(1));
            }
            if !*ask.borrow() && self.post.is_asked_to_stop() {
                ask.send_replace(true);
            }
        }
    }

    fn is_something_new(&mut self) -> bool {
        let (record, stirred) = (self.post.record(), self.live.stirred());
        let is_told = !Arc::ptr_eq(&record, &self.record) || stirred != self.stirred;
        (self.record, self.stirred) = (record, stirred);
        // Asked in any case, so that it knows of what was seen.
        self.writes.may_have_come() || is_told
    }
}
