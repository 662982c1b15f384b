//! The records that the store keeps, as values.

use std::fmt;

use syncline_core::{Digest, Direction, Entry, Item, ItemPath, Kind, Mark, Nanos, Side, Sides};

/// A delta object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Layer {
    pub(crate) digest: Digest,
    /// How many records it has.
    pub(crate) records: u64,
    /// Whether it was merged from others for a baseline alone, so that no run remembers it.
    pub(crate) lean: bool,
}

/// Points at the objects that make up the baseline of a target.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Pointer {
    /// The base object; `None` while there is none yet.
    pub(crate) base: Option<Digest>,
    /// The delta objects on top of it, oldest first.
    pub(crate) layers: Vec<Layer>,
    /// How many items the whole baseline holds.
    pub(crate) count: u64,
}

/// What the store knows about a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetState {
    /// The name in the configuration.
    pub name: String,
    /// A random identifier, made when the target was first seen.
    pub id: String,
    /// What the engine found to identify the endpoint, so that another one is noticed.
    pub identity: Option<String>,
    /// The fencing epoch: it grows with every lease.
    pub epoch: i64,
    /// The mark that the last finished run left on each side.
    pub marks: Sides<Option<Mark>>,
    /// A mark that is about to be left on the sides, or may have been when a run was cut short.
    pub pending_mark: Option<Mark>,
    /// Whether a baseline exists.
    pub has_baseline: bool,
    pub(crate) pointer: Pointer,
}

impl TargetState {
    /// A target that was never seen.
    pub(crate) fn unseen(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            id: String::new(),
            identity: None,
            epoch: 0,
            marks: Sides::default(),
            pending_mark: None,
            has_baseline: false,
            pointer: Pointer::default(),
        }
    }

    /// How many items are agreed on.
    #[must_use]
    pub const fn count(&self) -> u64 {
        self.pointer.count
    }
}

/// A target that people have asked to be left alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pause {
    /// The target.
    pub target: String,
    /// Why, for people.
    pub reason: String,
    /// Since when.
    pub since: Nanos,
    /// When it ends by itself; `None` when somebody has to end it.
    pub until: Option<Nanos>,
}

/// The right to change a target's state, until somebody else acquires it: every change states the epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The target.
    pub target: String,
    /// Who holds it, as text for people.
    pub holder: String,
    /// The epoch that it was given.
    pub epoch: i64,
}

/// What a run changed in the baseline at one path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delta {
    /// The path.
    pub path: ItemPath,
    /// What had been agreed on before.
    pub before: Option<Entry>,
    /// What is agreed on now.
    pub after: Option<Entry>,
    /// Contents that were overwritten or removed and are not that of `before`, such as the loser of a conflict.
    pub lost: Vec<Lost>,
}

/// A content that a run overwrote or removed; the content store keeps it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lost {
    /// The side that held it.
    pub side: Side,
    /// What it was.
    pub kind: Kind,
    /// The digest of its content.
    pub digest: Digest,
    /// Bytes of content.
    pub size: u64,
}

/// What is known of a run when it begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunStart {
    /// A unique identifier, given by the caller.
    pub id: String,
    /// The target.
    pub target: String,
    /// Which way changes may flow.
    pub direction: Direction,
    /// When it began.
    pub started: Nanos,
    /// Who or what asked for it, as text for people.
    pub cause: String,
    /// The hash of the plan; empty when there is none.
    pub plan_hash: String,
    /// How many steps are planned.
    pub steps: u64,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RunState {
    /// Everything was done.
    Succeeded,
    /// Some of it was done.
    Partial,
    /// It could not be done.
    Failed,
    /// A gate stopped it before anything was changed.
    Halted,
    /// It was cut short, and what it had done was recovered.
    Interrupted,
}

impl RunState {
    /// Every state.
    pub const ALL: [Self; 5] =
        [Self::Succeeded, Self::Partial, Self::Failed, Self::Halted, Self::Interrupted];

    /// The name used in reports and in the database.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Partial => "partial",
            Self::Failed => "failed",
            Self::Halted => "halted",
            Self::Interrupted => "interrupted",
        }
    }

    /// The state of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }
}

