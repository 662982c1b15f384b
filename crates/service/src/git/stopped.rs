//! What a repository is stopped in, and which paths are unmerged.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Serialize;
use syncline_core::{Nanos, Side, Sides};

use super::command::{Repository, name_of};
use crate::problem::Result;
use crate::wire::{VERSION, cell, timestamp};

const SECOND_NS: Nanos = 1_000_000_000;

/// What a repository is stopped in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    Merge,
    Rebase,
    /// Patches from mails are applied.
    Am,
    CherryPick,
    Revert,
    /// Nothing that has a name: a stash that was applied, or a checkout that merged.
    None,
}

impl Progress {
    pub(super) const fn name(self) -> Option<&'static str> {
        match self {
            Self::Merge => Some("merge"),
            Self::Rebase => Some("rebase"),
            Self::Am => Some("am"),
            Self::CherryPick => Some("cherry-pick"),
            Self::Revert => Some("revert"),
            Self::None => None,
        }
    }

    /// The commit that is brought in.
    pub(super) const fn head(self) -> Option<&'static str> {
        match self {
            Self::Merge => Some("MERGE_HEAD"),
            Self::Rebase => Some("REBASE_HEAD"),
            Self::CherryPick => Some("CHERRY_PICK_HEAD"),
            Self::Revert => Some("REVERT_HEAD"),
            Self::Am | Self::None => None,
        }
    }

    /// The stage of the index that holds the version of a side. While it rebases, Git calls the others' commits "ours":
    /// one's own work is what it puts on top of them.
    const fn stage(self, side: Side) -> usize {
        match (self, side) {
            (Self::Rebase, Side::Remote) => 2,
            (Self::Rebase, Side::Local) | (_, Side::Remote) => 3,
            (_, Side::Local) => 2,
        }
    }
}

/// What a path is in one stage of the index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Staged {
    pub(super) mode: String,
    pub(super) oid: String,
}

impl Staged {
    pub(super) fn is_file(&self) -> bool {
        self.mode.starts_with("100")
    }
}

/// An unmerged path.
#[derive(Clone, Debug)]
pub(super) struct Unmerged {
    /// Relative to the top of the work tree, as Git writes it.
    pub(super) path: OsString,
    pub(super) base: Option<Staged>,
    pub(super) sides: Sides<Option<Staged>>,
    pub(super) kind: &'static str,
}

/// A stopped repository.
pub(super) struct Stopped {
    pub(super) progress: Progress,
    pub(super) paths: Vec<Unmerged>,
    /// The commit of each side, when it is known.
    pub(super) commits: Sides<Option<String>>,
    /// What each side is called.
    pub(super) names: Sides<String>,
}

/// What a repository is stopped in.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct StoppedReport {
    /// The version of this shape.
    pub version: u32,
    /// The top of the work tree.
    pub repository: String,
    /// `merge`, `rebase`, `cherry-pick`, `revert` or `am`; `null` when none of them is in progress.
    pub in_progress: Option<String>,
    /// What one's own side is called.
    pub local: String,
    /// What the side that is brought in is called.
    pub remote: String,
    /// The unmerged paths, sorted.
    pub unmerged: Vec<UnmergedPath>,
}

/// An unmerged path.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct UnmergedPath {
    /// The path, relative to the top of the work tree.
    pub path: String,
    /// What happened: `both modified`, `both added`, `deleted locally`, `deleted remotely` and the like.
    pub kind: String,
    /// One's own version.
    pub local: Option<StagedVersion>,
    /// The version that is brought in.
    pub remote: Option<StagedVersion>,
}

/// A version of an unmerged path.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct StagedVersion {
    /// The name of Git's object.
    pub object: String,
    /// Bytes of content; `null` when it is not a file.
    pub size: Option<u64>,
    /// When it was committed last: RFC 3339.
    pub committed: Option<String>,
}

