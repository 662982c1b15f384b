//! Reading objects.

use std::fs::File;
use std::io::{self, BufReader, Cursor, Read};
use std::sync::Arc;

use syncline_core::Digest;

use crate::platform;

/// Reads the content of an object and checks its digest when it reaches the end: only what was read to the end
/// without an error is sound.
pub struct ObjectReader {
    source: Source,
    hasher: blake3::Hasher,
    digest: Digest,
    size: u64,
    read: u64,
}

enum Source {
    File(File),
    Compressed(Box<zstd::stream::read::Decoder<'static, BufReader<File>>>),
    Memory(Cursor<Arc<[u8]>>),
}

impl ObjectReader {
    fn new(source: Source, digest: Digest, size: u64) -> Self {
        Self { source, hasher: blake3::Hasher::new(), digest, size, read: 0 }
    }

    pub(super) fn of_file(digest: Digest, file: File, size: u64) -> Self {
        Self::new(Source::File(file), digest, size)
    }

    pub(super) fn of_compressed(digest: Digest, file: File, size: u64) -> io::Result<Self> {
        let decoder = zstd::stream::read::Decoder::new(file)?;
        Ok(Self::new(Source::Compressed(Box::new(decoder)), digest, size))
    }

    pub(super) fn of_memory(digest: Digest, bytes: Arc<[u8]>) -> Self {
        let size = bytes.len() as u64;
        Self::new(Source::Memory(Cursor::new(bytes)), digest, size)
    }

    /// The size of the content in bytes, as stored; the end of the reading proves it.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    fn unsound(&self) -> io::Error {
        io::Error::new(io::ErrorKind::InvalidData, format!("the object {} is damaged", self.digest))
    }
}

impl Read for ObjectReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        let count = match &mut self.source {
            Source::File(file) => file.read(buffer)?,
            // Whatever a decoder dislikes is damage; it has no other way to fail but the disk itself.
            Source::Compressed(decoder) => match decoder.read(buffer) {
                Err(error) if error.raw_os_error().is_none() => return Err(self.unsound()),
                result => result?,
            },
            Source::Memory(bytes) => bytes.read(buffer)?,
        };
        self.read += count as u64;
        self.hasher.update(&buffer[..count]);
        // A compressed object may not grow beyond what it says: that bounds what a damaged one can cost.
        let ended = count == 0;
        if self.read > self.size
            || (ended && (self.read != self.size || Digest::from(self.hasher.finalize()) != self.digest))
        {
            return Err(self.unsound());
        }
        Ok(count)
    }
}

/// The bytes of an object that is not compressed, readable at any offset. The name may be removed meanwhile.
pub(crate) enum Blob {
    /// An open file and its length in bytes.
    File(File, u64),
    /// In memory.
    Memory(Arc<[u8]>),
}

impl Blob {
    /// Its length in bytes.
    pub(crate) fn length(&self) -> u64 {
        match self {
            Self::File(_, length) => *length,
            Self::Memory(bytes) => bytes.len() as u64,
        }
    }

    /// Fills `buffer` with the bytes at `offset`.
    pub(crate) fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        match self {
            Self::File(file, _) => platform::read_exact_at(file, buffer, offset),
            Self::Memory(bytes) => {
                let start = usize::try_from(offset).ok().filter(|start| *start <= bytes.len());
                let from = start.map_or(&[][..], |start| &bytes[start..]);
                let part = from.get(..buffer.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
                buffer.copy_from_slice(part);
                Ok(())
            }
        }
    }
}
