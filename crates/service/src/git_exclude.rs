//! Keeps Syncline's state out of the Git repository that a workspace lies in, without touching tracked files.

use std::io;
use std::path::{Path, PathBuf};

/// What is excluded.
const PATTERN: &str = ".syncline/";

/// The `info/exclude` file of the repository that holds `folder`; `None` when there is no repository.
///
/// A worktree and a submodule have a `.git` file that names their Git directory, and a worktree's directory names
/// the one that it shares with the others: see `gitrepository-layout(5)`.
pub(crate) fn exclude_file(folder: &Path) -> Option<PathBuf> {
    let dot_git = folder.ancestors().map(|above| above.join(".git")).find(|path| path.exists())?;
    let directory = if dot_git.is_dir() { dot_git } else { named_in(&dot_git, "gitdir: ")? };
    directory.join("HEAD").exists().then_some(())?;
    let shared = named_in(&directory.join("commondir"), "").unwrap_or(directory);
    Some(shared.join("info").join("exclude"))
}

/// The path that the first line of `file` names after `prefix`, relative to the file.
fn named_in(file: &Path, prefix: &str) -> Option<PathBuf> {
    let text = std::fs::read_to_string(file).ok()?;
    let named = text.lines().next()?.strip_prefix(prefix)?.trim();
    Some(file.parent()?.join(named))
}

/// Whether the state is excluded already.
pub(crate) fn is_excluded(exclude: &Path) -> bool {
    std::fs::read_to_string(exclude).is_ok_and(|text| text.lines().any(|line| line.trim() == PATTERN))
}

/// Excludes the state from the repository that holds `folder`, when there is one and it is not excluded yet.
pub(crate) fn exclude(folder: &Path) -> io::Result<()> {
    let Some(file) = exclude_file(folder) else { return Ok(()) };
    if is_excluded(&file) {
        return Ok(());
    }
    let before = match std::fs::read(&file) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(error),
    };
    let mut addition = Vec::new();
    if before.last().is_some_and(|&byte| byte != b'\n') {
        addition.push(b'\n');
    }
    addition.extend_from_slice(PATTERN.as_bytes());
    addition.push(b'\n');
    if let Some(info) = file.parent() {
        std::fs::create_dir_all(info)?;
    }
    let mut file = std::fs::OpenOptions::new().append(true).create(true).open(&file)?;
    io::Write::write_all(&mut file, &addition)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn repository(at: &Path) {
        std::fs::create_dir_all(at.join("info")).unwrap();
        std::fs::write(at.join("HEAD"), "ref: refs/heads/main\n").unwrap();
    }

    #[test]
    fn the_state_is_excluded_once_and_other_lines_stay() {
        let folder = tempfile::tempdir().unwrap();
        repository(&folder.path().join(".git"));
        let file = folder.path().join(".git/info/exclude");
        std::fs::write(&file, "# mine\n*.log").unwrap();
        let below = folder.path().join("a/b");
        std::fs::create_dir_all(&below).unwrap();
        exclude(&below).unwrap();
        exclude(folder.path()).unwrap();
        assert_eq!(std::fs::read_to_string(file).unwrap(), "# mine\n*.log\n.syncline/\n");
    }

    #[test]
    fn a_worktree_excludes_in_the_repository_that_it_shares() {
        let folder = tempfile::tempdir().unwrap();
        let main = folder.path().join("main/.git");
        repository(&main);
        let own = main.join("worktrees/side");
        repository(&own);
        std::fs::write(own.join("commondir"), "../..\n").unwrap();
        let worktree = folder.path().join("side");
        std::fs::create_dir_all(&worktree).unwrap();
        std::fs::write(worktree.join(".git"), format!("gitdir: {}\n", own.display())).unwrap();
        exclude(&worktree).unwrap();
        assert_eq!(std::fs::read_to_string(main.join("info/exclude")).unwrap(), ".syncline/\n");
    }

    #[test]
    fn outside_of_a_repository_nothing_happens() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join(".git")).unwrap();
        exclude(folder.path()).unwrap();
        assert!(!folder.path().join(".git/info").exists());
    }
}
