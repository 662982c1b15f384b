//! Commits what a run brought into the workspace: only that, and nothing that people have staged or changed.
//!
//! The commit is made beside the index and the work tree, from the files that are as both sides agreed on. So it holds
//! exactly what the target brought, whatever a person is doing at the moment; and what a run that was killed did not get
//! to commit, the next one does.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::path::Path;

use syncline_config::GitCommit;
use syncline_core::{Baseline, Digest, Filter, ItemPath, Kind, Verdict};

use super::command::{Repository, finish, private_folder, succeeded};
use crate::problem::{Class, Problem, Result};

/// Whoever commits when nobody is configured.
const NOBODY: (&str, &str) = ("Syncline", "syncline@localhost");
/// Keeps the hooks of the repository from running.
const NO_HOOKS: [&str; 2] = ["-c", "core.hooksPath=/dev/null"];
/// How many files Git is given at once.
const FILES_AT_ONCE: usize = 1_000;
/// What stands in front of the run in a message.
const TRAILER: &str = "Syncline-Run:";
/// What shows that a person is in the middle of something, in the Git directory.
const IN_PROGRESS: &[&str] = &[
    "MERGE_HEAD",
    "CHERRY_PICK_HEAD",
    "REVERT_HEAD",
    "rebase-merge",
    "rebase-apply",
    "BISECT_LOG",
    "index.lock",
];

/// What is to be committed, and how.
pub(crate) struct Committing<'a> {
    /// The name of the target.
    pub(crate) target: &'a str,
    /// Its folder.
    pub(crate) folder: &'a Path,
    /// Which paths belong to it.
    pub(crate) filter: &'a Filter,
    /// What both sides agree on.
    pub(crate) baseline: &'a dyn Baseline,
    /// What runs of the target have removed last: of no other removal is it known whose it is.
    pub(crate) removed: &'a HashSet<ItemPath>,
    /// The run, when there was one.
    pub(crate) run: Option<&'a str>,
    /// How it is committed.
    pub(crate) how: &'a GitCommit,
}

/// What became of committing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Committed {
    /// Nothing was to be committed.
    Nothing,
    /// It was committed: the commit, and how many files it changes.
    Made { commit: String, branch: String, files: usize },
    /// A person is in the middle of something: the next run commits.
    Waits(String),
}

/// What a path becomes.
enum Change {
    /// A file or a link: its mode and its blob.
    Put(&'static str, String),
    Remove,
}

/// What a path is found to be.
enum Found {
    Change(Change),
    /// A file as agreed, whose blob is still to be made: its mode, and the digest of its content.
    File(&'static str, Digest),
}

/// What paths of the repository become.
type Changes = BTreeMap<String, Change>;

impl Committing<'_> {
    /// Commits.
    ///
    /// # Errors
    /// When the workspace is in no repository, or Git fails.
    pub(crate) fn commit(&self) -> Result<Committed> {
        let repository = Repository::at(self.folder)?;
        if let Some(what) = IN_PROGRESS.iter().find(|name| repository.directory.join(name).exists()) {
            return Ok(Committed::Waits(format!("Git is busy here ({what})")));
        }
        let changes = self.changes(&repository)?;
        if changes.is_empty() {
            self.push_again(&repository)?;
            return Ok(Committed::Nothing);
        }
        let head = repository.ask(&["rev-parse", "--verify", "--quiet", "HEAD^{commit}"]);
        let tree = tree_of(&repository, head.as_deref(), &changes)?;
        let on = if self.how.propose { format!("refs/heads/{}", self.proposal()) } else { "HEAD".to_owned() };
        let before = repository.ask(&["rev-parse", "--verify", "--quiet", &format!("{on}^{{tree}}")]);
        if before.as_deref() == Some(tree.as_str()) {
            return Ok(Committed::Nothing);
        }
        let commit = self.write(&repository, head.as_deref(), &tree, changes.len())?;
        let branch = self.publish(&repository, head.as_deref(), &commit, &changes)?;
        Ok(Committed::Made { commit, branch, files: changes.len() })
    }

