//! Tells of renames that came apart: both sides moved the same item, each to a name of its own.
//!
//! Neither name is better than the other one, so the item stays under both, and a person is told to remove the one that
//! is too many. Without a word it would silently have become two.

use std::collections::{BTreeMap, HashMap};

use crate::side::{Direction, Side};
use crate::snapshot::Problem;
use crate::step::Plan;

use super::Input;
use super::moves::pair;
use super::observe::{Decision, Node, Now};

/// Where an item was agreed on, and where the local and the remote side have it now.
type Places<'a> = (&'a str, &'a str, &'a str);

/// Tells of every item that both sides moved, to different paths; asks for contents that have to be known for it.
pub(super) fn tell(input: &Input<'_>, nodes: &[Node<'_>], plan: &mut Plan) {
    if input.policy.direction != Direction::Bidirectional {
        return;
    }
    let local: HashMap<usize, usize> = pairs(nodes, Side::Local, plan);
    let remote: HashMap<usize, usize> = pairs(nodes, Side::Remote, plan);
    let mut groups: BTreeMap<Places<'_>, Vec<Places<'_>>> = BTreeMap::new();
    for (from, local) in local {
        if let Some(&remote) = remote.get(&from) {
            let places = (nodes[from].path.as_str(), nodes[local].path.as_str(), nodes[remote].path.as_str());
            groups.entry(folders(places)).or_default().push(places);
        }
    }
    for ((folder, to_local, to_remote), items) in groups {
        let (path, message) = match items.as_slice() {
            [(item, to_local, to_remote)] => (
                *item,
                format!(
                    "renamed to {to_local:?} on the local side and to {to_remote:?} on the remote one; both are kept, \
                     remove the one that you do not want"
                ),
            ),
            items => (
                folder,
                format!(
                    "{} files from here were moved to {to_local:?} on the local side and to {to_remote:?} on the remote \
                     one; both are kept, remove the ones that you do not want",
                    items.len()
                ),
            ),
        };
        plan.problems.push(Problem::new(path, "renamed_apart", message));
    }
}

/// What `side` moved of the files that neither side has in their place any more.
fn pairs(nodes: &[Node<'_>], side: Side, plan: &mut Plan) -> HashMap<usize, usize> {
    pair(nodes, side, is_gone, plan).into_iter().map(|pair| (pair.from, pair.to)).collect()
}

/// Whether something was agreed on here, and neither side has it any more.
fn is_gone(node: &Node<'_>) -> bool {
    node.decision == Decision::Leave
        && node.was.is_some()
        && Side::BOTH.iter().all(|&side| node.now[side] == Now::Absent)
}

/// The folders that were renamed, when the items are renamed because of them: a thousand files are told of once.
fn folders(places: Places<'_>) -> Places<'_> {
    let mut short = places;
    while let (Some(from), Some(local), Some(remote)) =
        (short.0.rsplit_once('/'), short.1.rsplit_once('/'), short.2.rsplit_once('/'))
        && from.1 == local.1
        && from.1 == remote.1
        && local.0 != remote.0
    {
        short = (from.0, local.0, remote.0);
    }
    short
}
