//! Folding what a run changed into the next baseline, and remembering open baselines.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use syncline_core::{Digest, ItemPath};

use crate::baseline_file::BaseWriter;
use crate::codec::malformed;
use crate::error::Result;
use crate::layers::{merge_layers, open_layers};
use crate::merge::merge;
use crate::objects::Objects;
use crate::overlay::{Layered, digests};
use crate::records::{Layer, Pointer};

/// The overlay may hold so many records however small the base is.
const OVERLAY_RECORDS_MIN: u64 = 4096;
/// The overlay may hold this part of the base.
const OVERLAY_PART: u64 = 20;
/// More layers than these are merged into one.
const LAYERS_MAX: usize = 32;
/// A run keeps at most so many delta objects; more are merged into one.
const PIECES_MAX: usize = 64;
/// Open baselines that are remembered.
const CACHED_MAX: usize = 16;

/// What a fold leads to. The objects are durable; nothing points at them yet.
pub(crate) struct Folded {
    /// The delta objects of the run.
    pub(crate) pieces: Vec<Layer>,
    /// The next baseline.
    pub(crate) pointer: Pointer,
    /// Objects that nothing of this target needs once the pointer has moved.
    pub(crate) obsolete: Vec<Digest>,
}

/// Baselines that are open already, by the identifier of their target.
#[derive(Default)]
pub(crate) struct Cache(Mutex<BTreeMap<String, Arc<Layered>>>);

impl Cache {
    /// The baseline that `pointer` points at, opened as far as it is not open yet. Blocks.
    pub(crate) fn open(&self, objects: &Objects, target: &str, pointer: &Pointer) -> Result<Arc<Layered>> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(target).cloned();
        if let Some(known) = known.as_ref().filter(|known| known.pointer() == pointer) {
            return Ok(Arc::clone(known));
        }
        let opened = Arc::new(Layered::open(objects, pointer, known.as_ref())?);
        let mut cached = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if cached.len() >= CACHED_MAX && !cached.contains_key(target) {
            cached.pop_first();
        }
        cached.insert(target.to_owned(), Arc::clone(&opened));
        Ok(opened)
    }

    /// Forgets a target's baseline, so that it is read and checked again.
    pub(crate) fn forget(&self, target: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(target);
    }
}

/// Folds the delta objects `pieces`, the oldest first, into the baseline of `target`. Blocks.
pub(crate) fn fold(
    cache: &Cache,
    objects: &Objects,
    target: &str,
    pointer: &Pointer,
    mut pieces: Vec<Layer>,
) -> Result<Folded> {
    let mut obsolete = Vec::new();
    if pieces.is_empty() {
        return Ok(Folded { pieces, pointer: pointer.clone(), obsolete });
    }
    while pieces.len() > PIECES_MAX {
        let rest = pieces.split_off(PIECES_MAX);
        let first: Vec<Digest> = digests(&pieces).copied().collect();
        pieces = vec![merge_layers(objects, &first, false)?];
        pieces.extend(rest);
        obsolete.extend(first);
    }
    let current = cache.open(objects, target, pointer)?;
    let records: u64 = pointer.layers.iter().chain(&pieces).map(|layer| layer.records).sum();
    let base_count = current.base().map_or(0, |base| base.count());
    let mut next = Pointer { base: pointer.base, layers: pointer.layers.clone(), count: 0 };
    next.layers.extend(&pieces);
    if records > OVERLAY_RECORDS_MIN.max(base_count / OVERLAY_PART) {
        next = write_base(objects, &current, &next)?;
        obsolete.extend(pointer.base);
        obsolete.extend(lean(&pointer.layers));
    } else {
        next.count = count_after(objects, &current, &pieces)?;
        if next.layers.len() > LAYERS_MAX {
            let layers: Vec<Digest> = digests(&next.layers).copied().collect();
            next.layers = vec![merge_layers(objects, &layers, true)?];
            obsolete.extend(lean(&pointer.layers));
        }
    }
    Ok(Folded { pieces, pointer: next, obsolete })
}

/// Writes a new base object from the base and the layers of `next`.
fn write_base(objects: &Objects, current: &Layered, next: &Pointer) -> Result<Pointer> {
    let mut streams: Vec<_> = current.base_frames().into_iter().collect();
    streams.extend(open_layers(objects, digests(&next.layers))?);
    let mut writer = BaseWriter::new(objects)?;
    merge(streams, |group| {
        let newest = group.newest();
        let record = newest.record()?;
        if record.after.is_some() { writer.push(newest.directory(), &record) } else { Ok(()) }
    })?;
    let (digest, count) = writer.finish()?;
    Ok(Pointer { base: Some(digest), layers: Vec::new(), count })
}

/// How many items the baseline holds once `pieces` are on top of `current`.
fn count_after(objects: &Objects, current: &Layered, pieces: &[Layer]) -> Result<u64> {
    let mut count = current.pointer().count;
    merge(open_layers(objects, digests(pieces))?, |group| {
        let newest = group.newest();
        let record = newest.record()?;
        let path = ItemPath::child(newest.directory(), record.name).map_err(|_| malformed())?;
        match (current.get_merged(&path)?.is_some(), record.after.is_some()) {
            (false, true) => count += 1,
            (true, false) => count = count.saturating_sub(1),
            _ => {}
        }
        Ok(())
    })?;
    Ok(count)
}

/// The layers that nothing but this baseline can need; the others are the memory of runs.
fn lean(layers: &[Layer]) -> impl Iterator<Item = Digest> {
    layers.iter().filter(|layer| layer.lean).map(|layer| layer.digest)
}
