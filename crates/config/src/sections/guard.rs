//! `guard`: when a run stops and asks before it touches anything.

use schemars::JsonSchema;
use serde::Deserialize;
use syncline_core::{self as core, ItemPath};

use super::Resolver;

/// When a run stops and asks before it touches anything.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Guard {
    /// Most removals on one side, in percent of the items that both sides had agreed on.
    #[schemars(range(max = 100))]
    deletes_max_percent: u8,
    /// Most removals on one side.
    deletes_max: u64,
    /// A file that must be present on both sides, by its path inside the target; without it a run stops.
    #[schemars(example = &".syncline-sentinel")]
    sentinel: Option<String>,
}

impl Default for Guard {
    fn default() -> Self {
        let core::Guard { deletes_max_percent, deletes_max, .. } = core::Guard::default();
        Self { deletes_max_percent, deletes_max, sentinel: None }
    }
}

impl Guard {
    pub(crate) fn resolve(self, target: &str, resolver: &mut Resolver<'_>) -> core::Guard {
        let sentinel = self.sentinel.and_then(|text| {
            let parsed = ItemPath::parse(text.strip_prefix("./").unwrap_or(&text));
            if let Err(error) = &parsed {
                let hint =
                    "name a file by its path inside the target, such as `.syncline-sentinel`".to_owned();
                let path = ["targets", target, "guard", "sentinel"];
                resolver.error(&path, "bad_path", format!("not a sentinel: {error}"), hint);
            }
            parsed.ok()
        });
        core::Guard { deletes_max_percent: self.deletes_max_percent, deletes_max: self.deletes_max, sentinel }
    }
}
