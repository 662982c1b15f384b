//! The copy of a workspace in which a script works, or a drift gate looks.
//!
//! It holds the files that are worked with, as they are at that moment, in their places. `.git` and Syncline's own state
//! are not in it, nor is what lies outside of the workspace. Copies share their blocks with the originals where the file
//! system can do that.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File, FileTimes};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use syncline_connect::layers::sanitize::{self, Sanitizer};
use syncline_connect::{Content, Error, ErrorKind, Result};
use syncline_core::secrets::SCAN_BYTES_MAX;
use syncline_core::{
    Digest, Entry, Filter, ItemPath, Kind, MemoryBaseline, Problem, Sides, Verdict, Version,
};

use crate::look::digest_of;

/// Most files that are copied.
const FILES_MAX: usize = 200_000;
/// Most bytes that are copied.
const BYTES_MAX: u64 = 8 << 30;
/// Held while copies of dead runs are removed and a new one is made: several scripts may run at once. Other processes
/// are kept away by the lock of the workspace.
static MAKING: Mutex<()> = Mutex::new(());
/// The name of the lock in each copy's folder: whose lock is free belongs to a run that died.
const LOCK: &str = "lock";

/// What is copied, and where to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Copying {
    /// The target for which it is copied.
    pub(crate) target: String,
    /// Which files; all of them when `None`.
    pub(crate) wanted: Option<Wanted>,
    /// Folders that are there in any case.
    pub(crate) folders: Vec<String>,
    /// The folder for copies; that of the system for temporary files when `None`.
    pub(crate) above: Option<PathBuf>,
    /// What to do when that is too much.
    pub(crate) hint: &'static str,
}

/// Which files are copied.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    pub(crate) inputs: Arc<Filter>,
    pub(crate) outputs: Arc<Filter>,
    /// The file of the script, and perhaps arguments: what is beside it is copied too.
    pub(crate) entrypoint: String,
}

/// The folder of a copy's own that holds the copied workspace.
pub(crate) const ROOT: &str = "workspace";
/// The one that holds temporary files.
const TEMPORARY: &str = "tmp";

/// A copy; it is removed when dropped, unless it is kept.
pub(crate) struct Scratch {
    folder: PathBuf,
    kept: bool,
    /// What each file was like when it was copied.
    copied: HashMap<String, State>,
    lock: Arc<File>,
}

/// What is compared to tell whether a file was changed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct State {
    is_directory: bool,
    size: u64,
    modified: Option<SystemTime>,
}

impl State {
    fn of(metadata: &fs::Metadata) -> Self {
        let is_directory = metadata.is_dir();
        // A directory changes with what is in it, and that is looked at anyway.
        let (size, modified) =
            if is_directory { (0, None) } else { (metadata.len(), metadata.modified().ok()) };
        Self { is_directory, size, modified }
    }
}

impl Scratch {
    /// Copies what is worked with, out of the workspace or another copy of it.
    pub(crate) fn copy(copying: &Copying, from: &Path) -> Result<Self> {
        let failed =
            |error: io::Error| Error::io(error, format_args!("making a scratch copy for {}", copying.target));
        let (folder, lock) = {
            // A copy that has no lock yet must not be taken for one of a run that died.
            let _making = MAKING.lock().unwrap_or_else(PoisonError::into_inner);
            let folder = new_folder(copying.above.as_deref()).map_err(failed)?;
            let lock = File::create(folder.join(LOCK)).map_err(failed)?;
            lock.lock().map_err(failed)?;
            (folder, lock)
        };
        let mut scratch = Self { folder, kept: false, copied: HashMap::new(), lock: Arc::new(lock) };
        fs::create_dir(scratch.root()).map_err(failed)?;
        fs::create_dir(scratch.temporary()).map_err(failed)?;
        scratch.copy_folder(copying, from)?;
        for folder in &copying.folders {
            fs::create_dir_all(scratch.root().join(folder)).map_err(failed)?;
        }
        Ok(scratch)
    }