    /// The changed files of the target that are as both sides agreed on.
    fn changes(&self, repository: &Repository) -> Result<Changes> {
        let top = fs::canonicalize(&repository.root);
        let top = top.map_err(|error| Problem::io(error, "finding the top of the repository"))?;
        let folder = fs::canonicalize(self.folder);
        let folder = folder.map_err(|error| Problem::io(error, "finding the folder of the target"))?;
        let prefix = folder.strip_prefix(&top).ok().and_then(Path::to_str).unwrap_or_default().to_owned();
        let at = if prefix.is_empty() { "." } else { &prefix };
        let arguments = [
            "--no-optional-locks",
            "status",
            "--porcelain=v1",
            "-z",
            "--untracked-files=all",
            "--no-renames",
            "--",
            at,
        ];
        let status = repository.run(&arguments)?;
        let (mut changes, mut files) = (Changes::new(), Vec::new());
        for line in status.split(|byte| *byte == 0).filter(|line| line.len() > 3) {
            let (state, name) = line.split_at(3);
            // What a person has staged is theirs to commit.
            let untouched = matches!(state[0], b' ' | b'?');
            let Some(path) = std::str::from_utf8(name).ok().filter(|_| untouched) else { continue };
            let inside = if prefix.is_empty() {
                Some(path)
            } else {
                path.strip_prefix(&prefix).and_then(|path| path.strip_prefix('/'))
            };
            let Some(item) = inside.and_then(|path| ItemPath::parse(path).ok()) else { continue };
            match self.change(repository, &item, &top.join(path))? {
                Some(Found::Change(change)) => {
                    changes.insert(path.to_owned(), change);
                }
                Some(Found::File(mode, digest)) => files.push((path.to_owned(), mode, digest)),
                None => {}
            }
        }
        for some in files.chunks(FILES_AT_ONCE) {
            let blobs = blobs(repository, some)?;
            for ((path, mode, digest), blob) in some.iter().zip(blobs) {
                // What somebody wrote meanwhile is left for the run that agrees on it.
                if read(&top.join(path)).is_ok_and(|bytes| Digest::of(&bytes) == *digest) {
                    changes.insert(path.clone(), Change::Put(mode, blob));
                }
            }
        }
        Ok(changes)
    }

    /// What a path becomes, when it is as agreed.
    fn change(&self, repository: &Repository, item: &ItemPath, file: &Path) -> Result<Option<Found>> {
        if self.filter.decide_deep(item, false) != Verdict::Included {
            return Ok(None);
        }
        let agreed = self.baseline.get(item)?;
        let there = fs::symlink_metadata(file).ok();
        let (Some(agreed), Some(there)) = (&agreed, there) else {
            let gone = agreed.is_none() && fs::symlink_metadata(file).is_err();
            return Ok((gone && self.removed.contains(item)).then_some(Found::Change(Change::Remove)));
        };
        let bytes =
            read(file).map_err(|error| Problem::io(error, format_args!("reading {}", file.display())))?;
        if Digest::of(&bytes) != agreed.digest {
            return Ok(None);
        }
        Ok(match agreed.kind {
            Kind::Symlink => Some(Found::Change(Change::Put("120000", repository.store(&bytes)?))),
            Kind::File { .. } if there.is_symlink() => None,
            Kind::File { executable } => {
                Some(Found::File(if executable { "100755" } else { "100644" }, agreed.digest))
            }
            Kind::Directory => None,
        })
    }

