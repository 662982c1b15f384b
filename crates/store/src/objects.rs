//! The content store: immutable contents by their digest.

mod folder;
mod memory;
mod reader;
mod writer;

use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use syncline_core::Digest;

use crate::error::{Error, Result};
use folder::Folder;
use memory::Memory;

pub(crate) use reader::Blob;
pub use reader::ObjectReader;
pub(crate) use writer::ObjectWriter;

/// The content store of a workspace: every content once, by its digest. Cheap to clone; calls block.
///
/// On disk an object is `objects/ab/<62 digits>` as it is, or the same with `.zst` behind it (see
/// [`Objects::put`]). What is put is durable after [`Objects::sync`] returns, not before.
#[derive(Clone)]
pub struct Objects(Arc<Backend>);

enum Backend {
    Folder(Folder),
    Memory(Memory),
}

/// How much the content store holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Total {
    /// Objects.
    pub count: u64,
    /// Bytes as stored.
    pub bytes: u64,
}

impl Objects {
    pub(crate) fn in_folder(folder: &Path) -> Result<Self> {
        Ok(Self(Arc::new(Backend::Folder(Folder::open(folder)?))))
    }

    pub(crate) fn in_memory() -> Self {
        Self(Arc::new(Backend::Memory(Memory::default())))
    }

    /// Puts `bytes` and returns their digest.
    ///
    /// - An object that is there already and sound is not written again; one that is not sound is replaced.
    /// - Compressed with zstd from 4 KiB on, when that saves at least a tenth of the first 64 KiB.
    ///
    /// # Errors
    /// When it cannot be written; then nothing is left behind.
    pub fn put(&self, bytes: &[u8]) -> Result<Digest> {
        let digest = Digest::of(bytes);
        match &*self.0 {
            Backend::Folder(folder) => folder.put(&digest, bytes)?,
            Backend::Memory(memory) => memory.put(digest, bytes.into()),
        }
        Ok(digest)
    }

    /// Puts what `reader` gives, in bounded memory, and returns its digest and its size in bytes.
    ///
    /// - With `expected`, content of another digest is refused and nothing is left behind.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Mismatch`] when the content is not the expected one; otherwise when it cannot be
    /// read or written.
    pub fn put_reader(&self, reader: &mut dyn Read, expected: Option<Digest>) -> Result<(Digest, u64)> {
        match &*self.0 {
            Backend::Folder(folder) => folder.put_reader(reader, expected),
            Backend::Memory(memory) => memory.put_reader(reader, expected),
        }
    }

    /// Opens an object; the reader checks the digest when it reaches the end.
    ///
    /// # Errors
    /// [`crate::ErrorKind::NotFound`] when there is none; otherwise when it cannot be opened.
    pub fn open(&self, digest: &Digest) -> Result<ObjectReader> {
        match &*self.0 {
            Backend::Folder(folder) => folder.open_object(digest),
            Backend::Memory(memory) => memory.open_object(digest),
        }
    }

    /// Whether there is an object of that digest; its content is not looked at.
    #[must_use]
    pub fn contains(&self, digest: &Digest) -> bool {
        match &*self.0 {
            Backend::Folder(folder) => folder.find(digest).is_some(),
            Backend::Memory(memory) => memory.get(digest).is_some(),
        }
    }

    /// The size of an object's content in bytes.
    ///
    /// # Errors
    /// As [`Objects::open`].
    pub fn size(&self, digest: &Digest) -> Result<u64> {
        Ok(self.open(digest)?.size())
    }

    /// Whether an object is there and is what its digest says.
    ///
    /// # Errors
    /// When it cannot be read for another reason than damage.
    pub fn verify(&self, digest: &Digest) -> Result<bool> {
        match &*self.0 {
            Backend::Folder(folder) => folder.verify(digest),
            Backend::Memory(memory) => Ok(memory.get(digest).is_some()),
        }
    }

    /// Calls `each` with every object's digest and its stored size in bytes, in no particular order.
    ///
    /// # Errors
    /// When a folder cannot be listed.
    pub fn list(&self, each: &mut dyn FnMut(Digest, u64)) -> Result<()> {
        match &*self.0 {
            Backend::Folder(folder) => folder.list(each),
            Backend::Memory(memory) => {
                memory.list(each);
                Ok(())
            }
        }
    }

