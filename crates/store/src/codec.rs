//! The encoding of one path's state, shared by base objects, delta objects and overlays.
//!
//! A record is: flags (1 byte), length of the name (1 byte), the name, and as the flags say the entry *after*,
//! the entry *before* and the *lost* contents. An entry is: size (varint), digest (32 bytes, left out when all
//! zero), version of the local side and version of the remote side (each a varint length and its bytes). The
//! kind of the entry after is in the flags; the entry before has a byte of its own in front, with the same bits.
//! Lost contents are: their number (varint), then for each side and kind (1 byte), size (varint), digest.
//! Varints are LEB128: <https://en.wikipedia.org/wiki/LEB128>.

use syncline_core::{Digest, Entry, EntryRef, Item, Kind, Side, Sides};

use crate::error::{Error, Result};
use crate::records::{Delta, Lost};

const KIND_BITS: u8 = 0b0000_0011;
const DIGEST_ZERO: u8 = 0b0000_0100;
const HAS_AFTER: u8 = 0b0000_1000;
const HAS_BEFORE: u8 = 0b0001_0000;
const HAS_LOST: u8 = 0b0010_0000;
const UNUSED: u8 = 0b1100_0000;

/// A decoded record, borrowed from the bytes that hold it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Record<'a> {
    /// The last component of the path.
    pub(crate) name: &'a str,
    /// What is agreed on now.
    pub(crate) after: Option<EntryRef<'a>>,
    /// What was agreed on before.
    pub(crate) before: Option<EntryRef<'a>>,
    /// The record from its flags up to and with the entry after.
    lean: &'a [u8],
    /// The lost contents, still encoded; empty when there are none.
    lost: &'a [u8],
}

impl Record<'_> {
    /// Whether it says anything besides the state now.
    pub(crate) const fn is_lean(&self) -> bool {
        self.before.is_none() && self.lost.is_empty()
    }

    /// The lost contents.
    ///
    /// # Errors
    /// When they are not well formed.
    pub(crate) fn lost(&self) -> Result<Vec<Lost>> {
        let mut bytes = Reader(self.lost);
        if self.lost.is_empty() {
            return Ok(Vec::new());
        }
        let count = bytes.varint()?;
        (0..count).map(|_| bytes.lost()).collect()
    }

    /// Appends the record to `out` without what was before and what was lost.
    pub(crate) fn write_lean(&self, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(self.lean);
        out[start] &= !(HAS_BEFORE | HAS_LOST);
    }
}

/// Appends the record of a delta to `out`.
pub(crate) fn write_delta(delta: &Delta, out: &mut Vec<u8>) {
    let start = out.len();
    out.push(0);
    let name = delta.path.name();
    out.push(name_length(name));
    out.extend_from_slice(name.as_bytes());
    let mut flags = 0;
    if let Some(after) = &delta.after {
        flags |= HAS_AFTER | entry_flags(after);
        write_entry(after, out);
    }
    if let Some(before) = &delta.before {
        flags |= HAS_BEFORE;
        out.push(entry_flags(before));
        write_entry(before, out);
    }
    if !delta.lost.is_empty() {
        flags |= HAS_LOST;
        write_varint(delta.lost.len() as u64, out);
        for lost in &delta.lost {
            out.push(kind_bits(lost.kind) | if lost.side == Side::Remote { 0x80 } else { 0 });
            write_varint(lost.size, out);
            out.extend_from_slice(&lost.digest.0);
        }
    }
    out[start] = flags;
}

/// A name of an item path has at most 255 bytes, so its length fits.
fn name_length(name: &str) -> u8 {
    const { assert!(syncline_core::path::NAME_BYTES_MAX == u8::MAX as usize) };
    u8::try_from(name.len()).unwrap_or(u8::MAX)
}

const fn kind_bits(kind: Kind) -> u8 {
    match kind {
        Kind::File { executable: false } => 0,
        Kind::File { executable: true } => 1,
        Kind::Directory => 2,
        Kind::Symlink => 3,
    }
}

const fn kind_of_bits(bits: u8) -> Kind {
    match bits & KIND_BITS {
        0 => Kind::File { executable: false },
        1 => Kind::File { executable: true },
        2 => Kind::Directory,
        _ => Kind::Symlink,
    }
}

fn entry_flags(entry: &Entry) -> u8 {
    kind_bits(entry.kind) | if entry.digest.0 == [0; 32] { DIGEST_ZERO } else { 0 }
}

fn write_entry(entry: &Entry, out: &mut Vec<u8>) {
    write_varint(entry.size, out);
    if entry.digest.0 != [0; 32] {
        out.extend_from_slice(&entry.digest.0);
    }
    for side in Side::BOTH {
        let version = entry.versions[side].as_bytes();
        write_varint(version.len() as u64, out);
        out.extend_from_slice(version);
    }
}

