//! A scan: the walk, and what can only be said when it is over.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ffi::CString;
use std::io;

use syncline_connect::{Result, ScanRequest};
use syncline_core::{Change, Entry, ItemPath, Mark, Root, Seen, Side, Snapshot, Verdict};

use super::names::Name;
use super::platform::{Directory, Type, is_link_in_the_way, now};
use super::version::Stamp;
use super::walk::{Join, Walked, walk};
use super::{STATE, is_word, rescued};

/// Longest mark file that is read.
const MARK_BYTES_MAX: u64 = 4096;

/// Scans the folder behind an open root.
///
/// # Errors
/// When the baseline is damaged.
pub(super) fn scan(root: &Directory, request: &ScanRequest) -> Result<Snapshot> {
    let (mut walked, scope) = match &request.only {
        None => (walk(root, request, vec![String::new()])?, Scope::All),
        Some(only) => scan_part(root, request, only)?,
    };
    let mut snapshot = Snapshot {
        root: Root::Present,
        complete: !walked.incomplete,
        mark: read_mark(root, &request.mark),
        sentinel: request.sentinel.as_ref().map(|path| is_there(root, path)),
        ..Snapshot::default()
    };
    if snapshot.complete {
        vanished_directories(request, &scope, &mut walked)?;
    } else {
        walked.changes.retain(|change| change.now != Seen::Absent);
    }
    snapshot.count = match scope {
        Scope::All => walked.count,
        Scope::Part(_) => walked.count + request.baseline.count().saturating_sub(walked.agreed),
    };
    snapshot.problems = walked.problems;
    snapshot.problems.extend(rescued::list(root));
    snapshot.changes = in_order(walked.changes);
    detect_moves(&mut snapshot.changes, request.side);
    Ok(snapshot)
}

/// Which part of the baseline a scan answers for.
enum Scope {
    All,
    /// These paths and what is below them.
    Part(Vec<ItemPath>),
}

/// Looks at the paths asked for, and walks those that are directories.
fn scan_part(root: &Directory, request: &ScanRequest, only: &[ItemPath]) -> Result<(Walked, Scope)> {
    let mut tops: Vec<ItemPath> = only.to_vec();
    tops.sort();
    tops.dedup_by(|next, top| next == top || next.is_below(top.as_str()));
    let mut by_parent: BTreeMap<&str, Vec<&ItemPath>> = BTreeMap::new();
    for path in &tops {
        by_parent.entry(path.parent()).or_default().push(path);
    }
    let (mut found, mut directories) = (Walked::default(), Vec::new());
    // A directory that is no item itself, because of include rules, has no entry that tells of its former type.
    let mut maybe_directories = Vec::new();
    for (parent, paths) in by_parent {
        let mut agreed: HashMap<&str, Entry> = HashMap::new();
        request.baseline.visit(parent, &mut |entry| {
            if let Ok(at) = paths.binary_search_by(|path| path.name().cmp(entry.name)) {
                agreed.insert(paths[at].name(), entry.to_entry());
            }
        })?;
        let opened = root.beneath(parent);
        for path in paths {
            let was = agreed.remove(path.name());
            if was.as_ref().is_none_or(|was| was.kind.is_directory()) {
                maybe_directories.push(path.clone());
            }
            look_at_top(request, &opened, path, was, &mut found, &mut directories);
        }
    }
    if !directories.is_empty() {
        let below = walk(root, request, directories)?;
        found.changes.extend(below.changes);
        found.problems.extend(below.problems);
        found.visited.extend(below.visited);
        found.count += below.count;
        found.agreed += below.agreed;
        found.incomplete |= below.incomplete;
    }
    Ok((found, Scope::Part(maybe_directories)))
}

/// Looks at one path of a partial scan.
fn look_at_top(
    request: &ScanRequest,
    parent: &io::Result<Directory>,
    path: &ItemPath,
    was: Option<Entry>,
    found: &mut Walked,
    directories: &mut Vec<String>,
) {
    found.agreed += u64::from(was.is_some());
    let status = match parent {
        Ok(parent) => parent.stat(path.name()),
        Err(error) => Err(io::Error::new(error.kind(), error.to_string())),
    };
    let ignored_above =
        path.ancestors().any(|above| matches!(request.filter.decide(&above, true), Verdict::Ignored(_)));
    let gone = |error: &io::Error| {
        matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
            || parent.as_ref().err().is_some_and(is_link_in_the_way)
    };
    match (status, parent) {
        (Ok(_), _) if ignored_above => {
            found.changes.push(Change { path: path.clone(), was: was.map(Box::new), now: Seen::Ignored })
        }
        (Ok(stat), Ok(directory)) => {
            let Ok(text) = CString::new(path.name()) else {
                return;
            };
            let mut join = Join {
                request,
                directory,
                path: path.parent(),
                moment: now(),
                found,
                subdirectories: directories,
                text: String::new(),
            };
            let entry = was.as_ref().map(|was| entry_ref(path, was));
            join.look(&Name { text: &text, kind: stat.kind }, entry.as_ref());
        }
        (Err(error), _) if gone(&error) => {
            let traversed = was
                .as_ref()
                .is_some_and(|was| request.filter.decide(path, was.kind.is_directory()) == Verdict::Traverse);
            if was.is_some() && !traversed {
                found.changes.push(Change { path: path.clone(), was: was.map(Box::new), now: Seen::Absent });
            }
        }
        (Err(error), _) => {
            let problem = syncline_core::Problem::new(path.as_str(), "unreadable", error.to_string());
            found.changes.push(Change {
                path: path.clone(),
                was: was.map(Box::new),
                now: Seen::Unreadable(problem),
            });
        }
        (Ok(_), Err(_)) => found.incomplete = true,
    }
}

