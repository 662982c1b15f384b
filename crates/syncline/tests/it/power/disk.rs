//! A model of disks under power loss: what was changed, and which of the changes are durable since when.
//!
//! Each side of the target has a disk of its own. A change to a file's data is durable after a sync of that file or
//! of its disk, a change to names after a sync of a directory that it touches or of its disk. Everything else may
//! be lost, alone or together with any others, whatever came later; a rename is lost whole or not at all.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::time::SystemTime;

use super::trace::Call;

/// A file, directory or link, whatever its names are.
type Inode = usize;
/// A disk is told by the side that lies on it.
pub(super) type Side = String;

/// What an inode is and holds.
#[derive(Clone)]
pub(super) enum Node {
    File { bytes: Vec<u8>, mode: u32, modified: Option<SystemTime> },
    Directory { mode: u32, entries: BTreeMap<String, Inode> },
    Link { target: String },
}

/// The smallest things that are done or not.
#[derive(Clone)]
pub(super) enum Change {
    /// Names in directories, all at once: what each stands for from now on.
    Names(Vec<(Inode, String, Option<Inode>)>),
    Write {
        file: Inode,
        offset: usize,
        bytes: Vec<u8>,
    },
    Length {
        file: Inode,
        length: usize,
    },
    Mode {
        file: Inode,
        mode: u32,
    },
    Modified {
        file: Inode,
        modified: SystemTime,
    },
}

/// A change that a call made.
pub(super) struct Operation {
    pub(super) change: Change,
    pub(super) side: Side,
    /// What it is, for people.
    pub(super) told: String,
    /// The call that made it, by its number.
    call: usize,
    /// The call that made it durable.
    durable: Option<usize>,
}

/// Everything that happened to the disks.
pub(super) struct Disks {
    nodes: Vec<Node>,
    /// As `nodes`, with everything done so far.
    now: Vec<Node>,
    pub(super) operations: Vec<Operation>,
    /// Calls after which power may be lost: those that changed something or made it durable.
    pub(super) points: Vec<usize>,
    /// Those that made something durable.
    syncs: Vec<usize>,
    /// Where the next `write` to an open file goes.
    positions: HashMap<u64, usize>,
    /// The folder that holds both sides, as the trace names it.
    root: String,
}

/// Calls that change nothing on a disk.
const HARMLESS: [&str; 31] = [
    "access",
    "chdir",
    "close",
    "dup",
    "epoll_create1",
    "epoll_ctl",
    "epoll_wait",
    "eventfd2",
    "execve",
    "faccessat",
    "faccessat2",
    "fadvise64",
    "fcntl",
    "flock",
    "fstat",
    "fstatfs",
    "getcwd",
    "getdents64",
    "inotify_add_watch",
    "inotify_init1",
    "ioctl",
    "lseek",
    "newfstatat",
    "poll",
    "pread64",
    "read",
    "readlink",
    "readlinkat",
    "stat",
    "statfs",
    "statx",
];

impl Disks {
    /// Disks that hold what is in a folder, all of it durable.
    pub(super) fn of(folder: &Path, root: String) -> Self {
        let mut disks = Self {
            nodes: Vec::new(),
            now: Vec::new(),
            operations: Vec::new(),
            points: Vec::new(),
            syncs: Vec::new(),
            positions: HashMap::new(),
            root,
        };
        disks.load(folder);
        disks.now = disks.nodes.clone();
        disks
    }

    fn load(&mut self, path: &Path) -> Inode {
        let about = fs::symlink_metadata(path).unwrap();
        let inode = self.nodes.len();
        if about.is_symlink() {
            let target = fs::read_link(path).unwrap().to_str().unwrap().to_owned();
            self.nodes.push(Node::Link { target });
        } else if about.is_dir() {
            self.nodes.push(Node::Directory { mode: about.mode() & 0o777, entries: BTreeMap::new() });
            for entry in fs::read_dir(path).unwrap() {
                let entry = entry.unwrap();
                let child = self.load(&entry.path());
                let name = entry.file_name().to_str().unwrap().to_owned();
                let Node::Directory { entries, .. } = &mut self.nodes[inode] else { unreachable!() };
                entries.insert(name, child);
            }
        } else {
            let bytes = fs::read(path).unwrap();
            let modified = Some(about.modified().unwrap());
            self.nodes.push(Node::File { bytes, mode: about.mode() & 0o777, modified });
        }
        inode
    }

