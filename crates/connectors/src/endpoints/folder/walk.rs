//! The walk: every directory once, on as many threads as help, its names merged with those of the baseline.
//!
//! Memory grows with the number of changes, of directories that wait, and with the largest single directory.

use std::sync::{Condvar, Mutex, PoisonError};

use syncline_core::{Change, EntryRef, Found, Item, ItemPath, Kind, Problem, Seen, Verdict};

use super::names::{Name, Names};
use super::platform::{Directory, Stat, Type, now};
use super::version::Stamp;
use syncline_connect::{Error, Result, ScanRequest};

/// Threads of a walk: more than two gain nothing on a warm cache.
const THREADS_MAX: usize = 2;

/// What a walk found.
#[derive(Default)]
pub(super) struct Walked {
    /// Changes, in no order; a path may occur twice when it changed during the walk.
    pub(super) changes: Vec<Change>,
    /// Trouble with names that cannot be item paths.
    pub(super) problems: Vec<Problem>,
    /// Directories that were listed completely.
    pub(super) visited: Vec<String>,
    /// Items seen.
    pub(super) count: u64,
    /// Entries of the baseline that were looked at.
    pub(super) agreed: u64,
    /// Whether a part was left out that no change tells of.
    pub(super) incomplete: bool,
}

/// Walks the directories `from` (the root is "") and everything below them.
///
/// # Errors
/// When the baseline is damaged.
pub(super) fn walk(root: &Directory, request: &ScanRequest, from: Vec<String>) -> Result<Walked> {
    let queue = Queue {
        state: Mutex::new(State { waiting: from, busy: 0, idle: 0, failed: false }),
        wake: Condvar::new(),
    };
    let threads = std::thread::available_parallelism().map_or(1, |count| count.get().min(THREADS_MAX));
    let parts = std::thread::scope(|scope| {
        let work = || Walker::new(root, request).run(&queue);
        let helpers: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
        let mut parts = vec![work()];
        for helper in helpers {
            parts.push(helper.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
        parts
    });
    let mut whole = Walked::default();
    for part in parts {
        let part = part?;
        whole.changes.extend(part.changes);
        whole.problems.extend(part.problems);
        whole.visited.extend(part.visited);
        whole.count += part.count;
        whole.agreed += part.agreed;
        whole.incomplete |= part.incomplete;
    }
    Ok(whole)
}

/// Directories that wait to be listed.
struct Queue {
    state: Mutex<State>,
    wake: Condvar,
}

struct State {
    waiting: Vec<String>,
    busy: usize,
    /// Threads that wait for another one to find a directory.
    idle: usize,
    failed: bool,
}

impl Queue {
    /// The next directory; waits while another thread may still find one. `None` at the end.
    fn next(&self) -> Option<String> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if state.failed {
                return None;
            }
            if let Some(directory) = state.waiting.pop() {
                state.busy += 1;
                return Some(directory);
            }
            if state.busy == 0 {
                return None;
            }
            state.idle += 1;
            state = self.wake.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.idle -= 1;
        }
    }

    /// Hands in the directories found in one that is done.
    fn done(&self, found: &mut Vec<String>, failed: bool) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.busy -= 1;
        state.failed |= failed;
        state.waiting.append(found);
        // Waking is a call into the system even when everybody is at work, which is nearly always.
        let wake = state.idle > 0;
        drop(state);
        if wake {
            self.wake.notify_all();
        }
    }
}

/// One thread of the walk.
struct Walker<'a> {
    root: &'a Directory,
    request: &'a ScanRequest,
    found: Walked,
    names: Names,
}

impl<'a> Walker<'a> {
    fn new(root: &'a Directory, request: &'a ScanRequest) -> Self {
        Self { root, request, found: Walked::default(), names: Names::default() }
    }

    fn run(mut self, queue: &Queue) -> Result<Walked> {
        let mut subdirectories = Vec::new();
        while let Some(directory) = queue.next() {
            let listed = self.list(directory, &mut subdirectories);
            queue.done(&mut subdirectories, listed.is_err());
            listed?;
        }
        Ok(self.found)
    }

