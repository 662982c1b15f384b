//! The table of rules: what is wrong, what is well, and what nobody can tell, at one moment.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use syncline_core::Nanos;
use syncline_store::AgesRecord;

use crate::observed::{ConflictSeen, Observed, PeerSeen, Room, TargetSeen};
use crate::peers::PeerState;
use crate::rule::{Limits, Rule};

/// How long what follows from something is given to become well after that has.
const SETTLE: Duration = Duration::from_secs(120);
/// How long it is told that a process died, before that is over.
const DIED_FOR: Duration = Duration::from_secs(600);
/// How many open conflicts have an age that a wall clock cannot change.
const CONFLICTS_MAX: usize = 1_000;
/// How long trouble with what a peer holds waits for it to turn out that the peer is down.
const PEER_FIRST: Duration = Duration::from_secs(300);
/// How long a remote that is away is given to be found again after the peer that holds it is back.
const FOUND_AGAIN: Duration = Duration::from_secs(15 * 60);
/// The subject of what concerns this machine.
const THIS_NODE: &str = "this node";

/// Whether something is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is.
    Wrong,
    /// It is not.
    Well,
    /// Neither is sure: it stays as it was.
    Unsure,
}

/// What a rule says of a subject.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// The rule.
    pub rule: Rule,
    /// What it concerns.
    pub subject: String,
    /// Whether something is wrong.
    pub verdict: Verdict,
    /// What is, in one line.
    pub message: String,
    /// What it may follow from: as long as that is wrong, this is not told.
    pub follows: Vec<(Rule, String)>,
    /// How long it is given to become well after that has.
    pub grace: Duration,
    /// How long it waits for that to turn out to be wrong, before it is told.
    pub delay: Duration,
}

/// The moment of a look.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// By the clock of whoever watches.
    pub clock: Nanos,
    /// By the wall clock.
    pub wall: Nanos,
}

/// Everything that the rules say, in their order.
pub fn conditions(
    observed: &Observed,
    now: Moment,
    limits: &Limits,
    ages: &mut AgesRecord,
) -> Vec<Condition> {
    let mut found = Vec::new();
    found.extend(observed.peers.iter().flatten().map(peer_down));
    found.extend(observed.died.map(died));
    if let Some(targets) = &observed.targets {
        let names: BTreeSet<&str> = targets.iter().map(|target| target.name.as_str()).collect();
        ages.agreed.retain(|name, _| names.contains(name.as_str()));
        let aged: Vec<Aged<'_>> =
            targets.iter().map(|target| Aged { target, age: age_of_target(ages, target, now) }).collect();
        found.extend(unreachable(&aged, limits));
        found.extend(targets.iter().map(|target| failing(target, limits)));
        found.extend(targets.iter().map(approval));
        found.extend(aged.iter().map(|target| stale(target, limits)));
    }
    if let Some(conflicts) = &observed.conflicts {
        found.extend(open_conflicts(conflicts, now, limits, ages));
    }
    found.extend(observed.disk.map(|room| low(Rule::DiskLow, room, limits.disk_free_percent, "disk")));
    found
        .extend(observed.memory.map(|room| low(Rule::MemoryLow, room, limits.memory_free_percent, "memory")));
    found
}

/// Whether what a rule looks at could be observed: then what it no longer mentions is well.
#[must_use]
pub const fn was_observed(rule: Rule, observed: &Observed) -> bool {
    match rule {
        Rule::PeerDown => observed.peers.is_some(),
        Rule::ProcessDied => true,
        Rule::Unreachable | Rule::Failing | Rule::Approval | Rule::Stale => observed.targets.is_some(),
        Rule::ConflictOpen => observed.conflicts.is_some(),
        Rule::DiskLow => observed.disk.is_some(),
        Rule::MemoryLow => observed.memory.is_some(),
    }
}

impl Condition {
    fn new(rule: Rule, subject: &str, verdict: Verdict, message: String) -> Self {
        let subject = subject.to_owned();
        Self { rule, subject, verdict, message, follows: Vec::new(), grace: SETTLE, delay: Duration::ZERO }
    }
}

/// A target, and for how long nothing was agreed on for it.
struct Aged<'a> {
    target: &'a TargetSeen,
    age: Duration,
}

impl Aged<'_> {
    /// Whether that is longer than people have said that it may be, whatever became of its runs.
    fn is_overdue(&self) -> bool {
        self.target.stale_is_said && self.target.stale_after.is_some_and(|after| self.age > after)
    }
}

