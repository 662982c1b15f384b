//! Writing objects.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use syncline_core::Digest;

use super::{Backend, Objects};
use crate::error::{Error, ErrorKind, Result};
use crate::platform;

/// The error for content that is not the expected one.
pub(super) fn mismatch(expected: &Digest, found: &Digest) -> Error {
    Error::new(
        ErrorKind::Mismatch,
        format!("the content to keep has the digest {} instead of {}", found.short(), expected.short()),
    )
}

/// A file in `objects/tmp` that is removed unless it becomes an object. Its lock tells other processes that
/// somebody still writes it.
pub(super) struct Temporary {
    pub(super) path: PathBuf,
    pub(super) file: File,
    kept: bool,
}

impl Temporary {
    pub(super) fn create(folder: &Path) -> Result<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        loop {
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let path = folder.join(format!("{}-{number}", std::process::id()));
            let opened = platform::private_file(OpenOptions::new().write(true).create_new(true)).open(&path);
            let file = match opened {
                Ok(file) => file,
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                Err(error) => return Err(Error::io("create", &path, &error)),
            };
            let temporary = Self { path, file, kept: false };
            // Another process that cleans up may have been faster than the lock: then try another one.
            let named = temporary.file.lock().and_then(|()| temporary.file.metadata());
            match named {
                Ok(metadata) if platform::has_name(&metadata) => return Ok(temporary),
                Ok(_) => {}
                Err(error) => return Err(Error::io("lock", &temporary.path, &error)),
            }
        }
    }

    /// Gives the file its final name, in place of what has it now.
    pub(super) fn keep(mut self, name: &Path) -> io::Result<()> {
        std::fs::rename(&self.path, name)?;
        self.kept = true;
        Ok(())
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if !self.kept {
            // A file that stays is removed when the store is next opened.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Removes the temporary files of processes that are gone.
pub(super) fn clean(folder: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let Ok(file) = File::open(&path) else { continue };
        if file.try_lock().is_ok() {
            let _ = std::fs::remove_file(&path);
        }
    }
    Ok(())
}

/// Writes one of the store's own objects: never compressed, durable when finished, nothing left when dropped.
pub(crate) struct ObjectWriter {
    objects: Objects,
    temporary: Option<Temporary>,
    buffer: Vec<u8>,
    hasher: blake3::Hasher,
}

/// How much is gathered before it is hashed and written.
const BUFFER_BYTES: usize = 256 * 1024;

impl ObjectWriter {
    pub(super) fn to_file(objects: Objects, temporary: Temporary) -> Self {
        Self { objects, temporary: Some(temporary), buffer: Vec::new(), hasher: blake3::Hasher::new() }
    }

    pub(super) fn to_memory(objects: Objects) -> Self {
        Self { objects, temporary: None, buffer: Vec::new(), hasher: blake3::Hasher::new() }
    }

    /// Appends `bytes`.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= BUFFER_BYTES { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<()> {
        if let Some(temporary) = &mut self.temporary {
            self.hasher.update(&self.buffer);
            temporary
                .file
                .write_all(&self.buffer)
                .map_err(|error| Error::io("write", &temporary.path, &error))?;
            self.buffer.clear();
        }
        Ok(())
    }

    /// Makes the object durable and returns its digest.
    pub(crate) fn finish(mut self) -> Result<Digest> {
        self.flush()?;
        match (self.temporary.take(), &*self.objects.0) {
            (Some(temporary), Backend::Folder(folder)) => {
                let digest = Digest::from(self.hasher.finalize());
                folder.keep_durably(temporary, &digest)?;
                Ok(digest)
            }
            (_, Backend::Memory(memory)) => {
                let digest = Digest::of(&self.buffer);
                memory.put_durably(digest, Arc::from(self.buffer));
                Ok(digest)
            }
            (None, Backend::Folder(_)) => {
                Err(Error::new(ErrorKind::Io, "an object was written without a file"))
            }
        }
    }
}
