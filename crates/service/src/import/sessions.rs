//! `sync-state.json` of Claude: projects, sessions and topics. This version has no hub, so what is of use is a comment.

use serde_json::{Map, Value};

use super::draft::Draft;
use super::notes::Notes;
use super::{state, values};

/// Most names of a kind that are taken over.
const NAMES_MAX: usize = 200;

/// Takes over what Syncline has a place for.
pub(super) fn read(object: &Map<String, Value>, draft: &mut Draft, notes: &mut Notes) {
    for (key, value) in object {
        match key.as_str() {
            "projects" => {
                let names = names(value, notes);
                told(key, "project", value, &names, notes);
                draft.projects.extend(names);
            }
            "topics" | "categories" => {
                let names = names(value, notes);
                told(key, "topic", value, &names, notes);
                draft.topics.extend(names);
            }
            "sessions" | "conversations" => {
                let message =
                    format!("their number is {}; those that still run register anew", length(value));
                notes.left(key, message);
            }
            _ => state::one(key, key, value, draft, notes),
        }
    }
}

fn told(key: &str, thing: &str, value: &Value, names: &[String], notes: &mut Notes) {
    notes.commented(key, format!("names of {thing}s, {} in number; this version has no hub", names.len()));
    let others = length(value).saturating_sub(names.len());
    if others > 0 {
        notes.left(key, format!("{others} more: they have no name that can be taken over"));
    }
}

/// The names of things: of a list of names, of a list of things with one, or of things by their name.
fn names(value: &Value, notes: &Notes) -> Vec<String> {
    let named = |value: &Value| -> Option<String> {
        let value = ["name", "id", "path"].iter().find_map(|key| value.get(key)).unwrap_or(value);
        notes.plain(value).map(str::to_owned)
    };
    let all: Vec<String> = match value {
        Value::Array(items) => items.iter().filter_map(named).collect(),
        Value::Object(items) => items.keys().filter(|key| notes.is_plain(key)).cloned().collect(),
        _ => Vec::new(),
    };
    all.into_iter().filter(|name| name.len() <= values::TEXT_BYTES_MAX).take(NAMES_MAX).collect()
}

fn length(value: &Value) -> usize {
    value.as_array().map(Vec::len).or_else(|| value.as_object().map(Map::len)).unwrap_or_default()
}
