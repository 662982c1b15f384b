//! A simulated world: targets, a peer, disks, people's conflicts, and one who watches over them and is killed at times.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use syncline_monitor::heartbeat::{Heartbeat, Key, Says};
use syncline_monitor::peers::{Patience, Peers, SENT_AT};
use syncline_monitor::{Alerts, ConflictSeen, Limits, Look, Observed, Room, TargetSeen, outbox};
use syncline_store::AlertBook;

pub(crate) const SECOND: i64 = 1_000_000_000;
pub(crate) const MINUTE: u64 = 60;
pub(crate) const HOUR: u64 = 60 * MINUTE;
pub(crate) const DAY: u64 = 24 * HOUR;
/// How often everything is looked at, in seconds.
pub(crate) const STEP: u64 = 15;
const CHANNEL: &str = "pager";
/// 2026-11-29T00:00:00Z.
const START: i64 = 1_795_910_400 * SECOND;

/// What goes wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The peer is off, and with it what it holds.
    Peer,
    /// A remote is away.
    Remote(&'static str),
    /// The runs of a target fail.
    Failing(&'static str),
    /// A target waits for an approval.
    Approval(&'static str),
    /// The runs of a target do not happen.
    Stuck(&'static str),
    /// A conflict is open.
    Conflict(&'static str),
    /// The disk is full.
    Disk,
    /// The memory is full.
    Memory,
    /// Whoever watches is killed, and not there until the end.
    Killed,
    /// The wall clock is put somewhere else, in seconds.
    Jump(i64),
}

/// A fault, and when it is there.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub(crate) fault: Fault,
    pub(crate) from: u64,
    pub(crate) to: u64,
}

struct Target {
    name: &'static str,
    remote: &'static str,
    peer: bool,
    runs_at: u64,
    agreed: Option<i64>,
    failures: u32,
    tries: u32,
}

/// What arrived at the only channel.
#[derive(Debug, Default)]
pub(crate) struct Pager {
    /// The deliveries that arrived, by identifier, and how often.
    pub(crate) arrived: BTreeMap<String, u32>,
    /// How often each alert was raised and cleared, with its rule and subject.
    pub(crate) raised: BTreeMap<u64, (String, u32, u32)>,
    open: BTreeSet<u64>,
}

pub(crate) struct World {
    now: u64,
    jumped: i64,
    events: Vec<Event>,
    targets: Vec<Target>,
    opened: BTreeMap<u64, i64>,
    random: fastrand::Rng,
    watcher: Option<Watcher>,
    /// What is on disk.
    disk: AlertBook,
    counted: Option<(u64, u64)>,
    sent: u64,
    in_flight: Vec<(u64, Vec<u8>)>,
    pub(crate) pager: Pager,
    pub(crate) kills: u32,
}

struct Watcher {
    alerts: Alerts,
    peers: Peers,
    since: u64,
    died: bool,
}

fn key() -> Key {
    Key::of("a secret that both know")
}

impl World {
    pub(crate) fn new(seed: u64, events: Vec<Event>) -> Self {
        let target = |(index, (name, remote, peer)): (u64, (&'static str, &'static str, bool))| Target {
            name,
            remote,
            peer,
            runs_at: index * 7 * MINUTE,
            agreed: Some(START),
            failures: 0,
            tries: 0,
        };
        let targets = [
            ("memories", "chad:/memories", true),
            ("sessions", "chad:/sessions", true),
            ("notes", "bucket", false),
            ("photos", "bucket", false),
            ("code", "forge", false),
        ];
        let disk = AlertBook { name: "w".to_owned(), ..AlertBook::default() };
        Self {
            now: 0,
            jumped: 0,
            events,
            targets: (0..).zip(targets).map(target).collect(),
            opened: BTreeMap::new(),
            random: fastrand::Rng::with_seed(seed),
            watcher: None,
            disk,
            counted: None,
            sent: 0,
            in_flight: Vec::new(),
            pager: Pager::default(),
            kills: 0,
        }
    }

    /// Lets time pass up to `end`, in seconds.
    pub(crate) fn pass(&mut self, end: u64) {
        while self.now < end {
            self.now += STEP;
            self.clocks();
            self.run_targets();
            self.beat();
            if self.is_on(|fault| *fault == Fault::Killed) {
                self.kills += u32::from(self.watcher.take().is_some());
                // One that was killed a moment before for another reason would have been there by now, and is missed.
                self.disk.running.get_or_insert_with(|| "before this fault".to_owned());
                continue;
            }
            if self.watcher.is_none() {
                self.start();
            }
            self.look();
        }
    }

    /// What is still wrong or waits to be told.
    pub(crate) fn left(&self) -> String {
        let book = &self.watcher.as_ref().unwrap().alerts.book;
        format!("{:?} {:?} {:?} {:?}", book.alerts, book.incidents, book.deliveries, book.handles)
    }

    pub(crate) fn is_idle(&self) -> bool {
        let book = &self.watcher.as_ref().unwrap().alerts.book;
        book.alerts.is_empty()
            && book.incidents.is_empty()
            && book.deliveries.is_empty()
            && book.handles.is_empty()
    }

    fn wall(&self) -> i64 {
        START + i64::try_from(self.now).unwrap() * SECOND + self.jumped
    }

    fn is_on(&self, is: impl Fn(&Fault) -> bool) -> bool {
        self.events.iter().any(|event| (event.from..event.to).contains(&self.now) && is(&event.fault))
    }

    fn clocks(&mut self) {
        for event in &self.events {
            if let Fault::Jump(seconds) = event.fault
                && event.from <= self.now
                && self.now < event.from + STEP
            {
                self.jumped += seconds * SECOND;
            }
        }
    }

    /// Targets run once an hour; what is away is tried every five minutes.
    fn run_targets(&mut self) {
        let (now, wall) = (self.now, self.wall());
        let peer_off = self.is_on(|fault| *fault == Fault::Peer);
        for index in 0..self.targets.len() {
            let (name, remote) = (self.targets[index].name, self.targets[index].remote);
            let is_away =
                peer_off && self.targets[index].peer || self.is_on(|fault| *fault == Fault::Remote(remote));
            let fails = self.is_on(|fault| *fault == Fault::Failing(name) || *fault == Fault::Approval(name));
            let stuck = self.is_on(|fault| *fault == Fault::Stuck(name));
            let target = &mut self.targets[index];
            let is_due = now % HOUR == target.runs_at || target.tries > 0 && now.is_multiple_of(5 * MINUTE);
            // What is watched notices at once that its remote is gone.
            let notices = is_away && target.tries == 0;
            if !(is_due || notices) || stuck {
                continue;
            }
            match (is_away, fails) {
                (true, _) => (target.tries, target.failures) = (target.tries + 1, target.failures + 1),
                (false, true) => (target.tries, target.failures) = (0, target.failures + 1),
                (false, false) => (target.tries, target.failures, target.agreed) = (0, 0, Some(wall)),
            }
        }
    }

    /// The peer beats; a third of what it sends is lost, some of it comes late, twice or again much later.
    fn beat(&mut self) {
        let is_off = self.is_on(|fault| *fault == Fault::Peer);
        if self.now.is_multiple_of(MINUTE) && !is_off {
            for at in SENT_AT {
                self.sent += 1;
                let beat = Heartbeat {
                    node: "chad".to_owned(),
                    says: Says::Alive,
                    boot: 1,
                    counter: self.sent,
                    state: [7; 32],
                };
                let copies =
                    if self.random.u8(..10) < 3 { 0 } else { 1 + u64::from(self.random.u8(..10) == 0) };
                for _ in 0..copies {
                    let arrives = self.now + at.as_secs() + self.random.u64(..12);
                    self.in_flight.push((arrives, beat.seal(&key())));
                    if self.random.u8(..20) == 0 {
                        self.in_flight.push((arrives + 900, beat.seal(&key())));
                    }
                }
            }
        }
        let now = self.now;
        let (here, in_flight) =
            std::mem::take(&mut self.in_flight).into_iter().partition(|(at, _)| *at <= now);
        self.in_flight = in_flight;
        let here: Vec<_> = here;
        if let Some(watcher) = &mut self.watcher {
            for (_, bytes) in here {
                let _ = watcher.peers.receive(&bytes, Duration::from_secs(now));
            }
            self.counted = watcher.peers.peers["chad"].counted;
        }
    }

    fn start(&mut self) {
        let now = Duration::from_secs(self.now);
        let patience = Patience::new(Duration::from_secs(60), Duration::from_secs(180));
        let peers = Peers::new("helios", patience, [("chad".to_owned(), key(), self.counted)], now);
        let mut book = self.disk.clone();
        let died = book.running.replace(format!("since {}", self.now)).is_some();
        self.disk = book.clone();
        let alerts = Alerts::new(book, Limits::default());
        self.watcher = Some(Watcher { alerts, peers, since: self.now, died });
    }

    fn observe(&mut self) -> Observed {
        let wall = self.wall();
        let mut conflicts = Vec::new();
        for (index, event) in (0..).zip(&self.events) {
            let Fault::Conflict(target) = event.fault else { continue };
            if (event.from..event.to).contains(&self.now) {
                let opened = *self.opened.entry(index).or_insert(wall);
                let (target, path) = (target.to_owned(), format!("{index}.md"));
                conflicts.push(ConflictSeen { id: index.to_string(), target, path, opened });
            }
        }
        let targets = self.targets.iter().map(|target| TargetSeen {
            name: target.name.to_owned(),
            remote: target.remote.to_owned(),
            peer: target.peer.then(|| "chad".to_owned()),
            paused: false,
            agreed: target.agreed,
            failed: (target.failures > 0).then(|| "the message of a run".to_owned()),
            failures: target.failures,
            away: (target.tries > 0).then(|| ("no answer".to_owned(), target.tries)),
            waiting: self
                .is_on(|fault| *fault == Fault::Approval(target.name))
                .then(|| "97 removals".to_owned()),
            stale_after: Some(Duration::from_secs(2 * HOUR + HOUR / 2)),
            stale_is_said: false,
        });
        let targets = targets.collect();
        // Near the limit, but never over it, so that a limit without hysteresis flaps.
        let wobble = |full: bool, random: &mut fastrand::Rng| Room {
            free: if full { random.u64(20..70) } else { random.u64(76..900) },
            total: 1000,
        };
        let disk = wobble(self.is_on(|fault| *fault == Fault::Disk), &mut self.random);
        let memory = wobble(self.is_on(|fault| *fault == Fault::Memory), &mut self.random);
        let watcher = self.watcher.as_ref().unwrap();
        let died = watcher.died.then(|| Duration::from_secs(self.now - watcher.since));
        // Now and then nothing can be observed at all: that is neither well nor wrong.
        let blind = self.random.u8(..40) == 0;
        Observed {
            targets: (!blind).then_some(targets),
            conflicts: (!blind).then_some(conflicts),
            peers: Some(watcher.peers.seen(Duration::from_secs(self.now))),
            disk: (!blind).then_some(disk),
            memory: (!blind).then_some(memory),
            died,
        }
    }

    fn look(&mut self) {
        let (observed, wall) = (self.observe(), self.wall());
        let hour = self.now / HOUR % 24;
        let quiet = !(6..22).contains(&hour);
        let passed = Duration::from_secs(STEP);
        let mut watcher = self.watcher.take().unwrap();
        let notices = watcher.alerts.look(Look { passed, wall, quiet, observed: &observed });
        let book = &mut watcher.alerts.book;
        assert_eq!(outbox::post(book, &notices, &[CHANNEL.to_owned()], wall), []);
        self.disk = book.clone();
        // Killed between any two of recording, sending and recording that it was sent.
        let kill = (!notices.is_empty() && self.random.u8(..8) == 0).then(|| self.random.u8(..2));
        if kill == Some(0) {
            return self.kill();
        }
        for delivery in outbox::due(book) {
            if self.random.u8(..4) == 0 {
                let lost = outbox::failed(book, &delivery.id, "the channel is away", None, false);
                assert_eq!(lost, None, "nothing is given up so soon");
                continue;
            }
            self.pager.page(&delivery);
            if kill == Some(1) {
                return self.kill();
            }
            outbox::arrived(book, &delivery.id, Some(delivery.incident.to_string()));
            self.disk = book.clone();
        }
        self.disk = book.clone();
        self.watcher = Some(watcher);
    }

    /// It is started again by the next step, and does not notice that it died: the pager's cares are others here.
    fn kill(&mut self) {
        self.disk.running = None;
        self.kills += 1;
    }
}

impl Pager {
    fn page(&mut self, delivery: &syncline_store::DeliveryRecord) {
        *self.arrived.entry(delivery.id.clone()).or_default() += 1;
        if self.arrived[&delivery.id] > 1 {
            return;
        }
        for line in &delivery.lines {
            let what = format!("{} {}", line.rule, line.subject);
            let (_, raised, cleared) = self.raised.entry(line.alert).or_insert((what, 0, 0));
            let is_new = *raised == 0;
            *raised += u32::from(is_new);
            if is_new {
                self.open.insert(line.alert);
            }
            if line.cleared.is_some() && self.open.remove(&line.alert) {
                *cleared += 1;
            }
        }
    }
}
