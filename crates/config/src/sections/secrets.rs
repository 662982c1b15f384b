//! The part of `safety` that is about secrets: what is looked for before anything leaves.

use syncline_core::ItemPath;
use syncline_core::secrets::check_pattern;

use super::Resolver;

/// The file with the findings that are known, unless another one is named.
const BASELINE: &str = ".syncline-secrets";
/// The kind of endpoint to which things go without leaving the reach of whoever keeps them.
const NEAR_KIND: &str = "folder";

/// What is looked for before anything leaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretScan {
    /// Patterns of secrets, besides the built-in ones.
    pub patterns: Vec<String>,
    /// The file with the fingerprints of what is allowed, relative to the workspace.
    pub baseline: ItemPath,
}

/// What was written about it in one place.
#[derive(Clone, Debug, Default)]
pub(crate) struct Written {
    pub(crate) scan: Option<bool>,
    pub(crate) patterns: Vec<String>,
    pub(crate) baseline: Option<ItemPath>,
}

impl Written {
    /// Reads what stands in the section at `path`.
    pub(crate) fn read(
        scan: Option<bool>,
        patterns: Vec<String>,
        baseline: Option<String>,
        path: &[&str],
        resolver: &mut Resolver<'_>,
    ) -> Self {
        for (index, pattern) in patterns.iter().enumerate() {
            if let Err(error) = check_pattern(pattern) {
                let index = index.to_string();
                let at: Vec<&str> = path.iter().copied().chain(["secret_patterns", &index]).collect();
                let hint = "write a name such as `NOTION_.*_DB_ID`, or an expression for the secret itself; see \
                            https://docs.rs/regex for what may stand in it";
                resolver.error(&at, "bad_value", error.to_string(), hint.to_owned());
            }
        }
        let baseline = baseline.and_then(|text| {
            let parsed = ItemPath::parse(text.strip_prefix("./").unwrap_or(&text));
            if let Err(error) = &parsed {
                let at: Vec<&str> = path.iter().copied().chain(["secret_baseline"]).collect();
                let hint = format!("name a file by its path inside the workspace, such as `{BASELINE}`");
                resolver.error(&at, "bad_path", format!("not a baseline: {error}"), hint);
            }
            parsed.ok()
        });
        Self { scan, patterns, baseline }
    }

    /// What counts for a target whose remote is of this kind; `around` is what counts for the whole file.
    pub(crate) fn resolve(self, around: &Self, remote_kind: &str) -> Option<SecretScan> {
        let is_on = self.scan.or(around.scan).unwrap_or(remote_kind != NEAR_KIND);
        let baseline = self.baseline.or_else(|| around.baseline.clone());
        let baseline = baseline.or_else(|| ItemPath::parse(BASELINE).ok())?;
        let patterns = around.patterns.iter().cloned().chain(self.patterns).collect();
        is_on.then_some(SecretScan { patterns, baseline })
    }
}
