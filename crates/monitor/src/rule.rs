//! The rules by which something is wrong, and their limits.

use std::time::Duration;

/// A rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rule {
    /// A peer has sent no heartbeat for too long.
    PeerDown,
    /// The process that watched before was ended without having said so.
    ProcessDied,
    /// A remote cannot be reached.
    Unreachable,
    /// Runs of a target fail, one after the other.
    Failing,
    /// A target waits for an approval.
    Approval,
    /// Nothing was agreed on for longer than the schedule of a target allows.
    Stale,
    /// A conflict has been open for too long.
    ConflictOpen,
    /// The disk with the workspace is nearly full.
    DiskLow,
    /// The memory of this machine is nearly used up.
    MemoryLow,
}

impl Rule {
    /// All of them; what others follow from comes first.
    pub const ALL: [Self; 9] = [
        Self::PeerDown,
        Self::ProcessDied,
        Self::Unreachable,
        Self::Failing,
        Self::Approval,
        Self::Stale,
        Self::ConflictOpen,
        Self::DiskLow,
        Self::MemoryLow,
    ];

    /// The word for it, in files and on every face.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::PeerDown => "peer_down",
            Self::ProcessDied => "process_died",
            Self::Unreachable => "unreachable",
            Self::Failing => "failing",
            Self::Approval => "approval",
            Self::Stale => "stale",
            Self::ConflictOpen => "conflict_open",
            Self::DiskLow => "disk_low",
            Self::MemoryLow => "memory_low",
        }
    }

    /// The rule of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|rule| rule.name() == name)
    }

    /// Whether its subject is a target, and its message tells of no other.
    #[must_use]
    pub const fn is_of_a_target(self) -> bool {
        matches!(self, Self::Failing | Self::Approval | Self::Stale | Self::ConflictOpen)
    }

    /// Whether it cannot wait until the morning.
    #[must_use]
    pub const fn is_critical(self) -> bool {
        matches!(self, Self::PeerDown | Self::ProcessDied | Self::DiskLow)
    }
}

/// From when on something is wrong, and how it is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How many runs in a row fail.
    pub failures: u32,
    /// For how long a conflict may be open.
    pub conflict: Duration,
    /// The free part of the disk below which it is low, in percent; it is well again at one and a half times that.
    pub disk_free_percent: u8,
    /// The available part of the memory below which it is low, in percent; well again as the disk is.
    pub memory_free_percent: u8,
    /// How long an alert waits for others to be told with it.
    pub gather: Duration,
    /// For how long something must be right before it counts as such.
    pub calm: Duration,
    /// How long the same alert is not told again after it was told.
    pub cooldown: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
        Self {
            failures: 3,
            conflict: minutes(24 * 60),
            disk_free_percent: 5,
            memory_free_percent: 5,
            gather: Duration::from_secs(30),
            calm: minutes(1),
            cooldown: minutes(5),
        }
    }
}
