//! From a flat listing to a snapshot: for endpoints that list everything in one go and hold the list in memory.

use std::collections::{BTreeMap, HashMap, HashSet};

use syncline_core::{Change, Entry, ItemPath, Mark, Problem, Root, Seen, Side, Snapshot, Verdict, Version};

use crate::endpoint::ScanRequest;
use crate::error::Result;

/// What an endpoint listed, before the rules of the target and the baseline are looked at.
#[derive(Clone, Debug, Default)]
pub struct Listing {
    /// The state of the root.
    pub root: Root,
    /// Whether the listing was complete and free of errors, apart from what is listed as unreadable.
    pub complete: bool,
    /// What was seen. Directories need not be listed on endpoints that have none.
    pub seen: BTreeMap<ItemPath, Seen>,
    /// The mark that the side keeps for this target.
    pub mark: Option<Mark>,
    /// Trouble that concerns no single path.
    pub problems: Vec<Problem>,
}

/// Turns a listing into the changes against `request.baseline` on `request.side`.
///
/// - Applies the filter: what it leaves out is reported once, at the topmost path that is left out.
/// - A path of the baseline that was not seen is absent only if the listing is complete and nothing above the
///   path is ignored or unreadable.
/// - With `request.only`, looks only at those paths and below, and counts all others as agreed.
///
/// # Errors
/// When the baseline is damaged.
pub fn snapshot_from_listing(request: &ScanRequest, listing: Listing) -> Result<Snapshot> {
    let mut snapshot = Snapshot {
        root: listing.root,
        complete: listing.complete,
        mark: listing.mark,
        problems: listing.problems,
        ..Snapshot::default()
    };
    if snapshot.root != Root::Present {
        snapshot.sentinel = request.sentinel.as_ref().map(|_| false);
        return Ok(snapshot);
    }
    snapshot.sentinel = request.sentinel.as_ref().map(|path| is_present(listing.seen.get(path)));
    let mut baseline = Agreed::read(request)?;
    let unchanged_elsewhere = request.baseline.count().saturating_sub(baseline.entries.len() as u64);
    let mut decided = Decided::default();
    let mut changes = BTreeMap::new();
    for (path, seen) in listing.seen {
        if in_scope(request, &path) && is_present(Some(&seen)) {
            let seen = decided.decide(request, path, seen, &mut changes, &mut baseline);
            snapshot.count += u64::from(seen);
        }
    }
    snapshot.count += unchanged_elsewhere;
    for (path, was) in baseline.entries {
        let Some(was) = was else { continue };
        let covered = path.ancestors().any(|above| decided.covers.contains(&above));
        let traversed = request.filter.decide_deep(&path, was.kind.is_directory()) == Verdict::Traverse;
        if snapshot.complete && !covered && !traversed {
            changes.insert(path, (Some(was), Seen::Absent));
        }
    }
    snapshot.changes =
        changes.into_iter().map(|(path, (was, now))| Change { path, was: was.map(Box::new), now }).collect();
    request.progress.add(snapshot.count, 0);
    Ok(snapshot)
}

/// Tells for each added file or link that carries the very version of a vanished one that it was moved.
///
/// Only for endpoints whose versions belong to one item for its whole life and move along with it.
pub fn detect_moves(snapshot: &mut Snapshot, side: Side) {
    let mut vanished: HashMap<Version, (ItemPath, Entry)> = HashMap::new();
    for change in &snapshot.changes {
        if let (Some(was), Seen::Absent) = (&change.was, &change.now)
            && !was.kind.is_directory()
        {
            vanished.insert(was.versions[side].clone(), (change.path.clone(), was.as_ref().clone()));
        }
    }
    for change in &mut snapshot.changes {
        let Seen::Present(found) = &mut change.now else {
            continue;
        };
        if change.was.is_none()
            && let Some((_, entry)) = vanished.get(&found.version)
            && entry.kind.is_same_type(found.item.kind)
            && let Some((from, entry)) = vanished.remove(&found.version)
        {
            found.item.digest = Some(entry.digest);
            found.moved_from = Some(from);
        }
    }
}

