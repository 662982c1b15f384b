//! Base objects: a whole baseline in one immutable object.
//!
//! The format, all numbers little-endian:
//! - head: 8 bytes of magic, version (4 bytes);
//! - chunks of records (see [`crate::codec`]; only the entry after is there): the direct children of one
//!   directory, sorted by name, cut into several chunks when there are many;
//! - index: for every directory in path order its path, the number of its chunks, and for each chunk its length,
//!   the number of its records, its CRC-32 (4 bytes), and its first name (empty for the first chunk);
//!   texts have their length in front, numbers are varints;
//! - trailer: length of the index, number of directories, number of entries (8 bytes each), 8 bytes of magic.
//!
//! The digest of the whole object is checked when it is opened, and the checksum of a chunk whenever it is
//! read, so that a disk that decays meanwhile is noticed too.

use std::cell::Cell;
use std::ops::Range;
use std::sync::Arc;

use syncline_core::path::compare;
use syncline_core::{Digest, Entry, EntryRef, ItemPath};

use crate::codec::{Reader, Record, malformed, write_varint};
use crate::error::{Error, Result, kind_of};
use crate::layers::{FRAME_BYTES, FRAME_BYTES_MAX, damaged_when_absent, each_record, newer_format};
use crate::merge::{Frames, Order};
use crate::objects::{Blob, ObjectWriter, Objects};

const MAGIC: [u8; 8] = *b"SYNCBASE";
const MAGIC_END: [u8; 8] = *b"BASEDONE";
const VERSION: u32 = 1;
const HEAD_BYTES: u64 = 12;
const TRAILER_BYTES: usize = 32;
const SUM_BYTES: usize = 4;

/// CRC-32 as in IEEE 802.3. The digest proves the whole object; this only has to notice what happened since.
fn sum(chunk: &[u8]) -> [u8; SUM_BYTES] {
    crc32fast::hash(chunk).to_le_bytes()
}

/// Writes a base object from records in order.
pub(crate) struct BaseWriter {
    out: ObjectWriter,
    order: Order,
    directory: String,
    /// The encoded index of finished directories.
    index: Vec<u8>,
    /// The encoded chunks of the current directory, and how many they are.
    chunks: (Vec<u8>, u64),
    chunk: Vec<u8>,
    chunk_entries: u64,
    chunk_first: String,
    directories: u64,
    entries: u64,
}

impl BaseWriter {
    pub(crate) fn new(objects: &Objects) -> Result<Self> {
        let mut out = objects.writer()?;
        out.write(&MAGIC)?;
        out.write(&VERSION.to_le_bytes())?;
        Ok(Self {
            out,
            order: Order::default(),
            directory: String::new(),
            index: Vec::new(),
            chunks: (Vec::new(), 0),
            chunk: Vec::new(),
            chunk_entries: 0,
            chunk_first: String::new(),
            directories: 0,
            entries: 0,
        })
    }

    /// Appends what `record` says is there now.
    pub(crate) fn push(&mut self, directory: &str, record: &Record<'_>) -> Result<()> {
        if self.order.next(directory, record.name)? {
            self.end_directory()?;
            self.directory.push_str(directory);
        } else if self.chunk.len() >= FRAME_BYTES {
            self.end_chunk()?;
            self.chunk_first.push_str(record.name);
        }
        record.write_lean(&mut self.chunk);
        self.chunk_entries += 1;
        self.entries += 1;
        Ok(())
    }

    fn end_chunk(&mut self) -> Result<()> {
        let (encoded, count) = &mut self.chunks;
        write_varint(self.chunk.len() as u64, encoded);
        write_varint(self.chunk_entries, encoded);
        encoded.extend_from_slice(&sum(&self.chunk));
        write_varint(self.chunk_first.len() as u64, encoded);
        encoded.extend_from_slice(self.chunk_first.as_bytes());
        *count += 1;
        self.out.write(&self.chunk)?;
        self.chunk.clear();
        self.chunk_first.clear();
        self.chunk_entries = 0;
        Ok(())
    }

    fn end_directory(&mut self) -> Result<()> {
        if self.chunk_entries > 0 {
            self.end_chunk()?;
            write_varint(self.directory.len() as u64, &mut self.index);
            self.index.extend_from_slice(self.directory.as_bytes());
            write_varint(self.chunks.1, &mut self.index);
            self.index.append(&mut self.chunks.0);
            self.chunks.1 = 0;
            self.directories += 1;
        }
        self.directory.clear();
        Ok(())
    }

    /// Makes the object durable; returns its digest and the number of its entries.
    pub(crate) fn finish(mut self) -> Result<(Digest, u64)> {
        self.end_directory()?;
        self.out.write(&self.index)?;
        for number in [self.index.len() as u64, self.directories, self.entries] {
            self.out.write(&number.to_le_bytes())?;
        }
        self.out.write(&MAGIC_END)?;
        Ok((self.out.finish()?, self.entries))
    }
}

