//! What both sides last agreed on.

use std::collections::BTreeMap;

use crate::digest::Digest;
use crate::item::{Kind, Version};
use crate::path::ItemPath;
use crate::side::Sides;

/// One agreed item, with the version that each side had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What it is.
    pub kind: Kind,
    /// The digest of its content; all zero for a directory.
    pub digest: Digest,
    /// Bytes of content.
    pub size: u64,
    /// The version that each side had.
    pub versions: Sides<Version>,
}

/// An [`Entry`] that borrows from the baseline's own storage, with the name of the item in its directory.
#[derive(Clone, Copy, Debug)]
pub struct EntryRef<'a> {
    /// The last component of the path.
    pub name: &'a str,
    /// What it is.
    pub kind: Kind,
    /// The digest of its content; all zero for a directory.
    pub digest: Digest,
    /// Bytes of content.
    pub size: u64,
    /// The version that each side had.
    pub versions: Sides<&'a [u8]>,
}

impl EntryRef<'_> {
    /// Copies the entry out of the baseline's storage.
    #[must_use]
    pub fn to_entry(&self) -> Entry {
        Entry {
            kind: self.kind,
            digest: self.digest,
            size: self.size,
            versions: self.versions.map(Version::new),
        }
    }
}

/// The baseline's storage is damaged: nothing that it says may be trusted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the baseline is damaged: {0}")]
pub struct Damaged(pub String);

/// What both sides last agreed on. It never changes: the next one is another object.
///
/// A directory at a time, so that memory stays flat however large the tree is.
pub trait Baseline: Send + Sync {
    /// How many items are agreed on.
    fn count(&self) -> u64;

    /// A digest that no baseline of other content has, where one is known without looking at everything. Baselines
    /// of equal content may have different ones.
    fn identity(&self) -> Option<Digest> {
        None
    }

    /// Calls `each` for every item directly inside `directory` (the root is ""), in byte order of the names.
    ///
    /// # Errors
    /// When the storage is damaged.
    fn visit(&self, directory: &str, each: &mut dyn FnMut(EntryRef<'_>)) -> Result<(), Damaged>;

    /// Calls `each` with every directory that directly holds an agreed item (the root is ""), in path order.
    ///
    /// A directory above an agreed item need not be one itself: include rules may leave it out.
    fn directories(&self, each: &mut dyn FnMut(&str));

    /// The entry of one path.
    ///
    /// # Errors
    /// When the storage is damaged.
    fn get(&self, path: &ItemPath) -> Result<Option<Entry>, Damaged> {
        let mut found = None;
        self.visit(path.parent(), &mut |entry| {
            if entry.name == path.name() {
                found = Some(entry.to_entry());
            }
        })?;
        Ok(found)
    }
}

/// Calls `each` for every agreed item, a directory's items before those of the directories below it.
///
/// # Errors
/// When the storage is damaged.
pub fn visit_all(baseline: &dyn Baseline, each: &mut dyn FnMut(ItemPath, Entry)) -> Result<(), Damaged> {
    let mut directories = Vec::new();
    baseline.directories(&mut |directory| directories.push(directory.to_owned()));
    for directory in &directories {
        let mut bad = None;
        baseline.visit(directory, &mut |entry| match ItemPath::child(directory, entry.name) {
            Ok(path) => each(path, entry.to_entry()),
            Err(error) => bad = Some(Damaged(error.to_string())),
        })?;
        if let Some(bad) = bad {
            return Err(bad);
        }
    }
    Ok(())
}

/// A baseline held in memory: for tests, for simulation, and as the empty start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemoryBaseline {
    directories: BTreeMap<String, BTreeMap<String, Entry>>,
}

impl MemoryBaseline {
    /// Adds, replaces (`Some`) or removes (`None`) the entry of one path.
    pub fn set(&mut self, path: &ItemPath, entry: Option<Entry>) {
        let (parent, name) = (path.parent().to_owned(), path.name().to_owned());
        match entry {
            Some(entry) => {
                self.directories.entry(parent).or_default().insert(name, entry);
            }
            None => {
                if let Some(names) = self.directories.get_mut(&parent) {
                    names.remove(&name);
                    if names.is_empty() {
                        self.directories.remove(&parent);
                    }
                }
            }
        }
    }
}

impl Baseline for MemoryBaseline {
    fn count(&self) -> u64 {
        self.directories.values().map(|names| names.len() as u64).sum()
    }

    fn visit(&self, directory: &str, each: &mut dyn FnMut(EntryRef<'_>)) -> Result<(), Damaged> {
        for (name, entry) in self.directories.get(directory).into_iter().flatten() {
            each(EntryRef {
                name,
                kind: entry.kind,
                digest: entry.digest,
                size: entry.size,
                versions: entry.versions.as_ref().map(Version::as_bytes),
            });
        }
        Ok(())
    }

    fn directories(&self, each: &mut dyn FnMut(&str)) {
        let mut directories: Vec<&str> = self.directories.keys().map(String::as_str).collect();
        directories.sort_by(|a, b| crate::path::compare(a, b));
        directories.into_iter().for_each(each);
    }
}
