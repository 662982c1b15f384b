//! What can be observed at one moment.

use std::time::Duration;

use syncline_core::Nanos;

/// What was observed; `None` is what could not be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Observed {
    /// The targets that run by themselves.
    pub targets: Option<Vec<TargetSeen>>,
    /// The open conflicts.
    pub conflicts: Option<Vec<ConflictSeen>>,
    /// The peers from which heartbeats are expected.
    pub peers: Option<Vec<PeerSeen>>,
    /// The disk with the workspace.
    pub disk: Option<Room>,
    /// The memory of this machine.
    pub memory: Option<Room>,
    /// How long ago this process found that the one before it had been ended without having said so.
    pub died: Option<Duration>,
}

/// A target.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TargetSeen {
    /// Its name.
    pub name: String,
    /// What its remote is called: targets with the same remote are away together.
    pub remote: String,
    /// The peer that holds its remote, where that is known.
    pub peer: Option<String>,
    /// Whether people have asked to leave it alone.
    pub paused: bool,
    /// When a run last did all that it was to do, also one that found nothing to do.
    pub agreed: Option<Nanos>,
    /// Why the last run failed, when it did.
    pub failed: Option<String>,
    /// How many runs and tries in a row did not do all that they were to do.
    pub failures: u32,
    /// Why its remote cannot be reached, and how often that was tried.
    pub away: Option<(String, u32)>,
    /// What waits for an approval.
    pub waiting: Option<String>,
    /// For how long it may be that nothing is agreed on; `None` where that is no sign of trouble.
    pub stale_after: Option<Duration>,
    /// Whether people have said that time; otherwise it is what the schedule allows.
    pub stale_is_said: bool,
}

/// An open conflict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConflictSeen {
    /// Its identifier.
    pub id: String,
    /// The target.
    pub target: String,
    /// The path.
    pub path: String,
    /// When it was opened.
    pub opened: Nanos,
}

/// A peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerSeen {
    /// Its name.
    pub name: String,
    /// What is believed of it.
    pub state: crate::peers::PeerState,
    /// How long ago its last heartbeat arrived, or since when one is expected.
    pub silent: Duration,
}

impl PeerSeen {
    /// Whether something should have been heard from it: then it may be asked in another way.
    #[must_use]
    pub const fn is_doubted(&self) -> bool {
        matches!(self.state, crate::peers::PeerState::Suspected | crate::peers::PeerState::Down)
    }
}

/// How much of something is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// What is left, in bytes.
    pub free: u64,
    /// What there is, in bytes.
    pub total: u64,
}

impl Room {
    /// What is left, in thousandths.
    pub(crate) fn permille(self) -> u64 {
        let part = u128::from(self.free) * 1000 / u128::from(self.total.max(1));
        u64::try_from(part).unwrap_or(1000)
    }
}
