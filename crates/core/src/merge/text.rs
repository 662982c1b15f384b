//! Three-way merging of text by lines.
//!
//! Lines are compared as bytes, with their line break: CRLF, a missing last line break, a byte order mark and invalid
//! UTF-8 are kept as they are.

use super::lines::{By, Region, lines, regions, united};
use super::{Input, Merged, Unclean};

/// Merges by lines, or says where both sides changed the same ones.
pub(super) fn merge(input: &Input<'_>) -> Merged {
    // Two created files have nothing in common that could tell an edit from its absence, whatever they share.
    let Some(base) = input.base else { return Merged::Unclean(Unclean::NoBase) };
    let (base, local, remote) = (lines(base), lines(input.local), lines(input.remote));
    let regions = regions(&base, &local, &remote);
    match overlap(&regions) {
        Some(unclean) => Merged::Unclean(unclean),
        None => Merged::clean(united(&regions, &base, &local, &remote).concat()),
    }
}

/// Where both sides made different edits, if they did.
fn overlap(regions: &[Region]) -> Option<Unclean> {
    let mut both = regions.iter().filter(|region| region.by == By::Both);
    let local = &both.next()?.now.local;
    Some(Unclean::Overlap { first: local.start + 1, last: local.end, places: 1 + both.count() })
}
