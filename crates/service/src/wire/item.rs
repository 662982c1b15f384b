//! Words and items.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use syncline_core as core;

use super::timestamp;

/// One of the two sides of a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// The workspace.
    Local,
    /// The place outside.
    Remote,
}

/// Which way changes may flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// From the remote to the workspace.
    Pull,
    /// From the workspace to the remote.
    Push,
    /// Both ways.
    Bidirectional,
}

/// What a step does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Verb {
    /// Puts an item where there is none.
    Create,
    /// Puts an item in place of another one.
    Update,
    /// Moves an item.
    Move,
    /// Removes an item.
    Remove,
}

/// A version of an item.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Item {
    /// `file`, `directory` or `symlink`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The BLAKE3 digest of its content, 64 hexadecimal digits; `null` when it has none or it is not known.
    pub digest: Option<String>,
    /// Bytes of content.
    pub size: u64,
    /// When it was last modified, as its side tells: RFC 3339; `null` when that is not known.
    pub modified: Option<String>,
    /// Whether it is an executable file.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub executable: bool,
}

impl From<core::Side> for Side {
    fn from(side: core::Side) -> Self {
        match side {
            core::Side::Local => Self::Local,
            core::Side::Remote => Self::Remote,
        }
    }
}

impl From<Side> for core::Side {
    fn from(side: Side) -> Self {
        match side {
            Side::Local => Self::Local,
            Side::Remote => Self::Remote,
        }
    }
}

impl From<core::Direction> for Direction {
    fn from(direction: core::Direction) -> Self {
        match direction {
            core::Direction::Pull => Self::Pull,
            core::Direction::Push => Self::Push,
            core::Direction::Bidirectional => Self::Bidirectional,
        }
    }
}

impl From<Direction> for core::Direction {
    fn from(direction: Direction) -> Self {
        match direction {
            Direction::Pull => Self::Pull,
            Direction::Push => Self::Push,
            Direction::Bidirectional => Self::Bidirectional,
        }
    }
}

impl Direction {
    /// The word.
    #[must_use]
    pub fn name(self) -> &'static str {
        core::Direction::from(self).name()
    }
}

impl Side {
    /// The word.
    #[must_use]
    pub fn name(self) -> &'static str {
        core::Side::from(self).name()
    }
}

impl From<&core::Item> for Item {
    fn from(item: &core::Item) -> Self {
        Self {
            kind: item.kind.name().to_owned(),
            digest: item.digest.map(|digest| digest.to_string()),
            size: item.size,
            modified: (item.modified != 0).then(|| timestamp(item.modified)),
            executable: item.kind == core::Kind::File { executable: true },
        }
    }
}

impl From<&core::Entry> for Item {
    fn from(entry: &core::Entry) -> Self {
        Self::from(&entry.item())
    }
}

impl From<&core::Step> for Verb {
    fn from(step: &core::Step) -> Self {
        match step.verb() {
            "create" => Self::Create,
            "update" => Self::Update,
            "move" => Self::Move,
            _ => Self::Remove,
        }
    }
}
