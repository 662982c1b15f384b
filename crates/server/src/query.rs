//! From the query of a URL to the request of a use case, as its schema says.

use serde_json::{Map, Value};

/// Reads a query. What the schema does not know stays text, for the use case to refuse.
///
/// - A list is written by repeating its key.
/// - Numbers, `true` and `false` count as such where the schema wants them.
pub(crate) fn request(query: &str, schema: &Value) -> Value {
    let mut request = Map::new();
    for (key, text) in form_urlencoded::parse(query.as_bytes()) {
        let property = &schema["properties"][key.as_ref()];
        match items(schema, property) {
            Some(items) => {
                let list = request.entry(key.into_owned()).or_insert_with(|| Value::Array(Vec::new()));
                if let Value::Array(list) = list {
                    list.push(value(schema, items, &text));
                }
            }
            None => {
                request.insert(key.into_owned(), value(schema, property, &text));
            }
        }
    }
    Value::Object(request)
}

/// What the items of a list must be, when it is one.
fn items<'a>(schema: &'a Value, property: &'a Value) -> Option<&'a Value> {
    alternatives(schema, property).into_iter().find(|one| is(one, "array")).map(|list| &list["items"])
}

fn value(schema: &Value, property: &Value, text: &str) -> Value {
    let wanted = alternatives(schema, property);
    let wants = |name: &str| wanted.iter().any(|one| is(one, name));
    let number =
        || text.parse::<i64>().ok().map(Value::from).or_else(|| text.parse::<f64>().ok().map(Value::from));
    match text {
        "true" | "false" if wants("boolean") => Value::Bool(text == "true"),
        _ if wants("integer") || wants("number") => number().unwrap_or_else(|| text.into()),
        _ if wants("object") => serde_json::from_str(text).unwrap_or_else(|_| text.into()),
        _ => text.into(),
    }
}

/// The schemas of which a value may follow one.
fn alternatives<'a>(schema: &'a Value, property: &'a Value) -> Vec<&'a Value> {
    let property = match property["$ref"].as_str().and_then(|name| name.strip_prefix("#/$defs/")) {
        Some(name) => &schema["$defs"][name],
        None => property,
    };
    match property["anyOf"].as_array() {
        Some(several) => several.iter().flat_map(|one| alternatives(schema, one)).collect(),
        None => vec![property],
    }
}

fn is(schema: &Value, name: &str) -> bool {
    match &schema["type"] {
        Value::String(one) => one == name,
        Value::Array(several) => several.iter().any(|one| one == name),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_query_becomes_what_the_schema_wants() {
        let schema = json!({
            "properties": {
                "targets": { "type": "array", "items": { "type": "string" } },
                "fast": { "type": "boolean" },
                "limit": { "type": ["integer", "null"] },
                "direction": { "anyOf": [{ "$ref": "#/$defs/Direction" }, { "type": "null" }] },
                "plan": { "anyOf": [{ "$ref": "#/$defs/Plan" }, { "type": "null" }] },
            },
            "$defs": { "Direction": { "type": "string" }, "Plan": { "type": "object" } },
        });
        let read = |query| request(query, &schema);
        assert_eq!(
            read("targets=oca_%2A&targets=a+b&fast=true&limit=7&direction=pull&plan=%7B%22a%22:1%7D"),
            json!({ "targets": ["oca_*", "a b"], "fast": true, "limit": 7, "direction": "pull", "plan": { "a": 1 } })
        );
        assert_eq!(read(""), json!({}));
        assert_eq!(
            read("fast=yes&limit=many&other=1"),
            json!({ "fast": "yes", "limit": "many", "other": "1" })
        );
    }
}
