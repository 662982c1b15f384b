//! Which policy is for which path of a repository.

use std::path::{Path, PathBuf};

use syncline_config::Workspace;
use syncline_core::{Direction, ItemPath, Merging, Policy, Resolution, Side};

/// The policies for the paths of a repository.
#[derive(Clone, Debug, Default)]
pub struct Policies {
    forced: Option<Resolution>,
    /// The folder of each target, from the top of the file system, and its rules.
    targets: Vec<(PathBuf, Policy)>,
}

/// A policy that somebody asks for, for all paths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// Merged as the content is.
    Auto,
    /// Merged by lines.
    Merge,
    /// Merged by lines, with markers.
    Markers,
    /// Merged by structure.
    Json,
    /// All records of both.
    Union,
    /// Both versions, one of them under a name of its own.
    KeepBoth,
    /// The version that was committed later.
    Newest,
    /// One's own version.
    Local,
    /// That of the others.
    Remote,
}

impl Policies {
    /// The policies of a workspace, unless one is wanted for all paths.
    #[must_use]
    pub fn new(wanted: Option<Wanted>, workspace: Option<&Workspace>) -> Self {
        let real = |path: PathBuf| std::fs::canonicalize(&path).unwrap_or(path);
        let targets = workspace.into_iter().flat_map(|workspace| {
            let root = real(workspace.root.clone());
            workspace.targets.iter().map(move |target| {
                let folder =
                    target.path.as_ref().map_or_else(|| root.clone(), |path| root.join(path.as_str()));
                let mut policy = Policy::new(Direction::Bidirectional);
                policy.rules.clone_from(&target.conflicts);
                (folder, policy)
            })
        });
        Self { forced: wanted.map(Resolution::from), targets: targets.collect() }
    }

    /// The policy for the file at `path`, absolute: that of the first target that it lies in, or by content.
    pub(super) fn of(&self, path: &Path) -> Resolution {
        if let Some(forced) = &self.forced {
            return forced.clone();
        }
        let within = self.targets.iter().find_map(|(folder, policy)| {
            let inside = ItemPath::parse(path.strip_prefix(folder).ok()?.to_str()?).ok()?;
            Some(policy.resolution(&inside))
        });
        within.unwrap_or_default()
    }
}

impl From<Wanted> for Resolution {
    fn from(wanted: Wanted) -> Self {
        match wanted {
            Wanted::Auto => Self::Merge(Merging::Auto),
            Wanted::Merge => Self::Merge(Merging::Text),
            Wanted::Markers => Self::Merge(Merging::Markers),
            Wanted::Json => Self::Merge(Merging::Json { key: None }),
            Wanted::Union => Self::Merge(Merging::Union { key: None }),
            Wanted::KeepBoth => Self::KeepBoth,
            Wanted::Newest => Self::Newest,
            Wanted::Local => Self::Prefer(Side::Local),
            Wanted::Remote => Self::Prefer(Side::Remote),
        }
    }
}