    /// Does what a user did to bring everything to where it is in another folder. Nothing of it is durable.
    pub(super) fn edit(&mut self, folder: &Path) {
        for side in fs::read_dir(folder).unwrap() {
            let name = side.unwrap().file_name().into_string().unwrap();
            self.edit_below(&folder.join(&name), &format!("{}/{name}", self.root));
        }
        // Power may be lost right away.
        self.points.push(0);
    }

    fn edit_below(&mut self, folder: &Path, path: &str) {
        let inode = self.inside(path).and_then(|inside| self.find(&inside)).unwrap();
        let Node::Directory { entries, .. } = self.now[inode].clone() else { unreachable!() };
        let gone = entries.keys().filter(|name| fs::symlink_metadata(folder.join(name)).is_err());
        gone.for_each(|name| self.remove(0, &format!("{path}/{name}")));
        for entry in fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            let (from, name) = (entry.path(), entry.file_name().into_string().unwrap());
            let to = format!("{path}/{name}");
            if from.is_symlink() || name == ".syncline" {
                continue;
            }
            let there = entries.get(&name).map(|inode| &self.now[*inode]);
            if from.is_dir() {
                if !matches!(there, Some(Node::Directory { .. })) {
                    self.make_directory(0, &to, 0o755);
                }
                self.edit_below(&from, &to);
                continue;
            }
            let bytes = fs::read(&from).unwrap();
            if matches!(there, Some(Node::File { bytes: old, .. }) if *old == bytes) {
                continue;
            }
            let modified = Some(entry.metadata().unwrap().modified().unwrap());
            self.make(0, &to, Node::File { bytes: Vec::new(), mode: 0o644, modified });
            let (file, side) = (self.now.len() - 1, Self::side(&self.inside(&to).unwrap()));
            self.add(0, side, Change::Write { file, offset: 0, bytes }, to);
        }
    }

    /// Does what a program did. A call that is not understood makes the test fail, lest it be left out.
    pub(super) fn play(&mut self, calls: &[Call]) {
        let mut counts = Vec::with_capacity(calls.len());
        for (number, call) in calls.iter().enumerate() {
            counts.push(self.operations.len());
            let before = self.operations.len();
            // What had not ended when a sync began may have been missed by it.
            let seen = counts[call.began.min(number)];
            let synced = self.call(number, call, seen);
            if synced {
                self.syncs.push(number);
            }
            if synced || self.operations.len() > before {
                self.points.push(number);
            }
        }
    }

    /// Does one call; tells whether it made something durable.
    fn call(&mut self, number: usize, call: &Call, seen: usize) -> bool {
        match call.name.as_str() {
            "openat" => self.open(number, call),
            "open" | "openat2" => {
                let reads = !["O_CREAT", "O_TRUNC", "O_WRONLY", "O_RDWR"].iter().any(|flag| call.shows(flag));
                assert!(reads, "{} opens for writing", call.name);
            }
            "write" | "pwrite64" => self.write(number, call),
            "ftruncate" => {
                if let Some((file, side)) = self.file(call, 0) {
                    let length = call.number(1) as usize;
                    self.add(number, side, Change::Length { file, length }, call.file(0).unwrap());
                }
            }
            "fchmod" => {
                if let Some((file, side)) = self.file(call, 0) {
                    let mode = call.number(1) as u32;
                    self.add(number, side, Change::Mode { file, mode }, call.file(0).unwrap());
                }
            }
            // SQLite gives its files the owner that the database has: the same one here.
            "fchown" => {}
            "utimensat" => self.set_time(number, call),
            "mkdir" => self.make_directory(number, &call.path(0), call.number(1) as u32),
            "mkdirat" => self.make_directory(number, &call.at(0, 1), call.number(2) as u32),
            "symlinkat" => {
                let target = String::from_utf8(call.bytes(0)).unwrap();
                self.make(number, &call.at(1, 2), Node::Link { target });
            }
            "unlink" | "rmdir" => self.remove(number, &call.path(0)),
            "unlinkat" => self.remove(number, &call.at(0, 1)),
            "rename" => self.rename(number, &call.path(0), &call.path(1), false),
            "renameat" => self.rename(number, &call.at(0, 1), &call.at(2, 3), false),
            "renameat2" => {
                let exchange = call.text(4) == "RENAME_EXCHANGE";
                assert!(exchange || call.text(4) == "RENAME_NOREPLACE", "renameat2 with {}", call.text(4));
                self.rename(number, &call.at(0, 1), &call.at(2, 3), exchange);
            }
            "fsync" | "fdatasync" | "syncfs" => return self.sync(number, call, seen),
            "mmap" => {
                let writes = call.text(2).contains("PROT_WRITE") && call.text(3).contains("MAP_SHARED");
                // The index of SQLite's log is built anew from the log itself when it is missing.
                let path = call.file(4).filter(|path| !path.ends_with("-shm"));
                assert!(!(writes && path.is_some()), "{path:?} is written through a memory map");
            }
            name => assert!(HARMLESS.contains(&name), "the model does not know the call {name}"),
        }
        if call.name == "lseek" {
            self.positions.insert(call.descriptor(0), call.returned() as usize);
        }
        false
    }

    /// The path within the folder, unless it is elsewhere or nothing that is kept.
    fn inside(&self, path: &str) -> Option<String> {
        let inside = path.strip_prefix(&self.root)?.strip_prefix('/')?;
        (!inside.ends_with("-shm")).then(|| inside.to_owned())
    }

    fn side(inside: &str) -> Side {
        inside.split('/').next().unwrap_or_default().to_owned()
    }

    /// The inode at a path as things are now.
    fn find(&self, inside: &str) -> Option<Inode> {
        inside.split('/').try_fold(0, |above, name| match &self.now[above] {
            Node::Directory { entries, .. } => entries.get(name).copied(),
            _ => None,
        })
    }

    fn file(&self, call: &Call, at: usize) -> Option<(Inode, Side)> {
        let inside = self.inside(&call.file(at)?)?;
        let inode =
            self.find(&inside).unwrap_or_else(|| panic!("{} on {inside}, which is not there", call.name));
        Some((inode, Self::side(&inside)))
    }

    /// The directory that holds a path, and the name in it.
    fn place(&self, inside: &str) -> (Inode, String) {
        let (above, name) = inside.rsplit_once('/').unwrap();
        let directory = self.find(above).unwrap_or_else(|| panic!("{above} is not there"));
        (directory, name.to_owned())
    }

    fn add(&mut self, call: usize, side: Side, change: Change, told: String) {
        change.apply(&mut self.now);
        let told = format!("{} {}", change.name(), told.trim_start_matches(&self.root));
        self.operations.push(Operation { change, side, told, call, durable: None });
    }

    fn make(&mut self, number: usize, path: &str, node: Node) {
        let Some(inside) = self.inside(path) else { return };
        let (directory, name) = self.place(&inside);
        let inode = self.nodes.len();
        self.nodes.push(node.clone());
        self.now.push(node);
        self.add(number, Self::side(&inside), Change::Names(vec![(directory, name, Some(inode))]), inside);
    }

    fn make_directory(&mut self, number: usize, path: &str, mode: u32) {
        self.make(number, path, Node::Directory { mode: mode & 0o755, entries: BTreeMap::new() });
    }

    fn open(&mut self, number: usize, call: &Call) {
        let descriptor = call.returned();
        self.positions.insert(descriptor, 0);
        let flags = call.text(2);
        let path = call.opened().filter(|_| flags.contains("O_CREAT") || flags.contains("O_TRUNC"));
        assert!(!flags.contains("O_APPEND"), "a file is opened for appending");
        let Some(inside) = path.as_deref().and_then(|path| self.inside(path)) else { return };
        match self.find(&inside) {
            None => {
                let mode = call.number(3) as u32 & 0o755;
                let node = Node::File { bytes: Vec::new(), mode, modified: None };
                self.make(number, path.as_deref().unwrap(), node);
            }
            Some(file) if flags.contains("O_TRUNC") => {
                self.add(number, Self::side(&inside), Change::Length { file, length: 0 }, inside);
            }
            Some(_) => {}
        }
    }

    fn write(&mut self, number: usize, call: &Call) {
        let Some((file, side)) = self.file(call, 0) else { return };
        let mut bytes = call.bytes(1);
        bytes.truncate(call.returned() as usize);
        let offset = if call.name == "pwrite64" {
            call.number(3) as usize
        } else {
            let position = self.positions.get_mut(&call.descriptor(0)).expect("a write at a known position");
            *position += bytes.len();
            *position - bytes.len()
        };
        self.add(number, side, Change::Write { file, offset, bytes }, call.file(0).unwrap());
    }

    fn set_time(&mut self, number: usize, call: &Call) {
        let path = if call.text(1) == "NULL" { call.file(0) } else { Some(call.at(0, 1)) };
        let Some(inside) = path.and_then(|path| self.inside(&path)) else { return };
        let part = |name: &str| {
            let text = call.text(2);
            let (_, rest) = text[text.rfind("{tv_sec").unwrap_or(0)..].split_once(name)?;
            rest[..rest.find(|c: char| !c.is_ascii_digit())?].parse::<u64>().ok()
        };
        let Some((seconds, nanoseconds)) = part("tv_sec=").zip(part("tv_nsec=")) else { return };
        let since = std::time::Duration::new(seconds, nanoseconds as u32);
        let file = self.find(&inside).unwrap();
        let modified = SystemTime::UNIX_EPOCH + since;
        self.add(number, Self::side(&inside), Change::Modified { file, modified }, inside);
    }

    fn remove(&mut self, number: usize, path: &str) {
        let Some(inside) = self.inside(path) else { return };
        let (directory, name) = self.place(&inside);
        self.add(number, Self::side(&inside), Change::Names(vec![(directory, name, None)]), inside);
    }

    fn rename(&mut self, number: usize, from: &str, to: &str, exchange: bool) {
        let (Some(from), Some(to)) = (self.inside(from), self.inside(to)) else { return };
        let (old, new) = (self.find(&from).unwrap(), self.find(&to));
        let (source, target) = (self.place(&from), self.place(&to));
        let left = new.filter(|_| exchange);
        let names = vec![(source.0, source.1, left), (target.0, target.1, Some(old))];
        self.add(number, Self::side(&from), Change::Names(names), format!("{from} -> {to}"));
    }

    fn sync(&mut self, number: usize, call: &Call, seen: usize) -> bool {
        let Some(path) = call.file(0) else { return false };
        let Some(inside) = self.inside(&path) else { return false };
        let side = Self::side(&inside);
        let inode = self.find(&inside).unwrap();
        for operation in &mut self.operations[..seen] {
            let reached = match call.name.as_str() {
                "syncfs" => operation.side == side,
                _ => operation.change.touches(inode),
            };
            if reached {
                operation.durable.get_or_insert(number);
            }
        }
        true
    }

    /// What is not durable after a call: numbers of operations.
    pub(super) fn pending(&self, point: usize) -> Vec<usize> {
        let pending = |at: &usize| {
            let operation = &self.operations[*at];
            operation.call <= point && operation.durable.is_none_or(|durable| durable > point)
        };
        (0..self.operations.len()).filter(pending).collect()
    }

    /// Whether the next thing after a call makes something durable.
    pub(super) fn is_last(&self, point: usize) -> bool {
        self.syncs.iter().any(|&sync| self.points.iter().rfind(|&&other| other < sync) == Some(&point))
    }

    /// The disks after power was lost at a point: what was durable, and what of the rest `survives`.
    ///
    /// `None` when a directory would have two places, which no file system lets happen.
    pub(super) fn after(
        &self,
        point: usize,
        mut survives: impl FnMut(usize) -> Option<Change>,
    ) -> Option<Image> {
        let mut nodes = self.nodes.clone();
        for (at, operation) in self.operations.iter().enumerate() {
            if operation.durable.is_some_and(|durable| durable <= point) {
                operation.change.apply(&mut nodes);
            } else if operation.call <= point
                && let Some(change) = survives(at)
            {
                change.apply(&mut nodes);
            }
        }
        let mut seen = vec![false; nodes.len()];
        let mut waiting = vec![0];
        while let Some(inode) = waiting.pop() {
            let Node::Directory { entries, .. } = &nodes[inode] else { continue };
            if std::mem::replace(&mut seen[inode], true) {
                return None;
            }
            waiting.extend(entries.values());
        }
        Some(Image { nodes })
    }

    /// The disks as the program left them, were power never lost.
    pub(super) fn image(&self) -> Image {
        Image { nodes: self.now.clone() }
    }
}

