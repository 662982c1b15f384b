//! Handles on the directories that hold what is being written.

use std::collections::HashSet;
use std::io;
use std::rc::Rc;
use std::sync::{Mutex, PoisonError};

use super::platform::Directory;

/// Handles kept open; steps come in path order, so few are needed.
const HANDLES_MAX: usize = 8;

/// Directories that a batch made on the way to something else: finding them later is no surprise.
#[derive(Default)]
pub(super) struct Made(Mutex<HashSet<String>>);

impl Made {
    fn insert(&self, path: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(path.to_owned());
    }

    /// Whether the batch made this directory.
    pub(super) fn contains(&self, path: &str) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains(path)
    }
}

/// The directories that one thread used last. Each was opened from the root without following a link.
pub(super) struct Parents<'a> {
    root: &'a Directory,
    made: &'a Made,
    recent: Vec<(String, Rc<Directory>)>,
}

impl<'a> Parents<'a> {
    pub(super) const fn new(root: &'a Directory, made: &'a Made) -> Self {
        Self { root, made, recent: Vec::new() }
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
                    Ok(()) => self.made.insert(path),
                    Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                    Err(error) => return Err(error),
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
