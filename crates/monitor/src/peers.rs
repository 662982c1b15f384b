//! What is believed of peers, from the heartbeats that arrive.
//!
//! Times are those of a clock that does not jump, counted from the start. A peer is suspected before it is believed to be
//! down, and one that answers in another way is not down.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::heartbeat::{BYTES_MAX, Heartbeat, Key, Says};
use crate::observed::PeerSeen;

/// How many heartbeats are looked at in one second; all others are dropped.
const LOOKED_AT_MAX: u32 = 5_000;
/// For how long one that said goodbye may stay away.
const LEFT_FOR: Duration = Duration::from_secs(15 * 60);
/// For how long one that was down must be heard before it is believed: what was held back on its way may come late.
const BACK_FOR: Duration = Duration::from_secs(30);
/// How many heartbeats must arrive before it is believed, none of them long ago: what was held back is sparse.
const BACK_BEATS: usize = 6;
/// At what distances each beat is sent. All that is sent in three minutes is lost too rarely to be noticed, even when a
/// third of everything is.
pub const SENT_AT: [Duration; 6] = [
    Duration::ZERO,
    Duration::from_secs(2),
    Duration::from_secs(4),
    Duration::from_secs(7),
    Duration::from_secs(10),
    Duration::from_secs(13),
];

/// What is believed of a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerState {
    /// Nothing has come from it yet.
    Awaited,
    /// It lives.
    Alive,
    /// Something should have come from it.
    Suspected,
    /// It does not live, or cannot be heard.
    Down,
    /// It has said that it ends.
    Left,
}

impl PeerState {
    /// The word for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Awaited => "awaited",
            Self::Alive => "alive",
            Self::Suspected => "suspected",
            Self::Down => "down",
            Self::Left => "left",
        }
    }
}

/// Why something that arrived does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Dropped {
    /// It is longer than any heartbeat.
    TooLong,
    /// It is none.
    Malformed,
    /// It names nobody that is known here.
    Stranger,
    /// It comes from this node itself.
    Reflected,
    /// It was not made with the key of whom it names.
    Forged,
    /// It was here before, or is older than what was.
    Old,
    /// More came in than is looked at.
    Flood,
}

impl Dropped {
    /// The word for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::TooLong => "too_long",
            Self::Malformed => "malformed",
            Self::Stranger => "stranger",
            Self::Reflected => "reflected",
            Self::Forged => "forged",
            Self::Old => "old",
            Self::Flood => "flood",
        }
    }
}

/// When a peer is suspected, and when it is believed to be down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// Without a heartbeat for this long, it is suspected.
    pub suspect: Duration,
    /// Without a heartbeat for this long, it is down.
    pub down: Duration,
}

impl Patience {
    /// With heartbeats every `every`, and `down` without one at which a peer is down.
    #[must_use]
    pub fn new(every: Duration, down: Duration) -> Self {
        // What was sent at the last moment may still be on its way.
        let late = SENT_AT[SENT_AT.len() - 1] + Duration::from_secs(2);
        let down = down.max(every * 2) + late;
        Self { suspect: (every * 2 + late).min(down), down }
    }
}

/// The last heartbeat that counted: only greater ones count after it.
pub type Counted = (u64, u64);

/// A peer.
#[derive(Clone, Debug)]
pub struct Peer {
    key: Key,
    /// The last heartbeat that counted, also one of before this start.
    pub counted: Option<Counted>,
    /// When the last one arrived.
    pub heard: Option<Duration>,
    /// The digest of its state.
    pub state: Option<[u8; 32]>,
    left: bool,
    /// When it was heard since the start or since it was down, not long ago, until it is believed.
    back: Option<Vec<Duration>>,
    answered: Option<Duration>,
}

impl Peer {
    /// Takes in that it is heard after it was `silent` for so long: one that was down is believed when it is heard often.
    fn hear(&mut self, silent: Duration, patience: Patience, now: Duration) {
        let was_down = self.heard.is_none() || silent >= patience.down && !self.left;
        self.heard = Some(now);
        let Some(mut heard) = self.back.take().or_else(|| was_down.then(Vec::new)) else { return };
        heard.retain(|at| now.saturating_sub(*at) < patience.suspect);
        if heard.len() < BACK_BEATS {
            heard.push(now);
        }
        let is_believed = heard.len() == BACK_BEATS && now.saturating_sub(heard[0]) >= BACK_FOR;
        self.back = (!is_believed).then_some(heard);
    }
}

