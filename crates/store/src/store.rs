//! The store: opening it, locking it, and working beside the runtime.

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::bases::Bases;
use crate::database::Database;
use crate::error::{Error, ErrorKind, Result};
use crate::fold::Cache;
use crate::objects::Objects;
use crate::platform;

/// The state of a workspace. Cheap to clone.
///
/// Its calls may be cancelled: a transaction that was not committed leaves nothing.
#[derive(Clone)]
pub struct Store(Arc<Inner>);

struct Inner {
    folder: Option<PathBuf>,
    /// What tells this state folder from a copy of it; see [`platform::place`].
    place: Option<String>,
    database: Database,
    objects: Objects,
    bases: Bases,
    cache: Cache,
    /// The workspace lock of a store in memory.
    locked: Arc<AtomicBool>,
    /// The places of requests that are damaged, each of which was told once.
    told: Mutex<BTreeSet<i64>>,
}

impl Store {
    /// Opens the state folder `folder` (usually `.syncline`); makes it, for its owner alone, when it is missing.
    ///
    /// # Errors
    /// - [`ErrorKind::Denied`] when the folder is a symbolic link, or when others may write to it or everyone may
    ///   look into it;
    /// - [`ErrorKind::NewerVersion`] when a newer Syncline wrote it; it is left untouched;
    /// - [`ErrorKind::Damaged`] when the database is; the message names the file.
    pub async fn open(folder: &Path) -> Result<Self> {
        let folder = folder.to_owned();
        let at = folder.clone();
        let prepare = tokio::task::spawn_blocking(move || {
            prepare_folder(&at)?;
            Ok::<_, Error>((platform::place(&at), Objects::in_folder(&at.join("objects"))?))
        });
        let (place, objects) = prepare.await.map_err(|error| cut_short(&error))??;
        let database = Database::open(&folder).await?;
        let bases = Bases::in_folder(&folder.join("bases"));
        Ok(Self::new(Some(folder), place, database, objects, bases))
    }

    /// Makes a store in memory: the same behaviour without a disk, for simulation. Its identifiers repeat.
    ///
    /// # Errors
    /// When SQLite fails.
    pub async fn in_memory() -> Result<Self> {
        let (objects, bases) = (Objects::in_memory(), Bases::in_memory());
        Ok(Self::new(None, None, Database::in_memory().await?, objects, bases))
    }

    fn new(
        folder: Option<PathBuf>,
        place: Option<String>,
        database: Database,
        objects: Objects,
        bases: Bases,
    ) -> Self {
        let (cache, locked, told) = (Cache::default(), Arc::default(), Mutex::default());
        Self(Arc::new(Inner { folder, place, database, objects, bases, cache, locked, told }))
    }

    /// Closes the database, when this is the last clone of the store. Dropping it does the same a little later.
    ///
    /// # Errors
    /// When SQLite fails.
    pub async fn close(self) -> Result<()> {
        match Arc::into_inner(self.0) {
            Some(inner) => inner.database.close().await,
            None => Ok(()),
        }
    }

    /// The state folder; `None` in memory.
    #[must_use]
    pub fn dir(&self) -> Option<&Path> {
        self.0.folder.as_deref()
    }

    /// The content store.
    #[must_use]
    pub fn objects(&self) -> &Objects {
        &self.0.objects
    }

    /// What conflicts are merged from.
    #[must_use]
    pub fn bases(&self) -> &Bases {
        &self.0.bases
    }

    pub(crate) fn place(&self) -> Option<&str> {
        self.0.place.as_deref()
    }

    /// Whether a damaged request at this place is one that was not told of yet; from now on it is.
    pub(crate) fn is_untold(&self, place: i64) -> bool {
        self.0.told.lock().unwrap_or_else(PoisonError::into_inner).insert(place)
    }

    pub(crate) fn database(&self) -> &Database {
        &self.0.database
    }

    pub(crate) fn cache(&self) -> &Cache {
        &self.0.cache
    }

