//! Tests over the list of use cases: what every face relies on.

use std::collections::BTreeSet;

use serde_json::Value;
use syncline_service::{Method, OPERATIONS, Scope};

#[test]
fn names_and_routes_are_unique_words() {
    let names: BTreeSet<_> = OPERATIONS.iter().map(|operation| operation.name).collect();
    assert_eq!(names.len(), OPERATIONS.len());
    for name in names {
        assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{name}");
        assert!(name.len() <= 64, "an MCP tool's name has at most 64 characters: {name}");
    }
    let routes: Vec<_> = OPERATIONS.iter().map(|operation| operation.route).collect();
    assert_eq!(routes.iter().collect::<std::collections::HashSet<_>>().len(), routes.len());
    assert!(routes.iter().all(|route| route.path.starts_with('/') && !route.path.ends_with('/')));
}

#[test]
fn summaries_are_one_line_without_an_end() {
    for operation in OPERATIONS {
        let summary = operation.summary;
        assert!(
            !summary.is_empty() && !summary.contains('\n') && !summary.ends_with('.'),
            "{}",
            operation.name
        );
        assert!(summary.starts_with(|c: char| c.is_uppercase()), "{}", operation.name);
    }
}

#[test]
fn what_reads_is_a_get_and_what_acts_is_a_post() {
    for operation in OPERATIONS {
        let reads = operation.route.method == Method::Get;
        if let Some(tool) = operation.tool {
            // What acts may be a tool that only looks: without the fields that make it act.
            let is_bound = !tool.without.is_empty();
            assert!(tool.read_only == reads || tool.read_only && is_bound, "{}", operation.name);
            assert!(!tool.needs_plan || tool.destructive, "{}", operation.name);
            assert!(!(tool.read_only && tool.destructive), "{}", operation.name);
        }
        assert!(!reads || matches!(operation.scope, Scope::Read | Scope::Admin), "{}", operation.name);
        assert!(reads || operation.scope != Scope::Read, "{}", operation.name);
    }
}

#[test]
fn requests_are_closed_objects_and_everything_is_documented() {
    for operation in OPERATIONS {
        let request = (operation.request)().to_value();
        assert_eq!(request["type"], "object", "{}", operation.name);
        assert_eq!(request["additionalProperties"], false, "{}", operation.name);
        let response = (operation.response)().to_value();
        assert!(response["properties"]["version"].is_object(), "{} has no version", operation.name);
        for schema in [&request, &response] {
            documented(operation.name, schema);
        }
    }
}

/// Every property has a description, at any depth.
#[track_caller]
fn documented(operation: &str, schema: &Value) {
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        let reference = property.get("$ref").is_some();
        assert!(reference || property["description"].is_string(), "{operation}: {name} has no description");
    }
    for definition in schema["$defs"].as_object().into_iter().flatten().map(|(_, definition)| definition) {
        documented(operation, definition);
    }
}

#[test]
fn schemas_have_no_dangling_reference() {
    for operation in OPERATIONS {
        for schema in [(operation.request)().to_value(), (operation.response)().to_value()] {
            let text = schema.to_string();
            for part in text.split("\"$ref\":\"#/").skip(1) {
                let pointer = format!("/{}", part.split('"').next().unwrap());
                assert!(schema.pointer(&pointer).is_some(), "{}: {pointer}", operation.name);
            }
        }
    }
}
