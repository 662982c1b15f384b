//! A script that works only in the workspace itself: its target says `in_place: true`.
//!
//! Its outputs are copied before it begins, durably, and where the system can see to that it may write nowhere else. What
//! it made is copied, too, and its outputs are put back at once: from then on it is a script like any other, whose result
//! is checked, planned, guarded, and applied with the old versions in history. When it fails, its outputs are put back as
//! well; when all is cut short, the next run does that. What then stands in their place is moved aside and told, since
//! nobody can say whether the script wrote it or a person.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{SystemTime, UNIX_EPOCH};

use syncline_connect::{Error, ErrorKind, Result};
use syncline_core::{Digest, Filter, MemoryBaseline};

use super::launch::{self, Place};
use super::{Script, blocking};
use crate::builtins::walk;
use crate::scratch::{self, Copying, Scratch, Wanted};

/// The folder beside that of scratch copies, for what is to be put back.
const FOLDER: &str = "in-place";
/// Says that the outputs are copied and the script may have begun.
const BEGUN: &str = "begun";
/// Where a person finds what was moved aside; runs, `status` and `doctor` tell of it.
const RESCUED: &str = ".syncline/rescued";

/// What a script made in the workspace, and what it was given of its outputs.
pub(super) async fn run(script: &Arc<Script>) -> Result<(Scratch, MemoryBaseline)> {
    let before = at_work(script, Before::keep).await?;
    // What it was given would be gone with the future: whoever drops this leaves it to the next run.
    let ran = launch::run(script, &before.place(script)?, None).await;
    at_work(script, move |script| match ran {
        Ok(_) => {
            let made = Scratch::copy(&script.copying(), &script.workspace)?;
            put_back(&before.scratch.root(), script, Some(&made.root()))?;
            before.done();
            Ok((made, before.given))
        }
        Err(error) => {
            let aside = put_back(&before.scratch.root(), script, None)?;
            before.done();
            Err(with_aside(error, aside.as_deref()))
        }
    })
    .await
}

/// Puts back what a run that was cut short has left changed.
pub(super) async fn recover(script: &Arc<Script>) -> Result<()> {
    at_work(script, |script| {
        let Some(folder) = folder(script).filter(|folder| folder.is_dir()) else { return Ok(()) };
        let failed =
            |error| Error::io(error, format_args!("putting back what {} changed", script.entrypoint));
        for left in scratch::left_behind(&folder).map_err(failed)? {
            if left.join(BEGUN).exists() {
                let aside = put_back(&left.join(scratch::ROOT), script, None)?;
                let aside = aside.map(|aside| aside.display().to_string());
                tracing::warn!(
                    target = script.target,
                    aside,
                    "a script was cut short; its outputs are as they were"
                );
            }
            scratch::remove_folder(&left).map_err(failed)?;
        }
        if fs::read_dir(&folder).map_err(failed)?.next().is_some() {
            let message = format!("{} of a run that was cut short is still at work", script.entrypoint);
            let hint = "wait until it has ended, or end it; then its outputs are put back";
            return Err(Error::new(ErrorKind::Locked, message).with_hint(hint));
        }
        Ok(())
    })
    .await
}

async fn at_work<T: Send + 'static>(
    script: &Arc<Script>,
    work: impl FnOnce(&Script) -> Result<T> + Send + 'static,
) -> Result<T> {
    let script = Arc::clone(script);
    blocking(move || work(&script)).await
}

/// Where the outputs of a script are kept while it works; only a run has such a place.
fn folder(script: &Script) -> Option<PathBuf> {
    let name = Digest::of(script.target.as_bytes()).short();
    Some(script.scratch.as_ref()?.with_file_name(FOLDER).join(name))
}

/// The outputs as they were.
struct Before {
    scratch: Scratch,
    given: MemoryBaseline,
}

impl Before {
    fn keep(script: &Script) -> Result<Self> {
        let outputs = Arc::clone(&script.outputs);
        let wanted = Wanted { inputs: Arc::clone(&outputs), outputs, entrypoint: String::new() };
        let copying = Copying { wanted: Some(wanted), above: folder(script), ..script.copying() };
        let mut scratch = Scratch::copy(&copying, &script.workspace)?;
        let given = scratch.digests(&script.outputs)?;
        let failed = |error| Error::io(error, format_args!("keeping the outputs of {}", script.target));
        scratch.make_durable().map_err(failed)?;
        scratch.keep();
        let begun = File::create(scratch.folder().join(BEGUN)).and_then(|file| file.sync_all());
        begun.and_then(|()| sync_folder(scratch.folder())).map_err(failed)?;
        Ok(Self { scratch, given })
    }

    /// The workspace, of which only the folders of the outputs may be written.
    fn place(&self, script: &Script) -> Result<Place> {
        let mut writable = vec![self.scratch.temporary()];
        for folder in &script.folders {
            let folder = script.workspace.join(folder);
            let made = fs::create_dir_all(&folder);
            made.map_err(|error| Error::io(error, format_args!("making {}", folder.display())))?;
            writable.push(folder);
        }
        let environment = [("TMPDIR".to_owned(), self.scratch.temporary().display().to_string())].into();
        let (root, temporary) = (script.workspace.clone(), self.scratch.temporary());
        Ok(Place { root, temporary, environment, writable, held: Some(self.scratch.lock()) })
    }

    /// Everything is as it was: nothing is to be put back any more.
    fn done(&self) {
        if let Err(error) = scratch::remove_folder(self.scratch.folder()) {
            tracing::warn!(folder = %self.scratch.folder().display(), %error, "kept outputs could not be removed");
        }
    }
}

