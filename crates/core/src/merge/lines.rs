//! Three-way comparison of two sequences with the one they came from (diff3).
//!
//! Sources: Khanna, Kunal, Pierce, "A Formal Investigation of Diff3" (2007), for the regions; the rule that edits of
//! adjoining elements conflict is Git's (`git merge-file --diff3`), and tests hold this module against it. The
//! two-way comparison is Myers, "An O(ND) Difference Algorithm and Its Variations" (1986), from `gix-imara-diff`,
//! with Git's bounds on its cost.

use std::hash::Hash;
use std::ops::Range;

use gix_imara_diff::{Algorithm, Diff, InternedInput, Interner, Token};

use crate::side::{Side, Sides};

/// A place where a side differs from the base.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Region {
    /// The elements of the base.
    pub base: Range<usize>,
    /// The elements that stand there now, on each side.
    pub now: Sides<Range<usize>>,
    /// Who made the edit.
    pub by: By,
}

/// Who edited a region.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum By {
    /// Only this side.
    One(Side),
    /// Both, in the same way.
    Same,
    /// Both, differently.
    Both,
}

/// The lines of `bytes`, each with its line break; the last one may have none.
pub(super) fn lines(bytes: &[u8]) -> Vec<&[u8]> {
    bytes.split_inclusive(|&byte| byte == b'\n').collect()
}

/// The regions where `local` and `remote` differ from `base`, in order; between two regions is at least one element
/// that all three have.
pub(super) fn regions<T: Hash + Eq + Copy>(base: &[T], local: &[T], remote: &[T]) -> Vec<Region> {
    let mut input = interned(base, local);
    let locals = hunks(&input);
    let local_tokens = std::mem::take(&mut input.after);
    input.update_after(remote.iter().copied());
    let remotes = hunks(&input);
    join(&Sides { local: locals, remote: remotes }, &Sides { local: &local_tokens, remote: &input.after })
}

/// The merged sequence of regions of which none was edited by both sides in different ways.
pub(super) fn united<T: Copy>(regions: &[Region], base: &[T], local: &[T], remote: &[T]) -> Vec<T> {
    let mut merged = Vec::with_capacity(local.len().max(remote.len()));
    let mut from = 0;
    for region in regions {
        merged.extend(&base[from..region.base.start]);
        from = region.base.end;
        merged.extend(match region.by {
            By::One(Side::Remote) => &remote[region.now.remote.clone()],
            _ => &local[region.now.local.clone()],
        });
    }
    merged.extend(&base[from..]);
    merged
}

/// Where the second sequence differs from the first one.
pub(super) fn differences<T: Hash + Eq + Copy>(
    before: &[T],
    after: &[T],
) -> Vec<(Range<usize>, Range<usize>)> {
    hunks(&interned(before, after)).into_iter().map(|hunk| (hunk.base, hunk.now)).collect()
}

fn interned<T: Hash + Eq + Copy>(before: &[T], after: &[T]) -> InternedInput<T> {
    let interner = Interner::new(before.len().max(after.len()));
    let mut input = InternedInput { before: Vec::new(), after: Vec::new(), interner };
    input.update_before(before.iter().copied());
    input.update_after(after.iter().copied());
    input
}

struct Hunk {
    base: Range<usize>,
    now: Range<usize>,
}

fn hunks<T: Hash + Eq>(input: &InternedInput<T>) -> Vec<Hunk> {
    let mut diff = Diff::compute(Algorithm::Myers, input);
    diff.postprocess_no_heuristic(input);
    let range = |range: Range<u32>| range.start as usize..range.end as usize;
    diff.hunks().map(|hunk| Hunk { base: range(hunk.before), now: range(hunk.after) }).collect()
}

/// Joins hunks that touch, of whichever side, into regions.
fn join(hunks: &Sides<Vec<Hunk>>, tokens: &Sides<&[Token]>) -> Vec<Region> {
    let mut regions = Vec::new();
    let mut next = Sides { local: 0, remote: 0 };
    // How far each side is ahead of the base after the hunks so far.
    let mut shift = Sides { local: 0_isize, remote: 0_isize };
    loop {
        let start = |side: Side| hunks[side].get(next[side]).map(|hunk| hunk.base.start);
        let Some(first) = [start(Side::Local), start(Side::Remote)].into_iter().flatten().min() else {
            break;
        };
        let mut base = first..first;
        let before = shift;
        let mut taken = Sides { local: 0, remote: 0 };
        while let Some((side, hunk)) = Side::BOTH
            .into_iter()
            .filter_map(|side| Some((side, hunks[side].get(next[side])?)))
            .find(|(_, hunk)| hunk.base.start <= base.end)
        {
            base.end = base.end.max(hunk.base.end);
            shift[side] += hunk.now.len() as isize - hunk.base.len() as isize;
            next[side] += 1;
            taken[side] += 1;
        }
        let now = Sides::from_fn(|side| {
            base.start.wrapping_add_signed(before[side])..base.end.wrapping_add_signed(shift[side])
        });
        let equal = tokens.local[now.local.clone()] == tokens.remote[now.remote.clone()];
        let by = match (taken.local, taken.remote) {
            (_, 0) => By::One(Side::Local),
            (0, _) => By::One(Side::Remote),
            _ if equal => By::Same,
            _ => By::Both,
        };
        regions.push(Region { base, now, by });
    }
    regions
}