/// Tells what a repository is stopped in.
///
/// # Errors
/// When Git fails.
pub fn stopped(repository: &Repository) -> Result<StoppedReport> {
    let stopped = Stopped::read(repository)?;
    let version = |unmerged: &Unmerged, side: Side| {
        let staged = unmerged.sides[side].as_ref()?;
        let size = staged.is_file().then(|| repository.ask(&["cat-file", "-s", &staged.oid])).flatten();
        Some(StagedVersion {
            object: staged.oid.clone(),
            size: size.and_then(|size| size.parse().ok()),
            committed: stopped.committed(repository, unmerged, side).map(timestamp),
        })
    };
    let unmerged = stopped.paths.iter().map(|unmerged| UnmergedPath {
        path: unmerged.path.to_string_lossy().into_owned(),
        kind: unmerged.kind.to_owned(),
        local: version(unmerged, Side::Local),
        remote: version(unmerged, Side::Remote),
    });
    Ok(StoppedReport {
        version: VERSION,
        repository: repository.root.display().to_string(),
        in_progress: stopped.progress.name().map(str::to_owned),
        local: stopped.names.local.clone(),
        remote: stopped.names.remote.clone(),
        unmerged: unmerged.collect(),
    })
}

impl StoppedReport {
    /// The report as Markdown, for people.
    #[must_use]
    pub fn to_markdown(&self) -> String {
        let state = match &self.in_progress {
            Some(what) => {
                format!("in progress: {what} of {} and {}", cell(&self.local), cell(&self.remote))
            }
            None => "nothing is in progress".to_owned(),
        };
        let mut page = format!(
            "# Unmerged paths\n\n{}: {state}; {} unmerged\n",
            cell(&self.repository),
            self.unmerged.len()
        );
        if !self.unmerged.is_empty() {
            page.push_str("\n| path | what happened | local | remote |\n|---|---|---|---|\n");
        }
        for path in &self.unmerged {
            let (local, remote) = (told(path.local.as_ref()), told(path.remote.as_ref()));
            let _ = writeln!(page, "| {} | {} | {local} | {remote} |", cell(&path.path), path.kind);
        }
        page
    }
}

fn told(version: Option<&StagedVersion>) -> String {
    let Some(version) = version else { return "none".to_owned() };
    let size = version.size.map_or_else(|| "no file".to_owned(), |size| format!("{size} bytes"));
    let committed = version.committed.as_deref().map(|stamp| format!(", {stamp}")).unwrap_or_default();
    format!("{size}{committed}")
}

impl Stopped {
    pub(super) fn read(repository: &Repository) -> Result<Self> {
        let progress = progress(&repository.directory);
        let paths = parse(&repository.run(&["ls-files", "--unmerged", "-z", "--full-name"])?, progress);
        let commit =
            |name: &str| repository.ask(&["rev-parse", "--verify", "--quiet", &format!("{name}^{{commit}}")]);
        let (head, other) = (commit("HEAD"), progress.head().and_then(commit));
        let branch = repository.ask(&["symbolic-ref", "--quiet", "--short", "HEAD"]);
        let onto = name(repository, branch, head.as_deref(), "HEAD");
        let incoming = name(repository, None, other.as_deref(), "incoming");
        let (commits, names) = if progress == Progress::Rebase {
            let own = std::fs::read_to_string(repository.directory.join("rebase-merge/head-name")).ok();
            let own = own.map(|own| own.trim().trim_start_matches("refs/heads/").to_owned());
            (Sides { local: other, remote: head }, Sides { local: own.unwrap_or(incoming), remote: onto })
        } else {
            (Sides { local: head, remote: other }, Sides { local: onto, remote: incoming })
        };
        Ok(Self { progress, paths, commits, names })
    }

