//! A folder on this machine: the local side of every target, and a remote side like any other.
//!
//! Everything happens relative to a handle on the root. No path is ever resolved through a symbolic link or out
//! of the root, not even while somebody swaps links in.

mod apply;
mod flush;
mod names;
mod parents;
mod planting;
mod platform;
mod read;
mod rescued;
mod scan;
mod stage;
mod staging;
mod swap;
mod version;
mod walk;
mod watch;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Deserialize;
use syncline_connect::{
    Batch, Capabilities, Content, Endpoint, EndpointKind, Error, ErrorKind, Health, OpenRequest, Result,
    ScanRequest, Watch, Words,
};
use syncline_core::{Abilities, Change, ItemPath, Outcome, Root, Seen, Snapshot, Version};
use tokio::runtime::Handle;

use platform::Directory;

/// The folder endpoint's line in the list.
pub const KIND: EndpointKind = EndpointKind {
    name: "folder",
    summary: "a folder on this machine, or one that the system mounts",
    schema: || schemars::schema_for!(Settings),
    open: |request| Ok(Arc::new(open(request)?)),
};

/// Where Syncline keeps what belongs to a root, beneath it.
const STATE: &str = ".syncline";

/// Most steps in one batch: each batch writes the file system's memory to the medium twice.
const BATCH_MAX: usize = 25_000;

/// Free space below which a check warns, in bytes.
const FREE_BYTES_LOW: u64 = 256 * 1024 * 1024;

/// Settings of a folder.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// The folder. A relative path starts at the root of the workspace; `~` and variables are not expanded.
    path: PathBuf,
}

/// A folder on this machine.
pub struct FolderEndpoint {
    root: PathBuf,
    capabilities: Capabilities,
    keep_staging: bool,
    /// The root as the last scan or batch opened it: content is read from the tree that was scanned.
    opened: Mutex<Option<Arc<Directory>>>,
}

fn open(request: &OpenRequest<'_>) -> Result<FolderEndpoint> {
    let settings: Settings = serde_json::from_value(request.settings.clone())
        .map_err(|error| Error::new(ErrorKind::Invalid, format!("folder: {error}")))?;
    if settings.path.as_os_str().is_empty() {
        return Err(Error::new(ErrorKind::Invalid, "folder: the path is empty"));
    }
    let text = settings.path.to_string_lossy();
    if text.starts_with('~') {
        let message = format!("folder: the path {text} starts with `~`, which is not expanded");
        return Err(Error::new(ErrorKind::Invalid, message).with_hint(
            "write the path in full, such as /home/ada/backup; with ./ in front when its name really looks like this",
        ));
    }
    Ok(FolderEndpoint::open(&request.workspace.join(settings.path), false))
}

impl FolderEndpoint {
    /// Opens a folder, which need not exist; nothing is looked at yet.
    ///
    /// With `workspace`, it is the root of a workspace, whose `.syncline` folder stays as it is.
    #[must_use]
    pub fn open(root: &Path, workspace: bool) -> Self {
        let folds = platform::folds_names();
        let capabilities = Capabilities {
            kind: "folder",
            location: root.display().to_string(),
            writable: true,
            abilities: Abilities { folds_case: folds, folds_unicode: folds, ..platform::abilities() },
            only: None,
            marks: true,
            disturbs: false,
            consistent_listing: true,
            watch: true,
            batch_max: BATCH_MAX,
            words: Words::default(),
        };
        Self { root: root.to_owned(), capabilities, keep_staging: workspace, opened: Mutex::default() }
    }

    /// Opens the root, or tells why there is none.
    fn root(&self) -> Result<Result<Arc<Directory>, Root>> {
        let opened = Directory::open(&self.root);
        let mut last = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        match opened {
            Ok(directory) => {
                let directory = Arc::new(directory);
                *last = Some(Arc::clone(&directory));
                Ok(Ok(directory))
            }
            Err(error) => {
                *last = None;
                match std::fs::symlink_metadata(&self.root) {
                    Ok(found) if found.is_symlink() => Ok(Err(Root::WrongType("symbolic link"))),
                    Ok(found) if !found.is_dir() => Ok(Err(Root::WrongType("file"))),
                    Err(gone) if is_gone(&gone) => Ok(Err(Root::Missing)),
                    _ => Err(walk::root_error(error, &self.capabilities.location)),
                }
            }
        }
    }

    /// The root for reading: as the last scan saw it.
    fn root_for_reading(&self) -> Result<Arc<Directory>> {
        let last = self.opened.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(directory) = last {
            return Ok(directory);
        }
        self.root()?.map_err(|root| self.no_root(&root))
    }

    /// The root for writing; made where it is missing.
    fn root_for_writing(&self) -> Result<Arc<Directory>> {
        match self.root()? {
            Err(Root::Missing) => {
                std::fs::create_dir_all(&self.root).map_err(|error| {
                    Error::io(error, format_args!("making {}", self.capabilities.location))
                })?;
                self.root()?.map_err(|root| self.no_root(&root))
            }
            found => found.map_err(|root| self.no_root(&root)),
        }
    }

    fn no_root(&self, root: &Root) -> Error {
        let location = &self.capabilities.location;
        match root {
            Root::WrongType(what) => {
                Error::new(ErrorKind::Invalid, format!("{location} is a {what}, not a folder"))
                    .with_hint("name the folder itself")
            }
            _ => Error::new(ErrorKind::NotFound, format!("{location} is not there"))
                .with_hint("make it, or mount what belongs there"),
        }
    }
}

