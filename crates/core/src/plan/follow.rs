//! An edit follows the rename of the other side: what one side edited at a path from which the other side moved it
//! away is moved as well, and then comes to the other side.
//!
//! Only when the endpoint itself says that the item was moved. Equal content alone does not say so, and the edit
//! would end in a file that it was never meant for.
//!
//! That takes a step on each side. After a kill between the two, the next run finds the edited content at both paths,
//! or at the new path of one side beside what was moved there on the other: either is brought to the same end.
//!
//! The second of these states is also what it looks like when both sides made the same rename and one of them edited
//! the file besides, and when one side removed it and put another one where the other side moved it. In all of them
//! one side has under the new name what both had agreed on, to the byte, and the other side something else: as
//! anywhere, what was edited comes to where nothing was, and what was agreed on stays in history. Only what is known to
//! be another item is none of these: it came from another path, or what was moved is at another path of its side. Then
//! two items meet at one name, which is a conflict.

use std::collections::{HashMap, HashSet};

use crate::digest::Digest;
use crate::path::ItemPath;
use crate::side::Side;
use crate::snapshot::Found;
use crate::step::{Need, Plan};

use super::Input;
use super::decide::held_back;
use super::moves::{Pair, is_same};
use super::observe::{Decision, Node, Now};

/// Decides about what `side` moved and the other side edited; the renames found.
pub(super) fn recognise(input: &Input<'_>, nodes: &mut [Node<'_>], side: Side, plan: &mut Plan) -> Vec<Pair> {
    let on = side.other();
    let edited: HashSet<usize> = (0..nodes.len())
        .filter(|&at| is_edited_source(&nodes[at], side) && held_back(input, &nodes[at]).is_none())
        .collect();
    let others = Others::on(nodes, on);
    let (mut pairs, mut unhinted) = (Vec::new(), Vec::new());
    for to in 0..nodes.len() {
        let Some(moved) = new_file(&nodes[to], side) else { continue };
        let alone = nodes[to].now[on] == Now::Absent;
        let pair = hinted(nodes, moved, to);
        match pair {
            Some(pair) if alone && edited.contains(&pair.from) => {
                let read = is_read(&nodes[to], side, plan) & is_read(&nodes[pair.from], on, plan);
                if read && is_same(&nodes[pair.from], &nodes[to], side) {
                    pairs.push(pair);
                }
            }
            Some(pair) if is_done_on_both(input, nodes, pair, side) => {
                let read = is_read(&nodes[to], side, plan) & is_read(&nodes[to], on, plan);
                let (from, node) = (&nodes[pair.from], &nodes[to]);
                let edited = read && is_same(from, node, side) && !is_same(from, node, on);
                if edited && !others.hold(from, node) {
                    nodes[to].decision = Decision::Flow(side);
                }
            }
            _ if alone && moved.item.size > 0 && !edited.is_empty() => unhinted.push(to),
            _ => {}
        }
    }
    for &pair in &pairs {
        if let Some(found) = away(nodes, pair, on) {
            let from = nodes[pair.from].path.clone();
            nodes[pair.to].decision = Decision::Follow(on, from, Box::new(found));
        }
    }
    for pair in pair_equal_edits(nodes, side, &edited, unhinted, plan) {
        if let Some(found) = away(nodes, pair, on) {
            let from = nodes[pair.from].path.clone();
            nodes[pair.to].decision = Decision::MoveHere(on, from, found.version);
            pairs.push(pair);
        }
    }
    pairs
}

/// Whether `side` removed the agreed file here and the other side edited it.
fn is_edited_source(node: &Node<'_>, side: Side) -> bool {
    node.decision == Decision::Leave
        && node.was.as_ref().is_some_and(|was| !was.kind.is_directory())
        && node.now[side] == Now::Absent
        && matches!(&node.now[side.other()], Now::Other(found) if !found.item.kind.is_directory())
}

/// What `side` has here, when it is a file where nothing was agreed.
fn new_file<'n>(node: &'n Node<'_>, side: Side) -> Option<&'n Found> {
    let is_new = node.decision == Decision::Leave && node.was.is_none();
    node.now[side].found().filter(|found| is_new && !found.item.kind.is_directory())
}

