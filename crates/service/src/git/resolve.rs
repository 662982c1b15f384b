//! Applies the policies to the unmerged paths of a stopped repository.

use std::ffi::OsString;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Serialize;
use syncline_core::merge::{Input, Labels, Merged, has_open_markers, merge};
use syncline_core::{Digest, Item, ItemPath, Kind, Nanos, Resolution, Side, Sides, conflict_path};
use tempfile::TempDir;

use super::command::{Repository, bytes, finish, private_folder, succeeded};
use super::policies::Policies;
use super::stopped::{Progress, Staged, Stopped, Unmerged};
use super::written::{Written, index_of, is_inside, is_object, read_file, stored_as};
use crate::problem::{Class, Problem, Result};
use crate::wire::VERSION;

/// What became of the unmerged paths.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Resolved {
    /// The version of this shape.
    pub version: u32,
    /// Each path that was unmerged.
    pub paths: Vec<ResolvedPath>,
    /// How many are still unmerged.
    pub unmerged: u64,
    /// Whether what was in progress was finished with a commit.
    pub committed: bool,
    /// What to do next.
    pub next: Option<String>,
}

/// What became of one path.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct ResolvedPath {
    /// The path, relative to the top of the work tree.
    pub path: String,
    /// What had happened.
    pub kind: String,
    /// The policy that was applied.
    pub policy: String,
    /// Whether it is merged now.
    pub resolved: bool,
    /// Where the other version is, when it got a name of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub copy: Option<String>,
    /// What was done, or why nothing was.
    pub message: String,
}

/// What is to be written for one path.
#[derive(Default)]
struct Draft {
    /// What becomes of paths, in the index and in the work tree; `None` removes.
    entries: Vec<(OsString, Option<Staged>)>,
    /// Whether the path is merged by that.
    settles: bool,
    copy: Option<OsString>,
    message: String,
}

/// Settles what the policies can settle; commits only when told to, and only when nothing is left.
///
/// # Errors
/// When Git fails.
pub fn resolve(repository: &Repository, policies: &Policies, commit: bool) -> Result<Resolved> {
    let stopped = Stopped::read(repository)?;
    let written = Written::again(repository, &stopped)?;
    let mut paths = Vec::with_capacity(stopped.paths.len());
    let bench = Bench::new(repository)?;
    for unmerged in &stopped.paths {
        let policy = policies.of(&unmerged.file(repository));
        let desk = Desk { repository, stopped: &stopped, unmerged, policy: &policy };
        let applied =
            |draft: Draft| bench.apply(unmerged, &draft).map(|()| draft).map_err(|problem| problem.message);
        let draft = if !unmerged.is_of_files() {
            Err("a version is a link or a submodule, which cannot be merged: settle it with Git".to_owned())
        } else if written.is_untouched(repository, unmerged) || desk.is_binary_as_left() {
            desk.draft().and_then(applied)
        } else {
            // A run that was cut short may have written the file already.
            match desk.draft().ok().filter(|draft| desk.is_written(draft)) {
                Some(draft) => applied(draft),
                None => Err(desk.left_alone()),
            }
        };
        paths.push(told(unmerged, &policy, draft));
    }
    // The index learns the times of the files, so that Git need not read them again.
    let _ = repository.ask(&["update-index", "-q", "--refresh"]);
    let mut resolved = Resolved {
        version: VERSION,
        paths,
        unmerged: Stopped::read(repository)?.paths.len() as u64,
        committed: false,
        next: None,
    };
    if let (0, Some(name)) = (resolved.unmerged, stopped.progress.name()) {
        if commit {
            go_on(repository, stopped.progress, name, &mut resolved)?;
        } else {
            resolved.next = Some(go_on_by_hand(stopped.progress, name));
        }
    }
    Ok(resolved)
}

fn told(unmerged: &Unmerged, policy: &Resolution, draft: std::result::Result<Draft, String>) -> ResolvedPath {
    let (resolved, copy, message) = match draft {
        Ok(draft) => (draft.settles, draft.copy, draft.message),
        Err(why) => (false, None, why),
    };
    ResolvedPath {
        path: unmerged.path.to_string_lossy().into_owned(),
        kind: unmerged.kind.to_owned(),
        policy: policy.name().to_owned(),
        resolved,
        copy: copy.map(|copy| copy.to_string_lossy().into_owned()),
        message,
    }
}

