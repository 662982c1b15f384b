//! Merging: what the planner asks for is read and merged, and contents that may be merged one day are kept.

use std::collections::{HashMap, HashSet};
use std::io::{self, Read};
use std::sync::Arc;

use syncline_connect::{Endpoint, ErrorKind};
use syncline_core::merge::{
    Input, Labels, Merged, Strategy, VERSION_BYTES_MAX, has_open_markers, merge, take_from_markers,
};
use syncline_core::{
    Choices, Digest, ItemPath, Kind, MergeNeed, MergeResult, Problem, Seen, Side, Sides, Version,
};
use syncline_store::{ConflictRecord, FoundBases, Objects};

use crate::context::{Context, Target};
use crate::error::Result;
use crate::look::{View, unreadable};
use crate::spread::spread;

/// Merges everything that a plan asks for; what cannot be read any more is unreadable from now on.
pub(crate) async fn answer(
    context: &Context,
    target: &Target,
    needs: Vec<MergeNeed>,
    view: &mut View,
    choices: &mut Choices,
) -> Result<()> {
    let bench = Arc::new(Bench::prepare(context, target, &needs).await?);
    let merge = move |need| {
        let bench = Arc::clone(&bench);
        async move { (bench.merge(&need).await.map(|made| made.result), need) }
    };
    for (merged, need) in spread(context.workers, needs, merge).await {
        match merged {
            Ok(result) => {
                choices.merges.insert(need.conflict.clone(), result.clone());
                if let MergeResult::Merged { digest, .. } = result {
                    view.merges.insert(digest, need);
                }
            }
            Err((side, problem)) => {
                let changes = &mut view.snapshots[side].changes;
                if let Ok(at) = changes.binary_search_by(|change| change.path.cmp(&need.path)) {
                    changes[at].now = Seen::Unreadable(problem);
                }
            }
        }
    }
    Ok(())
}

/// Merges once more, and puts those of the results that are `missing` in the content store there; tells what could not
/// be. Between planning and applying nothing is held: a plan may ask for more merged content than there is memory.
pub(crate) async fn store(
    context: &Context,
    target: &Target,
    view: &View,
    missing: &mut HashSet<Digest>,
) -> Result<HashMap<Digest, Problem>> {
    let wanted = view.merges.iter().filter(|(digest, _)| missing.remove(*digest));
    let wanted: Vec<(Digest, MergeNeed)> = wanted.map(|(digest, need)| (*digest, need.clone())).collect();
    if wanted.is_empty() {
        return Ok(HashMap::new());
    }
    let needs: Vec<MergeNeed> = wanted.iter().map(|(_, need)| need.clone()).collect();
    let bench = Arc::new(Bench::prepare(context, target, &needs).await?);
    let put = move |(digest, need): (Digest, MergeNeed)| {
        let bench = Arc::clone(&bench);
        async move { (digest, bench.store(&digest, &need).await) }
    };
    let stored = spread(context.workers, wanted, put).await;
    Ok(stored.into_iter().filter_map(|(digest, stored)| Some((digest, stored.err()?))).collect())
}

/// Puts those of the `missing` contents that are kept to merge from into the content store.
pub(crate) async fn restore(context: &Context, missing: &mut HashSet<Digest>) -> Result<()> {
    if missing.is_empty() {
        return Ok(());
    }
    let bases = Arc::new(context.store.bases().find(missing)?);
    let objects = context.store.objects().clone();
    let put = move |digest: Digest| {
        let bytes = bases.read(&digest);
        let put = bytes.map(|bytes| objects.put_reader(&mut bytes.as_slice(), Some(digest)).map(drop));
        async move { put.transpose().map(|put| put.map(|()| digest)) }
    };
    for put in spread(context.workers, missing.iter().copied().collect(), put).await {
        if let Some(digest) = put? {
            missing.remove(&digest);
        }
    }
    Ok(())
}

/// What merging needs at hand.
struct Bench {
    endpoints: Sides<Arc<dyn Endpoint>>,
    nodes: Sides<String>,
    objects: Objects,
    bases: FoundBases,
    /// What earlier runs merged at these paths.
    earlier: HashMap<ItemPath, Vec<ConflictRecord>>,
}

/// A merged version, what it was made of, and what the planner is told of it.
struct Made {
    bytes: Vec<u8>,
    from: Sides<Vec<u8>>,
    result: MergeResult,
}

