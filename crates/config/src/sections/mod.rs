//! What may be written, one file per section; each section says how it becomes what will be done.

pub(crate) mod alerts;
pub(crate) mod checks;
pub(crate) mod committing;
pub(crate) mod conflicts;
pub(crate) mod defaults;
pub(crate) mod endpoint;
pub(crate) mod guard;
pub(crate) mod history;
pub(crate) mod node;
pub(crate) mod notify;
pub(crate) mod peers;
pub(crate) mod quantity;
pub(crate) mod schedule;
pub(crate) mod script;
pub(crate) mod secrets;
pub(crate) mod serve;
pub(crate) mod target;
pub(crate) mod timing;
pub(crate) mod webhooks;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::document::Node as Tree;
use crate::error::{ConfigError, Warning};
use crate::source::{Mark, Source};

/// The version of the format that this program reads.
pub(crate) const VERSION: &str = "1.0";

/// What a workspace keeps in agreement with what, and how.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct File {
    /// The version of this file's format.
    #[schemars(extend("enum" = ["1.0"]))]
    #[expect(dead_code, reason = "the check against the schema has already compared it")]
    pub(crate) version: String,
    /// This machine.
    #[serde(default)]
    pub(crate) node: node::Node,
    /// What holds for every target that does not say otherwise.
    #[serde(default)]
    pub(crate) defaults: defaults::Defaults,
    /// Places outside, named once and used by any number of targets.
    #[serde(default)]
    pub(crate) endpoints: BTreeMap<String, endpoint::Endpoint>,
    /// What is kept in agreement, by name.
    #[serde(default)]
    pub(crate) targets: BTreeMap<String, target::Target>,
    /// Checks of every target, and what must not leave.
    #[serde(default)]
    pub(crate) safety: checks::Safety,
    /// Who may tell that something has changed, by name: `POST /hooks/NAME` of `syncline serve --listen`.
    #[serde(default)]
    pub(crate) webhooks: BTreeMap<String, webhooks::Written>,
    /// Programs elsewhere that are told what happens.
    #[serde(default)]
    pub(crate) notify: notify::Notify,
    /// Other nodes whose heartbeats are expected, and to which ours are sent.
    #[serde(default)]
    pub(crate) peers: peers::Peers,
    /// When people are told that something is wrong, and how.
    #[serde(default)]
    pub(crate) alerts: alerts::Alerts,
    /// How long old versions are kept.
    #[serde(default)]
    pub(crate) history: history::History,
    /// How `syncline serve` answers over HTTP; with this section it does, also without `--listen`.
    #[serde(default)]
    pub(crate) serve: Option<serve::Serve>,
    /// The program that `syncline conflicts resolve --edit` opens, instead of the editor in `VISUAL` or `EDITOR`.
    ///
    /// It is split into words as a shell would, but no shell runs it; `$BASE`, `$LOCAL`, `$REMOTE` and `$MERGED` in a
    /// word stand for the files, which are also in the environment. It writes what it made to `$MERGED`.
    #[serde(default)]
    #[schemars(example = &"meld $LOCAL $BASE $REMOTE -o $MERGED")]
    pub(crate) merge_tool: Option<String>,
}

/// The way from written to effective: knows where things stand, and collects what is wrong with them.
pub(crate) struct Resolver<'a> {
    pub(crate) source: &'a Source<'a>,
    pub(crate) tree: &'a Tree,
    pub(crate) errors: Vec<ConfigError>,
    pub(crate) warnings: Vec<Warning>,
}

impl<'a> Resolver<'a> {
    pub(crate) fn new(source: &'a Source<'a>, tree: &'a Tree) -> Self {
        Self { source, tree, errors: Vec::new(), warnings: Vec::new() }
    }

    /// Records an error at the value of `path`.
    pub(crate) fn error(
        &mut self,
        path: &[&str],
        code: &'static str,
        message: impl Into<String>,
        hint: impl Into<Option<String>>,
    ) {
        let error = self.source.error(self.tree.locate(path), code, message).with_hint(hint);
        self.errors.push(error);
    }

    /// Records an error at `mark`.
    pub(crate) fn error_at(
        &mut self,
        mark: &Mark,
        code: &'static str,
        message: impl Into<String>,
        hint: impl Into<Option<String>>,
    ) {
        self.errors.push(self.source.error(mark, code, message).with_hint(hint));
    }

    /// Records a warning at the value of `path`.
    pub(crate) fn warn(&mut self, path: &[&str], code: &'static str, message: String, hint: &str) {
        self.warnings.push(self.source.warning(self.tree.locate(path), code, message, hint));
    }

    /// Where the key `name` directly below the section `section` stands.
    pub(crate) fn key(&self, section: &str, name: &str) -> Mark {
        let entries = self.tree.get(section).map(Tree::entries).unwrap_or_default();
        let key = entries.iter().find(|(key, _)| key.name == name).map(|(key, _)| key.at.clone());
        key.unwrap_or_else(|| self.tree.locate(&[section]).clone())
    }
}

/// Longest name of a node, an endpoint or a target.
pub(crate) const NAME_MAX: usize = 64;

/// Whether `name` may name a node, an endpoint or a target: letters, digits, `.`, `_` and `-`.
#[must_use]
pub fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= NAME_MAX
        && !name.starts_with(['-', '.'])
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'))
}

/// Reports every glob under a key of a target that cannot be understood.
fn check_globs(key: &str, globs: &[String], target: &str, resolver: &mut Resolver<'_>) {
    for (index, glob) in globs.iter().enumerate() {
        if let Err(error) = syncline_core::filter::glob(glob) {
            let (index, hint) = (index.to_string(), error.hint.map(str::to_owned));
            resolver.error(&["targets", target, key, &index], "bad_glob", error.to_string(), hint);
        }
    }
}

/// What a name must look like, for hints.
pub(crate) fn name_rule() -> String {
    format!("use letters, digits, `.`, `_` and `-`, at most {NAME_MAX}, the first one a letter, digit or `_`")
}
