//! Delta objects: what a run, or a part of one, changed. They lie on top of a base object as layers.
//!
//! The format, all numbers little-endian: 8 bytes of magic, version (4 bytes); then frames, each the length of
//! its payload (4 bytes) and the payload: the length of the directory's path (2 bytes), the path, and records
//! (see [`crate::codec`]); then a length of zero and the number of all records (8 bytes). Frames and records are
//! in the order that [`crate::merge`] tells.

use std::io::{BufReader, Read};

use syncline_core::{Digest, ItemPath};

use crate::codec::{Reader, malformed, write_delta};
use crate::error::{Error, ErrorKind, Result, kind_of};
use crate::merge::{Frames, Group, Order, compare_places, merge};
use crate::objects::{ObjectReader, ObjectWriter, Objects};
use crate::records::{Delta, Layer};

const MAGIC: [u8; 8] = *b"SYNCDELT";
const VERSION: u32 = 1;
/// A frame is written when it has grown to this.
pub(crate) const FRAME_BYTES: usize = 64 * 1024;
/// A single record may be this long.
pub(crate) const RECORD_BYTES_MAX: usize = 1024 * 1024;
/// What a frame can therefore never exceed; the path of its directory is at most 4 KiB.
pub(crate) const FRAME_BYTES_MAX: usize = FRAME_BYTES + RECORD_BYTES_MAX + 8 * 1024;

/// Writes a delta object.
pub(crate) struct LayerWriter {
    out: ObjectWriter,
    frame: Vec<u8>,
    order: Order,
    count: u64,
}

impl LayerWriter {
    pub(crate) fn new(objects: &Objects) -> Result<Self> {
        let mut out = objects.writer()?;
        out.write(&MAGIC)?;
        out.write(&VERSION.to_le_bytes())?;
        Ok(Self { out, frame: Vec::new(), order: Order::default(), count: 0 })
    }

    /// Appends a record that `write` encodes.
    pub(crate) fn push(
        &mut self,
        directory: &str,
        name: &str,
        write: impl FnOnce(&mut Vec<u8>),
    ) -> Result<()> {
        if self.order.next(directory, name)? || self.frame.len() >= FRAME_BYTES {
            self.flush()?;
            let length = u16::try_from(directory.len()).map_err(|_| malformed())?;
            self.frame.extend_from_slice(&length.to_le_bytes());
            self.frame.extend_from_slice(directory.as_bytes());
        }
        let start = self.frame.len();
        write(&mut self.frame);
        if self.frame.len() - start > RECORD_BYTES_MAX {
            return Err(Error::new(
                ErrorKind::Io,
                format!("the record of {name:?} in {directory:?} is too large"),
            ));
        }
        self.count += 1;
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        if !self.frame.is_empty() {
            let length = u32::try_from(self.frame.len()).map_err(|_| malformed())?;
            self.out.write(&length.to_le_bytes())?;
            self.out.write(&self.frame)?;
            self.frame.clear();
        }
        Ok(())
    }

    /// Makes the object durable.
    pub(crate) fn finish(mut self, lean: bool) -> Result<Layer> {
        self.flush()?;
        self.out.write(&0_u32.to_le_bytes())?;
        self.out.write(&self.count.to_le_bytes())?;
        Ok(Layer { digest: self.out.finish()?, records: self.count, lean })
    }
}

/// Encodes the changes of a run as one delta object, which is yet to be finished.
pub(crate) fn encode_deltas(objects: &Objects, deltas: &[Delta]) -> Result<LayerWriter> {
    let mut sorted: Vec<(&str, &str, &Delta)> =
        deltas.iter().map(|delta| (delta.path.parent(), delta.path.name(), delta)).collect();
    sorted.sort_by(|a, b| compare_places((a.0, a.1), (b.0, b.1)));
    let mut writer = LayerWriter::new(objects)?;
    for same in sorted.chunk_by(|a, b| a.2.path == b.2.path) {
        let (directory, name, delta) = same[0];
        if let [_] = same {
            writer.push(directory, name, |out| write_delta(delta, out))?;
        } else {
            let combined =
                combine(same.iter().map(|(_, _, delta)| (*delta).clone())).unwrap_or_else(|| delta.clone());
            writer.push(directory, name, |out| write_delta(&combined, out))?;
        }
    }
    Ok(writer)
}

/// Makes one change of several of the same path, the oldest first.
fn combine(changes: impl Iterator<Item = Delta>) -> Option<Delta> {
    changes.reduce(|mut all, next| {
        all.after = next.after;
        all.lost.extend(next.lost);
        all
    })
}

/// Reads a delta object in bounded memory.
pub(crate) struct LayerFrames {
    source: BufReader<ObjectReader>,
    started: bool,
}

impl LayerFrames {
    pub(crate) fn open(objects: &Objects, digest: &Digest) -> Result<Box<dyn Frames>> {
        let source =
            BufReader::with_capacity(FRAME_BYTES, objects.open(digest).map_err(damaged_when_absent)?);
        Ok(Box::new(Self { source, started: false }))
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut bytes = [0; N];
        self.source.read_exact(&mut bytes).map_err(|error| unread(&error))?;
        Ok(bytes)
    }