    /// Lists one directory and compares it with the baseline.
    fn list(&mut self, path: String, subdirectories: &mut Vec<String>) -> Result<()> {
        // The clock is read before anything is looked at: a version may only be too racy, never too sure.
        let moment = now();
        let opened = self.root.beneath(&path).and_then(|directory| {
            self.names.read(&directory)?;
            Ok(directory)
        });
        let directory = match opened {
            Ok(directory) => directory,
            Err(error) => return self.unreadable(&path, &error),
        };
        let (before, seen) = (self.found.agreed, self.found.count);
        let mut join = Join {
            request: self.request,
            directory: &directory,
            path: &path,
            moment,
            found: &mut self.found,
            subdirectories,
            text: String::new(),
        };
        let mut names = self.names.sorted().peekable();
        self.request.baseline.visit(&path, &mut |entry| {
            while let Some(name) = names.next_if(|name| name.bytes() < entry.name.as_bytes()) {
                join.look(&name, None);
            }
            let name = names.next_if(|name| name.bytes() == entry.name.as_bytes());
            join.agreed(name.as_ref(), &entry);
        })?;
        for name in names {
            join.look(&name, None);
        }
        self.request.progress.add(self.found.count - seen, 0);
        debug_assert!(self.found.agreed >= before, "the baseline is only ever read on");
        self.found.visited.push(path);
        Ok(())
    }

    /// A directory that cannot be listed stands for everything below it.
    fn unreadable(&mut self, path: &str, error: &std::io::Error) -> Result<()> {
        let problem = unreadable(path, error);
        match ItemPath::parse(path) {
            Ok(path) => {
                let was = self.request.baseline.get(&path)?;
                self.found.changes.push(Change {
                    path,
                    was: was.map(Box::new),
                    now: Seen::Unreadable(problem),
                });
            }
            Err(_) => {
                self.found.incomplete = true;
                self.found.problems.push(problem);
            }
        }
        Ok(())
    }
}

/// The comparison of one directory with the baseline.
pub(super) struct Join<'a> {
    pub(super) request: &'a ScanRequest,
    pub(super) directory: &'a Directory,
    pub(super) path: &'a str,
    pub(super) moment: i64,
    pub(super) found: &'a mut Walked,
    pub(super) subdirectories: &'a mut Vec<String>,
    /// The path that is being looked at; its memory is used again for the next one.
    pub(super) text: String,
}

