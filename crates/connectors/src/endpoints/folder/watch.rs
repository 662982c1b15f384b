//! Watching: the system tells where something changed; what changed is for the scan to find out.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc as blocking;

use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use syncline_connect::{Error, ErrorKind, Result, WatchEvent, Watcher};
use syncline_core::{Filter, ItemPath, Verdict};
use tokio::sync::mpsc;

use super::names::Names;
use super::platform::{Directory, Type};

/// Events that wait for whoever listens; beyond that they end in one overflow.
const EVENTS_MAX: usize = 4096;

/// What the watching thread is told.
enum Told {
    Event(notify::Result<Event>),
    Stop,
}

/// Starts watching all directories that the filter lets through.
///
/// Each is watched on its own, so that ignored trees cost nothing; new ones are added as they appear.
///
/// # Errors
/// When the system gives no means of watching, or the root cannot be watched.
pub(super) fn start(path: &Path, root: Arc<Directory>, filter: Arc<Filter>) -> Result<Watcher> {
    let (tell, told) = blocking::channel();
    let teller = tell.clone();
    let failed = |error: notify::Error| {
        Error::new(ErrorKind::Io, format!("watching {}: {error}", path.display())).with_source(error)
    };
    let watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
        // Opening and reading are no changes: a scan would otherwise trigger itself.
        if !matches!(&event, Ok(event) if event.kind.is_access()) {
            let _ = teller.send(Told::Event(event));
        }
    })
    .map_err(failed)?;
    let (send, events) = mpsc::channel(EVENTS_MAX);
    let mut watched =
        Watched { path: path.to_owned(), root, filter, watcher, send, limited: false, overflow: false };
    watched.watcher.watch(path, RecursiveMode::NonRecursive).map_err(failed)?;
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
    path: PathBuf,
    root: Arc<Directory>,
    filter: Arc<Filter>,
    watcher: RecommendedWatcher,
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
                Ok(Told::Event(Ok(event))) => self.event(&event),
                Ok(Told::Event(Err(error))) => self.trouble(&error),
                Err(blocking::RecvTimeoutError::Timeout) => {}
                Ok(Told::Stop) | Err(blocking::RecvTimeoutError::Disconnected) => return,
            }
            if self.overflow {
                self.overflow = self.send.try_send(WatchEvent::Overflow).is_err();
            }
        }
    }

    fn event(&mut self, event: &Event) {
        if event.need_rescan() {
            self.overflow = true;
            // What was lost may have been new directories.
            self.add_below(String::new());
            return;
        }
        for path in &event.paths {
            let Some(text) = path.strip_prefix(&self.path).ok().and_then(Path::to_str) else {
                continue;
            };
            match ItemPath::parse(&text.replace(std::path::MAIN_SEPARATOR, "/")) {
                Ok(path) => self.changed(&path, event.kind),
                // The root itself was removed, moved or replaced.
                Err(_) if text.is_empty() && event.kind.is_remove() => self.overflow = true,
                Err(_) => {}
            }
        }
    }

    fn changed(&mut self, path: &ItemPath, kind: EventKind) {
        let status = self.root.beneath(path.parent()).and_then(|parent| parent.stat(path.name()));
        let is_ignored = |directory| matches!(self.filter.decide_deep(path, directory), Verdict::Ignored(_));
        let is_directory = status.as_ref().is_ok_and(|status| status.kind == Type::Directory);
        // What is gone may have been a directory that rules only look into.
        if is_ignored(is_directory) && (status.is_ok() || is_ignored(true)) {
            return;
        }
        // A directory that appears is watched before anybody is told of it: whoever looks then misses nothing.
        if is_directory
            && matches!(kind, EventKind::Create(_) | EventKind::Modify(notify::event::ModifyKind::Name(_)))
        {
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
        if let Err(error) = self.watcher.watch(&self.path.join(directory), RecursiveMode::NonRecursive) {
            // One that is gone again needs no watch.
            if !matches!(error.kind, notify::ErrorKind::PathNotFound | notify::ErrorKind::WatchNotFound) {
                self.trouble(&error);
            }
        }
    }

    fn trouble(&mut self, error: &notify::Error) {
        if std::mem::replace(&mut self.limited, true) {
            return;
        }
        let limit = matches!(&error.kind, notify::ErrorKind::MaxFilesWatch)
            || matches!(&error.kind, notify::ErrorKind::Io(error) if error.kind() == std::io::ErrorKind::StorageFull);
        let text = if limit {
            "the system's limit of watches is exhausted, so changes in some folders are only found by scanning, which \
             goes on; raise fs.inotify.max_user_watches to have all of them watched"
                .to_owned()
        } else {
            format!("a part cannot be watched ({error}); its changes are found by scanning, which goes on")
        };
        self.tell(WatchEvent::Limited(text));
    }

    fn tell(&mut self, event: WatchEvent) {
        if !self.overflow && self.send.try_send(event).is_err() {
            self.overflow = true;
        }
    }
}
