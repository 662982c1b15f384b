//! The one error type of everything that touches the outside.

use std::fmt;
use std::time::Duration;

use syncline_core::{Problem, Side};

use crate::content::ReadFailed;

/// What went wrong, as far as callers act on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The item or the version asked for is not there any more.
    NotFound,
    /// The item changed while it was being read, or is not the version expected.
    Changed,
    /// Permission was refused.
    Denied,
    /// There is no space, no quota or no inode left.
    NoSpace,
    /// The endpoint cannot do this; its capabilities say so.
    Unsupported,
    /// The input is not acceptable, such as a name that the endpoint cannot hold.
    Invalid,
    /// The endpoint could not be reached.
    Unreachable,
    /// The time limit passed.
    TimedOut,
    /// Content does not match its digest, or storage is damaged.
    Damaged,
    /// Somebody else holds the lock, or a lease was lost.
    Locked,
    /// Any other failure of input or output.
    Io,
}

/// Whether trying again can help.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Retry {
    /// Trying again soon may succeed; not before the given delay, when there is one.
    Soon(Option<Duration>),
    /// Only after something was changed by a person or another program.
    Never,
}

/// A failure with a kind, a retry class, a stable code, a public message and a hint.
///
/// Messages are lower-case fragments that say what and where; hints say what to do. Neither holds secrets.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    retry: Retry,
    code: &'static str,
    message: String,
    hint: Option<String>,
    side: Option<Side>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// The result of everything that touches the outside.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// Makes an error of `kind` with a message for people.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        let retry = match kind {
            ErrorKind::Unreachable | ErrorKind::TimedOut | ErrorKind::Locked => Retry::Soon(None),
            _ => Retry::Never,
        };
        Self { kind, retry, code: kind.code(), message: message.into(), hint: None, side: None, source: None }
    }

    /// Makes an error of a failed operation of the operating system: `what` says what was being done, and where.
    pub fn io(error: std::io::Error, what: impl fmt::Display) -> Self {
        let kind = match error.kind() {
            std::io::ErrorKind::NotFound => ErrorKind::NotFound,
            std::io::ErrorKind::PermissionDenied | std::io::ErrorKind::ReadOnlyFilesystem => {
                ErrorKind::Denied
            }
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => ErrorKind::NoSpace,
            std::io::ErrorKind::TimedOut => ErrorKind::TimedOut,
            _ => ErrorKind::Io,
        };
        let read_only = error.kind() == std::io::ErrorKind::ReadOnlyFilesystem;
        let side = error.get_ref().and_then(|inner| inner.downcast_ref::<ReadFailed>()).map(|read| read.side);
        let made = Self { side, ..Self::new(kind, format!("{what}: {error}")) }.with_source(error);
        match kind {
            ErrorKind::NoSpace => made.with_hint("free some space, then run again: nothing was lost"),
            ErrorKind::Denied if read_only => made.with_hint(
                "the file system is mounted read-only: mount it for writing, or check the disk when it became so by itself",
            ),
            ErrorKind::Denied => made.with_hint("check the owner and the permissions"),
            _ => made,
        }
    }

    /// Sets the hint that tells people what to do.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Says on which side it went wrong, unless that was said before by somebody who was closer to it.
    #[must_use]
    pub fn on(mut self, side: Side) -> Self {
        self.side.get_or_insert(side);
        self
    }

    /// Gives it a code that says more than the kind does.
    #[must_use]
    pub const fn with_code(mut self, code: &'static str) -> Self {
        self.code = code;
        self
    }

    /// Sets the retry class.
    #[must_use]
    pub const fn with_retry(mut self, retry: Retry) -> Self {
        self.retry = retry;
        self
    }

    /// Sets the cause.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// What went wrong.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Whether trying again can help.
    #[must_use]
    pub const fn retry(&self) -> Retry {
        self.retry
    }

    /// The stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        self.code
    }

    /// On which side it went wrong, where that was said.
    #[must_use]
    pub const fn side(&self) -> Option<Side> {
        self.side
    }

    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// The same trouble as data, at `path`.
    #[must_use]
    pub fn to_problem(&self, path: impl Into<String>) -> Problem {
        let message = match &self.hint {
            Some(hint) => format!("{}; {hint}", self.message),
            None => self.message.clone(),
        };
        Problem { side: self.side, ..Problem::new(path, self.code, message) }
    }
}

impl ErrorKind {
    /// The stable code of the kind.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::NotFound => "not_found",
            Self::Changed => "changed",
            Self::Denied => "denied",
            Self::NoSpace => "no_space",
            Self::Unsupported => "unsupported",
            Self::Invalid => "invalid",
            Self::Unreachable => "unreachable",
            Self::TimedOut => "timed_out",
            Self::Damaged => "damaged",
            Self::Locked => "locked",
            Self::Io => "io",
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_ref().map(|source| source.as_ref() as &(dyn std::error::Error + 'static))
    }
}

impl From<syncline_core::Damaged> for Error {
    fn from(damaged: syncline_core::Damaged) -> Self {
        Self::new(ErrorKind::Damaged, damaged.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_read_only_file_system_is_told_from_a_refused_permission() {
        let hint = |kind: std::io::ErrorKind| {
            let error = Error::io(kind.into(), "making /mnt/x");
            assert_eq!(error.kind(), ErrorKind::Denied);
            error.hint().unwrap_or_default().to_owned()
        };
        assert!(hint(std::io::ErrorKind::ReadOnlyFilesystem).contains("mounted read-only"));
        assert!(hint(std::io::ErrorKind::PermissionDenied).contains("owner"));
    }
}
