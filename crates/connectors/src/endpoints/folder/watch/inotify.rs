//! Notices by way of inotify: <https://man7.org/linux/man-pages/man7/inotify.7.html>.
//!
//! All watches of a process share one instance and one thread that reads it. Linux gives each user 128 instances, which
//! would be 64 targets with two folders; and of a directory that several watches look at, even by different paths, the
//! kernel has one descriptor, which says to whom its events belong.

use std::collections::{BTreeMap, HashMap};
use std::ffi::CStr;
use std::mem::MaybeUninit;
use std::ops::Bound;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};
use rustix::io::Errno;

use super::{Told, Trouble};

/// What is told of a directory. Opening, reading and closing are no changes: a scan would otherwise trigger itself.
const WANTED: WatchFlags = WatchFlags::ATTRIB
    .union(WatchFlags::MODIFY)
    .union(WatchFlags::CREATE)
    .union(WatchFlags::DELETE)
    .union(WatchFlags::MOVED_FROM)
    .union(WatchFlags::MOVED_TO)
    .union(WatchFlags::DELETE_SELF)
    .union(WatchFlags::MOVE_SELF)
    .union(WatchFlags::ONLYDIR);
/// Bytes of events that are read at once.
const READ_BYTES: usize = 32 << 10;

/// The instance of this process; it lives as long as a watch does.
static SHARED: Mutex<Weak<Shared>> = Mutex::new(Weak::new());

/// Notices of what happens in the directories that were added.
pub(super) struct Notices {
    root: PathBuf,
    number: u64,
    shared: Arc<Shared>,
}

impl Notices {
    /// Means to watch directories below `root`; nothing is watched yet.
    pub(super) fn open(root: &Path, tell: Sender<Told>) -> Result<Self, Trouble> {
        let shared = shared()?;
        let number = {
            let mut books = shared.books();
            books.last += 1;
            let number = books.last;
            books.watches.insert(number, Watch { tell, directories: BTreeMap::new() });
            number
        };
        Ok(Self { root: root.to_owned(), number, shared })
    }

    /// Watches a directory below the root, or with no name, the root; not what is below that.
    pub(super) fn add(&mut self, directory: &str) -> Result<(), Trouble> {
        let (path, flags) = match directory {
            "" => (self.root.clone(), WANTED),
            directory => (self.root.join(directory), WANTED | WatchFlags::DONT_FOLLOW),
        };
        // Held from before there is a descriptor until it is known whose it is, so that no event is nobody's.
        let mut books = self.shared.books();
        match inotify::add_watch(&self.shared.instance, &path, flags) {
            Ok(descriptor) => {
                let gone = books.enter(self.number, descriptor, directory);
                self.shared.remove(gone);
                Ok(())
            }
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Err(Trouble::Gone),
            Err(Errno::NOSPC) => Err(Trouble::Exhausted),
            Err(error) => Err(Trouble::Failed(error.to_string())),
        }
    }
}

impl Drop for Notices {
    fn drop(&mut self) {
        let mut books = self.shared.books();
        let gone = books.leave(self.number, "");
        books.watches.remove(&self.number);
        self.shared.remove(gone);
    }
}

/// The instance, and who is told what.
struct Shared {
    instance: Arc<OwnedFd>,
    books: Mutex<Books>,
}

/// The instance of this process, which is made when there is none.
fn shared() -> Result<Arc<Shared>, Trouble> {
    let mut place = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(shared) = place.upgrade() {
        return Ok(shared);
    }
    let failed = |error: &dyn std::fmt::Display| Trouble::Failed(error.to_string());
    let instance = Arc::new(inotify::init(CreateFlags::CLOEXEC).map_err(|error| failed(&error))?);
    let shared = Arc::new(Shared { instance: Arc::clone(&instance), books: Mutex::default() });
    let reading = Arc::downgrade(&shared);
    let thread = std::thread::Builder::new().name("inotify".into()).spawn(move || read(&instance, &reading));
    thread.map_err(|error| failed(&error))?;
    *place = Arc::downgrade(&shared);
    Ok(shared)
}

