//! Why there is no merged version.

use std::cmp::Ordering;

use crate::side::Side;

/// Why versions could not be merged: a stable [code](Self::code), and a sentence for people as its display.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unclean {
    /// Both sides changed the same or adjoining lines.
    #[error("both sides changed {} of the local version{}", lines(*.first, *.last), more(*.places))]
    Overlap {
        /// The first line of the first such place, from 1, in the local version.
        first: usize,
        /// Its last line; the line before `first` when the local version has no lines left there.
        last: usize,
        /// How many such places there are.
        places: usize,
    },
    /// Nothing was agreed on, and the versions differ.
    #[error("both sides created it with different content, so there is no agreed version to compare with")]
    NoBase,
    /// A version is not text.
    #[error("the {version} version is binary, so it cannot be merged by content")]
    Binary {
        /// `base`, `local` or `remote`.
        version: &'static str,
    },
    /// A version is too large.
    #[error("the {version} version has {bytes} bytes, and at most {bytes_max} can be merged")]
    TooLarge {
        /// `base`, `local` or `remote`.
        version: &'static str,
        /// Its size.
        bytes: usize,
        /// The limit.
        bytes_max: usize,
    },
    /// A version has too many lines, records or values.
    #[error("the {version} version has more than {lines_max} lines or values, the most that can be merged")]
    TooMany {
        /// `base`, `local` or `remote`.
        version: &'static str,
        /// The limit.
        lines_max: usize,
    },
    /// A version holds an unfinished merge.
    #[error("the {side} version has open conflict markers; finish that merge first")]
    OpenMarkers {
        /// The side.
        side: Side,
    },
    /// A version is not JSON.
    #[error("the {version} version is not JSON that can be merged: line {line}: {problem}")]
    NotJson {
        /// `base`, `local` or `remote`.
        version: &'static str,
        /// Where, from 1.
        line: usize,
        /// What is wrong there.
        problem: &'static str,
    },
    /// Both sides changed one value, differently.
    #[error("both sides changed {}, differently", place(.pointer))]
    SameValue {
        /// Where: a JSON pointer (RFC 6901), empty for the whole document.
        pointer: String,
    },
    /// One side changed what the other side removed.
    #[error("one side changed {} and the other side removed it", place(.pointer))]
    EditRemoval {
        /// Where: a JSON pointer.
        pointer: String,
    },
    /// Both sides put the same records into different orders.
    #[error("both sides reordered {}, differently", place(.pointer))]
    Order {
        /// Where the array is: a JSON pointer.
        pointer: String,
    },
    /// A merged version was found, but an edit did not survive in it, so it is not used.
    #[error("merging would lose an edit of {}", place(.pointer))]
    Lost {
        /// Where: a JSON pointer.
        pointer: String,
    },
    /// The versions are not records of one shape.
    #[error(
        "the local version is {local} and the remote version {remote}, so their records cannot be united"
    )]
    Shapes {
        /// The shape of the local version.
        local: &'static str,
        /// The shape of the remote version.
        remote: &'static str,
    },
}

impl Unclean {
    /// The stable name of this reason, for reports and machines.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Overlap { .. } => "overlap",
            Self::NoBase => "no_base",
            Self::Binary { .. } => "binary",
            Self::TooLarge { .. } => "too_large",
            Self::TooMany { .. } => "too_many",
            Self::OpenMarkers { .. } => "open_markers",
            Self::NotJson { .. } => "not_json",
            Self::SameValue { .. } => "same_value",
            Self::EditRemoval { .. } => "edit_removal",
            Self::Order { .. } => "order",
            Self::Lost { .. } => "lost",
            Self::Shapes { .. } => "shapes",
        }
    }
}

fn lines(first: usize, last: usize) -> String {
    match last.cmp(&first) {
        Ordering::Less => format!("what was before line {first}"),
        Ordering::Equal => format!("line {first}"),
        Ordering::Greater => format!("lines {first} to {last}"),
    }
}

fn more(places: usize) -> String {
    match places {
        0 | 1 => String::new(),
        2 => ", and one more place".to_owned(),
        more => format!(", and {} more places", more - 1),
    }
}

fn place(pointer: &str) -> &str {
    if pointer.is_empty() { "the whole document" } else { pointer }
}
