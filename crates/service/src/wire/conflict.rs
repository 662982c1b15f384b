//! Conflicts.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use syncline_core as core;
use syncline_store::ConflictRecord;

use super::{Item, Side, VERSION, timestamp};

/// Conflicts, the oldest first.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct ConflictList {
    /// The version of this shape.
    pub version: u32,
    /// The conflicts.
    pub conflicts: Vec<Conflict>,
}

/// An item that both sides changed differently.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Conflict {
    /// Its identifier; any unambiguous beginning of it is accepted.
    pub id: String,
    /// The target.
    pub target: String,
    /// The path, relative to the target's folder.
    pub path: String,
    /// `edit-edit`, `create-create` or `type-type`.
    pub kind: String,
    /// The policy that was applied.
    pub policy: String,
    /// What both sides had agreed on; `null` when nothing.
    pub base: Option<Item>,
    /// What the workspace held.
    pub local: Item,
    /// What the remote held.
    pub remote: Item,
    /// The side whose version keeps the name; `null` while nothing was touched.
    pub winner: Option<Side>,
    /// Where the other version is, when it was given a name of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub copy: Option<String>,
    /// The one version that both became, when they were merged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub merged: Option<Item>,
    /// What is to be said about merging: why it was not possible, or what it had to decide.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// What was done about it, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
    /// Whether somebody still has to look at it.
    pub open: bool,
    /// Whether a time stamp was in the future and was clamped before it was compared.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub clamped: bool,
    /// When it was first seen; `null` in a plan, which records nothing.
    pub opened: Option<String>,
    /// When it was settled.
    pub resolved: Option<String>,
    /// How it was settled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolution: Option<String>,
}

impl ConflictList {
    pub(crate) const fn new(conflicts: Vec<Conflict>) -> Self {
        Self { version: VERSION, conflicts }
    }
}

impl Conflict {
    /// Whether both versions stay where they are until a person decides.
    #[must_use]
    pub const fn is_untouched(&self) -> bool {
        self.winner.is_none() && self.merged.is_none()
    }

    pub(crate) fn planned(target: &str, conflict: &core::Conflict) -> Self {
        let pending = conflict.note.as_deref() == Some(ConflictRecord::PENDING);
        Self {
            id: conflict.id.clone(),
            target: target.to_owned(),
            path: conflict.path.to_string(),
            kind: conflict.kind.to_owned(),
            policy: conflict.policy.to_owned(),
            base: conflict.base.as_ref().map(Item::from),
            local: (&conflict.versions.local).into(),
            remote: (&conflict.versions.remote).into(),
            winner: conflict.winner.map(Side::from),
            copy: conflict.copy.as_ref().map(ToString::to_string),
            merged: conflict.merged.as_ref().map(Item::from),
            note: conflict.note.clone().filter(|_| !pending),
            action: pending.then(|| ConflictRecord::PENDING.to_owned()),
            open: conflict.open,
            clamped: conflict.clamped,
            opened: None,
            resolved: None,
            resolution: None,
        }
    }
}

impl From<&ConflictRecord> for Conflict {
    fn from(record: &ConflictRecord) -> Self {
        Self {
            id: record.id.clone(),
            target: record.target.clone(),
            path: record.path.to_string(),
            kind: record.kind.clone(),
            policy: record.policy.clone(),
            base: record.base.as_ref().map(Item::from),
            local: (&record.versions.local).into(),
            remote: (&record.versions.remote).into(),
            winner: record.winner.map(Side::from),
            copy: record.copy.as_ref().map(ToString::to_string),
            merged: record.merged.as_ref().map(Item::from),
            note: None,
            action: Some(record.action.clone()),
            open: record.resolved.is_none(),
            clamped: record.clamped,
            opened: Some(timestamp(record.opened)),
            resolved: record.resolved.map(timestamp),
            resolution: record.resolution.clone(),
        }
    }
}