impl Join<'_> {
    /// Compares an entry of the baseline with what is there under its name.
    pub(super) fn agreed(&mut self, name: Option<&Name<'_>>, entry: &EntryRef<'_>) {
        self.found.agreed += 1;
        if let Some(name) = name {
            self.look(name, Some(entry));
        } else if let Ok(path) = ItemPath::child(self.path, entry.name)
            && self.request.filter.decide(&path, entry.kind.is_directory()) != Verdict::Traverse
        {
            self.push(path, Some(entry), Seen::Absent);
        }
    }

    /// Looks at one name; `was` is what both sides had agreed on.
    pub(super) fn look(&mut self, name: &Name<'_>, was: Option<&EntryRef<'_>>) {
        if !self.spell(name) || was.is_some_and(|was| self.is_unchanged(name, was)) {
            return;
        }
        let Some(path) = self.item_path() else { return };
        let mut kind = name.kind;
        let mut status = None;
        if kind == Type::Unknown {
            match self.directory.stat_raw(name.text) {
                Ok(stat) => (kind, status) = (stat.kind, Some(stat)),
                Err(error) => return self.push_unreadable(path, was, &error),
            }
        }
        match self.request.filter.decide(&path, kind == Type::Directory) {
            Verdict::Ignored(_) => return self.push(path, was, Seen::Ignored),
            Verdict::Traverse => return self.subdirectories.push(path.as_str().to_owned()),
            Verdict::Included => self.found.count += 1,
        }
        match kind {
            Type::Directory => {
                self.subdirectories.push(path.as_str().to_owned());
                if was.is_none_or(|was| !was.kind.is_directory()) {
                    let found = Found {
                        item: Item::directory(),
                        version: syncline_core::Version::none(),
                        moved_from: None,
                    };
                    self.push(path, was, Seen::Present(found));
                }
            }
            Type::File | Type::Symlink => match status.map_or_else(|| self.directory.stat_raw(name.text), Ok)
            {
                Ok(stat) => self.look_at(path, &stat, was),
                Err(error) => self.push_unreadable(path, was, &error),
            },
            Type::Special(word) => {
                let message =
                    format!("it is a {word}, which cannot be synced; remove it or exclude its path");
                let problem = Problem::new(path.as_str(), "special_file", message);
                self.push(path, was, Seen::Unreadable(problem));
            }
            Type::Unknown => {
                let problem =
                    Problem::new(path.as_str(), "special_file", "it is of a kind that cannot be synced");
                self.push(path, was, Seen::Unreadable(problem));
            }
        }
    }

    /// Whether a file or link belongs to the target and is the one that both sides had agreed on. Nearly all are,
    /// so this makes no path of its own for them; whoever gets `false` looks again in full.
    fn is_unchanged(&mut self, name: &Name<'_>, was: &EntryRef<'_>) -> bool {
        if !matches!(name.kind, Type::File | Type::Symlink)
            || self.request.filter.decide_text(&self.text, false) != Verdict::Included
        {
            return false;
        }
        let known = self.directory.stat_raw(name.text).is_ok_and(|stat| self.is_known(&stat, was));
        self.found.count += u64::from(known);
        known
    }

    fn is_known(&self, stat: &Stat, was: &EntryRef<'_>) -> bool {
        kind_of(stat) == Some(was.kind) && Stamp::of(stat).is_known_as(was.versions[self.request.side])
    }

    /// Compares a file or link with what both sides had agreed on.
    fn look_at(&mut self, path: ItemPath, stat: &Stat, was: Option<&EntryRef<'_>>) {
        let Some(kind) = kind_of(stat) else {
            // It changed its type since the listing; the next scan sees what became of it.
            return self.push_unreadable(
                path,
                was,
                &std::io::Error::other("it changed while it was looked at"),
            );
        };
        if was.is_some_and(|was| self.is_known(stat, was)) {
            return;
        }
        let stamp = Stamp::of(stat);
        let digest = match kind {
            Kind::Symlink => {
                self.directory.read_link(path.name()).ok().map(|text| syncline_core::Digest::of(&text))
            }
            _ => (stat.size == 0).then(|| syncline_core::Digest::of(b"")),
        };
        let item = Item { kind, digest, size: stat.size, modified: stat.modified };
        let found = Found { item, version: stamp.encode(self.moment), moved_from: None };
        self.push(path, was, Seen::Present(found));
    }

    /// Spells out the path of a name in `text`; when the name is none, says so.
    fn spell(&mut self, name: &Name<'_>) -> bool {
        let Ok(text) = std::str::from_utf8(name.bytes()) else {
            self.not_utf8(name.bytes());
            return false;
        };
        self.text.clear();
        if !self.path.is_empty() {
            self.text.push_str(self.path);
            self.text.push('/');
        }
        self.text.push_str(text);
        true
    }

    /// The path spelled out last; when it can be none, says so.
    fn item_path(&mut self) -> Option<ItemPath> {
        match ItemPath::parse(&self.text) {
            Ok(path) => Some(path),
            Err(error) => {
                // No other side can hold such a path either: leaving it out proves nothing wrong.
                let shown = self.text.chars().take(200).collect::<String>();
                self.found.problems.push(Problem::new(shown, "path_too_long", error.to_string()));
                None
            }
        }
    }

    /// A name that is no text stands for itself under an escaped name, so that nothing above it is removed.
    fn not_utf8(&mut self, name: &[u8]) {
        let shown = name.escape_ascii().to_string();
        let problem =
            Problem::new(&shown, "name_not_utf8", "the name is not UTF-8; rename it to have it synced");
        match ItemPath::child(self.path, &shown) {
            Ok(path) => {
                let problem = Problem { path: path.as_str().to_owned(), ..problem };
                self.push(path, None, Seen::Unreadable(problem));
            }
            Err(_) => self.found.problems.push(problem),
        }
    }

    fn push_unreadable(&mut self, path: ItemPath, was: Option<&EntryRef<'_>>, error: &std::io::Error) {
        let problem = unreadable(path.as_str(), error);
        self.push(path, was, Seen::Unreadable(problem));
    }

    pub(super) fn push(&mut self, path: ItemPath, was: Option<&EntryRef<'_>>, now: Seen) {
        self.found.changes.push(Change { path, was: was.map(|was| Box::new(was.to_entry())), now });
    }
}

/// What an item is, by its status; `None` for what cannot be synced.
pub(super) const fn kind_of(stat: &Stat) -> Option<Kind> {
    match stat.kind {
        Type::File => Some(Kind::File { executable: stat.mode & 0o100 != 0 }),
        Type::Symlink => Some(Kind::Symlink),
        Type::Directory => Some(Kind::Directory),
        Type::Special(_) | Type::Unknown => None,
    }
}

/// Unreadable is not absent: not even what vanished during the walk, which may be about to come back.
fn unreadable(path: &str, error: &std::io::Error) -> Problem {
    let message = match error.kind() {
        std::io::ErrorKind::NotFound => {
            "it vanished while it was looked at; the next run sees what became of it".into()
        }
        std::io::ErrorKind::PermissionDenied => {
            "permission was refused; check the owner and the permissions, or exclude the path".into()
        }
        _ => format!("{error}; what is below it is left alone"),
    };
    Problem::new(path, "unreadable", message)
}

/// The error of a root that cannot be opened though it is there.
pub(super) fn root_error(error: std::io::Error, location: &str) -> Error {
    Error::io(error, format_args!("opening {location}"))
}
