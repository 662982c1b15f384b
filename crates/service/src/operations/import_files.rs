//! Makes a configuration from the files of older tools; the text is given, and no file is touched.

use std::collections::BTreeMap;
use std::path::Path;

use schemars::{JsonSchema, schema_for};
use serde::{Deserialize, Serialize};
use syncline_config::KindSchema;

use crate::import::{self, FILE_BYTES_MAX, Recognised, Told};
use crate::operation::{Operation, Scope, answer, post, question};
use crate::problem::{Class, Problem, Result};
use crate::service::kind_schemas;
use crate::wire::VERSION;

/// Most files that are read at once.
const FILES_MAX: usize = 32;

/// The line of this use case in the list.
pub const OPERATION: Operation = Operation {
    name: "import_files",
    summary: "Make a configuration from the files of older tools",
    scope: Scope::Admin,
    route: post("/import"),
    tool: None,
    request: || schema_for!(Request),
    response: || schema_for!(Response),
    call: |service, value| {
        Box::pin(async move {
            let kinds = kind_schemas(service.registry());
            answer(&import_files(&question(value)?, &service.workspace().file, &kinds)?)
        })
    },
};

/// What to import.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Request {
    /// The files, in order: where two say different things, the first one counts.
    pub files: Vec<File>,
}

/// A file of an older tool.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// What it is called in what is told; it is recognised by what it holds.
    pub name: String,
    /// What it holds.
    pub text: String,
}

/// The configuration, and what became of each key.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Response {
    /// The version of this shape.
    pub version: u32,
    /// What each file was recognised as.
    pub files: Vec<Source>,
    /// What became of each key.
    pub keys: Vec<Told>,
    /// How many targets a run of it has; what this version does not run is a comment.
    pub targets: usize,
    /// The configuration. It loads.
    pub text: String,
    /// What it warns of when it is loaded.
    pub warnings: Vec<String>,
}

/// A file that was imported.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Source {
    /// Its name.
    pub name: String,
    /// What it was recognised as.
    pub recognised: Recognised,
}

/// Makes a configuration that belongs at `place`. Nothing is written.
///
/// # Errors
/// When a file is none of those that are understood, or too large.
pub fn import_files(request: &Request, place: &Path, kinds: &[KindSchema]) -> Result<Response> {
    if request.files.is_empty() || request.files.len() > FILES_MAX {
        return Err(Problem::usage("bad_request", format!("name 1 to {FILES_MAX} files to import")));
    }
    if let Some(file) = request.files.iter().find(|file| file.text.len() as u64 > FILE_BYTES_MAX) {
        return Err(too_large(&file.name));
    }
    let made = import::import(request.files.iter().map(|file| (file.name.as_str(), file.text.as_str())))?;
    // Held against everything that a run will hold it against, so that what is written can be used.
    let loaded = syncline_config::parse(&made.text, place, &BTreeMap::new(), kinds).map_err(|errors| {
        let first = errors.iter().next().map(|error| error.message.clone()).unwrap_or_default();
        let message = format!("what was made of the files cannot be loaded: {first}");
        Problem::new(Class::Failed, "bad_import", message)
            .with_hint("nothing was written; import the files one by one to see which one it is")
    })?;
    let recognised = made.recognised.into_iter();
    Ok(Response {
        version: VERSION,
        files: recognised.map(|(name, recognised)| Source { name, recognised }).collect(),
        keys: made.told,
        targets: loaded.targets.len(),
        text: made.text,
        warnings: loaded.warnings.iter().map(|warning| warning.message.clone()).collect(),
    })
}

/// The refusal of a file that is larger than any of those that are understood.
#[must_use]
pub fn too_large(name: &str) -> Problem {
    let message = format!("{name} is too large (at most {FILE_BYTES_MAX} bytes)");
    Problem::usage("too_large", message)
        .with_hint("the files that can be imported are small; is it the right one?")
}
