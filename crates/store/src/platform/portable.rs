//! Windows, and what is like it: a new folder takes the rights of the one above it, and folders are not flushed.

use std::fs::{File, FileTimes, Metadata, OpenOptions};
use std::io;
use std::os::windows::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::Written;

/// `FILE_FLAG_BACKUP_SEMANTICS`, without which no folder is opened:
/// <https://learn.microsoft.com/en-us/windows/win32/api/fileapi/nf-fileapi-createfilew>.
const BACKUP_SEMANTICS: u32 = 0x0200_0000;

/// Opens a folder.
pub(crate) fn open_folder(folder: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).custom_flags(BACKUP_SEMANTICS).open(folder)
}

/// Makes every file of `written` durable, one by one.
pub(crate) fn sync_file_system(_: &File, written: &mut dyn Iterator<Item = PathBuf>) -> io::Result<()> {
    for path in written {
        // Only what may be written to may be flushed.
        OpenOptions::new().write(true).open(&path)?.sync_all()?;
    }
    Ok(())
}

/// Nothing: the file system keeps a journal of names, and has nothing to flush a folder with.
pub(crate) fn sync_directory(_: &Path) -> io::Result<()> {
    Ok(())
}

/// Reads exactly `buffer.len()` bytes at `offset`.
pub(crate) fn read_exact_at(file: &File, mut buffer: &mut [u8], mut offset: u64) -> io::Result<()> {
    while !buffer.is_empty() {
        match file.seek_read(buffer, offset) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => {
                buffer = &mut buffer[count..];
                offset += count as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Yes: a file that is open cannot lose its name here.
pub(crate) fn has_name(_: &Metadata) -> bool {
    true
}

/// How long ago a file was created or read: the time of its last change is that of the item that it was.
pub(crate) fn age(metadata: &Metadata) -> Duration {
    let times = [metadata.created(), metadata.accessed()];
    let latest = times.into_iter().flatten().max().unwrap_or_else(SystemTime::now);
    SystemTime::now().duration_since(latest).unwrap_or_default()
}

/// Makes a file of more than this [`age`] young again, without touching its modification time.
pub(crate) fn refresh(file: &Path, age_max: Duration) -> io::Result<()> {
    // Only what may be written to may be given a time.
    let file = OpenOptions::new().read(true).write(true).open(file)?;
    if age(&file.metadata()?) <= age_max {
        return Ok(());
    }
    file.set_times(FileTimes::new().set_accessed(SystemTime::now()))
}

/// Nothing: writes may be told only when the file is closed.
pub(crate) fn written(_: &Metadata) -> Option<Written> {
    None
}

/// Nothing of that kind is known.
pub(crate) fn place(_: &Path) -> Option<String> {
    None
}

/// Nothing: rights are those of the folder above.
pub(crate) fn exposed(_: &Metadata) -> Option<String> {
    None
}

/// Nobody: rights are those of the folder above.
pub(crate) fn other_owner(_: &Path) -> Option<u32> {
    None
}

/// Creates a folder, and those above it.
pub(crate) fn create_private_folder(folder: &Path) -> io::Result<()> {
    std::fs::create_dir_all(folder)
}

/// As it is.
pub(crate) fn private_file(options: &mut OpenOptions) -> &mut OpenOptions {
    options
}
