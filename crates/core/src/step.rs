//! Steps, their outcomes, and the plan that they belong to.

use crate::baseline::Entry;
use crate::digest::Digest;
use crate::item::{Item, Nanos, Version};
use crate::path::ItemPath;
use crate::policy::Merging;
use crate::side::{Side, Sides};
use crate::snapshot::{Found, Problem};

/// What a step must find at its path, or it is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expected {
    /// Nothing.
    Absent,
    /// An item of this version. `digest` is that of its content where the content must be kept in history.
    Present {
        /// The version.
        version: Version,
        /// What to keep in history before the item is overwritten or removed; `None` for a directory. Boxed, since
        /// no step of a first run has one.
        keep: Option<Box<Digest>>,
    },
}

impl Expected {
    /// What to keep in history first.
    #[must_use]
    pub fn keep(&self) -> Option<Digest> {
        match self {
            Self::Present { keep: Some(keep), .. } => Some(**keep),
            _ => None,
        }
    }
}

/// Where the content of a write comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// The item at `path` on the side opposite to the step's.
    Opposite {
        /// Its path there.
        path: ItemPath,
        /// The version it must have.
        version: Version,
    },
    /// An object of the content store.
    Object(Digest),
    /// Nowhere: a directory has no content.
    Nothing,
}

/// What a step does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Puts an item at the path, in place of what is there; missing directories above it are made.
    Write {
        /// The item to put; when its digest is unknown, the outcome tells it.
        item: Item,
        /// Where its content comes from.
        source: Source,
    },
    /// Moves the item of version `version` from `from` to the path, where nothing may be; a directory takes
    /// everything below it along.
    Move {
        /// Where it is now.
        from: ItemPath,
        /// Which version it must have.
        version: Version,
        /// What it is.
        item: Item,
    },
    /// Removes the item; a directory must be empty.
    Remove {
        /// What is removed.
        item: Item,
    },
}

/// One write, move or removal on one side, with the version that it expects to find.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The side that changes.
    pub side: Side,
    /// The path that changes.
    pub path: ItemPath,
    /// What must be there before.
    pub expected: Expected,
    /// What happens.
    pub action: Action,
}

impl Step {
    /// The word for people and reports: `create`, `update`, `move` or `remove`.
    #[must_use]
    pub const fn verb(&self) -> &'static str {
        match (&self.action, &self.expected) {
            (Action::Write { .. }, Expected::Absent) => "create",
            (Action::Write { .. }, Expected::Present { .. }) => "update",
            (Action::Move { .. }, _) => "move",
            (Action::Remove { .. }, _) => "remove",
        }
    }

    /// The item that the step puts, moves or removes.
    #[must_use]
    pub const fn item(&self) -> &Item {
        match &self.action {
            Action::Write { item, .. } | Action::Move { item, .. } | Action::Remove { item } => item,
        }
    }

    /// Bytes to be transferred.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        match &self.action {
            Action::Write { item, .. } => item.size,
            _ => 0,
        }
    }
}

/// What became of a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was done, and the item now has this version.
    Applied {
        /// The version there now; the empty one after a removal.
        version: Version,
        /// The digest of the content written; `None` where there is none.
        digest: Option<Digest>,
        /// Bytes of the content written.
        size: u64,
    },
    /// It was not done, and nothing was changed: something else was there than expected.
    Refused {
        /// What was there, for people.
        found: String,
    },
    /// It was not done, and nothing was changed: it could not be.
    Failed(Problem),
}

/// Both sides changed an item differently.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// Derived from the path and the two versions, so that the same conflict always has the same identifier.
    pub id: String,
    /// The path.
    pub path: ItemPath,
    /// `edit-edit`, `create-create` or `type-type`.
    pub kind: &'static str,
    /// The policy that was applied, as in the configuration.
    pub policy: &'static str,
    /// What both sides had agreed on; `None` when nothing.
    pub base: Option<Item>,
    /// What each side holds.
    pub versions: Sides<Item>,
    /// The side whose version keeps the name, when one does.
    pub winner: Option<Side>,
    /// Where the other version goes: a conflict copy, when one is made.
    pub copy: Option<ItemPath>,
    /// The one version that both became, when they were merged.
    pub merged: Option<Item>,
    /// What is to be said about merging: why it was not possible, or what it had to decide.
    pub note: Option<String>,
    /// Whether a person still has to look at it.
    pub open: bool,
    /// Whether a time stamp was in the future and was clamped before it was compared.
    pub clamped: bool,
}

impl Conflict {
    /// Whether both versions stay where they are until a person decides.
    #[must_use]
    pub const fn is_untouched(&self) -> bool {
        self.winner.is_none() && self.merged.is_none()
    }
}

/// Why a plan must not be applied without approval.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Halt {
    /// A stable code, such as `root_emptied` or `too_many_removals`.
    pub code: &'static str,
    /// The side concerned.
    pub side: Side,
    /// What was found and what to do, for people.
    pub message: String,
    /// Whether an approval can lift it.
    pub approvable: bool,
}

/// Content that the planner has to know before it can decide: the engine reads it and plans again.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Need {
    /// The side that holds it.
    pub side: Side,
    /// The path.
    pub path: ItemPath,
}

/// Versions that the planner has to have merged before it can decide: the engine reads and merges them, and plans
/// again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MergeNeed {
    /// The identifier of the conflict.
    pub conflict: String,
    /// The path.
    pub path: ItemPath,
    /// How to merge.
    pub merging: Merging,
    /// The content that both sides had agreed on; `None` when there was none.
    pub base: Option<Digest>,
    /// What each side holds.
    pub found: Sides<Found>,
}

/// What came of merging.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MergeResult {
    /// One version holds the edits of both sides.
    Merged {
        /// Its digest.
        digest: Digest,
        /// Its size in bytes.
        size: u64,
        /// Whether a person has to finish it: both versions are in it, between markers.
        marked: bool,
        /// What it had to decide, for people; `None` when nothing.
        note: Option<String>,
    },
    /// There is no such version; the text says why.
    Unclean(String),
}

/// The state that a path reaches when its steps are done; it becomes the next baseline's entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Goal {
    /// The path.
    pub path: ItemPath,
    /// What had been agreed on before.
    pub was: Option<Box<Entry>>,
    /// The item that both sides will hold; `None` when none.
    pub item: Option<Item>,
    /// The version of each side, as far as it is known before the steps are done.
    pub versions: Sides<Option<Version>>,
    /// The step on each side, as an index into the plan's steps.
    pub steps: Sides<Option<usize>>,
}

/// What to do so that both sides agree. Pure data: the same input gives the same plan, byte by byte.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// The steps, in the order in which they are to be applied.
    pub steps: Vec<Step>,
    /// What each path will be, in path order; paths that already agree have goals without steps.
    pub goals: Vec<Goal>,
    /// Conflicts, in path order.
    pub conflicts: Vec<Conflict>,
    /// Why it must not be applied.
    pub halts: Vec<Halt>,
    /// What was left alone and why.
    pub problems: Vec<Problem>,
    /// Changes that the direction keeps from flowing: the side that holds them, and the path.
    pub drift: Vec<(Side, ItemPath)>,
    /// What has to be read before this plan is final; while there is any, nothing may be applied.
    pub needs: Vec<Need>,
    /// What has to be merged before this plan is final; while there is any, nothing may be applied.
    pub merges: Vec<MergeNeed>,
}

/// A moment as the engine knows it, in nanoseconds since 1970-01-01 UTC.
pub type Now = Nanos;
