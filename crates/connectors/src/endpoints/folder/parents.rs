//! Handles on the directories that hold what is being written.

use std::io;
use std::rc::Rc;

use super::platform::Directory;

/// Handles kept open; steps come in path order, so few are needed.
const HANDLES_MAX: usize = 8;

/// The directories that one thread used last. Each was opened from the root without following a link.
pub(super) struct Parents<'a> {
    root: &'a Directory,
    recent: Vec<(String, Rc<Directory>)>,
}

impl<'a> Parents<'a> {
    pub(super) const fn new(root: &'a Directory) -> Self {
        Self { root, recent: Vec::new() }
    }

    /// The directory at a path; the root is "".
    pub(super) fn get(&mut self, path: &str) -> io::Result<Rc<Directory>> {
        if let Some(at) = self.recent.iter().position(|(recent, _)| recent == path) {
            let last = self.recent.len() - 1;
            if at != last {
                let found = self.recent.remove(at);
                self.recent.push(found);
            }
            return Ok(Rc::clone(&self.recent[last].1));
        }
        let opened = Rc::new(self.root.beneath(path)?);
        if self.recent.len() == HANDLES_MAX {
            self.recent.remove(0);
        }
        self.recent.push((path.to_owned(), Rc::clone(&opened)));
        Ok(opened)
    }

    /// The directory at a path; it and those above it are made where they are missing.
    pub(super) fn get_or_make(&mut self, path: &str) -> io::Result<Rc<Directory>> {
        match self.get(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && !path.is_empty() => {
                let (above, name) = path.rsplit_once('/').unwrap_or(("", path));
                let parent = self.get_or_make(above)?;
                match parent.make_directory(name, 0o777) {
                    Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
                    _ => {}
                }
                self.get(path)
            }
            found => found,
        }
    }

    /// Forgets all handles: directories were moved or removed.
    pub(super) fn clear(&mut self) {
        self.recent.clear();
    }
}
