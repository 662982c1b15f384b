//! A plan, as `plan` prints it and `run --plan` reads it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use syncline_core as core;
use syncline_engine::RunResult;

use super::{Conflict, Direction, Side, VERSION, Verb};
use crate::problem::WireProblem;

/// What would be done, target by target.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Plan {
    /// The version of this shape.
    pub version: u32,
    /// The plans of the targets, in the order in which they go.
    pub targets: Vec<TargetPlan>,
}

/// What would be done for one target.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct TargetPlan {
    /// The target.
    pub target: String,
    /// Which way changes may flow.
    pub direction: Direction,
    /// What an approval and `run --plan` bind to; `null` when no plan could be made.
    pub hash: Option<String>,
    /// The steps, in the order in which they would be applied.
    pub steps: Vec<PlannedStep>,
    /// What both sides changed differently.
    pub conflicts: Vec<Conflict>,
    /// Why it must not be applied as it is.
    pub halts: Vec<Halt>,
    /// What would be left alone, and why.
    pub problems: Vec<Remark>,
    /// Changes that the direction keeps from flowing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub drift: Vec<Drift>,
    /// How many items are agreed on.
    #[serde(default)]
    pub agreed: u64,
    /// Why the baseline is not trusted: then nothing is removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub distrust: Option<String>,
    /// Why no plan could be made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<WireProblem>,
}

/// A step of a plan.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct PlannedStep {
    /// The side that changes.
    pub side: Side,
    /// What is done.
    pub action: Verb,
    /// The path that changes, relative to the target's folder.
    pub path: String,
    /// Where a moved item comes from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// `file`, `directory` or `symlink`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Bytes of content; none for a directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// The BLAKE3 digest of the content, where it is known before it is read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
}

/// Why a plan must not be applied without approval.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Halt {
    /// A stable code, such as `too_many_removals`.
    pub code: String,
    /// The side concerned.
    pub side: Side,
    /// What was found and what to do.
    pub message: String,
    /// Whether an approval of the plan lifts it.
    pub approvable: bool,
}

/// Something that was left alone, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Remark {
    /// The path, as text for people.
    pub path: String,
    /// A stable code, such as `unreadable`.
    pub code: String,
    /// What is wrong and what to do.
    pub message: String,
    /// The side on which it went wrong; missing where that is unknown or both are concerned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub side: Option<Side>,
}

/// A change that the direction of the target keeps from flowing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Drift {
    /// The side that holds the change.
    pub side: Side,
    /// The path.
    pub path: String,
}

impl Plan {
    /// A plan of these targets.
    #[must_use]
    pub const fn new(targets: Vec<TargetPlan>) -> Self {
        Self { version: VERSION, targets }
    }
}

impl TargetPlan {
    /// How many changes are pending: steps, and conflicts that wait for a decision.
    #[must_use]
    pub fn pending(&self) -> u64 {
        let undecided = self.conflicts.iter().filter(|conflict| conflict.is_untouched()).count();
        (self.steps.len() + undecided) as u64
    }

    /// Whether an approval lifts everything that halts it.
    #[must_use]
    pub fn is_approvable(&self) -> bool {
        !self.halts.is_empty() && self.halts.iter().all(|halt| halt.approvable)
    }

    pub(crate) fn of(result: &RunResult) -> Self {
        let plan = &result.plan;
        let conflict = |conflict: &core::Conflict| Conflict::planned(&result.target, conflict);
        Self {
            target: result.target.clone(),
            direction: result.direction.into(),
            hash: Some(result.plan_hash.clone()),
            steps: plan.steps.iter().map(PlannedStep::from).collect(),
            conflicts: plan.conflicts.iter().map(conflict).collect(),
            halts: result.halts.iter().map(Halt::from).collect(),
            problems: result.problems.iter().map(Remark::from).collect(),
            drift: plan
                .drift
                .iter()
                .map(|(side, path)| Drift { side: (*side).into(), path: path.to_string() })
                .collect(),
            agreed: result.agreed,
            distrust: result.distrust.clone(),
            error: None,
        }
    }

    pub(crate) fn failed(target: &str, direction: core::Direction, error: WireProblem) -> Self {
        Self {
            target: target.to_owned(),
            direction: direction.into(),
            hash: None,
            steps: Vec::new(),
            conflicts: Vec::new(),
            halts: Vec::new(),
            problems: Vec::new(),
            drift: Vec::new(),
            agreed: 0,
            distrust: None,
            error: Some(error),
        }
    }
}

impl From<&core::Step> for PlannedStep {
    fn from(step: &core::Step) -> Self {
        let item = step.item();
        let from = match &step.action {
            core::Action::Move { from, .. } => Some(from.to_string()),
            _ => None,
        };
        let has_content = !item.kind.is_directory();
        Self {
            side: step.side.into(),
            action: step.into(),
            path: step.path.to_string(),
            from,
            kind: item.kind.name().to_owned(),
            size: has_content.then_some(item.size),
            digest: item.digest.filter(|_| has_content).map(|digest| digest.to_string()),
        }
    }
}

impl Remark {
    /// Whether it is only worth telling, and no trouble.
    #[must_use]
    pub fn is_note(&self) -> bool {
        syncline_engine::is_remark(&self.code)
    }
}

impl From<&core::Halt> for Halt {
    fn from(halt: &core::Halt) -> Self {
        Self {
            code: halt.code.to_owned(),
            side: halt.side.into(),
            message: halt.message.clone(),
            approvable: halt.approvable,
        }
    }
}

impl From<&core::Problem> for Remark {
    fn from(problem: &core::Problem) -> Self {
        Self {
            path: problem.path.clone(),
            code: problem.code.to_owned(),
            message: problem.message.clone(),
            side: problem.side.map(Into::into),
        }
    }
}
