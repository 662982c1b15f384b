//! Listing the tip of the branch as changes against the baseline.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use syncline_connect::{Error, ErrorKind, Listing, Result, ScanRequest, snapshot_from_listing};
use syncline_core::{
    Change, Digest, Found, Item, ItemPath, Kind, Mark, Nanos, Problem, Root, Seen, Side, Snapshot, Version,
};

use super::command::Git;
use super::mirror::Mirror;
use super::names;
use super::notes::Agreed;
use super::objects::Objects;
use super::remote::Outside;
use super::settings::Effective;
use super::times;
use super::tree::{Entry, Mode, ObjectId, Tree};

/// Most odd entries that are told one by one.
pub(super) const ODD_MAX: usize = 100;

/// What a scan found, and the tree that it had to list for that, when it had to.
pub(super) struct Scanned {
    pub(super) snapshot: Snapshot,
    pub(super) tree: Option<Arc<Tree>>,
}

/// Lists the branch as it is outside; the mirror has its tip.
///
/// # Errors
/// When the mirror or the baseline is damaged.
pub(super) fn scan(
    mirror: &mut Mirror<'_>,
    settings: &Effective,
    objects: &Objects,
    request: &ScanRequest,
    outside: &Outside,
) -> Result<Scanned> {
    let mark = mark(mirror, request, outside.tip)?;
    let Some(tip) = outside.tip else {
        return Ok(Scanned { snapshot: without_branch(mirror, request, mark), tree: None });
    };
    let (commit, against) = (tip.to_string(), fingerprint(request)?);
    if let Some(agreed) = mirror.notes.agreed.get(&mirror.key(&request.mark))
        && agreed.commit == commit
        && agreed.against == against
    {
        return Ok(Scanned { snapshot: as_before(agreed, request, mark), tree: None });
    }
    let tree = Arc::new(mirror.tree(tip)?);
    let modified = times::committed(&mirror.git, objects, tip)?;
    let since = mark.as_ref().and_then(|_| marked(mirror, request));
    let listing = Listing {
        root: tree.root_is.map_or(Root::Present, Root::WrongType),
        complete: true,
        seen: tree.entries.iter().map(|(path, entry)| (path.clone(), seen(path, *entry, modified))).collect(),
        mark,
        problems: tree.odd.iter().take(ODD_MAX).cloned().collect(),
    };
    let mut snapshot = snapshot_from_listing(request, listing)?;
    fill(&mirror.git, objects, request.side, &mut snapshot.changes)?;
    if let Some(since) = since {
        times::refine(&mirror.git, settings.root.as_ref(), since, tip, &mut snapshot)?;
    }
    remember(mirror, request, &snapshot, commit, against)?;
    Ok(Scanned { snapshot, tree: Some(tree) })
}

/// The mark that was left, if nothing was taken back since.
fn mark(mirror: &Mirror<'_>, request: &ScanRequest, tip: Option<ObjectId>) -> Result<Option<Mark>> {
    let Some(left) = mirror.notes.marks.get(&mirror.key(&request.mark)) else { return Ok(None) };
    let counts = match (marked(mirror, request), tip) {
        (Some(then), Some(tip)) => mirror.led_to(then, tip)?,
        (Some(_), None) => false,
        // Nothing was there when it was left, so nothing can have been taken back.
        (None, _) => true,
    };
    Ok(counts.then(|| Mark(left.mark.clone())))
}

/// The commit at which the mark was left.
fn marked(mirror: &Mirror<'_>, request: &ScanRequest) -> Option<ObjectId> {
    ObjectId::parse(mirror.notes.marks.get(&mirror.key(&request.mark))?.commit.as_deref()?)
}

/// A branch that never was is an empty root, which the first push makes; one that was there is missing.
fn without_branch(mirror: &Mirror<'_>, request: &ScanRequest, mark: Option<Mark>) -> Snapshot {
    let was_there = mirror.notes.tip.is_some() || request.baseline.count() > 0;
    Snapshot {
        root: if was_there { Root::Missing } else { Root::Present },
        complete: true,
        sentinel: request.sentinel.as_ref().map(|_| false),
        mark,
        ..Snapshot::default()
    }
}

/// What a listing of the same commit has found against the same baseline under the same rules.
fn as_before(agreed: &Agreed, request: &ScanRequest, mark: Option<Mark>) -> Snapshot {
    let in_scope = |path: &ItemPath| {
        let only = request.only.as_ref();
        only.is_none_or(|only| only.iter().any(|top| path == top || path.is_below(top.as_str())))
    };
    let ignored = agreed.ignored.iter().filter_map(|path| ItemPath::parse(path).ok());
    let change = |path| Change { path, was: None, now: Seen::Ignored };
    request.progress.add(agreed.count, 0);
    Snapshot {
        root: Root::Present,
        complete: true,
        changes: ignored.filter(in_scope).map(change).collect(),
        count: agreed.count,
        mark,
        sentinel: agreed.sentinel,
        ..Snapshot::default()
    }
}