/// A directory in the index: where its path and its chunks end, those of the one before being where they begin.
struct Directory {
    path_end: u32,
    chunks_end: u32,
    entries: u64,
}

struct Chunk {
    offset: u64,
    length: u32,
    first_end: u32,
    sum: [u8; SUM_BYTES],
}

/// An open base object: the index in memory, the chunks on disk.
pub(crate) struct BaseFile {
    blob: Blob,
    digest: Digest,
    entries: u64,
    paths: String,
    directories: Vec<Directory>,
    firsts: String,
    chunks: Vec<Chunk>,
}

impl BaseFile {
    /// Opens a base object and checks all of it.
    pub(crate) fn open(objects: &Objects, digest: &Digest) -> Result<Self> {
        let blob = objects.blob(digest).map_err(damaged_when_absent)?;
        let damaged = || Error::damaged(format!("the baseline object {digest} is damaged"));
        let index_end = blob.length().checked_sub(TRAILER_BYTES as u64).ok_or_else(damaged)?;
        let mut trailer = [0; TRAILER_BYTES];
        read_at(&blob, &mut trailer, index_end)?;
        let mut fields = Reader(&trailer);
        let [index_length, directories, entries] =
            [fields.array()?, fields.array()?, fields.array()?].map(u64::from_le_bytes);
        let index_start =
            index_end.checked_sub(index_length).filter(|start| *start >= HEAD_BYTES).ok_or_else(damaged)?;
        let mut index = vec![0; usize::try_from(index_length).map_err(|_| damaged())?];
        read_at(&blob, &mut index, index_start)?;
        let mut hasher = blake3::Hasher::new();
        let head = hash_front(&blob, index_start, &mut hasher)?;
        hasher.update(&index);
        hasher.update(&trailer);
        if Digest::from(hasher.finalize()) != *digest || fields.array()? != MAGIC_END {
            return Err(damaged());
        }
        check_head(&head)?;
        let mut file = Self {
            blob,
            digest: *digest,
            entries,
            paths: String::new(),
            directories: Vec::new(),
            firsts: String::new(),
            chunks: Vec::new(),
        };
        let end = file.read_index(&index)?;
        if end != index_start || file.directories.len() as u64 != directories {
            return Err(damaged());
        }
        Ok(file)
    }

    /// Reads the index; returns where the chunks end.
    fn read_index(&mut self, index: &[u8]) -> Result<u64> {
        let short = |length: usize| u32::try_from(length).map_err(|_| malformed());
        let mut reader = Reader(index);
        let mut offset = HEAD_BYTES;
        while !reader.is_empty() {
            self.paths.push_str(reader.text()?);
            let mut entries = 0_u64;
            let chunks = reader.varint()?;
            if chunks == 0 {
                return Err(malformed());
            }
            for _ in 0..chunks {
                let length = u32::try_from(reader.varint()?).map_err(|_| malformed())?;
                if length as usize > FRAME_BYTES_MAX {
                    return Err(malformed());
                }
                entries = entries.checked_add(reader.varint()?).ok_or_else(malformed)?;
                let sum = reader.array()?;
                self.firsts.push_str(reader.text()?);
                let first_end = short(self.firsts.len())?;
                self.chunks.push(Chunk { offset, length, first_end, sum });
                offset += u64::from(length);
            }
            let (path_end, chunks_end) = (short(self.paths.len())?, short(self.chunks.len())?);
            self.directories.push(Directory { path_end, chunks_end, entries });
        }
        self.paths.shrink_to_fit();
        self.directories.shrink_to_fit();
        self.chunks.shrink_to_fit();
        Ok(offset)
    }

    /// How many items it holds.
    pub(crate) const fn count(&self) -> u64 {
        self.entries
    }

    /// How many directories hold items.
    pub(crate) const fn directory_count(&self) -> usize {
        self.directories.len()
    }

    /// The path of the directory at `index`.
    pub(crate) fn directory(&self, index: usize) -> &str {
        let start = index.checked_sub(1).map_or(0, |before| self.directories[before].path_end);
        &self.paths[start as usize..self.directories[index].path_end as usize]
    }

    fn chunks_of(&self, index: usize) -> Range<usize> {
        let start = index.checked_sub(1).map_or(0, |before| self.directories[before].chunks_end);
        start as usize..self.directories[index].chunks_end as usize
    }

    fn first_name(&self, chunk: usize) -> &str {
        let start = chunk.checked_sub(1).map_or(0, |before| self.chunks[before].first_end);
        &self.firsts[start as usize..self.chunks[chunk].first_end as usize]
    }

    fn find(&self, directory: &str) -> Option<usize> {
        let (mut low, mut high) = (0, self.directories.len());
        while low < high {
            let middle = low.midpoint(high);
            match compare(self.directory(middle), directory) {
                std::cmp::Ordering::Equal => return Some(middle),
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
            }
        }
        None
    }

