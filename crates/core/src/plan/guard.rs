//! The guard: reasons to stop and ask before anything is touched.

use std::collections::HashSet;

use crate::baseline::{Damaged, visit_all};
use crate::path::ItemPath;
use crate::side::{Side, Sides};
use crate::snapshot::Root;
use crate::step::{Action, Goal, Halt, Plan, Step};

use super::Input;

/// Halts when a root is not what it was: then nothing else about that side can be believed.
pub(super) fn check_roots(input: &Input<'_>, plan: &mut Plan) {
    let agreed = input.agreed_count;
    if Side::BOTH.iter().all(|&side| input.snapshots[side].root == Root::Missing) {
        let message = "there is no folder on either side; check how the paths are written".to_owned();
        plan.halts.push(Halt { code: "root_missing", side: Side::Local, message, approvable: false });
        return;
    }
    for side in Side::BOTH {
        let snapshot = input.snapshots[side];
        let halt = match &snapshot.root {
            Root::WrongType(what) => Some((
                "root_type_changed",
                format!("the {side} root is now a {what} where a folder was; put the folder back"),
                false,
            )),
            Root::Missing if agreed > 0 => Some((
                "root_missing",
                format!(
                    "the {side} root is gone, though {agreed} items were agreed on; mount or restore it; if it is meant, give \
                     the target a new name to start afresh"
                ),
                false,
            )),
            _ if agreed > 0 && snapshot.sentinel == Some(false) => {
                let name = input.policy.guard.sentinel.as_ref().map_or("", |path| path.as_str());
                Some((
                    "sentinel_missing",
                    format!(
                        "the sentinel file {name:?} is missing on the {side} side; is the right folder mounted?"
                    ),
                    false,
                ))
            }
            _ => None,
        };
        plan.halts.extend(halt.map(|(code, message, approvable)| Halt { code, side, message, approvable }));
    }
}

/// Halts when a side would lose more items than the guard allows, or when a side that was emptied would decide.
/// Renames are no removals, and directories do not count: what they hold does.
pub(super) fn check_removals(input: &Input<'_>, plan: &mut Plan) -> Result<(), Damaged> {
    // What lost a conflict lives on as a copy.
    let settled: HashSet<&ItemPath> = plan.conflicts.iter().map(|conflict| &conflict.path).collect();
    let is_removal = |step: &Step| {
        let file = matches!(&step.action, Action::Remove { item } if !item.kind.is_directory());
        file && !settled.contains(&step.path)
    };
    let removals = Sides::from_fn(|side| {
        plan.steps.iter().filter(|step| step.side == side && is_removal(step)).count() as u64
    });
    for side in Side::BOTH {
        if is_emptied(input, plan, side, removals[side.other()]) {
            let message = format!(
                "the {side} side is empty, though {} items were agreed on; check that the right folder is mounted, \
                 and approve the plan only if it does what you mean",
                input.agreed_count
            );
            plan.halts.push(Halt { code: "root_emptied", side, message, approvable: true });
        }
    }
    if removals == (Sides { local: 0, remote: 0 }) {
        return Ok(());
    }
    let agreed = files_agreed(input)? + input.removed_before;
    let guard = &input.policy.guard;
    for side in Side::BOTH {
        if removals[side] == 0 {
            continue;
        }
        let removals = removals[side] + input.removed_before;
        let message = if removals > guard.deletes_max {
            format!(
                "{removals} removals on the {side} side are more than deletes_max ({})",
                guard.deletes_max
            )
        } else if removals * 100 > u64::from(guard.deletes_max_percent) * agreed {
            format!(
                "{removals} removals on the {side} side are more than deletes_max_percent ({} % of {agreed} files)",
                guard.deletes_max_percent
            )
        } else {
            continue;
        };
        plan.halts.push(Halt { code: "too_many_removals", side, message, approvable: true });
    }
    Ok(())
}

/// Whether a side holds nothing any more, and the plan would follow it, or fill what may be a bare mount point.
fn is_emptied(input: &Input<'_>, plan: &Plan, side: Side, followed: u64) -> bool {
    let snapshot = input.snapshots[side];
    let empty = !input.partial && snapshot.complete && snapshot.root == Root::Present && snapshot.count == 0;
    if !empty || input.agreed_count == 0 {
        return false;
    }
    // Without a trusted baseline, anything that comes to the side may be what it held before.
    let distrusted = input.baseline.count() == 0;
    let refills = || {
        let onto = |goal: &&Goal| goal.steps[side].is_some() && goal.item.is_some();
        plan.goals.iter().filter(onto).any(|goal| distrusted || goal.was.is_some())
    };
    followed > 0 || refills()
}

fn files_agreed(input: &Input<'_>) -> Result<u64, Damaged> {
    let mut files = 0;
    visit_all(input.baseline, &mut |_, entry| files += u64::from(!entry.kind.is_directory()))?;
    Ok(files)
}
