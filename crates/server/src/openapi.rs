//! The document that describes the API: OpenAPI 3.1, made from the list of use cases and their schemas.

use schemars::schema_for;
use serde_json::{Map, Value, json};
use syncline_service::wire::{Health, News};
use syncline_service::{Method, OPERATIONS, Operation};

/// Where the routes of use cases begin.
pub(crate) const API: &str = "/api/v1";

/// Where events are told.
pub(crate) const EVENTS: &str = "/api/v1/events";

/// The OpenAPI document.
#[must_use]
pub fn document() -> Value {
    let mut schemas = Map::new();
    schemas.insert("Problem".to_owned(), problem_schema());
    let mut paths = Map::new();
    for operation in OPERATIONS {
        let path = paths.entry(format!("{API}{}", operation.route.path)).or_insert_with(|| json!({}));
        let method = match operation.route.method {
            Method::Get => "get",
            Method::Post => "post",
        };
        path[method] = described(operation, &mut schemas);
    }
    for (path, described) in watched(&mut schemas) {
        // A use case may have the same path, with another method.
        let methods = paths.entry(path).or_insert_with(|| json!({}));
        methods["get"] = described["get"].clone();
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Syncline",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Every use case of Syncline, over one workspace. What acts takes the header `Idempotency-Key`: \
                            a request that is repeated with the same key within 24 hours acts once.",
        },
        "servers": [{ "url": "/" }],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": { "token": {
                "type": "http",
                "scheme": "bearer",
                "description": "Made by `syncline token create`. On this machine none is needed, unless `serve.require_token` \
                                says so.",
            } },
        },
        "security": [{ "token": [] }, {}],
    })
}

/// The routes that are of no use case: those that watch over the process, and the feed of events.
fn watched(schemas: &mut Map<String, Value>) -> Map<String, Value> {
    let health = lifted(schema_for!(Health).to_value(), "health", schemas);
    let news = lifted(schema_for!(News).to_value(), "news", schemas);
    let words = json!([{
        "name": "words", "in": "query", "required": false,
        "description": "In which words `status` tells it.",
        "schema": { "type": "string", "enum": ["healthy", "ok"] },
    }]);
    let listening = json!([
        { "name": "after", "in": "query", "required": false, "schema": { "type": "string" },
          "description": "Go on behind this event; the header `Last-Event-ID` says the same, and counts first." },
        { "name": "target", "in": "query", "required": false,
          "schema": { "type": "array", "items": { "type": "string" }, "maxItems": 100 },
          "description": "Only events of these targets, and those of none." },
    ]);
    let answer = |kind: &str, schema: &Value| json!({ "description": "It is told.", "content": { kind: { "schema": schema } } });
    let problem = answer("application/problem+json", &json!({ "$ref": "#/components/schemas/Problem" }));
    let text = json!({ "type": "string" });
    let routes = [
        (
            "/health",
            "health",
            "Tell how the service is doing",
            words.clone(),
            answer("application/json", &health),
        ),
        (
            "/status",
            "service_status",
            "Tell how the service is doing",
            words,
            answer("application/json", &health),
        ),
        (
            "/metrics",
            "metrics",
            "Tell figures as Prometheus reads them",
            json!([]),
            answer("text/plain", &text),
        ),
        ("/livez", "livez", "Tell whether the process answers", json!([]), answer("text/plain", &text)),
        ("/readyz", "readyz", "Tell whether it can work", json!([]), answer("text/plain", &text)),
        (EVENTS, "events", "Listen to what happens", listening, answer("text/event-stream", &news)),
    ];
    let described = routes.map(|(path, name, summary, parameters, answer)| {
        // One that is not well tells it in the shape in which it would tell anything else.
        let mut responses = json!({ "200": answer, "default": problem });
        if path == "/health" {
            responses["503"] = responses["200"].clone();
        }
        let get = json!({ "operationId": name, "summary": summary, "parameters": parameters, "responses": responses });
        (path.to_owned(), json!({ "get": get }))
    });
    described.into_iter().collect()
}

