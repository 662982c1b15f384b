//! From configured checks, and what must not leave, to the gates of a target.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use syncline_config::{Check as Configured, Phase, Target};
use syncline_core::{Direction, Side};
use syncline_engine::checks::{Check, Checked};
use syncline_engine::{Gates, SecretScan};

use crate::service::Service;

/// The word for the verification of a target in reports.
pub(crate) const VERIFICATION: &str = "verification";

/// The gates of a target for a run of this direction, when it has any. `looked` is filled while the sides are looked at.
pub(crate) fn of(
    service: &Service,
    target: &Target,
    direction: Direction,
    looked: Arc<Mutex<Vec<Checked>>>,
) -> Option<Gates> {
    let root = &service.workspace().root;
    let after = if is_checked_early(target) { Vec::new() } else { after(target) };
    let before = checks(target, |phase| phase == Phase::Before);
    // Nothing leaves a target that only brings something in.
    let secrets = target.secrets.as_ref().filter(|_| direction.may_write(Side::Remote)).map(|secrets| {
        let baseline = root.join(secrets.baseline.as_str());
        SecretScan::new(secrets.patterns.clone(), baseline, secrets.baseline.to_string())
    });
    (!target.checks.is_empty() || secrets.is_some()).then(|| Gates {
        before,
        after,
        folder: root.clone(),
        environment: BTreeMap::from([
            ("SYNCLINE_TARGET".to_owned(), target.name.clone()),
            ("SYNCLINE_DIRECTION".to_owned(), target.direction.to_string()),
        ]),
        secrets,
        looked,
    })
}

/// The checks of what a run came to.
pub(crate) fn after(target: &Target) -> Vec<Check> {
    checks(target, |phase| phase != Phase::Before)
}

/// Whether what comes in is checked before it is brought in: a script makes it in a copy.
pub(crate) fn is_checked_early(target: &Target) -> bool {
    target.script.is_some() && target.direction != Direction::Push
}

fn checks(target: &Target, of_phase: impl Fn(Phase) -> bool) -> Vec<Check> {
    let made = target.checks.iter().filter(|check| of_phase(check.phase));
    made.filter(|check| !check.skips.contains(&target.direction)).map(check).collect()
}

fn check(configured: &Configured) -> Check {
    let phase = match configured.phase {
        Phase::Before => "before",
        Phase::After => "after",
        Phase::Drift => "drift",
        Phase::Verification => VERIFICATION,
    };
    Check {
        name: configured.name.clone(),
        phase,
        command: configured.command.clone(),
        expectation: configured.expectation.clone(),
        keep: configured.keep,
        in_copy: configured.phase == Phase::Drift,
    }
}
