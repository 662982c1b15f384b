//! Environment twins: every single value of the file can be overridden by a variable named after its path.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value as Json;

use crate::document::{Key, Node, Value};
use crate::error::{ConfigError, Location};
use crate::schema::{allows_type, alternatives, kind_of};
use crate::source::Mark;
use crate::suggest::{hint, nearest, quote};

/// What every variable of Syncline starts with.
pub(crate) const PREFIX: &str = "SYNCLINE_";
/// What stands between two levels of a path.
pub(crate) const SEPARATOR: &str = "__";

/// The part of a variable's name that stands for one key.
pub(crate) fn twin(key: &str) -> String {
    key.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' }).collect()
}

/// Puts the values of the environment into the tree.
///
/// Only variables with `__` in their name are twins, so that `SYNCLINE_CONFIG` and its like stay what they are.
/// An empty value counts as not set.
pub(crate) fn apply(
    tree: &mut Node,
    schema: &Json,
    environment: &BTreeMap<String, String>,
) -> Vec<ConfigError> {
    let mut errors = Vec::new();
    for (name, value) in environment {
        let Some(rest) = name.strip_prefix(PREFIX) else {
            continue;
        };
        if !rest.contains(SEPARATOR) || value.is_empty() {
            continue;
        }
        let mark = Mark::Variable(Arc::from(name.as_str()));
        if let Err(refusal) = set(tree, schema, rest, &Override { value, mark: &mark }) {
            let meant = meant(tree, schema, rest);
            errors.push(refusal.into_error(name, rest, meant));
        }
    }
    errors
}

struct Override<'a> {
    value: &'a str,
    mark: &'a Mark,
}

/// Why a variable sets nothing.
enum Refusal {
    /// No key at this level: what was left of the name, and the names that would have been known.
    Unknown { rest: String, known: Vec<String> },
    /// Two keys have the same twin.
    Ambiguous,
    /// It names more than a single value.
    NotSingle,
}

impl Refusal {
    fn into_error(self, name: &str, whole: &str, meant: Option<String>) -> ConfigError {
        let (code, message, hint) = match self {
            Self::Unknown { .. } if meant.is_some() => {
                let hint = meant.map(|meant| format!("did you mean {}?", quote(&format!("{PREFIX}{meant}"))));
                ("unknown_variable", format!("the environment variable {name} matches no setting"), hint)
            }
            Self::Unknown { rest, known } => {
                let above = whole.strip_suffix(rest.as_str()).unwrap_or_default();
                let part = rest.split(SEPARATOR).next().unwrap_or_default();
                let names: Vec<&str> = known.iter().map(String::as_str).collect();
                let hint = match nearest(part, &names) {
                    Some(near) => Some(format!("did you mean {}?", quote(&format!("{PREFIX}{above}{near}")))),
                    None if names.is_empty() => {
                        Some("the setting above it is a single value, or empty".to_owned())
                    }
                    None => hint(part, names, &format!("known after {PREFIX}{above}")),
                };
                ("unknown_variable", format!("the environment variable {name} matches no setting"), hint)
            }
            Self::Ambiguous => {
                let message = format!("the environment variable {name} matches more than one setting");
                ("ambiguous_variable", message, Some("set the value in the file".to_owned()))
            }
            Self::NotSingle => {
                let message = format!("the environment variable {name} matches more than a single value");
                ("unknown_variable", message, Some("lists and mappings are set in the file".to_owned()))
            }
        };
        ConfigError {
            location: Some(Location::Variable(name.into())),
            ..ConfigError::new(code, message).with_hint(hint)
        }
    }
}

