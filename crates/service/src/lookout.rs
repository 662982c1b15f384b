//! A lookout: one small thread that notices, for everybody, that there may be something new, so that a daemon at rest wakes
//! nobody else.
//!
//! It is a thread and no task, since it looks at files, whose disk may not answer; and since it costs one wake a look,
//! where the timers of the runtime take two or three for one of a second.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use syncline_store::{Store, WatchRecord, Writes};
use tokio::sync::watch as signal;

use crate::ignore_file::{self, Stamp};
use crate::live::Live;
use crate::problem::{Problem, Result};
use crate::service::Service;
use crate::tripwire::Tripwire;
use crate::watch_post::WatchPost;

/// How often it looks while something goes on, which is how often it looks at most.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// How often it looks at rest, unless something wakes it: what this process does, or the system that tells of a change.
const LOOK_AT_REST: Duration = Duration::from_secs(5);
/// The same where the system tells of none.
const LOOK_UNTOLD: Duration = Duration::from_secs(1);
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
    live: Arc<Live>,
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Lookout {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Release);
        self.live.bell().wake();
        // It holds the place of the watch, which is free once this is gone.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

impl Lookout {
    /// Begins to look out.
    ///
    /// # Errors
    /// When the system has no thread left.
    pub(crate) fn begin(
        service: &Service,
        store: &Store,
        post: &Arc<WatchPost>,
        live: &Arc<Live>,
    ) -> Result<Self> {
        let (tell, signs) = signal::channel(0);
        let (ask, asked_to_end) = signal::channel(false);
        let workspace = service.workspace();
        let files = [workspace.file.clone(), workspace.root.join(ignore_file::NAME)];
        let is_over = Arc::new(AtomicBool::new(false));
        let looking = Looking {
            writes: Writes::to(store),
            stamps: files.each_ref().map(|file| ignore_file::stamp(file)),
            files,
            record: post.record(),
            stirred: live.stirred(),
            post: Arc::clone(post),
            live: Arc::clone(live),
            state: service.state().to_owned(),
            is_over: Arc::clone(&is_over),
        };
        let thread = Builder::new().name("lookout".to_owned()).spawn(move || looking.go(&tell, &ask));
        let thread = thread.map_err(|error| Problem::io(error, "starting a thread"))?;
        Ok(Self { signs, asked_to_end, live: Arc::clone(live), is_over, thread: Some(thread) })
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
    /// The folder of the state.
    state: PathBuf,
    is_over: Arc<AtomicBool>,
}

/// How it looks out at rest.
struct Rest {
    period: Duration,
    _tripwire: Option<Tripwire>,
}

impl Looking {
    fn go(mut self, tell: &signal::Sender<u64>, ask: &signal::Sender<bool>) {
        let (mut lively, mut looked) = (Instant::now(), Instant::now());
        let mut rest: Option<Rest> = None;
        loop {
            let is_over = || self.is_over.load(Ordering::Acquire);
            if let Some(rest) = &rest {
                self.live.bell().listen(rest.period, is_over);
            }
            // However much happens, it is looked at so often and no more.
            self.live.bell().wait(LOOK_EVERY.saturating_sub(looked.elapsed()), is_over);
            if is_over() {
                return;
            }
            looked = Instant::now();
            let is_new = self.is_something_new();
            if is_new {
                tell.send_modify(|count| *count = count.wrapping_add(1));
            }
            if self.live.tell_progress() || is_new {
                lively = looked;
            }
            if !*ask.borrow() && self.post.is_asked_to_stop() {
                ask.send_replace(true);
            }
            let is_at_rest = lively.elapsed() > LIVELY_FOR;
            rest = if is_at_rest { Some(rest.unwrap_or_else(|| self.rest())) } else { None };
        }
    }

    fn rest(&self) -> Rest {
        let bell = self.live.bell();
        let tripwire = Tripwire::lay(&self.files, &self.state, Arc::clone(bell));
        // Something may have changed before it was there.
        bell.ring();
        let period = if tripwire.is_some() { LOOK_AT_REST } else { LOOK_UNTOLD };
        Rest { period, _tripwire: tripwire }
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
