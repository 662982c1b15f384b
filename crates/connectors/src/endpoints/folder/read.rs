//! Reading an item: exactly the version asked for, or an error.

use std::fs::File;
use std::io::{self, Read};

use syncline_connect::{ChangedWhileRead, Content, Error, ErrorKind, Result};
use syncline_core::{ItemPath, Version};

use super::platform::{Directory, Type, is_link_in_the_way, stat_file};
use super::version::Stamp;

/// Opens the content of an item at one version.
///
/// # Errors
/// When that version is not there, or cannot be opened.
pub(super) fn read(root: &Directory, path: &ItemPath, version: &Version) -> Result<Content> {
    if let Some(reason) = path.protected() {
        return Err(Error::new(ErrorKind::Denied, format!("{path}: {reason}")));
    }
    let Some((stamp, _)) = Stamp::decode(version.as_bytes()) else {
        return Err(Error::new(ErrorKind::NotFound, format!("{path} never had this version here")));
    };
    let failed = |error: io::Error| {
        if error.kind() == io::ErrorKind::NotADirectory || is_link_in_the_way(&error) {
            return Error::new(ErrorKind::NotFound, format!("{path} is not there any more"))
                .with_source(error);
        }
        Error::io(error, format_args!("opening {path}"))
    };
    match root.file_beneath(path.as_str()) {
        Ok(file) => {
            let stat = stat_file(&file).map_err(failed)?;
            if stat.kind != Type::File || Stamp::of(&stat) != stamp {
                return Err(Error::new(ErrorKind::Changed, format!("{path} has changed")));
            }
            let reader = VersionReader { file, stamp, left: stamp.size, checked: false };
            Ok(Content { mode: Some(stat.mode & 0o777), ..Content::reader(reader) })
        }
        // The kernel refuses to follow what turns out to be a symbolic link.
        Err(error) if is_link_in_the_way(&error) => read_link(root, path, stamp).map_err(failed)?,
        Err(error) => Err(failed(error)),
    }
}

fn read_link(root: &Directory, path: &ItemPath, stamp: Stamp) -> io::Result<Result<Content>> {
    let parent = root.beneath(path.parent())?;
    let before = parent.stat(path.name())?;
    let target = parent.read_link(path.name())?;
    let after = parent.stat(path.name())?;
    if Stamp::of(&before) != stamp || Stamp::of(&after) != stamp {
        return Ok(Err(Error::new(ErrorKind::Changed, format!("{path} has changed"))));
    }
    Ok(Ok(Content::bytes(target)))
}

/// Reads a file to its end and then makes sure that it was the same file in the same state all the time.
struct VersionReader {
    file: File,
    stamp: Stamp,
    left: u64,
    checked: bool,
}

impl Read for VersionReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 {
            if !self.checked && Stamp::of(&stat_file(&self.file)?) != self.stamp {
                return Err(io::Error::other(ChangedWhileRead));
            }
            self.checked = true;
            return Ok(0);
        }
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        if most == 0 {
            return Ok(0);
        }
        let count = self.file.read(&mut buffer[..most])?;
        if count == 0 {
            return Err(io::Error::other(ChangedWhileRead));
        }
        self.left -= count as u64;
        Ok(count)
    }
}
