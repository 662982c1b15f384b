//! Contents that both sides agreed on, kept so that a later conflict has a base to merge from.
//!
//! When both sides edit a file, neither holds the version any more that both edits started from. So contents that may
//! be merged one day are kept when they are agreed on, in *packs*: an object for each would cost a first run a second
//! file for every file that it copies.
//!
//! Nothing depends on them but how a conflict is settled: one that is missing or damaged means that both versions stay
//! instead of being merged. So they are never waited for to be durable, and what is read is checked by its digest.

mod pack;

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use syncline_core::Digest;

use crate::error::{Error, Result};
use crate::platform;
use pack::{Pack, Writer};

/// Larger contents are not kept.
pub const BASE_BYTES_MAX: u64 = 8 * 1024 * 1024;
/// A pack below this size is continued; a larger one is left and another begun.
const PACK_BYTES_MIN: u64 = 8 * 1024 * 1024;
/// Packs are written anew when no more than this part of their bytes is still of use, in percent.
const LIVE_PERCENT_MIN: u64 = 50;

/// The bases of a workspace. Cheap to clone.
#[derive(Clone)]
pub struct Bases(Arc<Place>);

enum Place {
    Folder(PathBuf),
    Memory(Mutex<HashMap<Digest, Vec<u8>>>),
}

impl Bases {
    pub(crate) fn in_folder(folder: &Path) -> Self {
        Self(Arc::new(Place::Folder(folder.to_owned())))
    }

    pub(crate) fn in_memory() -> Self {
        Self(Arc::new(Place::Memory(Mutex::default())))
    }

    /// Begins to keep contents. Only one process writes, since it has the workspace for itself; its runs may write at once,
    /// each into a pack of its own.
    #[must_use]
    pub fn writer(&self) -> BaseKeeper {
        BaseKeeper { bases: self.clone(), writer: Mutex::new(None) }
    }

    /// Finds which of these contents are kept, and where. Blocks while it reads the heads of all records.
    ///
    /// # Errors
    /// When the folder cannot be read. A pack that is damaged counts as far as it can be understood, and one that cannot
    /// be read is left out: both versions of a conflict stay then, which is no reason for a run to fail.
    pub fn find(&self, wanted: &HashSet<Digest>) -> Result<FoundBases> {
        let mut places = HashMap::new();
        if let Place::Folder(folder) = &*self.0
            && !wanted.is_empty()
        {
            for path in packs(folder)? {
                let mut note = |digest: Digest, record: pack::Record| {
                    if wanted.contains(&digest) {
                        places.insert(digest, (path.clone(), record));
                    }
                };
                if let Err(error) = Pack::open(&path).and_then(|mut pack| pack.each(&mut note)) {
                    tracing::warn!(path = %path.display(), %error, "contents to merge from cannot be read");
                }
            }
        }
        Ok(FoundBases { bases: self.clone(), places })
    }

    /// Every content that is kept.
    pub(crate) fn list(&self) -> Result<HashSet<Digest>> {
        match &*self.0 {
            Place::Memory(kept) => Ok(lock(kept).keys().copied().collect()),
            Place::Folder(folder) => {
                let mut all = HashSet::new();
                for path in packs(folder)? {
                    let note = &mut |digest, _| all.extend([digest]);
                    Pack::open(&path)
                        .and_then(|mut pack| pack.each(note))
                        .map_err(|error| Error::io("read", &path, &error))?;
                }
                Ok(all)
            }
        }
    }

    /// Forgets these contents, as soon as that frees enough to be worth writing the others anew.
    pub(crate) fn forget(&self, dead: &HashSet<Digest>) -> Result<()> {
        match &*self.0 {
            Place::Memory(kept) => lock(kept).retain(|digest, _| !dead.contains(digest)),
            Place::Folder(folder) => {
                let rewritten = rewrite(folder, dead);
                rewritten.map_err(|error| Error::io("write anew", folder, &error))?;
            }
        }
        Ok(())
    }
}

/// Where contents were found.
pub struct FoundBases {
    bases: Bases,
    places: HashMap<Digest, (PathBuf, pack::Record)>,
}

impl FoundBases {
    /// Reads one content; `None` when it is not kept or is damaged. Blocks.
    #[must_use]
    pub fn read(&self, digest: &Digest) -> Option<Vec<u8>> {
        if *digest == Digest::of(b"") {
            return Some(Vec::new());
        }
        let bytes = match &*self.bases.0 {
            Place::Memory(kept) => lock(kept).get(digest).cloned(),
            Place::Folder(_) => {
                let (path, record) = self.places.get(digest)?;
                Pack::open(path).and_then(|pack| pack.read(record)).ok()
            }
        };
        bytes.filter(|bytes| Digest::of(bytes) == *digest)
    }
}

/// Keeps contents that are being agreed on. Shared by the threads that read them.
pub struct BaseKeeper {
    bases: Bases,
    writer: Mutex<Option<Writer>>,
}

