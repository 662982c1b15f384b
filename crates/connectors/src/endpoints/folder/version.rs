//! The version of a file: what the file system says of it, without its content.

use syncline_core::Version;

use super::platform::Stat;

/// How long a time stamp may lag behind the clock, in nanoseconds.
const SLACK: i64 = 50_000_000;
/// The same for time stamps without a part below a second: the file system may have none (FAT has two seconds).
const SLACK_COARSE: i64 = 2_000_000_000;
const SECOND: i64 = 1_000_000_000;

/// Bytes of an encoded version.
const LENGTH: usize = 33;

/// What identifies one state of a file: any write changes at least one of the fields.
///
/// Encoded as inode, size, mtime and ctime, eight bytes each, big endian, and one byte that is 1 when the version
/// is *racy*: when a write right after the look could have left all four fields as they are, because both time
/// stamps are so fresh that the clock behind them may not have ticked since. A racy version identifies the file
/// for a conditional write just as well, but is never taken as proof that nothing changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    pub(super) inode: u64,
    pub(super) size: u64,
    pub(super) modified: i64,
    pub(super) changed: i64,
}

impl Stamp {
    pub(super) const fn of(stat: &Stat) -> Self {
        Self { inode: stat.inode, size: stat.size, modified: stat.modified, changed: stat.changed }
    }

    /// Reads an encoded version; `None` when it is of another form. Tells whether it is racy.
    pub(super) fn decode(version: &[u8]) -> Option<(Self, bool)> {
        let bytes: &[u8; LENGTH] = version.try_into().ok()?;
        let field = |at: usize| {
            let mut word = [0; 8];
            word.copy_from_slice(&bytes[at..at + 8]);
            u64::from_be_bytes(word)
        };
        let stamp = Self {
            inode: field(0),
            size: field(8),
            modified: field(16).cast_signed(),
            changed: field(24).cast_signed(),
        };
        Some((stamp, bytes[32] != 0))
    }

    /// The version of a file that looked like this at the moment `now`.
    pub(super) fn encode(self, now: i64) -> Version {
        let mut bytes = [0; LENGTH];
        bytes[..8].copy_from_slice(&self.inode.to_be_bytes());
        bytes[8..16].copy_from_slice(&self.size.to_be_bytes());
        bytes[16..24].copy_from_slice(&self.modified.to_be_bytes());
        bytes[24..32].copy_from_slice(&self.changed.to_be_bytes());
        bytes[32] = u8::from(self.is_racy(now));
        Version::new(&bytes)
    }

    /// Whether a write after the moment `now` could leave this very stamp.
    ///
    /// A write sets both time stamps to its own time. One that is clearly older betrays it, whatever the other.
    fn is_racy(self, now: i64) -> bool {
        let fresh = |stamp: i64| {
            let slack = if stamp % SECOND == 0 { SLACK_COARSE } else { SLACK };
            stamp.saturating_add(slack) >= now
        };
        fresh(self.modified) && fresh(self.changed)
    }

    /// Whether the file is in the state of `version`, racy or not.
    pub(super) fn is(self, version: &[u8]) -> bool {
        Self::decode(version).is_some_and(|(stamp, _)| stamp == self)
    }

    /// Whether `version` proves that the file is unchanged.
    pub(super) fn is_known_as(self, version: &[u8]) -> bool {
        Self::decode(version).is_some_and(|(stamp, racy)| stamp == self && !racy)
    }

    /// Whether both are the same file with the same content, wherever it lies: a move changes ctime alone.
    pub(super) const fn is_same_file(self, other: Self) -> bool {
        self.inode == other.inode && self.size == other.size && self.modified == other.modified
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_700_000_000_123_456_789;

    fn stamp(modified: i64, changed: i64) -> Stamp {
        Stamp { inode: 7, size: 42, modified, changed }
    }

    #[test]
    fn a_version_is_racy_only_when_both_time_stamps_are_fresh() {
        let old = NOW - SECOND;
        for (modified, changed, racy) in [
            (NOW, NOW, true),
            (NOW - SLACK, NOW, true),
            (NOW - SLACK - 1, NOW, false),
            (old, NOW, false),
            (NOW, old, false),
            (NOW + 10 * SECOND, old, false),
            (NOW + 10 * SECOND, NOW, true),
            (1_699_999_999 * SECOND, 1_699_999_999 * SECOND, true),
            (1_699_999_990 * SECOND, NOW, false),
        ] {
            let version = stamp(modified, changed).encode(NOW);
            assert_eq!(Stamp::decode(version.as_bytes()), Some((stamp(modified, changed), racy)));
            assert!(stamp(modified, changed).is(version.as_bytes()));
            assert_eq!(stamp(modified, changed).is_known_as(version.as_bytes()), !racy);
        }
    }

    #[test]
    fn a_foreign_version_identifies_nothing() {
        assert_eq!(Stamp::decode(b""), None);
        assert!(!stamp(1, 2).is(b"etag"));
    }
}