    /// The copy of the workspace.
    pub(crate) fn root(&self) -> PathBuf {
        self.folder.join(ROOT)
    }

    /// Its own folder, which holds all of it.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Its lock: as long as that is held, nobody takes it for left behind.
    pub(crate) fn lock(&self) -> Arc<File> {
        Arc::clone(&self.lock)
    }

    /// Leaves it where it is when it is dropped.
    pub(crate) const fn keep(&mut self) {
        self.kept = true;
    }

    /// Makes sure that it outlives a power loss.
    pub(crate) fn make_durable(&self) -> io::Result<()> {
        for (path, state) in &self.copied {
            let place = self.root().join(path);
            // A link is as durable as the folder that it lies in.
            if !fs::symlink_metadata(&place)?.is_symlink() && (cfg!(unix) || !state.is_directory) {
                File::open(place)?.sync_all()?;
            }
        }
        Ok(())
    }

    /// A folder for temporary files.
    pub(crate) fn temporary(&self) -> PathBuf {
        self.folder.join(TEMPORARY)
    }

    /// What a program finds in its environment that works in the copy.
    pub(crate) fn environment(&self) -> BTreeMap<String, String> {
        let own = [
            ("TMPDIR", self.temporary().display().to_string()),
            // The copy lies beneath the workspace: without this, Git would take it for a part of that one's repository.
            ("GIT_CEILING_DIRECTORIES", self.folder.display().to_string()),
            // Looking at the repository of the workspace changes nothing there.
            ("GIT_OPTIONAL_LOCKS", "0".to_owned()),
        ];
        own.map(|(name, value)| (name.to_owned(), value)).into()
    }

    /// Where a program may write that works in the copy.
    pub(crate) fn writable(&self) -> Vec<PathBuf> {
        vec![self.root(), self.temporary()]
    }

    fn copy_folder(&mut self, copying: &Copying, workspace: &Path) -> Result<()> {
        let (mut waiting, mut bytes) = (vec![String::new()], 0);
        while let Some(folder) = waiting.pop() {
            let from = workspace.join(&folder);
            let failed = |error: io::Error| Error::io(error, format_args!("copying {}", from.display()));
            for entry in fs::read_dir(&from).map_err(failed)? {
                let entry = entry.map_err(failed)?;
                let name = entry.file_name();
                // A name that is no text cannot be an item of any target either.
                let Some(path) = name.to_str().map(|name| below(&folder, name)) else { continue };
                let is_scratch = copying.above.as_ref().is_some_and(|above| from.join(&name) == *above);
                if is_scratch || !is_wanted(copying, &path, &entry) {
                    continue;
                }
                let failed = |error: io::Error| Error::io(error, format_args!("copying {path}"));
                match copy_entry(&entry.path(), &self.root().join(&path)) {
                    Ok(state) => {
                        bytes += state.size;
                        self.copied.insert(path.clone(), state);
                        if state.is_directory {
                            waiting.push(path);
                        }
                    }
                    // It went away in between, or is nothing that can be copied.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    Err(error) if error.kind() == io::ErrorKind::Unsupported => {}
                    Err(error) => return Err(failed(error)),
                }
                if self.copied.len() > FILES_MAX || bytes > BYTES_MAX {
                    return Err(too_large(copying));
                }
            }
        }
        Ok(())
    }

    /// The files and links among `outputs` as they were copied, with digests as their versions on the remote side: what
    /// both sides agreed on when the copy was made. To be asked before the script runs.
    pub(super) fn digests(&self, outputs: &Filter) -> Result<MemoryBaseline> {
        // No folder gives such a version: whoever looks at the original reads it.
        let unseen = Version::new(b"as it was given");
        let mut given = MemoryBaseline::default();
        for path in self.copied.iter().filter(|(_, state)| !state.is_directory).map(|(path, _)| path) {
            // A name that is no path of an item belongs to no target.
            let Ok(item) = ItemPath::parse(path) else { continue };
            if outputs.decide(&item, false) != Verdict::Included {
                continue;
            }
            let failed = |error: io::Error| Error::io(error, format_args!("reading the copy of {path}"));
            let (kind, content) = read_entry(&self.root().join(path)).map_err(failed)?;
            let (digest, size) = digest_of(content).map_err(failed)?;
            let versions = Sides { local: unseen.clone(), remote: Version::new(&digest.0) };
            given.set(&item, Some(Entry { kind, digest, size, versions }));
        }
        Ok(given)
    }

