//! Holds what was written against the schema: unknown and missing keys, types, allowed values, ranges.

use serde_json::Value as Json;

use crate::document::{Node, Value};
use crate::error::ConfigError;
use crate::schema::{allowed, allows_type, alternatives, kind_of};
use crate::secret::is_secret_key;
use crate::source::{Mark, Source};
use crate::suggest::{hint, nearest, quote};

/// Most errors that are listed.
const ERRORS_MAX: usize = 50;

/// Everything in which `tree` does not follow `schema`, in the order of the file.
pub(crate) fn check(tree: &Node, schema: &Json, source: &Source<'_>) -> Vec<ConfigError> {
    let mut checker = Checker { source, errors: Vec::new(), path: Vec::new() };
    checker.node(tree, &tree.at, schema);
    checker.errors
}

struct Checker<'a> {
    source: &'a Source<'a>,
    errors: Vec<ConfigError>,
    path: Vec<String>,
}

impl Checker<'_> {
    /// Checks one value; `key` is where its key stands.
    fn node(&mut self, node: &Node, key: &Mark, schema: &Json) {
        if self.errors.len() > ERRORS_MAX {
            return;
        }
        let found = type_of(node);
        let fitting: Vec<&Json> =
            alternatives(schema).into_iter().filter(|branch| allows_type(branch, found)).collect();
        let kinds: Vec<&Json> = fitting.iter().copied().filter(|branch| kind_of(branch).is_some()).collect();
        match (fitting.as_slice(), kinds.is_empty()) {
            ([], _) => self.wrong_type(node, schema),
            (_, false) => self.endpoint(node, key, &kinds),
            ([branch], true) => self.single(node, key, branch),
            (branches, true) => match branches.iter().copied().map(allowed).collect::<Option<Vec<_>>>() {
                Some(values) => self.value(node, &values.concat()),
                None => self.nearest_branch(node, key, branches),
            },
        }
    }

    /// Checks against the alternative that the value follows best.
    fn nearest_branch(&mut self, node: &Node, key: &Mark, branches: &[&Json]) {
        let attempts = branches.iter().map(|branch| {
            let mut attempt = Checker { source: self.source, errors: Vec::new(), path: self.path.clone() };
            attempt.single(node, key, branch);
            attempt.errors
        });
        self.errors.extend(attempts.min_by_key(Vec::len).unwrap_or_default());
    }

    /// Checks the settings of an endpoint against those of its kind.
    fn endpoint(&mut self, node: &Node, key: &Mark, kinds: &[&Json]) {
        let names = || kinds.iter().filter_map(|branch| kind_of(branch));
        let Some(kind) = node.get("kind") else {
            return self.missing(key, "kind", hint("", names(), "known kinds"));
        };
        let Some(name) = kind.as_text() else {
            return self.error(&kind.at, "wrong_type", format!("{}kind must be text", self.prefix()), None);
        };
        match kinds.iter().find(|branch| kind_of(branch) == Some(name)) {
            Some(branch) => self.single(node, key, branch),
            None => {
                let message = format!("unknown kind of endpoint {}{}", quote(name), self.place());
                self.error(&kind.at, "unknown_kind", message, choices(name, names()));
            }
        }
    }

    fn single(&mut self, node: &Node, key: &Mark, schema: &Json) {
        match &node.value {
            Value::Map(_) => self.mapping(node, key, schema),
            Value::List(items) => {
                let Some(schema) = schema.get("items") else { return };
                for (index, item) in items.iter().enumerate() {
                    self.path.push(index.to_string());
                    self.node(item, &item.at, schema);
                    self.path.pop();
                }
            }
            _ => {
                if let Some(values) = allowed(schema) {
                    self.value(node, &values);
                } else if let Value::Number(number) = &node.value {
                    self.range(node, number, schema);
                }
            }
        }
    }

    fn mapping(&mut self, node: &Node, at: &Mark, schema: &Json) {
        let properties = schema.get("properties").and_then(Json::as_object);
        let names: Vec<&str> = properties.into_iter().flatten().map(|(name, _)| name.as_str()).collect();
        let others = schema.get("additionalProperties");
        let mut guessed = Vec::new();
        for (key, value) in node.entries() {
            let known = properties.and_then(|properties| properties.get(&key.name));
            match known.or(others) {
                Some(Json::Bool(false)) => {
                    let message = format!("unknown key {}{}", quote(&key.name), self.place());
                    let hint = hint(&key.name, names.iter().copied(), "known keys");
                    self.error(&key.at, "unknown_key", message, hint);
                    guessed.extend(nearest(&key.name, &names));
                }
                Some(schema) if !value.is_null() => {
                    self.path.push(key.name.clone());
                    self.node(value, &key.at, schema);
                    self.path.pop();
                }
                _ => {}
            }
        }
        for name in schema.get("required").and_then(Json::as_array).into_iter().flatten() {
            // A key that was probably misspelt is not missed as well.
            if let Some(name) = name.as_str()
                && node.get(name).is_none()
                && !guessed.contains(&name)
            {
                let hint =
                    properties.and_then(|properties| properties.get(name)).and_then(|key| advice(name, key));
                self.missing(at, name, hint);
            }
        }
    }

    fn value(&mut self, node: &Node, values: &[&Json]) {
        if values.iter().any(|value| **value == node.to_json()) {
            return;
        }
        let written = match &node.value {
            Value::Text(text) => text.clone(),
            _ => node.to_json().to_string(),
        };
        let secret = self.path.last().is_some_and(|key| is_secret_key(key));
        let shown = if secret { "value".to_owned() } else { format!("value {}", quote(&written)) };
        let names: Vec<&str> = values.iter().filter_map(|value| value.as_str()).collect();
        let message = format!("unknown {shown} for {}", self.name());
        self.error(&node.at, "unknown_value", message, choices(&written, names));
    }

    fn range(&mut self, node: &Node, number: &serde_json::Number, schema: &Json) {
        let bound = |name| schema.get(name).and_then(Json::as_f64);
        let value = number.as_f64().unwrap_or(f64::NAN);
        let limit = |name: &str| schema.get(name).map(ToString::to_string).unwrap_or_default();
        let problem = match (bound("minimum"), bound("maximum")) {
            (Some(least), _) if value < least => format!("at least {}", limit("minimum")),
            (_, Some(most)) if value > most => format!("at most {}", limit("maximum")),
            _ => return,
        };
        let message = format!("{} is {number}, but must be {problem}", self.name());
        self.error(&node.at, "out_of_range", message, None);
    }

    fn wrong_type(&mut self, node: &Node, schema: &Json) {
        let mut expected: Vec<&str> = Vec::new();
        for branch in alternatives(schema) {
            for name in ["object", "array", "string", "integer", "number", "boolean"] {
                let covered = name == "integer" && allows_type(branch, "number");
                if allows_type(branch, name) && !covered && !expected.contains(&type_name(name)) {
                    expected.push(type_name(name));
                }
            }
        }
        let found = type_of(node);
        let hint = match (&node.value, expected.as_slice()) {
            (Value::Number(_) | Value::Bool(_), names) if names.contains(&type_name("string")) => {
                Some("put it in quotes".to_owned())
            }
            (Value::Text(_), names) if names == [type_name("array")] => {
                Some("write a list: `[…]`".to_owned())
            }
            _ => None,
        };
        let message = format!("{} must be {}, not {}", self.name(), expected.join(" or "), found_name(found));
        self.error(&node.at, "wrong_type", message, hint);
    }

    fn missing(&mut self, at: &Mark, key: &str, hint: Option<String>) {
        let message = format!("missing key {}{}", quote(key), self.place());
        self.error(at, "missing_key", message, hint);
    }

    fn error(&mut self, at: &Mark, code: &'static str, message: String, hint: Option<String>) {
        match self.errors.len() {
            0..ERRORS_MAX => self.errors.push(self.source.error(at, code, message).with_hint(hint)),
            ERRORS_MAX => {
                self.errors.push(ConfigError::new("more_errors", "more is wrong than is listed here"))
            }
            _ => {}
        }
    }

    fn name(&self) -> String {
        if self.path.is_empty() { "the file".to_owned() } else { dotted(&self.path) }
    }

    fn place(&self) -> String {
        if self.path.is_empty() { String::new() } else { format!(" in {}", dotted(&self.path)) }
    }

    fn prefix(&self) -> String {
        if self.path.is_empty() { String::new() } else { format!("{}.", dotted(&self.path)) }
    }
}

