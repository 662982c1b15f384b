//! The folder `.syncline/staging/<run>` in which one batch prepares what it puts, and takes aside what it removes.
//!
//! - `new0`, `new1`: new content, one directory for each thread. Nothing here is worth keeping after a crash: its
//!   source still has it.
//! - `tree`: new folders with all that is in them; the same holds for these.
//! - `swap`: the few items that are changing places at this moment. After a crash one of them may be what a user
//!   wrote an instant before the swap and nothing else holds, so each is kept in history before it is removed.
//!
//! A run holds the lock of its folder as long as it lives; folders whose lock is free are left over from runs that
//! died, and the next batch clears them away.

use std::io;

use syncline_connect::{Batch, Content, Error, ErrorKind, Result};
use syncline_core::{Digest, ItemPath};
use tokio::runtime::Handle;

use super::names::Names;
use super::platform::{Directory, Type};
use super::rescued::rescue;
use super::{STATE, is_word};

/// Threads of a batch.
pub(super) const THREADS_MAX: usize = 2;
/// Steps from which a second thread pays.
pub(super) const STAGING_THREADS_FROM: usize = 32;

/// How often the folder is made again when another program removes it at the same moment.
const TRIES: usize = 5;

/// The staging folder of one batch.
pub(super) struct Staging {
    /// `.syncline`.
    pub(super) state: Directory,
    /// Where new content is put together, one for each thread.
    pub(super) new: Vec<Directory>,
    /// Where new folders are put together.
    pub(super) tree: Directory,
    /// Where things change places.
    pub(super) swap: Directory,
    all: Directory,
    run: String,
    /// Holds the lock.
    own: Directory,
}

impl Staging {
    /// Makes the staging folder of a batch, after clearing away what runs that died have left.
    ///
    /// # Errors
    /// When it cannot be made, or another batch of the same run is at work.
    pub(super) fn open(root: &Directory, location: &str, batch: &Batch, handle: &Handle) -> Result<Self> {
        if !is_word(&batch.run) {
            return Err(Error::new(
                ErrorKind::Invalid,
                format!("{:?} cannot be the name of a run", batch.run),
            ));
        }
        let failed = |error: io::Error| Error::io(error, format_args!("making {location}/{STATE}/staging"));
        let state = make_and_open(root, STATE).map_err(failed)?;
        // Another program that ends may remove the empty folder under our hands: then it is made again.
        let (all, guard, own) = (0..TRIES)
            .find_map(|_| match Self::enter(&state, batch, handle) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => None,
                entered => Some(entered),
            })
            .unwrap_or_else(|| Self::enter(&state, batch, handle))
            .map_err(failed)?;
        if !own.try_lock().map_err(failed)? {
            return Err(Error::new(ErrorKind::Locked, format!("run {} is still at work here", batch.run)));
        }
        drop(guard);
        let new = (0..THREADS_MAX)
            .map(|thread| make_and_open(&own, &format!("new{thread}")))
            .collect::<io::Result<Vec<_>>>()
            .map_err(failed)?;
        let tree = make_and_open(&own, "tree").map_err(failed)?;
        let swap = make_and_open(&own, "swap").map_err(failed)?;
        Ok(Self { state, new, tree, swap, all, run: batch.run.clone(), own })
    }

    /// The folder of all batches, the handle that holds its lock, and the folder of this batch.
    fn enter(
        state: &Directory,
        batch: &Batch,
        handle: &Handle,
    ) -> io::Result<(Directory, Directory, Directory)> {
        let all = make_and_open(state, "staging")?;
        // Held until the own folder is locked, so that nobody takes it for a left-over in between.
        let guard = state.beneath("staging")?;
        guard.lock()?;
        sweep(state, &all, batch, handle)?;
        let own = make_and_open(&all, &batch.run)?;
        Ok((all, guard, own))
    }

    /// Takes something in `swap` that is neither expected nor new out of the way, where a person finds it.
    pub(super) fn rescue(&self, name: &str, path: &ItemPath) -> io::Result<()> {
        rescue(&self.state, &self.swap, name, &self.run, Some(path.as_str()))
    }

    /// Removes the folder of this batch; `all` of staging too when it is empty and `keep` is not set.
    pub(super) fn close(self, keep: bool) -> io::Result<()> {
        for (thread, new) in self.new.iter().enumerate() {
            clear(new)?;
            self.own.remove_directory(&format!("new{thread}"))?;
        }
        clear(&self.tree)?;
        self.own.remove_directory("tree")?;
        self.own.remove_directory("swap")?;
        self.all.remove_directory(&self.run)?;
        if !keep {
            // Another run may be there: then it stays.
            let _ = self.state.remove_directory("staging");
        }
        Ok(())
    }
}