    /// Puts content where the script looks for it; its digest and size.
    pub(crate) fn put(&self, path: &ItemPath, kind: Kind, content: Content) -> Result<(Digest, u64)> {
        let failed = |error: io::Error| Error::io(error, format_args!("copying {path}"));
        let place = self.root().join(path.as_str());
        if let Some(parent) = place.parent() {
            fs::create_dir_all(parent).map_err(failed)?;
        }
        let mode = content.mode;
        let mut bytes = Vec::new();
        content.into_reader().read_to_end(&mut bytes).map_err(failed)?;
        if kind == Kind::Symlink {
            remove(&place).map_err(failed)?;
            link(&bytes, &place).map_err(failed)?;
        } else {
            let mut file = File::create(&place).map_err(failed)?;
            file.write_all(&bytes).map_err(failed)?;
            allow(&file, mode).map_err(failed)?;
        }
        Ok((Digest::of(&bytes), bytes.len() as u64))
    }

    /// Takes a file away that is not there any more.
    pub(crate) fn remove(&self, path: &ItemPath) -> Result<()> {
        let removed = remove(&self.root().join(path.as_str()));
        removed.map_err(|error| Error::io(error, format_args!("removing the copy of {path}")))
    }

    /// Everything that was changed, made or removed and is none of `outputs`, in order.
    pub(crate) fn strays(&self, outputs: &Filter) -> Result<Vec<String>> {
        let mut left: HashMap<&str, State> =
            self.copied.iter().map(|(path, state)| (path.as_str(), *state)).collect();
        let mut strays = Vec::new();
        let mut waiting = vec![String::new()];
        while let Some(folder) = waiting.pop() {
            let at = self.root().join(&folder);
            let failed = |error: io::Error| Error::io(error, format_args!("looking at {}", at.display()));
            for entry in fs::read_dir(&at).map_err(failed)? {
                let entry = entry.map_err(failed)?;
                let path = below(&folder, &entry.file_name().to_string_lossy());
                let state = State::of(&entry.metadata().map_err(failed)?);
                let was = left.remove(path.as_str());
                let verdict = outputs.decide_text(&path, state.is_directory);
                if state.is_directory && !matches!(verdict, Verdict::Ignored(_)) {
                    waiting.push(path);
                } else if verdict != Verdict::Included && was != Some(state) {
                    strays.push(path);
                } else if state.is_directory {
                    waiting.push(path);
                }
            }
        }
        let gone = left.into_iter().filter(|(path, state)| {
            outputs.decide_text(path, state.is_directory) != Verdict::Included && !state.is_directory
        });
        strays.extend(gone.map(|(path, _)| path.to_owned()));
        strays.sort();
        Ok(strays)
    }

    /// Takes the secrets out of the files of `outputs`, so that whoever looks at the copy sees what would come in. What
    /// cannot be freed of them stays as it is: the layer over the copy refuses it. What was replaced is told.
    pub(crate) fn sanitize(&self, outputs: &Filter, sanitizer: &Sanitizer) -> Result<Option<Problem>> {
        let (root, mut replaced) = (self.root(), Vec::new());
        let cancelled = AtomicBool::new(false);
        let walked = crate::builtins::walk(&root, "", outputs, &cancelled, &mut |path, place| {
            let metadata = fs::symlink_metadata(place)?;
            if !metadata.is_file() || metadata.len() > SCAN_BYTES_MAX {
                return Ok(());
            }
            let content = fs::read(place)?;
            if let Ok(redacted) = sanitizer.sanitize(path, &content)
                && let Some(content) = &redacted.content
            {
                rewrite(place, &metadata, content)?;
                replaced.extend(sanitize::places(path, &redacted));
            }
            Ok(())
        });
        walked.map_err(|(path, error)| Error::io(error, format_args!("taking secrets out of {path}")))?;
        Ok(sanitize::told(replaced))
    }
}