/// A path for people: `targets.memories.conflicts[0]`.
pub(crate) fn dotted<S: AsRef<str>>(path: &[S]) -> String {
    let mut text = String::new();
    for name in path {
        let name = name.as_ref();
        if !text.is_empty() && !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_digit()) {
            text.push_str(&format!("[{name}]"));
        } else {
            let dot = if text.is_empty() { "" } else { "." };
            text.push_str(dot);
            text.push_str(quote(name).trim_matches('`'));
        }
    }
    text
}

fn choices<'a>(written: &str, names: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let names: Vec<&str> = names.into_iter().collect();
    let list = hint("", names.iter().copied(), "allowed")?;
    match hint(written, names, "") {
        Some(near) if near.starts_with("did you mean") => Some(format!("{near} {list}")),
        _ => Some(list),
    }
}

/// What to write for a missing key: an example, else what it means.
fn advice(name: &str, schema: &Json) -> Option<String> {
    let only = allowed(schema).and_then(|values| values.first().copied());
    let example = || schema.get("examples").and_then(Json::as_array).and_then(|examples| examples.first());
    match only.or_else(example) {
        Some(example) => Some(format!("for example `{name}: {example}`")),
        None => schema.get("description").and_then(Json::as_str).map(|text| format!("{name}: {text}")),
    }
}

fn type_of(node: &Node) -> &'static str {
    match &node.value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::Text(_) => "string",
        Value::List(_) => "array",
        Value::Map(_) => "object",
    }
}

/// How a value of a JSON type that does not belong is named.
fn found_name(name: &str) -> &'static str {
    match name {
        "boolean" => "a truth value",
        "number" => "a number with a fraction",
        other => type_name(other),
    }
}

/// How a JSON type is named where it belongs.
fn type_name(name: &str) -> &'static str {
    match name {
        "null" => "nothing",
        "boolean" => "`true` or `false`",
        "integer" => "a whole number",
        "number" => "a number",
        "string" => "text",
        "array" => "a list",
        _ => "a mapping",
    }
}