impl Change {
    const fn name(&self) -> &'static str {
        match self {
            Self::Names(_) => "name",
            Self::Write { .. } => "write",
            Self::Length { .. } => "length",
            Self::Mode { .. } => "mode",
            Self::Modified { .. } => "time",
        }
    }

    fn touches(&self, inode: Inode) -> bool {
        match self {
            Self::Names(names) => names.iter().any(|(directory, ..)| *directory == inode),
            Self::Write { file, .. }
            | Self::Length { file, .. }
            | Self::Mode { file, .. }
            | Self::Modified { file, .. } => *file == inode,
        }
    }

    fn apply(&self, nodes: &mut [Node]) {
        match self {
            Self::Names(names) => {
                for (directory, name, inode) in names {
                    let Node::Directory { entries, .. } = &mut nodes[*directory] else { unreachable!() };
                    match inode {
                        Some(inode) => entries.insert(name.clone(), *inode),
                        None => entries.remove(name),
                    };
                }
            }
            Self::Write { file, offset, bytes } => {
                let Node::File { bytes: all, .. } = &mut nodes[*file] else { unreachable!() };
                all.resize(all.len().max(offset + bytes.len()), 0);
                all[*offset..offset + bytes.len()].copy_from_slice(bytes);
            }
            Self::Length { file, length } => {
                let Node::File { bytes, .. } = &mut nodes[*file] else { unreachable!() };
                bytes.resize(*length, 0);
            }
            Self::Mode { file, mode: new } => {
                let Node::File { mode, .. } = &mut nodes[*file] else { unreachable!() };
                *mode = *new;
            }
            Self::Modified { file, modified: new } => {
                if let Node::File { modified, .. } = &mut nodes[*file] {
                    *modified = Some(*new);
                }
            }
        }
    }
}