    fn start(&mut self) -> Result<()> {
        if self.array()? != MAGIC {
            return Err(Error::damaged("an object that should hold changes does not"));
        }
        let version = u32::from_le_bytes(self.array()?);
        if version != VERSION {
            // Only a sound object can be newer, and only its end tells.
            std::io::copy(&mut self.source, &mut std::io::sink()).map_err(|error| unread(&error))?;
            return Err(newer_format(version));
        }
        self.started = true;
        Ok(())
    }
}

impl Frames for LayerFrames {
    fn next(&mut self, directory: &mut String, records: &mut Vec<u8>) -> Result<bool> {
        if !self.started {
            self.start()?;
        }
        let length = u32::from_le_bytes(self.array()?) as usize;
        if length == 0 {
            let _count = u64::from_le_bytes(self.array()?);
            // Only the end of the object tells that its digest is right.
            let rest = self.source.read(&mut [0; 1]).map_err(|error| unread(&error))?;
            return if rest == 0 { Ok(false) } else { Err(malformed()) };
        }
        if length > FRAME_BYTES_MAX {
            return Err(malformed());
        }
        let path = usize::from(u16::from_le_bytes(self.array()?));
        let rest = length.checked_sub(path + 2).ok_or_else(malformed)?;
        records.resize(path, 0);
        self.source.read_exact(records).map_err(|error| unread(&error))?;
        directory.clear();
        directory.push_str(std::str::from_utf8(records).map_err(|_| malformed())?);
        records.resize(rest, 0);
        self.source.read_exact(records).map_err(|error| unread(&error))?;
        Ok(true)
    }
}

/// A format version that this Syncline does not know.
pub(crate) fn newer_format(version: u32) -> Error {
    Error::new(
        ErrorKind::NewerVersion,
        format!("an object of the state has format {version}, which is newer than this syncline"),
    )
}

/// The store's own objects must be there: their absence is damage.
pub(crate) fn damaged_when_absent(error: Error) -> Error {
    if error.kind() == ErrorKind::NotFound { Error::damaged(error.to_string()) } else { error }
}

fn unread(error: &std::io::Error) -> Error {
    Error::new(kind_of(error), format!("cannot read changes of the state: {error}"))
}

/// Opens several delta objects, the oldest first.
pub(crate) fn open_layers<'a>(
    objects: &Objects,
    digests: impl IntoIterator<Item = &'a Digest>,
) -> Result<Vec<Box<dyn Frames>>> {
    digests.into_iter().map(|digest| LayerFrames::open(objects, digest)).collect()
}

/// Reads the changes in the delta objects of a run, the oldest first, as one change for each path, sorted by
/// path.
pub(crate) fn read_deltas(objects: &Objects, digests: &[Digest]) -> Result<Vec<Delta>> {
    let mut deltas = Vec::new();
    merge(open_layers(objects, digests)?, |group| {
        deltas.extend(delta_of(group)?);
        Ok(())
    })?;
    deltas.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(deltas)
}

/// The change that a group makes all in all.
fn delta_of(group: &Group<'_>) -> Result<Option<Delta>> {
    let changes = group.members().map(|cursor| {
        let record = cursor.record()?;
        let path = ItemPath::child(cursor.directory(), record.name).map_err(|_| malformed())?;
        let [before, after] = [record.before, record.after].map(|entry| entry.map(|entry| entry.to_entry()));
        Ok(Delta { path, before, after, lost: record.lost()? })
    });
    Ok(combine(changes.collect::<Result<Vec<_>>>()?.into_iter()))
}

/// Writes several delta objects, the oldest first, as a single one. A lean one tells only the state now: it can
/// be a layer of a baseline, but not the memory of a run.
pub(crate) fn merge_layers(objects: &Objects, digests: &[Digest], lean: bool) -> Result<Layer> {
    let mut writer = LayerWriter::new(objects)?;
    merge(open_layers(objects, digests)?, |group| {
        let newest = group.newest();
        let record = newest.record()?;
        let directory = newest.directory();
        if lean {
            return writer.push(directory, record.name, |out| record.write_lean(out));
        }
        if group.is_single() {
            return writer.push(directory, record.name, |out| out.extend_from_slice(newest.bytes()));
        }
        match delta_of(group)? {
            Some(delta) => writer.push(directory, record.name, |out| write_delta(&delta, out)),
            None => Ok(()),
        }
    })?;
    writer.finish(lean)
}

/// Calls `each` with every digest of content that the changes in a delta object tell of.
pub(crate) fn visit_contents(objects: &Objects, digest: &Digest, each: &mut dyn FnMut(Digest)) -> Result<()> {
    merge(open_layers(objects, [digest])?, |group| {
        let record = group.newest().record()?;
        for entry in [record.before, record.after].into_iter().flatten() {
            each(entry.digest);
        }
        for lost in record.lost()? {
            each(lost.digest);
        }
        Ok(())
    })
}

/// Reads all records of a frame.
pub(crate) fn each_record<'a>(
    records: &'a [u8],
    mut each: impl FnMut(crate::codec::Record<'a>) -> Result<()>,
) -> Result<()> {
    let mut reader = Reader(records);
    while !reader.is_empty() {
        each(reader.record()?)?;
    }
    Ok(())
}
