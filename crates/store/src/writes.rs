//! Whether anybody has written to the state, for the price of a look at one file.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use crate::platform::{self, Written};
use crate::store::Store;

/// How long ago a file must have been written to for its time to tell of every later write: file systems count in steps,
/// the coarsest of them of two seconds.
const SETTLED: Duration = Duration::from_secs(3);

/// Notices that nobody has written to the state since the last look, in whichever process.
///
/// Every commit goes to the log beside the database first: <https://www.sqlite.org/wal.html>. To ask SQLite costs some fifty
/// times as much, which counts for those who ask several times a second for as long as the machine is on.
#[derive(Debug)]
pub struct Writes {
    log: Option<PathBuf>,
    /// The log as it was at the last look, where that tells it from what it is after any later write.
    seen: Option<Written>,
}

impl Writes {
    /// Begins to look on; nothing was seen so far.
    #[must_use]
    pub fn to(store: &Store) -> Self {
        Self { log: store.dir().map(|folder| folder.join("state.db-wal")), seen: None }
    }

    /// Whether there may be something new since the last call; false is certain. True at the first one, and for a few
    /// seconds after each write.
    pub fn may_have_come(&mut self) -> bool {
        let now = SystemTime::now();
        let found = self.log.as_ref().and_then(|log| platform::written(&std::fs::metadata(log).ok()?));
        // A time that is yet to come, after a clock was set back, tells nothing either.
        let settled = found.filter(|written| now.duration_since(written.at).is_ok_and(|age| age >= SETTLED));
        let is_as_before = settled.is_some() && settled == self.seen;
        self.seen = settled;
        !is_as_before
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Makes the log look as if the last write to it had been a while ago.
    fn settle(store: &Store) {
        let log = store.dir().unwrap().join("state.db-wal");
        let file = std::fs::File::options().write(true).open(log).unwrap();
        file.set_modified(SystemTime::now() - 2 * SETTLED).unwrap();
    }

    #[tokio::test]
    async fn only_what_is_certain_is_said_and_no_write_is_missed() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("state");
        let (store, other) = (Store::open(&state).await.unwrap(), Store::open(&state).await.unwrap());
        let mut writes = Writes::to(&store);
        store.ask_for(&["notes".to_owned()], "somebody", 1).await.unwrap();
        assert!(writes.may_have_come(), "nothing was seen before");
        assert!(writes.may_have_come(), "another write could have the same time");
        settle(&store);
        assert!(writes.may_have_come(), "it looks different");
        #[cfg(unix)]
        {
            assert!(!writes.may_have_come());
            assert!(!writes.may_have_come());
        }
        other.ask_for(&["photos".to_owned()], "somebody else", 2).await.unwrap();
        assert!(writes.may_have_come(), "another process has written");
        settle(&store);
        assert!(writes.may_have_come());

        // The log is taken over and begun anew, at the same size.
        store.ask_for(&["notes".to_owned()], "somebody", 3).await.unwrap();
        assert!(writes.may_have_come());

        let log = store.dir().unwrap().join("state.db-wal");
        let file = std::fs::File::options().write(true).open(log).unwrap();
        file.set_modified(SystemTime::now() + Duration::from_secs(3600)).unwrap();
        assert!(writes.may_have_come() && writes.may_have_come(), "a time that is yet to come tells nothing");
        assert!(Writes::to(&Store::in_memory().await.unwrap()).may_have_come());
    }
}
