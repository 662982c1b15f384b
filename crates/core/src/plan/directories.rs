//! Keeps directories that still hold something.
//!
//! A directory may go, or give way to a file, only when nothing stays below it on that side: no item that was
//! added or edited there, nothing ignored, nothing unreadable. Otherwise it stays, and comes back where it was
//! removed.
//!
//! Beside a side that keeps no directories, nobody agrees on them. There, one goes when the plan takes the last thing
//! in it, as in a working tree of Git; what a user emptied stays.

use crate::baseline::Damaged;
use crate::item::Item;
use crate::path::ItemPath;
use crate::side::{Side, Sides};
use crate::step::{Need, Plan};

use super::Input;
use super::conflict;
use super::moves;
use super::observe::{Above, Decision, Node, Now, Wish};

/// Corrects decisions until every directory fits what is below and above it.
///
/// # Errors
/// When the baseline is damaged.
pub(super) fn fit(input: &Input<'_>, nodes: &mut [Node<'_>], plan: &mut Plan) -> Result<(), Damaged> {
    let untouched = untouched(input, nodes)?;
    // Each round only takes decisions back, so this ends; the bound guards against a mistake in that argument.
    for _ in 0..=nodes.len() {
        moves::undo_halves(nodes);
        keep_held(input, nodes, &untouched, plan);
        if !hold_back(nodes) {
            break;
        }
    }
    Ok(())
}

/// The directories that hold something both sides agree on and that no node is about, as far as one that this plan
/// takes something from may have to go without ever having been agreed on.
fn untouched(input: &Input<'_>, nodes: &[Node<'_>]) -> Result<Above, Damaged> {
    let mut taken = Above::default();
    for node in nodes {
        if Side::BOTH
            .iter()
            .any(|&side| !input.policy.abilities[side.other()].directories && leaves(node, side))
        {
            taken.note(node.path.parent());
        }
    }
    let mut untouched = Above::default();
    if taken.is_empty() {
        return Ok(untouched);
    }
    let mut directories = Vec::new();
    input.baseline.directories(&mut |directory| {
        // Of those that share no top directory with anything taken, none has to be looked at.
        let top = directory.split('/').next().unwrap_or_default();
        if taken.contains(top) {
            directories.push(directory.to_owned());
        }
    });
    for directory in &directories {
        let mut known = true;
        input.baseline.visit(directory, &mut |entry| {
            let is_node = |path: &ItemPath| nodes.binary_search_by(|node| node.path.cmp(path)).is_ok();
            known = known && ItemPath::child(directory, entry.name).is_ok_and(|path| is_node(&path));
        })?;
        if !known {
            untouched.note(directory);
        }
    }
    Ok(untouched)
}

/// Whether the plan takes the item at this path away from `side`.
fn leaves(node: &Node<'_>, side: Side) -> bool {
    match &node.decision {
        Decision::Remove(on) | Decision::MovedAway(on, _) => *on == side,
        Decision::Desired(wish) => wish.empties(side) && node.now[side].is_there(),
        _ => false,
    }
}

/// Whether `side` has a directory here that nobody agreed on, since the other side keeps none.
fn may_go(input: &Input<'_>, node: &Node<'_>, side: Side) -> bool {
    node.decision == Decision::Forget
        && node.now[side].is_there()
        && node.is_directory(side)
        && input.policy.direction.may_write(side)
}

