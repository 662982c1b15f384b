//! A look at single paths: what each side holds there now, and its content.

use std::io::Read;
use std::sync::Arc;

use syncline_connect::{Progress, ScanRequest};
use syncline_core::{
    Baseline, Digest, Entry, Found, ItemPath, MemoryBaseline, Problem as Trouble, Seen, Side, Sides,
    Snapshot, Version,
};
use syncline_engine::Target;
use syncline_store::Store;

use crate::problem::{Class, Problem, Result};

/// What is at a path on one side.
#[derive(Clone, Debug)]
pub(crate) enum Here {
    /// Nothing.
    Absent,
    /// Something that rules leave out.
    Ignored,
    /// Something that cannot be read.
    Unreadable(Trouble),
    /// What both sides had agreed on.
    Agreed(Entry),
    /// Something else.
    Other(Found),
}

impl Here {
    /// The version of what is there.
    pub(crate) fn version(&self, side: Side) -> Option<&Version> {
        match self {
            Self::Agreed(entry) => Some(&entry.versions[side]),
            Self::Other(found) => Some(&found.version),
            _ => None,
        }
    }

    /// Whether a directory is there.
    pub(crate) fn is_directory(&self) -> bool {
        match self {
            Self::Agreed(entry) => entry.kind.is_directory(),
            Self::Other(found) => found.item.kind.is_directory(),
            _ => false,
        }
    }
}

/// The baseline of a target.
pub(crate) async fn baseline(store: &Store, target: &str) -> Result<Arc<dyn Baseline>> {
    let state = store.peek_target(target).await?;
    Ok(store.baseline(&state).await?)
}

/// What each side holds at `path` now.
pub(crate) async fn at(store: &Store, target: &Target, path: &ItemPath) -> Result<Sides<Here>> {
    let baseline = baseline(store, &target.name).await?;
    let was = baseline.get(path)?;
    let mut found = Vec::with_capacity(2);
    for side in Side::BOTH {
        let only = Some(vec![path.clone()]);
        let snapshot = scan(target, side, Arc::clone(&baseline), only).await?;
        let seen = here(&snapshot, path, was.as_ref());
        found.push(read_when_doubtful(target, side, path, was.as_ref(), seen).await);
    }
    let mut found = found.into_iter();
    Ok(Sides::from_fn(|_| found.next().unwrap_or(Here::Absent)))
}

/// A file that may have been written since it was last looked at is told as changed by a scan: its content says
/// whether it was.
async fn read_when_doubtful(
    target: &Target,
    side: Side,
    path: &ItemPath,
    was: Option<&Entry>,
    seen: Here,
) -> Here {
    let (Here::Other(found), Some(was)) = (&seen, was) else { return seen };
    let item = &found.item;
    if item.kind != was.kind || item.size != was.size || item.digest.is_some() || item.kind.is_directory() {
        return seen;
    }
    let Ok(content) = target.endpoints[side].read(path, &found.version).await else { return seen };
    let read = tokio::task::spawn_blocking(move || read_and_digest(content.into_reader(), 0)).await;
    match read {
        Ok(Ok((_, digest))) if digest == was.digest => {
            let mut agreed = was.clone();
            agreed.versions[side] = found.version.clone();
            Here::Agreed(agreed)
        }
        _ => seen,
    }
}

fn here(snapshot: &Snapshot, path: &ItemPath, was: Option<&Entry>) -> Here {
    let change = snapshot.changes.iter().find(|change| {
        let covers =
            matches!(change.now, Seen::Ignored | Seen::Unreadable(_)) && path.is_below(change.path.as_str());
        change.path == *path || covers
    });
    match change.map(|change| &change.now) {
        Some(Seen::Present(found)) => Here::Other(found.clone()),
        Some(Seen::Absent) => Here::Absent,
        Some(Seen::Ignored) => Here::Ignored,
        Some(Seen::Unreadable(trouble)) => Here::Unreadable(trouble.clone()),
        None if snapshot.root != syncline_core::Root::Present => Here::Absent,
        None => was.map_or(Here::Absent, |was| Here::Agreed(was.clone())),
    }
}

