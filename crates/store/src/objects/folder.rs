//! Objects in a folder.

use std::cell::RefCell;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use syncline_core::Digest;

use super::reader::{Blob, ObjectReader};
use super::writer::{Temporary, clean, mismatch};
use super::{absent, unsound};
use crate::error::{Error, ErrorKind, Result, kind_of};
use crate::platform;

/// Contents below this many bytes are never compressed.
const COMPRESS_BYTES_MIN: usize = 4096;
/// How much of a content decides whether it is compressed.
const SAMPLE_BYTES: usize = 64 * 1024;
const ZSTD_LEVEL: i32 = 3;
/// The end of a compressed object: a skippable zstd frame of 8 bytes that holds the size of the content, see
/// RFC 8878, section 3.1.2.
const TRAILER_HEAD: [u8; 8] = [0x5e, 0x2a, 0x4d, 0x18, 8, 0, 0, 0];
const TRAILER_BYTES: u64 = 16;
/// Where damaged objects are set aside.
const ASIDE: &str = "damaged";
/// An object that is put again is made young again when it is older than this, so that a sweep spares it.
const REFRESH_AGE: Duration = Duration::from_secs(600);

pub(super) struct Folder {
    root: PathBuf,
    handle: File,
    /// What was put since the last successful sync.
    pending: Mutex<Vec<Pending>>,
    /// Held during a sync: whoever finds nothing pending waits for the sync that has taken it.
    syncing: Mutex<()>,
    /// How many syncs have failed.
    failures: AtomicU64,
}

/// Where an object is and how it is stored.
pub(super) struct Place {
    path: PathBuf,
    compressed: bool,
    length: u64,
}

impl Folder {
    pub(super) fn open(root: &Path) -> Result<Self> {
        let temporary = root.join("tmp");
        let prepare = || -> io::Result<()> {
            if !temporary.is_dir() {
                // All folders at once, durable before `tmp` says so: no write has to think of them again.
                platform::create_private_folder(root)?;
                for byte in 0..=u8::MAX {
                    platform::create_private_folder(&root.join(format!("{byte:02x}")))?;
                }
                platform::sync_directory(root)?;
                platform::create_private_folder(&temporary)?;
                platform::sync_directory(root)?;
            }
            clean(&temporary)
        };
        prepare().map_err(|error| Error::io("prepare the content store", root, &error))?;
        let handle = platform::open_folder(root).map_err(|error| Error::io("open", root, &error))?;
        Ok(Self {
            root: root.to_owned(),
            handle,
            pending: Mutex::default(),
            syncing: Mutex::default(),
            failures: AtomicU64::new(0),
        })
    }

    fn path(&self, digest: &Digest, compressed: bool) -> PathBuf {
        let hex = digest.to_string();
        let (folder, name) = hex.split_at(2);
        let suffix = if compressed { ".zst" } else { "" };
        self.root.join(folder).join(format!("{name}{suffix}"))
    }

    pub(super) fn find(&self, digest: &Digest) -> Option<Place> {
        [false, true].into_iter().find_map(|compressed| {
            let path = self.path(digest, compressed);
            let metadata = fs::symlink_metadata(&path).ok().filter(fs::Metadata::is_file)?;
            Some(Place { path, compressed, length: metadata.len() })
        })
    }

