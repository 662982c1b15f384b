//! Watching: changes on both sides start runs that look only at what changed; a full scan now and then is the
//! backup.

use std::collections::{BTreeSet, VecDeque};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use syncline_connect::{WatchEvent, Watcher};
use syncline_core::{ItemPath, Side, Sides};
use syncline_store::RunState;
use tokio::time::{Instant, sleep_until};

use crate::context::{Context, Options, Target};
use crate::cycle::run;
use crate::error::Result;
use crate::result::RunResult;

/// How a watch is to behave.
#[derive(Clone, Copy, Debug)]
pub struct Watching {
    /// A run starts when nothing happened for this long.
    pub quiet: Duration,
    /// A run starts at the latest this long after the first event.
    pub ceiling: Duration,
    /// A full scan every so often, when everything can be watched; jittered by a fifth.
    pub rescan: Duration,
    /// A full scan every so often, when something cannot be watched.
    pub poll: Duration,
    /// The longest wait after failed runs.
    pub backoff_max: Duration,
    /// A full scan every so often, and none in between whatever happens; jittered by a tenth.
    pub interval: Option<Duration>,
}

impl Default for Watching {
    fn default() -> Self {
        Self {
            quiet: Duration::from_millis(15),
            ceiling: Duration::from_millis(200),
            rescan: Duration::from_secs(600),
            poll: Duration::from_secs(10),
            backoff_max: Duration::from_secs(300),
            interval: None,
        }
    }
}

/// How long removals count together for the guard: a mass of them comes in many small runs here.
const REMOVALS_WINDOW: Duration = Duration::from_secs(60);

/// Most paths of one partial scan; more than that is a full one.
const PATHS_MAX: usize = 4096;

