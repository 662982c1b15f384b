//! Gates: the checks around a run, and what must not leave. A check that fails before a run keeps it from beginning; one
//! that fails after it has what it did taken back, by a run of its own.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use syncline_core::{Choices, Digest, Halt, Problem, Side};
use syncline_store::{Lease, RunState};
use tracing::Instrument as _;

use crate::checks::{Check, Checked, Ground};
use crate::context::{Context, Options, Target};
use crate::cycle;
use crate::error::Result;
use crate::process::one_line;
use crate::result::{RunResult, is_remark};
use crate::scratch::Copying;
use crate::secrets::SecretScan;
use crate::spans;
use crate::undo;

/// The gates of a target.
#[derive(Debug, Default)]
pub struct Gates {
    /// Made before anything is changed.
    pub before: Vec<Check>,
    /// Made after the changes. A script's are made before: of what it made, while it is nowhere else yet.
    pub after: Vec<Check>,
    /// Where they are made.
    pub ground: Ground,
    /// A folder on this machine for the copies that drift gates look at.
    pub scratch: Option<PathBuf>,
    /// What is looked for in everything that leaves.
    pub secrets: Option<Arc<SecretScan>>,
    /// What checks came to that were made while the sides were looked at.
    pub looked: Arc<Mutex<Vec<Checked>>>,
}

impl Gates {
    /// Makes the checks before a run.
    pub(crate) async fn before(&self, target: &Target) -> Vec<Checked> {
        self.make_all(target, &self.before).await
    }

    /// What was checked while the sides were looked at; it is told once.
    pub(crate) fn looked(&self) -> Vec<Checked> {
        std::mem::take(&mut *self.looked.lock().unwrap_or_else(PoisonError::into_inner))
    }

    async fn make_all(&self, target: &Target, checks: &[Check]) -> Vec<Checked> {
        let copying = || Copying {
            target: target.name.clone(),
            above: self.scratch.clone(),
            hint: "make it one of `post_sync_checks`, which run in the workspace itself, if it changes nothing there",
            ..Copying::default()
        };
        let mut made = Vec::with_capacity(checks.len());
        for check in checks {
            let span = spans::check(check);
            let checked = check.make_on(&self.ground, copying).instrument(span.clone()).await;
            spans::checked(&span, &checked);
            made.push(checked);
        }
        made
    }
}

/// The gates that count for a run: what people decided about single paths is not held up by any.
pub(crate) fn of<'a>(target: &'a Target, options: &Options) -> Option<&'a Gates> {
    let Choices { takes, desired, .. } = &options.choices;
    target.gates.as_deref().filter(|_| takes.is_empty() && desired.is_empty())
}

/// Why a run must not begin, or what it found not be brought in.
pub(crate) fn halts(checked: &[Checked]) -> impl Iterator<Item = Halt> + '_ {
    checked.iter().filter(|checked| checked.forbids()).map(|checked| Halt {
        code: "check_failed",
        side: Side::Local,
        message: format!("{}; {}", told(checked), what_to_do(checked)),
        approvable: false,
    })
}

/// A check before a run says that it is not the time; one of what a script made says that the script did not do its work.
fn what_to_do(checked: &Checked) -> &'static str {
    match checked.phase {
        "before" => "nothing was changed",
        _ => {
            "nothing was changed: what the script made was checked in its copy; mend the script, or what is expected of it"
        }
    }
}

fn told(checked: &Checked) -> String {
    format!("{}: {}", checked.name, one_line(checked.failure.as_deref().unwrap_or("passed")))
}

/// Makes the checks after a run, and takes back what it did when one fails that forbids it.
pub(crate) async fn after(
    gates: &Gates,
    context: &Context,
    target: &Target,
    lease: &mut Option<Lease>,
    mut result: RunResult,
) -> Result<RunResult> {
    let made = gates.make_all(target, &gates.after).await;
    let mut notes = Vec::new();
    for checked in made.iter().filter(|checked| checked.failure.is_some()) {
        let kept = if checked.keep { "; what was done stays, as `keep` says" } else { "" };
        notes.push(Problem::new("", "check_failed", format!("{}{kept}", told(checked))));
    }
    let forbidden = made.iter().any(Checked::forbids);
    result.checked.extend(made);
    if notes.is_empty() {
        return Ok(result);
    }
    result.problems.extend(notes);
    result.state = RunState::Failed;
    if let Some(run) = result.run.clone().filter(|_| forbidden && result.tally.steps() > 0) {
        take_back(context, target, lease, &run, &mut result).await?;
    }
    Ok(result)
}

/// Puts the target back to what it was before the run; told as a problem of the run.
async fn take_back(
    context: &Context,
    target: &Target,
    lease: &mut Option<Lease>,
    run: &str,
    result: &mut RunResult,
) -> Result<()> {
    let Some(record) = context.store.run(run).await? else { return Ok(()) };
    let (desired, retracted) = undo::taken_back(&context.store, &record, &result.plan).await?;
    let mut options = Options {
        cause: format!("taking back {run}: a check failed"),
        only: Some(desired.keys().cloned().collect()),
        choices: Choices { desired, retracted, ..Choices::default() },
        ..Options::default()
    };
    let mut undone = Box::pin(cycle::cycle(context, target, &options, lease)).await?;
    if !undone.halts.is_empty() && undone.halts.iter().all(|halt| halt.approvable) {
        // The guard is for what nobody looked at: this removes exactly what the run has just made.
        options.choices.approved = Digest::from_hex(&undone.plan_hash);
        undone = Box::pin(cycle::cycle(context, target, &options, lease)).await?;
    }
    // That a side which may not be written stays as it is, is no failure.
    let failed = undone.problems.iter().find(|problem| !is_remark(problem.code));
    let message = match (undone.halts.first(), failed) {
        (Some(halt), _) => format!("what was done could not be taken back: {}", halt.message),
        (None, Some(problem)) => format!("not all that was done could be taken back: {}", problem.message),
        (None, None) => "what was done was taken back".to_owned(),
    };
    result.problems.push(Problem::new("", "taken_back", message));
    Ok(())
}
