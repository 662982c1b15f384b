//! A batch: keep and stage everything, make it durable, swap everything, make that durable.
//!
//! Only the swaps touch the tree, and each is one atomic rename. So after a crash at any moment every path is
//! whole-old or whole-new, and every old content is in history.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use syncline_connect::{Batch, Error, ErrorKind, Result};
use syncline_core::{Action, Mark, Outcome, Step};
use tokio::runtime::Handle;

use super::flush::Flusher;
use super::parents::{Made, Parents};
use super::planting::Planting;
use super::platform::Directory;
use super::stage::{Prepared, Stager};
use super::staging::{STAGING_THREADS_FROM, Staging, THREADS_MAX, make_and_open};
use super::swap::Swapper;
use super::{STATE, is_word};

/// Steps that a thread takes at once: neighbours share directories.
const CHUNK: usize = 64;

/// What one batch works with; shared by its threads.
pub(super) struct Work<'a> {
    pub(super) root: &'a Directory,
    pub(super) batch: &'a Batch,
    pub(super) staging: &'a Staging,
    pub(super) handle: &'a Handle,
    /// New folders that are put together whole, by the index of their step.
    pub(super) planting: &'a Planting,
    pub(super) made: &'a Made,
    /// Set when nobody waits for the batch any more.
    pub(super) cancelled: &'a AtomicBool,
}

/// Performs a batch beneath an open root, which people know as `location`; blocks. With `keep_staging`, an empty `.syncline/staging` may stay.
///
/// # Errors
/// When the batch could not start, or could not be made durable.
pub(super) fn apply(
    root: &Directory,
    location: &str,
    batch: &Batch,
    handle: &Handle,
    cancelled: &AtomicBool,
    keep_staging: bool,
) -> Result<Vec<Outcome>> {
    let staging = Staging::open(root, location, batch, handle)?;
    let (planting, made) = (Planting::of(&batch.steps), Made::default());
    let work = Work { root, batch, staging: &staging, handle, planting: &planting, made: &made, cancelled };
    let done = work.run();
    if done.is_err() {
        // The system tells each open file of a failed write once, and nobody who comes later. History may have put
        // content on the same file system: it must hear of it now, and take that back.
        let _ = handle.block_on(batch.history.sync());
    }
    let closed = staging.close(keep_staging);
    let outcomes = done?;
    closed.map_err(|error| Error::io(error, format_args!("removing {STATE}/staging/{}", batch.run)))?;
    // Last, so that a power loss after it does not bring back what was cleared away.
    sync(root, "the batch")?;
    Ok(outcomes)
}

