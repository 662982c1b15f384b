//! Recognises renames: what one side moved is moved on the other side too, at no transfer.
//!
//! Only exact renames count: the content at the new path is the agreed content of the old one, and the other
//! side touched neither path. Everything else is a removal and a creation, which is always right, only slower.
//! What the other side edited meanwhile is looked at in [`follow`].

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use crate::digest::Digest;
use crate::item::Version;
use crate::path::ItemPath;
use crate::side::Side;
use crate::snapshot::Problem;
use crate::step::{Need, Plan};

use super::Input;
use super::apart;
use super::follow;
use super::observe::{Decision, Node, Now};

/// Finds renames on each side and decides about the nodes that take part in them.
pub(super) fn recognise(input: &Input<'_>, nodes: &mut [Node<'_>], plan: &mut Plan) {
    for side in Side::BOTH {
        let to = side.other();
        if !input.policy.direction.may_write(to) || !input.policy.abilities[to].moves {
            continue;
        }
        let mut pairs = pair(nodes, side, |node| is_source(node, side), plan);
        let carried = if input.policy.abilities[to].directory_moves && !pairs.is_empty() {
            whole_directories(nodes, side, &pairs)
        } else {
            Vec::new()
        };
        decide(nodes, to, &pairs, &carried);
        if input.policy.direction.may_write(side) {
            pairs.extend(follow::recognise(input, nodes, side, plan));
        }
        tell_left_behind(nodes, side, &pairs, plan);
    }
    apart::tell(input, nodes, plan);
}

