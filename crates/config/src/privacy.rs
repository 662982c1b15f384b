//! Which values of the file no message may show.

use serde_json::Value as Json;

use crate::document::{Node, Value};
use crate::schema::{alternatives, kind_of};
use crate::secret::{is_reference, is_secret_key};
use crate::source::Mark;

/// The places of all values that may be secrets: in the settings of an endpoint those of keys that look like one
/// and of keys that its kind does not know (a misspelt `token`, say), elsewhere those of unknown keys that look
/// like one; and those of keys that the schema calls `writeOnly`. References are no secrets.
pub(crate) fn private(tree: &Node, schema: &Json) -> Vec<Mark> {
    let mut found = Vec::new();
    visit(tree, Some(schema), Place::default(), &mut found);
    found
}

/// Whether the schema itself says that a value is to be shown to nobody.
fn is_write_only(schema: &Json) -> bool {
    schema.get("writeOnly").is_some_and(|write_only| write_only == true)
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
            let schema = schema
                .and_then(|schema| alternatives(schema).into_iter().find_map(|branch| branch.get("items")));
            items.iter().for_each(|item| visit(item, schema, place, found));
        }
        Value::Map(entries) => {
            let (branches, settings) = branches_for(node, schema);
            let settings = place.settings || settings;
            let property = |key: &str| branches.iter().find_map(|branch| branch.get("properties")?.get(key));
            let others = branches.iter().filter_map(|branch| branch.get("additionalProperties"));
            let others = others.into_iter().find(|others| others.is_object());
            for (key, value) in entries {
                if place.private {
                    found.push(key.at.clone());
                }
                let known = property(&key.name);
                let looks_secret = is_secret_key(&key.name);
                let private = match (known, others) {
                    (Some(known), _) => settings && looks_secret || is_write_only(known),
                    // The names of endpoints and targets say nothing of what they hold.
                    (None, Some(_)) => settings && looks_secret,
                    (None, None) => (settings && key.name != "kind") || looks_secret,
                };
                let below = Place { settings, private: place.private || private };
                visit(value, known.or(others), below, found);
            }
        }
        _ => {}
    }
}

/// The alternatives that may describe a mapping, and whether they are those of an endpoint's settings.
fn branches_for<'a>(node: &Node, schema: Option<&'a Json>) -> (Vec<&'a Json>, bool) {
    let branches = schema.map(alternatives).unwrap_or_default();
    if !branches.iter().any(|branch| kind_of(branch).is_some()) {
        return (branches, false);
    }
    let kind = node.get("kind").and_then(Node::as_text);
    let of_kind = branches.into_iter().filter(|branch| kind.is_some() && kind_of(branch) == kind);
    (of_kind.collect(), true)
}
