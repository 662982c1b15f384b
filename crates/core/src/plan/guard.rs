//! The guard: reasons to stop and ask before anything is touched.

use crate::side::Side;
use crate::snapshot::Root;
use crate::step::{Action, Halt, Plan};

use super::Input;

/// Halts when a root is not what it was: then nothing else about that side can be believed.
pub(super) fn check_roots(input: &Input<'_>, plan: &mut Plan) {
    let agreed = input.agreed_count;
    for side in Side::BOTH {
        let snapshot = input.snapshots[side];
        let emptied = !input.partial && snapshot.complete && snapshot.count == 0;
        let other_empty = input.snapshots[side.other()].count == 0;
        let halt = match &snapshot.root {
            Root::WrongType(what) => Some((
                "root_type_changed",
                format!("the {side} root is {what}, not a directory; put the directory back"),
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
            Root::Present if emptied && agreed > 0 && !other_empty => Some((
                "root_emptied",
                format!(
                    "the {side} side is empty, though {agreed} items were agreed on; check that the right folder \
                     is mounted, or approve the plan to remove everything on the other side too"
                ),
                true,
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

/// Halts when a side would lose more items than the guard allows. Renames are no removals, nor is what a person
/// asked for by name.
pub(super) fn check_removals(input: &Input<'_>, plan: &mut Plan) {
    let guard = &input.policy.guard;
    for side in Side::BOTH {
        let removals = plan
            .steps
            .iter()
            .filter(|step| {
                step.side == side
                    && matches!(&step.action, Action::Remove { item } if !item.kind.is_directory())
            })
            .filter(|step| !input.choices.desired.contains_key(&step.path))
            .count() as u64;
        let percent = removals * 100;
        let limit = u64::from(guard.deletes_max_percent) * input.agreed_count;
        let message = if removals > guard.deletes_max {
            format!(
                "{removals} removals on the {side} side are more than deletes_max ({})",
                guard.deletes_max
            )
        } else if percent > limit {
            format!(
                "{removals} removals on the {side} side are more than deletes_max_percent ({} % of {} items)",
                guard.deletes_max_percent, input.agreed_count
            )
        } else {
            continue;
        };
        plan.halts.push(Halt { code: "too_many_removals", side, message, approvable: true });
    }
}
