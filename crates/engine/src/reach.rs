//! Whether a run found the remote.

use syncline_connect::ErrorKind;
use syncline_core::{Halt, Side};

use crate::error::{Error, Result};
use crate::result::RunResult;

/// What a run came to know of whether the remote is there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Reach {
    /// Nothing: it did not come so far.
    #[default]
    Unknown,
    /// It is there.
    Reached,
    /// It is away, and why, for people: what cannot be reached, is not there, or was not mounted may come back by itself.
    Away(String),
}

impl Reach {
    /// What a run that ended like this came to know.
    #[must_use]
    pub fn of(result: &Result<RunResult>) -> Self {
        match result {
            Err(Error::Connect(error)) if error.side() == Some(Side::Remote) => match error.kind() {
                ErrorKind::Unreachable | ErrorKind::TimedOut | ErrorKind::NotFound => {
                    Self::Away(error.to_string())
                }
                _ => Self::Reached,
            },
            Err(_) => Self::Unknown,
            Ok(result) => match result.halts.iter().find(|halt| is_away(halt)) {
                Some(halt) => Self::Away(halt.message.clone()),
                None => Self::Reached,
            },
        }
    }

    /// Why the remote is away, when it is.
    #[must_use]
    pub fn why_away(self) -> Option<String> {
        match self {
            Self::Away(reason) => Some(reason),
            Self::Unknown | Self::Reached => None,
        }
    }
}

fn is_away(halt: &Halt) -> bool {
    const HALTS: [&str; 3] = ["root_missing", "root_emptied", "sentinel_missing"];
    halt.side == Side::Remote && HALTS.contains(&halt.code)
}
