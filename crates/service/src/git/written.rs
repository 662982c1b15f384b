//! What Git itself wrote into the work tree for unmerged paths: anything else there is somebody's work.
//!
//! Git does not say what it wrote. So it is asked to merge once more, elsewhere, in every way in which it may have done
//! it, and the results are compared with what is there; the words after markers and the form of line ends do not count.

use std::collections::{HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::path::Path;

use syncline_core::Digest;

use super::command::{Repository, bytes, finish, private_folder, succeeded};
use super::stopped::{Progress, Staged, Stopped, Unmerged};
use crate::problem::{Problem, Result};

/// The ways in which conflicts are written.
const STYLES: [&str; 3] = ["merge", "diff3", "zdiff3"];

/// What Git may have written, by path.
pub(super) struct Written {
    merged: HashMap<OsString, HashSet<Digest>>,
}

impl Written {
    /// Merges the unmerged paths again.
    pub(super) fn again(repository: &Repository, stopped: &Stopped) -> Result<Self> {
        let mut written = Self { merged: HashMap::new() };
        let both: Vec<&Unmerged> = stopped
            .paths
            .iter()
            .filter(|unmerged| {
                let sides = [&unmerged.sides.local, &unmerged.sides.remote];
                sides.iter().all(|staged| staged.as_ref().is_some_and(Staged::is_file))
            })
            .collect();
        if both.is_empty() {
            return Ok(written);
        }
        for style in STYLES {
            written.check_out(repository, style, &both)?;
        }
        written.merge_trees(repository, stopped, &both);
        Ok(written)
    }

    /// Lets Git write the paths into an empty work tree.
    fn check_out(&mut self, repository: &Repository, style: &str, paths: &[&Unmerged]) -> Result<()> {
        let failed = |error| Problem::io(error, "making a temporary work tree");
        let folder = private_folder()?;
        let (tree, index) = (folder.path().join("tree"), folder.path().join("index"));
        std::fs::create_dir(&tree).map_err(failed)?;
        std::fs::copy(index_of(repository)?, &index).map_err(failed)?;
        let mut command = repository.git();
        command
            .env("GIT_DIR", &repository.directory)
            .env("GIT_WORK_TREE", &tree)
            .env("GIT_INDEX_FILE", &index);
        // Nothing of the repository may run for what is only looked at.
        command.arg("--work-tree").arg(&tree).args([
            "-c",
            "core.hooksPath=/dev/null",
            "-c",
            "core.fsmonitor=false",
        ]);
        command.args(["checkout", "--merge", "--conflict", style, "--quiet"]);
        command.args(["--pathspec-from-file=-", "--pathspec-file-nul"]);
        let listing: Vec<u8> =
            paths.iter().flat_map(|unmerged| [bytes(&unmerged.path), b"\0"].concat()).collect();
        // What it cannot merge it leaves out, and that is then taken for somebody's work.
        let _ = finish(command, &listing)?;
        for unmerged in paths {
            if let Ok(found) = read_file(&tree.join(&unmerged.path)) {
                self.add(&unmerged.path, &found);
            }
        }
        Ok(())
    }

    /// Merges whole trees, as the commands do that stop.
    fn merge_trees(&mut self, repository: &Repository, stopped: &Stopped, paths: &[&Unmerged]) {
        let Some(incoming) = stopped.progress.head() else { return };
        let parent = format!("{incoming}^");
        let mut arguments = vec!["merge-tree", "--write-tree", "-z", "--no-messages"];
        match stopped.progress {
            Progress::CherryPick | Progress::Rebase => {
                arguments.extend(["--merge-base", &parent, "HEAD", incoming]);
            }
            Progress::Revert => arguments.extend(["--merge-base", incoming, "HEAD", &parent]),
            Progress::Merge | Progress::Am | Progress::None => arguments.extend(["HEAD", incoming]),
        }
        for style in STYLES {
            let mut command = repository.git();
            command.args(["-c", &format!("merge.conflictStyle={style}")]).args(&arguments);
            // It fails where there are conflicts, which is why it is asked.
            let Ok(output) = finish(command, &[]) else { return };
            let tree = output.stdout.split(|&byte| byte == 0).next().unwrap_or_default();
            let Ok(tree) = std::str::from_utf8(tree) else { return };
            if tree.len() < 40 {
                return;
            }
            for unmerged in paths {
                let mut command = repository.git();
                command.args(["ls-tree", "-z", "--format=%(objectname)", tree, "--"]).arg(&unmerged.path);
                let Ok(listed) = finish(command, &[]).and_then(succeeded) else { continue };
                let oid = String::from_utf8_lossy(&listed).trim_end_matches('\0').to_owned();
                if let Ok(found) = repository.blob(&oid) {
                    self.add(&unmerged.path, &found);
                }
            }
        }
    }

    fn add(&mut self, path: &OsStr, content: &[u8]) {
        self.merged.entry(path.to_owned()).or_default().insert(normal(content));
    }

    /// Whether what the work tree holds at an unmerged path is what Git wrote there.
    pub(super) fn is_untouched(&self, repository: &Repository, unmerged: &Unmerged) -> bool {
        if !is_inside(repository, &unmerged.path) {
            return false;
        }
        let file = unmerged.file(repository);
        let found = match std::fs::symlink_metadata(&file) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return unmerged.sides.local.is_none() && unmerged.sides.remote.is_none();
            }
            Ok(about) if about.is_file() => read_file(&file),
            _ => return false,
        };
        let Ok(found) = found else { return false };
        let merged = self.merged.get(&unmerged.path);
        if merged.is_some_and(|merged| merged.contains(&normal(&found))) {
            return true;
        }
        let sides = [unmerged.sides.local.as_ref(), unmerged.sides.remote.as_ref()];
        match sides {
            // Where one side removed it, the other version is what lies there.
            [Some(only), None] | [None, Some(only)] => is_object(repository, unmerged, &only.oid),
            _ => false,
        }
    }
}

