//! `targets`: what is kept in agreement with what.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use syncline_core::{self as core, ItemPath};

use super::conflicts::Conflicts;
use super::defaults::Direction;
use super::endpoint::{Endpoint, EndpointConfig};
use super::guard::Guard;
use super::{Resolver, is_name, name_rule};
use crate::secret::Lookup;
use crate::suggest::{hint, quote};

/// A mirror: a folder of the workspace and a place outside that are kept in agreement.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Target {
    /// What it is for, for people.
    #[schemars(example = &"Notes shared with the laptop")]
    description: Option<String>,
    /// The folder, relative to the workspace; `.` is the whole workspace.
    #[serde(default = "whole_workspace")]
    #[schemars(example = &"shared/memories")]
    path: String,
    /// The place outside: the name of an endpoint, or its kind and settings.
    #[schemars(example = &"knowledge")]
    remote: Remote,
    /// Which way changes may flow. Default: that of `defaults`.
    direction: Option<Direction>,
    /// Globs; when there are any, only what they match belongs to the target.
    #[serde(default)]
    #[schemars(extend("examples" = [["**/*.md"]]))]
    include: Vec<String>,
    /// Globs; what they match does not belong to the target, nor anything below it.
    #[serde(default)]
    #[schemars(extend("examples" = [["*.tmp", "build/"]]))]
    exclude: Vec<String>,
    /// What happens when both sides changed an item differently: one word for the whole target, or rules, of which
    /// the first that matches decides.
    #[serde(default)]
    #[schemars(extend("default" = "auto"))]
    conflicts: Conflicts,
    /// When a run stops and asks before it touches anything.
    #[serde(default)]
    guard: Guard,
    /// What starts a run by itself.
    #[serde(default)]
    triggers: Triggers,
}

/// The place outside: the name of an endpoint, or its kind and settings.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
enum Remote {
    /// The name of an endpoint.
    Named(String),
    /// Its kind and settings.
    Inline(Endpoint),
}

/// What starts a run by itself.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Triggers {
    /// Whether a change on a side that can be watched starts a run, while Syncline is running.
    watch: bool,
}

fn whole_workspace() -> String {
    ".".to_owned()
}

/// What is needed to resolve every target.
pub(crate) struct Surroundings<'a> {
    pub(crate) direction: core::Direction,
    pub(crate) endpoints: &'a BTreeMap<String, Endpoint>,
    pub(crate) lookup: &'a Lookup,
}

impl Target {
    /// What will be done; `None` when what was written is wrong.
    pub(crate) fn resolve(
        self,
        name: &str,
        around: &Surroundings<'_>,
        resolver: &mut Resolver<'_>,
    ) -> Option<crate::Target> {
        if !is_name(name) {
            let at = resolver.key("targets", name);
            let message = format!("{} cannot be the name of a target", quote(name));
            resolver.error_at(&at, "bad_name", message, name_rule());
        }
        for (key, patterns) in [("include", &self.include), ("exclude", &self.exclude)] {
            for (index, pattern) in patterns.iter().enumerate() {
                if let Err(error) = core::filter::glob(pattern) {
                    let index = index.to_string();
                    let hint = error.hint.map(str::to_owned);
                    resolver.error(&["targets", name, key, &index], "bad_glob", error.to_string(), hint);
                }
            }
        }
        let path = local_path(&self.path, name, resolver);
        let remote = self.remote.resolve(name, around, resolver);
        let conflicts = self.conflicts.resolve(name, resolver);
        let guard = self.guard.resolve(name, resolver);
        Some(crate::Target {
            name: name.to_owned(),
            description: self.description,
            direction: self.direction.map_or(around.direction, Into::into),
            path: path.ok()?,
            remote: remote?,
            include: self.include,
            exclude: self.exclude,
            conflicts,
            guard,
            watch: self.triggers.watch,
        })
    }
}

impl Remote {
    fn resolve(
        self,
        target: &str,
        around: &Surroundings<'_>,
        resolver: &mut Resolver<'_>,
    ) -> Option<EndpointConfig> {
        match self {
            Self::Inline(endpoint) => {
                let path = ["targets", target, "remote"];
                super::endpoint::check_secrets(&path, resolver);
                Some(endpoint.resolve(None, &path, around.lookup, resolver))
            }
            Self::Named(name) => match around.endpoints.get(&name) {
                Some(endpoint) => Some(endpoint.clone().resolve(
                    Some(&name),
                    &["endpoints", &name],
                    around.lookup,
                    resolver,
                )),
                None => {
                    let known = around.endpoints.keys().map(String::as_str);
                    let hint = hint(&name, known, "known endpoints").unwrap_or_else(|| {
                        "name one under `endpoints`, or write its kind and settings here: `{ kind: … }`"
                            .to_owned()
                    });
                    let message = format!("there is no endpoint {}", quote(&name));
                    resolver.error(&["targets", target, "remote"], "unknown_endpoint", message, hint);
                    None
                }
            },
        }
    }
}

/// What was wrong is recorded already.
struct Reported;

/// The path of a target's folder; `None` is the workspace itself.
fn local_path(text: &str, target: &str, resolver: &mut Resolver<'_>) -> Result<Option<ItemPath>, Reported> {
    let mut error = |code, message: String| {
        let hint =
            "a target lies inside the workspace; write its path relative to it, such as `shared/notes`";
        resolver.error(&["targets", target, "path"], code, message, hint.to_owned());
        Err(Reported)
    };
    let relative = text.trim_start_matches("./").trim_end_matches('/');
    if relative.is_empty() && text.starts_with('.') || relative == "." {
        return Ok(None);
    }
    let drive = matches!(text.as_bytes(), [letter, b':', ..] if letter.is_ascii_alphabetic());
    if text.starts_with(['/', '~', '\\']) || drive || relative.split(['/', '\\']).any(|name| name == "..") {
        return error("path_escapes", format!("the path {} leads out of the workspace", quote(text)));
    }
    if text.contains('\\') {
        return error(
            "bad_path",
            format!("the path {} holds a backslash; names are separated by `/`", quote(text)),
        );
    }
    let relative: Vec<&str> = relative.split('/').filter(|name| !matches!(*name, "" | ".")).collect();
    match ItemPath::parse(&relative.join("/")) {
        Ok(path) => match path.protected() {
            Some(reason) => {
                error("bad_path", format!("the path {} cannot be a target: {reason}", quote(text)))
            }
            None => Ok(Some(path)),
        },
        Err(problem) => error("bad_path", problem.to_string()),
    }
}