    /// When the version of a side was committed last.
    pub(super) fn committed(
        &self,
        repository: &Repository,
        unmerged: &Unmerged,
        side: Side,
    ) -> Option<Nanos> {
        let commit = self.commits[side].as_deref()?;
        let mut command = repository.git();
        command.args(["log", "-1", "--format=%ct", "--end-of-options", commit, "--"]).arg(&unmerged.path);
        let seconds = super::command::finish(command, &[]).and_then(super::command::succeeded).ok()?;
        let of_path = String::from_utf8_lossy(&seconds).trim().parse::<i64>().ok();
        let of_commit = || repository.ask(&["show", "-s", "--format=%ct", commit])?.parse().ok();
        of_path.or_else(of_commit).map(|seconds| seconds.saturating_mul(SECOND_NS))
    }
}

/// What a side is called: a branch, or the beginning of its commit.
fn name(repository: &Repository, branch: Option<String>, commit: Option<&str>, otherwise: &str) -> String {
    let pointing = |commit: &str| {
        let points = format!("--points-at={commit}");
        let names = repository.ask(&[
            "for-each-ref",
            "--format=%(refname:short)",
            &points,
            "refs/heads",
            "refs/remotes",
        ])?;
        names.lines().next().filter(|name| !name.is_empty()).map(str::to_owned)
    };
    branch
        .or_else(|| pointing(commit?))
        .or_else(|| commit?.get(..10).map(str::to_owned))
        .unwrap_or_else(|| otherwise.to_owned())
}

fn progress(directory: &Path) -> Progress {
    let there = |name: &str| directory.join(name).exists();
    if there("rebase-apply/applying") {
        Progress::Am
    } else if there("rebase-merge") || there("rebase-apply") {
        Progress::Rebase
    } else if there("MERGE_HEAD") {
        Progress::Merge
    } else if there("CHERRY_PICK_HEAD") {
        Progress::CherryPick
    } else if there("REVERT_HEAD") {
        Progress::Revert
    } else {
        Progress::None
    }
}

/// Reads the entries of the index: `<mode> <object> <stage>\t<path>\0`.
fn parse(listing: &[u8], progress: Progress) -> Vec<Unmerged> {
    let mut stages: BTreeMap<&[u8], [Option<Staged>; 3]> = BTreeMap::new();
    for entry in listing.split(|&byte| byte == 0) {
        let Some(tab) = entry.iter().position(|&byte| byte == b'\t') else { continue };
        let about = String::from_utf8_lossy(&entry[..tab]);
        let mut about = about.split(' ');
        if let (Some(mode), Some(oid), Some(Ok(stage @ 1..=3))) =
            (about.next(), about.next(), about.next().map(str::parse::<usize>))
        {
            let staged = Staged { mode: mode.to_owned(), oid: oid.to_owned() };
            stages.entry(&entry[tab + 1..]).or_default()[stage - 1] = Some(staged);
        }
    }
    let unmerged = stages.into_iter().map(|(path, stages)| {
        let sides = Sides::from_fn(|side| stages[progress.stage(side) - 1].clone());
        let [base, ..] = stages;
        let kind = kind(base.is_some(), sides.as_ref().map(Option::is_some));
        Unmerged { path: name_of(path), base, sides, kind }
    });
    unmerged.collect()
}

const fn kind(base: bool, there: Sides<bool>) -> &'static str {
    match (base, there.local, there.remote) {
        (true, true, true) => "both modified",
        (false, true, true) => "both added",
        (true, false, true) => "deleted locally",
        (true, true, false) => "deleted remotely",
        (false, true, false) => "added locally",
        (false, false, true) => "added remotely",
        (_, false, false) => "both deleted",
    }
}

impl Unmerged {
    /// Whether every side that has it has a file.
    pub(super) fn is_of_files(&self) -> bool {
        let sides = [self.sides.local.as_ref(), self.sides.remote.as_ref()];
        sides.into_iter().flatten().all(Staged::is_file)
    }

    /// The file in the work tree.
    pub(super) fn file(&self, repository: &Repository) -> PathBuf {
        repository.root.join(&self.path)
    }
}
