//! Wishes: what paths shall hold again. A rollback and a restore are ordinary runs that grant them.

use std::collections::BTreeMap;

use syncline_config::Target as Configured;
use syncline_core::{Choices, Digest, Item, ItemPath, Problem as Trouble, Verdict};
use syncline_engine::{Options, Target};
use syncline_store::{RunState, Store};

use crate::problem::Result;
use crate::runner::{Job, refuse_moved, report, run_all};
use crate::service::Service;
use crate::wire::Report;

/// What paths shall hold; `None` is nothing.
pub(crate) type Wishes = BTreeMap<ItemPath, Option<Item>>;

/// How wishes are to be granted.
pub(crate) struct Granting {
    pub(crate) cause: String,
    pub(crate) dry_run: bool,
    pub(crate) approved: Option<Digest>,
    /// The hash of the only plan that may be carried out, when there is one.
    pub(crate) plan: Option<String>,
}

/// Runs a target so that its paths hold what is wished, but for what its rules leave out by now: that is told.
pub(crate) async fn grant(
    service: &Service,
    store: &Store,
    configured: &Configured,
    wishes: Wishes,
    granting: Granting,
) -> Result<Report> {
    let started = service.clock().now();
    let Granting { cause, dry_run, approved, plan } = granting;
    let (desired, excluded) = match service.target(configured, configured.direction) {
        Ok(target) => permitted(&target, wishes),
        // The run finds the same trouble, and reports it.
        Err(_) => (wishes, Vec::new()),
    };
    let only = Some(desired.keys().cloned().collect());
    let choices = Choices { desired, approved, ..Choices::default() };
    let options = Options { cause, dry_run, only, choices, plan, ..Options::default() };
    let mut all = run_all(service, store, vec![Job::new(configured, options)]).await;
    refuse_moved(&all)?;
    for result in all.iter_mut().filter_map(|done| done.result.as_mut().ok()) {
        if !excluded.is_empty() && result.state == RunState::Succeeded {
            result.state = RunState::Partial;
        }
        result.plan.problems.extend(excluded.iter().cloned());
        result.problems.extend(excluded.iter().cloned());
    }
    Ok(report(service, started, dry_run, &all))
}

/// Divides wishes into those that the target's rules permit, and the trouble with the others.
fn permitted(target: &Target, wishes: Wishes) -> (Wishes, Vec<Trouble>) {
    let mut excluded = Vec::new();
    let mut desired = wishes;
    desired.retain(|path, item| {
        let is_directory = item.as_ref().is_some_and(|item| item.kind.is_directory());
        match target.filter.decide_deep(path, is_directory) {
            Verdict::Included => true,
            // It is no item of its own; it comes with what lies below.
            Verdict::Traverse => false,
            Verdict::Ignored(rule) => {
                let message =
                    format!("the rules of the target leave it out by now ({rule}); it stays as it is");
                excluded.push(Trouble::new(path.as_str(), "excluded", message));
                false
            }
        }
    });
    (desired, excluded)
}
