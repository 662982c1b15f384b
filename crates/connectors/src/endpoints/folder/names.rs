//! The names in one directory, in one allocation, in byte order.

use std::ffi::CStr;
use std::io;

use super::platform::{Directory, Type};

/// A name and what the listing tells of its type.
pub(super) struct Name<'a> {
    pub(super) text: &'a CStr,
    pub(super) kind: Type,
}

impl Name<'_> {
    pub(super) const fn bytes(&self) -> &[u8] {
        self.text.to_bytes()
    }
}

/// The names in a directory. Reading another one reuses the memory.
#[derive(Default)]
pub(super) struct Names {
    /// All names one after the other, each with its NUL.
    bytes: Vec<u8>,
    /// Where each starts and ends, its NUL included, and its type.
    names: Vec<(usize, usize, Type)>,
    buffer: Vec<u8>,
}

impl Names {
    /// Reads all names of a directory and sorts them.
    ///
    /// # Errors
    /// When the directory could not be read to its end.
    pub(super) fn read(&mut self, directory: &Directory) -> io::Result<()> {
        let Self { bytes, names, buffer } = self;
        bytes.clear();
        names.clear();
        directory.list(buffer, &mut |name, kind| {
            let start = bytes.len();
            bytes.extend_from_slice(name.to_bytes_with_nul());
            names.push((start, bytes.len(), kind));
        })?;
        names.sort_unstable_by(|a, b| bytes[a.0..a.1].cmp(&bytes[b.0..b.1]));
        Ok(())
    }

    /// The names, in byte order.
    pub(super) fn sorted(&self) -> impl Iterator<Item = Name<'_>> {
        self.names.iter().filter_map(|&(start, end, kind)| {
            let text = CStr::from_bytes_with_nul(&self.bytes[start..end]).ok()?;
            Some(Name { text, kind })
        })
    }
}
