//! Looking: both sides are scanned, the baseline is trusted or not, and what the planner asks for is read.

use std::collections::HashMap;
use std::io::Read;
use std::sync::Arc;

use syncline_connect::{Capabilities, Content, Endpoint, ErrorKind, ScanRequest};
use syncline_core::{
    Action, Baseline, Digest, Halt, Input, Item, ItemPath, MemoryBaseline, MergeNeed, Need, Plan, Problem,
    Seen, Side, Sides, Snapshot, Source, Step, Version, plan as make_plan,
};
use syncline_store::TargetState;
use tracing::Instrument as _;

use crate::context::{Context, Event, Options, Target};
use crate::error::Result;
use crate::keeper::Keeper;
use crate::merging;
use crate::secrets;
use crate::spans;
use crate::spread::spread;

/// How often the planner may ask for more content before it must have decided.
const QUESTIONS_MAX: usize = 200;

/// What was seen of both sides.
pub(crate) struct View {
    pub(crate) baseline: Arc<dyn Baseline>,
    pub(crate) snapshots: Sides<Snapshot>,
    /// How many items were agreed on, whether that is trusted or not.
    pub(crate) agreed_count: u64,
    /// Whether only some paths were looked at.
    pub(crate) partial: bool,
    /// Why the recorded baseline is not trusted, when it is not.
    pub(crate) distrust: Option<String>,
    /// What the plan merged, by the digest of the result.
    pub(crate) merges: HashMap<Digest, MergeNeed>,
}

/// Scans both sides against the baseline, or against nothing when the baseline cannot be trusted.
///
/// With `durable`, what was seen is durable. A run needs that: were a file that a user has just written lost with
/// the power after the sides have agreed on it, then the next run would take the loss for a removal.
pub(crate) async fn look(
    context: &Context,
    target: &Target,
    state: &TargetState,
    only: Option<Vec<ItemPath>>,
    durable: bool,
) -> Result<View> {
    let span = spans::scan();
    let seen = looked(context, target, state, only, durable).instrument(span.clone()).await;
    spans::scanned(&span, &seen);
    seen
}

async fn looked(
    context: &Context,
    target: &Target,
    state: &TargetState,
    only: Option<Vec<ItemPath>>,
    durable: bool,
) -> Result<View> {
    context.events.happened(&Event::Scanning { target: target.name.clone() });
    let (baseline, mut distrust) = match context.store.baseline(state).await {
        Ok(baseline) => (baseline, None),
        Err(error) if error.kind() == syncline_store::ErrorKind::Damaged => {
            (nothing(), Some(error.to_string()))
        }
        Err(error) => return Err(error.into()),
    };
    let agreed_count = baseline.count();
    let partial = only.is_some();
    let looking = Looking { context, target, state, durable };
    let mut snapshots = looking.scan(&baseline, only, false).await?;
    distrust = distrust.or_else(|| foreign(target, state, &snapshots));
    // What one side was made from, a moment ago, is what both agreed on then.
    let origin = snapshots.remote.origin.take().filter(|_| distrust.is_some() || !state.has_baseline);
    if distrust.is_none() && origin.is_none() {
        return Ok(View { baseline, snapshots, agreed_count, partial, distrust, merges: HashMap::new() });
    }
    let consequence = match &origin {
        Some(_) => "what the script changed is told by what it was given",
        None => "nothing is removed in this run, and differing versions are both kept",
    };
    distrust = distrust.map(|why| format!("{why}; {consequence}"));
    let agreed_count = origin.as_ref().map_or(agreed_count, |origin| origin.count());
    let baseline = origin.map_or_else(nothing, |origin| origin as Arc<dyn Baseline>);
    let snapshots = looking.scan(&baseline, None, true).await?;
    Ok(View { baseline, snapshots, agreed_count, partial: false, distrust, merges: HashMap::new() })
}

struct Looking<'a> {
    context: &'a Context,
    target: &'a Target,
    state: &'a TargetState,
    durable: bool,
}

/// Whether a side that may be written has something to finish that the plan does not tell of.
pub(crate) fn is_unsettled(target: &Target, view: &View) -> bool {
    Side::BOTH.into_iter().any(|side| is_side_unsettled(target, view, side))
}

pub(crate) fn is_side_unsettled(target: &Target, view: &View, side: Side) -> bool {
    view.snapshots[side].unsettled && target.policy.direction.may_write(side)
}

fn nothing() -> Arc<dyn Baseline> {
    Arc::new(MemoryBaseline::default())
}

