//! Notices by way of `notify`, which speaks to whatever the system has.

use std::path::{MAIN_SEPARATOR, Path, PathBuf};
use std::sync::mpsc::Sender;

use notify::event::ModifyKind;
use notify::{Error, ErrorKind, Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};

use super::{Told, Trouble};

/// Notices of what happens in the directories that were added.
pub(super) struct Notices {
    root: PathBuf,
    watcher: RecommendedWatcher,
}

impl Notices {
    /// Means to watch directories below `root`; nothing is watched yet.
    pub(super) fn open(root: &Path, tell: Sender<Told>) -> Result<Self, Trouble> {
        let below = root.to_owned();
        let watcher = notify::recommended_watcher(move |event: notify::Result<Event>| match event {
            // Opening and reading are no changes: a scan would otherwise trigger itself.
            Ok(event) if event.kind.is_access() => {}
            Ok(event) => told(&below, &event).for_each(|told| drop(tell.send(told))),
            Err(error) => drop(tell.send(Told::Trouble(trouble(&error)))),
        });
        Ok(Self { root: root.to_owned(), watcher: watcher.map_err(|error| trouble(&error))? })
    }

    /// Watches a directory below the root, or with no name, the root; not what is below that.
    pub(super) fn add(&mut self, directory: &str) -> Result<(), Trouble> {
        let path = if directory.is_empty() { self.root.clone() } else { self.root.join(directory) };
        self.watcher.watch(&path, RecursiveMode::NonRecursive).map_err(|error| trouble(&error))
    }
}

fn told(root: &Path, event: &Event) -> impl Iterator<Item = Told> {
    let lost = event.need_rescan().then_some(Told::Lost);
    let appeared = matches!(event.kind, EventKind::Create(_) | EventKind::Modify(ModifyKind::Name(_)));
    let below = event.paths.iter().filter_map(move |path| path.strip_prefix(root).ok()?.to_str());
    let is_remove = event.kind.is_remove();
    let changed = below.filter_map(move |path| match path {
        "" => is_remove.then_some(Told::Lost),
        path => Some(Told::Changed { path: path.replace(MAIN_SEPARATOR, "/"), appeared }),
    });
    lost.into_iter().chain(changed)
}

fn trouble(error: &Error) -> Trouble {
    match &error.kind {
        ErrorKind::PathNotFound | ErrorKind::WatchNotFound => Trouble::Gone,
        ErrorKind::MaxFilesWatch => Trouble::Exhausted,
        ErrorKind::Io(error) if error.kind() == std::io::ErrorKind::StorageFull => Trouble::Exhausted,
        _ => Trouble::Failed(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::sync::mpsc::channel;
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_appears_is_told_by_its_path_below_the_root() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        fs::create_dir(root.join("inner")).unwrap();
        let (tell, told) = channel();
        let mut notices = Notices::open(&root, tell).unwrap();
        notices.add("").unwrap();
        notices.add("inner").unwrap();
        assert_eq!(notices.add("missing"), Err(Trouble::Gone));
        fs::write(root.join("inner/new.txt"), "new").unwrap();
        let wanted = Told::Changed { path: "inner/new.txt".to_owned(), appeared: true };
        while told.recv_timeout(Duration::from_secs(60)).unwrap() != wanted {}
    }
}
