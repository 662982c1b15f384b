//! What the decision of a person means for the run that carries it out.

use std::collections::{BTreeMap, BTreeSet};

use syncline_core::merge::has_open_markers;
use syncline_core::{
    Choices, Digest, Item, ItemPath, Kind, MadeFrom, MergeResult, Side, Sides, Take as CoreTake,
};
use syncline_engine::Target;
use syncline_store::{ConflictRecord, Store};

use super::Take;
use crate::conflict_places::{apart, both_ways, kept, may_take, reachable};
use crate::conflict_versions::{self as versions, Standing};
use crate::glance::{self, Here};
use crate::problem::{Class, Problem, Result};

/// What to do about unclean merges.
const HINT: &str = "merge it yourself with --edit, or take one version";

/// A decision.
pub(super) struct Deciding {
    pub(super) take: Take,
    /// What both sides shall hold, when somebody merged the versions.
    pub(super) content: Option<Vec<u8>>,
    /// The versions that they merged.
    pub(super) seen: Option<Sides<Digest>>,
}

/// What the decisions about the conflicts of a target mean.
#[derive(Default)]
pub(super) struct Meaning {
    pub(super) choices: Choices,
    pub(super) only: BTreeSet<ItemPath>,
    /// What the records of conflicts have to say afterwards, by identifier.
    pub(super) after: BTreeMap<String, After>,
}

/// What has become of the versions of a conflict.
pub(super) enum After {
    /// Both became this one.
    Merged(Item),
    /// That of the side keeps the name, the other one is at the path.
    Beside(Side, ItemPath),
}

impl Meaning {
    /// Adds a decision about one conflict; changes nothing when it cannot be carried out.
    pub(super) async fn decide(
        &mut self,
        store: &Store,
        target: &Target,
        record: &ConflictRecord,
        deciding: &Deciding,
    ) -> Result<()> {
        let take = deciding.take;
        if let Some(side) = take.side() {
            may_take(target, side)?;
        }
        if self.choices.desired.contains_key(&record.path) {
            let message =
                format!("another conflict at {} is being settled: settle this one next", record.path);
            return Err(Problem::new(Class::Stale, "one_at_a_time", message));
        }
        if take == Take::Merged {
            both_ways(target, "a merged version cannot be taken")?;
        }
        // First of all: whoever edits one of them from here on does so without knowing of the decision.
        let seen = match Standing::of(record) {
            Standing::Untouched => MadeFrom::new(),
            Standing::Beside | Standing::Marked => seen(target, store, record).await?,
        };
        match (Standing::of(record), take) {
            (Standing::Untouched, Take::Merged) => {
                self.merge_untouched(store, target, record, deciding).await
            }
            (Standing::Untouched, _) => {
                reachable(store, target, &record.path).await?;
                self.choices.takes.insert(record.id.clone(), take.into());
                self.only.insert(record.path.clone());
                Ok(())
            }
            (Standing::Beside, Take::Merged) => self.merge_beside(store, target, record, deciding).await,
            (Standing::Beside, _) => self.take_beside(store, target, record, take).await,
            (Standing::Marked, Take::Merged) => self.accept_marked(store, target, record, deciding).await,
            (Standing::Marked, _) => self.undo_marked(store, target, record, take).await,
        }?;
        self.bind(record, seen);
        Ok(())
    }

    /// Makes the wishes about a conflict depend on what its paths held when the decision was made.
    fn bind(&mut self, record: &ConflictRecord, mut seen: MadeFrom) {
        if let Some(After::Beside(_, copy)) = self.after.get(&record.id) {
            seen.insert(copy.clone(), Sides::default());
        }
        seen.retain(|path, _| self.choices.desired.contains_key(path));
        if !seen.is_empty() {
            self.choices.made_from.push(seen);
        }
    }

    fn wish(&mut self, path: &ItemPath, item: Option<Item>) {
        self.choices.desired.insert(path.clone(), item);
        self.only.insert(path.clone());
    }

