//! Gives up what a repository is stopped in, after keeping aside what people had edited.

use std::collections::HashSet;
use std::ffi::OsString;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Serialize;

use super::command::{Repository, name_of};
use super::stopped::{Progress, Stopped};
use super::written::{Written, is_inside, read_file, stored_as};
use crate::problem::{Class, Problem, Result};
use crate::wire::VERSION;

/// The folder in the Git directory in which edited files are kept.
const FOLDER: &str = "syncline-rescued";

/// What was given up, and what was kept.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Aborted {
    /// The version of this shape.
    pub version: u32,
    /// What was given up: `merge`, `rebase`, `cherry-pick`, `revert` or `am`.
    pub aborted: String,
    /// The folder with copies of files that somebody had edited; `null` when there were none.
    pub folder: Option<String>,
    /// Those files, relative to the top of the work tree.
    pub kept: Vec<String>,
}

/// Keeps edited files, and gives up.
///
/// # Errors
/// When nothing is in progress, a file cannot be kept, or Git fails.
pub fn abort(repository: &Repository, stamp: &str) -> Result<Aborted> {
    let stopped = Stopped::read(repository)?;
    let Some(name) = stopped.progress.name() else {
        let message = "no merge, rebase, cherry-pick, revert or am is in progress";
        return Err(Problem::new(Class::Stale, "nothing_in_progress", message)
            .with_hint("`git stash` keeps changes, `git checkout -m -- PATH` writes a conflict again"));
    };
    let edited = edited(repository, &stopped)?;
    let folder = repository.directory.join(FOLDER).join(stamp);
    for path in &edited {
        keep(repository, path, folder.join(path))?;
    }
    repository.run(&[name, "--abort"])?;
    let kept: Vec<String> = edited.iter().map(|path| path.to_string_lossy().into_owned()).collect();
    let folder = (!kept.is_empty()).then(|| folder.display().to_string());
    Ok(Aborted { version: VERSION, aborted: name.to_owned(), folder, kept })
}

/// Files that hold something which neither a commit nor Git's own merging put there.
fn edited(repository: &Repository, stopped: &Stopped) -> Result<Vec<OsString>> {
    let written = Written::again(repository, stopped)?;
    let changed = repository.run(&["diff", "--name-only", "-z", "HEAD"])?;
    let changed = changed.split(|&byte| byte == 0).filter(|name| !name.is_empty()).map(name_of);
    let incoming = stopped.progress.head().filter(|_| stopped.progress != Progress::None);
    let mut known = HashSet::new();
    for commit in ["HEAD"].into_iter().chain(incoming) {
        let listing = repository.run(&["ls-tree", "-r", "-z", "--format=%(objectname)", commit])?;
        known.extend(listing.split(|&byte| byte == 0).map(|oid| String::from_utf8_lossy(oid).into_owned()));
    }
    let edited = changed.filter(|path| {
        let unmerged = stopped.paths.iter().find(|unmerged| unmerged.path == *path);
        let untouched = unmerged.is_some_and(|unmerged| written.is_untouched(repository, unmerged));
        let is_file = is_inside(repository, path) && read_file(&repository.root.join(path)).is_ok();
        is_file && !untouched && stored_as(repository, path).is_none_or(|oid| !known.contains(&oid))
    });
    Ok(edited.collect())
}

fn keep(repository: &Repository, path: &OsString, to: PathBuf) -> Result<()> {
    let failed = |error| Problem::io(error, format_args!("keeping {} aside", path.to_string_lossy()));
    let content = read_file(&repository.root.join(path)).map_err(failed)?;
    if let Some(folder) = to.parent() {
        std::fs::create_dir_all(folder).map_err(failed)?;
    }
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).open(&to).map_err(failed)?;
    std::io::Write::write_all(&mut file, &content).map_err(failed)?;
    file.sync_all().map_err(failed)
}
