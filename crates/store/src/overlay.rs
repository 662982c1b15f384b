//! A baseline as it is read: a base object and, in memory, what the layers on top of it say.

use std::sync::Arc;

use syncline_core::path::compare;
use syncline_core::{Baseline, Damaged, Digest, Entry, EntryRef, ItemPath};

use crate::baseline_file::{BaseFile, BaseFrames};
use crate::codec::{Reader, Record, malformed};
use crate::error::Result;
use crate::layers::open_layers;
use crate::merge::{Frames, merge};
use crate::objects::Objects;
use crate::records::{Layer, Pointer};

/// A directory of the overlay and where its lean records are in the bytes.
struct OverlayDirectory {
    path: Box<str>,
    start: usize,
    end: usize,
    /// Whether any item is left in the directory, that of the base included.
    holds_items: bool,
}

/// A baseline made of a base object and layers.
pub(crate) struct Layered {
    pointer: Pointer,
    base: Option<Arc<BaseFile>>,
    directories: Vec<OverlayDirectory>,
    records: Vec<u8>,
}

impl Layered {
    /// Opens what `pointer` points at; what `known` holds already is not read again.
    pub(crate) fn open(objects: &Objects, pointer: &Pointer, known: Option<&Arc<Self>>) -> Result<Self> {
        let known = known.filter(|known| known.pointer.base == pointer.base);
        let base = match (known, &pointer.base) {
            (Some(known), _) => known.base.clone(),
            (None, Some(digest)) => Some(Arc::new(BaseFile::open(objects, digest)?)),
            (None, None) => None,
        };
        let prefix = known.filter(|known| pointer.layers.starts_with(&known.pointer.layers));
        let (mut streams, rest) = match prefix {
            Some(known) => (vec![OverlayFrames::boxed(Arc::clone(known))], known.pointer.layers.len()),
            None => (Vec::new(), 0),
        };
        streams.extend(open_layers(objects, digests(&pointer.layers[rest..]))?);
        let mut layered =
            Self { pointer: pointer.clone(), base, directories: Vec::new(), records: Vec::new() };
        merge(streams, |group| {
            let newest = group.newest();
            layered.push(newest.directory(), &newest.record()?);
            Ok(())
        })?;
        layered.find_empty_directories()?;
        Ok(layered)
    }

    fn push(&mut self, directory: &str, record: &Record<'_>) {
        let start = self.records.len();
        record.write_lean(&mut self.records);
        let end = self.records.len();
        match self.directories.last_mut() {
            Some(last) if *last.path == *directory => last.end = end,
            _ => self.directories.push(OverlayDirectory {
                path: directory.into(),
                start,
                end,
                holds_items: true,
            }),
        }
    }

    /// Finds the directories in which the layers leave no item.
    fn find_empty_directories(&mut self) -> Result<()> {
        for index in 0..self.directories.len() {
            let directory = &self.directories[index];
            let (mut put, mut removed) = (false, 0);
            self.each_in_overlay(index, &mut |record| match record.after {
                Some(_) => put = true,
                None => removed += 1,
            })?;
            let base = self.base.as_ref().map_or(0, |base| base.entries_in(&directory.path));
            // Where more is in the base than the layers remove, something must be left.
            let holds_items = put || base > removed || {
                let mut left = false;
                self.visit_merged(&directory.path, &mut |_| left = true)?;
                left
            };
            self.directories[index].holds_items = holds_items;
        }
        Ok(())
    }

