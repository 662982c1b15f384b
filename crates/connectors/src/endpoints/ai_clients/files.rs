//! The files of clients: read with limits, and replaced as a whole or not at all.
//!
//! They belong to other programs, lie anywhere, hold secrets and are often links to a folder of dotfiles. So a link is
//! followed to the file that it leads to, the permissions stay, and no copy is left anywhere else.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use syncline_connect::{Error, ErrorKind, Result};

/// The largest file that is read, in bytes: some clients keep what was said beside their settings.
const FILE_BYTES_MAX: u64 = 64 << 20;

/// A file as it was read.
pub(super) struct Loaded {
    /// Where it is, links followed.
    path: PathBuf,
    /// What it holds; `None` when it is not there.
    pub(super) text: Option<String>,
    /// When it was changed, in nanoseconds since 1970.
    pub(super) modified: i64,
}

/// Reads a file that need not be there.
///
/// # Errors
/// When something is there that cannot be read, or is no text.
pub(super) fn load(path: &Path) -> Result<Loaded> {
    let what = || format!("reading {}", path.display());
    match fs::symlink_metadata(path) {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Ok(Loaded { path: path.to_owned(), text: None, modified: 0 });
        }
        Err(error) => return Err(Error::io(error, what())),
    }
    let real = fs::canonicalize(path).map_err(|error| Error::io(error, what()))?;
    let metadata = fs::metadata(&real).map_err(|error| Error::io(error, what()))?;
    if !metadata.is_file() {
        return Err(Error::new(ErrorKind::Invalid, format!("{} is no file", path.display())));
    }
    let bytes = read(&real, FILE_BYTES_MAX).map_err(|error| Error::io(error, what()))?;
    let text = String::from_utf8(bytes)
        .map_err(|_| Error::new(ErrorKind::Invalid, format!("{} is no UTF-8 text", path.display())))?;
    let since = metadata.modified().ok().and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok());
    let modified = since.and_then(|since| i64::try_from(since.as_nanos()).ok()).unwrap_or_default();
    Ok(Loaded { path: real, text: Some(text), modified })
}

/// Reads a file of limited size.
pub(super) fn read(path: &Path, bytes_max: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(bytes_max + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > bytes_max {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            format!("it is larger than {bytes_max} bytes"),
        ));
    }
    Ok(bytes)
}

/// What is to be written over a file that was read.
pub(super) struct Replacement {
    pub(super) was: Loaded,
    pub(super) text: String,
}

/// A replacement that lies ready beside its file, and changes places with it.
struct Staged<'a> {
    replacement: &'a Replacement,
    beside: PathBuf,
    swapped: bool,
}

/// Replaces all of these files, or none of them; `run` is a word that no other run has.
///
/// # Errors
/// With kind `Changed` when a file is no longer what was read; otherwise when one could not be written.
pub(super) fn replace(replacements: &[Replacement], run: &str) -> Result<()> {
    let mut staged: Vec<Staged<'_>> = Vec::new();
    let mut done = Ok(());
    for replacement in replacements {
        match Staged::new(replacement, run) {
            Ok(ready) => staged.push(ready),
            Err(error) => done = Err(replacement.failed(error)),
        }
    }
    for ready in &mut staged {
        if done.is_ok() {
            done = ready.swap();
        }
    }
    if done.is_err() {
        // The other way round, each only when what came in is still there: somebody may have written since.
        staged.iter_mut().rev().for_each(Staged::swap_back);
    }
    for ready in &staged {
        let cleared = ready.clear();
        done = done.and(cleared.map_err(|error| ready.replacement.failed(error)));
    }
    done
}

impl Replacement {
    fn failed(&self, error: io::Error) -> Error {
        Error::io(error, format!("writing {}", self.was.path.display()))
    }

    /// Whether a file holds what was read.
    fn is_old(&self, path: &Path) -> io::Result<bool> {
        match (&self.was.text, read(path, FILE_BYTES_MAX)) {
            (Some(text), Ok(bytes)) => Ok(bytes == text.as_bytes()),
            (None, Err(error)) if error.kind() == io::ErrorKind::NotFound => Ok(true),
            (Some(_), Err(error)) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            (None, Ok(_)) => Ok(false),
            (_, Err(error)) => Err(error),
        }
    }

    fn is_new(&self, path: &Path) -> bool {
        read(path, FILE_BYTES_MAX).is_ok_and(|bytes| bytes == self.text.as_bytes())
    }
}