    /// Each side holds its version. The identifier of the conflict stands for both of them: when one is another by the
    /// time of the run, the decision is about nothing.
    async fn merge_untouched(
        &mut self,
        store: &Store,
        target: &Target,
        record: &ConflictRecord,
        deciding: &Deciding,
    ) -> Result<()> {
        reachable(store, target, &record.path).await?;
        let (digest, size) = merged(store, target, record, deciding).await?.0;
        let merge = MergeResult::Merged { digest, size, marked: false, note: None };
        self.choices.takes.insert(record.id.clone(), CoreTake::Merged);
        self.choices.merges.insert(record.id.clone(), merge);
        self.only.insert(record.path.clone());
        Ok(())
    }

    async fn merge_beside(
        &mut self,
        store: &Store,
        target: &Target,
        record: &ConflictRecord,
        deciding: &Deciding,
    ) -> Result<()> {
        for path in [Some(&record.path), record.copy.as_ref()].into_iter().flatten() {
            reachable(store, target, path).await?;
        }
        let ((digest, size), kind) = merged(store, target, record, deciding).await?;
        let modified = record.versions.local.modified.max(record.versions.remote.modified);
        let item = Item { kind, digest: Some(digest), size, modified };
        self.wish(&record.path, Some(item.clone()));
        if let Some(copy) = &record.copy {
            self.wish(copy, None);
        }
        self.after.insert(record.id.clone(), After::Merged(item));
        Ok(())
    }

    async fn take_beside(
        &mut self,
        store: &Store,
        target: &Target,
        record: &ConflictRecord,
        take: Take,
    ) -> Result<()> {
        let (Some(side), Some(winner)) = (take.side(), record.winner) else { return Ok(()) };
        if side != winner {
            reachable(store, target, &record.path).await?;
        }
        if let Some(copy) = &record.copy {
            reachable(store, target, copy).await?;
        }
        if side != winner {
            let item = loser(store, target, record, side).await?;
            self.wish(&record.path, Some(item));
        }
        if let Some(copy) = &record.copy {
            self.wish(copy, None);
        }
        Ok(())
    }

    /// The file was merged with markers: what it holds now is accepted once no marker is left.
    async fn accept_marked(
        &mut self,
        store: &Store,
        target: &Target,
        record: &ConflictRecord,
        deciding: &Deciding,
    ) -> Result<()> {
        reachable(store, target, &record.path).await?;
        let there = versions::present(store, target, &record.path).await?;
        let Some((kind, mut bytes)) = there else {
            let message = format!("nothing is at {} any more; nothing was changed", record.path);
            return Err(Problem::new(Class::Stale, "gone", message).with_hint("take one version, or both"));
        };
        if let Some(content) = &deciding.content {
            unchanged(record, deciding, Sides::from_fn(|_| Digest::of(&bytes)))?;
            bytes.clone_from(content);
        }
        if has_open_markers(&bytes) {
            let message = format!("{} still has conflict markers; nothing was changed", record.path);
            return Err(Problem::new(Class::Stale, "open_markers", message)
                .with_hint("finish the markers first: edit the file, or use --edit"));
        }
        let (digest, size) = versions::put(store, bytes).await?;
        let item = Item { kind, digest: Some(digest), size, modified: 0 };
        self.wish(&record.path, Some(item.clone()));
        self.after.insert(record.id.clone(), After::Merged(item));
        Ok(())
    }

    /// The file was merged with markers: one version takes its place, or both do, under two names.
    async fn undo_marked(
        &mut self,
        store: &Store,
        target: &Target,
        record: &ConflictRecord,
        take: Take,
    ) -> Result<()> {
        reachable(store, target, &record.path).await?;
        if let Some(side) = take.side() {
            let item = record.versions[side].clone();
            kept(store, target, record, side).await?;
            self.wish(&record.path, Some(item));
            return Ok(());
        }
        let copy = apart(store, target, record).await?;
        self.wish(&record.path, Some(record.versions.local.clone()));
        self.wish(&copy, Some(record.versions.remote.clone()));
        self.after.insert(record.id.clone(), After::Beside(Side::Local, copy));
        Ok(())
    }
}

/// What each side holds at the paths of a conflict.
async fn seen(target: &Target, store: &Store, record: &ConflictRecord) -> Result<MadeFrom> {
    let mut seen = MadeFrom::new();
    for path in [Some(&record.path), record.copy.as_ref()].into_iter().flatten() {
        let here = glance::at(store, target, path).await?;
        let mut digests: Sides<Option<Digest>> = Sides::default();
        for side in Side::BOTH {
            digests[side] = glance::digest(target, side, path, &here[side]).await?;
        }
        seen.insert(path.clone(), digests);
    }
    Ok(seen)
}