/// Appends a number as LEB128.
pub(crate) fn write_varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push((value as u8 & 0x7f) | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Reads encoded values from the front of a slice.
pub(crate) struct Reader<'a>(pub(crate) &'a [u8]);

impl<'a> Reader<'a> {
    /// Whether nothing is left.
    pub(crate) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes the next `count` bytes.
    pub(crate) fn take(&mut self, count: usize) -> Result<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or_else(malformed)?;
        self.0 = rest;
        Ok(taken)
    }

    /// Takes one byte.
    pub(crate) fn byte(&mut self) -> Result<u8> {
        let (&byte, rest) = self.0.split_first().ok_or_else(malformed)?;
        self.0 = rest;
        Ok(byte)
    }

    /// Takes the next `N` bytes as an array.
    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk::<N>().ok_or_else(malformed)?;
        self.0 = rest;
        Ok(*taken)
    }

    /// Takes a number written as LEB128.
    pub(crate) fn varint(&mut self) -> Result<u64> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                return Err(malformed());
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(malformed())
    }

    /// Takes bytes with their length in front.
    fn bytes(&mut self) -> Result<&'a [u8]> {
        let length = usize::try_from(self.varint()?).map_err(|_| malformed())?;
        self.take(length)
    }

    /// Takes a text with its length in front.
    pub(crate) fn text(&mut self) -> Result<&'a str> {
        std::str::from_utf8(self.bytes()?).map_err(|_| malformed())
    }

    fn entry(&mut self, name: &'a str, flags: u8) -> Result<EntryRef<'a>> {
        let size = self.varint()?;
        let digest = if flags & DIGEST_ZERO == 0 { self.array()? } else { [0; 32] };
        let versions = Sides { local: self.bytes()?, remote: self.bytes()? };
        Ok(EntryRef { name, kind: kind_of_bits(flags), digest: Digest(digest), size, versions })
    }

    fn lost(&mut self) -> Result<Lost> {
        let bits = self.byte()?;
        let side = if bits & 0x80 == 0 { Side::Local } else { Side::Remote };
        let size = self.varint()?;
        Ok(Lost { side, kind: kind_of_bits(bits), digest: Digest(self.array()?), size })
    }

    /// Takes the next record.
    pub(crate) fn record(&mut self) -> Result<Record<'a>> {
        let start = self.0;
        let flags = self.byte()?;
        if flags & UNUSED != 0 {
            return Err(malformed());
        }
        let length = usize::from(self.byte()?);
        let name = std::str::from_utf8(self.take(length)?).map_err(|_| malformed())?;
        let after = if flags & HAS_AFTER == 0 { None } else { Some(self.entry(name, flags)?) };
        let lean = &start[..start.len() - self.0.len()];
        let before = if flags & HAS_BEFORE == 0 {
            None
        } else {
            let flags = self.byte()?;
            Some(self.entry(name, flags)?)
        };
        let rest = self.0;
        if flags & HAS_LOST != 0 {
            let count = self.varint()?;
            for _ in 0..count {
                self.lost()?;
            }
        }
        let lost = &rest[..rest.len() - self.0.len()];
        Ok(Record { name, after, before, lean, lost })
    }
}

/// What a decoder says when the bytes make no sense.
pub(crate) fn malformed() -> Error {
    Error::damaged("an encoded record of the state is not well formed")
}

/// Encodes an item of a conflict record: kind (1 byte, the high bit tells that there is a digest), size
/// (varint), modification time (8 bytes, little-endian), digest (32 bytes).
pub(crate) fn write_item(item: &Item, out: &mut Vec<u8>) {
    out.push(kind_bits(item.kind) | if item.digest.is_some() { 0x80 } else { 0 });
    write_varint(item.size, out);
    out.extend_from_slice(&item.modified.to_le_bytes());
    if let Some(digest) = item.digest {
        out.extend_from_slice(&digest.0);
    }
}

/// Reads what [`write_item`] wrote.
pub(crate) fn read_item(reader: &mut Reader<'_>) -> Result<Item> {
    let bits = reader.byte()?;
    let size = reader.varint()?;
    let modified = i64::from_le_bytes(reader.array()?);
    let digest = if bits & 0x80 == 0 { None } else { Some(Digest(reader.array()?)) };
    Ok(Item { kind: kind_of_bits(bits), digest, size, modified })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn varints_survive(value: u64) {
            let mut bytes = Vec::new();
            write_varint(value, &mut bytes);
            let mut reader = Reader(&bytes);
            prop_assert_eq!(reader.varint().unwrap(), value);
            prop_assert!(reader.is_empty());
        }

        #[test]
        fn any_bytes_decode_or_fail(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut reader = Reader(&bytes);
            while !reader.is_empty() {
                if reader.record().is_err() { break; }
            }
        }
    }
}