/// Opens a directory, and makes it first where it is missing; only the owner may look into it.
pub(super) fn make_and_open(parent: &Directory, name: &str) -> io::Result<Directory> {
    match parent.beneath(name) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            match parent.make_directory(name, 0o700) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
                _ => {}
            }
            parent.beneath(name)
        }
        opened => opened,
    }
}

/// Clears away the folders of runs that died.
fn sweep(state: &Directory, all: &Directory, batch: &Batch, handle: &Handle) -> io::Result<()> {
    for run in names_in(all)? {
        let Ok(folder) = all.beneath(&run) else { continue };
        if !folder.try_lock()? {
            continue;
        }
        for part in names_in(&folder)? {
            let Ok(directory) = folder.beneath(&part) else {
                continue;
            };
            if part == "swap" {
                keep_all(state, &directory, batch, handle, &run)?;
            } else {
                clear(&directory)?;
            }
            folder.remove_directory(&part)?;
        }
        all.remove_directory(&run)?;
    }
    Ok(())
}

/// Keeps everything that was changing places when a run died, then removes it.
fn keep_all(
    state: &Directory,
    swap: &Directory,
    batch: &Batch,
    handle: &Handle,
    run: &str,
) -> io::Result<()> {
    let mut kept = Vec::new();
    for name in names_in(swap)? {
        let content = match swap.stat(&name)?.kind {
            Type::File => Content::reader(swap.file(&name)?),
            Type::Symlink => Content::bytes(swap.read_link(&name)?),
            _ => {
                // An empty directory holds nothing; one that is not is somebody's work.
                if swap.remove_directory(&name).is_err() {
                    rescue(state, swap, &name, run, None)?;
                }
                continue;
            }
        };
        let digest = match swap.stat(&name)?.kind {
            Type::Symlink => Digest::of(&swap.read_link(&name)?),
            _ => hash(&mut swap.file(&name)?)?,
        };
        handle.block_on(batch.history.keep(&digest, content)).map_err(io::Error::other)?;
        kept.push(name);
    }
    if !kept.is_empty() {
        handle.block_on(batch.history.sync()).map_err(io::Error::other)?;
    }
    kept.iter().try_for_each(|name| swap.remove_file(name))
}

/// The digest of everything that a reader gives.
pub(super) fn hash(reader: &mut impl io::Read) -> io::Result<Digest> {
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(reader)?;
    Ok(hasher.finalize().into())
}

/// Removes everything in a directory, however deep, without following a link.
fn clear(directory: &Directory) -> io::Result<()> {
    let mut waiting: Vec<(String, bool)> = vec![(String::new(), false)];
    while let Some((path, emptied)) = waiting.pop() {
        if emptied {
            let (above, name) = path.rsplit_once('/').unwrap_or(("", &path));
            directory.beneath(above)?.remove_directory(name)?;
            continue;
        }
        let opened = directory.beneath(&path)?;
        if !path.is_empty() {
            waiting.push((path.clone(), true));
        }
        for name in names_in(&opened)? {
            if opened.remove_file(&name).is_err() {
                waiting.push((if path.is_empty() { name } else { format!("{path}/{name}") }, false));
            }
        }
    }
    Ok(())
}

fn names_in(directory: &Directory) -> io::Result<Vec<String>> {
    let mut names = Names::default();
    names.read(directory)?;
    Ok(names.sorted().map(|name| String::from_utf8_lossy(name.bytes()).into_owned()).collect())
}