/// Runs the target whenever something changes, until `stop` is done.
///
/// - `told` hears of every run, and of what cannot be watched.
/// - A failed run is tried again with growing, jittered delays; the watch goes on.
pub async fn watch(
    context: &Context,
    target: &Target,
    options: &Options,
    watching: Watching,
    told: &mut (dyn FnMut(Told<'_>) + Send),
    stop: impl Future<Output = ()> + Send,
) {
    let mut stop = Box::pin(stop);
    let mut watch = Watch::start(target, watching, told);
    let mut only = None;
    loop {
        let removed_before = watch.removed_lately();
        let options = Options { only: only.take(), removed_before, ..options.clone() };
        let result = run(context, target, &options).await;
        watch.note(&result, context);
        told(Told::Run(&result));
        only = tokio::select! {
            biased;
            () = &mut stop => return,
            // What a halt or a problem left undone is looked at again with the next change, all of it.
            changed = watch.changes(told) => changed.filter(|_| !watch.unfinished),
        };
    }
}

/// What a watch tells.
#[derive(Debug)]
pub enum Told<'a> {
    /// A run ended, or could not be carried out.
    Run(&'a Result<RunResult>),
    /// A side cannot be watched, wholly or in part: for people.
    Limited(Side, &'a str),
}

struct Watch {
    watchers: Sides<Option<Watcher>>,
    watching: Watching,
    limited: bool,
    failures: u32,
    next_full: Instant,
    /// Whether the last run left something undone.
    unfinished: bool,
    /// When runs removed how many items.
    removals: VecDeque<(Instant, u64)>,
}

impl Watch {
    fn start(target: &Target, watching: Watching, told: &mut (dyn FnMut(Told<'_>) + Send)) -> Self {
        let mut limited = false;
        let watchers = Sides::from_fn(|side| {
            if watching.interval.is_some() {
                return None;
            }
            let Some(watch) = target.endpoints[side].watch() else {
                limited = true;
                return None;
            };
            match watch.start(Arc::clone(&target.filter)) {
                Ok(watcher) => Some(watcher),
                Err(error) => {
                    limited = true;
                    told(Told::Limited(side, &error.to_string()));
                    None
                }
            }
        });
        Self {
            watchers,
            watching,
            limited,
            failures: 0,
            next_full: Instant::now(),
            unfinished: false,
            removals: VecDeque::new(),
        }
    }

    /// How many removals the runs of the last minute have made.
    fn removed_lately(&mut self) -> u64 {
        let now = Instant::now();
        while self.removals.front().is_some_and(|(when, _)| now - *when > REMOVALS_WINDOW) {
            self.removals.pop_front();
        }
        self.removals.iter().map(|(_, count)| count).sum()
    }

    /// Sets the time of the next full scan after a run.
    fn note(&mut self, result: &Result<RunResult>, context: &Context) {
        if let Ok(result) = result
            && result.tally.removed > 0
        {
            self.removals.push_back((Instant::now(), result.tally.removed));
        }
        self.failures = if result.is_ok() { 0 } else { self.failures.saturating_add(1) };
        let interval = match (self.failures, self.watching.interval, self.limited) {
            (0, Some(interval), _) => interval,
            (0, None, false) => self.watching.rescan,
            (0, None, true) => self.watching.poll,
            (failures, ..) => Duration::from_secs(1 << failures.min(16)).min(self.watching.backoff_max),
        };
        // Jitter from the clock's own digits: enough to keep many machines from scanning in step.
        let jitter = u32::try_from(context.clock.now().rem_euclid(1000)).unwrap_or_default();
        let next = Instant::now() + interval * (900 + jitter / 5) / 1000;
        self.unfinished = !result.as_ref().is_ok_and(RunResult::is_success);
        let hurried = self.watching.interval.is_none();
        if hurried && result.as_ref().is_ok_and(|result| result.state != RunState::Succeeded) {
            // What could not be done is tried again before the next full scan is due.
            self.next_full = self.next_full.min(Instant::now() + self.watching.poll);
        }
        if self.failures > 0 || self.next_full <= Instant::now() || next < self.next_full {
            self.next_full = next;
        }
    }

    /// Waits for changes; the paths to look at, or `None` for everything.
    async fn changes(&mut self, told: &mut (dyn FnMut(Told<'_>) + Send)) -> Option<Vec<ItemPath>> {
        let mut paths = BTreeSet::new();
        let mut first: Option<Instant> = None;
        let mut last = Instant::now();
        loop {
            let due = first.map_or(self.next_full, |first| {
                (last + self.watching.quiet).min(first + self.watching.ceiling)
            });
            // After a failure nothing is tried before its delay is over, whatever happens.
            let due = if self.failures > 0 { due.max(self.next_full) } else { due };
            let Sides { local, remote } = &mut self.watchers;
            let (side, event) = tokio::select! {
                biased;
                () = sleep_until(due) => {
                    let partial = first.is_some() && paths.len() <= PATHS_MAX && self.failures == 0;
                    return partial.then(|| paths.into_iter().collect());
                }
                event = next(local) => (Side::Local, event),
                event = next(remote) => (Side::Remote, event),
            };
            last = Instant::now();
            match event {
                Some(WatchEvent::Changed(path)) => {
                    first.get_or_insert(last);
                    if paths.len() <= PATHS_MAX {
                        paths.insert(path);
                    }
                }
                Some(WatchEvent::Overflow) => {
                    self.next_full = last;
                    return None;
                }
                Some(WatchEvent::Limited(message)) => {
                    self.limited = true;
                    self.next_full = self.next_full.min(last + self.watching.poll);
                    told(Told::Limited(side, &message));
                }
                None => {
                    self.watchers[side] = None;
                    self.limited = true;
                    told(Told::Limited(side, "the watch ended; changes are found by scanning"));
                }
            }
        }
    }
}

/// The next event of a watcher; never, when there is none.
async fn next(watcher: &mut Option<Watcher>) -> Option<WatchEvent> {
    match watcher {
        Some(watcher) => watcher.events.recv().await,
        None => std::future::pending().await,
    }
}
