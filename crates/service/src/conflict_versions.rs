//! The versions of a conflict as they are now, and what they become when they are merged.

use std::io::Read;

use syncline_core::merge::{Input, Labels, Merged, Strategy, VERSION_BYTES_MAX, merge};
use syncline_core::{Digest, ItemPath, Kind, Merging, Resolution, Side, Sides};
use syncline_engine::Target;
use syncline_store::{ConflictRecord, Store};

use crate::glance::{self, Here};
use crate::problem::{Class, Problem, Result};

/// Most bytes of a version that are read to be merged.
const LIMIT: u64 = VERSION_BYTES_MAX as u64;

/// What was done about an open conflict when it was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Nothing: each side holds its version.
    Untouched,
    /// One version keeps the name on both sides, the other one may be beside it.
    Beside,
    /// Both sides hold one version with markers.
    Marked,
}

impl Standing {
    pub(crate) const fn of(record: &ConflictRecord) -> Self {
        match (record.winner, &record.merged) {
            (Some(_), _) => Self::Beside,
            (None, Some(_)) => Self::Marked,
            (None, None) => Self::Untouched,
        }
    }
}

/// Where the version of a side is to be found now.
pub(crate) fn place(record: &ConflictRecord, side: Side) -> &ItemPath {
    match (&record.copy, record.winner) {
        (Some(copy), Some(winner)) if winner != side => copy,
        _ => &record.path,
    }
}

/// The versions of a conflict, read.
pub(crate) struct Versions {
    /// What both sides had agreed on; `None` when nothing, and when it is not kept.
    pub(crate) base: Option<Vec<u8>>,
    base_is_gone: bool,
    pub(crate) kinds: Sides<Kind>,
    pub(crate) contents: Sides<Vec<u8>>,
}

impl Versions {
    pub(crate) fn digests(&self) -> Sides<Digest> {
        self.contents.as_ref().map(|bytes| Digest::of(bytes))
    }

    const fn input(&self) -> Input<'_> {
        Input {
            base: match &self.base {
                Some(base) => Some(base.as_slice()),
                None => None,
            },
            local: self.contents.local.as_slice(),
            remote: self.contents.remote.as_slice(),
        }
    }

    /// Merges as the policy of the path says when that is one that merges, and as the content is otherwise; says why
    /// when there is no clean result.
    pub(crate) fn merge(
        &self,
        target: &Target,
        record: &ConflictRecord,
    ) -> std::result::Result<Vec<u8>, String> {
        if self.base_is_gone {
            let why =
                "the version that both sides started from is not kept, so there is nothing to merge from";
            return Err(why.to_owned());
        }
        let merging = match target.policy.resolution(&record.path) {
            Resolution::Merge(merging) => merging,
            _ => Merging::Auto,
        };
        let strategy = merging.strategy(record.path.name(), &self.input());
        match self.merge_by(&strategy, target) {
            Merged::Clean { bytes, .. } => Ok(bytes),
            Merged::Unclean(why) => Err(why.to_string()),
            // The same lines say better what is in the way.
            Merged::Marked { hunks, .. } => match self.merge_by(&Strategy::Text, target) {
                Merged::Unclean(why) => Err(why.to_string()),
                _ => Err(format!("{hunks} places would have to be marked")),
            },
        }
    }

    /// Merges by lines, with markers where that is not clean.
    pub(crate) fn mark(&self, target: &Target) -> Merged {
        self.merge_by(&Strategy::Markers, target)
    }

    fn merge_by(&self, strategy: &Strategy, target: &Target) -> Merged {
        let labels = Sides::from_fn(|side| format!("{side} ({})", target.policy.nodes[side]));
        let labels = Labels { local: &labels.local, remote: &labels.remote, ..Labels::default() };
        merge(strategy, &self.input(), &labels)
    }

    /// The kind of file that the merged version is.
    pub(crate) fn kind(&self, record: &ConflictRecord) -> Kind {
        let was = record.base.as_ref().map(|base| base.kind).filter(|kind| matches!(kind, Kind::File { .. }));
        syncline_core::merged_kind(was, self.kinds)
    }
}