impl Work<'_> {
    /// Does everything but make the swaps durable.
    fn run(&self) -> Result<Vec<Outcome>> {
        let steps = &self.batch.steps;
        let mut prepared = self.prepare()?;
        self.go_on()?;
        if prepared.iter().any(Prepared::needs_sync) {
            sync(self.root, "staged content")?;
            self.handle.block_on(self.batch.history.sync())?;
        }
        let mut outcomes = vec![None; steps.len()];
        let mut at = 0;
        while at < steps.len() {
            self.go_on()?;
            let writes =
                steps[at..].iter().take_while(|step| matches!(step.action, Action::Write { .. })).count();
            let run = at..at + writes.max(1);
            self.swap(run.clone(), &mut prepared, &mut outcomes)?;
            at = run.end;
        }
        if let Some((name, mark)) = &self.batch.mark {
            self.leave(name, mark)?;
        }
        Ok(outcomes.into_iter().flatten().collect())
    }

    /// Keeps old and stages new content, on all threads: nothing of this touches the tree.
    fn prepare(&self) -> Result<Vec<Prepared>> {
        let steps = &self.batch.steps;
        let moves = steps.iter().any(|step| matches!(step.action, Action::Move { .. }));
        let mut prepared: Vec<Prepared> = steps.iter().map(|_| Prepared::default()).collect();
        self.planting.make_directories(self)?;
        let flusher = Flusher::default();
        flusher.beside(self.root, || {
            self.on_threads(0, &mut prepared, |thread, next| {
                let mut stager = Stager::new(self, thread, moves);
                while let Some((from, chunk)) = next() {
                    for (at, prepared) in (from..).zip(chunk) {
                        self.go_on()?;
                        *prepared = stager.prepare(at, &steps[at]);
                        flusher.written(prepared.staged.as_ref().map_or(0, |staged| staged.stamp.size));
                    }
                }
                Ok(())
            })
        })?;
        Ok(prepared)
    }

    /// Performs one step, or a run of consecutive writes: their directories in order, then the rest on all threads.
    fn swap(
        &self,
        run: Range<usize>,
        prepared: &mut [Prepared],
        outcomes: &mut [Option<Outcome>],
    ) -> Result<()> {
        let steps = &self.batch.steps;
        let together =
            |step: &Step| matches!(&step.action, Action::Write { item, .. } if !item.kind.is_directory());
        let mut swapper = Swapper::new(self);
        for at in run.clone().filter(|&at| !together(&steps[at])) {
            self.go_on()?;
            outcomes[at] = Some(swapper.perform(at, &steps[at], &prepared[at])?);
        }
        let prepared = &*prepared;
        self.on_threads(run.start, &mut outcomes[run], |_, next| {
            let mut swapper = Swapper::new(self);
            while let Some((from, chunk)) = next() {
                for (at, outcome) in (from..).zip(chunk).filter(|(at, _)| together(&steps[*at])) {
                    self.go_on()?;
                    *outcome = Some(swapper.perform(at, &steps[at], &prepared[at])?);
                }
            }
            Ok(())
        })
    }

    /// Runs `work` on all threads; each takes the next chunk of `results` to fill in, with the index of the step that
    /// its first one belongs to, until there is none. `first` is that of the very first one.
    fn on_threads<'r, T: Send>(
        &self,
        first: usize,
        results: &'r mut [T],
        work: impl Fn(usize, &mut dyn FnMut() -> Option<(usize, &'r mut [T])>) -> Result<()> + Sync,
    ) -> Result<()> {
        let count = results.len();
        let chunks = Mutex::new((first..).step_by(CHUNK).zip(results.chunks_mut(CHUNK)));
        let run = |thread: usize| {
            // What content is opened with may need the runtime, such as a layer with a time limit.
            let _runtime = self.handle.enter();
            work(thread, &mut || chunks.lock().unwrap_or_else(PoisonError::into_inner).next())
        };
        if count < STAGING_THREADS_FROM {
            return run(0);
        }
        std::thread::scope(|scope| {
            let run = &run;
            let helpers: Vec<_> = (1..THREADS_MAX).map(|thread| scope.spawn(move || run(thread))).collect();
            let own = run(0);
            let joined = helpers
                .into_iter()
                .map(|helper| helper.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
            std::iter::once(own).chain(joined).collect()
        })
    }

    /// Stops a batch that nobody waits for.
    fn go_on(&self) -> Result<()> {
        if self.cancelled.load(Ordering::Relaxed) {
            return Err(Error::new(ErrorKind::TimedOut, "the batch was given up"));
        }
        Ok(())
    }

    /// Leaves the mark: whole, or not at all.
    fn leave(&self, name: &str, mark: &Mark) -> Result<()> {
        if !is_word(name) {
            return Err(Error::new(ErrorKind::Invalid, format!("{name:?} cannot be the name of a mark")));
        }
        let write = || {
            let marks = make_and_open(&self.staging.state, "marks")?;
            let mut file = self.staging.swap.create("mark", 0o600)?;
            std::io::Write::write_all(&mut file, mark.0.as_bytes())?;
            file.sync_all()?;
            self.staging.swap.move_over("mark", &marks, name)
        };
        write().map_err(|error| Error::io(error, format_args!("writing {STATE}/marks/{name}")))
    }

    /// A thread's own handles on directories.
    pub(super) const fn parents(&self) -> Parents<'_> {
        Parents::new(self.root, self.made)
    }
}

/// One call that makes everything durable that was written so far.
pub(super) fn sync(root: &Directory, what: &str) -> Result<()> {
    root.sync_file_system().map_err(|error| Error::io(error, format_args!("making {what} durable")))
}