/// Turns the old half of every rename whose new half was taken back into what it is without it: a removal, or an
/// edit that comes back.
pub(super) fn undo_halves(nodes: &mut [Node<'_>]) {
    let moved: HashSet<ItemPath> = nodes
        .iter()
        .filter(|node| matches!(node.decision, Decision::MoveHere(..) | Decision::Follow(..)))
        .map(|node| node.path.clone())
        .collect();
    for node in nodes {
        if let Decision::MovedAway(on, to) = &node.decision
            && !moved.contains(to)
        {
            let edited = matches!(node.now[*on], Now::Other(_));
            node.decision = if edited { Decision::Flow(on.other()) } else { Decision::Remove(*on) };
        }
    }
}

/// A rename of one item: the indices of the nodes of its old and its new path.
#[derive(Clone, Copy)]
pub(super) struct Pair {
    pub(super) from: usize,
    pub(super) to: usize,
}

/// Whether `side` removed the agreed item here and the other side still has it as agreed.
fn is_source(node: &Node<'_>, side: Side) -> bool {
    node.decision == Decision::Leave
        && node.was.is_some()
        && node.now[side] == Now::Absent
        && matches!(node.now[side.other()], Now::Same(_))
}

/// Whether `side` has something new here where the other side has nothing and nothing was agreed.
fn is_destination(node: &Node<'_>, side: Side) -> bool {
    node.decision == Decision::Leave
        && node.was.is_none()
        && matches!(node.now[side], Now::Other(_))
        && node.now[side.other()] == Now::Absent
}

/// Pairs what disappeared from `side`, as far as it is a source, with what appeared there: by the endpoint's own word
/// first, then by digest.
pub(super) fn pair(
    nodes: &[Node<'_>],
    side: Side,
    is_source: impl Fn(&Node<'_>) -> bool,
    plan: &mut Plan,
) -> Vec<Pair> {
    let mut sources: BTreeMap<&ItemPath, usize> = BTreeMap::new();
    let mut by_digest: HashMap<Digest, Vec<usize>> = HashMap::new();
    let mut sizes: HashSet<u64> = HashSet::new();
    for (index, node) in nodes.iter().enumerate().filter(|(_, node)| is_source(node)) {
        let Some(was) = node.was.as_ref().filter(|was| !was.kind.is_directory()) else { continue };
        sources.insert(&node.path, index);
        // Empty files are all alike: they say nothing about where they came from.
        if was.size > 0 {
            by_digest.entry(was.digest).or_default().push(index);
            sizes.insert(was.size);
        }
    }
    if sources.is_empty() {
        return Vec::new();
    }
    let mut used: HashSet<usize> = HashSet::new();
    let mut pairs = Vec::new();
    let mut unhinted = Vec::new();
    for (to, node) in nodes.iter().enumerate().filter(|(_, node)| is_destination(node, side)) {
        let Some(found) = node.now[side].found().filter(|found| !found.item.kind.is_directory()) else {
            continue;
        };
        let hinted = found.moved_from.as_ref().and_then(|from| sources.get(from)).copied();
        match hinted.filter(|&from| is_same(&nodes[from], node, side) && used.insert(from)) {
            Some(from) => pairs.push(Pair { from, to }),
            None if found.item.digest.is_none() && sizes.contains(&found.item.size) => {
                plan.needs.push(Need { side, path: node.path.clone() });
            }
            None => unhinted.push((to, found.item.digest)),
        }
    }
    for (to, digest) in unhinted {
        let candidates = digest.and_then(|digest| by_digest.get(&digest)).map_or(&[][..], Vec::as_slice);
        let fits = |from: &&usize| !used.contains(*from) && is_same(&nodes[**from], &nodes[to], side);
        let same_name = |from: &&usize| nodes[**from].path.name() == nodes[to].path.name();
        let chosen = candidates.iter().filter(fits).find(same_name).or_else(|| candidates.iter().find(fits));
        if let Some(&from) = chosen {
            used.insert(from);
            pairs.push(Pair { from, to });
        }
    }
    pairs.sort_by_key(|pair| pair.to);
    pairs
}

/// Whether `side` has at the new path what was agreed on at the old one.
pub(super) fn is_same(from: &Node<'_>, to: &Node, side: Side) -> bool {
    match (&from.was, to.now[side].found()) {
        (Some(was), Some(found)) => was.kind == found.item.kind && Some(was.digest) == found.item.digest,
        _ => false,
    }
}

/// Tells of what the other side has in a folder that `side` moved away, and that stays where it was.
fn tell_left_behind(nodes: &[Node<'_>], side: Side, pairs: &[Pair], plan: &mut Plan) {
    let gone: HashSet<&str> = nodes
        .iter()
        .filter(|node| {
            node.now[side] == Now::Absent && node.was.as_ref().is_some_and(|was| was.kind.is_directory())
        })
        .map(|node| node.path.as_str())
        .collect();
    if gone.is_empty() {
        return;
    }
    let moved: HashMap<&str, &str> = pairs
        .iter()
        .map(|pair| (nodes[pair.from].path.parent(), nodes[pair.to].path.parent()))
        .filter(|(from, to)| from != to && gone.contains(from))
        .collect();
    for node in nodes.iter().filter(|node| node.decision == Decision::Leave) {
        let Some(folder) = moved.get(node.path.parent()) else { continue };
        if node.now[side] == Now::Absent && matches!(node.now[side.other()], Now::Other(_)) {
            let message = format!(
                "the {side} side moved what was beside it to {folder:?} meanwhile; it stays here, move it there if it \
                 belongs there"
            );
            plan.problems.push(Problem::new(node.path.as_str(), "left_behind", message).on(side.other()));
        }
    }
}

/// A directory that moved with everything below it: the indices of its nodes, and all that it takes along.
struct Carried {
    from: usize,
    to: usize,
    below: Vec<Pair>,
}

/// Collapses the renames of everything below a directory into one rename of the directory.
fn whole_directories(nodes: &[Node<'_>], side: Side, pairs: &[Pair]) -> Vec<Carried> {
    let index: HashMap<&str, usize> =
        nodes.iter().enumerate().map(|(at, node)| (node.path.as_str(), at)).collect();
    let targets: HashMap<usize, usize> = pairs.iter().map(|pair| (pair.from, pair.to)).collect();
    let mut candidates: BTreeSet<(&ItemPath, &ItemPath)> = BTreeSet::new();
    for pair in pairs {
        let roots = moved_directories(&nodes[pair.from].path, &nodes[pair.to].path);
        for (from, to) in roots {
            let find = |text: &str| index.get(text).map(|&at| &nodes[at].path);
            if let (Some(from), Some(to)) = (find(from), find(to)) {
                candidates.insert((from, to));
            }
        }
    }
    // Path order puts outer directories first; what they carry need not be looked at again.
    let mut taken: HashSet<usize> = HashSet::new();
    let mut moved = Vec::new();
    for (from, to) in candidates {
        let (from, to) = (index[from.as_str()], index[to.as_str()]);
        if taken.contains(&from) || taken.contains(&to) {
            continue;
        }
        if let Some(carried) = carry(nodes, side, from, to, &index, &targets) {
            taken.extend(carried.below.iter().flat_map(|pair| [pair.from, pair.to]).chain([from, to]));
            moved.push(carried);
        }
    }
    moved
}

/// The directories that a rename of one file may be part of, outermost first: `a/x/f` to `b/x/f` gives `a` to
/// `b` and `a/x` to `b/x`.
fn moved_directories<'a>(from: &'a ItemPath, to: &'a ItemPath) -> Vec<(&'a str, &'a str)> {
    let mut pairs = Vec::new();
    let (mut from, mut to) = (from.as_str(), to.as_str());
    while let (Some((from_parent, from_name)), Some((to_parent, to_name))) =
        (from.rsplit_once('/'), to.rsplit_once('/'))
    {
        if from_name != to_name || from_parent == to_parent {
            break;
        }
        pairs.push((from_parent, to_parent));
        (from, to) = (from_parent, to_parent);
    }
    pairs.reverse();
    pairs
}

/// Everything below `from`, if all of it reappeared below `to` and the other side has nothing of its own there.
fn carry(
    nodes: &[Node<'_>],
    side: Side,
    from: usize,
    to: usize,
    index: &HashMap<&str, usize>,
    targets: &HashMap<usize, usize>,
) -> Option<Carried> {
    let (old, new) = (&nodes[from], &nodes[to]);
    let is_directory = old.was.as_ref().is_some_and(|was| was.kind.is_directory()) && new.is_directory(side);
    if !is_directory || !is_source(old, side) || !is_destination(new, side) {
        return None;
    }
    let mut below = Vec::new();
    for (at, node) in
        nodes.iter().enumerate().skip(from + 1).take_while(|(_, node)| node.path.is_below(old.path.as_str()))
    {
        let expected = *index.get(node.path.moved(&old.path, &new.path)?.as_str())?;
        if !is_source(node, side) {
            return None;
        }
        let directory = node.was.as_ref().is_some_and(|was| was.kind.is_directory());
        let fits = if directory {
            is_destination(&nodes[expected], side) && nodes[expected].is_directory(side)
        } else {
            targets.get(&at) == Some(&expected)
        };
        if !fits {
            return None;
        }
        below.push(Pair { from: at, to: expected });
    }
    let mut under_new = nodes.iter().skip(to + 1).take_while(|node| node.path.is_below(new.path.as_str()));
    let untouched = under_new.all(|node| node.now[side.other()] == Now::Absent);
    (untouched && !below.is_empty()).then_some(Carried { from, to, below })
}

/// Writes the renames found into the decisions: `on` is the side that follows.
fn decide(nodes: &mut [Node<'_>], on: Side, pairs: &[Pair], carried: &[Carried]) {
    let mut by_directory: HashSet<usize> = HashSet::new();
    for directory in carried {
        let to = nodes[directory.to].path.clone();
        move_here(nodes, on, Pair { from: directory.from, to: directory.to });
        for &Pair { from, to: below } in &directory.below {
            let version = held_version(&nodes[from], on);
            nodes[from].decision = Decision::MovedAway(on, to.clone());
            nodes[below].decision = Decision::Carried(on, version);
            by_directory.insert(from);
        }
    }
    for &pair in pairs.iter().filter(|pair| !by_directory.contains(&pair.from)) {
        move_here(nodes, on, pair);
    }
}

fn move_here(nodes: &mut [Node<'_>], on: Side, pair: Pair) {
    let (from, to) = (nodes[pair.from].path.clone(), nodes[pair.to].path.clone());
    let version = held_version(&nodes[pair.from], on);
    nodes[pair.from].decision = Decision::MovedAway(on, to);
    nodes[pair.to].decision = Decision::MoveHere(on, from, version);
}

fn held_version(node: &Node<'_>, side: Side) -> Version {
    node.held(side).map_or_else(Version::none, |held| held.version)
}
