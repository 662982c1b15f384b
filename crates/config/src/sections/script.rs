//! What a target with an `entrypoint` has besides: a script that brings something in, or sends something out.

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};
use syncline_core as core;

use super::Resolver;
use super::quantity::{BYTES_HINT, SPAN_HINT, bytes, span};

/// How much a script may take; what it exceeds ends it.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Limits {
    /// How long it may run.
    #[schemars(extend("default" = "10m"))]
    time: Option<String>,
    /// How much memory it may take, with everything that it starts. Watched on Linux.
    #[schemars(extend("default" = "2GiB"))]
    memory: Option<String>,
    /// How many processes it may start at once. Watched on Linux.
    #[schemars(extend("default" = 256))]
    processes: Option<u32>,
    /// How much it may print, and how large any file that it writes may be.
    #[schemars(extend("default" = "1GiB"))]
    output: Option<String>,
}

/// What a script may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScriptLimits {
    /// Time.
    pub time: Duration,
    /// Bytes of memory.
    pub memory_bytes: u64,
    /// Processes at once.
    pub processes: usize,
    /// Bytes that it prints, and bytes of any file that it writes.
    pub output_bytes: u64,
}

/// A script.
#[derive(Clone, Debug)]
pub struct Script {
    /// Its file, relative to the workspace, and perhaps arguments.
    pub entrypoint: String,
    /// Globs of the files that it works with; none for the whole workspace.
    pub inputs: Vec<String>,
    /// Globs of the files that it makes.
    pub outputs: Vec<String>,
    /// Its settings.
    pub config: Map<String, Value>,
    /// What it may take.
    pub limits: ScriptLimits,
    /// Folders outside of its scratch copy that it may write, absolute or beginning with `~/`.
    pub allow_write: Vec<String>,
    /// Whether running it twice must come to the same as running it once.
    pub idempotent: bool,
    /// Whether it works in the workspace itself.
    pub in_place: bool,
}

/// What may be written of a script, and where.
pub(crate) struct Written<'a> {
    pub(crate) entrypoint: String,
    pub(crate) inputs: Vec<String>,
    pub(crate) outputs: Vec<String>,
    pub(crate) config: Map<String, Value>,
    pub(crate) limits: Limits,
    pub(crate) allow_write: Vec<String>,
    pub(crate) idempotent: bool,
    pub(crate) in_place: bool,
    pub(crate) direction: core::Direction,
    /// The name of the target.
    pub(crate) target: &'a str,
}

impl Written<'_> {
    pub(crate) fn resolve(self, resolver: &mut Resolver<'_>) -> Script {
        let at = |key| ["targets", self.target, key];
        if self.entrypoint.trim().is_empty() {
            let hint = "name a file of the workspace, such as `scripts/pull.sh`".to_owned();
            resolver.error(&at("entrypoint"), "bad_value", "the entrypoint is empty", hint);
        }
        super::check_globs("inputs", &self.inputs, self.target, resolver);
        super::check_globs("outputs", &self.outputs, self.target, resolver);
        if self.direction == core::Direction::Push {
            if self.inputs.is_empty() {
                let hint =
                    "list what it sends, such as `inputs: [\"public/**\"]`: it runs when that has changed"
                        .to_owned();
                let message = "a script that pushes needs `inputs`";
                resolver.error(&at("entrypoint"), "missing_key", message, hint);
            }
            if !self.outputs.is_empty() {
                let hint = "a push leaves the workspace as it is; write `direction: bidirectional` if it is to change".to_owned();
                resolver.error(
                    &at("outputs"),
                    "unknown_key",
                    "`outputs` do not go with `direction: push`",
                    hint,
                );
            }
        } else if self.outputs.is_empty() {
            let hint =
                "list what it makes, such as `outputs: [\"docs/runtime/**\"]`: only that is brought in"
                    .to_owned();
            let message = format!("a script that is run as `{}` needs `outputs`", self.direction);
            resolver.error(&at("entrypoint"), "missing_key", message, hint);
        }
        if self.in_place {
            self.check_in_place(resolver);
        }
        let limits = self.limits.resolve(self.target, resolver);
        Script {
            entrypoint: self.entrypoint,
            inputs: self.inputs,
            outputs: self.outputs,
            config: self.config,
            limits,
            allow_write: self.allow_write,
            idempotent: self.idempotent,
            in_place: self.in_place,
        }
    }
}

