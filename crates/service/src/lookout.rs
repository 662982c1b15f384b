//! A lookout: one small task that notices, for everybody, that there may be something new, so that a daemon at rest wakes
//! nobody else.

use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use syncline_store::{Store, WatchRecord, Writes};
use tokio::sync::watch as signal;
use tokio::task::JoinHandle;

use crate::beat;
use crate::ignore_file::{self, Stamp};
use crate::live::Live;
use crate::service::Service;
use crate::watch_post::WatchPost;

/// How often it looks while something goes on.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// How often it looks at rest. What this process does itself ends the rest.
const LOOK_AT_REST: Duration = Duration::from_secs(1);
/// How long nothing must have been new for it to rest.
const LIVELY_FOR: Duration = Duration::from_secs(5);

/// Changes when there may be something new: in the state, written by whichever process; in the files that say what is
/// synced; about the watch; or about the peers and the end of this process.
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
    pub(crate) fn begin(service: &Service, store: &Store, post: &Arc<WatchPost>, live: &Arc<Live>) -> Self {
        let (tell, signs) = signal::channel(0);
        let (ask, asked_to_end) = signal::channel(false);
        let workspace = service.workspace();
        let files = [workspace.file.clone(), workspace.root.join(ignore_file::NAME)];
        let looking = Looking {
            writes: Writes::to(store),
            stamps: files.each_ref().map(|file| ignore_file::stamp(file)),
            files,
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
    /// The configuration, and the ignore file of the workspace.
    files: [PathBuf; 2],
    stamps: [Stamp; 2],
    /// What the watch told of itself at the last look.
    record: Arc<WatchRecord>,
    /// How often something that is in no state had changed then.
    stirred: u64,
}

impl Looking {
    async fn go(mut self, tell: signal::Sender<u64>, ask: signal::Sender<bool>) -> Infallible {
        let (mut quick, mut slow) = (beat::every(LOOK_EVERY), beat::every(LOOK_AT_REST));
        let mut lively = Instant::now();
        loop {
            let is_at_rest = lively.elapsed() > LIVELY_FOR;
            tokio::select! {
                _ = quick.tick(), if !is_at_rest => {}
                _ = slow.tick(), if is_at_rest => {}
                () = self.live.noticed(), if is_at_rest => {}
            }
            let is_new = self.is_something_new();
            if is_new {
                tell.send_modify(|count| *count = count.wrapping_add(1));
            }
            if self.live.tell_progress() || is_new {
                lively = Instant::now();
            }
            if !*ask.borrow() && self.post.is_asked_to_stop() {
                ask.send_replace(true);
            }
        }
    }

    fn is_something_new(&mut self) -> bool {
        let (record, stirred) = (self.post.record(), self.live.stirred());
        let stamps = self.files.each_ref().map(|file| ignore_file::stamp(file));
        let is_told = !Arc::ptr_eq(&record, &self.record) || stirred != self.stirred || stamps != self.stamps;
        (self.record, self.stirred, self.stamps) = (record, stirred, stamps);
        // Asked in any case, so that it knows of what was seen.
        self.writes.may_have_come() || is_told
    }
}
