//! Wishes that were made from what is not there any more are not granted.

use crate::baseline::Damaged;
use crate::digest::Digest;
use crate::path::ItemPath;
use crate::side::Side;
use crate::snapshot::Problem;
use crate::step::{Need, Plan};

use super::observe::{Node, Now};
use super::{Input, MadeFrom};

/// What is found at a path, compared with what it should hold.
enum Match {
    Yes,
    No,
    /// Only its content can tell.
    Unread,
}

/// Leaves everything alone that a decision is about when one of its paths has changed since: as long as nobody looked
/// at the change, it is somebody's present work.
pub(super) fn check(input: &Input<'_>, nodes: &mut Vec<Node<'_>>, plan: &mut Plan) -> Result<(), Damaged> {
    for held in &input.choices.made_from {
        if let Some((side, path)) = changed(input, nodes, held, plan)? {
            let message = format!(
                "the {side} side holds another version by now than the decision was made from; nothing was changed, \
                 look at it and decide again"
            );
            plan.problems.push(Problem::new(path.as_str(), "changed", message).on(side));
            let concerned = |node: &Node<'_>| {
                held.keys().any(|path| node.path == *path || node.path.is_below(path.as_str()))
            };
            nodes.retain(|node| !concerned(node));
        }
    }
    Ok(())
}

/// Where something else is than the decision was made from.
fn changed<'h>(
    input: &Input<'_>,
    nodes: &[Node<'_>],
    held: &'h MadeFrom,
    plan: &mut Plan,
) -> Result<Option<(Side, &'h ItemPath)>, Damaged> {
    for (path, digests) in held {
        let node = nodes.binary_search_by(|node| node.path.cmp(path)).ok().map(|at| &nodes[at]);
        let agreed = match node {
            Some(node) => node.was.as_ref().map(|was| was.item()),
            None => input.baseline.get(path)?.map(|entry| entry.item()),
        };
        let agreed = agreed.and_then(|item| item.digest);
        // What an earlier round of the same run has granted is as good.
        let wish = input.choices.desired.get(path).map(|item| item.as_ref().and_then(|item| item.digest));
        for side in Side::BOTH {
            let fits = |digest: Option<Digest>| digest == digests[side] || Some(digest) == wish;
            let found = match node.map(|node| &node.now[side]) {
                None | Some(Now::Same(_)) => Match::of(fits(agreed)),
                Some(Now::Absent | Now::Implied) => Match::of(fits(None)),
                Some(Now::Unseen) => Match::No,
                Some(Now::Other(found)) if found.item.kind.is_directory() => Match::No,
                Some(Now::Other(found)) => {
                    found.item.digest.map_or(Match::Unread, |digest| Match::of(fits(Some(digest))))
                }
            };
            match found {
                Match::Yes => {}
                Match::No => return Ok(Some((side, path))),
                Match::Unread => plan.needs.push(Need { side, path: path.clone() }),
            }
        }
    }
    Ok(None)
}

impl Match {
    const fn of(fits: bool) -> Self {
        if fits { Self::Yes } else { Self::No }
    }
}
