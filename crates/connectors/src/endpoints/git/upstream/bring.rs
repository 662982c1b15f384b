//! Bringing the local branch along: index and work tree first, then the reference, so that whoever is interrupted in
//! between finds changes that are staged, and never a commit that the index would take back.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use syncline_connect::{Error, ErrorKind, Result};
use syncline_core::{ItemPath, Problem};

use super::super::command::{Done, Git};
use super::super::errors;
use super::super::mirror::LOCAL;
use super::super::tree::{Entry, ObjectId};
use super::clone::{self, Clone, Place, busy, locked, succeeded};
use super::own::{Index, Own, below, removal};

/// How long to wait for another Git command that works with the index.
const LOCK_PATIENCE: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(20);
/// Most paths that are told one by one.
const TOLD_MAX: usize = 20;

/// What is to be done in index and work tree, so that they fit to another commit or tree.
pub(super) struct Way {
    from: ObjectId,
    to: String,
    /// Lines for `git update-index --index-info`: own paths, which the folder has already, and others that have the
    /// content already.
    entries: String,
    /// Whether Git has to change files of the work tree.
    files: bool,
}

impl Way {
    /// Finds out how to get from a commit to another one, or to a tree.
    ///
    /// # Errors
    /// When Git cannot be asked.
    pub(super) fn find(clone: &Clone, place: &Place, own: &Own, from: ObjectId, to: &str) -> Result<Self> {
        let start = from.to_string();
        let arguments = ["diff-tree", "-r", "-z", "--no-renames", "--end-of-options", &start, to];
        let done = succeeded(clone.git.run(&arguments, LOCAL)?, "comparing commits")?;
        let root = clone.settings.root.as_ref();
        let (mut gone, mut put, mut files) = (String::new(), String::new(), false);
        let mut parts = done.out.split(|&byte| byte == 0);
        while let (Some(head), Some(name)) = (parts.next(), parts.next()) {
            let head = String::from_utf8_lossy(head);
            let mut words = head.trim_start_matches(':').split(' ');
            let (Some(_), Some(mode), Some(before), Some(after)) =
                (words.next(), words.next(), words.next(), words.next())
            else {
                break;
            };
            // A name that is no text is never own: Git moves it.
            let Ok(name) = std::str::from_utf8(name) else {
                files = true;
                continue;
            };
            let removed = mode == "000000";
            let known = Entry { mode: super::super::tree::Mode::File, object: ObjectId::ZERO };
            let is_own =
                below(root, name).is_some_and(|path: ItemPath| own.holds(&path, known)) && mode != "160000";
            if !is_own && !is_there(clone, place, name, mode, before, after)? {
                files = true;
                continue;
            }
            if removed {
                gone.push_str(&removal(name, from));
            } else {
                put.push_str(&format!("{mode} {after}\t{name}\0"));
            }
        }
        Ok(Self { from, to: to.to_owned(), entries: gone + &put, files })
    }

    /// What a person has changed in files that would have to change, for people; nothing when the way is free.
    ///
    /// # Errors
    /// When Git cannot be asked.
    pub(super) fn obstacles(&self, clone: &Clone, place: &Place, scratch: &Path) -> Result<Vec<Problem>> {
        if !self.files {
            return Ok(Vec::new());
        }
        let index = Index::new(scratch)?;
        let copied = std::fs::copy(place.directory.join("index"), index.file());
        if let Err(error) = copied
            && error.kind() != std::io::ErrorKind::NotFound
        {
            return Err(Error::io(error, "copying the index"));
        }
        let done = self.read_tree(&clone.git, Some(&index), true)?;
        if done.success {
            return Ok(Vec::new());
        }
        let told = done.said.lines().filter_map(|line| line.split('\'').nth(1));
        let mut paths: Vec<&str> = told.take(TOLD_MAX).collect();
        if paths.is_empty() {
            paths.push(".");
        }
        let branch = &clone.head.branch;
        let message = format!(
            "the upstream of {branch} changes this file, and so did you: the branch stays where it is until you commit \
             or stash your change ({})",
            errors::shown(done.said.lines().next().unwrap_or_default())
        );
        Ok(paths.into_iter().map(|path| Problem::new(path, "git_dirty", message.clone())).collect())
    }

