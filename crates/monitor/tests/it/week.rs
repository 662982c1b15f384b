//! A week of simulated operation with faults: every alert is raised once and cleared once, and no other one is.

use std::collections::BTreeMap;

use crate::world::{DAY, Event, Fault, HOUR, MINUTE, World};

const TARGETS: [&str; 5] = ["memories", "sessions", "notes", "photos", "code"];

/// One fault after the other, each long enough to be told, with enough time between them for it to be over.
fn lane(
    random: &mut fastrand::Rng,
    one: impl Fn(&mut fastrand::Rng) -> (Fault, u64),
    gap: u64,
) -> Vec<Event> {
    let mut events = Vec::new();
    let mut at = HOUR + random.u64(..HOUR);
    loop {
        let (fault, length) = one(random);
        if at + length > 7 * DAY {
            return events;
        }
        events.push(Event { fault, from: at, to: at + length });
        at += length + gap + random.u64(..4 * HOUR);
    }
}

fn trouble(random: &mut fastrand::Rng) -> (Fault, u64) {
    let target = TARGETS[random.usize(..5)];
    match random.u8(..5) {
        0 => (Fault::Peer, random.u64(10 * MINUTE..5 * HOUR)),
        1 => (Fault::Remote(["bucket", "forge"][random.usize(..2)]), random.u64(30 * MINUTE..9 * HOUR)),
        2 => (Fault::Failing(target), random.u64(5 * HOUR..9 * HOUR)),
        3 => (Fault::Approval(target), random.u64(10 * MINUTE..9 * HOUR)),
        _ => (Fault::Stuck(target), random.u64(4 * HOUR..9 * HOUR)),
    }
}

/// Troubles that nobody should hear of.
fn blip(random: &mut fastrand::Rng) -> (Fault, u64) {
    match random.u8(..3) {
        0 => (Fault::Remote(["bucket", "forge"][random.usize(..2)]), random.u64(MINUTE..4 * MINUTE)),
        1 => (Fault::Peer, random.u64(MINUTE..MINUTE + 15)),
        _ => (Fault::Conflict(TARGETS[random.usize(..5)]), random.u64(MINUTE..20 * HOUR)),
    }
}

fn machine(random: &mut fastrand::Rng) -> (Fault, u64) {
    match random.u8(..3) {
        0 => (Fault::Disk, random.u64(10 * MINUTE..9 * HOUR)),
        1 => (Fault::Memory, random.u64(10 * MINUTE..9 * HOUR)),
        _ => (Fault::Killed, random.u64(MINUTE..10 * MINUTE)),
    }
}

fn jump(random: &mut fastrand::Rng) -> (Fault, u64) {
    (Fault::Jump(random.i64(-400_000_000..400_000_000)), MINUTE)
}

/// The alert that is to be told of a fault.
fn expected(fault: &Fault) -> Option<String> {
    Some(match fault {
        Fault::Peer => "peer_down chad".to_owned(),
        Fault::Remote(remote) => format!("unreachable {remote}"),
        Fault::Failing(target) => format!("failing {target}"),
        Fault::Approval(target) => format!("approval {target}"),
        Fault::Stuck(target) => format!("stale {target}"),
        Fault::Conflict(target) => format!("conflict_open {target}"),
        Fault::Disk => "disk_low this node".to_owned(),
        Fault::Memory => "memory_low this node".to_owned(),
        Fault::Killed => "process_died this node".to_owned(),
        Fault::Jump(_) => return None,
    })
}

fn a_week(seed: u64) {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut events = lane(&mut random, trouble, 4 * HOUR);
    events.extend(lane(&mut random, machine, 2 * HOUR));
    events.extend(lane(
        &mut random,
        |random| (Fault::Conflict("notes"), random.u64(30 * HOUR..50 * HOUR)),
        HOUR,
    ));
    let told: Vec<Event> = events.clone();
    events.extend(lane(&mut random, jump, 9 * HOUR));
    let mut world = World::new(seed, events);
    world.pass(8 * DAY);
    let mut wanted: BTreeMap<String, u32> = BTreeMap::new();
    for event in &told {
        *wanted.entry(expected(&event.fault).unwrap()).or_default() += 1;
    }
    let mut got: BTreeMap<String, u32> = BTreeMap::new();
    for (what, raised, cleared) in world.pager.raised.values() {
        assert_eq!((*raised, *cleared), (1, 1), "seed {seed}: {what} was raised and cleared that often");
        *got.entry(what.clone()).or_default() += 1;
    }
    assert_eq!(got, wanted, "seed {seed}: alerts, and how often");
    assert!(world.is_idle(), "seed {seed}: {}", world.left());
    let twice: u32 = world.pager.arrived.values().map(|times| times - 1).sum();
    assert!(twice <= world.kills, "seed {seed}: {twice} sent twice, {} kills", world.kills);
}

#[test]
fn every_alert_of_a_week_is_raised_once_and_cleared_once() {
    let number = |name: &str| std::env::var(name).ok().and_then(|number| number.parse::<u64>().ok());
    match number("SYNCLINE_SEED") {
        Some(seed) => a_week(seed),
        None => (0..number("SYNCLINE_WEEKS").unwrap_or(6)).for_each(a_week),
    }
}

/// What the peer sent before it went was not heard, and some of it comes late: that is no sign of life.
#[test]
fn a_peer_that_goes_while_nobody_listens_is_told_of_once() {
    for seed in 0..60 {
        let killed = Event { fault: Fault::Killed, from: HOUR - 9 * MINUTE, to: HOUR + MINUTE };
        let gone = Event { fault: Fault::Peer, from: HOUR, to: 2 * HOUR };
        let mut world = World::new(seed, vec![killed, gone]);
        world.pass(3 * HOUR);
        let told: Vec<_> = world.pager.raised.values().cloned().collect();
        let once = |what: &str| (what.to_owned(), 1, 1);
        assert_eq!(told, [once("process_died this node"), once("peer_down chad")], "seed {seed}");
    }
}

#[test]
fn what_is_over_before_it_matters_is_told_to_nobody() {
    for seed in 0..2 {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut events = lane(&mut random, blip, 30 * MINUTE);
        events.extend(lane(&mut random, jump, 5 * HOUR));
        let mut world = World::new(seed, events);
        world.pass(7 * DAY);
        assert!(world.pager.raised.is_empty(), "seed {seed}: {:?}", world.pager.raised);
    }
}
