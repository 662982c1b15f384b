//! Writing to the medium while more is being staged, so that the sync at the end finds little left to do.

use std::sync::{Condvar, Mutex, PoisonError};

use syncline_connect::{Error, Result};

use super::platform::Directory;

/// Bytes that are worth a flush of their own.
const FLUSH_BYTES: u64 = 32 * 1024 * 1024;

/// Starts a flush whenever enough has been written since the last one.
#[derive(Default)]
pub(super) struct Flusher {
    state: Mutex<State>,
    wake: Condvar,
}

#[derive(Default)]
struct State {
    written: u64,
    done: bool,
}

/// Tells the flushing thread to stop when it is dropped.
struct Ended<'a>(&'a Flusher);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner).done = true;
        self.0.wake.notify_one();
    }
}

impl Flusher {
    /// Counts what was written.
    pub(super) fn written(&self, bytes: u64) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.written += bytes;
        if state.written >= FLUSH_BYTES {
            self.wake.notify_one();
        }
    }

    /// Does `work` and flushes beside it.
    ///
    /// # Errors
    /// When the work or a flush fails. The system tells of a failed flush once: it must not be taken for a detail.
    pub(super) fn beside<T>(&self, root: &Directory, work: impl FnOnce() -> Result<T>) -> Result<T> {
        std::thread::scope(|scope| {
            let flushing = scope.spawn(|| self.flush(root));
            let worked = {
                // However the work ends, even by a panic: the flushing thread must not wait for more.
                let _ended = Ended(self);
                work()
            };
            let flushed = flushing.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            let worked = worked?;
            flushed.map_err(|error| Error::io(error, "making staged content durable"))?;
            Ok(worked)
        })
    }

    fn flush(&self, root: &Directory) -> std::io::Result<()> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        while !state.done {
            if state.written >= FLUSH_BYTES {
                state.written = 0;
                drop(state);
                root.sync_file_system()?;
                state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            } else {
                state = self.wake.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
        }
        Ok(())
    }
}
