//! `history`: how long old versions are kept.

use schemars::JsonSchema;
use serde::Deserialize;

/// How long old versions are kept.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct History {
    /// How many days a version that was overwritten or removed is kept; 0 keeps it until the next cleaning.
    #[schemars(range(max = 36_500))]
    keep_days: u32,
    /// How many days a version that lost a settled conflict is kept.
    #[schemars(range(max = 36_500))]
    conflicts_keep_days: u32,
}

impl Default for History {
    fn default() -> Self {
        Self { keep_days: 90, conflicts_keep_days: 30 }
    }
}

/// How long old versions are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HistoryConfig {
    /// Days for which a version that was overwritten or removed is kept.
    pub keep_days: u32,
    /// Days for which a version that lost a settled conflict is kept.
    pub conflicts_keep_days: u32,
}

impl History {
    pub(crate) const fn resolve(self) -> HistoryConfig {
        HistoryConfig { keep_days: self.keep_days, conflicts_keep_days: self.conflicts_keep_days }
    }
}