impl<'a> Staged<'a> {
    /// Writes the new text beside its file, durably and with the permissions of the file.
    fn new(replacement: &'a Replacement, run: &str) -> io::Result<Self> {
        let path = &replacement.was.path;
        let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "the path names no file"));
        };
        make_folder(folder)?;
        let beside = folder.join(format!(".{}.syncline-{run}", name.to_string_lossy()));
        let ready = Self { replacement, beside, swapped: false };
        match ready.write() {
            Ok(()) => Ok(ready),
            Err(error) => {
                drop(fs::remove_file(&ready.beside));
                Err(error)
            }
        }
    }

    fn write(&self) -> io::Result<()> {
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(&self.beside)?;
        file.write_all(self.replacement.text.as_bytes())?;
        if self.replacement.was.text.is_some() {
            file.set_permissions(fs::metadata(&self.replacement.was.path)?.permissions())?;
        }
        file.sync_all()
    }

    /// Puts the new file in place, if what was read is still there; what came out is looked at again.
    fn swap(&mut self) -> Result<()> {
        let (replacement, path) = (self.replacement, &self.replacement.was.path);
        let changed = || Error::new(ErrorKind::Changed, format!("{} has changed meanwhile", path.display()));
        let failed = |error| replacement.failed(error);
        if !replacement.is_old(path).map_err(failed)? {
            return Err(changed());
        }
        if replacement.was.text.is_none() {
            // A name that is taken is refused: somebody has made the file since.
            fs::hard_link(&self.beside, path).map_err(|error| match error.kind() {
                io::ErrorKind::AlreadyExists => changed(),
                _ => failed(error),
            })?;
            self.swapped = true;
        } else {
            exchange(&self.beside, path).map_err(failed)?;
            self.swapped = true;
            if self.beside.exists() && !replacement.is_old(&self.beside).map_err(failed)? {
                return Err(changed());
            }
        }
        sync_folder(path).map_err(failed)
    }

    fn swap_back(&mut self) {
        let path = &self.replacement.was.path;
        if !self.swapped || !self.replacement.is_new(path) {
            return;
        }
        self.swapped = false;
        let undone = match self.replacement.was.text {
            None => fs::remove_file(path),
            Some(_) => exchange(&self.beside, path),
        };
        if undone.is_err() {
            self.swapped = true;
        }
    }

    /// Removes what lies beside: the old file after a swap, otherwise the new one. What is neither stays, and is told.
    fn clear(&self) -> io::Result<()> {
        let old =
            self.replacement.was.text.is_some() && self.replacement.is_old(&self.beside).unwrap_or(false);
        if old || self.replacement.is_new(&self.beside) {
            fs::remove_file(&self.beside)?;
        } else if self.beside.exists() {
            return Err(io::Error::other(format!(
                "what somebody wrote meanwhile is kept as {}",
                self.beside.display()
            )));
        }
        Ok(())
    }
}

/// Makes a folder that others need not see into.
fn make_folder(folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

/// Lets two files change places; where the file system cannot, the first takes the place of the second.
fn exchange(one: &Path, other: &Path) -> io::Result<()> {
    #[cfg(unix)]
    {
        use rustix::fs::{CWD, RenameFlags, renameat_with};
        use rustix::io::Errno;
        match renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE) {
            Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {}
            done => return Ok(done?),
        }
    }
    fs::rename(one, other)
}

fn sync_folder(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(folder) if cfg!(unix) => File::open(folder)?.sync_all(),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let names =
            fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    }

    fn to(path: &Path, text: &str) -> Replacement {
        Replacement { was: load(path).unwrap(), text: text.to_owned() }
    }

    #[test]
    fn a_link_stays_and_its_target_is_replaced_with_its_permissions() {
        let folder = tempfile::tempdir().unwrap();
        let (link, real) = (folder.path().join("link.json"), folder.path().join("dotfiles/real.json"));
        fs::create_dir(folder.path().join("dotfiles")).unwrap();
        fs::write(&real, "old").unwrap();
        std::os::unix::fs::symlink("dotfiles/real.json", &link).unwrap();
        let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        fs::set_permissions(&real, private).unwrap();
        replace(&[to(&link, "new")], "run").unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read_to_string(&real).unwrap(), "new");
        let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&real).unwrap().permissions());
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(names(&folder.path().join("dotfiles")), ["real.json"]);
        assert_eq!(names(folder.path()), ["dotfiles", "link.json"]);
    }

    #[test]
    fn all_files_are_replaced_or_none() {
        let folder = tempfile::tempdir().unwrap();
        let paths = ["a", "b", "new/c"].map(|name| folder.path().join(name));
        fs::write(&paths[0], "a").unwrap();
        fs::write(&paths[1], "b").unwrap();
        let changes = [to(&paths[0], "A"), to(&paths[2], "C"), to(&paths[1], "B")];
        fs::write(&paths[1], "written by somebody else").unwrap();
        let error = replace(&changes, "run").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Changed, "{error}");
        assert_eq!(fs::read_to_string(&paths[0]).unwrap(), "a");
        assert_eq!(fs::read_to_string(&paths[1]).unwrap(), "written by somebody else");
        assert_eq!(
            (names(folder.path()), names(&folder.path().join("new"))),
            (vec!["a".into(), "b".into(), "new".into()], vec![])
        );
        replace(&[to(&paths[0], "A"), to(&paths[2], "C"), to(&paths[1], "B")], "run").unwrap();
        assert_eq!(fs::read_to_string(&paths[2]).unwrap(), "C");
        let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&paths[2]).unwrap().permissions());
        assert_eq!(mode & 0o777, 0o600, "a new file is private");
    }

    #[test]
    fn what_appeared_since_is_not_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        let change = [to(&path, "mine")];
        fs::write(&path, "theirs").unwrap();
        assert_eq!(replace(&change, "run").unwrap_err().kind(), ErrorKind::Changed);
        assert_eq!(fs::read_to_string(&path).unwrap(), "theirs");
    }

    #[test]
    fn what_is_no_text_file_is_no_absent_one() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("binary"), b"\xff\xfe").unwrap();
        std::os::unix::fs::symlink("nowhere", folder.path().join("dangling")).unwrap();
        for name in ["binary", "dangling", "."] {
            assert!(load(&folder.path().join(name)).is_err(), "{name}");
        }
        assert!(load(&folder.path().join("absent")).unwrap().text.is_none());
    }
}
