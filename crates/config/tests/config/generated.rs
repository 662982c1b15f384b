//! What is generated from the declarations: schema, reference, starter.

use serde_json::Value;
use syncline_config::{reference_markdown, schema, starter};

use crate::support::{kinds, load};

/// Calls `each` for every key that the schema declares, with its dotted path.
fn keys(path: &str, schema: &Value, each: &mut dyn FnMut(&str, &Value)) {
    for (key, property) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
        let path = format!("{path}.{key}");
        each(&path, property);
        keys(&path, property, each);
    }
    for place in ["items", "additionalProperties"] {
        if let Some(below) = schema.get(place) {
            keys(path, below, each);
        }
    }
    for branch in ["oneOf", "anyOf"].iter().filter_map(|name| schema.get(*name)?.as_array()).flatten() {
        keys(path, branch, each);
    }
}

#[test]
fn the_schema_describes_every_key_and_forbids_all_others() {
    let schema = schema(&kinds()[..1]);
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    assert_eq!(schema["additionalProperties"], false);
    let mut found = Vec::new();
    keys("", &schema, &mut |path, property| {
        assert!(property["description"].is_string(), "{path} has no description");
        let closed = property.get("properties").is_none() || property["additionalProperties"] == false;
        assert!(closed, "{path} takes unknown keys");
        found.push(path.to_owned());
    });
    assert!(found.contains(&".targets.conflicts.match".to_owned()), "{found:?}");
    let text = schema.to_string();
    for leftover in ["\"null\"", "$ref", "x-syncline", ":null"] {
        assert!(!text.contains(leftover), "{leftover} in {text}");
    }
}

#[test]
fn the_schema_holds_the_settings_of_every_kind() {
    let schema = schema(&kinds());
    let branches = &schema["properties"]["endpoints"]["additionalProperties"]["oneOf"];
    assert_eq!(branches[0]["properties"]["kind"]["const"], "folder");
    assert_eq!(branches[1]["properties"]["lock"]["properties"]["timeout_ms"]["type"], "integer");
    let inline = &schema["properties"]["targets"]["additionalProperties"]["properties"]["remote"]["anyOf"];
    assert_eq!(&inline[1]["oneOf"], branches);
}

#[test]
fn the_reference_names_every_key() {
    let page = reference_markdown(&kinds());
    keys("", &schema(&kinds()), &mut |path, _| {
        let key = path.rsplit('.').next().unwrap();
        assert!(
            ["kind", "timeout_ms", "bytes_max", "items_max", "days_max"].contains(&key)
                || page.contains(&format!("| `{key}` |")),
            "{path} is missing"
        );
    });
    for variable in ["SYNCLINE_DEFAULTS__DIRECTION", "SYNCLINE_TARGETS__<NAME>__GUARD__DELETES_MAX"] {
        assert!(page.contains(variable), "{variable} is missing");
    }
    let row = page.lines().find(|line| line.starts_with("| `deletes_max_percent`")).unwrap();
    insta::assert_snapshot!(row, @"| `deletes_max_percent` | whole number | `50` | Most removals on one side, in percent of the items that both sides had agreed on. | `SYNCLINE_TARGETS__<NAME>__GUARD__DELETES_MAX_PERCENT` |");
}

#[test]
fn the_starter_loads_whatever_it_is_given() {
    for (node, remote, target) in [
        ("helios", "/mnt/backup", "all"),
        ("a.b-c", "../with \"quotes\" and \\ and: #", "notes-2"),
        ("x", "/ünïcode/\u{1f980}/{}[]&*", "null"),
    ] {
        let workspace = load(&starter(node, remote, target)).unwrap();
        assert_eq!(workspace.node, node);
        let found = workspace.target(target).unwrap();
        assert_eq!(found.remote.settings["path"], remote);
        assert_eq!(workspace.warnings, []);
    }
}
