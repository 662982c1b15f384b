//! `conflicts`: what happens when both sides changed an item differently.

use schemars::JsonSchema;
use serde::Deserialize;
use syncline_core::{self as core, Merging, Resolution};

use super::Resolver;

/// What happens when both sides changed an item differently: one word for the whole target, or rules.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(crate) enum Conflicts {
    /// One policy for the whole target; `prefer` needs a rule, because it needs a side.
    Whole(WholePolicy),
    /// Rules: the first one that matches the path decides; `auto` when none does.
    Rules(Vec<Rule>),
}

impl Default for Conflicts {
    fn default() -> Self {
        Self::Rules(Vec::new())
    }
}

/// A rule for some paths.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rule {
    /// Which paths: a glob; `*` stops at `/`, `**` does not, and a glob without `/` matches names at any depth.
    #[serde(rename = "match")]
    #[schemars(example = &"**/*.json")]
    pattern: String,
    /// What happens.
    policy: Policy,
    /// Which side wins; only with `policy: prefer`.
    side: Option<Side>,
    /// The member that names a record in an array; only with `policy: json` and `policy: union`. Found by content when
    /// it is not given.
    #[schemars(example = &"id")]
    key: Option<String>,
}

/// How a conflict is settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Policy {
    /// Merged as the content is: text by lines, JSON by structure. What does not merge cleanly: both versions stay.
    Auto,
    /// Merged by lines; both versions stay where that is not clean.
    Merge,
    /// Merged by lines; what both sides changed is marked in the file, between diff3 markers, to be finished by hand.
    Markers,
    /// Merged by structure, for JSON; both versions stay where both sides changed one value.
    Json,
    /// All records of both sides, for JSON arrays, newline-delimited JSON and lists of lines.
    Union,
    /// Both versions stay: the newer keeps the name, the other one gets a conflict name.
    KeepBoth,
    /// The newer version wins; the other one is kept in history.
    Newest,
    /// The version of `side` wins; the other one is kept in history.
    Prefer,
    /// Nothing is touched until a person decides.
    Manual,
}

/// How every conflict of a target is settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum WholePolicy {
    /// Merged as the content is: text by lines, JSON by structure. What does not merge cleanly: both versions stay.
    Auto,
    /// Merged by lines; both versions stay where that is not clean.
    Merge,
    /// Merged by lines; what both sides changed is marked in the file, between diff3 markers, to be finished by hand.
    Markers,
    /// Merged by structure, for JSON; both versions stay where both sides changed one value.
    Json,
    /// All records of both sides, for JSON arrays, newline-delimited JSON and lists of lines.
    Union,
    /// Both versions stay: the newer keeps the name, the other one gets a conflict name.
    KeepBoth,
    /// The newer version wins; the other one is kept in history.
    Newest,
    /// Nothing is touched until a person decides.
    Manual,
}

impl From<WholePolicy> for Resolution {
    fn from(written: WholePolicy) -> Self {
        match written {
            WholePolicy::Auto => Self::Merge(Merging::Auto),
            WholePolicy::Merge => Self::Merge(Merging::Text),
            WholePolicy::Markers => Self::Merge(Merging::Markers),
            WholePolicy::Json => Self::Merge(Merging::Json { key: None }),
            WholePolicy::Union => Self::Merge(Merging::Union { key: None }),
            WholePolicy::KeepBoth => Self::KeepBoth,
            WholePolicy::Newest => Self::Newest,
            WholePolicy::Manual => Self::Manual,
        }
    }
}

/// One of the two sides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Side {
    /// The workspace.
    Local,
    /// The place outside.
    Remote,
}

impl Conflicts {
    pub(crate) fn resolve(self, target: &str, resolver: &mut Resolver<'_>) -> Vec<core::Rule> {
        let path = ["targets", target, "conflicts"];
        match self {
            // `**` is a glob that compiles, so the rule is always made.
            Self::Whole(policy) => core::Rule::new("**", policy.into()).into_iter().collect(),
            Self::Rules(rules) => {
                let resolved = rules.into_iter().enumerate().filter_map(|(index, rule)| {
                    let index = index.to_string();
                    rule.resolve(&[path[0], path[1], path[2], &index], resolver)
                });
                resolved.collect()
            }
        }
    }
}

impl Rule {
    fn resolve(self, path: &[&str; 4], resolver: &mut Resolver<'_>) -> Option<core::Rule> {
        let resolution = self.resolution(path, resolver);
        match core::Rule::new(&self.pattern, resolution) {
            Ok(rule) => Some(rule),
            Err(error) => {
                let [a, b, c, d] = path;
                let hint = error.hint.map(str::to_owned);
                resolver.error(&[a, b, c, d, "match"], "bad_glob", error.to_string(), hint);
                None
            }
        }
    }
}

impl Rule {
    fn resolution(&self, path: &[&str; 4], resolver: &mut Resolver<'_>) -> Resolution {
        if self.side.is_some() && self.policy != Policy::Prefer {
            let hint = "remove `side`, or write `policy: prefer`".to_owned();
            resolver.error(path, "unknown_key", "`side` only goes with `policy: prefer`", hint);
        }
        if self.key.is_some() && !matches!(self.policy, Policy::Json | Policy::Union) {
            let hint = "remove `key`, or write `policy: json` or `policy: union`".to_owned();
            resolver.error(
                path,
                "unknown_key",
                "`key` only goes with `policy: json` and `policy: union`",
                hint,
            );
        }
        let key = || self.key.as_deref().map(Into::into);
        match (self.policy, self.side) {
            (Policy::Prefer, None) => {
                let hint = "add `side: local` or `side: remote`".to_owned();
                resolver.error(path, "missing_key", "the policy `prefer` needs a `side`", hint);
                Resolution::default()
            }
            (Policy::Prefer, Some(Side::Local)) => Resolution::Prefer(core::Side::Local),
            (Policy::Prefer, Some(Side::Remote)) => Resolution::Prefer(core::Side::Remote),
            (Policy::Auto, _) => Resolution::Merge(Merging::Auto),
            (Policy::Merge, _) => Resolution::Merge(Merging::Text),
            (Policy::Markers, _) => Resolution::Merge(Merging::Markers),
            (Policy::Json, _) => Resolution::Merge(Merging::Json { key: key() }),
            (Policy::Union, _) => Resolution::Merge(Merging::Union { key: key() }),
            (Policy::KeepBoth, _) => Resolution::KeepBoth,
            (Policy::Newest, _) => Resolution::Newest,
            (Policy::Manual, _) => Resolution::Manual,
        }
    }
}
