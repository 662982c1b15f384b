//! Everything of the folder endpoint that differs between systems.
//!
//! One type, [`Directory`], is a handle on an open directory. Names given to it are single components. The one
//! function that takes a path of several, [`Directory::beneath`], never follows a symbolic link and never leaves
//! the directory, not even while somebody swaps links in: the Unix implementation holds descriptors all the way
//! down. The portable one works on paths and checks each component; it keeps the same promises as long as nobody
//! attacks the tree while it runs.

#[cfg(not(unix))]
mod portable;
#[cfg(unix)]
mod unix;

#[cfg(not(unix))]
pub(super) use portable::*;
#[cfg(unix)]
pub(super) use unix::*;

/// What lies under a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Type {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
    /// A pipe, device or socket: the word for people.
    Special(&'static str),
    /// The listing does not tell; ask for the status.
    Unknown,
}

/// What the file system says of a name, symbolic links not followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stat {
    pub(super) kind: Type,
    /// Permission bits, `0o7777`.
    pub(super) mode: u32,
    pub(super) links: u64,
    pub(super) inode: u64,
    pub(super) size: u64,
    /// Nanoseconds since 1970.
    pub(super) modified: i64,
    /// Nanoseconds since 1970.
    pub(super) changed: i64,
}

impl Type {
    /// The word for people.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Directory => "directory",
            Self::Symlink => "symlink",
            Self::Special(name) => name,
            Self::Unknown => "special file",
        }
    }
}

/// The moment, in nanoseconds since 1970.
pub(super) fn now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}

/// Whether file systems of this system usually take names that differ only in case or normalisation for the same.
pub(super) const fn folds_names() -> bool {
    cfg!(any(target_os = "macos", target_os = "ios", windows))
}

/// What a folder on this system can hold.
pub(super) fn abilities() -> syncline_core::Abilities {
    syncline_core::Abilities { executable: cfg!(unix), symlinks: cfg!(unix), ..Default::default() }
}