/// Nothing happens below a conflict that nobody settled, since one side has no directory there. Tells whether a
/// decision was taken back.
fn hold_back(nodes: &mut [Node<'_>]) -> bool {
    let mut above: Option<ItemPath> = None;
    let mut changed = false;
    for node in nodes {
        if above.as_ref().is_some_and(|above| node.path.is_below(above.as_str())) {
            if !matches!(node.decision, Decision::Leave | Decision::MovedAway(..)) {
                node.decision = Decision::Leave;
                changed = true;
            }
        } else if matches!(&node.decision, Decision::Conflict(settled) if settled.is_untouched()) {
            above = Some(node.path.clone());
        }
    }
    changed
}

/// Looks at every directory after everything below it, and corrects its decision.
fn keep_held(input: &Input<'_>, nodes: &mut [Node<'_>], untouched: &Above, plan: &mut Plan) {
    let mut holding: Sides<Above> = Sides::default();
    let mut emptied: Sides<Above> = Sides::default();
    for index in (0..nodes.len()).rev() {
        let node = &nodes[index];
        let held = Sides::from_fn(|side| holding[side].contains(node.path.as_str()));
        let name = node.path.as_str();
        let empty = |side: Side| emptied[side].contains(name) && !held[side] && !untouched.contains(name);
        if let Some(decision) = corrected(input, node, &held, plan) {
            nodes[index].decision = decision;
        } else if let Some(side) =
            Side::BOTH.into_iter().find(|&side| empty(side) && may_go(input, node, side))
        {
            nodes[index].decision = Decision::Remove(side);
        }
        let node = &nodes[index];
        for side in Side::BOTH {
            if held[side] || stays(node, side) {
                holding[side].note(node.path.parent());
            }
            if leaves(node, side) {
                emptied[side].note(node.path.parent());
            }
        }
    }
}

/// Whether something is at this path on `side` after the decision is carried out.
fn stays(node: &Node<'_>, side: Side) -> bool {
    match &node.decision {
        Decision::Leave | Decision::Settle | Decision::Forget => node.now[side].is_there(),
        Decision::Flow(_)
        | Decision::MoveHere(..)
        | Decision::Carried(..)
        | Decision::Follow(..)
        | Decision::Conflict(_) => true,
        Decision::Remove(on) => *on != side && node.now[side].is_there(),
        // It leaves the following side by the move, and the other side has already done without it.
        Decision::MovedAway(..) => false,
        Decision::Desired(wish) => {
            wish.sides[side].as_ref().map_or_else(|| node.now[side].is_there(), Option::is_some)
        }
    }
}

/// The decision about a directory that is to go although something below it stays.
fn corrected(input: &Input<'_>, node: &Node<'_>, held: &Sides<bool>, plan: &mut Plan) -> Option<Decision> {
    let may_write = |side: Side| input.policy.direction.may_write(side);
    match &node.decision {
        Decision::Remove(on) if held[*on] && node.is_directory(*on) => {
            // It stays, so the side that removed it gets it back, where the direction allows and that side can.
            let back = may_write(on.other()) && input.policy.abilities[on.other()].directories;
            Some(if back { Decision::Flow(on.other()) } else { Decision::Leave })
        }
        Decision::Forget if matches!((&node.now.local, &node.now.remote), (Now::Absent, Now::Absent)) => None,
        Decision::Flow(to) if held[*to] && node.is_directory(*to) && !node.is_directory(to.other()) => {
            let settled = conflict::settle_held_directory(input, node, *to);
            if settled.is_none() {
                plan.needs.push(Need { side: to.other(), path: node.path.clone() });
            }
            Some(settled.map_or(Decision::Leave, |settled| Decision::Conflict(Box::new(settled))))
        }
        Decision::Desired(wish) => desired_directory(node, wish, held),
        _ => None,
    }
}

/// The wish for nothing where something below stays: a directory stays as well. A file that a run had put there goes.
fn desired_directory(node: &Node<'_>, wish: &Wish, held: &Sides<bool>) -> Option<Decision> {
    let directory = || Some(Item::directory());
    let kept = |side: &Side| held[*side] && wish.empties(*side);
    if wish.sides.local != wish.sides.remote {
        let kept = |side: &Side| kept(side) && node.is_directory(*side);
        let mut kept = Side::BOTH.into_iter().filter(kept).peekable();
        kept.peek()?;
        let mut wish = wish.clone();
        kept.for_each(|side| wish.sides[side] = Some(directory()));
        return Some(Decision::Desired(Box::new(wish)));
    }
    Side::BOTH.iter().any(kept).then(|| {
        if Side::BOTH.iter().any(|&side| node.is_directory(side)) {
            let sides = Sides::from_fn(|_| Some(directory()));
            Decision::Desired(Box::new(Wish { agreed: directory(), sides }))
        } else {
            Decision::Leave
        }
    })
}
