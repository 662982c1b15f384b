//! Secrets: what is looked for before anything leaves, and `sanitize`, which takes it out of what comes in.

use schemars::JsonSchema;
use serde::Deserialize;
use syncline_core::secrets::check_pattern;
use syncline_core::{Direction, ItemPath};

use super::Resolver;

/// The file with the findings that are known, unless another one is named.
const BASELINE: &str = ".syncline-secrets";
/// The longest placeholder, in bytes.
const PLACEHOLDER_BYTES_MAX: usize = 100;
/// The kind of endpoint to which things go without leaving the reach of whoever keeps them.
const NEAR_KIND: &str = "folder";

/// What counts as a secret, and where it is looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretScan {
    /// Whether it is looked for before anything leaves.
    pub leaving: bool,
    /// How it is replaced in what comes in, when it is.
    pub arriving: Option<Sanitize>,
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
        check_patterns(&patterns, path, "secret_patterns", resolver);
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

    /// What counts for a target whose remote is of this kind.
    pub(crate) fn resolve(
        self,
        around: &Self,
        remote_kind: &str,
        arriving: Option<Sanitize>,
    ) -> Option<SecretScan> {
        let leaving = self.scan.or(around.scan).unwrap_or(remote_kind != NEAR_KIND);
        let baseline = self.baseline.or_else(|| around.baseline.clone());
        let baseline = baseline.or_else(|| ItemPath::parse(BASELINE).ok())?;
        let patterns = around.patterns.iter().cloned().chain(self.patterns).collect();
        Some(SecretScan { leaving, arriving, patterns, baseline })
    }
}

fn check_patterns(patterns: &[String], path: &[&str], key: &str, resolver: &mut Resolver<'_>) {
    for (index, pattern) in patterns.iter().enumerate() {
        if let Err(error) = check_pattern(pattern) {
            let index = index.to_string();
            let at: Vec<&str> = path.iter().copied().chain([key, &index]).collect();
            let hint = "write a name such as `NOTION_.*_DB_ID`, or an expression for the secret itself; see \
                        https://docs.rs/regex for what may stand in it";
            resolver.error(&at, "bad_value", error.to_string(), hint.to_owned());
        }
    }
}

/// Whether secrets are taken out of what comes in: `true`, or how.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(crate) enum WrittenSanitize {
    /// `true` puts `<redacted:…>` in the place of each.
    Switch(bool),
    /// With a placeholder or patterns of your own.
    Full(FullSanitize),
}

/// How secrets are taken out of what comes in.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct FullSanitize {
    /// What is put in the place of a secret; `{rule}` stands for the rule that found it.
    #[schemars(extend("default" = "<redacted:{rule}>"))]
    placeholder: Option<String>,
    /// More names or regular expressions of secrets, besides `secret_patterns`.
    #[schemars(extend("examples" = [["DB_.*", "internal-\\d{6}"]]))]
    patterns: Vec<String>,
}

/// How secrets are taken out of what comes in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sanitize {
    /// What is put in the place of a secret, with `{rule}`.
    pub placeholder: Option<String>,
    /// Patterns besides those of the search.
    pub patterns: Vec<String>,
}

impl WrittenSanitize {
    /// How it is done; `None` when it is not.
    pub(crate) fn resolve(
        self,
        target: &str,
        direction: Direction,
        resolver: &mut Resolver<'_>,
    ) -> Option<Sanitize> {
        let path = ["targets", target, "sanitize"];
        let FullSanitize { placeholder, patterns } = match self {
            Self::Switch(false) => return None,
            Self::Switch(true) => FullSanitize::default(),
            Self::Full(full) => full,
        };
        if direction != Direction::Pull {
            let message = format!("`sanitize` does not go with `direction: {direction}`");
            let hint = "it takes secrets out of what comes in, so that it cannot go back: write \
                        `direction: pull`; what leaves is searched by `secret_scan`";
            resolver.error(&path, "bad_value", message, hint.to_owned());
        }
        check_patterns(&patterns, &path, "patterns", resolver);
        let is_plain = |text: &String| {
            !text.trim().is_empty() && text.len() <= PLACEHOLDER_BYTES_MAX && !text.contains(char::is_control)
        };
        if placeholder.as_ref().is_some_and(|text| !is_plain(text)) {
            let message = "the placeholder cannot be put into text".to_owned();
            let hint =
                format!("write one line of at most {PLACEHOLDER_BYTES_MAX} bytes, such as `<{{rule}}>`");
            resolver.error(&[path.as_slice(), &["placeholder"]].concat(), "bad_value", message, hint);
        }
        Some(Sanitize { placeholder, patterns })
    }
}
