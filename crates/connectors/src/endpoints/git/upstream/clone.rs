//! The clone that the workspace lies in: where it is, what is checked out, and what it follows.

use std::path::{Path, PathBuf};

use syncline_connect::{Error, ErrorKind, Result, Retry};
use syncline_core::ItemPath;

use super::super::command::{Done, Git, Limits};
use super::super::environment;
use super::super::errors;
use super::super::mirror::LOCAL;
use super::super::remote;
use super::super::settings::{Effective, check_branch};
use super::super::tree::{ObjectId, Tree};
use super::settings::{Settings, invalid};

/// A fetch: what goes over the wire is as large as the repository.
const FETCH: Limits = Limits { time: std::time::Duration::from_secs(3600), bytes: 1 << 20 };

/// Configuration that differs from that of a mirror: what is lost here is not fetched again, and people read the log
/// of references.
const CONFIGURATION: &[(&str, &str)] = &[
    ("core.fsync", "added,reference"),
    ("core.logAllRefUpdates", "true"),
    ("merge.directoryRenames", "false"),
    ("merge.renormalize", "false"),
];

/// What is there, in the Git folder, while somebody is in the middle of something.
const BUSY: &[(&str, &str)] = &[
    ("rebase-merge", "a rebase"),
    ("rebase-apply", "a rebase or `git am`"),
    ("MERGE_HEAD", "a merge"),
    ("CHERRY_PICK_HEAD", "a cherry-pick"),
    ("REVERT_HEAD", "a revert"),
    ("BISECT_LOG", "a bisection"),
    ("sequencer", "a cherry-pick or revert"),
];

/// Where the clone is.
pub(super) struct Place {
    /// The Git folder of the work tree.
    pub(super) directory: PathBuf,
    /// The root of the work tree.
    pub(super) top: PathBuf,
    /// The folder of the target below it; `None` when it is the root.
    pub(super) root: Option<ItemPath>,
}

impl Place {
    /// Finds the clone that a folder lies in.
    ///
    /// # Errors
    /// When there is none.
    pub(super) fn find(folder: &Path) -> Result<Self> {
        let none = || {
            invalid(format!("{} lies in no clone of a Git repository", folder.display()))
                .with_hint("clone one, or name another repository: `remote: { kind: git, url: … }`")
        };
        let top = folder.ancestors().find(|above| above.join(".git").exists()).ok_or_else(none)?;
        let dot_git = top.join(".git");
        // In a worktree and a submodule it is a file that names the folder; see `gitrepository-layout(5)`.
        let directory = if dot_git.is_dir() {
            dot_git
        } else {
            let text = std::fs::read_to_string(&dot_git)
                .map_err(|error| Error::io(error, format_args!("reading {}", dot_git.display())))?;
            top.join(
                text.lines().next().and_then(|line| line.strip_prefix("gitdir: ")).ok_or_else(none)?.trim(),
            )
        };
        let below = folder.strip_prefix(top).ok().and_then(Path::to_str).ok_or_else(none)?;
        let root = if below.is_empty() { None } else { Some(ItemPath::parse(below).map_err(invalid)?) };
        Ok(Self { directory, top: top.to_owned(), root })
    }

    /// Refuses to work beside somebody who is in the middle of something.
    ///
    /// # Errors
    /// When somebody is.
    pub(super) fn refuse_busy(&self) -> Result<()> {
        match BUSY.iter().find(|(name, _)| self.directory.join(name).exists()) {
            Some((_, what)) => Err(busy(format!("{what} is going on in the workspace"))
                .with_hint("finish or abort it; `git status` tells how")),
            None => Ok(()),
        }
    }
}

/// An error for when a person is at work with Git, which goes first.
pub(super) fn busy(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Locked, message).with_retry(Retry::Never).with_code("git_busy")
}

/// The branch that is checked out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Head {
    /// Its name, without `refs/heads/`.
    pub(super) branch: String,
    /// The commit that it is at.
    pub(super) commit: ObjectId,
}

/// The clone at one moment, ready to be worked with.
pub(super) struct Clone {
    pub(super) git: Git,
    pub(super) settings: Effective,
    pub(super) head: Head,
    /// The branch at the upstream.
    pub(super) branch: String,
    /// The reference in which Git remembers where that branch was, when there is one.
    tracking: Option<String>,
}

/// Git in the clone, for questions that concern nobody outside.
///
/// # Errors
/// When its environment cannot be made.
pub(super) fn local_git(place: &Place) -> Result<Git> {
    let git = Git::new(environment::environment(None, CONFIGURATION)?, Vec::new(), &place.directory);
    Ok(git.with_work_tree(&place.top))
}