    /// Removes an object; `false` when there was none.
    ///
    /// # Errors
    /// When it is there and cannot be removed.
    pub fn remove(&self, digest: &Digest) -> Result<bool> {
        match &*self.0 {
            Backend::Folder(folder) => folder.remove(digest),
            Backend::Memory(memory) => Ok(memory.remove(digest)),
        }
    }

    /// Sets a damaged object aside, where nothing looks for it and a person can; `false` when it is sound or not there.
    ///
    /// # Errors
    /// When it cannot be read for another reason than damage, or not be moved.
    pub fn set_aside(&self, digest: &Digest) -> Result<bool> {
        match &*self.0 {
            Backend::Folder(folder) => folder.set_aside(digest),
            // Memory does not rot.
            Backend::Memory(_) => Ok(false),
        }
    }

    /// Whether an object was set aside, and is not there again.
    #[must_use]
    pub fn is_set_aside(&self, digest: &Digest) -> bool {
        match &*self.0 {
            Backend::Folder(folder) => folder.is_set_aside(digest),
            Backend::Memory(_) => false,
        }
    }

    /// How many objects lie aside.
    #[must_use]
    pub fn aside_count(&self) -> u64 {
        match &*self.0 {
            Backend::Folder(folder) => folder.aside_count(),
            Backend::Memory(_) => 0,
        }
    }

    /// Makes everything put so far durable, whoever put it. Nothing to do when nothing was put since the last time.
    ///
    /// # Errors
    /// When the system could not; then everything put since the last success is taken back, because a second
    /// attempt would claim a durability that nobody has. Others who put something learn it from
    /// [`Objects::failures`] alone.
    pub fn sync(&self) -> Result<()> {
        match &*self.0 {
            Backend::Folder(folder) => folder.sync(),
            Backend::Memory(memory) => {
                memory.sync();
                Ok(())
            }
        }
    }

    /// Loses power, for simulation in memory: of what was put and not made durable, only that survives of which
    /// `survives` says so. Objects on disk are left alone.
    pub fn lose_power(&self, survives: &mut dyn FnMut() -> bool) {
        if let Backend::Memory(memory) = &*self.0 {
            memory.lose_power(survives);
        }
    }

    /// How many syncs have failed. When this is another number after a sync than before a content was put, that
    /// content may have been taken back.
    #[must_use]
    pub fn failures(&self) -> u64 {
        match &*self.0 {
            Backend::Folder(folder) => folder.failures(),
            Backend::Memory(_) => 0,
        }
    }

    /// How much there is.
    ///
    /// # Errors
    /// As [`Objects::list`].
    pub fn total(&self) -> Result<Total> {
        let mut total = Total::default();
        self.list(&mut |_, bytes| {
            total.count += 1;
            total.bytes += bytes;
        })?;
        Ok(total)
    }

    /// Starts an object that is never compressed and durable when finished: the store's own formats.
    pub(crate) fn writer(&self) -> Result<ObjectWriter> {
        match &*self.0 {
            Backend::Folder(folder) => Ok(ObjectWriter::to_file(self.clone(), folder.temporary()?)),
            Backend::Memory(_) => Ok(ObjectWriter::to_memory(self.clone())),
        }
    }

    /// Opens an object that is not compressed for reading at any offset.
    pub(crate) fn blob(&self, digest: &Digest) -> Result<Blob> {
        match &*self.0 {
            Backend::Folder(folder) => folder.blob(digest),
            Backend::Memory(memory) => memory.get(digest).map(Blob::Memory).ok_or_else(|| absent(digest)),
        }
    }

    /// Removes an object unless it became what it is less than `age_min` ago; returns its stored size when it
    /// was removed. In memory there is no clock: what was put since the last call of [`Objects::age`] stays.
    pub(crate) fn remove_older(&self, digest: &Digest, age_min: Duration) -> Result<Option<u64>> {
        match &*self.0 {
            Backend::Folder(folder) => folder.remove_older(digest, age_min),
            Backend::Memory(memory) => Ok(memory.remove_old(digest)),
        }
    }

    /// Makes every object in memory old enough for the next [`Objects::remove_older`].
    pub(crate) fn age(&self) {
        if let Backend::Memory(memory) = &*self.0 {
            memory.age();
        }
    }
}

/// The error for an object that is not there.
fn absent(digest: &Digest) -> Error {
    Error::not_found(format!("the object {digest} is not in the content store"))
}

/// The error for an object that is not what its digest says.
fn unsound(digest: &Digest) -> Error {
    Error::damaged(format!("the object {digest} is damaged: its content has another digest"))
}
