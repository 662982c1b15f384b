//! What is specific to an operating system.

#[cfg(not(unix))]
mod portable;
#[cfg(unix)]
mod unix;

use std::time::SystemTime;

#[cfg(not(unix))]
pub(crate) use portable::*;
#[cfg(unix)]
pub(crate) use unix::*;

/// By what a write to a file shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Written {
    /// When it was written to last.
    pub(crate) at: SystemTime,
    length: u64,
}