/// The rename that the endpoint is sure of, when the item may still be what was agreed.
fn hinted(nodes: &[Node<'_>], moved: &Found, to: usize) -> Option<Pair> {
    let path = moved.moved_from.as_ref()?;
    let from = nodes.binary_search_by(|node| node.path.cmp(path)).ok()?;
    let was = nodes[from].was.as_ref()?;
    (was.size == moved.item.size).then_some(Pair { from, to })
}

/// Whether both sides have a file at the new path and none at the old one.
fn is_done_on_both(input: &Input<'_>, nodes: &[Node<'_>], pair: Pair, side: Side) -> bool {
    let gone = Side::BOTH.iter().all(|&side| nodes[pair.from].now[side] == Now::Absent);
    let there = new_file(&nodes[pair.to], side.other()).is_some();
    gone && there && held_back(input, &nodes[pair.to]).is_none()
}

/// What a side is known to have moved by itself.
struct Others {
    side: Side,
    /// The paths from which it moved something, and where that is now, by the endpoint's own word.
    moved: HashMap<ItemPath, ItemPath>,
    /// Contents that were agreed on at paths where it has nothing any more.
    gone: HashSet<Digest>,
}

impl Others {
    fn on(nodes: &[Node<'_>], side: Side) -> Self {
        let moved = nodes.iter().filter_map(|node| {
            let from = node.now[side].found()?.moved_from.as_ref()?;
            Some((from.clone(), node.path.clone()))
        });
        let gone = nodes.iter().filter(|node| node.now[side] == Now::Absent).filter_map(|node| {
            let was = node.was.as_ref().filter(|was| !was.kind.is_directory() && was.size > 0)?;
            Some(was.digest)
        });
        Self { side, moved: moved.collect(), gone: gone.collect() }
    }

    /// Whether what the side has at `to` is known not to be what it made of the item at `from`.
    fn hold(&self, from: &Node<'_>, to: &Node<'_>) -> bool {
        let Some(found) = to.now[self.side].found() else { return false };
        let elsewhere = self.moved.get(&from.path).is_some_and(|now| *now != to.path);
        let foreign = found.moved_from.as_ref().is_some_and(|origin| *origin != from.path);
        elsewhere || foreign || found.item.digest.is_some_and(|digest| self.gone.contains(&digest))
    }
}

/// Whether the content of what `side` has here is known; otherwise it has to be read.
fn is_read(node: &Node<'_>, side: Side, plan: &mut Plan) -> bool {
    let read = node.now[side].found().is_some_and(|found| found.item.digest.is_some());
    if !read {
        plan.needs.push(Need { side, path: node.path.clone() });
    }
    read
}

/// Pairs new files of `side` with edited ones of the other side that have the same content.
fn pair_equal_edits(
    nodes: &[Node<'_>],
    side: Side,
    edited: &HashSet<usize>,
    mut new: Vec<usize>,
    plan: &mut Plan,
) -> Vec<Pair> {
    let on = side.other();
    let item = |at: usize, side: Side| nodes[at].now[side].found().map(|found| &found.item);
    let size = |at: usize, side: Side| item(at, side).map(|item| item.size);
    let sizes: HashSet<Option<u64>> = new.iter().map(|&at| size(at, side)).collect();
    let mut waiting: Vec<usize> =
        edited.iter().copied().filter(|&at| sizes.contains(&size(at, on))).collect();
    waiting.retain(|&at| nodes[at].decision == Decision::Leave && is_read(&nodes[at], on, plan));
    waiting.sort_unstable();
    let sizes: HashSet<Option<u64>> = waiting.iter().map(|&at| size(at, on)).collect();
    new.retain(|&at| sizes.contains(&size(at, side)) && is_read(&nodes[at], side, plan));
    let mut by_digest: HashMap<Option<Digest>, Vec<usize>> = HashMap::new();
    for at in waiting.into_iter().rev() {
        by_digest.entry(item(at, on).and_then(|item| item.digest)).or_default().push(at);
    }
    let mut pairs = Vec::new();
    for to in new {
        let Some(there) = item(to, side) else { continue };
        let candidates = by_digest.get_mut(&there.digest);
        let from = candidates.and_then(|from| {
            from.pop_if(|from| item(*from, on).is_some_and(|edited| edited.agrees_with(there)))
        });
        pairs.extend(from.map(|from| Pair { from, to }));
    }
    pairs
}

/// Marks the old path of a rename; what the side `on` has there.
fn away(nodes: &mut [Node<'_>], pair: Pair, on: Side) -> Option<Found> {
    let found = nodes[pair.from].held(on)?;
    nodes[pair.from].decision = Decision::MovedAway(on, nodes[pair.to].path.clone());
    Some(found)
}