/// Lists a side against a baseline.
pub(crate) async fn scan(
    target: &Target,
    side: Side,
    baseline: Arc<dyn Baseline>,
    only: Option<Vec<ItemPath>>,
) -> Result<Snapshot> {
    let request = ScanRequest {
        side,
        baseline,
        filter: Arc::clone(&target.filter),
        mark: String::new(),
        sentinel: None,
        only,
        durable: false,
        again: false,
        directories: true,
        progress: Arc::new(Progress::default()),
    };
    Ok(target.endpoints[side].scan(request).await?)
}

/// Lists everything that a side holds, as if nothing had been agreed on.
pub(crate) async fn scan_all(target: &Target, side: Side) -> Result<Snapshot> {
    scan(target, side, Arc::new(MemoryBaseline::default()), None).await
}

/// The first `limit` bytes of the content of `digest`: from history, or from a side that holds it at `path`.
pub(crate) async fn content(
    store: &Store,
    target: &Target,
    path: &ItemPath,
    digest: &Digest,
    limit: u64,
) -> Result<Option<Vec<u8>>> {
    if store.objects().contains(digest)
        && let Ok(object) = store.objects().open(digest)
        && let Ok(bytes) = read_start(object, limit)
    {
        return Ok(Some(bytes));
    }
    if let Some(mut bytes) = store.bases().find(&[*digest].into())?.read(digest) {
        bytes.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        return Ok(Some(bytes));
    }
    let here = at(store, target, path).await?;
    for side in Side::BOTH {
        let Some(version) = here[side].version(side) else { continue };
        let Ok(content) = target.endpoints[side].read(path, version).await else { continue };
        let read = tokio::task::spawn_blocking(move || read_and_digest(content.into_reader(), limit)).await;
        if let Ok(Ok((bytes, found))) = read
            && found == *digest
        {
            return Ok(Some(bytes));
        }
    }
    Ok(None)
}

/// Puts what `side` holds at `path` into history; its digest and size, or `None` when there is no content.
pub(crate) async fn keep(
    store: &Store,
    target: &Target,
    side: Side,
    path: &ItemPath,
    here: &Here,
) -> Result<Option<(Digest, u64)>> {
    let Some(version) = here.version(side) else { return Ok(None) };
    if here.is_directory() {
        return Ok(None);
    }
    let content = target.endpoints[side].read(path, version).await?;
    let objects = store.objects().clone();
    let put = tokio::task::spawn_blocking(move || {
        let put = objects.put_reader(&mut content.into_reader(), None)?;
        objects.sync()?;
        Ok::<_, syncline_store::Error>(put)
    });
    match put.await {
        Ok(put) => Ok(Some(put?)),
        Err(error) => Err(Problem::new(Class::Failed, "cut_short", error.to_string())),
    }
}

/// The digest of the file that `side` holds at `path`; `None` where there is none.
pub(crate) async fn digest(
    target: &Target,
    side: Side,
    path: &ItemPath,
    here: &Here,
) -> Result<Option<Digest>> {
    let known = match here {
        _ if here.is_directory() => return Ok(None),
        Here::Agreed(entry) => Some(entry.digest),
        Here::Other(found) => found.item.digest,
        _ => return Ok(None),
    };
    let (None, Some(version)) = (known, here.version(side)) else { return Ok(known) };
    let content = target.endpoints[side].read(path, version).await?;
    let read = tokio::task::spawn_blocking(move || read_and_digest(content.into_reader(), 0));
    match read.await {
        Ok(read) => match read {
            Ok((_, digest)) => Ok(Some(digest)),
            Err(error) => Err(Problem::io(error, format_args!("reading {path}"))),
        },
        Err(error) => Err(Problem::new(Class::Failed, "cut_short", error.to_string())),
    }
}

fn read_start(reader: impl Read, limit: u64) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    reader.take(limit).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Reads content to its end: its first `limit` bytes and its digest.
pub(crate) fn read_and_digest(mut reader: impl Read, limit: u64) -> std::io::Result<(Vec<u8>, Digest)> {
    let mut hasher = blake3::Hasher::new();
    let mut kept = Vec::new();
    let mut buffer = vec![0; 256 * 1024];
    loop {
        let count = match reader.read(&mut buffer) {
            Ok(0) => return Ok((kept, hasher.finalize().into())),
            Ok(count) => count,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        hasher.update(&buffer[..count]);
        let room = usize::try_from(limit).unwrap_or(usize::MAX).saturating_sub(kept.len());
        kept.extend_from_slice(&buffer[..count.min(room)]);
    }
}
