//! What a target wants: direction, conflict rules, guard.

use std::sync::Arc;

use globset::GlobMatcher;

use crate::filter::{PatternError, glob};
use crate::merge::{Input, Strategy};
use crate::path::ItemPath;
use crate::side::{Direction, Side, Sides};

/// How a conflict is settled.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Resolution {
    /// The two versions become one that holds the edits of both; where they cannot, as [`Resolution::KeepBoth`].
    Merge(Merging),
    /// Both versions stay: the newer keeps the name, the other one gets a conflict name.
    KeepBoth,
    /// The newer version wins; the other one is kept in history.
    Newest,
    /// The version of this side wins; the other one is kept in history.
    Prefer(Side),
    /// Nothing is touched until a person decides.
    Manual,
}

/// How two versions become one. The merging itself is in [`crate::merge`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum Merging {
    /// Text by lines and JSON by structure, as the content is; anything else not at all.
    #[default]
    Auto,
    /// By lines.
    Text,
    /// By lines; what both sides changed is marked in the file.
    Markers,
    /// By structure.
    Json {
        /// The member that names a record of an array.
        key: Option<Arc<str>>,
    },
    /// All records of both.
    Union {
        /// The member that names a record.
        key: Option<Arc<str>>,
    },
}

impl Merging {
    /// The strategy that merges the versions in `input` of an item called `name`.
    #[must_use]
    pub fn strategy(&self, name: &str, input: &Input<'_>) -> Strategy {
        let key = |key: &Option<Arc<str>>| key.as_deref().map(str::to_owned);
        match self {
            // Where nothing fits, the strategy that the name stands for says why.
            Self::Auto => Strategy::by_content(name, input).unwrap_or_else(|| {
                if name.to_ascii_lowercase().ends_with(".json") {
                    Strategy::Json { key: None }
                } else {
                    Strategy::Text
                }
            }),
            Self::Text => Strategy::Text,
            Self::Markers => Strategy::Markers,
            Self::Json { key: member } => Strategy::Json { key: key(member) },
            Self::Union { key: member } => Strategy::Union { key: key(member) },
        }
    }
}

impl Default for Resolution {
    fn default() -> Self {
        Self::Merge(Merging::Auto)
    }
}

impl Resolution {
    /// The name used in configuration and records.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Merge(Merging::Auto) => "auto",
            Self::Merge(Merging::Text) => "merge",
            Self::Merge(Merging::Markers) => "markers",
            Self::Merge(Merging::Json { .. }) => "json",
            Self::Merge(Merging::Union { .. }) => "union",
            Self::KeepBoth => "keep-both",
            Self::Newest => "newest",
            Self::Prefer(Side::Local) => "prefer: local",
            Self::Prefer(Side::Remote) => "prefer: remote",
            Self::Manual => "manual",
        }
    }
}

/// A conflict rule: the first one that matches a path decides.
#[derive(Clone, Debug)]
pub struct Rule {
    matcher: GlobMatcher,
    resolution: Resolution,
}

impl Rule {
    /// Makes a rule for the paths that `pattern` matches.
    ///
    /// # Errors
    /// When the pattern cannot be understood.
    pub fn new(pattern: &str, resolution: Resolution) -> Result<Self, PatternError> {
        Ok(Self { matcher: glob(pattern)?.compile_matcher(), resolution })
    }

    /// How it settles a conflict.
    #[must_use]
    pub const fn resolution(&self) -> &Resolution {
        &self.resolution
    }
}

/// When a run must stop and ask before it touches anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guard {
    /// Most removals on one side, in percent of the items agreed on.
    pub deletes_max_percent: u8,
    /// Most removals on one side.
    pub deletes_max: u64,
    /// A file that must be present on both sides, when one is named.
    pub sentinel: Option<ItemPath>,
}

impl Default for Guard {
    fn default() -> Self {
        Self { deletes_max_percent: 50, deletes_max: 1000, sentinel: None }
    }
}

/// Everything that the planner must know about a target besides the three trees.
#[derive(Clone, Debug)]
pub struct Policy {
    /// The name of the target; conflict identifiers differ by it.
    pub target: String,
    /// Which way changes may flow.
    pub direction: Direction,
    /// Conflict rules, first match first.
    pub rules: Vec<Rule>,
    /// When to stop and ask.
    pub guard: Guard,
    /// The name of the node on each side, used in the names of conflict copies.
    pub nodes: Sides<String>,
    /// What each side can hold.
    pub abilities: Sides<Abilities>,
}

impl Policy {
    /// A policy with the defaults of the field's users: both ways, keep both, guard on.
    #[must_use]
    pub fn new(direction: Direction) -> Self {
        Self {
            target: String::new(),
            direction,
            rules: Vec::new(),
            guard: Guard::default(),
            nodes: Sides { local: "local".into(), remote: "remote".into() },
            abilities: Sides::default(),
        }
    }

    /// How a conflict at `path` is settled.
    #[must_use]
    pub fn resolution(&self, path: &ItemPath) -> Resolution {
        self.rules
            .iter()
            .find(|rule| rule.matcher.is_match(path.as_str()))
            .map_or_else(Resolution::default, |rule| rule.resolution.clone())
    }
}

/// What a side can hold and do, as far as planning depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Abilities {
    /// Keeps directories as items of their own, empty ones too.
    pub directories: bool,
    /// Keeps symbolic links.
    pub symlinks: bool,
    /// Keeps the executable bit.
    pub executable: bool,
    /// Moves an item without transferring it.
    pub moves: bool,
    /// Moves a directory with everything below it at once, and versions below it stay as they were.
    pub directory_moves: bool,
    /// Takes names that differ only in case for the same.
    pub folds_case: bool,
    /// Takes names that differ only in Unicode normalisation for the same.
    pub folds_unicode: bool,
    /// Holds items under names that nobody chose, as conflict copies are.
    pub copies: bool,
    /// The largest item in bytes; `None` when there is no limit.
    pub size_max: Option<u64>,
}

impl Default for Abilities {
    fn default() -> Self {
        Self {
            directories: true,
            symlinks: true,
            executable: true,
            moves: true,
            directory_moves: true,
            folds_case: false,
            folds_unicode: false,
            copies: true,
            size_max: None,
        }
    }
}
