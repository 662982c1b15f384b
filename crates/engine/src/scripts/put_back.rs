//! Putting the outputs of a script back to what they were before it worked in the workspace itself.
//!
//! A script may have put anything in the place of anything: a file for a folder, a link for either. So nothing is reached
//! through a link, and what cannot go back to its place is put aside where a person finds it.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::time::{SystemTime, UNIX_EPOCH};

use syncline_connect::{Error, Result};
use syncline_core::Filter;

use super::Script;
use crate::builtins::walk;
use crate::scratch::copy_entry;

/// Where a person finds what was put aside; runs, `status` and `doctor` tell of it.
const RESCUED: &str = ".syncline/rescued";

/// Puts the outputs in the workspace back to what they were in `before`.
///
/// - What is as in `made` was copied there and may go; what somebody has changed since stays where it is.
/// - Without `made`, whatever differs is moved aside: nobody can say whether the script wrote it or a person.
/// - Tells where something was put aside, when something was.
pub(super) fn put_back(before: &Path, script: &Script, made: Option<&Path>) -> Result<Option<PathBuf>> {
    let failed = |error| Error::io(error, format_args!("putting back the outputs of {}", script.target));
    let mut aside = Aside::new(script);
    let outputs = Outputs {
        workspace: &script.workspace,
        before,
        made,
        was: files(before, &script.outputs).map_err(failed)?,
        is_made: made
            .map(|made| files(made, &script.outputs))
            .transpose()
            .map_err(failed)?
            .unwrap_or_default(),
    };
    let there = files(&script.workspace, &script.outputs).map_err(failed)?;
    outputs.clear(there, &mut aside).map_err(failed)?;
    outputs.restore(&mut aside).map_err(failed)?;
    Ok(aside.used.then_some(aside.folder))
}

/// The outputs of a script in three places, and which files and links these hold.
struct Outputs<'a> {
    workspace: &'a Path,
    before: &'a Path,
    made: Option<&'a Path>,
    was: BTreeSet<String>,
    is_made: BTreeSet<String>,
}

impl Outputs<'_> {
    /// Takes away what the script left in the workspace and was not there before; or moves it aside.
    fn clear(&self, there: BTreeSet<String>, aside: &mut Aside) -> io::Result<()> {
        let mut emptied = BTreeSet::new();
        for path in &there {
            let at = self.workspace.join(path);
            if self.was.contains(path) && same(&self.before.join(path), &at)? {
                continue;
            }
            match self.made {
                Some(made) if self.is_made.contains(path) && same(&made.join(path), &at)? => remove(&at)?,
                // Somebody has changed it since the script ended.
                Some(_) => continue,
                None => aside.take(path, &at)?,
            }
            emptied.extend(Path::new(path).ancestors().skip(1).map(Path::to_owned));
        }
        for folder in emptied.iter().rev().filter(|folder| !self.before.join(folder).is_dir()) {
            // One that holds something else stays.
            let _ = fs::remove_dir(self.workspace.join(folder));
        }
        Ok(())
    }

    /// Puts back what is not there any more.
    fn restore(&self, aside: &mut Aside) -> io::Result<()> {
        for path in &self.was {
            let from = self.before.join(path);
            match is_free(self.workspace, path)? {
                Free::Yes => put(&from, &self.workspace.join(path))?,
                Free::No if same(&from, &self.workspace.join(path))? => {}
                Free::No | Free::Never => aside.copy(path, &from)?,
            }
        }
        Ok(())
    }
}

/// Whether a place can be taken.
enum Free {
    Yes,
    /// Something is there.
    No,
    /// Something is in the place of one of its folders.
    Never,
}

/// Whether nothing is at a path of the workspace; makes the folders that it lies in.
fn is_free(workspace: &Path, path: &str) -> io::Result<Free> {
    let parents: Vec<&Path> = Path::new(path).ancestors().skip(1).collect();
    for parent in parents.iter().rev().map(|parent| workspace.join(parent)) {
        match status(&parent)? {
            None => fs::create_dir(&parent)?,
            Some(found) if found.is_dir() => {}
            Some(_) => return Ok(Free::Never),
        }
    }
    Ok(if status(&workspace.join(path))?.is_none() { Free::Yes } else { Free::No })
}

/// Puts a copy into its place, whole or not at all.
fn put(from: &Path, at: &Path) -> io::Result<()> {
    let name = at.file_name().unwrap_or_default().to_string_lossy();
    let beside = at.with_file_name(format!(".{name}.syncline-{}", std::process::id()));
    remove(&beside)?;
    copy_entry(from, &beside)?;
    fs::rename(&beside, at)
}