    fn pending(&self) -> MutexGuard<'_, Vec<Pending>> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn temporary(&self) -> Result<Temporary> {
        Temporary::create(&self.root.join("tmp"))
    }

    /// Gives a finished temporary file the name of its object.
    fn keep(&self, temporary: Temporary, digest: &Digest, compressed: bool) -> Result<PathBuf> {
        let path = self.path(digest, compressed);
        self.ensure_folder(&path)?;
        temporary.keep(&path).map_err(|error| Error::io("create", &path, &error))?;
        Ok(path)
    }

    /// The same, for the next sync to make durable. `failures` is how many had failed when the file was begun: where
    /// one has since, some of the file may be among what could not be written, and no later sync would tell.
    fn keep_pending(
        &self,
        temporary: Temporary,
        digest: &Digest,
        compressed: bool,
        failures: u64,
    ) -> Result<()> {
        let path = self.keep(temporary, digest, compressed)?;
        self.pending().push(Pending { digest: *digest, new: true });
        if self.failures() == failures {
            return Ok(());
        }
        let _ = fs::remove_file(&path);
        Err(Error::io("make durable", &path, &io::Error::other("another write to its disk has failed")))
    }

    /// Somebody may have removed one of the folders that [`Folder::open`] made.
    fn ensure_folder(&self, path: &Path) -> Result<()> {
        let folder = path.parent().unwrap_or(&self.root);
        if folder.is_dir() {
            return Ok(());
        }
        platform::create_private_folder(folder)
            .and_then(|()| platform::sync_directory(&self.root))
            .map_err(|error| Error::io("create", folder, &error))
    }

    /// Makes a finished temporary file durable under the name of its object.
    ///
    /// A sync of everything that failed meanwhile is nothing to it: the file's own sync tells of all that could not be
    /// written of it since it was opened.
    pub(super) fn keep_durably(&self, temporary: Temporary, digest: &Digest) -> Result<()> {
        temporary.file.sync_data().map_err(|error| Error::io("make durable", &temporary.path, &error))?;
        let path = self.keep(temporary, digest, false)?;
        let folder = path.parent().unwrap_or(&self.root);
        platform::sync_directory(folder).map_err(|error| {
            // Nobody knows what the disk holds now, so the name must not stay.
            let _ = fs::remove_file(&path);
            Error::io("make durable", folder, &error)
        })
    }

    /// Whether the object is there already and sound; then it is made young and pending again.
    fn reuse(&self, digest: &Digest) -> Result<bool> {
        let Some(place) = self.find(digest) else {
            return Ok(false);
        };
        if !self.verify(digest)? {
            fs::remove_file(&place.path).map_err(|error| Error::io("remove", &place.path, &error))?;
            return Ok(false);
        }
        match platform::refresh(&place.path, REFRESH_AGE) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(Error::io("refresh", &place.path, &error)),
        }
        // Whoever wrote it may not have made it durable.
        self.pending().push(Pending { digest: *digest, new: false });
        Ok(true)
    }

    pub(super) fn put(&self, digest: &Digest, bytes: &[u8]) -> Result<()> {
        if self.reuse(digest)? {
            return Ok(());
        }
        let failures = self.failures();
        let mut temporary = self.temporary()?;
        let sample = squeezed(&bytes[..bytes.len().min(SAMPLE_BYTES)])?;
        let compressed = sample.is_some();
        let whole = sample.filter(|_| bytes.len() <= SAMPLE_BYTES);
        let written = if let Some(mut whole) = whole {
            whole.extend_from_slice(&trailer(bytes.len() as u64));
            temporary.file.write_all(&whole)
        } else if compressed {
            compressor(&temporary.file)
                .and_then(|mut encoder| encoder.write_all(bytes).and_then(|()| encoder.finish()))
                .and_then(|mut file| file.write_all(&trailer(bytes.len() as u64)))
        } else {
            temporary.file.write_all(bytes)
        };
        written.map_err(|error| Error::io("write", &temporary.path, &error))?;
        self.keep_pending(temporary, digest, compressed, failures)
    }

    pub(super) fn put_reader(
        &self,
        reader: &mut dyn Read,
        expected: Option<Digest>,
    ) -> Result<(Digest, u64)> {
        let mut head = Vec::with_capacity(SAMPLE_BYTES);
        reader.take(SAMPLE_BYTES as u64).read_to_end(&mut head).map_err(|error| unread(&error))?;
        if head.len() < SAMPLE_BYTES {
            let digest = Digest::of(&head);
            if let Some(expected) = expected.filter(|expected| *expected != digest) {
                return Err(mismatch(&expected, &digest));
            }
            self.put(&digest, &head)?;
            return Ok((digest, head.len() as u64));
        }
        let known = match expected {
            Some(expected) => self.reuse(&expected)?,
            None => false,
        };
        if known { hash_rest(reader, head, expected) } else { self.put_long(reader, head, expected) }
    }

    /// Puts a content of which `head` was read already.
    fn put_long(
        &self,
        reader: &mut dyn Read,
        mut head: Vec<u8>,
        expected: Option<Digest>,
    ) -> Result<(Digest, u64)> {
        let failures = self.failures();
        let temporary = self.temporary()?;
        let compressed = squeezed(&head)?.is_some();
        let unwritten = |error: io::Error| Error::io("write", &temporary.path, &error);
        let mut sink: Box<dyn Sink> = if compressed {
            Box::new(compressor(&temporary.file).map_err(unwritten)?)
        } else {
            Box::new(&temporary.file)
        };
        let mut hasher = blake3::Hasher::new();
        let mut size = 0;
        let mut filled = head.len();
        while filled > 0 {
            hasher.update(&head[..filled]);
            size += filled as u64;
            sink.write_all(&head[..filled]).map_err(unwritten)?;
            filled = fill(reader, &mut head)?;
        }
        sink.close().map_err(unwritten)?;
        if compressed {
            (&temporary.file).write_all(&trailer(size)).map_err(unwritten)?;
        }
        let digest = checked(&hasher, expected)?;
        if !self.reuse(&digest)? {
            self.keep_pending(temporary, &digest, compressed, failures)?;
        }
        Ok((digest, size))
    }

    pub(super) fn open_object(&self, digest: &Digest) -> Result<ObjectReader> {
        let place = self.find(digest).ok_or_else(|| absent(digest))?;
        let failed = |error: io::Error| Error::io("open", &place.path, &error);
        let file = File::open(&place.path).map_err(failed)?;
        if !place.compressed {
            return Ok(ObjectReader::of_file(*digest, file, place.length));
        }
        let mut end = [0; TRAILER_BYTES as usize];
        let start = place.length.checked_sub(TRAILER_BYTES).ok_or_else(|| unsound(digest))?;
        platform::read_exact_at(&file, &mut end, start).map_err(failed)?;
        let size = end.strip_prefix(&TRAILER_HEAD).and_then(|size| size.try_into().ok());
        let size = u64::from_le_bytes(size.ok_or_else(|| unsound(digest))?);
        ObjectReader::of_compressed(*digest, file, size).map_err(failed)
    }

    pub(super) fn blob(&self, digest: &Digest) -> Result<Blob> {
        let path = self.path(digest, false);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(absent(digest)),
            Err(error) => return Err(Error::io("open", &path, &error)),
        };
        let length = file.metadata().map_err(|error| Error::io("look at", &path, &error))?.len();
        Ok(Blob::File(file, length))
    }

    pub(super) fn verify(&self, digest: &Digest) -> Result<bool> {
        let read = self.open_object(digest).and_then(|mut reader| {
            io::copy(&mut reader, &mut io::sink()).map_err(|error| {
                Error::new(kind_of(&error), format!("cannot read the object {digest}: {error}"))
            })
        });
        match read {
            Ok(_) => Ok(true),
            Err(error) if matches!(error.kind(), ErrorKind::Damaged | ErrorKind::NotFound) => Ok(false),
            Err(error) => Err(error),
        }
    }

    pub(super) fn list(&self, each: &mut dyn FnMut(Digest, u64)) -> Result<()> {
        for byte in 0..=u8::MAX {
            let prefix = format!("{byte:02x}");
            let folder = self.root.join(&prefix);
            let failed = |error: io::Error| Error::io("list", &folder, &error);
            let entries = match fs::read_dir(&folder) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                entries => entries.map_err(failed)?,
            };
            for entry in entries {
                let entry = entry.map_err(failed)?;
                let name = entry.file_name();
                let Some(name) = name.to_str() else { continue };
                let hex = format!("{prefix}{}", name.strip_suffix(".zst").unwrap_or(name));
                let (Some(digest), Ok(metadata)) = (Digest::from_hex(&hex), entry.metadata()) else {
                    continue;
                };
                each(digest, metadata.len());
            }
        }
        Ok(())
    }

    pub(super) fn set_aside(&self, digest: &Digest) -> Result<bool> {
        let aside = self.root.join(ASIDE);
        let mut moved = false;
        while let Some(place) = self.find(digest) {
            if self.verify(digest)? {
                break;
            }
            let to = aside.join(aside_name(digest, place.compressed));
            platform::create_private_folder(&aside)
                .and_then(|()| fs::rename(&place.path, &to))
                .map_err(|error| Error::io("set aside", &place.path, &error))?;
            moved = true;
        }
        Ok(moved)
    }

    pub(super) fn is_set_aside(&self, digest: &Digest) -> bool {
        let lies = |compressed| self.root.join(ASIDE).join(aside_name(digest, compressed)).exists();
        (lies(false) || lies(true)) && self.find(digest).is_none()
    }

    pub(super) fn aside_count(&self) -> u64 {
        fs::read_dir(self.root.join(ASIDE)).map_or(0, |entries| entries.count() as u64)
    }

    pub(super) fn remove(&self, digest: &Digest) -> Result<bool> {
        let mut removed = false;
        while let Some(place) = self.find(digest) {
            match fs::remove_file(&place.path) {
                Ok(()) => removed = true,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(Error::io("remove", &place.path, &error)),
            }
        }
        Ok(removed)
    }

    pub(super) fn remove_older(&self, digest: &Digest, age_min: Duration) -> Result<Option<u64>> {
        let Some(place) = self.find(digest) else {
            return Ok(None);
        };
        let Ok(metadata) = fs::symlink_metadata(&place.path) else {
            return Ok(None);
        };
        if platform::age(&metadata) < age_min {
            return Ok(None);
        }
        Ok(self.remove(digest)?.then_some(place.length))
    }

    pub(super) fn failures(&self) -> u64 {
        self.failures.load(Ordering::Acquire)
    }

    pub(super) fn sync(&self) -> Result<()> {
        let _syncing = self.syncing.lock().unwrap_or_else(PoisonError::into_inner);
        let pending = std::mem::take(&mut *self.pending());
        if pending.is_empty() {
            return Ok(());
        }
        let mut paths = pending.iter().filter_map(|one| Some(self.find(&one.digest)?.path));
        platform::sync_file_system(&self.handle, &mut paths).map_err(|error| {
            self.failures.fetch_add(1, Ordering::AcqRel);
            // What was put meanwhile may have been among what could not be written. What was there before is none
            // of this batch's to take away.
            let meanwhile = std::mem::take(&mut *self.pending());
            for one in pending.iter().chain(&meanwhile).filter(|one| one.new) {
                let _ = self.remove(&one.digest);
            }
            Error::io("make durable", &self.root, &error)
        })
    }
}