/// Writes a file anew, also one that its maker has made read-only.
fn rewrite(place: &Path, metadata: &fs::Metadata, content: &[u8]) -> io::Result<()> {
    fs::remove_file(place)?;
    fs::write(place, content)?;
    fs::set_permissions(place, metadata.permissions())
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if self.kept {
            return;
        }
        if let Err(error) = remove_folder(&self.folder) {
            tracing::warn!(folder = %self.folder.display(), %error, "a scratch copy could not be removed");
        }
    }
}

/// Removes copies of runs that died. One in which a program still works that outlived its run is left to a later sweep.
fn sweep(folder: &Path) -> io::Result<()> {
    for left in left_behind(folder)? {
        // The lock goes last: a copy without one would never be found again.
        let places = [left.join(ROOT), left.join(TEMPORARY), left.clone()];
        let removed = places.iter().try_for_each(|place| match remove_folder(place) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed,
        });
        if let Err(error) = removed {
            tracing::warn!(folder = %left.display(), %error, "the copy of a run that died could not be removed yet");
        }
    }
    Ok(())
}

/// The folders of copies that runs have left behind which died.
pub(crate) fn left_behind(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let is_free = |folder: &PathBuf| File::open(folder.join(LOCK)).is_ok_and(|lock| lock.try_lock().is_ok());
    Ok(entries.flatten().map(|entry| entry.path()).filter(is_free).collect())
}

fn new_folder(above: Option<&Path>) -> io::Result<PathBuf> {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let Some(above) = above else {
        // Others may look into the folder for temporary files, and no name in it can be foretold.
        return Ok(tempfile::Builder::new().prefix("syncline-").tempdir()?.keep());
    };
    sweep(above)?;
    fs::create_dir_all(above)?;
    loop {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let folder = above.join(format!("{}-{number}", std::process::id()));
        match fs::create_dir(&folder) {
            // One of a process of the same number that died before it could lock it.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            made => return made.map(|()| folder),
        }
    }
}

/// Removes a folder in which a script may have made folders that nobody may write.
pub(crate) fn remove_folder(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            open_up(folder)?;
            fs::remove_dir_all(folder)
        }
        removed => removed,
    }
}

#[cfg(unix)]
fn open_up(folder: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let mut waiting = vec![folder.to_owned()];
    while let Some(folder) = waiting.pop() {
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o700))?;
        for entry in fs::read_dir(&folder)?.flatten() {
            if entry.file_type()?.is_dir() {
                waiting.push(entry.path());
            }
        }
    }
    Ok(())
}

#[cfg(not(unix))]
fn open_up(_folder: &Path) -> io::Result<()> {
    Ok(())
}

fn below(folder: &str, name: &str) -> String {
    if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") }
}

/// Whether something is worked with: not Git's and Syncline's own files, outputs in any case, and else what the inputs
/// say. What is beside a script's own file is there too: scripts have helpers.
fn is_wanted(copying: &Copying, path: &str, entry: &fs::DirEntry) -> bool {
    let name = path.rsplit_once('/').map_or(path, |(_, name)| name);
    if name.eq_ignore_ascii_case(".git") || name == ".syncline" {
        return false;
    }
    let Some(Wanted { inputs, outputs, entrypoint }) = &copying.wanted else { return true };
    let is_directory = entry.file_type().is_ok_and(|kind| kind.is_dir());
    let wanted = |filter: &Filter| !matches!(filter.decide_text(path, is_directory), Verdict::Ignored(_));
    let own = entrypoint.rsplit_once('/').map_or("", |(folder, _)| folder).trim_start_matches("./");
    let beside = !own.is_empty()
        && (path == own
            || path.strip_prefix(own).is_some_and(|rest| rest.starts_with('/'))
            || is_dir_above(path, own));
    wanted(inputs) || wanted(outputs) || beside || entrypoint.starts_with(path)
}

