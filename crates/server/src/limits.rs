//! What the system lets this process have.

/// Lets the process open as many files as `wanted`, as far as it may decide that itself: many systems begin with 1,024,
/// which is less than the connections that are taken. How many it may have then, where there is a limit.
#[cfg(unix)]
pub(crate) fn allow_open_files(wanted: u64) -> Option<u64> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let possible = maximum.map_or(wanted, |maximum| maximum.min(wanted));
    if current.is_none_or(|current| current >= possible) {
        return current;
    }
    match setrlimit(Resource::Nofile, Rlimit { current: Some(possible), maximum }) {
        Ok(()) => Some(possible),
        Err(error) => {
            tracing::debug!(%error, "the limit of open files stays as it is");
            current
        }
    }
}

/// Nothing limits it in a way that could be changed.
#[cfg(not(unix))]
pub(crate) const fn allow_open_files(_: u64) -> Option<u64> {
    None
}
