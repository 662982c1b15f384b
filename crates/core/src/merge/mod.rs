//! Merging: two versions of one content that both changed, and the version that both sides agreed on, become one.
//!
//! Every policy is a pure function over bytes. A policy either finds a result that holds the edits of both sides, or
//! says why there is none; it never guesses. The caller keeps both versions then.
//!
//! | strategy | clean when | otherwise |
//! |---|---|---|
//! | [`Strategy::Text`] | no two edits touch the same or adjoining lines | [`Merged::Unclean`] |
//! | [`Strategy::Markers`] | as text | [`Merged::Marked`], reversible by [`take_from_markers`] |
//! | [`Strategy::Json`] | no two edits touch the same value | [`Merged::Unclean`] |
//! | [`Strategy::Union`] | always, for records of one shape | [`Merged::Unclean`] |

mod json;
mod kind;
mod lines;
mod markers;
mod text;
mod unclean;
mod union;

pub use kind::is_binary;
pub use markers::{Taken, has_open_markers, take_from_markers};
pub use unclean::Unclean;

use crate::side::Side;

/// The largest version that is merged, in bytes: 8 MiB. A larger one is [`Unclean::TooLarge`].
pub const VERSION_BYTES_MAX: usize = 8 << 20;

/// The most lines that a version may have to be merged by lines, and the most elements of an array without keys:
/// 131,072. More are [`Unclean::TooMany`]: on hostile input comparing them would take too long.
pub const VERSION_LINES_MAX: usize = 1 << 17;

/// The most records or JSON values that a version may hold to be merged: 524,288. More are [`Unclean::TooMany`].
pub const VERSION_VALUES_MAX: usize = 1 << 19;

/// The versions to merge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Input<'a> {
    /// What both sides agreed on last; `None` when nothing was (both created the item), or when its content is gone.
    pub base: Option<&'a [u8]>,
    /// The version of the workspace.
    pub local: &'a [u8],
    /// The version of the endpoint outside.
    pub remote: &'a [u8],
}

/// What markers call the three versions, such as `local (helios)`. Line breaks and control characters become spaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Labels<'a> {
    /// The version that both sides agreed on.
    pub base: &'a str,
    /// The version of the workspace.
    pub local: &'a str,
    /// The version of the endpoint outside.
    pub remote: &'a str,
}

impl Default for Labels<'_> {
    fn default() -> Self {
        Self { base: "agreed", local: "local", remote: "remote" }
    }
}

/// How to merge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Strategy {
    /// Three-way by lines. Never writes markers.
    Text,
    /// Three-way by lines; what is not clean is written with diff3 markers.
    Markers,
    /// Three-way by structure: objects by key, arrays of keyed records by key, other arrays by element.
    Json {
        /// The member that names a record in an array; found by [content](Strategy::by_content) when `None`.
        key: Option<String>,
    },
    /// All records of both sides: a JSON array, newline-delimited JSON, or lines.
    Union {
        /// The member that names a record; found by content when `None`.
        key: Option<String>,
    },
}

/// What came of merging.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Merged {
    /// Every edit of both sides is in the result.
    Clean {
        /// The merged version.
        bytes: Vec<u8>,
        /// Records for which a rule had to choose, in the order of the result. Only a union chooses: for any other
        /// strategy this is empty. The version that was not chosen must be kept in history.
        decided: Vec<Decided>,
    },
    /// Both versions are in the result, between markers; a person must finish it.
    Marked {
        /// The version with markers.
        bytes: Vec<u8>,
        /// How many marked places there are.
        hunks: usize,
    },
    /// There is no merged version.
    Unclean(Unclean),
}

impl Merged {
    /// A clean result in which nothing had to be chosen.
    fn clean(bytes: impl Into<Vec<u8>>) -> Self {
        Self::Clean { bytes: bytes.into(), decided: Vec::new() }
    }
}

/// A record that both sides changed so that its members could not be united: one whole version of it was chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decided {
    /// The record's key, as it is written in the record.
    pub key: String,
    /// The side whose version of the record is in the result.
    pub winner: Side,
    /// Why it won.
    pub by: DecidedBy,
}

/// Why one version of a record was chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecidedBy {
    /// It says that it was changed later.
    Stamp,
    /// Nothing in the records tells which is newer, so an order over their content decides: the same on every node.
    Content,
}

impl DecidedBy {
    /// The name used in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Stamp => "stamp",
            Self::Content => "content",
        }
    }
}

/// Merges `input` by `strategy`.
///
/// - Versions that are equal, or of which only one differs from the base, need no merging: the result is that version,
///   byte for byte, whatever it holds.
/// - A version above [`VERSION_BYTES_MAX`] is refused, and so is a binary one or one with open markers.
/// - The cost is bounded for any input by the limits of this module: near-linear in practice, and on hostile input the
///   comparison of lines looks for a short difference instead of the shortest one.
#[must_use]
pub fn merge(strategy: &Strategy, input: &Input<'_>, labels: &Labels<'_>) -> Merged {
    if let Some(settled) = settled(input) {
        return Merged::clean(settled);
    }
    let lines_max = match strategy {
        Strategy::Text | Strategy::Markers => VERSION_LINES_MAX,
        // A JSON value may take many lines; the parser counts values.
        Strategy::Json { .. } => usize::MAX,
        Strategy::Union { .. } => VERSION_VALUES_MAX,
    };
    if let Err(unclean) = kind::mergeable(input).and_then(|()| kind::within_lines(input, lines_max)) {
        return Merged::Unclean(unclean);
    }
    match strategy {
        Strategy::Text => text::merge(input),
        Strategy::Markers => markers::merge(input, labels),
        Strategy::Json { key } => json::merge(input, key.as_deref()),
        Strategy::Union { key } => union::merge(input, key.as_deref()),
    }
}

/// The version that stands when at most one side made an edit of its own.
fn settled<'a>(input: &Input<'a>) -> Option<&'a [u8]> {
    if input.local == input.remote || input.base == Some(input.remote) {
        return Some(input.local);
    }
    (input.base == Some(input.local)).then_some(input.remote)
}