/// All peers.
#[derive(Clone, Debug)]
pub struct Peers {
    own: String,
    patience: Patience,
    since: Duration,
    /// The peers, by name.
    pub peers: BTreeMap<String, Peer>,
    /// How much was dropped, by why.
    pub dropped: BTreeMap<Dropped, u64>,
    second: (u64, u32),
}

impl Peers {
    /// Waits for the heartbeats of peers from the moment `now` on; each with its key, and what of it counted last.
    #[must_use]
    pub fn new(
        own: &str,
        patience: Patience,
        peers: impl IntoIterator<Item = (String, Key, Option<Counted>)>,
        now: Duration,
    ) -> Self {
        let peer = |(name, key, counted)| {
            (name, Peer { key, counted, heard: None, state: None, left: false, back: None, answered: None })
        };
        Self {
            own: own.to_owned(),
            patience,
            since: now,
            peers: peers.into_iter().map(peer).collect(),
            dropped: BTreeMap::new(),
            second: (0, 0),
        }
    }

    /// Takes in what has arrived; never answers it.
    ///
    /// # Errors
    /// Why it does not count; that is counted.
    pub fn receive(&mut self, bytes: &[u8], now: Duration) -> Result<Heartbeat, Dropped> {
        let taken = self.take(bytes, now);
        if let Err(why) = taken {
            *self.dropped.entry(why).or_default() += 1;
        }
        taken
    }

    fn take(&mut self, bytes: &[u8], now: Duration) -> Result<Heartbeat, Dropped> {
        if bytes.len() > BYTES_MAX {
            return Err(Dropped::TooLong);
        }
        let name = Heartbeat::claims(bytes).ok_or(Dropped::Malformed)?;
        if name == self.own {
            return Err(Dropped::Reflected);
        }
        if self.second.0 != now.as_secs() {
            self.second = (now.as_secs(), 0);
        }
        self.second.1 += 1;
        if self.second.1 > LOOKED_AT_MAX {
            return Err(Dropped::Flood);
        }
        let peer = self.peers.get_mut(name).ok_or(Dropped::Stranger)?;
        let beat = Heartbeat::open(bytes, &peer.key).ok_or(Dropped::Forged)?;
        let counts = (beat.boot, beat.counter);
        if peer.counted.is_some_and(|counted| counts <= counted) {
            return Err(Dropped::Old);
        }
        let silent = now.saturating_sub(peer.heard.unwrap_or(self.since));
        peer.hear(silent, self.patience, now);
        peer.counted = Some(counts);
        peer.state = Some(beat.state);
        peer.left = beat.says == Says::Leaving;
        Ok(beat)
    }

    /// Notes that a peer has answered in another way.
    pub fn answered(&mut self, name: &str, now: Duration) {
        if let Some(peer) = self.peers.get_mut(name) {
            peer.answered = Some(now);
        }
    }

    /// What is believed of each.
    #[must_use]
    pub fn seen(&self, now: Duration) -> Vec<PeerSeen> {
        let seen = |(name, peer): (&String, &Peer)| {
            let silent = now.saturating_sub(peer.heard.unwrap_or(self.since));
            PeerSeen { name: name.clone(), state: self.believed(peer, silent, now), silent }
        };
        self.peers.iter().map(seen).collect()
    }

    fn believed(&self, peer: &Peer, silent: Duration, now: Duration) -> PeerState {
        let answers = peer.answered.is_some_and(|at| now.saturating_sub(at) < self.patience.down);
        match silent {
            silent if peer.left && silent < LEFT_FOR => PeerState::Left,
            silent if silent >= self.patience.down && !answers => PeerState::Down,
            silent if silent >= self.patience.suspect => PeerState::Suspected,
            _ if peer.heard.is_none() => PeerState::Awaited,
            _ if peer.back.is_some() => PeerState::Suspected,
            _ => PeerState::Alive,
        }
    }
}
