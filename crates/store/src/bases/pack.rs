//! Packs: many contents in one file.
//!
//! The format, all numbers little-endian: 8 bytes of magic, version (4 bytes); then records. A record is the digest of
//! the content (32 bytes), the bytes that it takes in the pack and those of the content (4 bytes each), and the content
//! as one zstd frame, or as it is when both lengths are the same. Records may be appended at any time; a pack that was
//! cut short is good up to its last whole record.

use std::cell::RefCell;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

use syncline_core::Digest;
use zstd::bulk::Compressor;

use super::BASE_BYTES_MAX;
use crate::platform;

const MAGIC: [u8; 8] = *b"SYNCPACK";
const VERSION: u32 = 1;
const FILE_HEAD_BYTES: u64 = 12;
const RECORD_HEAD_BYTES: usize = 40;
/// Contents below this many bytes are never compressed.
const COMPRESS_BYTES_MIN: usize = 256;
/// Speed counts here: a first run keeps as much as it copies.
const ZSTD_LEVEL: i32 = 1;
/// How much is gathered before it is written.
const BUFFER_BYTES: usize = 256 * 1024;

/// Where a content is in its pack.
#[derive(Clone, Copy, Debug)]
pub(super) struct Record {
    offset: u64,
    stored: u32,
    raw: u32,
}

impl Record {
    /// What the record takes in its pack.
    pub(super) const fn stored_bytes(&self) -> u64 {
        RECORD_HEAD_BYTES as u64 + self.stored as u64
    }
}

/// Hands the bytes of a record to `write`, in memory that each thread keeps: what takes a little for each of a hundred
/// thousand contents takes much. Contents that the lengths cannot tell are refused before they come here.
pub(super) fn encoded<T>(digest: Digest, content: &[u8], write: impl FnOnce(&[u8]) -> T) -> T {
    thread_local!(static SCRATCH: RefCell<(Vec<u8>, Option<Compressor<'static>>)> = const { RefCell::new((Vec::new(), None)) });
    SCRATCH.with_borrow_mut(|(record, compressor)| {
        let length = |bytes: usize| u32::try_from(bytes).unwrap_or(u32::MAX).to_le_bytes();
        record.clear();
        record.resize(RECORD_HEAD_BYTES, 0);
        let stored = compress(content, compressor, record).unwrap_or(content.len());
        if stored == content.len() {
            record.truncate(RECORD_HEAD_BYTES);
            record.extend_from_slice(content);
        }
        record[..32].copy_from_slice(&digest.0);
        record[32..36].copy_from_slice(&length(stored));
        record[36..RECORD_HEAD_BYTES].copy_from_slice(&length(content.len()));
        write(record)
    })
}

/// Appends the compressed content to `record` and tells its length; `None` when that does not pay.
fn compress(
    content: &[u8],
    compressor: &mut Option<Compressor<'static>>,
    record: &mut Vec<u8>,
) -> Option<usize> {
    if content.len() < COMPRESS_BYTES_MIN {
        return None;
    }
    let compressor = match compressor {
        Some(compressor) => compressor,
        none => none.insert(Compressor::new(ZSTD_LEVEL).ok()?),
    };
    // Only what becomes shorter is kept, so no more room is needed than the content takes itself.
    record.resize(RECORD_HEAD_BYTES + content.len(), 0);
    let stored = compressor.compress_to_buffer(content, &mut record[RECORD_HEAD_BYTES..]).ok()?;
    record.truncate(RECORD_HEAD_BYTES + stored);
    (stored < content.len()).then_some(stored)
}

/// A pack that is read.
pub(super) struct Pack {
    file: File,
    length: u64,
}

impl Pack {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let length = file.metadata()?.len();
        Ok(Self { file, length })
    }

    pub(super) const fn length(&self) -> u64 {
        self.length
    }

    /// Calls `each` for every record, and tells where the last whole one ends: 0 when this is no pack at all.
    pub(super) fn each(&mut self, each: &mut dyn FnMut(Digest, Record)) -> io::Result<()> {
        self.walk(each).map(drop)
    }

    fn walk(&mut self, each: &mut dyn FnMut(Digest, Record)) -> io::Result<u64> {
        let mut reader = io::BufReader::with_capacity(64 * 1024, &self.file);
        reader.seek(SeekFrom::Start(0))?;
        let mut head = [0; FILE_HEAD_BYTES as usize];
        if self.length < FILE_HEAD_BYTES {
            return Ok(0);
        }
        reader.read_exact(&mut head)?;
        if head[..8] != MAGIC || head[8..] != VERSION.to_le_bytes() {
            return Ok(0);
        }
        let mut offset = FILE_HEAD_BYTES;
        let mut head = [0; RECORD_HEAD_BYTES];
        while offset + RECORD_HEAD_BYTES as u64 <= self.length {
            reader.read_exact(&mut head)?;
            let number = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
            let record =
                Record { offset: offset + RECORD_HEAD_BYTES as u64, stored: number(32), raw: number(36) };
            let end = record.offset + u64::from(record.stored);
            let sane =
                record.stored <= record.raw && record.raw > 0 && u64::from(record.raw) <= BASE_BYTES_MAX;
            if !sane || end > self.length {
                break;
            }
            let mut digest = [0; 32];
            digest.copy_from_slice(&head[..32]);
            each(Digest(digest), record);
            reader.seek_relative(i64::from(record.stored))?;
            offset = end;
        }
        Ok(offset)
    }

    /// Reads one content, which the caller checks.
    pub(super) fn read(&self, record: &Record) -> io::Result<Vec<u8>> {
        let mut stored = vec![0; record.stored as usize];
        platform::read_exact_at(&self.file, &mut stored, record.offset)?;
        if record.stored == record.raw {
            return Ok(stored);
        }
        zstd::bulk::decompress(&stored, record.raw as usize)
    }
}

/// A pack that is written.
pub(super) struct Writer {
    file: File,
    buffer: Vec<u8>,
}

impl Writer {
    /// Begins a pack; `None` when somebody else has begun to write it meanwhile.
    pub(super) fn new(path: &Path) -> io::Result<Option<Self>> {
        let file = platform::private_file(OpenOptions::new().write(true).create_new(true)).open(path)?;
        if !is_ours(&file)? {
            return Ok(None);
        }
        Ok(Some(Self { file, buffer: [&MAGIC[..], &VERSION.to_le_bytes()].concat() }))
    }

    /// Goes on with a pack behind its last whole record; `None` while somebody else writes it.
    pub(super) fn continued(path: &Path) -> io::Result<Option<Self>> {
        let mut file = OpenOptions::new().write(true).open(path)?;
        if !is_ours(&file)? {
            return Ok(None);
        }
        let end = Pack::open(path)?.walk(&mut |_, _| ())?;
        file.set_len(end)?;
        file.seek(SeekFrom::End(0))?;
        let buffer = if end == 0 { [&MAGIC[..], &VERSION.to_le_bytes()].concat() } else { Vec::new() };
        Ok(Some(Self { file, buffer }))
    }

    pub(super) fn append(&mut self, record: &[u8]) -> io::Result<()> {
        self.buffer.extend_from_slice(record);
        if self.buffer.len() >= BUFFER_BYTES { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        let written = self.file.write_all(&self.buffer);
        self.buffer.clear();
        written
    }

    pub(super) fn finish(mut self) -> io::Result<()> {
        self.flush()
    }
}

/// Takes a pack to write it, until the file is closed; whether it was free. Runs of one process may keep contents at once.
fn is_ours(file: &File) -> io::Result<bool> {
    match file.try_lock() {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => Err(error),
    }
}