    /// Takes the workspace for this process, until the lock is dropped. Never waits.
    ///
    /// # Errors
    /// [`ErrorKind::Locked`] when somebody has it; the message tells which process.
    pub fn lock(&self) -> Result<WorkspaceLock> {
        let Some(folder) = &self.0.folder else {
            if self.0.locked.swap(true, Ordering::AcqRel) {
                return Err(Error::locked("the workspace is in use by this process"));
            }
            return Ok(WorkspaceLock { _held: Held::Memory(Flag(Arc::clone(&self.0.locked))) });
        };
        let path = folder.join("lock");
        let failed = |error: &io::Error| Error::io("lock", &path, error);
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let mut file = platform::private_file(&mut options).open(&path).map_err(|error| failed(&error))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(std::fs::TryLockError::WouldBlock) => {
                let mut holder = String::new();
                // The text is only for people: a holder that has not written it yet is not named.
                let _ = (&file).take(32).read_to_string(&mut holder);
                let holder = if holder.trim().is_empty() { "another process" } else { holder.trim() };
                return Err(Error::locked(format!("the workspace is in use by process {holder}")));
            }
            Err(std::fs::TryLockError::Error(error)) => return Err(failed(&error)),
        }
        file.set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| writeln!(file, "{}", std::process::id()))
            .map_err(|error| failed(&error))?;
        Ok(WorkspaceLock { _held: Held::File(file) })
    }

    /// Does work that blocks on the disk beside the runtime; in memory, here and now, so that a simulation
    /// stays deterministic.
    pub(crate) async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Self) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        if self.0.folder.is_none() {
            return work(self);
        }
        let store = self.clone();
        tokio::task::spawn_blocking(move || work(&store)).await.map_err(|error| cut_short(&error))?
    }
}

fn cut_short(error: &tokio::task::JoinError) -> Error {
    Error::new(ErrorKind::Io, format!("work on the state folder was cut short: {error}"))
}

/// The workspace belongs to this process as long as this lives.
#[must_use = "the workspace is free again when the lock is dropped"]
pub struct WorkspaceLock {
    _held: Held,
}

#[expect(dead_code, reason = "held, never read: dropping it is what counts")]
enum Held {
    File(File),
    Memory(Flag),
}

/// Lowers the flag of a store in memory.
struct Flag(Arc<AtomicBool>);

impl Drop for Flag {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

/// Refuses the superuser in the state folder of somebody else, who could not change any more what is made there.
///
/// # Errors
/// When it is so.
pub fn check_owner(folder: &Path) -> Result<()> {
    let Some(owner) = platform::other_owner(folder) else { return Ok(()) };
    let reason = format!("it belongs to user {owner}, who could not use any more what root makes in it");
    Err(refused(folder, &reason).with_hint(format!("as that user: sudo -u '#{owner}' syncline …")))
}

/// Makes the state folder, or checks that it is one that only its owner can change and look into.
fn prepare_folder(folder: &Path) -> Result<()> {
    match std::fs::symlink_metadata(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => platform::create_private_folder(folder)
            .map_err(|error| Error::io("create the state folder", folder, &error)),
        Err(error) => Err(Error::io("look at the state folder", folder, &error)),
        Ok(metadata) if metadata.is_symlink() => Err(refused(folder, "it is a symbolic link")
            .with_hint("name the folder itself, with --state or SYNCLINE_STATE")),
        Ok(metadata) if !metadata.is_dir() => Err(refused(folder, "it is not a folder")),
        Ok(metadata) => match platform::exposed(&metadata) {
            None => Ok(()),
            Some(reason) => {
                Err(refused(folder, &reason).with_hint(format!("chmod 700 {}", folder.display())))
            }
        },
    }
}

fn refused(folder: &Path, reason: &str) -> Error {
    Error::new(ErrorKind::Denied, format!("the state folder {} is refused: {reason}", folder.display()))
}