impl Bench {
    async fn prepare(context: &Context, target: &Target, needs: &[MergeNeed]) -> Result<Self> {
        let paths: HashSet<&ItemPath> = needs.iter().map(|need| &need.path).collect();
        let mut earlier: HashMap<ItemPath, Vec<ConflictRecord>> = HashMap::new();
        for record in context.store.merged_conflicts(&target.name, &paths).await? {
            earlier.entry(record.path.clone()).or_default().push(record);
        }
        let bases = needs.iter().filter_map(|need| need.base);
        let versions =
            earlier.values().flatten().flat_map(|record| [&record.versions.local, &record.versions.remote]);
        let wanted: HashSet<Digest> = bases.chain(versions.filter_map(|item| item.digest)).collect();
        Ok(Self {
            endpoints: target.endpoints.clone(),
            nodes: target.policy.nodes.clone(),
            objects: context.store.objects().clone(),
            bases: context.store.bases().find(&wanted)?,
            earlier,
        })
    }

    /// Puts the merged version into the content store, and those that it was made of: should only one side come to hold
    /// it, the next merge has to know what went into it.
    async fn store(&self, digest: &Digest, need: &MergeNeed) -> std::result::Result<(), Problem> {
        let made = self.merge(need).await.map_err(|(_, problem)| problem)?;
        let put = |bytes: &[u8], digest: Option<Digest>| {
            let put = self.objects.put_reader(&mut &*bytes, digest);
            put.map(drop).map_err(|error| crate::bridge::translate(error).to_problem(need.path.as_str()))
        };
        for side in Side::BOTH {
            put(&made.from[side], need.found[side].item.digest)?;
        }
        put(&made.bytes, Some(*digest))
    }

    /// Reads the versions and merges them; blocks while it reads. Fails when a side does not hold its version any more.
    async fn merge(&self, need: &MergeNeed) -> std::result::Result<Made, (Side, Problem)> {
        if let Some(side) = Side::BOTH.into_iter().find(|&side| is_too_large(need.found[side].item.size)) {
            let size = need.found[side].item.size;
            return Ok(Made::unclean(format!(
                "the {side} version has {size} bytes, and at most {VERSION_BYTES_MAX} are merged"
            )));
        }
        let from = Sides {
            local: self.read(need, Side::Local).await?,
            remote: self.read(need, Side::Remote).await?,
        };
        let base = need.base.and_then(|digest| self.base(&digest));
        if need.base.is_some() && base.is_none() {
            let why =
                "the version that both sides started from is not kept, so there is nothing to merge from";
            return Ok(Made::unclean(why.to_owned()));
        }
        let input = Input { base: base.as_deref(), local: &from.local, remote: &from.remote };
        let made = self.resumed(need, &input).unwrap_or_else(|| self.merged(need, &input));
        Ok(Made { from, ..made })
    }

    /// Goes on with what an earlier run merged and only one side came to hold. It may not simply be merged again: the
    /// other side's edit is in both versions then, and where lines repeat themselves it would be there twice.
    fn resumed(&self, need: &MergeNeed, input: &Input<'_>) -> Option<Made> {
        let digest = |side: Side| need.found[side].item.digest;
        let earlier = self.earlier.get(&need.path).filter(|_| input.local != input.remote)?;
        let is_half = |record: &ConflictRecord, side: Side| {
            let base = record.base.as_ref().filter(|base| matches!(base.kind, Kind::File { .. }));
            let merged = record.merged_or_pending().and_then(|merged| merged.digest);
            merged == digest(side) && base.and_then(|base| base.digest) == need.base
        };
        let went_in = |record: &ConflictRecord, side: Side| record.versions[side.other()].digest;
        let is_whole = |record: &ConflictRecord, side: Side| went_in(record, side) == digest(side.other());
        let all = earlier.iter().flat_map(|record| Side::BOTH.map(|side| (record, side)));
        let halves = all.filter(|(record, side)| is_half(record, *side));
        let (record, side) = halves.max_by_key(|(record, side)| is_whole(record, *side))?;
        if is_whole(record, side) {
            let bytes = if side == Side::Local { input.local } else { input.remote };
            let marked = need.merging.strategy(need.path.name(), input) == Strategy::Markers
                && has_open_markers(bytes);
            return Some(Made::of(bytes.to_vec(), marked, None));
        }
        let again = self.merged(need, input);
        let MergeResult::Merged { digest: merged, marked: false, .. } = again.result else {
            return Some(again);
        };
        // Against what went in, only what was edited since is an edit. Where that comes to the same, it is right.
        let base = went_in(record, side).and_then(|digest| self.base(&digest));
        let since = base.map(|base| self.merged(need, &Input { base: Some(&base), ..*input }).result);
        let same = matches!(since, Some(MergeResult::Merged { digest, .. }) if digest == merged);
        let why = "it was edited again before what was merged had come to both sides";
        Some(if same { again } else { Made::unclean(why.to_owned()) })
    }

