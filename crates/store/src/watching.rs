//! The one watch of a workspace: who it is, how it is doing, and how it is asked to end.
//!
//! Three files of the state folder. `watch.lock` is locked as long as the watch lives, and that alone counts: a lock dies
//! with its process, however that ends. `watch.json` is what the holder tells of itself; without the lock it means nothing.
//! `watch.stop` asks the watch that it names to end. No process is ever sent a signal: a number of a process may belong to
//! somebody else by now, or come from another container.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use syncline_core::Nanos;

use crate::error::{Error, Result};
use crate::platform;

const LOCK: &str = "watch.lock";
const RECORD: &str = "watch.json";
const STOP: &str = "watch.stop";
/// The version of the record's shape.
const VERSION: u32 = 1;
/// Most bytes of a file that is read: more is not one of ours.
const BYTES_MAX: u64 = 16 << 20;
/// Somebody who only looks holds the lock for a moment: that is no watch.
const TRIES: u32 = 10;
const PAUSE: Duration = Duration::from_millis(20);

/// What a watch tells of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WatchRecord {
    /// The number of its process, for people.
    pub pid: u32,
    /// Tells it from every other watch, before and after.
    pub id: String,
    /// When it began.
    pub since: Nanos,
    /// How often its targets run; `None` when they run at every change.
    pub interval: Option<Duration>,
    /// Whether it is one that keeps to the schedules of its targets.
    #[serde(default)]
    pub serving: bool,
    /// Its targets.
    pub targets: Vec<WatchedTarget>,
}

/// A target of a watch.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WatchedTarget {
    /// Its name.
    pub name: String,
    /// Its last run, also one that found nothing to do.
    pub last: Option<LastRun>,
    /// How many runs and tries in a row did not do all that they were to do.
    pub failures: u32,
    /// When everything is looked at again at the latest.
    pub next: Option<Nanos>,
    /// Since when its remote is away, and what became of the tries since then.
    pub away: Option<WatchAway>,
}

/// The last run of a watched target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastRun {
    /// Its identifier, when there was something to record.
    pub run: Option<String>,
    /// When it ended.
    pub finished: Nanos,
    /// Whether it did all that it was to do.
    pub success: bool,
    /// What happened, in one line.
    pub message: String,
}

/// A remote that cannot be reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WatchAway {
    /// Since when.
    pub since: Nanos,
    /// How often it was tried since.
    pub tries: u32,
    /// Why, for people.
    pub reason: String,
    /// At how many paths something changed here since; `None` where changes are not noticed one by one.
    pub waiting: Option<u64>,
}

#[derive(Serialize, Deserialize)]
struct Versioned {
    version: u32,
    #[serde(flatten)]
    record: WatchRecord,
}

/// The workspace is watched by this process as long as this lives.
#[must_use = "another process may watch the workspace when the lock is dropped"]
pub struct WatchLock {
    folder: PathBuf,
    id: String,
    _file: File,
}

/// A watch of another process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunningWatch {
    /// What it tells of itself; `None` when it has only just begun, or is of a newer Syncline.
    pub record: Option<WatchRecord>,
}

/// What came of becoming the one watch.
pub enum Taking {
    /// It is this process.
    Ours(WatchLock),
    /// Another one watches.
    Taken(RunningWatch),
}

impl WatchLock {
    /// Becomes the one watch of the state folder `folder`, which must be there, unless there is one already. Never
    /// waits for that one to end.
    ///
    /// # Errors
    /// When the files cannot be made or locked.
    pub fn take(folder: &Path, record: &WatchRecord) -> Result<Taking> {
        let path = folder.join(LOCK);
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let file = platform::private_file(&mut options).open(&path);
        let file = file.map_err(|error| Error::io("lock", &path, &error))?;
        for tried in 1.. {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if tried < TRIES => std::thread::sleep(PAUSE),
                Err(TryLockError::WouldBlock) => {
                    return Ok(Taking::Taken(RunningWatch { record: read_record(folder) }));
                }
                Err(TryLockError::Error(error)) => return Err(Error::io("lock", &path, &error)),
            }
        }
        // What one that was killed has left is not about this one.
        remove(&folder.join(RECORD))?;
        remove(&folder.join(STOP))?;
        let lock = Self { folder: folder.to_owned(), id: record.id.clone(), _file: file };
        lock.tell(record)?;
        Ok(Taking::Ours(lock))
    }

    /// Tells how the watch is doing. Where there is no room for a new record, the old one is written over: a full disk is
    /// just what others are to hear of.
    ///
    /// # Errors
    /// When the record cannot be written.
    pub fn tell(&self, record: &WatchRecord) -> Result<()> {
        let versioned = Versioned { version: VERSION, record: record.clone() };
        let text = serde_json::to_vec(&versioned).map_err(io::Error::from);
        let path = self.folder.join(RECORD);
        let written = text.and_then(|text| match replace(&path, &text) {
            Err(error) if is_full(&error) => write_over(&path, &text),
            other => other,
        });
        written.map_err(|error| Error::io("write", &path, &error))
    }

    /// Whether somebody has asked this watch to end.
    #[must_use]
    pub fn is_asked_to_stop(&self) -> bool {
        read(&self.folder.join(STOP)).is_some_and(|text| text.trim() == self.id)
    }
}

