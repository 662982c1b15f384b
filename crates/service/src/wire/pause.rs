//! A pause, as people and programs see it.

use schemars::JsonSchema;
use serde::Serialize;

use super::timestamp;

/// Why a target is left alone, and for how long.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Pause {
    /// Why.
    pub reason: String,
    /// Since when: RFC 3339.
    pub since: String,
    /// When it ends by itself; `null` when somebody has to end it.
    pub until: Option<String>,
}

impl From<syncline_store::Pause> for Pause {
    fn from(pause: syncline_store::Pause) -> Self {
        Self { since: timestamp(pause.since), until: pause.until.map(timestamp), reason: pause.reason }
    }
}