    /// How many items a directory holds directly.
    pub(crate) fn entries_in(&self, directory: &str) -> u64 {
        self.find(directory).map_or(0, |index| self.directories[index].entries)
    }

    /// Reads a chunk into `buffer` and checks it.
    fn read_chunk(&self, chunk: usize, buffer: &mut Vec<u8>) -> Result<()> {
        let Chunk { offset, length, sum: expected, .. } = self.chunks[chunk];
        buffer.resize(length as usize, 0);
        read_at(&self.blob, buffer, offset)?;
        if sum(buffer) == expected {
            Ok(())
        } else {
            Err(Error::damaged(format!("the baseline object {} is damaged at byte {offset}", self.digest)))
        }
    }

    /// Calls `each` for every item directly inside `directory`, in byte order of the names.
    pub(crate) fn visit(&self, directory: &str, each: &mut dyn FnMut(EntryRef<'_>)) -> Result<()> {
        let Some(index) = self.find(directory) else {
            return Ok(());
        };
        with_buffer(|buffer| {
            for chunk in self.chunks_of(index) {
                self.read_chunk(chunk, buffer)?;
                each_record(buffer, |record| {
                    each(record.after.filter(|_| record.is_lean()).ok_or_else(malformed)?);
                    Ok(())
                })?;
            }
            Ok(())
        })
    }

    /// The entry of one path; reads a single chunk.
    pub(crate) fn get(&self, path: &ItemPath) -> Result<Option<Entry>> {
        let Some(index) = self.find(path.parent()) else {
            return Ok(None);
        };
        let chunks = self.chunks_of(index);
        let (mut low, mut high) = (chunks.start, chunks.end);
        while high - low > 1 {
            let middle = low.midpoint(high);
            if self.first_name(middle) <= path.name() { low = middle } else { high = middle }
        }
        with_buffer(|buffer| {
            self.read_chunk(low, buffer)?;
            let mut reader = Reader(buffer);
            while !reader.is_empty() {
                let record = reader.record()?;
                if record.name == path.name() {
                    return Ok(record.after.map(|entry| entry.to_entry()));
                }
            }
            Ok(None)
        })
    }
}

fn read_at(blob: &Blob, buffer: &mut [u8], offset: u64) -> Result<()> {
    blob.read_exact_at(buffer, offset)
        .map_err(|error| Error::new(kind_of(&error), format!("cannot read a baseline object: {error}")))
}

/// Hashes everything before `end`; returns the head.
fn hash_front(blob: &Blob, end: u64, hasher: &mut blake3::Hasher) -> Result<Vec<u8>> {
    let mut buffer = vec![0; 256 * 1024];
    let mut head = Vec::new();
    let mut offset = 0;
    while offset < end {
        let part = usize::try_from(end - offset).unwrap_or(usize::MAX).min(buffer.len());
        let part = &mut buffer[..part];
        read_at(blob, part, offset)?;
        if offset == 0 {
            head.extend_from_slice(&part[..part.len().min(HEAD_BYTES as usize)]);
        }
        hasher.update(part);
        offset += part.len() as u64;
    }
    Ok(head)
}

fn check_head(head: &[u8]) -> Result<()> {
    let mut reader = Reader(head);
    if reader.array()? != MAGIC {
        return Err(Error::damaged("an object that should hold a baseline does not"));
    }
    match u32::from_le_bytes(reader.array()?) {
        VERSION => Ok(()),
        version => Err(newer_format(version)),
    }
}

/// Lends a buffer that is kept from one visit to the next. A visit within a visit gets another one.
fn with_buffer<T>(work: impl FnOnce(&mut Vec<u8>) -> Result<T>) -> Result<T> {
    thread_local!(static BUFFER: Cell<Vec<u8>> = const { Cell::new(Vec::new()) });
    let mut buffer = BUFFER.take();
    let result = work(&mut buffer);
    BUFFER.set(buffer);
    result
}

/// All of a base object, in order.
pub(crate) struct BaseFrames {
    base: Arc<BaseFile>,
    directory: usize,
    chunk: usize,
}

impl BaseFrames {
    pub(crate) fn boxed(base: Arc<BaseFile>) -> Box<dyn Frames> {
        Box::new(Self { base, directory: 0, chunk: 0 })
    }
}

impl Frames for BaseFrames {
    fn next(&mut self, directory: &mut String, records: &mut Vec<u8>) -> Result<bool> {
        while self.directory < self.base.directories.len() {
            if self.chunk < self.base.chunks_of(self.directory).end {
                directory.clear();
                directory.push_str(self.base.directory(self.directory));
                self.base.read_chunk(self.chunk, records)?;
                self.chunk += 1;
                return Ok(true);
            }
            self.directory += 1;
        }
        Ok(false)
    }
}