impl Drop for WatchLock {
    fn drop(&mut self) {
        // What stays behind means nothing without the lock, which goes last.
        let _ = fs::remove_file(self.folder.join(RECORD));
        let _ = fs::remove_file(self.folder.join(STOP));
    }
}

impl RunningWatch {
    /// The watch of the state folder `folder`, if one runs. Changes nothing.
    ///
    /// # Errors
    /// When the lock cannot be looked at.
    pub fn of(folder: &Path) -> Result<Option<Self>> {
        let path = folder.join(LOCK);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::io("look at", &path, &error)),
        };
        // A shared lock: two that look do not take each other for a watch.
        match file.try_lock_shared() {
            Ok(()) => Ok(None),
            Err(TryLockError::WouldBlock) => Ok(Some(Self { record: read_record(folder) })),
            Err(TryLockError::Error(error)) => Err(Error::io("look at", &path, &error)),
        }
    }

    /// Asks the watch `id` of the state folder `folder` to end; every other one goes on.
    ///
    /// # Errors
    /// When the request cannot be written.
    pub fn ask_to_stop(folder: &Path, id: &str) -> Result<()> {
        let path = folder.join(STOP);
        replace(&path, id.as_bytes()).map_err(|error| Error::io("write", &path, &error))
    }
}

/// What the holder of the lock has told of itself, as far as it can be understood.
fn read_record(folder: &Path) -> Option<WatchRecord> {
    let versioned: Versioned = serde_json::from_str(&read(&folder.join(RECORD))?).ok()?;
    (versioned.version == VERSION).then_some(versioned.record)
}

/// The text of a file, when it is there and can be one of ours.
pub(crate) fn read(path: &Path) -> Option<String> {
    let mut text = String::new();
    File::open(path).ok()?.take(BYTES_MAX).read_to_string(&mut text).ok()?;
    Some(text)
}

/// Writes a file whole or not at all. Nothing depends on its outliving a power loss.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let new = path.with_extension(format!("{}.new", std::process::id()));
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    platform::private_file(&mut options).open(&new)?.write_all(bytes)?;
    fs::rename(&new, path)
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// Writes over the text of a file, in the room that it has: first what goes beyond its end, so that the old text stands when
/// there is no room for that. Who reads meanwhile finds a text that cannot be understood, and may look again.
fn write_over(path: &Path, text: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).open(path)?;
    let had = file.metadata()?.len();
    let within = usize::try_from(had).unwrap_or(usize::MAX).min(text.len());
    file.seek(SeekFrom::End(0))?;
    if let Err(error) = file.write_all(&text[within..]) {
        file.set_len(had)?;
        return Err(error);
    }
    file.rewind()?;
    file.write_all(&text[..within])?;
    file.set_len(text.len() as u64)
}

fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::io("remove", path, &error)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(id: &str) -> WatchRecord {
        let targets = vec![WatchedTarget { name: "notes".into(), ..WatchedTarget::default() }];
        WatchRecord {
            pid: 1,
            id: id.into(),
            since: 7,
            interval: Some(Duration::from_secs(60)),
            serving: false,
            targets,
        }
    }

    fn take(folder: &Path, id: &str) -> WatchLock {
        match WatchLock::take(folder, &record(id)).unwrap() {
            Taking::Ours(lock) => lock,
            Taking::Taken(by) => panic!("taken by {by:?}"),
        }
    }

    #[test]
    fn there_is_one_watch_and_the_lock_alone_says_which() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        assert_eq!(RunningWatch::of(folder).unwrap(), None);
        assert!(fs::read_dir(folder).unwrap().next().is_none(), "looking leaves nothing");
        let first = take(folder, "a");
        let Taking::Taken(refused) = WatchLock::take(folder, &record("b")).unwrap() else { panic!("two") };
        assert_eq!(refused.record, Some(record("a")));
        assert_eq!(RunningWatch::of(folder).unwrap(), Some(refused));
        drop(first);
        assert_eq!(RunningWatch::of(folder).unwrap(), None);
    }

    #[test]
    fn what_a_killed_watch_left_is_no_watch_and_stops_none() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        for (name, text) in [(LOCK, String::new()), (STOP, "b".into())] {
            fs::write(folder.join(name), text).unwrap();
        }
        let left = Versioned { version: VERSION, record: record("dead") };
        fs::write(folder.join(RECORD), serde_json::to_vec(&left).unwrap()).unwrap();
        assert_eq!(RunningWatch::of(folder).unwrap(), None);
        let next = take(folder, "b");
        assert!(!next.is_asked_to_stop(), "the request was older than the watch");
        RunningWatch::ask_to_stop(folder, "dead").unwrap();
        assert!(!next.is_asked_to_stop(), "another one was meant");
        RunningWatch::ask_to_stop(folder, "b").unwrap();
        assert!(next.is_asked_to_stop());
    }

    #[test]
    fn a_record_is_written_over_whether_it_grows_or_shrinks() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(RECORD);
        fs::write(&path, "as it was").unwrap();
        for text in ["longer than it was", "short", ""] {
            write_over(&path, text.as_bytes()).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
    }

    #[test]
    fn a_record_that_cannot_be_understood_is_still_a_watch() {
        let folder = tempfile::tempdir().unwrap();
        let held = take(folder.path(), "a");
        fs::write(folder.path().join(RECORD), "{\"version\": 2}").unwrap();
        assert_eq!(RunningWatch::of(folder.path()).unwrap(), Some(RunningWatch { record: None }));
        drop(held);
    }
}
