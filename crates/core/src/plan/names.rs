//! Names that a side would take for another one: reported and left alone, never overwritten.

use std::collections::{BTreeSet, HashMap};

use unicode_normalization::UnicodeNormalization;

use crate::baseline::{Damaged, visit_all};
use crate::path::ItemPath;
use crate::policy::Abilities;
use crate::side::Side;
use crate::snapshot::Problem;
use crate::step::Plan;

use super::Input;
use super::observe::{Decision, Node, Now};

/// Takes back every creation whose name a folding side would take for an existing or an earlier one; tells
/// whether there was any.
pub(super) fn stop_collisions(
    input: &Input<'_>,
    nodes: &mut [Node<'_>],
    plan: &mut Plan,
) -> Result<bool, Damaged> {
    let mut stopped = false;
    for side in Side::BOTH {
        let abilities = input.policy.abilities[side];
        if abilities.folds_case || abilities.folds_unicode {
            stopped |= stop_on(input, nodes, side, abilities, plan)?;
        }
    }
    Ok(stopped)
}

/// The text under which a folding side knows a path.
pub(super) fn folded(path: &str, abilities: Abilities) -> String {
    let text: String = if abilities.folds_unicode { path.nfc().collect() } else { path.to_owned() };
    if abilities.folds_case { text.chars().flat_map(char::to_lowercase).collect() } else { text }
}

fn stop_on(
    input: &Input<'_>,
    nodes: &mut [Node<'_>],
    side: Side,
    abilities: Abilities,
    plan: &mut Plan,
) -> Result<bool, Damaged> {
    if !nodes.iter().any(|node| creates(node, side)) {
        return Ok(false);
    }
    // A baseline may hold two names that fold together, when one of them is gone from this side.
    let mut taken: HashMap<String, BTreeSet<ItemPath>> = HashMap::new();
    visit_all(input.baseline, &mut |path, _| {
        taken.entry(folded(path.as_str(), abilities)).or_default().insert(path);
    })?;
    for node in nodes.iter() {
        let names = taken.entry(folded(node.path.as_str(), abilities)).or_default();
        if node.now[side].is_there() {
            names.insert(node.path.clone());
        } else {
            names.remove(&node.path);
        }
    }
    let mut stopped: Option<ItemPath> = None;
    for node in nodes.iter_mut() {
        if stopped.as_ref().is_some_and(|above| node.path.is_below(above.as_str())) {
            node.decision = Decision::Leave;
            continue;
        }
        if !creates(node, side) {
            continue;
        }
        // A side that keeps no directories tells of none: they are made on the way.
        let implied = node.path.ancestors().filter(|_| !input.policy.abilities[side.other()].directories);
        let mut made: Vec<ItemPath> = implied.chain([node.path.clone()]).collect();
        made.sort();
        let other = made.iter().find_map(|path| {
            let names = taken.get(&folded(path.as_str(), abilities))?;
            let other = names.iter().find(|other| *other != path && !is_rename_of(node, other))?;
            Some((path.clone(), other.clone()))
        });
        if let Some((path, other)) = other {
            let message = format!(
                "the {side} side takes this name for {other:?}, which is there already; rename one of them"
            );
            plan.problems.push(Problem::new(path.as_str(), "name_collision", message).on(side));
            stopped = Some(path);
            node.decision = Decision::Leave;
        } else {
            for path in made {
                taken.entry(folded(path.as_str(), abilities)).or_default().insert(path);
            }
        }
    }
    Ok(stopped.is_some())
}

/// Whether the decision puts something on `side` where nothing of this name is.
fn creates(node: &Node<'_>, side: Side) -> bool {
    match &node.decision {
        Decision::Flow(to)
        | Decision::MoveHere(to, ..)
        | Decision::Carried(to, _)
        | Decision::Follow(to, ..) => *to == side && node.now[side] == Now::Absent,
        _ => false,
    }
}

fn is_rename_of(node: &Node<'_>, other: &ItemPath) -> bool {
    matches!(&node.decision, Decision::MoveHere(_, from, _) | Decision::Follow(_, from, _) if from == other)
}