    fn write(&self, repository: &Repository, head: Option<&str>, tree: &str, files: usize) -> Result<String> {
        let mut command = repository.git();
        command.arg("commit-tree").arg(tree);
        if let Some(head) = head {
            command.args(["-p", head]);
        }
        let told = |name: &str| repository.ask(&["config", name]).filter(|text| !text.is_empty());
        let (name, address) = match &self.how.author {
            Some(author) => person(author)?,
            None => (
                told("user.name").unwrap_or_else(|| NOBODY.0.to_owned()),
                told("user.email").unwrap_or_else(|| NOBODY.1.to_owned()),
            ),
        };
        for role in ["AUTHOR", "COMMITTER"] {
            command.env(format!("GIT_{role}_NAME"), &name).env(format!("GIT_{role}_EMAIL"), &address);
        }
        let message = self.message(files);
        let commit = succeeded(finish(command, message.as_bytes())?)?;
        Ok(String::from_utf8_lossy(&commit).trim().to_owned())
    }

    /// The branch on which it is proposed.
    fn proposal(&self) -> String {
        format!("syncline/{}", self.target)
    }

    fn message(&self, files: usize) -> String {
        let first = self.how.message.replace("{target}", self.target).replace("{files}", &files.to_string());
        let run = self.run.unwrap_or("an earlier run");
        let first = first.replace("{run}", run).replace(['\n', '\r', '\0'], " ");
        format!("{first}\n\n{TRAILER} {run}\n")
    }

    /// Moves the branch onto the commit, and lets the index know; the name of the branch.
    fn publish(
        &self,
        repository: &Repository,
        head: Option<&str>,
        commit: &str,
        changes: &Changes,
    ) -> Result<String> {
        // The hash of nothing: no branch may be there yet.
        let nothing = "0".repeat(commit.len());
        if self.how.propose {
            let branch = self.proposal();
            let name = format!("refs/heads/{branch}");
            let old = repository.ask(&["rev-parse", "--verify", "--quiet", &name]);
            if old.is_some() && !is_own(repository, &name) {
                let message = format!("somebody has committed on {branch}");
                return Err(Problem::new(Class::Busy, "git_failed", message)
                    .with_hint("merge or rename that branch, then the next run proposes on a new one"));
            }
            let old = old.unwrap_or(nothing);
            repository.run(&[
                NO_HOOKS[0],
                NO_HOOKS[1],
                "update-ref",
                "-m",
                "syncline",
                &name,
                commit,
                &old,
            ])?;
            return Ok(branch);
        }
        // Refused when somebody has committed meanwhile; the next run commits on top of that.
        let old = head.unwrap_or(&nothing);
        repository.run(&[NO_HOOKS[0], NO_HOOKS[1], "update-ref", "-m", "syncline", "HEAD", commit, old])?;
        repository.feed(
            &[NO_HOOKS[0], NO_HOOKS[1], "update-index", "-z", "--index-info"],
            &index_lines(changes, commit.len()),
        )?;
        let branch = repository.ask(&["symbolic-ref", "--quiet", "--short", "HEAD"]);
        let branch = branch.unwrap_or_else(|| "a detached HEAD".to_owned());
        if self.how.push {
            push(repository)?;
        }
        Ok(branch)
    }