/// One path and everything that is known of it.
struct Desk<'a> {
    repository: &'a Repository,
    stopped: &'a Stopped,
    unmerged: &'a Unmerged,
    policy: &'a Resolution,
}

type Drafted = std::result::Result<Draft, String>;

impl Desk<'_> {
    /// Git writes no markers into what is binary: it leaves the version there that it calls ours.
    fn is_binary_as_left(&self) -> bool {
        let Sides { local: Some(local), remote: Some(remote) } = &self.unmerged.sides else { return false };
        let binary = |staged: &Staged| {
            staged.is_file()
                && self
                    .repository
                    .blob(&staged.oid)
                    .is_ok_and(|content| syncline_core::merge::is_binary(&content))
        };
        let left = if self.stopped.progress == Progress::Rebase { remote } else { local };
        is_inside(self.repository, &self.unmerged.path)
            && (binary(local) || binary(remote))
            && is_object(self.repository, self.unmerged, &left.oid)
    }

    /// Whether the work tree holds already what a draft would write there.
    fn is_written(&self, draft: &Draft) -> bool {
        draft.settles
            && draft.entries.iter().all(|(path, staged)| {
                let oid = staged.as_ref().map(|staged| &staged.oid);
                is_inside(self.repository, path) && stored_as(self.repository, path).as_ref() == oid
            })
    }

    fn left_alone(&self) -> String {
        let file = read_file(&self.unmerged.file(self.repository));
        let what = match file.is_ok_and(|content| has_open_markers(&content)) {
            true => {
                "it is no longer as Git wrote it, and has conflict markers: finish them, then `git add` it"
            }
            false => "it is no longer as Git wrote it: `git add` it when it is finished",
        };
        format!("{what}; `git checkout -m` begins again")
    }

    fn draft(&self) -> Drafted {
        if *self.policy == Resolution::Manual {
            return Err("its policy is `manual`: it waits for you".to_owned());
        }
        match &self.unmerged.sides {
            Sides { local: None, remote: None } => Ok(self.take(None, "both sides removed it")),
            Sides { local: Some(only), remote: None } => Ok(self.one_sided(only, Side::Local)),
            Sides { local: None, remote: Some(only) } => Ok(self.one_sided(only, Side::Remote)),
            Sides { local: Some(local), remote: Some(remote) } => self.both(&Sides { local, remote }),
        }
    }

    fn take(&self, staged: Option<&Staged>, message: &str) -> Draft {
        let entries = vec![(self.unmerged.path.clone(), staged.cloned())];
        Draft { entries, settles: true, copy: None, message: message.to_owned() }
    }

    /// One side edited it, and the other one removed it or never had it: the edit wins, unless a side is preferred.
    fn one_sided(&self, only: &Staged, side: Side) -> Draft {
        match (self.policy, &self.unmerged.base) {
            (Resolution::Prefer(wanted), Some(_)) if *wanted != side => {
                self.take(None, &format!("removed, as the {wanted} side did"))
            }
            (_, Some(_)) => {
                self.take(Some(only), &format!("the {side} edit is kept: an edit beats a removal"))
            }
            (_, None) => self.take(Some(only), &format!("the {side} version is kept")),
        }
    }

    fn both(&self, staged: &Sides<&Staged>) -> Drafted {
        let side = match self.policy {
            Resolution::Prefer(side) => Some(*side),
            Resolution::Newest => Some(self.newer()),
            _ => None,
        };
        if let Some(side) = side {
            let name = &self.stopped.names[side];
            return Ok(self.take(Some(staged[side]), &format!("took the {side} version ({name})")));
        }
        let contents = Sides { local: self.content(staged.local)?, remote: self.content(staged.remote)? };
        if let Resolution::Merge(merging) = self.policy {
            let base = self.unmerged.base.as_ref().filter(|base| base.is_file());
            let base = base.map(|base| self.content(base)).transpose()?;
            let input = Input { base: base.as_deref(), local: &contents.local, remote: &contents.remote };
            let labels = Sides::from_fn(|side| format!("{side} ({})", self.stopped.names[side]));
            let labels = Labels { local: &labels.local, remote: &labels.remote, ..Labels::default() };
            let name = self.unmerged.path.to_string_lossy();
            match merge(
                &merging.strategy(name.rsplit('/').next().unwrap_or_default(), &input),
                &input,
                &labels,
            ) {
                Merged::Clean { bytes, .. } => return self.merged(staged, &bytes, true, "merged".to_owned()),
                Merged::Marked { bytes, hunks } => {
                    let marked = match hunks {
                        1 => "1 place is marked in the file".to_owned(),
                        _ => format!("{hunks} places are marked in the file"),
                    };
                    return self.merged(staged, &bytes, false, marked);
                }
                Merged::Unclean(why) => return self.beside(staged, &contents.remote, &why.to_string()),
            }
        }
        self.beside(staged, &contents.remote, "the policy is keep-both")
    }

    fn content(&self, staged: &Staged) -> std::result::Result<Vec<u8>, String> {
        self.repository.blob(&staged.oid).map_err(|problem| problem.message)
    }

    fn merged(&self, staged: &Sides<&Staged>, bytes: &[u8], settles: bool, message: String) -> Drafted {
        let oid = self.repository.store(bytes).map_err(|problem| problem.message)?;
        let base = self.unmerged.base.as_ref().map(|base| &base.mode);
        let changed = |mode: &String| base.is_some_and(|base| base != mode);
        let mode = if changed(&staged.remote.mode) { &staged.remote.mode } else { &staged.local.mode };
        let entries = vec![(self.unmerged.path.clone(), Some(Staged { mode: mode.clone(), oid }))];
        Ok(Draft { entries, settles, copy: None, message })
    }

    /// Both versions stay: the local one keeps the name, the remote one is beside it.
    fn beside(&self, staged: &Sides<&Staged>, remote: &[u8], why: &str) -> Drafted {
        let path = self.unmerged.path.to_str().and_then(|path| ItemPath::parse(path).ok());
        let path =
            path.ok_or("its name cannot be given to a second version: it is no text, or not portable")?;
        let item = Item {
            kind: Kind::FILE,
            digest: Some(Digest::of(remote)),
            size: remote.len() as u64,
            modified: self.committed(Side::Remote),
        };
        let copy = OsString::from(conflict_path(&path, &item, &self.stopped.names.remote).as_str());
        let place = self.repository.root.join(&copy);
        let is_ours = || stored_as(self.repository, &copy).as_ref() == Some(&staged.remote.oid);
        if std::fs::symlink_metadata(&place).is_ok() && !is_ours() {
            return Err(format!("{} is there already: move it elsewhere first", copy.to_string_lossy()));
        }
        let message = format!("both versions stay ({why}); the remote one is {}", copy.to_string_lossy());
        // The copy comes first: cut short in between, the path is still as Git wrote it.
        let entries = vec![
            (copy.clone(), Some(staged.remote.clone())),
            (self.unmerged.path.clone(), Some(staged.local.clone())),
        ];
        Ok(Draft { entries, settles: true, copy: Some(copy), message })
    }

    fn committed(&self, side: Side) -> Nanos {
        self.stopped.committed(self.repository, self.unmerged, side).unwrap_or_default()
    }

    /// The side whose version was committed later; one's own where that does not decide.
    fn newer(&self) -> Side {
        if self.committed(Side::Remote) > self.committed(Side::Local) { Side::Remote } else { Side::Local }
    }
}