/// The merged version, in history, and what kind of file it is.
async fn merged(
    store: &Store,
    target: &Target,
    record: &ConflictRecord,
    deciding: &Deciding,
) -> Result<((Digest, u64), Kind)> {
    let versions = versions::read(store, target, record).await?;
    unchanged(record, deciding, versions.digests())?;
    let bytes = match &deciding.content {
        Some(content) => content.clone(),
        None => versions.merge(target, record).map_err(|why| {
            let message = format!("it cannot be merged: {why}; nothing was changed");
            Problem::new(Class::Stale, "unclean", message).with_hint(HINT)
        })?,
    };
    Ok((versions::put(store, bytes).await?, versions.kind(record)))
}

/// Refuses a merged version that was made of others than there are now.
fn unchanged(record: &ConflictRecord, deciding: &Deciding, now: Sides<Digest>) -> Result<()> {
    if deciding.seen.is_none_or(|seen| seen == now) {
        return Ok(());
    }
    let message =
        format!("{} was edited again while the versions were being merged; nothing was changed", record.path);
    Err(Problem::new(Class::Stale, "changed", message).with_hint("merge what is there now"))
}

/// The version that lost, as it is now under its conflict name: somebody may have gone on working there.
async fn loser(store: &Store, target: &Target, record: &ConflictRecord, side: Side) -> Result<Item> {
    let recorded = record.versions[side].clone();
    if record.versions[side.other()].kind.is_directory() {
        let message = "a directory keeps its name: move what it holds elsewhere first";
        return Err(Problem::usage("directory", message));
    }
    let Some(copy) = &record.copy else { return Ok(recorded) };
    let was = glance::baseline(store, &target.name).await?.get(copy)?.map(|entry| entry.item());
    let here = glance::at(store, target, copy).await?;
    let same = |a: &Item, b: &Item| a.digest == b.digest && a.kind == b.kind;
    let (mut edited, mut agreed): (Option<Item>, Option<Item>) = (None, None);
    for holder in Side::BOTH {
        let Some(item) = held(store, target, holder, copy, &here[holder]).await? else { continue };
        // A file that is still young counts as changed until its content has been read.
        if was.as_ref().is_some_and(|was| same(was, &item)) {
            agreed = Some(item);
        } else if edited.as_ref().is_some_and(|other| !same(other, &item)) {
            let message = format!("{copy} was edited on both sides since, differently: run first");
            return Err(Problem::new(Class::Stale, "copies_differ", message));
        } else {
            edited = Some(item);
        }
    }
    let found = edited.or(agreed).map(|item| Item { modified: recorded.modified, ..item });
    Ok(found.unwrap_or(recorded))
}

/// What a side holds at the path of a copy, with its content in history; `None` when nothing is there.
async fn held(
    store: &Store,
    target: &Target,
    side: Side,
    copy: &ItemPath,
    here: &Here,
) -> Result<Option<Item>> {
    let kind = match here {
        Here::Agreed(entry) => entry.kind,
        Here::Other(found) => found.item.kind,
        _ => return Ok(None),
    };
    match glance::keep(store, target, side, copy, here).await? {
        Some((digest, size)) => Ok(Some(Item { kind, digest: Some(digest), size, modified: 0 })),
        None => {
            let message = format!("{copy} is a directory by now: move it elsewhere first");
            Err(Problem::usage("directory", message))
        }
    }
}

impl Take {
    const fn side(self) -> Option<Side> {
        match self {
            Self::Local => Some(Side::Local),
            Self::Remote => Some(Side::Remote),
            Self::Both | Self::Merged => None,
        }
    }

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Remote => "remote",
            Self::Both => "both",
            Self::Merged => "merged",
        }
    }
}

impl From<Take> for CoreTake {
    fn from(take: Take) -> Self {
        match take {
            Take::Local => Self::Side(Side::Local),
            Take::Remote => Self::Side(Side::Remote),
            Take::Both => Self::Both,
            Take::Merged => Self::Merged,
        }
    }
}
