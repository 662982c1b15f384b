//! A tripwire: whoever is at rest is woken by the system at the first change of a file.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use notify::{Event, RecommendedWatcher, RecursiveMode, Watcher as _};

use crate::live::Bell;

/// Rings a bell when one of a few files changes, until it is dropped.
pub(crate) struct Tripwire {
    _watcher: RecommendedWatcher,
}

impl Tripwire {
    /// Watches the folders that hold `files`, since a file may be made anew, and all of the folder `state`; `None` where the
    /// system does not tell of changes, or has no room for one who listens.
    ///
    /// What happens on another machine, to a folder that the network brings, is told by no system.
    pub(crate) fn lay(files: &[PathBuf], state: &Path, bell: Arc<Bell>) -> Option<Self> {
        let (wanted, whole) = (files.to_vec(), state.to_owned());
        let is_wanted = move |path: &PathBuf| wanted.contains(path) || path.parent() == Some(&*whole);
        let rings = move |event: notify::Result<Event>| match event {
            // Opening and reading change nothing.
            Ok(event) if event.kind.is_access() => {}
            Ok(event) if !event.need_rescan() && !event.paths.iter().any(&is_wanted) => {}
            _ => bell.ring(),
        };
        let mut watcher = notify::recommended_watcher(rings).ok()?;
        for folder in files.iter().filter_map(|file| file.parent()).chain([state]) {
            watcher.watch(folder, RecursiveMode::NonRecursive).ok()?;
        }
        Some(Self { _watcher: watcher })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::{Duration, Instant};

    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn it_rings_for_a_file_that_is_written_replaced_or_made_and_for_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let state = path("state");
        fs::create_dir(&state).unwrap();
        for name in ["there.yaml", "other.log", "state/log"] {
            fs::write(path(name), "before").unwrap();
        }
        let bell = Arc::new(Bell::default());
        let rings = |what: &str| {
            let begun = Instant::now();
            bell.listen(LONG, || false);
            assert!(begun.elapsed() < LONG, "{what}");
            // One change may be told of in several pieces.
            loop {
                let begun = Instant::now();
                bell.listen(Duration::from_millis(200), || false);
                if begun.elapsed() >= Duration::from_millis(200) {
                    return;
                }
            }
        };
        let tripwire =
            Tripwire::lay(&[path("there.yaml"), path("ignored")], &state, Arc::clone(&bell)).unwrap();
        fs::write(path("there.yaml"), "after").unwrap();
        rings("it is written");
        fs::rename(path("other.log"), path("there.yaml")).unwrap();
        rings("it is replaced");
        fs::write(path("ignored"), "*.log").unwrap();
        rings("it is made");
        fs::write(path("state/log"), "after").unwrap();
        rings("anything of the state is written");
        let begun = Instant::now();
        fs::write(path("another.log"), "a").unwrap();
        let _ = fs::read(path("there.yaml")).unwrap();
        bell.listen(Duration::from_millis(200), || false);
        assert!(
            begun.elapsed() >= Duration::from_millis(200),
            "another file was written, and this one only read"
        );
        drop(tripwire);
        assert!(Tripwire::lay(&[path("gone/there.yaml")], &state, bell).is_none());
    }
}
