//! A script that works only in the workspace itself: its target says `in_place: true`.
//!
//! Its outputs are copied before it begins, durably, and where the system can see to that it may write nowhere else. What
//! it made is copied, too, and its outputs are put back at once: from then on it is a script like any other, whose result
//! is checked, planned, guarded, and applied with the old versions in history. When it fails, its outputs are put back as
//! well; when all is cut short, the next run does that. What then stands in their place is moved aside and told, since
//! nobody can say whether the script wrote it or a person.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use syncline_connect::{Error, ErrorKind, Result};
use syncline_core::{Digest, MemoryBaseline};

use super::launch::{self, Place};
use super::put_back::put_back;
use super::{Script, blocking};
use crate::scratch::{self, Copying, Scratch, Wanted};

/// The folder beside that of scratch copies, for what is to be put back.
const FOLDER: &str = "in-place";
/// Says that the outputs are copied and the script may have begun.
const BEGUN: &str = "begun";

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