/// Follows `rest` down from `node` and sets the value there.
fn set(node: &mut Node, schema: &Json, rest: &str, new: &Override<'_>) -> Result<(), Refusal> {
    if rest.is_empty() {
        node.value = single(schema, new.value).ok_or(Refusal::NotSingle)?;
        node.at = new.mark.clone();
        return Ok(());
    }
    let keys = keys(node, schema);
    if node.is_null() {
        *node = Node { value: Value::Map(Vec::new()), at: new.mark.clone() };
    }
    let Value::Map(entries) = &mut node.value else {
        return Err(Refusal::Unknown { rest: rest.to_owned(), known: Vec::new() });
    };
    let mut matches: Vec<(&String, &Json, &str)> = Vec::new();
    for (key, below) in &keys {
        if let Some(left) = rest.strip_prefix(&twin(key))
            && (left.is_empty() || left.strip_prefix(SEPARATOR).is_some_and(|left| !left.is_empty()))
        {
            matches.push((key, below, left.strip_prefix(SEPARATOR).unwrap_or(left)));
        }
    }
    matches.sort_by_key(|(_, _, left)| left.len());
    match matches.as_slice() {
        [] => {
            let known = keys.iter().map(|(key, _)| twin(key)).collect();
            Err(Refusal::Unknown { rest: rest.to_owned(), known })
        }
        [(_, _, one), (_, _, other), ..] if one.len() == other.len() => Err(Refusal::Ambiguous),
        [(key, below, left), ..] => set(child(entries, key, new.mark), below, left, new),
    }
}

/// What a name was probably meant to be: each part of it as it is, or as the nearest one that is known.
fn meant(node: &Node, schema: &Json, rest: &str) -> Option<String> {
    // One underscore too many, as in `SYNCLINE__NODE__NAME`, is easily written.
    let (part, below) = rest.trim_start_matches('_').split_once(SEPARATOR).unwrap_or((rest, ""));
    let part = part.trim_start_matches('_');
    let keys = keys(node, schema);
    let names: Vec<String> = keys.iter().map(|(key, _)| twin(key)).collect();
    let known: Vec<&str> = names.iter().map(String::as_str).collect();
    let name = known.iter().copied().find(|name| *name == part).or_else(|| nearest(part, &known))?;
    if below.is_empty() {
        return Some(name.to_owned());
    }
    let (key, schema) = keys.iter().zip(&names).find(|(_, twin)| *twin == name)?.0;
    let missing = Node { value: Value::Null, at: node.at.clone() };
    let below = meant(node.get(key).unwrap_or(&missing), schema, below)?;
    Some(format!("{name}{SEPARATOR}{below}"))
}

/// The keys that a variable may name below `node`, with their schemas.
fn keys<'a>(node: &Node, schema: &'a Json) -> Vec<(String, &'a Json)> {
    let kind = node.get("kind").and_then(Node::as_text);
    let mut keys: Vec<(String, &Json)> = Vec::new();
    for branch in alternatives(schema) {
        let branch_kind = kind_of(branch);
        if branch_kind.is_some() && branch_kind != kind {
            continue;
        }
        let properties = branch.get("properties").and_then(Json::as_object);
        keys.extend(properties.into_iter().flatten().map(|(key, below)| (key.clone(), below)));
        if let Some(below) = branch.get("additionalProperties").filter(|below| below.is_object()) {
            keys.extend(node.entries().iter().map(|(key, _)| (key.name.clone(), below)));
        }
    }
    keys
}

/// The value below `key` in a mapping, made when it is not there.
fn child<'a>(entries: &'a mut Vec<(Key, Node)>, key: &str, mark: &Mark) -> &'a mut Node {
    let index = entries.iter().position(|(known, _)| known.name == key).unwrap_or_else(|| {
        let key = Key { name: key.to_owned(), at: mark.clone() };
        entries.push((key, Node { value: Value::Null, at: mark.clone() }));
        entries.len() - 1
    });
    &mut entries[index].1
}

/// The text of a variable as a value of the type that the schema wants; `None` when that is not a single value.
fn single(schema: &Json, text: &str) -> Option<Value> {
    let branches = alternatives(schema);
    let allows =
        |name| branches.iter().any(|branch| branch.get("type").is_some() && allows_type(branch, name));
    if allows("boolean") {
        match text {
            "true" | "1" => return Some(Value::Bool(true)),
            "false" | "0" => return Some(Value::Bool(false)),
            _ => {}
        }
    }
    if allows("integer") || allows("number") {
        let number = serde_json::from_str::<serde_json::Number>(text.trim());
        if let Ok(number) = number {
            return Some(Value::Number(number));
        }
    }
    let is_single = ["boolean", "integer", "number", "string"].into_iter().any(allows);
    is_single.then(|| Value::Text(text.to_owned()))
}