    fn each_in_overlay(&self, index: usize, each: &mut dyn FnMut(Record<'_>)) -> Result<()> {
        let directory = &self.directories[index];
        crate::layers::each_record(&self.records[directory.start..directory.end], |record| {
            each(record);
            Ok(())
        })
    }

    fn find(&self, directory: &str) -> Option<usize> {
        self.directories.binary_search_by(|there| compare(&there.path, directory)).ok()
    }

    /// What it is made of.
    pub(crate) const fn pointer(&self) -> &Pointer {
        &self.pointer
    }

    /// The base object.
    pub(crate) const fn base(&self) -> Option<&Arc<BaseFile>> {
        self.base.as_ref()
    }

    /// All of the base object, in order.
    pub(crate) fn base_frames(&self) -> Option<Box<dyn Frames>> {
        self.base.as_ref().map(|base| BaseFrames::boxed(Arc::clone(base)))
    }

    /// Calls `each` for every item directly inside `directory`, in byte order of the names.
    pub(crate) fn visit_merged(&self, directory: &str, each: &mut dyn FnMut(EntryRef<'_>)) -> Result<()> {
        let overlay = self.find(directory).map_or(&[][..], |index| {
            let OverlayDirectory { start, end, .. } = self.directories[index];
            &self.records[start..end]
        });
        let mut overlay = Upcoming::new(overlay)?;
        let mut bad = None;
        if let Some(base) = &self.base {
            base.visit(directory, &mut |entry| {
                if bad.is_none()
                    && let Err(error) = overlay.pass(entry, each)
                {
                    bad = Some(error);
                }
            })?;
        }
        if let Some(error) = bad {
            return Err(error);
        }
        while let Some(record) = overlay.next {
            if let Some(entry) = record.after {
                each(entry);
            }
            overlay.advance()?;
        }
        Ok(())
    }

    /// The entry of one path.
    pub(crate) fn get_merged(&self, path: &ItemPath) -> Result<Option<Entry>> {
        if let Some(index) = self.find(path.parent()) {
            let mut found = None;
            self.each_in_overlay(index, &mut |record| {
                if record.name == path.name() {
                    found = Some(record.after.map(|entry| entry.to_entry()));
                }
            })?;
            if let Some(found) = found {
                return Ok(found);
            }
        }
        self.base.as_ref().map_or(Ok(None), |base| base.get(path))
    }
}

/// The records of an overlay's directory, the next one at hand.
struct Upcoming<'a> {
    reader: Reader<'a>,
    next: Option<Record<'a>>,
}

impl<'a> Upcoming<'a> {
    fn new(records: &'a [u8]) -> Result<Self> {
        let mut upcoming = Self { reader: Reader(records), next: None };
        upcoming.advance()?;
        Ok(upcoming)
    }

    fn advance(&mut self) -> Result<()> {
        self.next = if self.reader.is_empty() { None } else { Some(self.reader.record()?) };
        Ok(())
    }

    /// Calls `each` with the records before the base's `entry`, and with whichever of both holds at its name.
    fn pass(&mut self, entry: EntryRef<'_>, each: &mut dyn FnMut(EntryRef<'_>)) -> Result<()> {
        while let Some(record) = self.next.filter(|record| record.name <= entry.name) {
            if let Some(newer) = record.after {
                each(newer);
            }
            self.advance()?;
            if record.name == entry.name {
                return Ok(());
            }
        }
        each(entry);
        Ok(())
    }
}

impl Baseline for Layered {
    fn count(&self) -> u64 {
        self.pointer.count
    }

    fn identity(&self) -> Option<Digest> {
        // Objects are named by their content, and what lies on top of what decides the rest.
        let mut text = self.pointer.base.map(|base| base.to_string()).unwrap_or_default();
        for digest in digests(&self.pointer.layers) {
            text.push_str(&format!(" {digest}"));
        }
        Some(Digest::of(text.as_bytes()))
    }

    fn visit(&self, directory: &str, each: &mut dyn FnMut(EntryRef<'_>)) -> std::result::Result<(), Damaged> {
        Ok(self.visit_merged(directory, each)?)
    }

    fn directories(&self, each: &mut dyn FnMut(&str)) {
        let mut overlay = self.directories.iter().peekable();
        for index in 0..self.base.as_ref().map_or(0, |base| base.directory_count()) {
            let Some(path) = self.base.as_ref().map(|base| base.directory(index)) else {
                break;
            };
            let mut replaced = false;
            while let Some(directory) = overlay.next_if(|there| compare(&there.path, path).is_le()) {
                replaced = *directory.path == *path;
                if directory.holds_items {
                    each(&directory.path);
                }
            }
            if !replaced {
                each(path);
            }
        }
        overlay.filter(|directory| directory.holds_items).for_each(|directory| each(&directory.path));
    }

    fn get(&self, path: &ItemPath) -> std::result::Result<Option<Entry>, Damaged> {
        Ok(self.get_merged(path)?)
    }
}

/// The overlay alone, in order.
struct OverlayFrames {
    layered: Arc<Layered>,
    next: usize,
}

impl OverlayFrames {
    fn boxed(layered: Arc<Layered>) -> Box<dyn Frames> {
        Box::new(Self { layered, next: 0 })
    }
}

impl Frames for OverlayFrames {
    fn next(&mut self, directory: &mut String, records: &mut Vec<u8>) -> Result<bool> {
        let Some(next) = self.layered.directories.get(self.next) else {
            return Ok(false);
        };
        self.next += 1;
        directory.clear();
        directory.push_str(&next.path);
        records.clear();
        records.extend_from_slice(self.layered.records.get(next.start..next.end).ok_or_else(malformed)?);
        Ok(true)
    }
}

/// The digests of some layers.
pub(crate) fn digests(layers: &[Layer]) -> impl Iterator<Item = &Digest> {
    layers.iter().map(|layer| &layer.digest)
}