impl Looking<'_> {
    async fn scan(
        &self,
        baseline: &Arc<dyn Baseline>,
        only: Option<Vec<ItemPath>>,
        again: bool,
    ) -> Result<Sides<Snapshot>> {
        let Self { context, target, state, durable } = *self;
        let request = |side: Side| ScanRequest {
            side,
            baseline: Arc::clone(baseline),
            filter: Arc::clone(&target.filter),
            mark: state.id.clone(),
            sentinel: target.policy.guard.sentinel.clone(),
            only: only.clone(),
            durable,
            again,
            directories: Side::BOTH.iter().all(|&side| target.policy.abilities[side].directories),
            progress: context.events.progress(),
        };
        let local = target.endpoints.local.scan(request(Side::Local));
        let remote = target.endpoints.remote.scan(request(Side::Remote));
        let (local, remote) = if target.endpoints.remote.capabilities().disturbs {
            let remote = remote.await;
            (local.await, remote)
        } else if context.workers == 0 {
            // In a fixed order, so that a simulation repeats itself.
            (local.await, remote.await)
        } else {
            tokio::join!(local, remote)
        };
        Ok(Sides {
            local: local.map_err(|error| error.on(Side::Local))?,
            remote: remote.map_err(|error| error.on(Side::Remote))?,
        })
    }
}

/// Why the baseline does not belong to what was found, when it does not: a side was replaced, or restored from
/// a backup, or another endpoint is configured.
fn foreign(target: &Target, state: &TargetState, snapshots: &Sides<Snapshot>) -> Option<String> {
    if !state.has_baseline {
        return None;
    }
    let mut marked = false;
    for side in Side::BOTH {
        let Some(left) = &state.marks[side] else { continue };
        let there = snapshots[side].mark.as_ref();
        let known = there.is_some() && (there == Some(left) || there == state.pending_mark.as_ref());
        if snapshots[side].root == syncline_core::Root::Present && !known {
            if let Some(replaced) = target.endpoints[side].capabilities().words.replaced {
                return Some(replaced.to_owned());
            }
            return Some(format!(
                "the {side} side does not carry the mark that the last run left: it was replaced, copied, or \
                 restored from a backup"
            ));
        }
        marked |= side == Side::Remote;
    }
    let identity = target.identity();
    match &state.identity {
        Some(known) if !marked && *known != identity => {
            Some(format!("the remote is {identity}, but the baseline was made with {known}"))
        }
        _ => None,
    }
}

/// Plans, reading whatever content the planner needs to know, and searching what would leave.
pub(crate) async fn plan(
    context: &Context,
    target: &Target,
    options: &Options,
    view: View,
    keeper: Option<&Arc<Keeper>>,
) -> Result<(Plan, View)> {
    let span = spans::plan();
    let made = planned(context, target, options, view, keeper).instrument(span.clone()).await;
    spans::planned(&span, &made);
    made
}

async fn planned(
    context: &Context,
    target: &Target,
    options: &Options,
    mut view: View,
    keeper: Option<&Arc<Keeper>>,
) -> Result<(Plan, View)> {
    let mut choices = options.choices.clone();
    for _ in 0..QUESTIONS_MAX {
        let input = Input {
            baseline: view.baseline.as_ref(),
            agreed_count: view.agreed_count,
            snapshots: view.snapshots.as_ref(),
            partial: view.partial,
            removed_before: options.removed_before,
            policy: &target.policy,
            choices: &choices,
            now: context.clock.now(),
        };
        let mut made = make_plan(&input)?;
        if made.needs.is_empty() && made.merges.is_empty() {
            if view.distrust.is_some() && !(choices.desired.is_empty() && choices.takes.is_empty()) {
                made.halts.push(distrusted(&view));
            }
            name_places(target, view.agreed_count, &mut made);
            if !secrets::search(context, target, options, &mut made, &mut view).await? {
                continue;
            }
            // The plan holds all that is needed from here on, but for content that is still to be found.
            if !made.steps.iter().any(is_from_store) {
                view.snapshots = view.snapshots.map(|snapshot| Snapshot { changes: Vec::new(), ..snapshot });
            }
            return Ok((made, view));
        }
        answer(context, target, &made.needs, &mut view, keeper).await;
        merging::answer(context, target, made.merges, &mut view, &mut choices).await?;
    }
    Err(syncline_connect::Error::new(ErrorKind::Invalid, "the planner asked for content again and again")
        .into())
}

/// A root that is not as it was is told with its place, and in the words of those who work with it.
fn name_places(target: &Target, agreed: u64, plan: &mut Plan) {
    for halt in plan.halts.iter_mut().filter(|halt| halt.code.starts_with("root_")) {
        let Capabilities { location: place, words, .. } = target.endpoints[halt.side].capabilities();
        if let Some(gone) = words.gone.filter(|_| halt.code == "root_missing" && agreed > 0) {
            let items = if agreed == 1 { "item was" } else { "items were" };
            halt.message = format!("{gone}; {agreed} {items} agreed on");
        }
        halt.message = format!("{} ({place})", halt.message);
    }
}

