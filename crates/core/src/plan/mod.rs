//! Planning: what to do so that both sides agree. Pure: the same input gives the same plan.
//!
//! The flow, one file each: [`observe`] joins the two snapshots path by path; [`wishes`]
//! leaves out what people asked for and what is not as they saw it; [`moves`] recognises renames,
//! [`follow`] lets edits of the other side follow them, and [`apart`] tells of those that both sides made differently; [`decide`] holds the decision table; [`conflict`] settles
//! what both sides changed differently; [`names`] stops names that a side would take for another one;
//! [`directories`] keeps directories that still hold something; [`emit`] turns decisions into ordered steps and
//! goals; [`guard`] looks at the result and halts it.

mod apart;
mod conflict;
mod decide;
mod directories;
mod emit;
mod follow;
mod guard;
mod hash;
mod moves;
mod names;
mod observe;
mod wishes;

pub use conflict::{conflict_path, merged_kind};

use std::collections::BTreeMap;

use crate::baseline::{Baseline, Damaged};
use crate::digest::Digest;
use crate::item::{Item, Nanos};
use crate::path::ItemPath;
use crate::policy::Policy;
use crate::side::{Side, Sides};
use crate::snapshot::Snapshot;
use crate::step::{MergeResult, Plan};

/// Everything that a plan depends on.
pub struct Input<'a> {
    /// What both sides last agreed on, as the snapshots were taken against it.
    pub baseline: &'a dyn Baseline,
    /// How many items were ever agreed on and are still recorded, even when the baseline itself is distrusted.
    pub agreed_count: u64,
    /// What each side holds.
    pub snapshots: Sides<&'a Snapshot>,
    /// Whether the snapshots cover only some paths: then their counts say nothing about the whole.
    pub partial: bool,
    /// How many removals runs just before this one have made already: a mass of them must not pass in slices.
    pub removed_before: u64,
    /// What the target wants.
    pub policy: &'a Policy,
    /// What is already decided.
    pub choices: &'a Choices,
    /// The moment of planning: time stamps later than this are clamped.
    pub now: Nanos,
}

/// What is already decided, by people or by the engine.
#[derive(Clone, Debug, Default)]
pub struct Choices {
    /// How to settle conflicts, by conflict identifier.
    pub takes: BTreeMap<String, Take>,
    /// What came of merging, by conflict identifier: the engine merges what [`Plan::merges`] asks for.
    pub merges: BTreeMap<String, MergeResult>,
    /// What paths shall hold, whatever the sides hold now: content comes from the content store.
    pub desired: BTreeMap<ItemPath, Option<Item>>,
    /// Where a wish takes back what a run has just done: what each side held that the run wrote. A side that it did not write
    /// is left alone, so that the next run plans the same again.
    pub retracted: BTreeMap<ItemPath, Retracted>,
    /// What the paths of a decision held when it was made, one map for each: where one of them holds something else
    /// by now, nothing that the decision asks for is done.
    pub made_from: Vec<MadeFrom>,
    /// The hash of the one plan that a person approved.
    pub approved: Option<Digest>,
}

/// What each side holds at some paths: the digest of a file, or nothing.
pub type MadeFrom = BTreeMap<ItemPath, Sides<Option<Digest>>>;

/// What each side held before a run wrote it; `None` for a side that it did not write.
pub type Retracted = Sides<Option<Option<Item>>>;

/// How a person settles a conflict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Take {
    /// This side's version.
    Side(Side),
    /// Both versions, one under a conflict name.
    Both,
    /// The one version that [`Choices::merges`] gives for the conflict.
    Merged,
}

/// Makes the plan.
///
/// While [`Plan::needs`] is not empty, the plan is not final: read what it needs, put the digests into the
/// snapshots, and plan again. The same holds for [`Plan::merges`]: merge, put the results into the choices.
///
/// # Errors
/// When the baseline is damaged.
pub fn plan(input: &Input<'_>) -> Result<Plan, Damaged> {
    let mut plan = Plan::default();
    guard::check_roots(input, &mut plan);
    if !plan.halts.is_empty() {
        return Ok(plan);
    }
    let mut nodes = observe::join(input, &mut plan)?;
    wishes::check(input, &mut nodes, &mut plan)?;
    moves::recognise(input, &mut nodes, &mut plan);
    decide::all(input, &mut nodes, &mut plan);
    if plan.has_needs() {
        return Ok(plan);
    }
    // A directory that comes back may collide, and what collides may leave a directory held: until both are content.
    loop {
        directories::fit(input, &mut nodes, &mut plan)?;
        if plan.has_needs() {
            return Ok(plan);
        }
        if !names::stop_collisions(input, &mut nodes, &mut plan)? {
            break;
        }
    }
    emit::steps_and_goals(input, nodes, &mut plan)?;
    if plan.has_needs() {
        return Ok(plan);
    }
    guard::check_removals(input, &mut plan)?;
    if input.choices.approved.is_some_and(|approved| approved == plan.hash()) {
        plan.halts.retain(|halt| !halt.approvable);
    }
    Ok(plan)
}

impl Plan {
    /// Whether content has to be read before the plan is final; brings the needs into a fixed order.
    fn has_needs(&mut self) -> bool {
        self.needs.sort();
        self.needs.dedup();
        !(self.needs.is_empty() && self.merges.is_empty())
    }

    /// Whether both sides agree and nothing is left to do or to decide.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty() && self.halts.is_empty() && self.needs.is_empty() && self.merges.is_empty()
    }
}
