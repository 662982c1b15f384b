//! A pretended registry of kinds, and short ways to load text.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::json;
use syncline_config::{ConfigErrors, KindSchema, Role, Workspace, parse};

/// Two kinds: one of every type of setting, one with nested settings behind a reference.
pub(crate) fn kinds() -> Vec<KindSchema> {
    let folder = json!({
        "type": "object",
        "properties": {
            "path": { "type": "string", "description": "The folder.", "examples": ["/mnt/backup"] },
        },
        "required": ["path"],
        "additionalProperties": false,
    });
    let s3 = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": {
            "bucket": { "type": "string", "description": "the name of the bucket" },
            "endpoint": { "type": ["string", "null"], "format": "uri", "default": null },
            "token": { "type": ["string", "null"] },
            "parts_max": { "type": "integer", "minimum": 1, "maximum": 100, "default": 4 },
            "storage_class": { "enum": ["standard", "cold"], "default": "standard" },
            "cache": {
                "description": "what is kept here",
                "anyOf": [
                    { "type": "object", "properties": { "bytes_max": { "type": "integer" } }, "required": ["bytes_max"], "additionalProperties": false },
                    { "type": "object", "properties": { "items_max": { "type": "integer" }, "days_max": { "type": "integer" } }, "required": ["items_max"], "additionalProperties": false },
                    { "type": "null" },
                ],
            },
            "lock": { "$ref": "#/$defs/Lock" },
            "prefixes": { "type": "array", "items": { "type": "string" } },
        },
        "required": ["bucket"],
        "$defs": {
            "Lock": {
                "type": "object",
                "properties": { "timeout_ms": { "type": "integer" } },
                "additionalProperties": false,
            },
        },
    });
    vec![
        KindSchema {
            role: Role::Endpoint,
            name: "folder",
            summary: "A folder of this machine.",
            schema: folder,
        },
        KindSchema { role: Role::Endpoint, name: "s3", summary: "A bucket.", schema: s3 },
    ]
}

/// Loads text without an environment.
pub(crate) fn load(text: &str) -> Result<Workspace, ConfigErrors> {
    load_in(text, &[])
}

/// Loads text in an environment.
pub(crate) fn load_in(text: &str, environment: &[(&str, &str)]) -> Result<Workspace, ConfigErrors> {
    parse(text, Path::new("syncline.yaml"), &variables(environment), &kinds())
}

pub(crate) fn variables(environment: &[(&str, &str)]) -> BTreeMap<String, String> {
    environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// What is said of text that does not load.
pub(crate) fn refusal(text: &str) -> String {
    refusal_in(text, &[])
}

pub(crate) fn refusal_in(text: &str, environment: &[(&str, &str)]) -> String {
    match load_in(text, environment) {
        Ok(workspace) => panic!("it loads: {workspace:#?}"),
        Err(errors) => errors.to_string(),
    }
}

/// A file with one target, whose text (indented by four) is `target`.
pub(crate) fn target(target: &str) -> String {
    let lines: String = target.lines().map(|line| format!("    {line}\n")).collect();
    format!(
        "version: \"1.0\"\nendpoints:\n  disk: {{ kind: folder, path: /mnt/disk }}\ntargets:\n  notes:\n{lines}"
    )
}