/// An object that is not known to be durable.
struct Pending {
    digest: Digest,
    /// Whether it was put since the last sync, or was there already.
    new: bool,
}

/// Something that is written and then closed.
trait Sink: Write {
    fn close(self: Box<Self>) -> io::Result<()>;
}

impl Sink for &File {
    fn close(self: Box<Self>) -> io::Result<()> {
        Ok(())
    }
}

impl Sink for zstd::stream::write::Encoder<'_, &File> {
    fn close(self: Box<Self>) -> io::Result<()> {
        self.finish().map(drop)
    }
}

/// The name of an object that was set aside.
fn aside_name(digest: &Digest, compressed: bool) -> String {
    format!("{digest}{}", if compressed { ".zst" } else { "" })
}

fn compressor(file: &File) -> io::Result<zstd::stream::write::Encoder<'static, &File>> {
    zstd::stream::write::Encoder::new(file, ZSTD_LEVEL)
}

fn trailer(size: u64) -> [u8; TRAILER_BYTES as usize] {
    let mut trailer = [0; TRAILER_BYTES as usize];
    trailer[..8].copy_from_slice(&TRAILER_HEAD);
    trailer[8..].copy_from_slice(&size.to_le_bytes());
    trailer
}

thread_local! {
    /// A compressor takes longer to make than most contents take to compress, so that of a thread is used again.
    static COMPRESSOR: RefCell<Option<zstd::bulk::Compressor<'static>>> = const { RefCell::new(None) };
}

