//! What the system lets this process have.

/// Lets the process open as many files as `wanted`, as far as it may decide that itself: many systems begin with 1,024,
/// which is less than the connections that are taken. What it cannot have, connections wait for.
#[cfg(unix)]
pub(crate) fn allow_open_files(wanted: u64) {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let possible = maximum.map_or(wanted, |maximum| maximum.min(wanted));
    if current.is_some_and(|current| current < possible)
        && let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: Some(possible), maximum })
    {
        tracing::debug!(%error, "the limit of open files stays as it is");
    }
}

/// Nothing limits it in a way that could be changed.
#[cfg(not(unix))]
pub(crate) fn allow_open_files(_: u64) {}