    /// Goes the way, then moves the branch from where it was to `commit`.
    ///
    /// # Errors
    /// With kind `Changed` when somebody moved the branch meanwhile; with code `git_locked` when another Git command
    /// holds a lock, and with `git_dirty` when somebody has just changed a file that would have to change.
    pub(super) fn go(&self, clone: &Clone, place: &Place, commit: ObjectId, reason: &str) -> Result<()> {
        place.refuse_busy()?;
        let now = clone::head(&clone.git)?;
        if now.branch != clone.head.branch {
            return Err(busy(format!(
                "{} was checked out instead of {} during the run",
                now.branch, clone.head.branch
            )));
        }
        if now.commit != self.from {
            return Err(moved(&now.branch));
        }
        if self.files {
            let done = patiently(|| self.read_tree(&clone.git, None, false))?;
            if !done.success {
                return Err(Error::new(
                    ErrorKind::Changed,
                    format!("a file changed meanwhile ({})", errors::shown(&done.said)),
                )
                .with_code("git_dirty")
                .with_hint("commit or stash your changes"));
            }
        } else {
            patiently(|| self.index_entries(&clone.git, None))
                .and_then(|done| succeeded(done, "updating the index"))?;
        }
        let (name, new, old) =
            (format!("refs/heads/{}", now.branch), commit.to_string(), self.from.to_string());
        let log = format!("syncline: {reason}");
        let done = patiently(|| clone.git.run(&["update-ref", "-m", &log, &name, &new, &old], LOCAL))?;
        if !done.success {
            return Err(if done.said.contains("expected") { moved(&now.branch) } else { locked() });
        }
        // Only so that Git need not compare the files the next time that somebody asks for the status.
        let _ = clone.git.run(&["update-index", "-q", "--refresh"], LOCAL);
        Ok(())
    }

    /// Lets Git change what is not own, after the index has what is own; with `dry`, only asks whether it would.
    fn read_tree(&self, git: &Git, index: Option<&Index>, dry: bool) -> Result<Done> {
        let done = self.index_entries(git, index)?;
        if !done.success {
            return Ok(done);
        }
        run(git, index, &["update-index", "-q", "--refresh"], "")?;
        let from = self.from.to_string();
        let mut arguments = vec!["read-tree", "-m", "-u"];
        arguments.extend(dry.then_some("-n"));
        arguments.extend([from.as_str(), self.to.as_str()]);
        run(git, index, &arguments, "")
    }

    fn index_entries(&self, git: &Git, index: Option<&Index>) -> Result<Done> {
        run(git, index, &["update-index", "--add", "--replace", "-z", "--index-info"], &self.entries)
    }
}

fn run(git: &Git, index: Option<&Index>, arguments: &[&str], input: &str) -> Result<Done> {
    match index {
        Some(index) => index.run(git, arguments, input),
        None => git.feed(arguments, &[], LOCAL, |to| to.write_all(input.as_bytes())),
    }
}

/// Whether a path that is not own is already as it is to be, in the index or untouched there, and in the work tree: a
/// run that was interrupted left it so, or another target did.
fn is_there(clone: &Clone, place: &Place, name: &str, mode: &str, before: &str, after: &str) -> Result<bool> {
    let done =
        succeeded(clone.git.run(&["ls-files", "--stage", "-z", "--", name], LOCAL)?, "asking the index")?;
    let staged = String::from_utf8_lossy(&done.out);
    let staged = staged.split(' ').nth(1).unwrap_or_default();
    let zero = |hash: &str| hash.bytes().all(|digit| digit == b'0');
    let untouched = |hash: &str| staged == hash || staged.is_empty() && zero(hash);
    if !untouched(before) && !untouched(after) {
        return Ok(false);
    }
    let file = place.top.join(name);
    let Ok(there) = std::fs::symlink_metadata(&file) else { return Ok(mode == "000000") };
    if mode == "000000"
        || !there.is_file()
        || is_executable(&there) != (mode == "100755")
        || name.contains('\n')
    {
        return Ok(false);
    }
    let done = clone
        .git
        .feed(&["hash-object", "--no-filters", "--stdin-paths"], &[], LOCAL, |to| writeln!(to, "{name}"))?;
    Ok(done.success && String::from_utf8_lossy(&done.out).trim() == after)
}

#[cfg(unix)]
fn is_executable(there: &std::fs::Metadata) -> bool {
    std::os::unix::fs::PermissionsExt::mode(&there.permissions()) & 0o100 != 0
}

#[cfg(not(unix))]
const fn is_executable(_: &std::fs::Metadata) -> bool {
    false
}

/// Tries again while another Git command holds a lock.
fn patiently(mut attempt: impl FnMut() -> Result<Done>) -> Result<Done> {
    let deadline = Instant::now() + LOCK_PATIENCE;
    loop {
        let done = attempt()?;
        if done.success || !errors::is_locked(&done.said) {
            return Ok(done);
        }
        if Instant::now() > deadline {
            return Err(locked());
        }
        thread::sleep(PAUSE);
    }
}

fn moved(branch: &str) -> Error {
    Error::new(ErrorKind::Changed, format!("somebody moved the branch {branch} during the run"))
}
