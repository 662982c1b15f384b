//! The decision table.

use crate::path::ItemPath;
use crate::policy::Abilities;
use crate::side::{Side, Sides};
use crate::snapshot::{Found, Problem};
use crate::step::{Need, Plan};

use super::Input;
use super::conflict::{self, Settled};
use super::observe::{Decision, Node, Now};

/// Decides about every node that no earlier phase decided, parents before what they hold.
pub(super) fn all(input: &Input<'_>, nodes: &mut [Node<'_>], plan: &mut Plan) {
    let mut blocked = Blocked::default();
    for node in nodes {
        if blocked.covers(&node.path) {
            // Something above is no directory on one side and stays so: nothing below can agree.
            node.decision = Decision::Leave;
            continue;
        }
        if node.decision != Decision::Leave {
            continue;
        }
        node.decision = match held_back(input, node) {
            Some(problem) => {
                plan.problems.push(problem);
                Decision::Leave
            }
            None => decide(input, node, plan),
        };
        if node.decision == Decision::Leave || is_unsettled(&node.decision) {
            blocked.note(node);
        }
    }
}

fn is_unsettled(decision: &Decision) -> bool {
    matches!(decision, Decision::Conflict(settled) if settled.is_untouched())
}

/// Paths below which nothing can be done because one side holds a directory there and the other does not.
#[derive(Default)]
struct Blocked {
    above: Option<ItemPath>,
}

impl Blocked {
    fn covers(&self, path: &ItemPath) -> bool {
        self.above.as_ref().is_some_and(|above| path.is_below(above.as_str()))
    }

    fn note(&mut self, node: &Node<'_>) {
        let directory = Sides::from_fn(|side| node.is_directory(side));
        let other_type = |side: Side| node.now[side].is_there() && !directory[side];
        if directory.local && other_type(Side::Remote) || directory.remote && other_type(Side::Local) {
            self.above = Some(node.path.clone());
        }
    }
}

/// Why an item cannot go to the other side, when it cannot.
pub(super) fn held_back(input: &Input<'_>, node: &Node<'_>) -> Option<Problem> {
    for side in Side::BOTH {
        let Now::Other(found) = &node.now[side] else { continue };
        let to = side.other();
        let abilities: &Abilities = &input.policy.abilities[to];
        if found.item.kind == crate::item::Kind::Symlink && !abilities.symlinks {
            let message =
                format!("the {to} side cannot hold symbolic links; the link stays on the {side} side");
            return Some(Problem::new(node.path.as_str(), "symlink_unsupported", message).on(to));
        }
        if let Some(size_max) = abilities.size_max
            && found.item.size > size_max
        {
            let message = format!("{} bytes are more than the {to} side takes ({size_max})", found.item.size);
            return Some(Problem::new(node.path.as_str(), "too_large", message).on(to));
        }
    }
    None
}

/// What counts as being on `side`: a directory is nothing by itself where one of the sides keeps none.
fn counted<'a, 's>(input: &Input<'_>, node: &'a Node<'s>, side: Side) -> &'a Now<'s> {
    static NOTHING: Now = Now::Absent;
    let keeps_all = Side::BOTH.iter().all(|&side| input.policy.abilities[side].directories);
    if !keeps_all && node.is_directory(side) { &NOTHING } else { &node.now[side] }
}

/// The table. On entry: no rule, person or rename decided about this path, and both sides can hold it.
fn decide(input: &Input<'_>, node: &Node<'_>, plan: &mut Plan) -> Decision {
    match (counted(input, node, Side::Local), counted(input, node, Side::Remote)) {
        // What cannot be seen is neither absent nor changed. What is only implied never counts.
        (Now::Unseen | Now::Implied, _) | (_, Now::Unseen | Now::Implied) => Decision::Leave,
        (Now::Absent, Now::Absent) => Decision::Forget,
        (Now::Same(_), Now::Same(_)) => Decision::Settle,
        (Now::Other(_), Now::Same(_) | Now::Absent) => one_sided(input, node, Side::Local, plan),
        (Now::Same(_) | Now::Absent, Now::Other(_)) => one_sided(input, node, Side::Remote, plan),
        (Now::Absent, Now::Same(_)) => removed(input, Side::Local),
        (Now::Same(_), Now::Absent) => removed(input, Side::Remote),
        (Now::Other(local), Now::Other(remote)) => both_changed(input, node, local, remote, plan),
    }
}

/// Only `side` holds something new or edited; the other one holds what was agreed, or nothing. That an edit
/// meets a removal makes no difference: the edit wins.
fn one_sided(input: &Input<'_>, node: &Node<'_>, side: Side, plan: &mut Plan) -> Decision {
    if input.policy.direction.may_write(side.other()) {
        return Decision::Flow(side.other());
    }
    // The direction forbids it. What the destination changed on its own is left alone and told.
    plan.drift.push((side, node.path.clone()));
    Decision::Leave
}

/// `side` no longer holds what was agreed, and the other one still does, unchanged.
const fn removed(input: &Input<'_>, side: Side) -> Decision {
    if input.policy.direction.may_write(side.other()) {
        return Decision::Remove(side.other());
    }
    // One way only: the source still has it, so the destination gets it back.
    Decision::Flow(side)
}

/// Both sides hold something that was not agreed.
fn both_changed(
    input: &Input<'_>,
    node: &Node<'_>,
    local: &Found,
    remote: &Found,
    plan: &mut Plan,
) -> Decision {
    if local.item.agrees_with(&remote.item) {
        return Decision::Settle;
    }
    let mut unknown = false;
    for (side, found) in [(Side::Local, local), (Side::Remote, remote)] {
        if found.item.digest.is_none() && !found.item.kind.is_directory() {
            plan.needs.push(Need { side, path: node.path.clone() });
            unknown = true;
        }
    }
    if unknown {
        return Decision::Leave;
    }
    if let Some(need) = conflict::missing_merge(input, node, &Sides { local, remote }) {
        plan.merges.push(need);
        return Decision::Leave;
    }
    let settled: Settled = conflict::settle(input, node, &Sides { local: &local.item, remote: &remote.item });
    Decision::Conflict(Box::new(settled))
}