/// A use case; what its schemas define becomes components that bear its name, since others may define the same name.
fn described(operation: &Operation, schemas: &mut Map<String, Value>) -> Value {
    let request = lifted((operation.request)().to_value(), &format!("{}.request", operation.name), schemas);
    let response =
        lifted((operation.response)().to_value(), &format!("{}.response", operation.name), schemas);
    let mut described = json!({
        "operationId": operation.name,
        "summary": operation.summary,
        "description": format!("Needs the scope `{}`.", operation.scope),
        "responses": {
            "200": { "description": "What came of it.", "content": { "application/json": { "schema": response } } },
            "default": {
                "description": "What is wrong, as RFC 9457 has it.",
                "content": { "application/problem+json": { "schema": { "$ref": "#/components/schemas/Problem" } } },
            },
        },
    });
    match operation.route.method {
        Method::Get => described["parameters"] = parameters(&request),
        Method::Post => {
            described["requestBody"] =
                json!({ "required": true, "content": { "application/json": { "schema": request } } });
        }
    }
    described
}

fn parameters(request: &Value) -> Value {
    let properties = request["properties"].as_object().cloned().unwrap_or_default();
    let required = request["required"].as_array().cloned().unwrap_or_default();
    let parameters = properties.into_iter().map(|(name, schema)| {
        let needed = required.iter().any(|required| *required == name);
        let description = schema["description"].clone();
        json!({ "name": name, "in": "query", "required": needed, "description": description, "schema": schema })
    });
    parameters.collect()
}

/// A schema without definitions of its own: they are put among the components.
fn lifted(mut schema: Value, prefix: &str, schemas: &mut Map<String, Value>) -> Value {
    let definitions = schema.as_object_mut().and_then(|schema| {
        schema.remove("$schema");
        schema.remove("$defs")
    });
    for (name, mut definition) in definitions.and_then(|all| all.as_object().cloned()).unwrap_or_default() {
        point(&mut definition, prefix);
        schemas.insert(format!("{prefix}.{name}"), definition);
    }
    point(&mut schema, prefix);
    schema
}

/// Lets references point to the components.
fn point(value: &mut Value, prefix: &str) {
    match value {
        Value::Object(members) => {
            if let Some(Value::String(target)) = members.get_mut("$ref")
                && let Some(name) = target.strip_prefix("#/$defs/")
            {
                *target = format!("#/components/schemas/{prefix}.{name}");
            }
            members.values_mut().for_each(|member| point(member, prefix));
        }
        Value::Array(items) => items.iter_mut().for_each(|item| point(item, prefix)),
        _ => {}
    }
}

fn problem_schema() -> Value {
    json!({
        "type": "object",
        "required": ["type", "title", "status", "detail", "code"],
        "properties": {
            "type": { "type": "string", "description": "Always `about:blank`: `code` says more." },
            "title": { "type": "string", "description": "What the status means." },
            "status": { "type": "integer", "description": "The status of the response." },
            "detail": { "type": "string", "description": "What is wrong." },
            "code": { "type": "string", "description": "A stable code." },
            "class": { "type": "string", "description": "What a caller can do about it." },
            "hint": { "type": "string", "description": "What to do about it." },
            "location": { "type": "object", "description": "Where in the configuration it lies." },
            "others": { "type": "array", "items": { "type": "object" }, "description": "More that was found at the same time." },
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every reference below a value.
    fn references(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(members) => {
                found.extend(members.get("$ref").and_then(Value::as_str).map(str::to_owned));
                members.values().for_each(|member| references(member, found));
            }
            Value::Array(items) => items.iter().for_each(|item| references(item, found)),
            _ => {}
        }
    }

    #[test]
    fn every_use_case_is_described_and_every_reference_leads_somewhere() {
        let document = document();
        for operation in OPERATIONS {
            let method = if operation.route.method == Method::Get { "get" } else { "post" };
            let path = format!("{API}{}", operation.route.path);
            let described = &document["paths"][&path][method];
            assert_eq!(described["operationId"], operation.name, "{path}");
            assert!(
                described["responses"]["200"].is_object() && described["responses"]["default"].is_object()
            );
            let requests = if method == "get" { &described["parameters"] } else { &described["requestBody"] };
            assert!(!requests.is_null(), "{path}");
        }
        let mut all = Vec::new();
        references(&document, &mut all);
        assert!(!all.is_empty());
        for reference in all {
            let pointer = reference
                .strip_prefix('#')
                .unwrap_or_else(|| panic!("{reference} leads out of the document"));
            assert!(document.pointer(pointer).is_some(), "{reference}");
        }
        let names = document["components"]["schemas"].as_object().unwrap();
        let is_named =
            |name: &String| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
        assert!(names.keys().all(is_named), "{:?}", names.keys());
    }
}
