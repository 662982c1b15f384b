//! Items and their versions.

use std::fmt;
use std::sync::Arc;

use crate::digest::Digest;

/// A moment in nanoseconds since 1970-01-01 UTC, as reported by a side. Never compared to decide what changed.
pub type Nanos = i64;

/// What an item is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A regular file or a record.
    File {
        /// Whether the owner may execute it.
        executable: bool,
    },
    /// A directory; it has no content of its own.
    Directory,
    /// A symbolic link; its content is the text of its target. It is never followed.
    Symlink,
}

impl Kind {
    /// A file without the executable bit.
    pub const FILE: Self = Self::File { executable: false };

    /// Whether both are files, both directories or both links.
    #[must_use]
    pub const fn is_same_type(self, other: Self) -> bool {
        matches!(
            (self, other),
            (Self::File { .. }, Self::File { .. })
                | (Self::Directory, Self::Directory)
                | (Self::Symlink, Self::Symlink)
        )
    }

    /// Whether it is a directory.
    #[must_use]
    pub const fn is_directory(self) -> bool {
        matches!(self, Self::Directory)
    }

    /// The word for people and reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::File { .. } => "file",
            Self::Directory => "directory",
            Self::Symlink => "symlink",
        }
    }
}

/// An endpoint's own opaque token for one state of an item: the condition of every write.
///
/// The empty version is that of directories, which have no content.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Version(Arc<[u8]>);

impl Version {
    /// Wraps an endpoint's token.
    #[must_use]
    pub fn new(token: &[u8]) -> Self {
        Self(token.into())
    }

    /// The version of every directory.
    #[must_use]
    pub fn none() -> Self {
        Self(Arc::new([]))
    }

    /// The endpoint's token.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Version(")?;
        for byte in self.0.iter() {
            write!(f, "{byte:02x}")?;
        }
        f.write_str(")")
    }
}

/// What is known of an item's content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// What it is.
    pub kind: Kind,
    /// The digest of its content; `None` while nobody had to read it. A directory has none.
    pub digest: Option<Digest>,
    /// Bytes of content.
    pub size: u64,
    /// When it was last modified, as its side tells.
    pub modified: Nanos,
}

impl Item {
    /// A directory.
    #[must_use]
    pub const fn directory() -> Self {
        Self { kind: Kind::Directory, digest: None, size: 0, modified: 0 }
    }

    /// Whether two items are known to agree in kind and content. An unread item agrees with nothing.
    #[must_use]
    pub fn agrees_with(&self, other: &Self) -> bool {
        self.kind == other.kind
            && (self.kind.is_directory() || (self.digest.is_some() && self.digest == other.digest))
    }
}
