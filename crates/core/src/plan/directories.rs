//! Keeps directories that still hold something.
//!
//! A directory may go, or give way to a file, only when nothing stays below it on that side: no item that was
//! added or edited there, nothing ignored, nothing unreadable. Otherwise it stays, and comes back where it was
//! removed.

use std::collections::HashSet;

use crate::path::ItemPath;
use crate::side::{Side, Sides};
use crate::step::{Need, Plan};

use super::Input;
use super::conflict;
use super::moves;
use super::observe::{Decision, Node, Now};

/// Corrects decisions until every directory fits what is below and above it.
pub(super) fn fit(input: &Input<'_>, nodes: &mut [Node], plan: &mut Plan) {
    // Each round only takes decisions back, so this ends; the bound guards against a mistake in that argument.
    for _ in 0..=nodes.len() {
        moves::undo_halves(nodes);
        keep_held(input, nodes, plan);
        if !hold_back(nodes) {
            break;
        }
    }
}

/// Nothing happens below a conflict that nobody settled, since one side has no directory there. Tells whether a
/// decision was taken back.
fn hold_back(nodes: &mut [Node]) -> bool {
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
fn keep_held(input: &Input<'_>, nodes: &mut [Node], plan: &mut Plan) {
    let mut holding: Sides<HashSet<String>> = Sides::default();
    for index in (0..nodes.len()).rev() {
        let node = &nodes[index];
        let held = Sides::from_fn(|side| holding[side].contains(node.path.as_str()));
        if let Some(decision) = corrected(input, node, &held, plan) {
            nodes[index].decision = decision;
        }
        let node = &nodes[index];
        for side in Side::BOTH {
            if held[side] || stays(node, side) {
                note(&mut holding[side], node.path.parent());
            }
        }
    }
}

fn note(holding: &mut HashSet<String>, directory: &str) {
    let mut text = directory;
    while !text.is_empty() && !holding.contains(text) {
        holding.insert(text.to_owned());
        text = text.rsplit_once('/').map_or("", |(parent, _)| parent);
    }
}

/// Whether something is at this path on `side` after the decision is carried out.
fn stays(node: &Node, side: Side) -> bool {
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
        Decision::Desired(item) => item.is_some(),
    }
}

/// The decision about a directory that is to go although something below it stays.
fn corrected(input: &Input<'_>, node: &Node, held: &Sides<bool>, plan: &mut Plan) -> Option<Decision> {
    let may_write = |side: Side| input.policy.direction.may_write(side);
    match &node.decision {
        Decision::Remove(on) if held[*on] && node.is_directory(*on) => {
            // It stays, so the side that removed it gets it back, where the direction allows.
            Some(if may_write(on.other()) { Decision::Flow(on.other()) } else { Decision::Leave })
        }
        Decision::Forget if matches!((&node.now.local, &node.now.remote), (Now::Absent, Now::Absent)) => None,
        Decision::Flow(to) if held[*to] && node.is_directory(*to) && !node.is_directory(to.other()) => {
            let settled = conflict::settle_held_directory(input, node, *to);
            if settled.is_none() {
                plan.needs.push(Need { side: to.other(), path: node.path.clone() });
            }
            Some(settled.map_or(Decision::Leave, |settled| Decision::Conflict(Box::new(settled))))
        }
        Decision::Desired(None) if Side::BOTH.iter().any(|&side| held[side]) => {
            Some(if Side::BOTH.iter().any(|&side| node.is_directory(side)) {
                Decision::Desired(Some(crate::item::Item::directory()))
            } else {
                Decision::Leave
            })
        }
        _ => None,
    }
}