/// For how long nothing was agreed on for a target.
///
/// A time is read off the wall clock once, when something is seen for the first time. From then on its age grows with the
/// time that passes, so that a wall clock that jumps makes nothing older or younger.
fn age_of_target(ages: &mut AgesRecord, target: &TargetSeen, now: Moment) -> Duration {
    let known = ages.agreed.get(&target.name).copied();
    let since = match (known, target.agreed) {
        // Nothing is expected of a target that is left alone, and it gets its whole time afterwards.
        _ if target.paused => (target.agreed.unwrap_or(now.wall), now.clock),
        (Some(known), Some(agreed)) if known.0 != agreed => (agreed, now.clock),
        (Some(known), _) => known,
        (None, Some(agreed)) => (agreed, now.clock.saturating_sub(now.wall.saturating_sub(agreed).max(0))),
        // A target that has never run counts from when it was first seen.
        (None, None) => (now.wall, now.clock),
    };
    ages.agreed.insert(target.name.clone(), since);
    passed(since.1, now.clock)
}

fn age_of_conflict(ages: &mut AgesRecord, conflict: &ConflictSeen, now: Moment) -> Duration {
    let first = now.clock.saturating_sub(now.wall.saturating_sub(conflict.opened).max(0));
    if let Some(since) = ages.conflicts.get(&conflict.id) {
        return passed(*since, now.clock);
    }
    if ages.conflicts.len() < CONFLICTS_MAX {
        ages.conflicts.insert(conflict.id.clone(), first);
    }
    passed(first, now.clock)
}

fn passed(since: Nanos, now: Nanos) -> Duration {
    Duration::from_nanos(u64::try_from(now.saturating_sub(since)).unwrap_or(0))
}

fn peer_down(peer: &PeerSeen) -> Condition {
    let verdict = match peer.state {
        PeerState::Down => Verdict::Wrong,
        // Who has just begun to listen knows nothing yet.
        PeerState::Suspected | PeerState::Awaited => Verdict::Unsure,
        PeerState::Alive | PeerState::Left => Verdict::Well,
    };
    let message = format!("peer {}: no heartbeat for {}", peer.name, span(peer.silent));
    Condition::new(Rule::PeerDown, &peer.name, verdict, message)
}

fn died(ago: Duration) -> Condition {
    let verdict = if ago < DIED_FOR { Verdict::Wrong } else { Verdict::Well };
    let message = "the process before this one was ended without having said so; it runs again".to_owned();
    Condition::new(Rule::ProcessDied, THIS_NODE, verdict, message)
}