impl Clone {
    /// Looks at what is checked out and what it follows; `known` is the branch that was checked out before.
    ///
    /// # Errors
    /// When somebody is in the middle of something, or there is nothing that it follows.
    pub(super) fn look(
        place: &Place,
        settings: &Settings,
        workspace: &Path,
        known: Option<&str>,
    ) -> Result<Self> {
        place.refuse_busy()?;
        let git = local_git(place)?;
        let head = head(&git)?;
        if let Some(known) = known.filter(|known| *known != head.branch && settings.branch.is_none()) {
            let message = format!("the branch {} is checked out, and the target is for {known}", head.branch);
            return Err(busy(message)
                .with_hint(format!("go back with `git switch {known}`, or name another one with `branch`")));
        }
        let format = "--format=%(upstream:remotename)%00%(upstream:remoteref)%00%(upstream)";
        let name = format!("refs/heads/{}", head.branch);
        let told =
            succeeded(git.run(&["for-each-ref", format, &name], LOCAL)?, "asking what the branch follows")?;
        let told = String::from_utf8_lossy(&told.out).into_owned();
        let mut parts =
            told.trim_end_matches('\n').split('\0').map(str::to_owned).filter(|part| !part.is_empty());
        let (followed, reference, tracking) = (parts.next(), parts.next(), parts.next());
        let followed_branch = reference.as_deref().and_then(|name| name.strip_prefix("refs/heads/"));
        let nothing = || {
            let message = format!("the branch {} follows no branch of a remote", head.branch);
            invalid(message).with_hint(format!("tell Git which: `git push -u origin {}`", head.branch))
        };
        let remote = match (&settings.remote, &followed) {
            (Some(remote), _) => remote.clone(),
            (None, Some(remote)) if remote != "." => remote.clone(),
            (None, None) if settings.branch.is_some() => "origin".to_owned(),
            _ => return Err(nothing()),
        };
        let branch = match (&settings.branch, followed_branch) {
            (Some(wanted), Some(followed)) if wanted != followed => {
                let message = format!(
                    "the branch {} is checked out, which follows {followed}, not {wanted}",
                    head.branch
                );
                return Err(busy(message).with_hint("check out the branch that the target is for"));
            }
            (Some(wanted), None) if *wanted != head.branch => {
                let message =
                    format!("the branch {} is checked out, and the target is for {wanted}", head.branch);
                return Err(busy(message).with_hint(format!("git switch {wanted}")));
            }
            (Some(wanted), _) => wanted.clone(),
            (None, Some(followed)) => followed.to_owned(),
            (None, None) => return Err(nothing()),
        };
        check_branch(&branch)?;
        let url = git.run(&["config", "--get", &format!("remote.{remote}.url")], LOCAL)?;
        let url = String::from_utf8_lossy(&url.out).trim_end().to_owned();
        if url.is_empty() {
            return Err(invalid(format!("there is no remote {remote:?}")).with_hint("git remote add"));
        }
        let settings = settings.effective(&url, &branch, place.root.as_ref(), workspace, &place.top)?;
        let (environment, secrets) =
            (environment::environment(Some(&settings), CONFIGURATION)?, environment::secrets(&settings));
        let git = Git::new(environment, secrets, &place.directory).with_work_tree(&place.top);
        let tracking = tracking.filter(|name| name.starts_with("refs/remotes/"));
        Ok(Self { git, settings, head, branch, tracking })
    }

    /// Takes branches of the upstream into references of ours: pairs of a branch and a reference.
    ///
    /// # Errors
    /// When the upstream cannot be reached or its objects are refused.
    pub(super) fn fetch(&self, pairs: &[(&str, String)]) -> Result<()> {
        let url = self.settings.url.as_str();
        let mut arguments =
            vec!["fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--no-auto-maintenance"];
        arguments.extend(["--recurse-submodules=no", "--no-show-forced-updates", "--end-of-options", url]);
        let changes: Vec<String> =
            pairs.iter().map(|(branch, reference)| format!("+refs/heads/{branch}:{reference}")).collect();
        arguments.extend(changes.iter().map(String::as_str));
        let done = self.git.run(&arguments, FETCH)?;
        if done.success {
            return Ok(());
        }
        Err(errors::explain(&format!("fetching from {url}"), &done.said))
    }

    /// Where a branch of the upstream is.
    ///
    /// # Errors
    /// When the upstream cannot be reached.
    pub(super) fn outside(&self, branch: &str) -> Result<Option<ObjectId>> {
        remote::tip(&self.git, self.settings.url.as_str(), branch)
    }