/// The sample compressed, when that saves at least a tenth of it.
fn squeezed(sample: &[u8]) -> Result<Option<Vec<u8>>> {
    if sample.len() < COMPRESS_BYTES_MIN {
        return Ok(None);
    }
    let compressed = COMPRESSOR.with_borrow_mut(|kept| {
        let mut compressor = kept.take().map_or_else(|| zstd::bulk::Compressor::new(ZSTD_LEVEL), Ok)?;
        let compressed = compressor.compress(sample);
        *kept = Some(compressor);
        compressed
    });
    let compressed = compressed
        .map_err(|error| Error::new(ErrorKind::Io, format!("cannot compress a content: {error}")))?;
    let pays = (compressed.len() + TRAILER_BYTES as usize) * 10 <= sample.len() * 9;
    Ok(pays.then_some(compressed))
}

/// Reads until the buffer is full or the content ends; returns how much there is.
fn fill(reader: &mut dyn Read, buffer: &mut [u8]) -> Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match reader.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(unread(&error)),
        }
    }
    Ok(filled)
}

/// Checks the digest of a content that the store holds already.
fn hash_rest(reader: &mut dyn Read, mut head: Vec<u8>, expected: Option<Digest>) -> Result<(Digest, u64)> {
    let mut hasher = blake3::Hasher::new();
    let mut size = 0;
    let mut filled = head.len();
    while filled > 0 {
        hasher.update(&head[..filled]);
        size += filled as u64;
        filled = fill(reader, &mut head)?;
    }
    Ok((checked(&hasher, expected)?, size))
}

fn checked(hasher: &blake3::Hasher, expected: Option<Digest>) -> Result<Digest> {
    let digest = Digest::from(hasher.finalize());
    match expected {
        Some(expected) if expected != digest => Err(mismatch(&expected, &digest)),
        _ => Ok(digest),
    }
}

/// A failure of the caller's reader is never mistaken for one of the store.
fn unread(error: &io::Error) -> Error {
    Error::new(ErrorKind::Io, format!("cannot read the content to keep: {error}"))
}