/// Whether a scan is to look at `path`.
fn in_scope(request: &ScanRequest, path: &ItemPath) -> bool {
    request.only.as_ref().is_none_or(|only| only.iter().any(|top| path == top || path.is_below(top.as_str())))
}

const fn is_present(seen: Option<&Seen>) -> bool {
    !matches!(seen, None | Some(Seen::Absent))
}

type Changes = BTreeMap<ItemPath, (Option<Entry>, Seen)>;

/// What the baseline holds, in the order of paths.
struct Agreed {
    /// Each path with its entry, until that is taken.
    entries: Vec<(ItemPath, Option<Entry>)>,
    /// Where the entry lies that is asked for next, when all are asked for in their order.
    next: usize,
}

impl Agreed {
    fn read(request: &ScanRequest) -> Result<Self> {
        let mut entries = Vec::new();
        syncline_core::baseline::visit_all(&*request.baseline, &mut |path, entry| {
            if in_scope(request, &path) {
                entries.push((path, Some(entry)));
            }
        })?;
        entries.sort_by(|(a, _), (b, _)| a.cmp(b));
        Ok(Self { entries, next: 0 })
    }

    /// Takes the entry of a path. A listing asks in order, so it is found at once; whoever does not has it searched.
    fn take(&mut self, path: &ItemPath) -> Option<Entry> {
        let entries = &mut self.entries;
        self.next += entries[self.next..].iter().take_while(|(there, _)| there < path).count();
        let at = match entries.get(self.next) {
            Some((there, _)) if there == path => self.next,
            _ => entries[..self.next].binary_search_by(|(there, _)| there.cmp(path)).ok()?,
        };
        entries[at].1.take()
    }
}

/// Paths that stand for everything below them, because they are ignored or unreadable.
#[derive(Default)]
struct Decided {
    covers: HashSet<ItemPath>,
    /// The directory of the path that was looked at last, once nothing above that path was found to be covered.
    open: Option<String>,
}

impl Decided {
    /// Files one listed path under the changes; tells whether it counts as an item that was seen.
    fn decide(
        &mut self,
        request: &ScanRequest,
        path: ItemPath,
        seen: Seen,
        changes: &mut Changes,
        baseline: &mut Agreed,
    ) -> bool {
        if self.open.as_deref() != Some(path.parent()) {
            let mut above: Vec<ItemPath> = path.ancestors().collect();
            while let Some(directory) = above.pop() {
                if self.covers.contains(&directory) {
                    return false;
                }
                if matches!(request.filter.decide(&directory, true), Verdict::Ignored(_)) {
                    self.cover(directory, Seen::Ignored, changes, baseline);
                    return false;
                }
            }
            // In the order of a listing, a directory comes before what is in it: it cannot become covered any more.
            self.open = Some(path.parent().to_owned());
        }
        let is_directory = seen.found().is_none_or(|found| found.item.kind.is_directory());
        match (request.filter.decide(&path, is_directory), seen) {
            (Verdict::Ignored(_), _) | (_, Seen::Ignored) => {
                self.cover(path, Seen::Ignored, changes, baseline);
                false
            }
            (_, Seen::Unreadable(problem)) => {
                self.cover(path, Seen::Unreadable(problem), changes, baseline);
                true
            }
            (Verdict::Traverse, _) | (_, Seen::Absent) => {
                baseline.take(&path);
                false
            }
            (Verdict::Included, Seen::Present(found)) => {
                let was = baseline.take(&path);
                let known = was.as_ref().is_some_and(|was| {
                    was.kind == found.item.kind && was.versions[request.side] == found.version
                });
                if !known {
                    changes.insert(path, (was, Seen::Present(found)));
                }
                true
            }
        }
    }

    fn cover(&mut self, path: ItemPath, seen: Seen, changes: &mut Changes, baseline: &mut Agreed) {
        let was = baseline.take(&path);
        self.covers.insert(path.clone());
        changes.insert(path, (was, seen));
    }
}
