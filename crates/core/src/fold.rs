//! From outcomes to the next baseline: only what was really done is agreed on.

use crate::baseline::Entry;
use crate::digest::Digest;
use crate::path::ItemPath;
use crate::side::{Side, Sides};
use crate::step::{Goal, Outcome, Plan};

/// The changes that a plan's outcomes make to the baseline, in path order: the entry that a path now has, or
/// `None` when nothing is agreed on there any more.
///
/// `outcomes` holds the outcome of each step, by the step's index; `None` while it has not been tried. A goal
/// counts only when each of its steps was applied.
#[must_use]
pub fn fold(plan: &Plan, outcomes: &[Option<Outcome>]) -> Vec<(ItemPath, Option<Entry>)> {
    plan.goals.iter().filter_map(|goal| Some((goal.path.clone(), reached(goal, outcomes)?))).collect()
}

/// What is agreed on at a goal's path, when the goal is reached.
#[must_use]
pub fn reached(goal: &Goal, outcomes: &[Option<Outcome>]) -> Option<Option<Entry>> {
    let mut versions = goal.versions.clone();
    let mut digest = goal.item.as_ref().and_then(|item| item.digest);
    let mut size = goal.item.as_ref().map_or(0, |item| item.size);
    for side in Side::BOTH {
        let Some(index) = goal.steps[side] else { continue };
        let Some(Outcome::Applied { version, digest: written, size: written_size }) =
            outcomes.get(index)?.as_ref()
        else {
            return None;
        };
        if versions[side].is_none() {
            versions[side] = Some(version.clone());
        }
        if let Some(written) = written {
            (digest, size) = (Some(*written), *written_size);
        }
    }
    let Some(item) = &goal.item else { return Some(None) };
    let (Some(local), Some(remote)) = (versions.local, versions.remote) else { return None };
    let digest = if item.kind.is_directory() { Digest([0; 32]) } else { digest? };
    Some(Some(Entry { kind: item.kind, digest, size, versions: Sides { local, remote } }))
}
