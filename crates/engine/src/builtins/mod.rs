//! The checks that Syncline makes itself, one file each.
//!
//! To add one: a file here, and a line in [`Builtin`] and in [`make`]. It looks at what belongs to the target, changes
//! nothing, and gives the reason for which it fails.

mod git_clean;
mod secret_scan;
mod valid_files;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use syncline_core::{Builtin, Filter, Verdict};

use crate::checks::Ground;
use crate::process::{GivenUp, Limits};

/// Most faults that are told one by one.
const FAULTS_MAX: usize = 20;
/// Most files and folders that are looked at.
const ENTRIES_MAX: usize = 1_000_000;

/// Makes a check; the error is why it fails.
pub(crate) async fn make(
    builtin: Builtin,
    ground: &Ground,
    paths: Option<Arc<Filter>>,
) -> Result<(), String> {
    match builtin {
        Builtin::GitClean => git_clean::make(ground).await,
        Builtin::SecretScan => secret_scan::make(ground).await,
        Builtin::ValidFiles => valid_files::make(ground, paths).await,
    }
}

/// Files to look at.
struct Files {
    /// The folder that they lie in.
    root: PathBuf,
    /// What stands before their paths, for people.
    prefix: String,
    filter: Arc<Filter>,
}

impl Files {
    /// Those of the target.
    fn own(ground: &Ground) -> Self {
        let own = &ground.own;
        let (root, prefix) = if own.folder.is_empty() {
            (ground.root.clone(), String::new())
        } else {
            (ground.root.join(&own.folder), format!("{}/", own.folder))
        };
        Self { root, prefix, filter: Arc::clone(&own.filter) }
    }

    /// Looks at each on a thread that may block, until nobody waits any more. `look` gives what is wrong with one, by its
    /// path for people.
    async fn look(
        self,
        mut look: impl FnMut(&str, &Path) -> io::Result<Vec<String>> + Send + 'static,
    ) -> Result<(), String> {
        let given_up = GivenUp(Arc::default());
        let cancelled = Arc::clone(&given_up.0);
        let work = move || {
            let mut faults = Vec::new();
            let walked = walk(&self.root, &self.prefix, &self.filter, &cancelled, &mut |path, place| {
                faults.extend(look(path, place)?);
                Ok(())
            });
            if let Err((path, error)) = walked {
                faults.push(format!("{path} cannot be read: {error}"));
            }
            faults
        };
        match tokio::task::spawn_blocking(work).await {
            Ok(faults) => told(faults),
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Err(_) => Err("was cut short".to_owned()),
        }
    }
}

fn told(mut faults: Vec<String>) -> Result<(), String> {
    if faults.is_empty() {
        return Ok(());
    }
    let more = faults.len().saturating_sub(FAULTS_MAX);
    faults.truncate(FAULTS_MAX);
    if more > 0 {
        faults.push(format!("and {more} more"));
    }
    Err(faults.join("; "))
}

/// Calls `each` with every file and link below `root` that belongs to it by `filter`, in order: with its path, `prefix`
/// before it, and its place. A root that is not there holds none. What cannot be listed or looked at ends the walk, with
/// its path: nothing can be said of what it holds.
pub(crate) fn walk(
    root: &Path,
    prefix: &str,
    filter: &Filter,
    cancelled: &AtomicBool,
    each: &mut dyn FnMut(&str, &Path) -> io::Result<()>,
) -> Result<(), (String, io::Error)> {
    let (began, most, mut seen) = (Instant::now(), Limits::default().time, 0);
    let mut waiting = vec![String::new()];
    while let Some(folder) = waiting.pop() {
        let failed = |error| (format!("{prefix}{folder}"), error);
        let mut entries = match fs::read_dir(root.join(&folder)) {
            Ok(entries) => entries.collect::<io::Result<Vec<_>>>().map_err(failed)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(failed(error)),
        };
        seen += entries.len();
        if cancelled.load(Ordering::Relaxed) || began.elapsed() > most || seen > ENTRIES_MAX {
            return Err(failed(io::Error::other("there is too much to be looked at")));
        }
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let name = entry.file_name();
            // A name that is no text cannot be an item of any target either.
            let Some(name) = name.to_str() else { continue };
            let path = if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") };
            let failed = |error| (format!("{prefix}{path}"), error);
            let kind = entry.file_type().map_err(failed)?;
            match filter.decide_text(&path, kind.is_dir()) {
                Verdict::Ignored(_) => {}
                _ if kind.is_dir() => waiting.push(path),
                Verdict::Included if kind.is_file() || kind.is_symlink() => {
                    match each(&format!("{prefix}{path}"), &entry.path()) {
                        // It went away in between.
                        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                        looked => looked.map_err(failed)?,
                    }
                }
                _ => {}
            }
        }
    }
    Ok(())
}