fn remove(at: &Path) -> io::Result<()> {
    match fs::remove_file(at) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

/// The files and links of the outputs below a folder.
fn files(root: &Path, outputs: &Filter) -> io::Result<BTreeSet<String>> {
    let mut found = BTreeSet::new();
    let walked = walk(root, "", outputs, &AtomicBool::new(false), &mut |path, _| {
        found.insert(path.to_owned());
        Ok(())
    });
    walked.map_err(|(path, error)| io::Error::new(error.kind(), format!("{path}: {error}")))?;
    Ok(found)
}

/// Whether two places hold the same: a link to the same, or a file of the same content and permissions.
fn same(one: &Path, other: &Path) -> io::Result<bool> {
    let (Some(a), Some(b)) = (status(one)?, status(other)?) else { return Ok(false) };
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
        // What is below a file is not there.
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// A folder for what is put aside, made when it is needed.
struct Aside {
    folder: PathBuf,
    used: bool,
}

impl Aside {
    fn new(script: &Script) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
        // Every call has a folder of its own, lest one should overwrite what another has put there.
        let name = format!("{}-{now}-{}", script.target, std::process::id());
        Self { folder: script.workspace.join(RESCUED).join(name), used: false }
    }

    fn place(&mut self, path: &str) -> io::Result<PathBuf> {
        self.used = true;
        let place = self.folder.join(path);
        fs::create_dir_all(place.parent().unwrap_or(&self.folder))?;
        Ok(place)
    }

    /// Moves something out of the workspace.
    fn take(&mut self, path: &str, at: &Path) -> io::Result<()> {
        let place = self.place(path)?;
        match fs::rename(at, &place) {
            Err(error) if error.kind() == io::ErrorKind::CrossesDevices => {
                copy_entry(at, &place)?;
                fs::remove_file(at)
            }
            moved => moved,
        }
    }

    /// Keeps what was there before and cannot go back, since something else is there.
    fn copy(&mut self, path: &str, from: &Path) -> io::Result<()> {
        let place = self.place(&format!("before/{path}"))?;
        copy_entry(from, &place).map(drop)
    }
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn write(root: &Path, path: &str, text: &str) {
        let at = root.join(path);
        fs::create_dir_all(at.parent().unwrap()).unwrap();
        fs::write(at, text).unwrap();
    }

    fn read(root: &Path, path: &str) -> Option<String> {
        fs::read_to_string(root.join(path)).ok()
    }

    /// Three folders: before, the workspace, and what was made.
    struct Places(tempfile::TempDir);

    impl Places {
        fn new() -> Self {
            let places = Self(tempfile::tempdir().unwrap());
            for name in ["before", "work", "made"] {
                write(&places.at(name), "docs/a", "a");
                write(&places.at(name), "docs/folder/b", "b");
            }
            places
        }

        fn at(&self, name: &str) -> PathBuf {
            self.0.path().join(name)
        }

        fn put_back(&self, made: bool) -> Option<PathBuf> {
            let script = Script { workspace: self.at("work"), ..Script::of_outputs(&["docs/**".to_owned()]) };
            let made = made.then(|| self.at("made"));
            put_back(&self.at("before"), &script, made.as_deref()).unwrap()
        }
    }

    impl Script {
        fn of_outputs(outputs: &[String]) -> Self {
            let outputs = Arc::new(Filter::new(outputs, &[], None, Vec::new()).unwrap());
            Self {
                target: "main".into(),
                entrypoint: String::new(),
                direction: syncline_core::Direction::Pull,
                mode: super::super::Mode::Run,
                in_place: true,
                inputs: None,
                outputs,
                folders: Vec::new(),
                config: String::new(),
                environment: std::collections::BTreeMap::new(),
                secrets: Vec::new(),
                checks: Vec::new(),
                checked: Arc::default(),
                own: crate::checks::Own::default(),
                sanitizer: None,
                limits: crate::process::Limits::default(),
                writable: Vec::new(),
                workspace: PathBuf::new(),
                scratch: None,
            }
        }
    }

    /// What a script does to the workspace.
    fn swap(root: &Path, how: &str) {
        match how {
            "edit" => write(root, "docs/a", "edited"),
            "folder for a file" => {
                fs::remove_file(root.join("docs/a")).unwrap();
                write(root, "docs/a/new", "new");
            }
            "file for a folder" => {
                fs::remove_dir_all(root.join("docs/folder")).unwrap();
                write(root, "docs/folder", "file");
            }
            "link for a folder" => {
                fs::remove_dir_all(root.join("docs/folder")).unwrap();
                std::os::unix::fs::symlink("../outside", root.join("docs/folder")).unwrap();
            }
            "everything gone" => fs::remove_dir_all(root.join("docs")).unwrap(),
            other => panic!("{other}"),
        }
    }

    const SWAPS: [&str; 5] =
        ["edit", "folder for a file", "file for a folder", "link for a folder", "everything gone"];

    #[test]
    fn whatever_a_script_put_in_the_place_of_what_is_undone() {
        for how in SWAPS {
            for succeeded in [true, false] {
                let places = Places::new();
                write(&places.at("work"), "outside/b", "not to be touched");
                swap(&places.at("work"), how);
                if succeeded {
                    swap(&places.at("made"), how);
                }
                let aside = places.put_back(succeeded);
                let work = places.at("work");
                assert_eq!(read(&work, "docs/a").as_deref(), Some("a"), "{how}, {succeeded}");
                assert_eq!(read(&work, "docs/folder/b").as_deref(), Some("b"), "{how}, {succeeded}");
                assert!(!work.join("docs/folder").is_symlink(), "{how}, {succeeded}");
                assert_eq!(read(&work, "outside/b").as_deref(), Some("not to be touched"));
                assert_eq!(aside.is_some(), !succeeded && how != "everything gone", "{how}, {succeeded}");
            }
        }
    }

    #[test]
    fn what_somebody_changed_since_stays_and_what_was_before_is_kept() {
        let places = Places::new();
        write(&places.at("made"), "docs/a", "made");
        write(&places.at("work"), "docs/a", "theirs");
        let aside = places.put_back(true).unwrap();
        assert_eq!(read(&places.at("work"), "docs/a").as_deref(), Some("theirs"));
        assert_eq!(read(&aside, "before/docs/a").as_deref(), Some("a"));
    }

    #[test]
    fn nothing_that_was_put_aside_is_overwritten() {
        let places = Places::new();
        let mut all = BTreeSet::new();
        for text in ["one", "two", "three"] {
            write(&places.at("work"), "docs/a", text);
            let aside = places.put_back(false).unwrap();
            assert_eq!(read(&aside, "docs/a").as_deref(), Some(text));
            assert!(all.insert(aside));
        }
    }
}
