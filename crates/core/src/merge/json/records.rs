//! Keyed records in arrays.

use std::collections::HashSet;

use super::parse::Node;
use crate::digest::Digest;

/// Members that name a record, in the order in which they are tried.
const KEYS: [&str; 4] = ["id", "key", "uuid", "name"];

/// The member that names the records of these arrays: `key` where it fits, else the first of `id`, `key`, `uuid` and
/// `name` that fits; `None` when the elements have no names.
///
/// It fits when every element of every version is an object that has it as a string or a number, once in each version.
pub(in crate::merge) fn record_key(key: Option<&str>, versions: &[Vec<&Node<'_>>]) -> Option<String> {
    let fits = |key: &str| {
        versions.iter().any(|nodes| !nodes.is_empty()) && versions.iter().all(|nodes| names(nodes, key))
    };
    key.into_iter().chain(KEYS).find(|key| fits(key)).map(str::to_owned)
}

fn names(nodes: &[&Node<'_>], key: &str) -> bool {
    let mut seen = HashSet::with_capacity(nodes.len());
    nodes.iter().all(|node| record_id(node, key).is_some_and(|id| seen.insert(id.digest)))
}

/// The value that names a record: a string or a number.
pub(in crate::merge) fn record_id<'n, 'a>(node: &'n Node<'a>, key: &str) -> Option<&'n Node<'a>> {
    node.member(key).filter(|id| id.is_scalar() && !matches!(id.raw, "null" | "true" | "false"))
}

/// The names of records that all have one.
pub(super) fn ids(nodes: &[Node<'_>], key: &str) -> Vec<Digest> {
    nodes.iter().filter_map(|node| record_id(node, key)).map(|id| id.digest).collect()
}