impl Written<'_> {
    /// A script that works in the workspace itself is held to the folders of its outputs.
    fn check_in_place(&self, resolver: &mut Resolver<'_>) {
        if self.direction == core::Direction::Push {
            let hint = "leave it out: what a script that pushes changes in its copy stays there".to_owned();
            let message = "`in_place` does not go with `direction: push`";
            resolver.error(&["targets", self.target, "in_place"], "bad_value", message, hint);
        }
        for (index, pattern) in self.outputs.iter().enumerate() {
            if literal_folder(pattern).is_none() {
                let hint = "begin it with a folder, such as `docs/runtime/**`: the script may write there, and nowhere else";
                let message =
                    format!("{} names no folder, as `in_place` needs", crate::suggest::quote(pattern));
                let path = ["targets", self.target, "outputs", &index.to_string()];
                resolver.error(&path, "bad_value", message, hint.to_owned());
            }
        }
    }
}

/// The folder that a pattern names before its first wildcard: scripts expect it to be there.
#[must_use]
pub fn literal_folder(pattern: &str) -> Option<String> {
    let pattern = pattern.trim_start_matches("./").trim_start_matches('/');
    let literal = &pattern[..pattern.find(['*', '?', '[', '{']).unwrap_or(pattern.len())];
    let folder = literal.rsplit_once('/')?.0;
    let climbs = folder.split('/').any(|name| matches!(name, "" | "." | ".."));
    (!climbs).then(|| folder.to_owned())
}

impl Limits {
    fn resolve(self, target: &str, resolver: &mut Resolver<'_>) -> ScriptLimits {
        let mut read = |key: &str, text: Option<String>, hint: &str, parse: fn(&str) -> Option<u64>| {
            let text = text?;
            let read = parse(&text);
            if read.is_none() {
                let path = ["targets", target, "limits", key];
                let message = format!("{} cannot be understood", crate::suggest::quote(&text));
                resolver.error(&path, "bad_value", message, hint.to_owned());
            }
            read
        };
        let seconds = |text: &str| span(text).map(|span| span.as_secs());
        ScriptLimits {
            time: Duration::from_secs(read("time", self.time, SPAN_HINT, seconds).unwrap_or(600)),
            memory_bytes: read("memory", self.memory, BYTES_HINT, bytes).unwrap_or(2 << 30),
            processes: self.processes.unwrap_or(256) as usize,
            output_bytes: read("output", self.output, BYTES_HINT, bytes).unwrap_or(1 << 30),
        }
    }
}

/// The settings of a script as those of an endpoint: so its environment may refer to secrets as an endpoint's may.
pub(crate) fn settings(script: &str, environment: BTreeMap<String, String>) -> Map<String, Value> {
    let environment: Map<String, Value> =
        environment.into_iter().map(|(name, value)| (name, value.into())).collect();
    [("kind", "script".into()), ("entrypoint", script.into()), ("env", environment.into())]
        .map(|(key, value): (&str, Value)| (key.to_owned(), value))
        .into_iter()
        .collect()
}

#[cfg(test)]
mod tests {
    use super::literal_folder;

    #[test]
    fn the_folder_before_the_first_wildcard_is_made() {
        for (pattern, folder) in [
            ("docs/runtime/apps.json", Some("docs/runtime")),
            ("addons/oca/**", Some("addons/oca")),
            ("./a/b*/c", Some("a")),
            ("*.json", None),
            ("file", None),
            ("../up/**", None),
            ("a//b", None),
        ] {
            assert_eq!(literal_folder(pattern).as_deref(), folder, "{pattern}");
        }
    }
}