/// Reads the versions of an open conflict. Where both stay beside each other, somebody may have gone on working on
/// them: what is there now counts.
pub(crate) async fn read(store: &Store, target: &Target, record: &ConflictRecord) -> Result<Versions> {
    for side in Side::BOTH {
        let kind = record.versions[side].kind;
        if !matches!(kind, Kind::File { .. }) {
            let message = format!("the {side} version is a {}, and only files can be merged", kind.name());
            return Err(Problem::usage("not_a_file", message));
        }
    }
    let agreed = record.base.as_ref().filter(|item| matches!(item.kind, Kind::File { .. }));
    let base = match agreed.and_then(|item| item.digest) {
        Some(digest) => glance::content(store, target, &record.path, &digest, LIMIT + 1).await?,
        None => None,
    };
    let local = version(store, target, record, Side::Local).await?;
    let remote = version(store, target, record, Side::Remote).await?;
    Ok(Versions {
        base_is_gone: agreed.is_some() && base.is_none(),
        base,
        kinds: Sides { local: local.0, remote: remote.0 },
        contents: Sides { local: local.1, remote: remote.1 },
    })
}

async fn version(
    store: &Store,
    target: &Target,
    record: &ConflictRecord,
    side: Side,
) -> Result<(Kind, Vec<u8>)> {
    let (path, recorded) = (place(record, side), &record.versions[side]);
    if Standing::of(record) == Standing::Beside
        && let Some(present) = present(store, target, path).await?
    {
        return Ok(present);
    }
    let found = match &recorded.digest {
        Some(digest) => glance::content(store, target, path, digest, LIMIT + 1).await?,
        None => None,
    };
    found.map(|bytes| (recorded.kind, bytes)).ok_or_else(|| {
        let message = format!("the {side} version is not there any more, and its content is not kept");
        Problem::new(Class::NotFound, "content_gone", message)
    })
}

/// The file that is at `path` now: as it was edited on one side, or as both agree; `None` when nothing is there.
pub(crate) async fn present(
    store: &Store,
    target: &Target,
    path: &ItemPath,
) -> Result<Option<(Kind, Vec<u8>)>> {
    let here = glance::at(store, target, path).await?;
    let was = glance::baseline(store, &target.name).await?.get(path)?;
    let (mut edited, mut agreed) = (None, None);
    for side in Side::BOTH {
        let kind = match &here[side] {
            Here::Agreed(entry) => entry.kind,
            Here::Other(found) => found.item.kind,
            _ => continue,
        };
        let Some(bytes) = bytes(target, side, path, &here[side], kind).await? else { continue };
        let same = was.as_ref().is_some_and(|was| was.kind == kind && was.digest == Digest::of(&bytes));
        match &edited {
            _ if same => agreed = Some((kind, bytes)),
            Some(other) if *other != (kind, bytes.clone()) => {
                let message = format!("{path} was edited on both sides since, differently: run first");
                return Err(Problem::new(Class::Stale, "copies_differ", message));
            }
            _ => edited = Some((kind, bytes)),
        }
    }
    Ok(edited.or(agreed))
}

/// The content of a file, with at most one byte more than can be merged.
async fn bytes(
    target: &Target,
    side: Side,
    path: &ItemPath,
    here: &Here,
    kind: Kind,
) -> Result<Option<Vec<u8>>> {
    if !matches!(kind, Kind::File { .. }) {
        let message = format!("{path} is a {} by now: move it elsewhere first", kind.name());
        return Err(Problem::usage("not_a_file", message));
    }
    let Some(version) = here.version(side) else { return Ok(None) };
    let content = target.endpoints[side].read(path, version).await?;
    let read = tokio::task::spawn_blocking(move || {
        let mut bytes = Vec::new();
        content.into_reader().take(LIMIT + 1).read_to_end(&mut bytes).map(|_| bytes)
    });
    match read.await {
        Ok(read) => Ok(Some(read.map_err(|error| Problem::io(error, format_args!("reading {path}")))?)),
        Err(error) => Err(Problem::new(Class::Failed, "cut_short", error.to_string())),
    }
}

/// Puts a content into history, durably.
pub(crate) async fn put(store: &Store, bytes: Vec<u8>) -> Result<(Digest, u64)> {
    let objects = store.objects().clone();
    let put = tokio::task::spawn_blocking(move || {
        let put = objects.put_reader(&mut bytes.as_slice(), None)?;
        objects.sync()?;
        Ok::<_, syncline_store::Error>(put)
    });
    match put.await {
        Ok(put) => Ok(put?),
        Err(error) => Err(Problem::new(Class::Failed, "cut_short", error.to_string())),
    }
}