impl Shared {
    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has the kernel forget descriptors; one that it has forgotten itself is no error.
    fn remove(&self, descriptors: Vec<i32>) {
        for descriptor in descriptors {
            let _ = inotify::remove_watch(&self.instance, descriptor);
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // Whoever reads is woken by an event, finds nobody to tell of it, and ends.
        if let Ok(descriptor) = inotify::add_watch(&self.instance, "/", WANTED) {
            self.remove(vec![descriptor]);
        }
    }
}

/// Reads events, and tells those whom they concern, until no watch is left.
fn read(instance: &OwnedFd, shared: &Weak<Shared>) {
    let mut room = vec![MaybeUninit::uninit(); READ_BYTES];
    let mut events = Reader::new(instance, &mut room);
    loop {
        let event = events.next();
        let Some(shared) = shared.upgrade() else { return };
        match event {
            Ok(event) => {
                let mut books = shared.books();
                let gone = books.happened(event.wd(), event.events(), event.file_name());
                shared.remove(gone);
            }
            Err(Errno::INTR) => {}
            Err(error) => {
                // Nothing is noticed any more. Whoever watches looks at everything now and then, whatever is told.
                let books = shared.books();
                for watch in books.watches.values() {
                    let _ = watch.tell.send(Told::Trouble(Trouble::Failed(error.to_string())));
                }
                return;
            }
        }
    }
}

/// Which descriptor stands for what.
#[derive(Default)]
struct Books {
    /// The number of the newest watch.
    last: u64,
    watches: HashMap<u64, Watch>,
    /// For whom each descriptor stands for which directory.
    places: HashMap<i32, Vec<(u64, Arc<str>)>>,
}

/// One watch.
struct Watch {
    tell: Sender<Told>,
    directories: BTreeMap<Arc<str>, i32>,
}

impl Books {
    /// Notes that a descriptor stands for a directory; returns descriptors that stand for nothing any more.
    fn enter(&mut self, number: u64, descriptor: i32, directory: &str) -> Vec<i32> {
        let Some(watch) = self.watches.get_mut(&number) else { return vec![descriptor] };
        let places = self.places.entry(descriptor).or_default();
        let directory: Arc<str> = match places.iter_mut().find(|(other, _)| *other == number) {
            Some((_, known)) if &**known == directory => return Vec::new(),
            Some((_, known)) => {
                // It was moved, and is known by its new name from now on.
                watch.directories.remove(known);
                *known = Arc::from(directory);
                Arc::clone(known)
            }
            None => {
                places.push((number, Arc::from(directory)));
                Arc::from(directory)
            }
        };
        match watch.directories.insert(directory, descriptor) {
            // Another directory has taken the place of one that is gone.
            Some(before) if before != descriptor => self.strike(number, before),
            _ => Vec::new(),
        }
    }

    /// Forgets a directory of a watch, and all below it; returns descriptors that stand for nothing any more.
    fn leave(&mut self, number: u64, directory: &str) -> Vec<i32> {
        let Some(watch) = self.watches.get_mut(&number) else { return Vec::new() };
        let is_in = |path: &str| match path.strip_prefix(directory) {
            Some(rest) => directory.is_empty() || rest.is_empty() || rest.starts_with('/'),
            None => false,
        };
        let from = watch.directories.range::<str, _>((Bound::Included(directory), Bound::Unbounded));
        let all: Vec<(Arc<str>, i32)> = from
            .take_while(|(path, _)| path.starts_with(directory))
            .filter(|(path, _)| is_in(path))
            .map(|(path, descriptor)| (Arc::clone(path), *descriptor))
            .collect();
        for (path, _) in &all {
            watch.directories.remove(path);
        }
        all.into_iter().flat_map(|(_, descriptor)| self.strike(number, descriptor)).collect()
    }

    /// Notes that a descriptor stands for nothing of a watch; returns it when it stands for nothing at all.
    fn strike(&mut self, number: u64, descriptor: i32) -> Vec<i32> {
        let Some(places) = self.places.get_mut(&descriptor) else { return Vec::new() };
        places.retain(|(other, _)| *other != number);
        if !places.is_empty() {
            return Vec::new();
        }
        self.places.remove(&descriptor);
        vec![descriptor]
    }

    /// Tells those whom an event concerns; returns descriptors that stand for nothing any more.
    fn happened(&mut self, descriptor: i32, events: ReadFlags, name: Option<&CStr>) -> Vec<i32> {
        if events.contains(ReadFlags::QUEUE_OVERFLOW) {
            for watch in self.watches.values() {
                let _ = watch.tell.send(Told::Lost);
            }
            return Vec::new();
        }
        if events.contains(ReadFlags::IGNORED) {
            // The kernel has forgotten it: the directory is gone.
            for (number, directory) in self.places.remove(&descriptor).unwrap_or_default() {
                let directories = self.watches.get_mut(&number).map(|watch| &mut watch.directories);
                if let Some(directories) = directories
                    && directories.get(&directory) == Some(&descriptor)
                {
                    directories.remove(&directory);
                }
            }
            return Vec::new();
        }
        let mut gone = Vec::new();
        for (number, directory) in self.places.get(&descriptor).cloned().unwrap_or_default() {
            let Some(watch) = self.watches.get(&number) else { continue };
            let Some(name) = name else {
                // It is about the directory itself: of all but the root, the directory that it is in tells.
                let ends = ReadFlags::DELETE_SELF | ReadFlags::MOVE_SELF | ReadFlags::UNMOUNT;
                if events.intersects(ends) && (directory.is_empty() || events.contains(ReadFlags::UNMOUNT)) {
                    let _ = watch.tell.send(Told::Lost);
                }
                continue;
            };
            // Names that are no text belong to no target.
            let Ok(name) = name.to_str() else { continue };
            let path = if directory.is_empty() { name.to_owned() } else { format!("{directory}/{name}") };
            let appeared = events.intersects(ReadFlags::CREATE | ReadFlags::MOVED_TO);
            let _ = watch.tell.send(Told::Changed { path: path.clone(), appeared });
            if events.contains(ReadFlags::MOVED_FROM | ReadFlags::ISDIR) {
                // Elsewhere it has another name, or is none of ours.
                gone.extend(self.leave(number, &path));
            }
        }
        gone
    }
}