/// A copy of the index, through which the work tree is written.
struct Bench<'a> {
    repository: &'a Repository,
    folder: TempDir,
}

impl<'a> Bench<'a> {
    fn new(repository: &'a Repository) -> Result<Self> {
        let bench = Self { repository, folder: private_folder()? };
        std::fs::copy(index_of(repository)?, bench.index())
            .map_err(|error| Problem::io(error, "copying the index"))?;
        Ok(bench)
    }

    fn index(&self) -> PathBuf {
        self.folder.path().join("index")
    }

    fn run(&self, arguments: &[&str], input: &[u8]) -> Result<()> {
        let mut command = self.repository.git();
        command.env("GIT_INDEX_FILE", self.index()).args(arguments);
        finish(command, input).and_then(succeeded).map(drop)
    }

    /// Writes the work tree first and the real index last: cut short in between, the path is still unmerged.
    fn apply(&self, unmerged: &Unmerged, draft: &Draft) -> Result<()> {
        let info = index_info(&draft.entries, &nothing(unmerged));
        self.run(&["update-index", "-z", "--index-info"], &info)?;
        let put = draft.entries.iter().filter(|(_, staged)| staged.is_some());
        let put: Vec<u8> = put.flat_map(|(path, _)| [bytes(path), b"\0"].concat()).collect();
        self.run(&["checkout-index", "--force", "-z", "--stdin"], &put)?;
        if draft.entries.iter().any(|(path, staged)| *path == unmerged.path && staged.is_none()) {
            remove(self.repository, unmerged)?;
        }
        if draft.settles {
            self.repository.feed(&["update-index", "-z", "--index-info"], &info)?;
        }
        Ok(())
    }
}

