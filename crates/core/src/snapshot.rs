//! What one side holds at one moment, written as the changes against the baseline.

use std::sync::Arc;

use crate::baseline::{Entry, MemoryBaseline};
use crate::item::{Item, Version};
use crate::path::ItemPath;
use crate::side::Side;

/// Something that kept one path from being handled; the rest goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The path concerned, as text for people: it may be one that cannot be an [`ItemPath`].
    pub path: String,
    /// A stable code, such as `unreadable` or `name_not_utf8`.
    pub code: &'static str,
    /// What is wrong and what to do, as a lower-case fragment.
    pub message: String,
    /// The side on which it went wrong; `None` where that is unknown or both are concerned.
    pub side: Option<Side>,
}

impl Problem {
    /// Makes a problem.
    #[must_use]
    pub fn new(path: impl Into<String>, code: &'static str, message: impl Into<String>) -> Self {
        Self { path: path.into(), code, message: message.into(), side: None }
    }

    /// Says on which side it went wrong, unless that was said before by somebody who was closer to it.
    #[must_use]
    pub fn on(mut self, side: Side) -> Self {
        self.side.get_or_insert(side);
        self
    }
}

/// An item as a scan found it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The item. Its digest is present when the endpoint knows it without reading content.
    pub item: Item,
    /// Its version.
    pub version: Version,
    /// The path under which the endpoint is sure to have held this very item before (same inode, same id).
    pub moved_from: Option<ItemPath>,
}

/// What a scan saw at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// An item is there.
    Present(Found),
    /// Nothing is there, and a complete listing proves it.
    Absent,
    /// Something is there that rules leave out; it stands for everything below it too.
    Ignored,
    /// Something is there that could not be read or cannot be synced; it stands for everything below it too.
    Unreadable(Problem),
}

impl Seen {
    /// The item, when one is there.
    #[must_use]
    pub const fn found(&self) -> Option<&Found> {
        match self {
            Self::Present(found) => Some(found),
            _ => None,
        }
    }
}

/// One path at which a side differs from the baseline, or that the scan could not or may not look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The path.
    pub path: ItemPath,
    /// What both sides had agreed on. Boxed, since most changes of a first run have none.
    pub was: Option<Box<Entry>>,
    /// What is there now.
    pub now: Seen,
}

/// The state of a side's root.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Root {
    /// A directory that could be listed.
    #[default]
    Present,
    /// Nothing is there.
    Missing,
    /// Something that is not a directory is there: the word says what.
    WrongType(&'static str),
}

/// What one side holds at one moment: every path that differs from the baseline, in path order.
///
/// A path of the baseline without a change (and not below an ignored or unreadable one) is as agreed. A change
/// may turn out to be none when its content is read.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// The state of the root; unless present, `changes` is empty.
    pub root: Root,
    /// Whether the listing was complete and free of errors. Only then does absence mean anything.
    pub complete: bool,
    /// The changes, in path order, one for each path.
    pub changes: Vec<Change>,
    /// How many items were seen, the unchanged ones included.
    pub count: u64,
    /// The mark that the side keeps for this target; see [`Mark`].
    pub mark: Option<Mark>,
    /// Whether the sentinel file was there; `None` when nobody asked for one.
    pub sentinel: Option<bool>,
    /// Whether the side has something to finish that no change tells of, such as a branch to bring along; leaving a mark
    /// there finishes it.
    pub unsettled: bool,
    /// What the items were made from, where the side makes them out of the other one for this very look: the baseline
    /// where none is known.
    pub origin: Option<Arc<MemoryBaseline>>,
    /// Trouble that concerns no single change.
    pub problems: Vec<Problem>,
}

/// A random word that a run leaves on both sides beside the items. A side that shows another word than the
/// baseline remembers was replaced, restored from a backup, or belongs to another baseline.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Mark(pub String);
