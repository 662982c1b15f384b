//! Three-way merging of text by lines.
//!
//! Lines are compared as bytes, with their line break: CRLF, a missing last line break, a byte order mark and invalid
//! UTF-8 are kept as they are.

use super::lines::{By, Region, lines, regions};
use super::{Input, Merged, Unclean};
use crate::side::Side;

/// Merges by lines, or says where both sides changed the same ones.
pub(super) fn merge(input: &Input<'_>) -> Merged {
    // Two created files have nothing in common that could tell an edit from its absence, whatever they share.
    let Some(base) = input.base else { return Merged::Unclean(Unclean::NoBase) };
    let (base, local, remote) = (lines(base), lines(input.local), lines(input.remote));
    let regions = regions(&base, &local, &remote);
    match overlap(&regions) {
        Some(unclean) => Merged::Unclean(unclean),
        None => Merged::clean(clean(&regions, &base, &local, &remote)),
    }
}

/// Where both sides made different edits, if they did.
fn overlap(regions: &[Region]) -> Option<Unclean> {
    let mut both = regions.iter().filter(|region| region.by == By::Both);
    let local = &both.next()?.now.local;
    Some(Unclean::Overlap { first: local.start + 1, last: local.end, places: 1 + both.count() })
}

/// The merged version of regions of which none was edited by both sides in different ways.
pub(super) fn clean(regions: &[Region], base: &[&[u8]], local: &[&[u8]], remote: &[&[u8]]) -> Vec<u8> {
    let mut merged: Vec<&[u8]> = Vec::with_capacity(local.len().max(remote.len()));
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
    merged.concat()
}