fn is_dir_above(path: &str, own: &str) -> bool {
    own.strip_prefix(path).is_some_and(|rest| rest.starts_with('/'))
}

/// Copies one thing with its time and permissions; `Unsupported` for what is neither file, folder nor link.
pub(crate) fn copy_entry(from: &Path, to: &Path) -> io::Result<State> {
    let metadata = fs::symlink_metadata(from)?;
    if metadata.is_dir() {
        fs::create_dir(to)?;
    } else if metadata.is_symlink() {
        let target = fs::read_link(from)?;
        link(target.as_os_str().as_encoded_bytes(), to)?;
        return Ok(State::of(&fs::symlink_metadata(to)?));
    } else if metadata.is_file() {
        fs::copy(from, to)?;
        let copy = File::options().append(true).open(to);
        // Without the permission to write there is no way to set its time; then its new one is remembered.
        if let (Ok(copy), Ok(modified)) = (copy, metadata.modified()) {
            copy.set_times(FileTimes::new().set_modified(modified))?;
        }
    } else {
        return Err(io::ErrorKind::Unsupported.into());
    }
    Ok(State::of(&fs::symlink_metadata(to)?))
}

fn read_entry(path: &Path) -> io::Result<(Kind, Content)> {
    if fs::symlink_metadata(path)?.is_symlink() {
        let target = fs::read_link(path)?;
        return Ok((Kind::Symlink, Content::bytes(target.as_os_str().as_encoded_bytes().to_vec())));
    }
    let file = File::open(path)?;
    let executable = is_executable(&file.metadata()?);
    Ok((Kind::File { executable }, Content::reader(file)))
}

#[cfg(unix)]
fn is_executable(metadata: &fs::Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt;
    metadata.permissions().mode() & 0o100 != 0
}

#[cfg(not(unix))]
fn is_executable(_metadata: &fs::Metadata) -> bool {
    false
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(unix)]
fn link(target: &[u8], at: &Path) -> io::Result<()> {
    use std::os::unix::ffi::OsStrExt;
    std::os::unix::fs::symlink(std::ffi::OsStr::from_bytes(target), at)
}

#[cfg(not(unix))]
fn link(target: &[u8], at: &Path) -> io::Result<()> {
    fs::write(at, target)
}

#[cfg(unix)]
fn allow(file: &File, mode: Option<u32>) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    mode.map_or(Ok(()), |mode| file.set_permissions(fs::Permissions::from_mode(mode)))
}

#[cfg(not(unix))]
fn allow(_file: &File, _mode: Option<u32>) -> io::Result<()> {
    Ok(())
}

fn too_large(copying: &Copying) -> Error {
    let message = format!("the workspace is too large for the scratch copy of {}", copying.target);
    Error::new(ErrorKind::Invalid, message).with_hint(copying.hint)
}

/// Does work that blocks on a thread that may.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(_) => Err(Error::new(ErrorKind::Io, "the program is shutting down")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_that_cannot_be_removed_yet_is_in_nobodys_way_and_is_found_again() {
        let folder = tempfile::tempdir().unwrap();
        let (from, above) = (folder.path().join("from"), folder.path().join("above"));
        let left = above.join("1-0");
        fs::create_dir_all(&from).unwrap();
        fs::create_dir_all(&left).unwrap();
        fs::write(left.join(LOCK), "").unwrap();
        // Like a folder that a program still fills, this is no folder that can be removed.
        fs::write(left.join(ROOT), "").unwrap();
        let copying = Copying { above: Some(above), ..Copying::default() };
        drop(Scratch::copy(&copying, &from).unwrap());
        assert!(left.join(LOCK).exists());
        fs::remove_file(left.join(ROOT)).unwrap();
        drop(Scratch::copy(&copying, &from).unwrap());
        assert!(!left.exists());
    }
}
