//! The copy of a workspace in which a script works, or a drift gate looks.
//!
//! It holds the files that are worked with, as they are at that moment, in their places. `.git` and Syncline's own state
//! are not in it, nor is what lies outside of the workspace. Copies share their blocks with the originals where the file
//! system can do that.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File, FileTimes};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::SystemTime;

use syncline_connect::layers::sanitize::{self, Sanitizer};
use syncline_connect::{Content, Error, ErrorKind, Result};
use syncline_core::secrets::SCAN_BYTES_MAX;
use syncline_core::{Digest, Filter, ItemPath, Kind, Problem, Verdict};

/// Most files that are copied.
const FILES_MAX: usize = 200_000;
/// Most bytes that are copied.
const BYTES_MAX: u64 = 8 << 30;
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

/// A copy; it is removed when dropped.
pub(crate) struct Scratch {
    folder: PathBuf,
    /// What each file was like when it was copied.
    copied: HashMap<String, State>,
    _lock: File,
}

/// What is compared to tell whether a file was changed.
#[derive(Clone, Copy, PartialEq, Eq)]
struct State {
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
        let folder = new_folder(copying.above.as_deref()).map_err(failed)?;
        let lock = File::create(folder.join(LOCK)).map_err(failed)?;
        lock.lock().map_err(failed)?;
        let mut scratch = Self { folder, copied: HashMap::new(), _lock: lock };
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
        self.folder.join("workspace")
    }

    /// A folder for temporary files.
    pub(crate) fn temporary(&self) -> PathBuf {
        self.folder.join("tmp")
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
                match copy_entry(&entry, &self.root().join(&path)) {
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
}

impl Scratch {
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
        if let Err(error) = remove_folder(&self.folder) {
            tracing::warn!(folder = %self.folder.display(), %error, "a scratch copy could not be removed");
        }
    }
}

/// Removes copies of runs that died.
fn sweep(folder: &Path) -> io::Result<()> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    for entry in entries.flatten() {
        let Ok(lock) = File::open(entry.path().join(LOCK)) else { continue };
        if lock.try_lock().is_ok() {
            remove_folder(&entry.path())?;
        }
    }
    Ok(())
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
fn remove_folder(folder: &Path) -> io::Result<()> {
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
fn copy_entry(entry: &fs::DirEntry, to: &Path) -> io::Result<State> {
    let metadata = entry.metadata()?;
    if metadata.is_dir() {
        fs::create_dir(to)?;
    } else if metadata.is_symlink() {
        let target = fs::read_link(entry.path())?;
        link(target.as_os_str().as_encoded_bytes(), to)?;
        return Ok(State::of(&fs::symlink_metadata(to)?));
    } else if metadata.is_file() {
        fs::copy(entry.path(), to)?;
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
