//! Unix.

use std::fs::{DirBuilder, File, FileTimes, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::Written;

/// Opens a folder, for [`sync_file_system`].
pub(crate) fn open_folder(folder: &Path) -> io::Result<File> {
    File::open(folder)
}

/// Makes everything written to the file system that holds `folder` durable.
#[cfg(target_os = "linux")]
pub(crate) fn sync_file_system(folder: &File, _written: &mut dyn Iterator<Item = PathBuf>) -> io::Result<()> {
    Ok(rustix::fs::syncfs(folder)?)
}

/// Makes every file of `written` and the folders that hold them durable, one by one.
#[cfg(not(target_os = "linux"))]
pub(crate) fn sync_file_system(folder: &File, written: &mut dyn Iterator<Item = PathBuf>) -> io::Result<()> {
    for path in written {
        File::open(&path)?.sync_all()?;
        if let Some(parent) = path.parent() {
            sync_directory(parent)?;
        }
    }
    folder.sync_all()
}

/// Makes the entries of a directory durable.
pub(crate) fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

/// Reads exactly `buffer.len()` bytes at `offset`, without moving the file's own position.
pub(crate) fn read_exact_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<()> {
    file.read_exact_at(buffer, offset)
}

/// Whether an open file still has a name.
pub(crate) fn has_name(metadata: &Metadata) -> bool {
    metadata.nlink() > 0
}

/// How long ago a file became what it is: its content, its mode or its names.
///
/// The modification time will not do: that of a linked object is the time of the item that it was.
pub(crate) fn age(metadata: &Metadata) -> Duration {
    let seconds = u64::try_from(metadata.ctime()).unwrap_or(0);
    let changed = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    SystemTime::now().duration_since(changed).unwrap_or_default()
}

/// Makes a file of more than this [`age`] young again, without touching its modification time.
pub(crate) fn refresh(file: &Path, age_max: Duration) -> io::Result<()> {
    let file = File::open(file)?;
    if age(&file.metadata()?) <= age_max {
        return Ok(());
    }
    file.set_times(FileTimes::new().set_accessed(SystemTime::now()))
}

/// By what a later write to a file shows.
pub(crate) fn written(metadata: &Metadata) -> Option<Written> {
    Some(Written { at: metadata.modified().ok()?, length: metadata.len() })
}

/// A word for a folder that stays the same while the folder is changed, moved and renamed, and that a copy does not
/// share. `None` where nothing of that kind is known.
pub(crate) fn place(folder: &Path) -> Option<String> {
    let metadata = std::fs::metadata(folder).ok()?;
    // Numbers of devices change with a restart. The time of birth tells copies on other file systems apart, whose
    // inode may have the same number by chance.
    let born = metadata.created().ok().and_then(|born| born.duration_since(SystemTime::UNIX_EPOCH).ok());
    let text = format!("{} {}", metadata.ino(), born.unwrap_or_default().as_nanos());
    Some(syncline_core::Digest::of(text.as_bytes()).short())
}

/// Why others than the owner could change or see what is in a folder with this metadata, if they could.
pub(crate) fn exposed(metadata: &Metadata) -> Option<String> {
    let mode = metadata.mode() & 0o777;
    if mode & 0o022 != 0 {
        return Some(format!("others may write to it (mode {mode:03o})"));
    }
    (mode & 0o007 != 0).then(|| format!("everyone may look into it (mode {mode:03o})"))
}

/// The number of the user who owns a folder, where this process is the superuser's and that is somebody else.
pub(crate) fn other_owner(folder: &Path) -> Option<u32> {
    let owner = std::fs::metadata(folder).ok()?.uid();
    (owner != 0 && rustix::process::geteuid().is_root()).then_some(owner)
}

/// Creates a folder that only its owner may enter, and those above it.
pub(crate) fn create_private_folder(folder: &Path) -> io::Result<()> {
    if let Some(parent) = folder.parent() {
        std::fs::create_dir_all(parent)?;
    }
    match DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        result => result,
    }
}

/// Opens or creates a file that only its owner may read.
pub(crate) fn private_file(options: &mut OpenOptions) -> &mut OpenOptions {
    options.mode(0o600)
}
