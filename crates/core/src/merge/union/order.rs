//! One order for the records of two versions.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet};

use crate::digest::Digest;

/// What decides between records that neither version orders: when the record came to be, then its name or content.
pub(super) type Rank = (Option<i128>, Vec<u8>);

/// Puts the records of `ranks` into one order that keeps the order of each version.
///
/// Of the records that may come next the one of the lowest rank does (Kahn, "Topological sorting of large networks",
/// 1962). For records that each version added at its end this is the same whatever is united first. Where the versions
/// contradict each other nothing may come next; then the record of the lowest rank among all that are left does.
pub(super) fn order(versions: [&[Digest]; 2], ranks: &HashMap<Digest, Rank>) -> Vec<Digest> {
    let mut after: HashMap<Digest, Vec<Digest>> = HashMap::new();
    let mut waiting: HashMap<Digest, usize> = HashMap::new();
    for version in versions {
        let kept: Vec<Digest> = version.iter().filter(|id| ranks.contains_key(id)).copied().collect();
        for pair in kept.windows(2) {
            after.entry(pair[0]).or_default().push(pair[1]);
            *waiting.entry(pair[1]).or_default() += 1;
        }
    }
    let entry = |id: Digest| Reverse((&ranks[&id], id));
    let mut left: BinaryHeap<_> = ranks.keys().map(|&id| entry(id)).collect();
    let mut ready: BinaryHeap<_> =
        ranks.keys().filter(|id| !waiting.contains_key(id)).map(|&id| entry(id)).collect();
    let mut done = HashSet::with_capacity(ranks.len());
    let mut order = Vec::with_capacity(ranks.len());
    while order.len() < ranks.len() {
        let Some(Reverse((_, id))) = ready.pop().or_else(|| left.pop()) else { break };
        if !done.insert(id) {
            continue;
        }
        order.push(id);
        for &next in after.get(&id).into_iter().flatten() {
            let Some(count) = waiting.get_mut(&next) else { continue };
            *count -= 1;
            if *count == 0 {
                ready.push(entry(next));
            }
        }
    }
    order
}
