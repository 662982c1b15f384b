//! What is specific to a system: groups of processes, what they use, and where they may write.

#[cfg(not(unix))]
mod portable;
#[cfg(unix)]
mod unix;

#[cfg(not(unix))]
pub(super) use portable::{Group, confine, own_group, shell, signal_of, tasks};
#[cfg(unix)]
pub(super) use unix::{Group, confine, own_group, shell, signal_of, tasks};

/// What a group of processes uses.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Usage {
    pub(super) processes: usize,
    pub(super) memory_bytes: u64,
}
