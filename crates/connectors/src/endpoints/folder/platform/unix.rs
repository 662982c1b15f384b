//! Unix: everything relative to descriptors of open directories.

use std::ffi::CStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, RenameFlags, Timespec, Timestamps};
use rustix::io::Errno;

use super::{Stat, Type};

/// An open directory.
pub(in super::super) struct Directory(OwnedFd);

/// No handle is inherited by another program, and no symbolic link is followed.
const OPEN: OFlags = OFlags::CLOEXEC.union(OFlags::NOFOLLOW);

impl Directory {
    /// Opens a root; its last component must not be a symbolic link.
    pub(in super::super) fn open(path: &Path) -> io::Result<Self> {
        Ok(Self(rustix::fs::openat(CWD, path, OPEN | OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty())?))
    }

    /// Opens the directory at a path of several components beneath this one; "" is this one again.
    pub(in super::super) fn beneath(&self, path: &str) -> io::Result<Self> {
        let path = if path.is_empty() { "." } else { path };
        Ok(Self(open_beneath(&self.0, path, OFlags::RDONLY | OFlags::DIRECTORY)?))
    }

    /// Opens a regular file at a path beneath this directory for reading. Never waits for a writer of a pipe.
    pub(in super::super) fn file_beneath(&self, path: &str) -> io::Result<File> {
        Ok(File::from(open_beneath(&self.0, path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY)?))
    }

    /// Opens the regular file of this name for reading.
    pub(in super::super) fn file(&self, name: &str) -> io::Result<File> {
        let flags = OPEN | OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
        Ok(File::from(rustix::fs::openat(&self.0, name, flags, Mode::empty())?))
    }

    /// Creates a file of this name for writing, where nothing may be.
    pub(in super::super) fn create(&self, name: &str, mode: u32) -> io::Result<File> {
        let flags = OPEN | OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL;
        Ok(File::from(rustix::fs::openat(&self.0, name, flags, permissions(mode))?))
    }

    /// Makes a directory of this name, where nothing may be.
    pub(in super::super) fn make_directory(&self, name: &str, mode: u32) -> io::Result<()> {
        Ok(rustix::fs::mkdirat(&self.0, name, permissions(mode))?)
    }

    /// Makes a symbolic link of this name, where nothing may be.
    pub(in super::super) fn make_link(&self, name: &str, target: &[u8]) -> io::Result<()> {
        Ok(rustix::fs::symlinkat(target, &self.0, name)?)
    }

    /// The text of the symbolic link of this name.
    pub(in super::super) fn read_link(&self, name: &str) -> io::Result<Vec<u8>> {
        Ok(rustix::fs::readlinkat(&self.0, name, Vec::new())?.into_bytes())
    }

    /// The status of a name.
    pub(in super::super) fn stat(&self, name: &str) -> io::Result<Stat> {
        Ok(stat_at(&self.0, name)?)
    }

    /// The status of a name as it came from [`Directory::list`].
    pub(in super::super) fn stat_raw(&self, name: &CStr) -> io::Result<Stat> {
        Ok(stat_at(&self.0, name)?)
    }

    /// Sets the modification time of a name; of a symbolic link, its own.
    pub(in super::super) fn set_modified(&self, name: &str, modified: i64) -> io::Result<()> {
        Ok(rustix::fs::utimensat(&self.0, name, &timestamps(modified), AtFlags::SYMLINK_NOFOLLOW)?)
    }

    /// Moves a name to where nothing may be, atomically.
    pub(in super::super) fn move_new(&self, name: &str, to: &Self, to_name: &str) -> io::Result<()> {
        match rustix::fs::renameat_with(&self.0, name, &to.0, to_name, RenameFlags::NOREPLACE) {
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => self.move_new_by_link(name, to, to_name),
            done => Ok(done?),
        }
    }

    /// The same on a file system that cannot: a hard link never replaces anything either. Where there are no hard
    /// links (directories, FAT), a look and a plain rename, with the small gap between the two.
    fn move_new_by_link(&self, name: &str, to: &Self, to_name: &str) -> io::Result<()> {
        match rustix::fs::linkat(&self.0, name, &to.0, to_name, AtFlags::empty()) {
            Ok(()) => self.remove_file(name),
            Err(Errno::PERM | Errno::OPNOTSUPP | Errno::NOSYS) => match to.stat(to_name) {
                Ok(_) => Err(Errno::EXIST.into()),
                Err(error) if error.kind() == io::ErrorKind::NotFound => self.move_over(name, to, to_name),
                Err(error) => Err(error),
            },
            Err(error) => Err(error.into()),
        }
    }

    /// Moves a name over whatever file is there.
    pub(in super::super) fn move_over(&self, name: &str, to: &Self, to_name: &str) -> io::Result<()> {
        Ok(rustix::fs::renameat(&self.0, name, &to.0, to_name)?)
    }

