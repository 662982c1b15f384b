//! What is specific to an operating system; elsewhere, portable fallbacks.

use std::fs::{File, Metadata};
use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime};

/// Makes everything written to the file system that holds `directory` durable.
#[cfg(target_os = "linux")]
pub(crate) fn sync_file_system(
    directory: &File,
    _written: &mut dyn Iterator<Item = std::path::PathBuf>,
) -> io::Result<()> {
    Ok(rustix::fs::syncfs(directory)?)
}

/// Makes every file of `written` and the directories that hold them durable, one by one.
#[cfg(not(target_os = "linux"))]
pub(crate) fn sync_file_system(
    directory: &File,
    written: &mut dyn Iterator<Item = std::path::PathBuf>,
) -> io::Result<()> {
    for path in written {
        File::open(&path)?.sync_all()?;
        if let Some(parent) = path.parent() {
            sync_directory(parent)?;
        }
    }
    directory.sync_all()
}

/// Makes the entries of a directory durable.
pub(crate) fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

/// Reads exactly `buffer.len()` bytes at `offset`, without moving the file's own position.
#[cfg(unix)]
pub(crate) fn read_exact_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, buffer, offset)
}

/// Whether an open file still has a name.
#[cfg(unix)]
pub(crate) fn has_name(metadata: &Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    metadata.nlink() > 0
}

/// How long ago a file became what it is: its content, its mode or its names.
///
/// The modification time will not do: that of a linked object is the time of the item that it was.
#[cfg(unix)]
pub(crate) fn age(metadata: &Metadata) -> Duration {
    use std::os::unix::fs::MetadataExt;
    let seconds = u64::try_from(metadata.ctime()).unwrap_or(0);
    let changed = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    SystemTime::now().duration_since(changed).unwrap_or_default()
}

/// Makes a file young again for [`age`], without touching its modification time.
#[cfg(unix)]
pub(crate) fn touch(file: &File) -> io::Result<()> {
    file.set_times(std::fs::FileTimes::new().set_accessed(SystemTime::now()))
}

/// By what a write to a file shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Written {
    /// When it was written to last.
    pub(crate) at: SystemTime,
    length: u64,
}

/// By what a later write to a file shows.
#[cfg(unix)]
pub(crate) fn written(metadata: &Metadata) -> Option<Written> {
    Some(Written { at: metadata.modified().ok()?, length: metadata.len() })
}

/// Nothing: Windows may tell of writes only when the file is closed.
#[cfg(not(unix))]
pub(crate) fn written(_: &Metadata) -> Option<Written> {
    None
}

/// A word for a folder that stays the same while the folder is changed, moved and renamed, and that a copy does not
/// share. `None` where nothing of that kind is known.
#[cfg(unix)]
pub(crate) fn place(folder: &Path) -> Option<String> {
    use std::os::unix::fs::MetadataExt;
    let metadata = std::fs::metadata(folder).ok()?;
    // Numbers of devices change with a restart. The time of birth tells copies on other file systems apart, whose
    // inode may have the same number by chance.
    let born = metadata.created().ok().and_then(|born| born.duration_since(SystemTime::UNIX_EPOCH).ok());
    let text = format!("{} {}", metadata.ino(), born.unwrap_or_default().as_nanos());
    Some(syncline_core::Digest::of(text.as_bytes()).short())
}

/// Why others than the owner could change or see what is in a folder with this metadata, if they could.
#[cfg(unix)]
pub(crate) fn exposed(metadata: &Metadata) -> Option<String> {
    use std::os::unix::fs::MetadataExt;
    let mode = metadata.mode() & 0o777;
    if mode & 0o022 != 0 {
        return Some(format!("others may write to it (mode {mode:03o})"));
    }
    (mode & 0o007 != 0).then(|| format!("everyone may look into it (mode {mode:03o})"))
}

/// Creates a folder that only its owner may enter, and those above it.
#[cfg(unix)]
pub(crate) fn create_private_folder(folder: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    if let Some(parent) = folder.parent() {
        std::fs::create_dir_all(parent)?;
    }
    match std::fs::DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        result => result,
    }
}

/// Opens or creates a file that only its owner may read.
#[cfg(unix)]
pub(crate) fn private_file(options: &mut std::fs::OpenOptions) -> &mut std::fs::OpenOptions {
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600)
}