fn entry_ref<'a>(path: &'a ItemPath, entry: &'a Entry) -> syncline_core::EntryRef<'a> {
    syncline_core::EntryRef {
        name: path.name(),
        kind: entry.kind,
        digest: entry.digest,
        size: entry.size,
        versions: entry.versions.as_ref().map(syncline_core::Version::as_bytes),
    }
}

/// Reports what the baseline has in directories that are not there any more.
fn vanished_directories(request: &ScanRequest, scope: &Scope, walked: &mut Walked) -> Result<()> {
    if matches!(scope, Scope::Part(tops) if tops.is_empty()) {
        return Ok(());
    }
    let visited: HashSet<&str> = walked.visited.iter().map(String::as_str).collect();
    let covers: HashSet<&str> = walked
        .changes
        .iter()
        .filter(|change| matches!(change.now, Seen::Ignored | Seen::Unreadable(_)))
        .map(|change| change.path.as_str())
        .collect();
    let mut vanished = Vec::new();
    request.baseline.directories(&mut |directory| {
        if visited.contains(directory) || !scope.holds(directory) {
            return;
        }
        let mut above =
            std::iter::successors(Some(directory), |at| at.rsplit_once('/').map(|(parent, _)| parent));
        if !above.any(|at| covers.contains(at)) {
            vanished.push(directory.to_owned());
        }
    });
    for directory in vanished {
        let Walked { changes, agreed, .. } = &mut *walked;
        request.baseline.visit(&directory, &mut |entry| {
            *agreed += 1;
            if let Ok(path) = ItemPath::child(&directory, entry.name)
                && request.filter.decide(&path, entry.kind.is_directory()) != Verdict::Traverse
            {
                changes.push(Change { path, was: Some(Box::new(entry.to_entry())), now: Seen::Absent });
            }
        })?;
    }
    Ok(())
}

impl Scope {
    fn holds(&self, directory: &str) -> bool {
        match self {
            Self::All => true,
            Self::Part(tops) => tops.iter().any(|top| {
                let top = top.as_str();
                directory.strip_prefix(top).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            }),
        }
    }
}

/// Sorts the changes. Of two at one path, which changed during the walk, the one that claims least stays.
fn in_order(mut changes: Vec<Change>) -> Vec<Change> {
    let claim = |change: &Change| match change.now {
        Seen::Unreadable(_) => 0,
        Seen::Ignored => 1,
        Seen::Present(_) => 2,
        Seen::Absent => 3,
    };
    changes.sort_unstable_by(|a, b| a.path.cmp(&b.path).then_with(|| claim(a).cmp(&claim(b))));
    changes.dedup_by(|next, kept| next.path == kept.path);
    // They stay until the plan is made, which is when a run needs the most memory.
    changes.shrink_to_fit();
    changes
}

/// Tells for each added file that it is one that vanished elsewhere: the same inode, size and modification time.
/// Only with the same change time as well, which nobody can set, is its content known without reading it: a file
/// below a renamed folder. Inodes are used again, and many programs set modification times.
fn detect_moves(changes: &mut [Change], side: Side) {
    let mut vanished: HashMap<(u64, u64, i64), (ItemPath, Entry)> = HashMap::new();
    for change in changes.iter() {
        if let (Some(was), Seen::Absent) = (&change.was, &change.now)
            && let Some((stamp, false)) = Stamp::decode(was.versions[side].as_bytes())
        {
            let key = (stamp.inode, stamp.size, stamp.modified);
            vanished.entry(key).or_insert_with(|| (change.path.clone(), was.as_ref().clone()));
        }
    }
    if vanished.is_empty() {
        return;
    }
    for change in changes {
        let Seen::Present(found) = &mut change.now else {
            continue;
        };
        let Some((stamp, _)) = Stamp::decode(found.version.as_bytes()) else {
            continue;
        };
        let key = (stamp.inode, stamp.size, stamp.modified);
        let same = vanished.get(&key).is_some_and(|(_, entry)| entry.kind.is_same_type(found.item.kind));
        if change.was.is_none()
            && same
            && let Some((from, entry)) = vanished.remove(&key)
        {
            let was = Stamp::decode(entry.versions[side].as_bytes());
            if was.is_some_and(|(was, _)| was.changed == stamp.changed) {
                found.item.digest = Some(entry.digest);
            }
            found.moved_from = Some(from);
        }
    }
}

fn is_there(root: &Directory, path: &ItemPath) -> bool {
    root.beneath(path.parent()).and_then(|parent| parent.stat(path.name())).is_ok()
}

/// The mark of this name; one that cannot be read is none, and the engine distrusts a side without its mark.
fn read_mark(root: &Directory, name: &str) -> Option<Mark> {
    if !is_word(name) {
        return None;
    }
    let marks = root.beneath(&format!("{STATE}/marks")).ok()?;
    let status = marks.stat(name).ok()?;
    if status.kind != Type::File || status.size > MARK_BYTES_MAX {
        return None;
    }
    let text = io::read_to_string(marks.file(name).ok()?).ok()?;
    Some(Mark(text.trim_end().to_owned()))
}