    /// Lets two names change places, atomically. Fails with `Unsupported` where the file system cannot.
    pub(in super::super) fn exchange(&self, name: &str, to: &Self, to_name: &str) -> io::Result<()> {
        match rustix::fs::renameat_with(&self.0, name, &to.0, to_name, RenameFlags::EXCHANGE) {
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => Err(io::ErrorKind::Unsupported.into()),
            done => Ok(done?),
        }
    }

    /// Removes a file or link.
    pub(in super::super) fn remove_file(&self, name: &str) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(&self.0, name, AtFlags::empty())?)
    }

    /// Removes an empty directory.
    pub(in super::super) fn remove_directory(&self, name: &str) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(&self.0, name, AtFlags::REMOVEDIR)?)
    }

    /// Takes the lock on this directory; `false` when somebody else has it. It ends with the handle.
    pub(in super::super) fn try_lock(&self) -> io::Result<bool> {
        match rustix::fs::flock(&self.0, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(true),
            Err(Errno::WOULDBLOCK) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Waits for the lock on this directory. It ends with the handle.
    pub(in super::super) fn lock(&self) -> io::Result<()> {
        Ok(rustix::fs::flock(&self.0, rustix::fs::FlockOperation::LockExclusive)?)
    }

    /// Whether things may be made in this directory and looked up.
    pub(in super::super) fn is_writable(&self) -> bool {
        let access = rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK;
        rustix::fs::accessat(&self.0, ".", access, AtFlags::empty()).is_ok()
    }

    /// Bytes and inodes that are free for us; inodes are unlimited on some file systems.
    pub(in super::super) fn free(&self) -> io::Result<(u64, Option<u64>)> {
        let found = rustix::fs::fstatvfs(&self.0)?;
        Ok((found.f_bavail.saturating_mul(found.f_frsize), (found.f_files > 0).then_some(found.f_favail)))
    }

    /// Writes everything that this directory's file system has in memory to the medium.
    pub(in super::super) fn sync_file_system(&self) -> io::Result<()> {
        #[cfg(target_os = "linux")]
        rustix::fs::syncfs(&self.0)?;
        #[cfg(not(target_os = "linux"))]
        rustix::fs::sync();
        Ok(())
    }

    /// Calls `each` with every name and what the listing tells of its type, `.` and `..` left out.
    #[cfg(target_os = "linux")]
    pub(in super::super) fn list(
        &self,
        buffer: &mut Vec<u8>,
        each: &mut dyn FnMut(&CStr, Type),
    ) -> io::Result<()> {
        buffer.clear();
        buffer.reserve(LIST_BYTES);
        let mut entries = rustix::fs::RawDir::new(&self.0, buffer.spare_capacity_mut());
        while let Some(entry) = entries.next() {
            let entry = entry?;
            if !matches!(entry.file_name().to_bytes(), b"." | b"..") {
                each(entry.file_name(), type_of(entry.file_type()));
            }
        }
        Ok(())
    }

    /// Calls `each` with every name and what the listing tells of its type, `.` and `..` left out.
    #[cfg(not(target_os = "linux"))]
    pub(in super::super) fn list(
        &self,
        _buffer: &mut Vec<u8>,
        each: &mut dyn FnMut(&CStr, Type),
    ) -> io::Result<()> {
        for entry in rustix::fs::Dir::read_from(&self.0)? {
            let entry = entry?;
            if !matches!(entry.file_name().to_bytes(), b"." | b"..") {
                each(entry.file_name(), type_of(entry.file_type()));
            }
        }
        Ok(())
    }
}

/// Bytes of directory entries to fetch at once.
#[cfg(target_os = "linux")]
const LIST_BYTES: usize = 64 * 1024;

/// Whether an open failed because of a symbolic link in its way.
pub(in super::super) fn is_link_in_the_way(error: &io::Error) -> bool {
    Errno::from_io_error(error) == Some(Errno::LOOP)
}

/// The status of an open file.
pub(in super::super) fn stat_file(file: &File) -> io::Result<Stat> {
    Ok(stat_of(file)?)
}

/// Sets the modification time of an open file.
pub(in super::super) fn set_file_modified(file: &File, modified: i64) -> io::Result<()> {
    Ok(rustix::fs::futimens(file, &timestamps(modified))?)
}

/// Sets the permission bits of an open file.
pub(in super::super) fn set_file_mode(file: &File, mode: u32) -> io::Result<()> {
    Ok(rustix::fs::fchmod(file, permissions(mode))?)
}

/// The permission bits that new files of this process get.
pub(in super::super) fn default_mode() -> u32 {
    static MODE: std::sync::OnceLock<u32> = std::sync::OnceLock::new();
    *MODE.get_or_init(|| {
        // Asking the system means setting it for a moment, for all threads; Linux tells it here as well.
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let umask = status.lines().find_map(|line| line.strip_prefix("Umask:"));
        let umask = umask.and_then(|text| u32::from_str_radix(text.trim(), 8).ok()).unwrap_or(0o022);
        0o666 & !umask
    })
}

#[cfg(target_os = "linux")]
fn open_beneath(root: impl AsFd, path: &str, flags: OFlags) -> rustix::io::Result<OwnedFd> {
    use rustix::fs::ResolveFlags;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    loop {
        match rustix::fs::openat2(&root, path, OPEN | flags, Mode::empty(), resolve) {
            // A rename somewhere above made the kernel unsure whether the path stayed beneath: look again.
            Err(Errno::AGAIN | Errno::INTR) => {}
            // Older kernels and some sandboxes do not know the call.
            Err(Errno::NOSYS) => return open_stepwise(root, path, flags),
            opened => return opened,
        }
    }
}

#[cfg(not(target_os = "linux"))]
fn open_beneath(root: impl AsFd, path: &str, flags: OFlags) -> rustix::io::Result<OwnedFd> {
    open_stepwise(root, path, flags)
}

/// Opens one component after the other, none of which may be a symbolic link.
fn open_stepwise(root: impl AsFd, path: &str, flags: OFlags) -> rustix::io::Result<OwnedFd> {
    let (above, name) = path.rsplit_once('/').unwrap_or(("", path));
    let mut directory: Option<OwnedFd> = None;
    for component in above.split('/').filter(|component| !component.is_empty()) {
        let from = directory.as_ref().map_or(root.as_fd(), AsFd::as_fd);
        let opened =
            rustix::fs::openat(from, component, OPEN | OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty())?;
        directory = Some(opened);
    }
    let from = directory.as_ref().map_or(root.as_fd(), AsFd::as_fd);
    rustix::fs::openat(from, name, OPEN | flags, Mode::empty())
}

#[cfg(target_os = "linux")]
fn stat_at(directory: impl AsFd, name: impl rustix::path::Arg) -> rustix::io::Result<Stat> {
    let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT;
    rustix::fs::statx(directory, name, flags, rustix::fs::StatxFlags::BASIC_STATS)
        .map(|found| from_statx(&found))
}

#[cfg(target_os = "linux")]
fn stat_of(file: impl AsFd) -> rustix::io::Result<Stat> {
    let flags = AtFlags::EMPTY_PATH;
    rustix::fs::statx(file, c"", flags, rustix::fs::StatxFlags::BASIC_STATS).map(|found| from_statx(&found))
}

#[cfg(target_os = "linux")]
fn from_statx(found: &rustix::fs::Statx) -> Stat {
    Stat {
        kind: type_of(FileType::from_raw_mode(u32::from(found.stx_mode))),
        mode: u32::from(found.stx_mode) & 0o7777,
        links: u64::from(found.stx_nlink),
        inode: found.stx_ino,
        size: found.stx_size,
        modified: nanoseconds(found.stx_mtime.tv_sec, i64::from(found.stx_mtime.tv_nsec)),
        changed: nanoseconds(found.stx_ctime.tv_sec, i64::from(found.stx_ctime.tv_nsec)),
    }
}

#[cfg(not(target_os = "linux"))]
fn stat_at(directory: impl AsFd, name: impl rustix::path::Arg) -> rustix::io::Result<Stat> {
    rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW).map(|found| from_stat(&found))
}