#[cfg(unix)]
fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

#[cfg(not(unix))]
fn sync_folder(_folder: &Path) -> io::Result<()> {
    Ok(())
}

/// Puts the outputs in the workspace back to what they were in `before`. What is as in `made` was copied and may go; what
/// somebody changed since stays where it is. Without `made`, whatever differs is moved aside; tells where to.
fn put_back(before: &Path, script: &Script, made: Option<&Path>) -> Result<Option<PathBuf>> {
    let workspace = &script.workspace;
    let failed = |path: &str, error| Error::io(error, format_args!("putting back {path} as it was"));
    let (there, was) = (files(workspace, &script.outputs)?, files(before, &script.outputs)?);
    let aside = workspace.join(RESCUED).join(format!("{}-{}", script.target, seconds_now()));
    let (mut moved, mut gone) = (false, BTreeSet::new());
    for path in there.union(&was) {
        let at = workspace.join(path);
        if was.contains(path) && same(&before.join(path), &at).map_err(|error| failed(path, error))? {
            continue;
        }
        let is_ours = match made {
            Some(made) => same(&made.join(path), &at).map_err(|error| failed(path, error))?,
            None => false,
        };
        if made.is_some() && !is_ours {
            continue;
        }
        if !is_ours && there.contains(path) {
            move_aside(&at, &aside.join(path)).map_err(|error| failed(path, error))?;
            moved = true;
        }
        if was.contains(path) {
            put(workspace, path, &before.join(path)).map_err(|error| failed(path, error))?;
        } else {
            remove(&at).map_err(|error| failed(path, error))?;
            gone.extend(Path::new(path).ancestors().skip(1).map(Path::to_owned));
        }
    }
    // Folders that the script made for what is gone; of those that hold something else, nothing is removed.
    for folder in gone.iter().rev().filter(|folder| !before.join(folder).is_dir()) {
        let _ = fs::remove_dir(workspace.join(folder));
    }
    Ok(moved.then_some(aside))
}

fn files(root: &Path, outputs: &Filter) -> Result<BTreeSet<String>> {
    let mut found = BTreeSet::new();
    let walked = walk(root, "", outputs, &AtomicBool::new(false), &mut |path, _| {
        found.insert(path.to_owned());
        Ok(())
    });
    walked.map_err(|(path, error)| Error::io(error, format_args!("looking at the output {path}")))?;
    Ok(found)
}

/// Whether two places hold the same: nothing, a link to the same, or a file of the same content and permissions.
fn same(one: &Path, other: &Path) -> io::Result<bool> {
    let (Some(a), Some(b)) = (status(one)?, status(other)?) else {
        return Ok(status(one)?.is_none() && status(other)?.is_none());
    };
    if a.is_symlink() && b.is_symlink() {
        return Ok(fs::read_link(one)? == fs::read_link(other)?);
    }
    if !a.is_file() || !b.is_file() || a.len() != b.len() || a.permissions() != b.permissions() {
        return Ok(false);
    }
    let (mut one, mut other) = (File::open(one)?, File::open(other)?);
    let (mut ours, mut theirs) = (vec![0; 64 << 10], vec![0; 64 << 10]);
    loop {
        let count = one.read(&mut ours)?;
        if count == 0 {
            return Ok(other.read(&mut theirs)? == 0);
        }
        match other.read_exact(&mut theirs[..count]) {
            Ok(()) if ours[..count] == theirs[..count] => {}
            Ok(()) => return Ok(false),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(false),
            Err(error) => return Err(error),
        }
    }
}

fn status(path: &Path) -> io::Result<Option<fs::Metadata>> {
    match fs::symlink_metadata(path) {
        Ok(metadata) => Ok(Some(metadata)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        // What is below a file is not there.
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => Ok(None),
        Err(error) => Err(error),
    }
}

/// Puts a copy into its place, whole or not at all; never through a link that stands for one of its folders.
fn put(workspace: &Path, path: &str, from: &Path) -> io::Result<()> {
    let parents: Vec<&Path> = Path::new(path).ancestors().skip(1).collect();
    for parent in parents.iter().rev().map(|parent| workspace.join(parent)) {
        match status(&parent)? {
            None => fs::create_dir(&parent)?,
            Some(found) if found.is_dir() => {}
            Some(_) => return Err(io::Error::other(format!("{} is in the way", parent.display()))),
        }
    }
    let at = workspace.join(path);
    let name = at.file_name().unwrap_or_default().to_string_lossy();
    let beside = at.with_file_name(format!(".{name}.syncline-{}", std::process::id()));
    scratch::copy_entry(from, &beside)?;
    fs::rename(&beside, &at)
}

fn remove(at: &Path) -> io::Result<()> {
    match fs::remove_file(at) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

fn move_aside(at: &Path, aside: &Path) -> io::Result<()> {
    if let Some(parent) = aside.parent() {
        fs::create_dir_all(parent)?;
    }
    match fs::rename(at, aside) {
        Err(error) if error.kind() == io::ErrorKind::CrossesDevices => {
            scratch::copy_entry(at, aside)?;
            fs::remove_file(at)
        }
        moved => moved,
    }
}

fn seconds_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// What is said when the script failed: where what it had made is.
fn with_aside(error: Error, aside: Option<&Path>) -> Error {
    let Some(aside) = aside else { return error };
    let message =
        format!("{error}; its outputs are as they were, and what it had made is in {}", aside.display());
    let told = Error::new(error.kind(), message);
    match error.hint() {
        Some(hint) => told.with_hint(hint.to_owned()),
        None => told,
    }
}
