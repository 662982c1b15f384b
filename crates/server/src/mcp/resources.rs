//! The resources: what can be looked at by its address, each of them a use case that only looks.

use rmcp::model::{ErrorData, MetaObject, Resource, ResourceContents, ResourceTemplate};
use serde_json::{Value, json};
use syncline_service::{OPERATIONS, Operation, Problem, Service};

use super::envelope::{Envelope, wrapped};

const SCHEME: &str = "syncline://";
const JSON: &str = "application/json";
/// The address of the newest run.
const LATEST: &str = "syncline://reports/latest";
/// Most runs that are listed.
const RUNS_MAX: usize = 20;
/// Most conflicts that are listed.
const CONFLICTS_MAX: usize = 100;

/// A kind of resource.
struct Kind {
    /// The first part of the address.
    folder: &'static str,
    /// The variable that stands for the second part.
    variable: &'static str,
    title: &'static str,
    description: &'static str,
    /// The use case that tells of it.
    operation: &'static str,
    /// The request for the one of this name.
    request: fn(&str) -> Value,
}

const KINDS: [Kind; 4] = [
    Kind {
        folder: "reports",
        variable: "latest",
        title: "The latest run",
        description: "What the newest run of any target came to.",
        operation: "history",
        request: |_| json!({ "limit": 1 }),
    },
    Kind {
        folder: "runs",
        variable: "{run}",
        title: "A run",
        description: "What a run came to, by its identifier.",
        operation: "history",
        request: |run| json!({ "run": run, "limit": 1 }),
    },
    Kind {
        folder: "conflicts",
        variable: "{id}",
        title: "A conflict",
        description: "A conflict and the versions that are involved, by its identifier.",
        operation: "show_conflict",
        request: |id| json!({ "id": id }),
    },
    Kind {
        folder: "targets",
        variable: "{target}",
        title: "A target",
        description: "How a target is doing, by its name; both of its sides are looked at.",
        operation: "status",
        request: |target| json!({ "targets": [target] }),
    },
];

/// The kinds whose address has a variable.
pub(crate) fn templates() -> Vec<ResourceTemplate> {
    let kinds = KINDS.iter().filter(|kind| kind.variable.starts_with('{'));
    let described = kinds.map(|kind| {
        ResourceTemplate::new(format!("{SCHEME}{}/{}", kind.folder, kind.variable), kind.operation)
            .with_title(kind.title)
            .with_description(kind.description)
            .with_mime_type(JSON)
    });
    described.collect()
}

/// What there is now: the latest run, the targets, open conflicts, and the last runs. Names of files stand in none.
///
/// # Errors
/// When the state cannot be read.
pub(crate) async fn list(service: &Service) -> Result<Vec<Resource>, Problem> {
    let mut listed = vec![resource(LATEST, "latest", "The latest run")];
    for target in &service.workspace().targets {
        let name = &target.name;
        listed.push(resource(&format!("{SCHEME}targets/{name}"), name, &format!("The target {name}")));
    }
    let conflicts = call(service, "list_conflicts", json!({})).await?;
    for id in identifiers(&conflicts["conflicts"], "id").take(CONFLICTS_MAX) {
        listed.push(resource(&format!("{SCHEME}conflicts/{id}"), id, "A conflict that waits for a decision"));
    }
    let runs = call(service, "history", json!({ "limit": RUNS_MAX })).await?;
    for id in identifiers(&runs["runs"], "run") {
        listed.push(resource(&format!("{SCHEME}runs/{id}"), id, "A run"));
    }
    Ok(listed)
}

fn identifiers<'a>(list: &'a Value, member: &'a str) -> impl Iterator<Item = &'a str> {
    list.as_array().into_iter().flatten().filter_map(move |item| item[member].as_str())
}

fn resource(uri: &str, name: &str, title: &str) -> Resource {
    Resource::new(uri, name).with_title(title).with_mime_type(JSON)
}

/// What is at an address.
///
/// # Errors
/// When nothing is, or it cannot be told.
pub(crate) async fn read(service: &Service, uri: &str) -> Result<ResourceContents, ErrorData> {
    let Some((kind, name)) = meant(uri) else { return Err(unknown(uri)) };
    let result =
        call(service, kind.operation, (kind.request)(name)).await.map_err(|problem| error(&problem))?;
    let Envelope { structured, meta, .. } = wrapped(kind.title, result);
    let contents = ResourceContents::text(structured.to_string(), uri).with_mime_type(JSON);
    Ok(contents.with_meta(MetaObject(meta)))
}

/// The kind that an address is of, and the name in it: one name, and no pattern for several.
fn meant(uri: &str) -> Option<(&'static Kind, &str)> {
    let (folder, name) = uri.strip_prefix(SCHEME)?.split_once('/')?;
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    if name.is_empty() || !name.bytes().all(is_name) {
        return None;
    }
    let kind = KINDS.iter().find(|kind| kind.folder == folder)?;
    (kind.variable.starts_with('{') || kind.variable == name).then_some((kind, name))
}

async fn call(service: &Service, name: &str, request: Value) -> Result<Value, Problem> {
    let found: Option<&Operation> = OPERATIONS.iter().find(|operation| operation.name == name);
    let operation = found.ok_or_else(|| Problem::not_found(format!("there is no operation {name:?}")))?;
    (operation.call)(service, request).await
}

pub(crate) fn unknown(uri: &str) -> ErrorData {
    ErrorData::resource_not_found(format!("there is no resource {uri:?}"), Some(json!({ "uri": uri })))
}

/// A problem as an error of the protocol.
pub(crate) fn error(problem: &Problem) -> ErrorData {
    let data = serde_json::to_value(problem.to_wire()).ok();
    ErrorData::new(rmcp::model::ErrorCode(problem.mcp_code()), problem.message.clone(), data)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_names_one_thing_and_every_kind_has_its_use_case() {
        for (uri, operation) in [
            ("syncline://reports/latest", "history"),
            ("syncline://runs/0199-ab", "history"),
            ("syncline://conflicts/8f00", "show_conflict"),
            ("syncline://targets/oca_web.17-0", "status"),
        ] {
            assert_eq!(meant(uri).unwrap().0.operation, operation, "{uri}");
        }
        for uri in [
            "syncline://reports/other",
            "syncline://targets/*",
            "syncline://targets/a/b",
            "syncline://targets/",
            "syncline://targets",
            "syncline://conflicts/docs%2Fa.md",
            "syncline://secrets/a",
            "file:///etc/passwd",
        ] {
            assert!(meant(uri).is_none(), "{uri}");
        }
        for kind in &KINDS {
            let operation = OPERATIONS.iter().find(|operation| operation.name == kind.operation).unwrap();
            assert!(operation.tool.unwrap().read_only, "{}", kind.operation);
        }
    }
}
