//! Proof that a merged document holds every edit of both sides, made on the document as it will be read.
//!
//! This looks only at the four documents, so that a mistake in walking or writing cannot hide here.

use std::collections::{HashMap, HashSet};

use super::super::lines::{By, regions, united};
use super::parse::{Body, Node};
use super::records::{ids, record_key};
use super::walk::Pointer;
use crate::digest::Digest;

/// The values of one place in the base, in both versions and in the result; `None` where there is none.
#[derive(Clone, Copy)]
pub(super) struct Four<'n, 'a> {
    pub base: Option<&'n Node<'a>>,
    pub local: Option<&'n Node<'a>>,
    pub remote: Option<&'n Node<'a>>,
    pub merged: Option<&'n Node<'a>>,
}

/// Fails with the place of the first edit that is not in the result.
pub(super) fn survives(four: Four<'_, '_>, key: Option<&str>, at: &mut Pointer) -> Result<(), String> {
    let digest = |node: Option<&Node<'_>>| node.map(|node| node.digest);
    let (base, local, remote) = (digest(four.base), digest(four.local), digest(four.remote));
    let expected = match () {
        () if local == remote || base == remote => Some(local),
        () if base == local => Some(remote),
        () => None,
    };
    if let Some(expected) = expected {
        return if digest(four.merged) == expected { Ok(()) } else { Err(at.text()) };
    }
    let (Some(local), Some(remote), Some(merged)) = (four.local, four.remote, four.merged) else {
        return Err(at.text());
    };
    match (&local.body, &remote.body, &merged.body) {
        (Body::Object(_), Body::Object(_), Body::Object(_)) => {
            let table = |node: Option<&'_ Node<'_>>| -> HashMap<String, usize> {
                let members = node.and_then(Node::object).unwrap_or_default().iter().enumerate();
                members.map(|(index, member)| (member.key.to_string(), index)).collect()
            };
            let tables = [four.base, four.local, four.remote, four.merged].map(table);
            let keys: HashSet<&String> = tables.iter().flat_map(HashMap::keys).collect();
            for name in keys {
                let [base, local, remote, merged] = std::array::from_fn(|version| {
                    let node = [four.base, four.local, four.remote, four.merged][version]?;
                    node.object()?.get(*tables[version].get(name)?).map(|member| &member.value)
                });
                at.within(name, |at| survives(Four { base, local, remote, merged }, key, at))?;
            }
            Ok(())
        }
        (Body::Array(local), Body::Array(remote), Body::Array(merged)) => {
            let base = four.base.and_then(Node::array).unwrap_or_default();
            array([base, local, remote, merged], key, at)
        }
        _ => Err(at.text()),
    }
}

/// The elements of base, local, remote and merged.
fn array(versions: [&[Node<'_>]; 4], key: Option<&str>, at: &mut Pointer) -> Result<(), String> {
    let nodes = versions.map(|nodes| nodes.iter().collect::<Vec<_>>());
    let Some(record_key) = record_key(key, &nodes) else { return sequence(versions, at) };
    let order = versions.map(|nodes| ids(nodes, &record_key));
    let tables = order.each_ref().map(|order| -> HashMap<Digest, usize> {
        order.iter().enumerate().map(|(index, &id)| (id, index)).collect()
    });
    let all: HashSet<Digest> = order.iter().flatten().copied().collect();
    for id in all {
        let node = |version: usize| tables[version].get(&id).map(|&index| &versions[version][index]);
        let four = Four { base: node(0), local: node(1), remote: node(2), merged: node(3) };
        let part =
            [1, 2, 0, 3].iter().find_map(|&version| tables[version].get(&id)).copied().unwrap_or_default();
        at.within(&part.to_string(), |at| survives(four, key, at))?;
    }
    let common = |version: usize, other: usize| -> Vec<Digest> {
        order[version].iter().filter(|id| tables[other].contains_key(id)).copied().collect()
    };
    for side in [1, 2] {
        let reordered = common(side, 0) != common(0, side);
        if reordered && common(side, 3) != common(3, side) {
            return Err(at.text());
        }
    }
    Ok(())
}

/// Without names: the elements are those that merging lines would give.
fn sequence(versions: [&[Node<'_>]; 4], at: &Pointer) -> Result<(), String> {
    let [base, local, remote, merged] =
        versions.map(|nodes| nodes.iter().map(|node| node.digest).collect::<Vec<Digest>>());
    let regions = regions(&base, &local, &remote);
    let apart = regions.iter().all(|region| region.by != By::Both);
    if apart && united(&regions, &base, &local, &remote) == merged { Ok(()) } else { Err(at.text()) }
}