/// Whether the file at a path would be stored as this object.
pub(super) fn is_object(repository: &Repository, unmerged: &Unmerged, oid: &str) -> bool {
    stored_as(repository, &unmerged.path).as_deref() == Some(oid)
}

/// The name of the object as which the file at a path would be stored.
pub(super) fn stored_as(repository: &Repository, path: &OsStr) -> Option<String> {
    let file = read_file(&repository.root.join(path)).ok()?;
    let mut command = repository.git();
    command.arg("hash-object").arg("--path").arg(path).arg("--stdin");
    let name = finish(command, &file).and_then(succeeded).ok()?;
    Some(String::from_utf8_lossy(&name).trim().to_owned())
}

/// The index file of the work tree.
pub(super) fn index_of(repository: &Repository) -> Result<std::path::PathBuf> {
    let named = repository.run(&["rev-parse", "--path-format=absolute", "--git-path", "index"])?;
    Ok(String::from_utf8_lossy(&named).trim_end_matches('\n').into())
}

/// Whether a path leads into the work tree without a symbolic link on its way.
pub(super) fn is_inside(repository: &Repository, path: &OsStr) -> bool {
    let Ok(root) = std::fs::canonicalize(&repository.root) else { return false };
    let written = root.join(path);
    let Some(parent) = written.parent() else { return false };
    match std::fs::canonicalize(parent) {
        Ok(real) => real == parent,
        Err(error) => error.kind() == std::io::ErrorKind::NotFound,
    }
}

/// The content of a file that is one, and no link to one.
pub(super) fn read_file(file: &Path) -> std::io::Result<Vec<u8>> {
    match std::fs::symlink_metadata(file)?.is_file() {
        true => std::fs::read(file),
        false => Err(std::io::ErrorKind::InvalidInput.into()),
    }
}

/// The digest of a content without the words after markers and without carriage returns at ends of lines.
fn normal(content: &[u8]) -> Digest {
    let mut text = Vec::with_capacity(content.len());
    for line in content.split(|&byte| byte == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let follows = line.get(7).is_none_or(|&byte| byte == b' ');
        let marks = [&b"<<<<<<<"[..], b"|||||||", b">>>>>>>"];
        let is_marker = follows && marks.iter().any(|mark| line.starts_with(mark));
        text.extend_from_slice(if is_marker { &line[..7] } else { line });
        text.push(b'\n');
    }
    Digest::of(&text)
}