/// The name of no object, as long as the names of the repository are.
fn nothing(unmerged: &Unmerged) -> String {
    let sides = [unmerged.sides.local.as_ref(), unmerged.sides.remote.as_ref(), unmerged.base.as_ref()];
    "0".repeat(sides.into_iter().flatten().next().map_or(40, |staged| staged.oid.len()))
}

/// What `git update-index --index-info` reads: the unmerged entries go, and the one that is to be comes.
fn index_info(entries: &[(OsString, Option<Staged>)], nothing: &str) -> Vec<u8> {
    let mut info = Vec::new();
    for (path, staged) in entries {
        let path = bytes(path);
        info.extend_from_slice(format!("0 {nothing}\t").as_bytes());
        info.extend_from_slice(path);
        info.push(0);
        if let Some(Staged { mode, oid }) = staged {
            info.extend_from_slice(format!("{mode} {oid} 0\t").as_bytes());
            info.extend_from_slice(path);
            info.push(0);
        }
    }
    info
}

/// Removes a file from the work tree, unless a symbolic link leads to it.
fn remove(repository: &Repository, unmerged: &Unmerged) -> Result<()> {
    if !is_inside(repository, &unmerged.path) {
        return Ok(());
    }
    let file = unmerged.file(repository);
    match std::fs::remove_file(&file) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Problem::io(error, format_args!("removing {}", file.display())))
        }
        _ => Ok(()),
    }
}

/// Finishes what is in progress; a rebase may stop again at a later commit.
fn go_on(repository: &Repository, progress: Progress, name: &str, resolved: &mut Resolved) -> Result<()> {
    let arguments: &[&str] = match progress {
        Progress::Merge => &["commit", "--no-edit"],
        _ => &[name, "--continue"],
    };
    let mut command = repository.git();
    command.env("GIT_EDITOR", "true").args(arguments);
    let went = finish(command, &[]).and_then(succeeded);
    resolved.unmerged = Stopped::read(repository)?.paths.len() as u64;
    resolved.committed = went.is_ok() || resolved.unmerged > 0;
    match went {
        Err(problem) if resolved.unmerged == 0 => {
            let command = arguments.join(" ");
            let message = format!("everything is merged, but `git {command}` failed: {}", problem.message);
            Err(Problem::new(Class::Failed, "commit_failed", message))
        }
        _ => {
            let again = "it stopped at a later commit: syncline git resolve --resolve --commit";
            resolved.next = (resolved.unmerged > 0).then(|| again.to_owned());
            Ok(())
        }
    }
}

fn go_on_by_hand(progress: Progress, name: &str) -> String {
    match progress {
        Progress::Merge => "git commit --no-edit".to_owned(),
        _ => format!("git {name} --continue"),
    }
}
