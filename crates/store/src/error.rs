//! What can go wrong with the store.

use std::fmt;
use std::io;
use std::path::Path;

/// What to do about a baseline that is damaged: a run does not believe it.
pub const BASELINE_HINT: &str =
    "`syncline run` compares both sides afresh, removes nothing, and keeps both versions of what differs";

/// The result of every call of the store.
pub type Result<T> = std::result::Result<T, Error>;

/// What kind of trouble it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// Something stored is not what was stored: nothing that it says may be trusted.
    Damaged,
    /// Somebody else holds the workspace, the target or the database; or the lease is stale.
    Locked,
    /// The disk or the quota is full.
    NoSpace,
    /// The system does not permit it, or it would not be safe.
    Denied,
    /// It was damaged, and was set aside, so that everything else works.
    SetAside,
    /// A newer Syncline wrote the state.
    NewerVersion,
    /// Nothing has this name, identifier or digest; or more than one thing has it.
    NotFound,
    /// A content is not the one that was announced, for instance because it changed while it was read.
    Mismatch,
    /// Any other failure of input or output.
    Io,
}

/// Trouble with the store: a kind, what and where, and what to do.
#[derive(Clone, Debug)]
pub struct Error {
    kind: ErrorKind,
    message: String,
    hint: Option<String>,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), hint: None }
    }

    pub(crate) fn damaged(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Damaged, message)
    }

    pub(crate) fn set_aside(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::SetAside, message)
    }

    pub(crate) fn locked(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Locked, message)
    }

    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::NotFound, message)
    }

    pub(crate) fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Wraps a system error of `action` on `path`.
    pub(crate) fn io(action: &str, path: &Path, error: &io::Error) -> Self {
        let made = Self::new(kind_of(error), format!("cannot {action} {}: {error}", path.display()));
        if error.kind() == io::ErrorKind::ReadOnlyFilesystem {
            return made.with_hint(
                "the file system is mounted read-only: mount it for writing, or check the disk when it became so by itself",
            );
        }
        made
    }

    /// What kind of trouble it is.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// What to do about it, as a lower-case fragment.
    #[must_use]
    pub fn hint(&self) -> &str {
        self.hint.as_deref().unwrap_or(match self.kind {
            ErrorKind::Damaged => {
                "move the state folder away and run again: both sides are compared afresh and nothing is removed"
            }
            ErrorKind::SetAside => {
                "what it told is lost; later runs can be rolled back, and `syncline restore PATH` brings back single files"
            }
            ErrorKind::Locked => "wait until the other run has ended, then try again",
            ErrorKind::NoSpace => "free some space on the disk that holds the state folder, then run again",
            ErrorKind::Denied => {
                "check the owner and the mode of the state folder, and that it is not mounted read-only"
            }
            ErrorKind::NewerVersion => "update syncline on this machine",
            ErrorKind::NotFound => "list what there is and check the name",
            ErrorKind::Mismatch => "run again: the content changed while it was read",
            ErrorKind::Io => "check the disk that holds the state folder, then run again",
        })
    }

    /// A stable code for programs.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self.kind {
            ErrorKind::Damaged => "state_damaged",
            ErrorKind::SetAside => "state_set_aside",
            ErrorKind::Locked => "state_locked",
            ErrorKind::NoSpace => "state_no_space",
            ErrorKind::Denied => "state_denied",
            ErrorKind::NewerVersion => "state_newer_version",
            ErrorKind::NotFound => "state_not_found",
            ErrorKind::Mismatch => "content_mismatch",
            ErrorKind::Io => "state_io",
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

impl From<Error> for syncline_core::Damaged {
    fn from(error: Error) -> Self {
        Self(error.message)
    }
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        let kind = match &error {
            sqlx::Error::Database(database) => kind_of_code(database.code().as_deref()),
            sqlx::Error::Io(error) => kind_of(error),
            sqlx::Error::ColumnDecode { .. }
            | sqlx::Error::Decode(_)
            | sqlx::Error::ColumnIndexOutOfBounds { .. }
            | sqlx::Error::RowNotFound
            | sqlx::Error::TypeNotFound { .. } => ErrorKind::Damaged,
            _ => ErrorKind::Io,
        };
        Self::new(kind, format!("the state database failed: {error}"))
    }
}

/// Maps the system's error to a kind.
pub(crate) fn kind_of(error: &io::Error) -> ErrorKind {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => ErrorKind::NoSpace,
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => ErrorKind::Denied,
        io::ErrorKind::NotFound => ErrorKind::NotFound,
        io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => ErrorKind::Damaged,
        io::ErrorKind::WouldBlock => ErrorKind::Locked,
        _ => ErrorKind::Io,
    }
}

/// Maps SQLite's extended result code to a kind: <https://www.sqlite.org/rescode.html>.
fn kind_of_code(code: Option<&str>) -> ErrorKind {
    const SHORT_READ: i64 = 522;
    let Some(code) = code.and_then(|code| code.parse::<i64>().ok()) else {
        return ErrorKind::Io;
    };
    match (code, code & 0xff) {
        (SHORT_READ, _) => ErrorKind::Damaged,
        (_, 5 | 6) => ErrorKind::Locked,
        (_, 13) => ErrorKind::NoSpace,
        (_, 3 | 8 | 14 | 23) => ErrorKind::Denied,
        // Our statements are fixed, so an unknown column (1), a type mismatch (20) or a format that SQLite
        // does not know (11, 24, 26) means that the schema itself is not what the migrations made.
        (_, 1 | 11 | 20 | 24 | 26) => ErrorKind::Damaged,
        _ => ErrorKind::Io,
    }
}