/// What the outcome of a listing depends on, besides the commit.
fn fingerprint(request: &ScanRequest) -> Result<String> {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&request.filter.fingerprint().0);
    hasher.update(request.sentinel.as_ref().map_or(&[][..], |path| path.as_str().as_bytes()));
    if let Some(identity) = request.baseline.identity() {
        hasher.update(&[1]).update(&identity.0);
        return Ok(hasher.finalize().to_hex().to_string());
    }
    let mut directories = Vec::new();
    request.baseline.directories(&mut |directory| directories.push(directory.to_owned()));
    for directory in &directories {
        hasher.update(&[0]).update(directory.as_bytes());
        request.baseline.visit(directory, &mut |entry| {
            let kind = match entry.kind {
                Kind::File { executable } => u8::from(executable),
                Kind::Symlink => 2,
                Kind::Directory => 3,
            };
            let version = entry.versions[request.side];
            let length = u8::try_from(version.len()).unwrap_or(u8::MAX);
            hasher.update(&[0]).update(entry.name.as_bytes()).update(&[0, kind, length]).update(version);
        })?;
    }
    Ok(hasher.finalize().to_hex().to_string())
}

/// Remembers a listing that found nothing, so that the same commit need not be listed again.
fn remember(
    mirror: &mut Mirror<'_>,
    request: &ScanRequest,
    snapshot: &Snapshot,
    commit: String,
    against: String,
) -> Result<()> {
    let nothing = snapshot.root == Root::Present
        && snapshot.problems.is_empty()
        && snapshot.changes.iter().all(|change| change.now == Seen::Ignored && change.was.is_none());
    if !nothing || request.only.is_some() {
        return Ok(());
    }
    let ignored = snapshot.changes.iter().map(|change| change.path.as_str().to_owned()).collect();
    let (count, sentinel) = (snapshot.count, snapshot.sentinel);
    let key = mirror.key(&request.mark);
    mirror.notes.agreed.insert(key, Agreed { commit, against, count, sentinel, ignored });
    mirror.save()
}

/// What an entry is, before content is looked at.
pub(super) fn seen(path: &ItemPath, entry: Entry, modified: Nanos) -> Seen {
    let Some(kind) = entry.mode.kind() else {
        let message = "a submodule stays as it is; sync it from its own repository";
        return Seen::Unreadable(Problem::new(path.as_str(), "special_file", message));
    };
    let link = || (entry.mode == Mode::Link).then(|| names::link_refusal(path)).flatten();
    if let Some(reason) = names::climbing(path).or_else(link) {
        return Seen::Unreadable(Problem::new(path.as_str(), "unsafe_name", reason));
    }
    let item = Item { kind, digest: None, size: 0, modified };
    Seen::Present(Found { item, version: entry.version(), moved_from: None })
}

/// Adds sizes, and digests where they are known anyway: of links, of what is empty, and of content that the baseline
/// knows from another path.
///
/// # Errors
/// With kind `Damaged` when an object is not there.
pub(super) fn fill(git: &Git, objects: &Objects, side: Side, changes: &mut [Change]) -> Result<()> {
    let mut known: HashMap<Version, Digest> = HashMap::new();
    let mut wanted: BTreeMap<ObjectId, u64> = BTreeMap::new();
    for change in &*changes {
        if let Some(was) = &change.was {
            known.insert(was.versions[side].clone(), was.digest);
        }
        if let Some(entry) = change.now.found().and_then(|found| Entry::of_version(&found.version)) {
            wanted.insert(entry.object, 0);
        }
    }
    if wanted.is_empty() {
        return Ok(());
    }
    let ids: Vec<ObjectId> = wanted.keys().copied().collect();
    for (object, size) in ids.iter().zip(objects.sizes(git, &ids)?) {
        let missing =
            || Error::new(ErrorKind::Damaged, format!("the repository does not have the object {object}"));
        wanted.insert(*object, size.ok_or_else(missing)?);
    }
    for change in changes {
        let Seen::Present(found) = &mut change.now else { continue };
        let Some(entry) = Entry::of_version(&found.version) else { continue };
        found.item.size = wanted.get(&entry.object).copied().unwrap_or(0);
        found.item.digest = match found.item.kind {
            _ if found.item.size == 0 => Some(Digest::of(b"")),
            Kind::Symlink => Some(digest(objects.read(git, &entry.object)?)?),
            _ => known.get(&found.version).copied(),
        };
    }
    Ok(())
}

fn digest(content: syncline_connect::Content) -> Result<Digest> {
    let mut hasher = blake3::Hasher::new();
    std::io::copy(&mut content.into_reader(), &mut hasher)
        .map_err(|error| Error::io(error, "reading the target of a symbolic link"))?;
    Ok(hasher.finalize().into())
}