#[async_trait]
impl Endpoint for FolderEndpoint {
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    async fn check(&self) -> Result<Health> {
        let root = self.root()?.map_err(|root| self.no_root(&root))?;
        let location = &self.capabilities.location;
        names::Names::default().read(&root).map_err(|error| walk::root_error(error, location))?;
        let mut warnings = Vec::new();
        let (bytes, inodes) = root.free().map_err(|error| walk::root_error(error, location))?;
        if bytes < FREE_BYTES_LOW {
            warnings.push(format!("only {} MiB are free on the file system of {location}", bytes >> 20));
        }
        if inodes.is_some_and(|count| count < 1000) {
            warnings.push(format!("the file system of {location} has almost no room for more files"));
        }
        for waiting in rescued::list(&root) {
            warnings.push(format!("{location}/{}: {}", waiting.path, waiting.message));
        }
        if self.capabilities.abilities.folds_case {
            warnings.push(format!("{location} takes names that differ only in case for the same"));
        }
        Ok(Health { message: format!("{location} can be read"), writable: root.is_writable(), warnings })
    }

    async fn scan(&self, request: ScanRequest) -> Result<Snapshot> {
        let root = match self.root()? {
            Ok(root) => root,
            Err(root) => {
                let sentinel = request.sentinel.as_ref().map(|_| false);
                return Ok(Snapshot { root, sentinel, complete: true, ..Snapshot::default() });
            }
        };
        blocking(move || {
            let snapshot = scan::scan(&root, &request)?;
            if request.durable && snapshot.changes.iter().any(|change| may_settle(change, &request)) {
                apply::sync(&root, "what was found")?;
            }
            Ok(snapshot)
        })
        .await
    }

    async fn read(&self, path: &ItemPath, version: &Version) -> Result<Content> {
        // Opening takes microseconds: handing it to another thread would take longer.
        read::read(&*self.root_for_reading()?, path, version)
    }

    async fn apply(&self, batch: Batch) -> Result<Vec<Outcome>> {
        let nothing = batch.steps.is_empty() && batch.mark.is_none();
        if nothing && !self.root.join(STATE).join("staging").exists() {
            return Ok(Vec::new());
        }
        let root = self.root_for_writing()?;
        let keep_staging = self.keep_staging;
        let location = self.capabilities.location.clone();
        let handle = Handle::current();
        let given_up = GivenUp(Arc::new(AtomicBool::new(false)));
        let cancelled = Arc::clone(&given_up.0);
        blocking(move || apply::apply(&root, &location, &batch, &handle, &cancelled, keep_staging)).await
    }

    fn watch(&self) -> Option<&dyn Watch> {
        Some(self)
    }
}

impl Watch for FolderEndpoint {
    fn start(&self, filter: Arc<syncline_core::Filter>) -> Result<syncline_connect::Watcher> {
        let root = self.root()?.map_err(|root| self.no_root(&root))?;
        watch::start(&self.root, root, filter)
    }
}

/// Tells a batch that nobody waits for it any more: dropped together with the call.
struct GivenUp(Arc<AtomicBool>);

impl Drop for GivenUp {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Does work that blocks on a thread that may.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(_) => Err(Error::new(ErrorKind::Io, "the program is shutting down")),
    }
}

fn is_gone(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// Whether a text can be the name of a mark or a run: a word that is safe as a file name.
fn is_word(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 100
        && !text.starts_with('.')
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
}

/// Whether both sides may come to agree on what changed. What rules have always left out is never agreed on, nor a
/// directory where one side keeps none: in most workspaces they are there in every scan.
fn may_settle(change: &Change, request: &ScanRequest) -> bool {
    change.was.is_some()
        || match &change.now {
            Seen::Ignored => false,
            Seen::Present(found) => request.directories || !found.item.kind.is_directory(),
            Seen::Absent | Seen::Unreadable(_) => true,
        }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use syncline_core::{Filter, Found, Item, Kind, MemoryBaseline, Side};

    use super::*;

    #[test]
    fn only_what_may_be_agreed_on_has_to_be_durable() {
        let found = |item: Item| Seen::Present(Found { item, version: Version::none(), moved_from: None });
        let file = || Item { kind: Kind::FILE, digest: None, size: 1, modified: 0 };
        let was = || {
            Some(Box::new(syncline_core::Entry {
                kind: Kind::FILE,
                digest: syncline_core::Digest([0; 32]),
                size: 1,
                versions: syncline_core::Sides { local: Version::none(), remote: Version::none() },
            }))
        };
        for (was, now, directories, expected) in [
            (None, found(file()), false, true),
            (None, found(Item::directory()), true, true),
            (None, found(Item::directory()), false, false),
            (was(), found(Item::directory()), false, true),
            (None, Seen::Ignored, true, false),
            (was(), Seen::Ignored, true, true),
            (was(), Seen::Absent, false, true),
        ] {
            let request = ScanRequest {
                side: Side::Local,
                baseline: Arc::new(MemoryBaseline::default()),
                filter: Arc::new(Filter::default()),
                mark: String::new(),
                sentinel: None,
                only: None,
                durable: true,
                again: false,
                directories,
                progress: Arc::default(),
            };
            let Ok(path) = ItemPath::parse("x") else { panic!("a plain name is a path") };
            let change = Change { path, was, now };
            assert_eq!(may_settle(&change, &request), expected, "{change:?}");
        }
    }
}
