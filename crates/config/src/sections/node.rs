//! `node`: this machine.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{NAME_MAX, Resolver, is_name, name_rule};
use crate::suggest::quote;

/// This machine.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Node {
    /// The name of this machine: in reports, and in the names of conflict copies. Default: the host name.
    #[schemars(example = &"helios")]
    name: Option<String>,
}

impl Node {
    pub(crate) fn resolve(self, host: &str, resolver: &mut Resolver<'_>) -> String {
        match self.name {
            Some(name) => {
                if !is_name(&name) {
                    let message = format!("{} cannot be the name of a node", quote(&name));
                    resolver.error(&["node", "name"], "bad_name", message, name_rule());
                }
                name
            }
            None => sanitised(host),
        }
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