impl BaseKeeper {
    /// Keeps one content; an empty one needs no keeping, and one that is too large is left out.
    ///
    /// # Errors
    /// When it could not be written. Nothing depends on that: whoever calls goes on.
    pub fn keep(&self, bytes: &[u8]) -> Result<()> {
        if bytes.is_empty() || bytes.len() as u64 > BASE_BYTES_MAX {
            return Ok(());
        }
        let digest = Digest::of(bytes);
        match &*self.bases.0 {
            Place::Memory(kept) => {
                lock(kept).insert(digest, bytes.to_vec());
                Ok(())
            }
            Place::Folder(folder) => {
                let written = pack::encoded(digest, bytes, |record| {
                    let mut writer = lock(&self.writer);
                    let mut open = match writer.take() {
                        Some(open) => open,
                        None => begin(folder)?,
                    };
                    // After an error the pack is looked at afresh: half a record may be at its end.
                    open.append(record)?;
                    *writer = Some(open);
                    Ok(())
                });
                written.map_err(|error| Error::io("keep contents for merging in", folder, &error))
            }
        }
    }

    /// Writes out what is still held back.
    ///
    /// # Errors
    /// As [`BaseKeeper::keep`].
    pub fn finish(self) -> Result<()> {
        let writer = self.writer.into_inner().unwrap_or_else(PoisonError::into_inner);
        match (writer, &*self.bases.0) {
            (Some(writer), Place::Folder(folder)) => {
                writer.finish().map_err(|error| Error::io("keep contents for merging in", folder, &error))
            }
            _ => Ok(()),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The packs of a folder, oldest first.
fn packs(folder: &Path) -> Result<Vec<PathBuf>> {
    numbered(folder)
        .map(|packs| packs.into_iter().map(|(_, path)| path).collect())
        .map_err(|error| Error::io("list", folder, &error))
}

fn numbered(folder: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry?.path();
        let number = path.file_name().and_then(|name| name.to_str()?.strip_suffix(".pack")?.parse().ok());
        found.extend(number.map(|number| (number, path)));
    }
    found.sort_unstable();
    Ok(found)
}

fn name(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("{number:08}.pack"))
}

/// Continues the youngest pack, or begins another one where that is full or another run of this process writes it.
fn begin(folder: &Path) -> io::Result<Writer> {
    platform::create_private_folder(folder)?;
    loop {
        let begun = match numbered(folder)?.pop() {
            Some((number, path)) => {
                let is_small = fs::metadata(&path)?.len() < PACK_BYTES_MIN;
                match if is_small { Writer::continued(&path)? } else { None } {
                    Some(writer) => return Ok(writer),
                    None => Writer::new(&name(folder, number + 1)),
                }
            }
            None => Writer::new(&name(folder, 0)),
        };
        match begun {
            // Another run was faster.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Ok(None) => {}
            Ok(Some(writer)) => return Ok(writer),
            Err(error) => return Err(error),
        }
    }
}

/// Writes what is not `dead` into a new pack and removes the old ones, when that pays. A content that was kept again and
/// again is of use once.
fn rewrite(folder: &Path, dead: &HashSet<Digest>) -> io::Result<()> {
    let old = numbered(folder)?;
    let (mut live_bytes, mut bytes) = (0, 0);
    let mut counted = HashSet::new();
    for (_, path) in &old {
        let mut pack = Pack::open(path)?;
        bytes += pack.length();
        pack.each(&mut |digest, record| {
            if !dead.contains(&digest) && counted.insert(digest) {
                live_bytes += record.stored_bytes();
            }
        })?;
    }
    if bytes < PACK_BYTES_MIN || live_bytes * 100 > bytes * LIVE_PERCENT_MIN {
        return Ok(());
    }
    let next = old.last().map_or(0, |(number, _)| number + 1);
    let busy = || io::Error::new(io::ErrorKind::ResourceBusy, "somebody writes the pack that was just begun");
    let mut writer = Writer::new(&name(folder, next))?.ok_or_else(busy)?;
    let mut written = HashSet::new();
    for (_, path) in &old {
        let mut pack = Pack::open(path)?;
        let mut live = Vec::new();
        pack.each(&mut |digest, record| {
            if !dead.contains(&digest) && !written.contains(&digest) {
                live.push((digest, record));
            }
        })?;
        for (digest, record) in live {
            // One that is damaged is of no use to anybody; it may be sound elsewhere.
            if let Ok(content) = pack.read(&record)
                && Digest::of(&content) == digest
                && written.insert(digest)
            {
                pack::encoded(digest, &content, |record| writer.append(record))?;
            }
        }
    }
    writer.finish()?;
    old.iter().try_for_each(|(_, path)| fs::remove_file(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(number: usize) -> Vec<u8> {
        format!("content {number} {}", "and so on, ".repeat(number % 50)).into_bytes()
    }

    #[test]
    fn runs_that_keep_contents_at_once_do_not_write_into_each_other() {
        let folder = tempfile::tempdir().unwrap();
        let bases = Bases::in_folder(&folder.path().join("bases"));
        keep(&bases, 0..10);
        let keepers = [bases.writer(), bases.writer(), bases.writer()];
        for number in 10..3_010 {
            keepers[number % 3].keep(&text(number)).unwrap();
        }
        keepers.into_iter().for_each(|keeper| keeper.finish().unwrap());
        keep(&bases, 3_010..3_020);
        let wanted: HashSet<Digest> = (0..3_020).map(|number| Digest::of(&text(number))).collect();
        assert_eq!(bases.list().unwrap(), wanted);
    }

    fn keep(bases: &Bases, numbers: std::ops::Range<usize>) {
        let keeper = bases.writer();
        numbers.for_each(|number| keeper.keep(&text(number)).unwrap());
        keeper.finish().unwrap();
    }

    fn is_kept(bases: &Bases, number: usize) -> bool {
        let digest = Digest::of(&text(number));
        bases.find(&[digest].into()).unwrap().read(&digest) == Some(text(number))
    }

    #[test]
    fn contents_come_back_in_memory_and_in_a_folder() {
        let folder = tempfile::tempdir().unwrap();
        for bases in [Bases::in_memory(), Bases::in_folder(&folder.path().join("bases"))] {
            assert!(!is_kept(&bases, 0));
            keep(&bases, 0..100);
            keep(&bases, 100..120);
            assert!((0..120).all(|number| is_kept(&bases, number)));
            assert!(!is_kept(&bases, 120));
            assert_eq!(bases.list().unwrap().len(), 120);
        }
    }

    #[test]
    fn what_was_cut_short_or_damaged_is_left_out_and_the_rest_stays() {
        let folder = tempfile::tempdir().unwrap();
        let bases = Bases::in_folder(folder.path());
        keep(&bases, 0..10);
        let pack = name(folder.path(), 0);
        let whole = fs::read(&pack).unwrap();
        for length in 0..whole.len() {
            fs::write(&pack, &whole[..length]).unwrap();
            let kept = (0..10).filter(|&number| is_kept(&bases, number)).count();
            assert!(kept < 10);
            keep(&bases, 10..11);
            assert!(is_kept(&bases, 10), "after a pack was cut at {length}");
            assert_eq!((0..10).filter(|&number| is_kept(&bases, number)).count(), kept);
        }
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 0x55;
            fs::write(&pack, &damaged).unwrap();
            // Whatever the damage is, no wrong content is ever given.
            let found = bases.find(&(0..10).map(|number| Digest::of(&text(number))).collect()).unwrap();
            for number in 0..10 {
                let read = found.read(&Digest::of(&text(number)));
                assert!(read.is_none_or(|bytes| bytes == text(number)));
            }
        }
    }

    #[test]
    fn a_pack_that_cannot_be_read_is_left_out() {
        let folder = tempfile::tempdir().unwrap();
        let bases = Bases::in_folder(folder.path());
        keep(&bases, 0..10);
        fs::create_dir(name(folder.path(), 1)).unwrap();
        assert!((0..10).all(|number| is_kept(&bases, number)));
    }

    #[test]
    fn what_was_kept_again_and_again_takes_its_room_once() {
        let folder = tempfile::tempdir().unwrap();
        let bases = Bases::in_folder(folder.path());
        let mut noise = vec![0; 1 << 20];
        blake3::Hasher::new().finalize_xof().fill(&mut noise);
        let keeper = bases.writer();
        (0..20).for_each(|_| keeper.keep(&noise).unwrap());
        keeper.finish().unwrap();
        bases.forget(&HashSet::new()).unwrap();
        let size: u64 =
            packs(folder.path()).unwrap().iter().map(|path| fs::metadata(path).unwrap().len()).sum();
        assert!(size < 2 << 20, "{size} bytes for one content of a MiB");
        let digest = Digest::of(&noise);
        assert!(bases.find(&[digest].into()).unwrap().read(&digest).is_some());
    }

    #[test]
    fn the_dead_are_forgotten_when_it_pays() {
        let folder = tempfile::tempdir().unwrap();
        let bases = Bases::in_folder(folder.path());
        let mut noise = vec![0; 1 << 20];
        let mut digests = Vec::new();
        let keeper = bases.writer();
        for number in 0..12_u8 {
            blake3::Hasher::new().update(&[number]).finalize_xof().fill(&mut noise);
            digests.push(Digest::of(&noise));
            keeper.keep(&noise).unwrap();
        }
        keeper.finish().unwrap();
        let size = || {
            packs(folder.path()).unwrap().iter().map(|path| fs::metadata(path).unwrap().len()).sum::<u64>()
        };
        let before = size();
        bases.forget(&digests[..2].iter().copied().collect()).unwrap();
        assert_eq!(size(), before, "too little to be worth it");
        let dead: HashSet<Digest> = digests[..9].iter().copied().collect();
        bases.forget(&dead).unwrap();
        assert!(size() < before / 2);
        let left = bases.list().unwrap();
        assert_eq!(left, digests[9..].iter().copied().collect());
        let found = bases.find(&left).unwrap();
        assert!(left.iter().all(|digest| found.read(digest).is_some()));
    }
}
