//! Which values of the file no message may show.

use serde_json::Value as Json;

use crate::document::{Node, Value};
use crate::schema::{alternatives, kind_of};
use crate::secret::{is_reference, is_secret_key};
use crate::source::Mark;

/// The places of all values that may be secrets: in the settings of an endpoint those of keys that look like one
/// and of keys that its kind does not know (a misspelt `token`, say), elsewhere those of unknown keys that look
/// like one. References are no secrets.
pub(crate) fn private(tree: &Node, schema: &Json) -> Vec<Mark> {
    let mut found = Vec::new();
    visit(tree, Some(schema), Place::default(), &mut found);
    found
}

#[derive(Clone, Copy, Default)]
struct Place {
    /// In the settings of an endpoint.
    settings: bool,
    /// Below a key whose values are private.
    private: bool,
}

fn visit(node: &Node, schema: Option<&Json>, place: Place, found: &mut Vec<Mark>) {
    match &node.value {
        Value::Text(text) if place.private && !is_reference(text) => found.push(node.at.clone()),
        Value::Number(_) if place.private => found.push(node.at.clone()),
        Value::List(items) => {
            let schema = schema.and_then(|schema| {
                alternatives(schema)
                    .into_iter()
                    .find_map(|branch| branch.get("items"))
            });
            items.iter().for_each(|item| visit(item, schema, place, found));
        }
        Value::Map(entries) => {
            let (schema, settings) = branch_for(node, schema);
            let settings = place.settings || settings;
            let properties = schema.and_then(|schema| schema.get("properties"));
            let others = schema
                .and_then(|schema| schema.get("additionalProperties"))
                .filter(|others| others.is_object());
            for (key, value) in entries {
                if place.private {
                    found.push(key.at.clone());
                }
                let known = properties.and_then(|properties| properties.get(&key.name));
                let looks_secret = is_secret_key(&key.name);
                let private = match (known, others) {
                    (Some(_), _) => settings && looks_secret,
                    // The names of endpoints and targets say nothing of what they hold.
                    (None, Some(_)) => settings && looks_secret,
                    (None, None) => (settings && key.name != "kind") || looks_secret,
                };
                let below = Place {
                    settings,
                    private: place.private || private,
                };
                visit(value, known.or(others), below, found);
            }
        }
        _ => {}
    }
}

/// The alternative that describes a mapping, and whether it is that of an endpoint's settings.
fn branch_for<'a>(node: &Node, schema: Option<&'a Json>) -> (Option<&'a Json>, bool) {
    let branches = schema.map(alternatives).unwrap_or_default();
    let kind = node.get("kind").and_then(Node::as_text);
    let of_kinds: Vec<&Json> = branches
        .iter()
        .copied()
        .filter(|branch| kind_of(branch).is_some())
        .collect();
    if of_kinds.is_empty() {
        return (
            branches
                .into_iter()
                .find(|branch| branch.get("type").is_some_and(|name| name == "object")),
            false,
        );
    }
    (of_kinds.into_iter().find(|branch| kind_of(branch) == kind), true)
}