impl fmt::Display for RunState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What is known of a run when it ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunFinish {
    /// When it ended.
    pub finished: Nanos,
    /// How it ended.
    pub state: RunState,
    /// One line for people; empty when there is nothing to say.
    pub message: String,
    /// How many steps were done.
    pub steps: u64,
    /// Bytes of content transferred.
    pub bytes: u64,
    /// How many conflicts were found.
    pub conflicts: u64,
    /// The report as JSON text; the store does not look into it.
    pub report: String,
}

/// A run as the store remembers it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunRecord {
    /// What was known when it began.
    pub start: RunStart,
    /// What was known when it ended; `None` while it has not.
    pub finish: Option<RunFinish>,
    /// The objects that hold what it changed, oldest first; [`crate::Store::deltas`] reads them.
    pub deltas: Vec<Digest>,
}

/// Which runs to list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunQuery {
    /// Only runs of this target.
    pub target: Option<String>,
    /// Only runs that began before the run of this identifier did.
    pub before: Option<String>,
    /// At most so many; `None` for all.
    pub limit: Option<u32>,
}

/// A conflict and what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConflictRecord {
    /// Its identifier: the same conflict always has the same one.
    pub id: String,
    /// The target.
    pub target: String,
    /// The run that saw it last.
    pub run: String,
    /// The path.
    pub path: ItemPath,
    /// `edit-edit`, `create-create` or `type-type`.
    pub kind: String,
    /// The policy that was applied.
    pub policy: String,
    /// What both sides had agreed on.
    pub base: Option<Item>,
    /// What each side held.
    pub versions: Sides<Item>,
    /// The side whose version kept the name, when one did.
    pub winner: Option<Side>,
    /// Where the other version went, when a copy was made.
    pub copy: Option<ItemPath>,
    /// The one version that both became, when they were merged.
    pub merged: Option<Item>,
    /// What was done, as text for people.
    pub action: String,
    /// Whether a time stamp was in the future and was clamped before it was compared.
    pub clamped: bool,
    /// When it was first seen.
    pub opened: Nanos,
    /// When it was settled; `None` while it is open.
    pub resolved: Option<Nanos>,
    /// How it was settled.
    pub resolution: Option<String>,
    /// What was decided and is not known to be carried out: until then the record claims nothing of it.
    pub pending: Option<Box<Decided>>,
}

/// What is to become of a conflict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decided {
    /// The side whose version is to keep the name, when one is.
    pub winner: Option<Side>,
    /// Where the other version is to go, when a copy is to be made.
    pub copy: Option<ItemPath>,
    /// The one version that both are to become, when they are merged.
    pub merged: Option<Item>,
    /// What was done then, as text for people.
    pub action: String,
    /// Whether nobody has to look at it then.
    pub settles: bool,
}

impl ConflictRecord {
    /// What a conflict says was done while its decision is not carried out.
    pub const PENDING: &'static str =
        "what was decided could not be carried out yet; the next run tries again";
    /// How a conflict was settled that nobody had to look at.
    pub const BY_POLICY: &'static str = "by policy";

    /// Whether both versions are where they were.
    #[must_use]
    pub const fn is_untouched(&self) -> bool {
        self.winner.is_none() && self.merged.is_none()
    }

    /// The version that both became, or were to become.
    #[must_use]
    pub fn merged_or_pending(&self) -> Option<&Item> {
        self.merged.as_ref().or_else(|| self.pending.as_ref()?.merged.as_ref())
    }

    /// Says that what was decided is carried out, and how that settles it where it does.
    pub fn carry_out(&mut self, now: Nanos, how: &str) {
        let Some(decided) = self.pending.take() else { return };
        let Decided { winner, copy, merged, action, settles } = *decided;
        (self.winner, self.copy, self.merged, self.action) = (winner, copy, merged, action);
        if settles {
            (self.resolved, self.resolution) = (Some(now), Some(how.to_owned()));
        }
    }
}

/// Which conflicts to list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConflictQuery {
    /// Only conflicts of this target.
    pub target: Option<String>,
    /// Only those that are not settled.
    pub open_only: bool,
}