    /// Pushes what an earlier run has committed and could not push.
    fn push_again(&self, repository: &Repository) -> Result<()> {
        let ahead = repository.ask(&["rev-list", "--count", "@{upstream}..HEAD"]);
        let own = is_own(repository, "HEAD");
        if self.how.push && own && ahead.is_some_and(|count| count != "0") {
            push(repository)
        } else {
            Ok(())
        }
    }
}

/// The content of a file, or what a link says.
fn read(file: &Path) -> std::io::Result<Vec<u8>> {
    if fs::symlink_metadata(file)?.is_symlink() {
        return Ok(fs::read_link(file)?.into_os_string().into_encoded_bytes());
    }
    fs::read(file)
}

/// Writes files as blobs, as `git add` would: with the conversions that the repository asks for. Paths are those of the
/// repository; the blobs are in their order.
fn blobs(repository: &Repository, files: &[(String, &'static str, Digest)]) -> Result<Vec<String>> {
    // A line for each path: one that holds a line break, or that Git would take for a quoted one, goes alone.
    let is_plain = |path: &str| !path.contains('\n') && !path.starts_with('"');
    if files.iter().all(|(path, ..)| is_plain(path)) {
        let lines: String = files.iter().map(|(path, ..)| format!("{path}\n")).collect();
        let names = repository.feed(&["hash-object", "-w", "--stdin-paths"], lines.as_bytes())?;
        return Ok(String::from_utf8_lossy(&names).lines().map(str::to_owned).collect());
    }
    let one = |(path, ..): &(String, &str, Digest)| {
        let name = repository.run(&["hash-object", "-w", "--", path])?;
        Ok(String::from_utf8_lossy(&name).trim().to_owned())
    };
    files.iter().map(one).collect()
}

/// Whether the last commit of a branch is one of Syncline's.
fn is_own(repository: &Repository, branch: &str) -> bool {
    let message = repository.ask(&["log", "-1", "--format=%B", branch, "--"]).unwrap_or_default();
    message.lines().any(|line| line.starts_with(TRAILER))
}

/// Pushes the branch that is checked out to its upstream; never by force.
fn push(repository: &Repository) -> Result<()> {
    let mut arguments = NO_HOOKS.to_vec();
    // A server that does not answer any more is given up after two minutes.
    arguments.extend(["-c", "http.lowSpeedLimit=1", "-c", "http.lowSpeedTime=120"]);
    arguments.extend(["-c", "push.default=upstream", "push", "--quiet", "--no-verify"]);
    let hint = "it is committed; pull in this workspace, and the next run pushes it";
    repository.run(&arguments).map(drop).map_err(|problem| problem.with_hint(hint))
}

/// The tree of `head` with the changes, made in an index of its own.
fn tree_of(repository: &Repository, head: Option<&str>, changes: &Changes) -> Result<String> {
    let folder = private_folder()?;
    let index = folder.path().join("index");
    let git = |arguments: &[&str], input: &[u8]| {
        let mut command = repository.git();
        command.args(arguments).env("GIT_INDEX_FILE", &index);
        succeeded(finish(command, input)?)
    };
    match head {
        Some(head) => git(&["read-tree", head], &[])?,
        None => git(&["read-tree", "--empty"], &[])?,
    };
    let length = head.map_or(40, str::len);
    git(&["update-index", "-z", "--index-info"], &index_lines(changes, length))?;
    Ok(String::from_utf8_lossy(&git(&["write-tree"], &[])?).trim().to_owned())
}

/// The input of `git update-index -z --index-info`; a mode of 0 removes.
fn index_lines(changes: &Changes, hash_length: usize) -> Vec<u8> {
    let nothing = "0".repeat(hash_length);
    let lines = changes.iter().map(|(path, change)| match change {
        Change::Put(mode, blob) => format!("{mode} {blob}\t{path}\0"),
        Change::Remove => format!("0 {nothing}\t{path}\0"),
    });
    lines.collect::<String>().into_bytes()
}

/// The two halves of `Name <address>`.
fn person(text: &str) -> Result<(String, String)> {
    let split = text.trim().strip_suffix('>').and_then(|text| text.split_once('<'));
    match split {
        Some((name, address)) if !name.trim().is_empty() && !address.is_empty() => {
            Ok((name.trim().to_owned(), address.trim().to_owned()))
        }
        _ => {
            Err(Problem::new(Class::Usage, "bad_author", format!("the author {text:?} cannot be understood"))
                .with_hint("write `Name <address>`"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn authors_are_two_halves() {
        let read = |text| person(text).ok();
        assert_eq!(read("CI Bot <ci@example.org>"), Some(("CI Bot".to_owned(), "ci@example.org".to_owned())));
        for text in ["CI Bot", "<ci@example.org>", "CI <", "CI <>", ""] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
