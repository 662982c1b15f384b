//! Watching: the system tells where something changed; what changed is for the scan to find out.

#[cfg(target_os = "linux")]
mod inotify;
#[cfg(any(test, not(target_os = "linux")))]
mod portable;

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc as blocking;

use syncline_connect::{Error, ErrorKind, Result, WatchEvent, Watcher};
use syncline_core::{Filter, ItemPath, Verdict};
use tokio::sync::mpsc;

use super::names::Names;
use super::platform::{Directory, Type};
#[cfg(target_os = "linux")]
use inotify::Notices;
#[cfg(not(target_os = "linux"))]
use portable::Notices;

/// Events that wait for whoever listens; beyond that they end in one overflow.
const EVENTS_MAX: usize = 4096;

/// What the watching thread is told.
#[derive(Debug, PartialEq, Eq)]
enum Told {
    /// Something happened at a path below the root, with `/` between its parts; `appeared` when it may not have been
    /// there before.
    Changed { path: String, appeared: bool },
    /// Something was lost, or the root itself was removed, moved or unmounted: only a full look tells what there is.
    Lost,
    /// A part is no longer watched.
    Trouble(Trouble),
    /// The watch is to end.
    Stop,
}

/// Why a directory is not watched.
#[derive(Debug, PartialEq, Eq)]
enum Trouble {
    /// It is gone again, or was never a directory.
    Gone,
    /// The system has no more watches to give.
    Exhausted,
    /// Something else, in the words of the system.
    Failed(String),
}

/// Starts watching all directories that the filter lets through.
///
/// Each is watched on its own, so that ignored trees cost nothing; new ones are added as they appear.
///
/// # Errors
/// When the system gives no means of watching, or the root cannot be watched.
pub(super) fn start(path: &Path, root: Arc<Directory>, filter: Arc<Filter>) -> Result<Watcher> {
    let (tell, told) = blocking::channel();
    let failed = |trouble: Trouble| {
        let why = match trouble {
            Trouble::Gone => "it is no directory".to_owned(),
            Trouble::Exhausted => "the system's limit of watches is exhausted".to_owned(),
            Trouble::Failed(why) => why,
        };
        Error::new(ErrorKind::Io, format!("watching {}: {why}", path.display()))
    };
    let mut notices = Notices::open(path, tell.clone()).map_err(failed)?;
    notices.add("").map_err(failed)?;
    let (send, events) = mpsc::channel(EVENTS_MAX);
    let mut watched = Watched { root, filter, notices, send, limited: false, overflow: false };
    watched.add_below(String::new());
    let thread = std::thread::Builder::new().name("watch".into()).spawn(move || watched.run(&told));
    thread.map_err(|error| Error::io(error, "starting a thread that watches"))?;
    Ok(Watcher { events, guard: Box::new(Guard(tell)) })
}

/// Ends the watch when it is dropped.
struct Guard(blocking::Sender<Told>);

impl Drop for Guard {
    fn drop(&mut self) {
        let _ = self.0.send(Told::Stop);
    }
}

struct Watched {
    root: Arc<Directory>,
    filter: Arc<Filter>,
    notices: Notices,
    send: mpsc::Sender<WatchEvent>,
    /// Whether it was said already that a part cannot be watched.
    limited: bool,
    /// Whether an overflow is still to be told.
    overflow: bool,
}

impl Watched {
    fn run(mut self, told: &blocking::Receiver<Told>) {
        while !self.send.is_closed() {
            // While an overflow could not be told, try again even if nothing more happens.
            let next = if self.overflow {
                told.recv_timeout(std::time::Duration::from_millis(20))
            } else {
                told.recv().map_err(|_| blocking::RecvTimeoutError::Disconnected)
            };
            match next {
                Ok(Told::Changed { path, appeared }) => {
                    if let Ok(path) = ItemPath::parse(&path) {
                        self.changed(&path, appeared);
                    }
                }
                Ok(Told::Lost) => {
                    self.overflow = true;
                    // What was lost may have been new directories.
                    self.add_below(String::new());
                }
                Ok(Told::Trouble(trouble)) => self.trouble(trouble),
                Err(blocking::RecvTimeoutError::Timeout) => {}
                Ok(Told::Stop) | Err(blocking::RecvTimeoutError::Disconnected) => return,
            }
            if self.overflow {
                self.overflow = self.send.try_send(WatchEvent::Overflow).is_err();
            }
        }
    }

    fn changed(&mut self, path: &ItemPath, appeared: bool) {
        let status = self.root.beneath(path.parent()).and_then(|parent| parent.stat(path.name()));
        let is_ignored = |directory| matches!(self.filter.decide_deep(path, directory), Verdict::Ignored(_));
        let is_directory = status.as_ref().is_ok_and(|status| status.kind == Type::Directory);
        // What is gone may have been a directory that rules only look into.
        if is_ignored(is_directory) && (status.is_ok() || is_ignored(true)) {
            return;
        }
        // A directory that appears is watched before anybody is told of it: whoever looks then misses nothing.
        if is_directory && appeared {
            self.add(path.as_str());
            self.add_below(path.as_str().to_owned());
        }
        self.tell(WatchEvent::Changed(path.clone()));
    }

    /// Watches every directory below one that is watched.
    fn add_below(&mut self, directory: String) {
        let (mut waiting, mut names) = (vec![directory], Names::default());
        while let Some(directory) = waiting.pop() {
            let listed =
                self.root.beneath(&directory).and_then(|opened| names.read(&opened).map(|()| opened));
            let Ok(opened) = listed else { continue };
            let mut found = Vec::new();
            for name in names.sorted() {
                let Some(path) =
                    name.text.to_str().ok().and_then(|text| ItemPath::child(&directory, text).ok())
                else {
                    continue;
                };
                let kind = match name.kind {
                    Type::Unknown => opened.stat_raw(name.text).map_or(Type::Unknown, |status| status.kind),
                    kind => kind,
                };
                if kind == Type::Directory && !matches!(self.filter.decide(&path, true), Verdict::Ignored(_))
                {
                    found.push(path.as_str().to_owned());
                }
            }
            for path in found {
                self.add(&path);
                waiting.push(path);
            }
        }
    }

    fn add(&mut self, directory: &str) {
        match self.notices.add(directory) {
            // One that is gone again needs no watch.
            Ok(()) | Err(Trouble::Gone) => {}
            Err(trouble) => self.trouble(trouble),
        }
    }

    fn trouble(&mut self, trouble: Trouble) {
        let why = match trouble {
            Trouble::Gone => return,
            Trouble::Exhausted => None,
            Trouble::Failed(why) => Some(why),
        };
        if std::mem::replace(&mut self.limited, true) {
            return;
        }
        let text = match why {
            None => {
                "the system's limit of watches is exhausted, so changes in some folders are only found by scanning, which \
                 goes on; raise fs.inotify.max_user_watches to have all of them watched"
                    .to_owned()
            }
            Some(why) => {
                format!("a part cannot be watched ({why}); its changes are found by scanning, which goes on")
            }
        };
        self.tell(WatchEvent::Limited(text));
    }

    fn tell(&mut self, event: WatchEvent) {
        if !self.overflow && self.send.try_send(event).is_err() {
            self.overflow = true;
        }
    }
}