#[cfg(not(target_os = "linux"))]
fn stat_of(file: impl AsFd) -> rustix::io::Result<Stat> {
    rustix::fs::fstat(file).map(|found| from_stat(&found))
}

#[cfg(not(target_os = "linux"))]
fn from_stat(found: &rustix::fs::Stat) -> Stat {
    Stat {
        kind: type_of(FileType::from_raw_mode(found.st_mode)),
        mode: u32::from(found.st_mode) & 0o7777,
        links: u64::from(found.st_nlink),
        inode: found.st_ino,
        size: u64::try_from(found.st_size).unwrap_or(0),
        modified: nanoseconds(found.st_mtime, found.st_mtime_nsec.into()),
        changed: nanoseconds(found.st_ctime, found.st_ctime_nsec.into()),
    }
}

fn nanoseconds(seconds: i64, part: i64) -> i64 {
    seconds.saturating_mul(1_000_000_000).saturating_add(part)
}

fn timestamps(modified: i64) -> Timestamps {
    let omitted = Timespec { tv_sec: 0, tv_nsec: rustix::fs::UTIME_OMIT };
    let part = modified.rem_euclid(1_000_000_000);
    Timestamps {
        last_access: omitted,
        last_modification: Timespec { tv_sec: modified.div_euclid(1_000_000_000), tv_nsec: part as _ },
    }
}

/// Systems differ in how wide permission bits are.
const fn permissions(mode: u32) -> Mode {
    Mode::from_raw_mode((mode & 0o7777) as rustix::fs::RawMode)
}

fn type_of(found: FileType) -> Type {
    match found {
        FileType::RegularFile => Type::File,
        FileType::Directory => Type::Directory,
        FileType::Symlink => Type::Symlink,
        FileType::Fifo => Type::Special("pipe"),
        FileType::Socket => Type::Special("socket"),
        FileType::CharacterDevice => Type::Special("character device"),
        FileType::BlockDevice => Type::Special("block device"),
        FileType::Unknown => Type::Unknown,
    }
}
