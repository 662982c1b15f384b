//! Merging: what the planner asks for is read and merged, and contents that may be merged one day are kept.

use std::collections::{HashMap, HashSet};
use std::io::{self, Read};
use std::sync::Arc;

use syncline_connect::{Endpoint, ErrorKind};
use syncline_core::merge::{
    Input, Labels, Merged, Strategy, VERSION_BYTES_MAX, has_open_markers, merge, take_from_markers,
};
use syncline_core::{Choices, Digest, MergeNeed, MergeResult, Problem, Seen, Side, Sides, Version};
use syncline_store::{FoundBases, Objects};

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
    let bench = Arc::new(Bench::prepare(context, target, &needs)?);
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
    let bench = Arc::new(Bench::prepare(context, target, &needs)?);
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
}

/// A merged version, and what the planner is told of it.
struct Made {
    bytes: Vec<u8>,
    result: MergeResult,
}

impl Bench {
    fn prepare(context: &Context, target: &Target, needs: &[MergeNeed]) -> Result<Self> {
        let wanted: HashSet<Digest> = needs.iter().filter_map(|need| need.base).collect();
        Ok(Self {
            endpoints: target.endpoints.clone(),
            nodes: target.policy.nodes.clone(),
            objects: context.store.objects().clone(),
            bases: context.store.bases().find(&wanted)?,
        })
    }

    async fn store(&self, digest: &Digest, need: &MergeNeed) -> std::result::Result<(), Problem> {
        let made = self.merge(need).await.map_err(|(_, problem)| problem)?;
        let put = self.objects.put_reader(&mut made.bytes.as_slice(), Some(*digest));
        put.map(drop).map_err(|error| crate::bridge::translate(error).to_problem(need.path.as_str()))
    }

    /// Reads the versions and merges them; blocks while it reads. Fails when a side does not hold its version any more.
    async fn merge(&self, need: &MergeNeed) -> std::result::Result<Made, (Side, Problem)> {
        if let Some(side) = Side::BOTH.into_iter().find(|&side| is_too_large(need.found[side].item.size)) {
            let size = need.found[side].item.size;
            let why =
                format!("the {side} version has {size} bytes, and at most {VERSION_BYTES_MAX} are merged");
            return Ok(Made { bytes: Vec::new(), result: MergeResult::Unclean(why) });
        }
        let local = self.read(need, Side::Local).await?;
        let remote = self.read(need, Side::Remote).await?;
        let base = need.base.and_then(|digest| self.base(&digest));
        if need.base.is_some() && base.is_none() {
            let why =
                "the version that both sides started from is not kept, so there is nothing to merge from";
            return Ok(Made { bytes: Vec::new(), result: MergeResult::Unclean(why.to_owned()) });
        }
        let input = Input { base: base.as_deref(), local: &local, remote: &remote };
        Ok(self.merged(need, &input))
    }

    fn merged(&self, need: &MergeNeed, input: &Input<'_>) -> Made {
        let strategy = need.merging.strategy(need.path.name(), input);
        if strategy == Strategy::Markers
            && let Some(bytes) = half_marked(input)
        {
            return Made::of(bytes.to_vec(), true, None);
        }
        let labels = Sides::from_fn(|side| format!("{side} ({})", self.nodes[side]));
        let labels = Labels { local: &labels.local, remote: &labels.remote, ..Labels::default() };
        match merge(&strategy, input, &labels) {
            Merged::Clean { bytes, decided } => {
                let note = (!decided.is_empty()).then(|| {
                    let keys: Vec<&str> = decided.iter().map(|one| one.key.as_str()).take(8).collect();
                    format!("{} records were edited on both sides: {}", decided.len(), keys.join(", "))
                });
                Made::of(bytes, false, note)
            }
            Merged::Marked { bytes, hunks } => {
                Made::of(bytes, true, Some(format!("{hunks} places are marked in the file")))
            }
            Merged::Unclean(why) => Made { bytes: Vec::new(), result: MergeResult::Unclean(why.to_string()) },
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
        Self { bytes, result: MergeResult::Merged { digest, size, marked, note } }
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
/// that was cut short in between left it so.
fn half_marked<'a>(input: &Input<'a>) -> Option<&'a [u8]> {
    let (marked, plain) = match (has_open_markers(input.local), has_open_markers(input.remote)) {
        (true, false) => (input.local, input.remote),
        (false, true) => (input.remote, input.local),
        _ => return None,
    };
    let taken = take_from_markers(marked)?;
    (taken.local == plain || taken.remote == plain).then_some(marked)
}
