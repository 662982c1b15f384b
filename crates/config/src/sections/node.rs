//! `node`: this machine.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;
use syncline_core::ItemPath;

use super::{NAME_MAX, Resolver, is_name, name_rule};
use crate::suggest::quote;

/// This machine.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Node {
    /// The name of this machine: in reports, and in the names of conflict copies. Default: the host name.
    #[schemars(example = &"helios")]
    name: Option<String>,
    /// A folder of the workspace into which `syncline serve` writes how this node is doing, as small JSON files that other
    /// programs read.
    #[schemars(example = &"sync")]
    state_files: Option<String>,
}

impl Node {
    /// Its name, and the folder of its state files.
    pub(crate) fn resolve(self, host: &str, resolver: &mut Resolver<'_>) -> (String, Option<PathBuf>) {
        let name = self.name.unwrap_or_else(|| sanitised(host));
        if !is_name(&name) {
            let message = format!("{} cannot be the name of a node", quote(&name));
            resolver.error(&["node", "name"], "bad_name", message, name_rule());
        }
        if let Some(folder) = &self.state_files
            && (folder.is_empty() || ItemPath::parse(folder).is_err())
        {
            let message = format!("{} is no folder of the workspace", quote(folder));
            let hint = "write a path below it, like `sync`".to_owned();
            resolver.error(&["node", "state_files"], "bad_path", message, hint);
        }
        (name, self.state_files.map(PathBuf::from))
    }
}

/// A host name, made fit to be the name of a node.
fn sanitised(host: &str) -> String {
    let fit = |c: char| {
        if c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-') { c } else { '-' }
    };
    let name: String = host.chars().take(NAME_MAX).map(fit).collect();
    let name = name.trim_start_matches(['-', '.']);
    if name.is_empty() { "node".to_owned() } else { name.to_owned() }
}