/// What people ask for refers to an agreement; without one, the sides have to agree first.
fn distrusted(view: &View) -> Halt {
    let why = view.distrust.as_deref().unwrap_or_default();
    let message = format!("{why}; run the target once without a wish, then ask again");
    Halt { code: "distrusted", side: Side::Remote, message, approvable: false }
}

fn is_from_store(step: &Step) -> bool {
    matches!(&step.action, Action::Write { source: Source::Object(_), .. })
}

/// Reads the content that the planner needs, and puts the digests into the snapshots.
async fn answer(
    context: &Context,
    target: &Target,
    needs: &[Need],
    view: &mut View,
    keeper: Option<&Arc<Keeper>>,
) {
    context.events.happened(&Event::Comparing { target: target.name.clone(), items: needs.len() as u64 });
    let questions: Vec<Question> = needs.iter().filter_map(|need| question(need, view)).collect();
    if let Some(keeper) = keeper {
        keeper.expect(questions.iter().filter(|question| is_kept(question)).map(|question| &question.item));
    }
    let (endpoints, progress) = (target.endpoints.clone(), context.events.progress());
    let keeper = keeper.cloned();
    let read = move |question: Question| {
        let endpoint = Arc::clone(&endpoints[question.need.side]);
        let (progress, keeper) = (Arc::clone(&progress), keeper.clone().filter(|_| is_kept(&question)));
        async move {
            let answer = digest(&endpoint, &question, keeper).await;
            progress.add(1, answer.as_ref().map_or(0, |(_, size)| *size));
            (question.need, answer)
        }
    };
    for (need, answer) in spread(context.workers, questions, read).await {
        let changes = &mut view.snapshots[need.side].changes;
        let Ok(at) = changes.binary_search_by(|change| change.path.cmp(&need.path)) else { continue };
        match (&mut changes[at].now, answer) {
            (Seen::Present(found), Ok((digest, size))) => {
                found.item.digest = Some(digest);
                found.item.size = size;
            }
            (now, Err(problem)) => *now = Seen::Unreadable(problem),
            _ => {}
        }
    }
}

struct Question {
    need: Need,
    item: Item,
    version: Version,
    /// Whether the other side has something new there too.
    shared: bool,
}

/// Whether the content may be one that both sides hold: to keep it once, that of one side is enough. What only one side
/// holds is kept when it is brought to the other, since it may be something that must not get there.
fn is_kept(question: &Question) -> bool {
    question.need.side == Side::Local && question.shared
}

fn question(need: &Need, view: &View) -> Option<Question> {
    let changes = &view.snapshots[need.side].changes;
    let at = changes.binary_search_by(|change| change.path.cmp(&need.path)).ok()?;
    let found = changes[at].now.found()?;
    let others = &view.snapshots[need.side.other()].changes;
    let shared = others.binary_search_by(|change| change.path.cmp(&need.path)).is_ok();
    Some(Question { need: need.clone(), item: found.item.clone(), version: found.version.clone(), shared })
}

/// The digest and the size of an item's content; blocks while it reads.
async fn digest(
    endpoint: &Arc<dyn Endpoint>,
    question: &Question,
    keeper: Option<Arc<Keeper>>,
) -> std::result::Result<(Digest, u64), Problem> {
    let path = question.need.path.as_str();
    let content = match endpoint.read(&question.need.path, &question.version).await {
        Ok(content) => content,
        Err(error) => return Err(unreadable(path, &error)),
    };
    let content = match keeper {
        Some(keeper) => keeper.tee(&question.need.path, &question.item, content),
        None => content,
    };
    digest_of(content).map_err(|error| unreadable(path, &syncline_connect::Error::io(error, "reading")))
}

pub(crate) fn digest_of(content: Content) -> std::io::Result<(Digest, u64)> {
    let mut reader = content.into_reader();
    let mut hasher = blake3::Hasher::new();
    let mut buffer = vec![0; 256 * 1024];
    let mut size = 0;
    loop {
        match reader.read(&mut buffer) {
            Ok(0) => return Ok((hasher.finalize().into(), size)),
            Ok(count) => {
                hasher.update(&buffer[..count]);
                size += count as u64;
            }
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

pub(crate) fn unreadable(path: &str, error: &syncline_connect::Error) -> Problem {
    match error.kind() {
        ErrorKind::Changed | ErrorKind::NotFound => Problem::new(
            path,
            "keeps_changing",
            "changed while it was being read; it is left for the next run",
        ),
        _ => error.to_problem(path),
    }
}