    /// Lets Git remember where the upstream is, as a fetch by hand would. That it fails costs nothing.
    pub(super) fn remember(&self, tip: ObjectId) {
        if let Some(name) = &self.tracking {
            let _ = self.git.run(&["update-ref", "-m", "syncline: fetch", name, &tip.to_string()], LOCAL);
        }
    }

    /// The commit that a reference is at.
    pub(super) fn reference(&self, name: &str) -> Result<Option<ObjectId>> {
        let done =
            self.git.run(&["rev-parse", "--verify", "--quiet", &format!("{name}^{{commit}}")], LOCAL)?;
        Ok(ObjectId::parse(String::from_utf8_lossy(&done.out).trim()))
    }

    /// Everything below the root of the target that a commit or a tree holds.
    ///
    /// # Errors
    /// When it cannot be listed.
    pub(super) fn tree(&self, name: &str) -> Result<Tree> {
        let mut arguments = vec!["ls-tree", "-r", "-z", "--full-tree", "--end-of-options", name];
        let root = self.settings.root.as_ref();
        arguments.extend(root.map(ItemPath::as_str));
        let done = succeeded(self.git.run(&arguments, LOCAL)?, "listing")?;
        Tree::parse(&done.out, root)
            .ok_or_else(|| Error::new(ErrorKind::Damaged, format!("the tree of {name} cannot be read")))
    }

    /// Whether all that `old` holds is in `new`.
    ///
    /// # Errors
    /// When Git cannot be asked.
    pub(super) fn is_in(&self, old: ObjectId, new: ObjectId) -> Result<bool> {
        if old == new {
            return Ok(true);
        }
        let (old, new) = (old.to_string(), new.to_string());
        let done = self.git.run(&["merge-base", "--is-ancestor", "--end-of-options", &old, &new], LOCAL)?;
        // Where the history does not reach back to it, nothing is known, and that proves nothing.
        Ok(done.success)
    }

    /// The commit from which both have come.
    ///
    /// # Errors
    /// When Git cannot be asked.
    pub(super) fn base(&self, one: ObjectId, other: ObjectId) -> Result<Option<ObjectId>> {
        let done =
            self.git.run(&["merge-base", "--end-of-options", &one.to_string(), &other.to_string()], LOCAL)?;
        let printed = String::from_utf8_lossy(&done.out);
        Ok(printed.lines().next().and_then(ObjectId::parse))
    }
}

/// The branch that is checked out.
///
/// # Errors
/// When none is, or it has no commit.
pub(super) fn head(git: &Git) -> Result<Head> {
    let done = git.run(&["symbolic-ref", "--quiet", "HEAD"], LOCAL)?;
    let name = String::from_utf8_lossy(&done.out).trim().to_owned();
    let Some(branch) = name.strip_prefix("refs/heads/").filter(|_| done.success) else {
        if errors::is_damage(&done.said) {
            return succeeded(done, "looking at HEAD").and(Err(busy("HEAD is on no branch")));
        }
        return Err(busy("a commit is checked out, and no branch (HEAD is detached)")
            .with_hint("check out the branch that the target is for: `git switch …`"));
    };
    let done = git.run(&["rev-parse", "--verify", "--quiet", "HEAD^{commit}"], LOCAL)?;
    let Some(commit) = ObjectId::parse(String::from_utf8_lossy(&done.out).trim()) else {
        return Err(invalid(format!("the branch {branch} has no commit yet"))
            .with_hint(format!("make a first one and push it: `git push -u origin {branch}`")));
    };
    Ok(Head { branch: branch.to_owned(), commit })
}

/// Takes the result of a call that only needs the clone.
///
/// # Errors
/// When the call failed.
pub(super) fn succeeded(done: Done, what: &str) -> Result<Done> {
    if done.success {
        return Ok(done);
    }
    let error = errors::explain(&format!("{what} in the clone"), &done.said);
    Err(match () {
        () if errors::is_locked(&done.said) => locked(),
        () if errors::is_damage(&done.said) => Error::new(ErrorKind::Damaged, error.to_string())
            .with_hint("`git fsck` tells what is wrong with it"),
        () => error,
    })
}

/// An error for when the index or a reference stays locked.
pub(super) fn locked() -> Error {
    Error::new(ErrorKind::Locked, "another Git command holds a lock in the clone (such as .git/index.lock)")
        .with_retry(Retry::Never)
        .with_code("git_locked")
        .with_hint("wait until it is done; when no Git command is running, remove the lock file")
}
