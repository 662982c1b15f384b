//! Watching: changes on both sides start runs that look only at what changed; a full scan now and then is the
//! backup.

use std::collections::{BTreeSet, VecDeque};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use syncline_connect::layers::retry::{Delays, Retries};
use syncline_connect::{WatchEvent, Watcher};
use syncline_core::{ItemPath, Nanos, Side, Sides};
use syncline_store::RunState;
use tokio::time::{Instant, sleep_until};

use crate::context::{Context, Options, Target};
use crate::cycle::{preview, run_in_turn, turn};
use crate::error::Result;
use crate::reach::Reach;
use crate::result::RunResult;
use crate::scheduler::{Hold, hold};

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
    /// How often and after which delays a remote that is away is tried first: the attempts include the run that found
    /// it away.
    pub retries: Retries,
    /// How often it is tried after that, where no interval says so.
    pub away: Duration,
}

impl Default for Watching {
    fn default() -> Self {
        Self {
            quiet: Duration::from_millis(10),
            ceiling: Duration::from_millis(200),
            rescan: Duration::from_secs(600),
            poll: Duration::from_secs(10),
            backoff_max: Duration::from_secs(300),
            interval: None,
            retries: Retries { attempts_max: 6, ..Retries::default() },
            away: Duration::from_secs(60),
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
/// - While the remote is away, what changes here waits where it is. Tries only look, so that nothing is recorded of
///   them; the first one that finds the remote is followed by a run of everything.
/// - What halts a run is told and recorded once, until something about it changes.
/// - While the target is paused or outside of its windows it is left alone; then everything is looked at.
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
        let look = tokio::select! {
            biased;
            // It only looks: nothing has to come to its end.
            () = &mut stop => return,
            look = watch.look(context, target, &options) => look,
        };
        match look {
            Look::Away(reason) => watch.stays_away(reason, context, told),
            Look::Halted => watch.stays_halted(context, told),
            Look::Held(hold) => watch.stays_held(hold, context, told),
            Look::Run => {
                let turn = tokio::select! {
                    biased;
                    // Whoever waits for others has not begun.
                    () = &mut stop => return,
                    turn = turn(context) => turn,
                };
                watch.goes_on(told);
                watch.comes_back(target, told);
                let result = run_in_turn(context, target, &options, turn).await;
                watch.note(&result, context);
                told(Told::Run(&result, watch.next(context)));
                if let Some(reason) = Reach::of(&result).why_away() {
                    watch.stays_away(reason, context, told);
                }
            }
        }
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
    /// A run ended, or could not be carried out; when everything is looked at again at the latest.
    Run(&'a Result<RunResult>, Nanos),
    /// The remote is away: told after the run that found it so, and after each try since.
    Away(&'a Away),
    /// The remote is there again: a run follows.
    Back(&'a Away),
    /// The run that would follow halts as the last one did: when that is looked at again at the latest.
    Halted(Nanos),
    /// The target is left alone, and why; when that is looked at again at the latest.
    Held(&'a Hold, Nanos),
    /// The target is no longer left alone: a run follows.
    GoesOn,
    /// A side cannot be watched, wholly or in part: for people.
    Limited(Side, &'a str),
}

/// A remote that is away.
#[derive(Clone, Debug)]
pub struct Away {
    /// Since when.
    pub since: Nanos,
    /// How often it was tried since.
    pub tries: u32,
    /// When it is tried next.
    pub next: Nanos,
    /// Why, for people.
    pub reason: String,
    /// At how many paths something changed here since; `None` where changes are not noticed one by one.
    pub waiting: Option<u64>,
    delays: Delays,
}

/// What a look before a run came to.
enum Look {
    /// A run may do something, or has something new to tell.
    Run,
    /// The remote is still away, and why.
    Away(String),
    /// The run would halt as the last one did.
    Halted,
    /// The target is to be left alone.
    Held(Hold),
}

struct Watch {
    /// What is known of a remote that is away.
    away: Option<Away>,
    /// The hash of the plan at which the last run halted, when it did.
    halted: Option<String>,
    /// Why the target is left alone, when it is.
    held: Option<Hold>,
    /// Where something changed here while the remote was away.
    waiting: BTreeSet<ItemPath>,
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
            let watcher = watcher(target, side, watching, told);
            limited |= watcher.is_none() && watching.interval.is_none();
            watcher
        });
        Self {
            away: None,
            halted: None,
            held: None,
            waiting: BTreeSet::new(),
            watchers,
            watching,
            limited,
            failures: 0,
            next_full: Instant::now(),
            unfinished: false,
            removals: VecDeque::new(),
        }
    }

    /// Looks before a run where that is known to come to nothing; of a look nothing is recorded.
    fn look(
        &self,
        context: &Context,
        target: &Target,
        options: &Options,
    ) -> impl Future<Output = Look> + Send + use<> {
        let (away, halted) = (self.away.is_some(), self.halted.clone());
        let (context, target) = (context.clone(), target.clone());
        let options = Options { only: None, dry_run: true, ..options.clone() };
        async move {
            let now = context.clock.now();
            if let Some(hold) = hold(&context.store, &target.name, &target.windows, now).await {
                return Look::Held(hold);
            }
            if !away && halted.is_none() {
                return Look::Run;
            }
            let result = preview(&context, &target, &options).await;
            match (Reach::of(&result).why_away(), &result) {
                (Some(reason), _) if away => Look::Away(reason),
                (_, Ok(result)) if !result.halts.is_empty() && halted.as_ref() == Some(&result.plan_hash) => {
                    Look::Halted
                }
                _ => Look::Run,
            }
        }
    }

    /// Sets the time of the next look at what is halted; a person is told of it once.
    fn stays_halted(&mut self, context: &Context, told: &mut (dyn FnMut(Told<'_>) + Send)) {
        self.next_full = Instant::now() + self.watching.interval.unwrap_or(self.watching.poll);
        told(Told::Halted(self.next(context)));
    }

    /// Sets the time of the next look at what is left alone; a person is told of it once.
    fn stays_held(&mut self, hold: Hold, context: &Context, told: &mut (dyn FnMut(Told<'_>) + Send)) {
        let left = hold.until.map(|until| until.saturating_sub(context.clock.now()));
        let left = left.and_then(|left| u64::try_from(left).ok()).map(Duration::from_nanos);
        // It may also be ended by hand before that.
        self.next_full = Instant::now() + left.unwrap_or(self.watching.poll).min(self.watching.poll);
        self.unfinished = true;
        if self.held.as_ref() != Some(&hold) {
            told(Told::Held(&hold, self.next(context)));
        }
        self.held = Some(hold);
    }

    /// Tells that the target is no longer left alone, when it was.
    fn goes_on(&mut self, told: &mut (dyn FnMut(Told<'_>) + Send)) {
        if self.held.take().is_some() {
            told(Told::GoesOn);
        }
    }

    /// Remembers that the remote is away, and sets the time of the next try.
    fn stays_away(&mut self, reason: String, context: &Context, told: &mut (dyn FnMut(Told<'_>) + Send)) {
        let now = context.clock.now();
        let delays = || self.watching.retries.delays();
        let away = self.away.take().map(|away| Away { tries: away.tries + 1, ..away });
        let mut away = away.unwrap_or_else(|| Away {
            since: now,
            tries: 0,
            next: now,
            reason: String::new(),
            waiting: None,
            delays: delays(),
        });
        let wait = away.delays.next().unwrap_or_else(|| self.watching.interval.unwrap_or(self.watching.away));
        self.next_full = Instant::now() + wait;
        self.unfinished = true;
        away.next = self.next(context);
        away.reason = reason;
        away.waiting = self.watchers.local.is_some().then_some(self.waiting.len() as u64);
        told(Told::Away(&away));
        self.away = Some(away);
    }

    /// Tells that the remote is there again, when it was away, and watches what is there now.
    fn comes_back(&mut self, target: &Target, told: &mut (dyn FnMut(Told<'_>) + Send)) {
        let Some(away) = self.away.take() else { return };
        told(Told::Back(&away));
        self.waiting.clear();
        self.failures = 0;
        // What was watched may have been another disk, or what lay below the mount point.
        let limited_before = self.watchers.remote.is_none();
        self.watchers.remote = watcher(target, Side::Remote, self.watching, told);
        if limited_before && self.watchers.remote.is_some() {
            self.limited = self.watchers.local.is_none();
        }
    }

    /// When everything is looked at again at the latest, by the clock of people.
    fn next(&self, context: &Context) -> Nanos {
        let wait = self.next_full.saturating_duration_since(Instant::now());
        context.clock.now().saturating_add(Nanos::try_from(wait.as_nanos()).unwrap_or(Nanos::MAX))
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
        let halted = result.as_ref().ok().filter(|result| !result.halts.is_empty());
        self.halted = halted.map(|result| result.plan_hash.clone());
        // A run whose check failed has failed, too: what it did and took back must not start the next one at once.
        let has_failed = result.as_ref().map_or(true, |result| result.state == RunState::Failed);
        self.failures = if has_failed { self.failures.saturating_add(1) } else { 0 };
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
            let due = if self.failures > 0 || self.away.is_some() { due.max(self.next_full) } else { due };
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
                    if self.away.is_some() && side == Side::Local && self.waiting.len() < PATHS_MAX {
                        self.waiting.insert(path.clone());
                    }
                    first.get_or_insert(last);
                    if paths.len() <= PATHS_MAX {
                        paths.insert(path);
                    }
                }
                // All that an overflow says is said by a full look, and that waits until the remote is tried.
                Some(WatchEvent::Overflow) if self.away.is_some() => {}
                Some(WatchEvent::Overflow) => {
                    self.next_full = last;
                    return None;
                }
                Some(WatchEvent::Limited(message)) => {
                    self.limited = true;
                    if self.away.is_none() {
                        self.next_full = self.next_full.min(last + self.watching.poll);
                    }
                    told(Told::Limited(side, &message));
                }
                None => {
                    self.watchers[side] = None;
                    self.limited = true;
                    if self.away.is_some() && side == Side::Remote {
                        // Nobody expects to hear changes of what is away; it is watched anew when it is back.
                        continue;
                    }
                    told(Told::Limited(side, "the watch ended; changes are found by scanning"));
                }
            }
        }
    }
}

/// Begins to watch a side; `None` when it cannot be watched, or is not to be.
fn watcher(
    target: &Target,
    side: Side,
    watching: Watching,
    told: &mut (dyn FnMut(Told<'_>) + Send),
) -> Option<Watcher> {
    if watching.interval.is_some() {
        return None;
    }
    let started = target.endpoints[side].watch()?.start(Arc::clone(&target.filter));
    started.map_err(|error| told(Told::Limited(side, &error.to_string()))).ok()
}

/// The next event of a watcher; never, when there is none.
async fn next(watcher: &mut Option<Watcher>) -> Option<WatchEvent> {
    match watcher {
        Some(watcher) => watcher.events.recv().await,
        None => std::future::pending().await,
    }
}
