//! Writes the workflow with which a CI system runs the targets; the text is given, and no file is touched.

use schemars::{JsonSchema, schema_for};
use serde::{Deserialize, Serialize};

use crate::ci::{self, Agenda, Place, System};
use crate::operation::{Operation, Scope, ToolHints, answer, get, question};
use crate::problem::{Problem, Result};
use crate::service::Service;
use crate::wire::VERSION;

/// Largest workflow that is read, in bytes.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// The line of this use case in the list.
pub const OPERATION: Operation = Operation {
    name: "generate_ci",
    summary: "Give the workflow with which a CI system runs the targets",
    scope: Scope::Read,
    route: get("/ci/workflow"),
    tool: Some(ToolHints::READ_ONLY),
    request: || schema_for!(Request),
    response: || schema_for!(Response),
    call: |service, value| Box::pin(async move { answer(&generate_ci(service, &question(value)?)?) }),
};

/// For which system.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Request {
    /// The system.
    pub system: System,
    /// The action that installs Syncline, as `OWNER/REPOSITORY@REF` or `./FOLDER`. Without it, that of the workflow that
    /// is there; without one, the runner must have the program.
    pub action: Option<String>,
}

/// The workflow.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Response {
    /// The version of this shape.
    pub version: u32,
    /// The system.
    pub system: System,
    /// The folder of the repository, or of the workspace when it lies in none.
    pub repository: String,
    /// Where in it the workflow belongs.
    pub path: String,
    /// Its text.
    pub text: String,
    /// What it will not do as the configuration means it.
    pub warnings: Vec<String>,
}

/// Makes the workflow.
///
/// # Errors
/// When the action is none, when a path cannot be named in a workflow, and when the workflow that is there cannot be
/// read.
pub fn generate_ci(service: &Service, request: &Request) -> Result<Response> {
    let place = Place::of(service.workspace())?;
    let action = match &request.action {
        Some(action) => {
            ci::check_action(action)?;
            Some(action.clone())
        }
        None => {
            let there = existing(&place)?.and_then(|text| ci::read(&text).ok());
            there.and_then(|workflow| ci::action_of(&workflow))
        }
    };
    let mut agenda = Agenda::of(service.workspace());
    if action.is_none() {
        agenda.warnings.push(
            "the runner must have the program `syncline`; name the repository of Syncline with \
             `--action OWNER/REPOSITORY@REF` to have it installed"
                .to_owned(),
        );
    }
    Ok(Response {
        version: VERSION,
        system: request.system,
        repository: place.folder.display().to_string(),
        path: Place::path().to_owned(),
        text: ci::workflow(&agenda, &place, action.as_deref())?,
        warnings: agenda.warnings,
    })
}

/// The text of the workflow that is there.
pub(super) fn existing(place: &Place) -> Result<Option<String>> {
    use std::io::{ErrorKind, Read as _};
    let file = place.file();
    let failed = |error| Problem::io(error, format_args!("reading {}", file.display()));
    let opened = match std::fs::File::open(&file) {
        Ok(opened) => opened,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let mut bytes = Vec::new();
    opened.take(FILE_BYTES_MAX).read_to_end(&mut bytes).map_err(failed)?;
    Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
}
