//! The JSON Schema of the file: derived from the written types, the connectors' own schemas put in their places.

use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use crate::sections::File;

/// The keyword that marks the place of an endpoint's settings in the derived schema.
pub(crate) const ENDPOINT_MARK: &str = "x-syncline-endpoint";
/// The keyword that marks the place of an alert channel's settings.
pub(crate) const CHANNEL_MARK: &str = "x-syncline-channel";
/// How deep references inside a connector's schema are followed: deeper ones describe recursive settings.
const REFERENCE_DEPTH_MAX: usize = 16;

/// What a kind is a kind of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Endpoints.
    Endpoint,
    /// Alert channels.
    Channel,
}

/// One kind of endpoint or alert channel, as its connector describes it.
#[derive(Clone, Debug)]
pub struct KindSchema {
    /// What it is a kind of.
    pub role: Role,
    /// The word after `kind:`.
    pub name: &'static str,
    /// What it is, in one line.
    pub summary: &'static str,
    /// The JSON Schema of its settings, `kind` left out.
    pub schema: Value,
}

/// The JSON Schema (draft 2020-12) of the file, without references.
#[must_use]
pub fn schema(kinds: &[KindSchema]) -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    let mut root = settings.into_generator().into_root_schema_for::<File>().to_value();
    let of = |role: Role| alternatives_of(kinds.iter().filter(|kind| kind.role == role));
    for (mark, role) in [(ENDPOINT_MARK, Role::Endpoint), (CHANNEL_MARK, Role::Channel)] {
        complete(&mut root, mark, &of(role));
    }
    if let Value::Object(root) = &mut root {
        root.insert("title".into(), "Syncline configuration".into());
        root.remove("$defs");
    }
    root
}

/// Removes `null` from optional keys (a key without a value counts as not written) and puts kinds in where `mark` stands.
fn complete(schema: &mut Value, mark: &str, kinds: &Value) {
    match schema {
        Value::Object(object) if object.contains_key(mark) => {
            object.remove(mark);
            if let Value::Object(kinds) = kinds {
                object.extend(kinds.clone());
            }
        }
        Value::Object(object) => {
            drop_null(object);
            object.values_mut().for_each(|value| complete(value, mark, kinds));
        }
        Value::Array(items) => items.iter_mut().for_each(|item| complete(item, mark, kinds)),
        _ => {}
    }
}

fn drop_null(object: &mut Map<String, Value>) {
    if object.get("default").is_some_and(Value::is_null) {
        object.remove("default");
    }
    if let Some(Value::Array(types)) = object.get_mut("type") {
        types.retain(|name| name != "null");
        if let [only] = types.as_slice() {
            let only = only.clone();
            object.insert("type".into(), only);
        }
    }
    if let Some(Value::Array(values)) = object.get_mut("enum") {
        values.retain(|value| !value.is_null());
    }
    let Some(Value::Array(branches)) = object.get_mut("anyOf") else {
        return;
    };
    branches.retain(|branch| branch.get("type").is_none_or(|name| name != "null"));
    if let [Value::Object(only)] = branches.as_slice() {
        let only = only.clone();
        object.remove("anyOf");
        for (key, value) in only {
            // What is said at the place of use is nearer than what is said of the type.
            object.entry(key).or_insert(value);
        }
    }
}

fn alternatives_of<'a>(kinds: impl Iterator<Item = &'a KindSchema>) -> Value {
    let branches: Vec<Value> = kinds.map(kind_schema).collect();
    if branches.is_empty() {
        let kind = json!({ "description": "Its kind; none is known.", "enum": [] });
        return json!({ "type": "object", "properties": { "kind": kind }, "required": ["kind"] });
    }
    json!({ "oneOf": branches })
}

fn kind_schema(kind: &KindSchema) -> Value {
    let mut schema = inlined(&kind.schema, &kind.schema, 0);
    drop_nulls(&mut schema);
    let mut object = match schema {
        Value::Object(object) => object,
        _ => Map::new(),
    };
    for key in ["$schema", "$defs", "definitions", "title", "description"] {
        object.remove(key);
    }
    object.insert("type".into(), "object".into());
    object.insert("title".into(), kind.name.into());
    object.insert("description".into(), kind.summary.into());
    object.entry("additionalProperties").or_insert(false.into());
    if let Value::Object(properties) = object.entry("properties").or_insert_with(|| json!({})) {
        let what = match kind.role {
            Role::Endpoint => "What kind of endpoint it is.",
            Role::Channel => "What kind of channel it is.",
        };
        let kind = json!({ "description": what, "type": "string", "const": kind.name });
        properties.insert("kind".into(), kind);
    }
    if let Value::Array(required) = object.entry("required").or_insert_with(|| json!([])) {
        required.insert(0, "kind".into());
    }
    object.into()
}

fn drop_nulls(schema: &mut Value) {
    match schema {
        Value::Object(object) => {
            drop_null(object);
            object.values_mut().for_each(drop_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_nulls),
        _ => {}
    }
}

/// A copy of `schema` with every reference into `root` replaced by what it refers to.
fn inlined(schema: &Value, root: &Value, depth: usize) -> Value {
    match schema {
        Value::Object(object) => {
            let mut copy: Map<String, Value> = object
                .iter()
                .filter(|(key, _)| !(*key == "$ref" || *key == "$defs"))
                .map(|(key, value)| (key.clone(), inlined(value, root, depth)))
                .collect();
            let pointer = object.get("$ref").and_then(Value::as_str).and_then(|text| text.strip_prefix('#'));
            if let Some(found) = pointer.and_then(|pointer| root.pointer(pointer))
                && depth < REFERENCE_DEPTH_MAX
                && let Value::Object(found) = inlined(found, root, depth + 1)
            {
                for (key, value) in found {
                    copy.entry(key).or_insert(value);
                }
            }
            copy.into()
        }
        Value::Array(items) => items.iter().map(|item| inlined(item, root, depth)).collect(),
        other => other.clone(),
    }
}

/// The alternatives of a schema, nested ones included; itself when it has none.
pub(crate) fn alternatives(schema: &Value) -> Vec<&Value> {
    match schema.get("oneOf").or_else(|| schema.get("anyOf")).and_then(Value::as_array) {
        Some(branches) => branches.iter().flat_map(alternatives).collect(),
        None => vec![schema],
    }
}

/// The kind of endpoint whose settings a schema describes.
pub(crate) fn kind_of(schema: &Value) -> Option<&str> {
    schema.pointer("/properties/kind/const")?.as_str()
}

/// The values that a schema allows, when it lists them.
pub(crate) fn allowed(schema: &Value) -> Option<Vec<&Value>> {
    if let Some(value) = schema.get("const") {
        return Some(vec![value]);
    }
    schema.get("enum").and_then(Value::as_array).map(|values| values.iter().collect())
}

/// Whether a schema allows values of this JSON type.
pub(crate) fn allows_type(schema: &Value, name: &str) -> bool {
    let same = |allowed: &Value| allowed == name || (allowed == "number" && name == "integer");
    match schema.get("type") {
        Some(Value::Array(names)) => names.iter().any(same),
        Some(single) => same(single),
        None => match allowed(schema) {
            Some(values) => values.iter().any(|value| value.is_string() == (name == "string")),
            None => true,
        },
    }
}