    fn merged(&self, need: &MergeNeed, input: &Input<'_>) -> Made {
        let strategy = need.merging.strategy(need.path.name(), input);
        let labels = Sides::from_fn(|side| format!("{side} ({})", self.nodes[side]));
        let labels = Labels { local: &labels.local, remote: &labels.remote, ..Labels::default() };
        if strategy == Strategy::Markers
            && let Some(bytes) = half_marked(input, &labels)
        {
            return Made::of(bytes.to_vec(), true, None);
        }
        match merge(&strategy, input, &labels) {
            Merged::Clean { bytes, decided } => {
                let note = (!decided.is_empty()).then(|| {
                    let keys: Vec<&str> = decided.iter().map(|one| one.key.as_str()).take(8).collect();
                    format!("{} records were edited on both sides: {}", decided.len(), keys.join(", "))
                });
                Made::of(bytes, false, note)
            }
            Merged::Marked { bytes, hunks } => {
                let note = match hunks {
                    1 => "1 place is marked in the file".to_owned(),
                    hunks => format!("{hunks} places are marked in the file"),
                };
                Made::of(bytes, true, Some(note))
            }
            Merged::Unclean(why) => Made::unclean(why.to_string()),
        }
    }

    fn base(&self, digest: &Digest) -> Option<Vec<u8>> {
        if let Ok(object) = self.objects.open(digest)
            && let Ok(bytes) = read_limited(object)
        {
            return Some(bytes);
        }
        self.bases.read(digest)
    }

    async fn read(&self, need: &MergeNeed, side: Side) -> std::result::Result<Vec<u8>, (Side, Problem)> {
        let found = &need.found[side];
        let path = need.path.as_str();
        match self.read_version(need, side, &found.version).await {
            Ok(bytes) if Some(Digest::of(&bytes)) == found.item.digest => Ok(bytes),
            Ok(_) => {
                let error = syncline_connect::Error::new(ErrorKind::Changed, format!("{path} has changed"));
                Err((side, unreadable(path, &error)))
            }
            Err(error) => Err((side, unreadable(path, &error))),
        }
    }

    async fn read_version(
        &self,
        need: &MergeNeed,
        side: Side,
        version: &Version,
    ) -> syncline_connect::Result<Vec<u8>> {
        let content = self.endpoints[side].read(&need.path, version).await?;
        read_limited(content.into_reader()).map_err(|error| syncline_connect::Error::io(error, "reading"))
    }
}

impl Made {
    fn of(bytes: Vec<u8>, marked: bool, note: Option<String>) -> Self {
        let (digest, size) = (Digest::of(&bytes), bytes.len() as u64);
        Self { bytes, from: Sides::default(), result: MergeResult::Merged { digest, size, marked, note } }
    }

    fn unclean(why: String) -> Self {
        Self { bytes: Vec::new(), from: Sides::default(), result: MergeResult::Unclean(why) }
    }
}

fn is_too_large(bytes: u64) -> bool {
    bytes > VERSION_BYTES_MAX as u64
}

fn read_limited(reader: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    reader.take(VERSION_BYTES_MAX as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The version with markers, when it came to one side only and the other side still holds what went into it: a run
/// that was cut short in between left it so, and a power loss may have taken the record of it. It has to be, to the
/// byte, what a run would write: somebody who took one version whole, while markers were edited on the other side, has
/// made a decision that must not be undone.
fn half_marked<'a>(input: &Input<'a>, labels: &Labels<'_>) -> Option<&'a [u8]> {
    let (marked, plain) = match (has_open_markers(input.local), has_open_markers(input.remote)) {
        (true, false) => (input.local, input.remote),
        (false, true) => (input.remote, input.local),
        _ => return None,
    };
    let taken = take_from_markers(marked)?;
    let whole = Input { base: input.base, local: &taken.local, remote: &taken.remote };
    let written = merge(&Strategy::Markers, &whole, labels);
    let is_half = taken.local == plain || taken.remote == plain;
    (is_half && matches!(written, Merged::Marked { bytes, .. } if bytes == marked)).then_some(marked)
}