/// What disks hold.
pub(super) struct Image {
    nodes: Vec<Node>,
}

impl Image {
    /// Calls `each` with the path of everything there is, directories first.
    pub(super) fn visit(&self, each: &mut dyn FnMut(&str, &Node)) {
        let mut waiting = vec![(String::new(), 0)];
        while let Some((path, inode)) = waiting.pop() {
            let node = &self.nodes[inode];
            each(&path, node);
            if let Node::Directory { entries, .. } = node {
                let child =
                    |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}/{name}") };
                waiting.extend(entries.iter().map(|(name, inode)| (child(name), *inode)));
            }
        }
    }

    /// Writes everything into a folder in place of what is there. State folders stay the folders that they are; where
    /// there is to be none, it waits in `parked`.
    pub(super) fn write_over(&self, folder: &Path, parked: &Path) {
        fs::create_dir_all(parked).unwrap();
        for side in ["a", "b"] {
            let (state, aside) = (folder.join(side).join(".syncline"), parked.join(side));
            if state.exists() {
                crate::kill::empty(&state, "");
                fs::rename(&state, &aside).unwrap();
            }
        }
        crate::kill::empty(folder, "");
        self.visit(&mut |path, node| {
            if let (Node::Directory { .. }, Some((side, ".syncline"))) = (node, path.split_once('/')) {
                let aside = parked.join(side);
                fs::create_dir_all(folder.join(side)).unwrap();
                if aside.exists() {
                    fs::rename(&aside, folder.join(path)).unwrap();
                }
            }
        });
        self.write_to(folder);
    }

    /// Writes everything into a folder.
    fn write_to(&self, folder: &Path) {
        self.visit(&mut |path, node| {
            let path = folder.join(path);
            match node {
                Node::Directory { mode, .. } => {
                    fs::create_dir_all(&path).unwrap();
                    fs::set_permissions(&path, fs::Permissions::from_mode(*mode)).unwrap();
                }
                Node::Link { target } => std::os::unix::fs::symlink(target, &path).unwrap(),
                Node::File { bytes, mode, modified } => {
                    fs::write(&path, bytes).unwrap();
                    let file = fs::File::open(&path).unwrap();
                    if let Some(modified) = modified {
                        file.set_modified(*modified).unwrap();
                    }
                    file.set_permissions(fs::Permissions::from_mode(*mode)).unwrap();
                }
            }
        });
    }
}
