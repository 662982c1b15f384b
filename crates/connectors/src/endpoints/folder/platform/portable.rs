//! Any other system: the standard library, by paths. Each component is looked at before it is used.
//!
//! There are no descriptors of directories here, so an attacker who swaps a link in between look and use can lead
//! a path astray; and there is no exchange, so a replacement is a look and an atomic rename over the old file.

use std::ffi::{CStr, CString};
use std::fs::{File, FileTimes, Metadata, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::{Stat, Type};

/// A directory.
pub(in super::super) struct Directory {
    path: PathBuf,
    lock: std::sync::OnceLock<File>,
}

impl Directory {
    /// Opens a root; its last component must not be a symbolic link.
    pub(in super::super) fn open(path: &Path) -> io::Result<Self> {
        if !std::fs::symlink_metadata(path)?.is_dir() {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        Ok(Self { path: path.to_owned(), lock: std::sync::OnceLock::new() })
    }

    /// Opens the directory at a path of several components beneath this one; "" is this one again.
    pub(in super::super) fn beneath(&self, path: &str) -> io::Result<Self> {
        let mut at = self.path.clone();
        for component in path.split('/').filter(|component| !component.is_empty()) {
            at.push(component);
            if !std::fs::symlink_metadata(&at)?.is_dir() {
                return Err(io::ErrorKind::NotADirectory.into());
            }
        }
        Ok(Self { path: at, lock: std::sync::OnceLock::new() })
    }

    /// Opens a regular file at a path beneath this directory for reading.
    pub(in super::super) fn file_beneath(&self, path: &str) -> io::Result<File> {
        let (above, name) = path.rsplit_once('/').unwrap_or(("", path));
        self.beneath(above)?.file(name)
    }

    /// Opens the regular file of this name for reading.
    pub(in super::super) fn file(&self, name: &str) -> io::Result<File> {
        let path = self.path.join(name);
        if !std::fs::symlink_metadata(&path)?.is_file() {
            return Err(io::Error::other("it is no regular file"));
        }
        File::open(path)
    }

    /// Creates a file of this name for writing, where nothing may be.
    pub(in super::super) fn create(&self, name: &str, _mode: u32) -> io::Result<File> {
        OpenOptions::new().write(true).create_new(true).open(self.path.join(name))
    }

    /// Makes a directory of this name, where nothing may be.
    pub(in super::super) fn make_directory(&self, name: &str, _mode: u32) -> io::Result<()> {
        std::fs::create_dir(self.path.join(name))
    }

    /// Links are not kept on this system.
    pub(in super::super) fn make_link(&self, _name: &str, _target: &[u8]) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// The text of the symbolic link of this name.
    pub(in super::super) fn read_link(&self, name: &str) -> io::Result<Vec<u8>> {
        let target = std::fs::read_link(self.path.join(name))?;
        target
            .into_os_string()
            .into_string()
            .map(String::into_bytes)
            .map_err(|_| io::ErrorKind::InvalidData.into())
    }

    /// The status of a name.
    pub(in super::super) fn stat(&self, name: &str) -> io::Result<Stat> {
        Ok(from_metadata(&std::fs::symlink_metadata(self.path.join(name))?))
    }

    /// The status of a name as it came from [`Directory::list`].
    pub(in super::super) fn stat_raw(&self, name: &CStr) -> io::Result<Stat> {
        self.stat(name.to_str().map_err(io::Error::other)?)
    }

    /// Sets the modification time of a file.
    pub(in super::super) fn set_modified(&self, name: &str, modified: i64) -> io::Result<()> {
        set_file_modified(&OpenOptions::new().write(true).open(self.path.join(name))?, modified)
    }

    /// Moves a name to where nothing may be: a look and a rename.
    pub(in super::super) fn move_new(&self, name: &str, to: &Self, to_name: &str) -> io::Result<()> {
        match to.stat(to_name) {
            Ok(_) => Err(io::ErrorKind::AlreadyExists.into()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.move_over(name, to, to_name),
            Err(error) => Err(error),
        }
    }

    /// Moves a name over whatever file is there.
    pub(in super::super) fn move_over(&self, name: &str, to: &Self, to_name: &str) -> io::Result<()> {
        std::fs::rename(self.path.join(name), to.path.join(to_name))
    }

    /// Always fails with `Unsupported`.
    pub(in super::super) fn exchange(&self, _name: &str, _to: &Self, _to_name: &str) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Removes a file or link.
    pub(in super::super) fn remove_file(&self, name: &str) -> io::Result<()> {
        std::fs::remove_file(self.path.join(name))
    }

    /// Removes an empty directory; its lock ends first.
    pub(in super::super) fn remove_directory(&self, name: &str) -> io::Result<()> {
        let path = self.path.join(name);
        let lock = path.join(LOCK);
        if std::fs::read_dir(&path)?.filter_map(Result::ok).all(|entry| entry.file_name() == LOCK) {
            let _ = std::fs::remove_file(lock);
        }
        std::fs::remove_dir(path)
    }

    /// Takes the lock on this directory; `false` when somebody else has it. It ends with the handle.
    pub(in super::super) fn try_lock(&self) -> io::Result<bool> {
        match self.lock_file()?.try_lock() {
            Ok(()) => Ok(true),
            Err(std::fs::TryLockError::WouldBlock) => Ok(false),
            Err(std::fs::TryLockError::Error(error)) => Err(error),
        }
    }

    /// Waits for the lock on this directory. It ends with the handle.
    pub(in super::super) fn lock(&self) -> io::Result<()> {
        self.lock_file()?.lock()
    }

    fn lock_file(&self) -> io::Result<&File> {
        if self.lock.get().is_none() {
            let file =
                OpenOptions::new().write(true).create(true).truncate(false).open(self.path.join(LOCK))?;
            let _ = self.lock.set(file);
        }
        self.lock.get().ok_or_else(|| io::Error::other("the lock could not be opened"))
    }

    /// Whether things may be made in this directory.
    pub(in super::super) fn is_writable(&self) -> bool {
        std::fs::metadata(&self.path).is_ok_and(|found| !found.permissions().readonly())
    }

    /// Nothing is known of free space here.
    pub(in super::super) fn free(&self) -> io::Result<(u64, Option<u64>)> {
        Ok((u64::MAX, None))
    }

    /// There is no such call here: files are made durable one by one when they are written.
    pub(in super::super) fn sync_file_system(&self) -> io::Result<()> {
        Ok(())
    }

    /// Calls `each` with every name and what the listing tells of its type.
    pub(in super::super) fn list(
        &self,
        _buffer: &mut Vec<u8>,
        each: &mut dyn FnMut(&CStr, Type),
    ) -> io::Result<()> {
        for entry in std::fs::read_dir(&self.path)? {
            let entry = entry?;
            let name = entry.file_name();
            if name == LOCK {
                continue;
            }
            let name = CString::new(name.as_encoded_bytes()).map_err(io::Error::other)?;
            each(&name, type_of(&entry.metadata()?));
        }
        Ok(())
    }
}

/// The name of the file that stands for the lock on its directory; only ever made below `.syncline/staging`.
const LOCK: &str = ".lock";

/// The status of an open file.
pub(in super::super) fn stat_file(file: &File) -> io::Result<Stat> {
    Ok(from_metadata(&file.metadata()?))
}

/// Sets the modification time of an open file, and makes its content durable.
pub(in super::super) fn set_file_modified(file: &File, modified: i64) -> io::Result<()> {
    let since = Duration::from_nanos(modified.unsigned_abs());
    let moment = if modified < 0 { UNIX_EPOCH.checked_sub(since) } else { UNIX_EPOCH.checked_add(since) };
    if let Some(moment) = moment {
        file.set_times(FileTimes::new().set_modified(moment))?;
    }
    file.sync_all()
}

/// There are no permission bits here.
pub(in super::super) fn set_file_mode(_file: &File, _mode: u32) -> io::Result<()> {
    Ok(())
}

/// The permission bits that every file is taken to have.
pub(in super::super) const fn default_mode() -> u32 {
    MODE
}

/// Whether an open failed because of a symbolic link in its way; the looks before it tell otherwise.
pub(in super::super) const fn is_link_in_the_way(_error: &io::Error) -> bool {
    false
}

const MODE: u32 = 0o644;

fn type_of(found: &Metadata) -> Type {
    if found.is_symlink() {
        Type::Symlink
    } else if found.is_dir() {
        Type::Directory
    } else if found.is_file() {
        Type::File
    } else {
        Type::Special("special file")
    }
}

/// The creation time stands in for the inode: a file that was replaced has another one.
fn from_metadata(found: &Metadata) -> Stat {
    let moment = |moment: io::Result<SystemTime>| {
        let since = moment.ok().and_then(|moment| moment.duration_since(UNIX_EPOCH).ok()).unwrap_or_default();
        i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
    };
    Stat {
        kind: type_of(found),
        mode: MODE,
        links: 1,
        inode: moment(found.created()).cast_unsigned(),
        size: found.len(),
        modified: moment(found.modified()),
        changed: moment(found.modified()),
    }
}