/// Remotes that are away: one outage, however many targets have it.
fn unreachable(targets: &[Aged<'_>], limits: &Limits) -> Vec<Condition> {
    let mut remotes: BTreeMap<&str, Vec<&Aged<'_>>> = BTreeMap::new();
    for aged in targets.iter().filter(|aged| !aged.target.paused) {
        remotes.entry(&aged.target.remote).or_default().push(aged);
    }
    let judge = |(remote, targets): (&str, Vec<&Aged<'_>>)| {
        let away: Vec<_> =
            targets.iter().filter_map(|aged| Some((*aged, aged.target.away.as_ref()?))).collect();
        // What is told of it is that its remote is away, also when it has been without success for too long before it
        // was tried that often.
        let is_overdue = away.iter().any(|(aged, _)| aged.is_overdue());
        let verdict = match away.iter().map(|(_, (_, tries))| *tries).max() {
            None => Verdict::Well,
            Some(tries) if tries >= limits.failures || is_overdue => Verdict::Wrong,
            Some(_) => Verdict::Unsure,
        };
        let names: Vec<&str> = away.iter().map(|(aged, _)| aged.target.name.as_str()).collect();
        let why = away.first().map_or("", |(_, (reason, _))| reason);
        let message = format!("{remote} cannot be reached (for {}): {why}", names.join(", "));
        let peers = targets.iter().filter_map(|aged| aged.target.peer.clone());
        let follows: Vec<_> = peers.map(|peer| (Rule::PeerDown, peer)).collect();
        let delay = if follows.is_empty() { Duration::ZERO } else { PEER_FIRST };
        let condition = Condition::new(Rule::Unreachable, remote, verdict, message);
        Condition { follows, delay, grace: FOUND_AGAIN, ..condition }
    };
    remotes.into_iter().map(judge).collect()
}

/// What every trouble of a target may follow from, and how long it takes to be over.
fn caused(target: &TargetSeen, condition: Condition) -> Condition {
    let mut follows = vec![(Rule::Unreachable, target.remote.clone())];
    follows.extend(target.peer.iter().map(|peer| (Rule::PeerDown, peer.clone())));
    // Its next run is due by then, and tells.
    let grace = target.stale_after.unwrap_or_default().max(SETTLE);
    let delay = if target.peer.is_some() { PEER_FIRST } else { Duration::ZERO };
    Condition { follows, grace, delay, ..condition }
}

fn failing(target: &TargetSeen, limits: &Limits) -> Condition {
    let verdict = match target.failures {
        _ if target.paused => Verdict::Well,
        0 => Verdict::Well,
        // Whether anything else is wrong with it turns out when its remote is back.
        _ if target.away.is_some() => Verdict::Unsure,
        failures if failures >= limits.failures => Verdict::Wrong,
        _ => Verdict::Unsure,
    };
    let why = target.failed.as_deref().unwrap_or_default();
    let message = format!("{}: {} runs in a row failed: {why}", target.name, target.failures);
    let mut condition = caused(target, Condition::new(Rule::Failing, &target.name, verdict, message));
    condition.follows.extend([Rule::Approval, Rule::Stale].map(|rule| (rule, target.name.clone())));
    condition
}

fn approval(target: &TargetSeen) -> Condition {
    let waiting = target.waiting.as_deref().filter(|_| !target.paused);
    let verdict = if waiting.is_some() { Verdict::Wrong } else { Verdict::Well };
    let message = format!("{} waits for an approval: {}", target.name, waiting.unwrap_or_default());
    Condition::new(Rule::Approval, &target.name, verdict, message)
}

fn stale(aged: &Aged<'_>, limits: &Limits) -> Condition {
    let Aged { target, age } = *aged;
    // Runs that fail are told as such: what the schedule allows is for those that do not happen. It is trusted to be told,
    // not for ever. What people have said is meant as it stands.
    let is_tried = target.failures > 0 || target.away.is_some();
    let patience = if is_tried && !target.stale_is_said { limits.failures.max(1) } else { 1 };
    let verdict = match target.stale_after {
        _ if target.paused => Verdict::Well,
        Some(after) if age > after.saturating_mul(patience) => Verdict::Wrong,
        Some(after) if age > after => Verdict::Unsure,
        _ => Verdict::Well,
    };
    let why = target.failed.as_ref().map(|why| format!("; the last run failed: {why}")).unwrap_or_default();
    let message = format!("{}: nothing was agreed on for {}{why}", target.name, span(age));
    let mut condition = caused(target, Condition::new(Rule::Stale, &target.name, verdict, message));
    let also = [Rule::Failing, Rule::Approval].map(|rule| (rule, target.name.clone()));
    condition.follows.extend(also);
    condition
}

/// Conflicts that have been open for too long: one alert for each target.
fn open_conflicts(
    conflicts: &[ConflictSeen],
    now: Moment,
    limits: &Limits,
    ages: &mut AgesRecord,
) -> Vec<Condition> {
    let mut old: BTreeMap<&str, Vec<&ConflictSeen>> = BTreeMap::new();
    for conflict in conflicts {
        let age = age_of_conflict(ages, conflict, now);
        let of_target = old.entry(&conflict.target).or_default();
        if age > limits.conflict {
            of_target.push(conflict);
        }
    }
    let open: BTreeSet<&str> = conflicts.iter().map(|conflict| conflict.id.as_str()).collect();
    ages.conflicts.retain(|id, _| open.contains(id.as_str()));
    let judge = |(target, old): (&str, Vec<&ConflictSeen>)| {
        let verdict = if old.is_empty() { Verdict::Well } else { Verdict::Wrong };
        let what = match old.as_slice() {
            [one] => format!("the conflict at {} is", one.path),
            more => format!("{} conflicts are", more.len()),
        };
        let message = format!("{target}: {what} open for more than {}", span(limits.conflict));
        Condition::new(Rule::ConflictOpen, target, verdict, message)
    };
    old.into_iter().map(judge).collect()
}

fn low(rule: Rule, room: Room, percent: u8, what: &str) -> Condition {
    let limit = u64::from(percent) * 10;
    // Well only at half as much again, so that it does not flap at the limit.
    let verdict = match room.permille() {
        left if left < limit => Verdict::Wrong,
        left if left < limit + limit / 2 => Verdict::Unsure,
        _ => Verdict::Well,
    };
    let message = format!("{what}: {} of {} MiB are left", room.free >> 20, room.total >> 20);
    Condition::new(rule, THIS_NODE, verdict, message)
}

/// A time, in its largest unit and the next one.
#[must_use]
pub fn span(time: Duration) -> String {
    let seconds = time.as_secs();
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    let pair = |large: u64, unit: &str, small: u64, next: &str| {
        if small == 0 { format!("{large} {unit}") } else { format!("{large} {unit} {small} {next}") }
    };
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, minutes) => pair(minutes, "min", seconds % 60, "s"),
        (0, hours, minutes) => pair(hours, "h", minutes, "min"),
        (days, hours, _) => pair(days, "d", hours, "h"),
    }
}
