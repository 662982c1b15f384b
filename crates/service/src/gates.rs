//! From configured checks, and what must not leave, to the gates of a target.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use syncline_config::{Check as Configured, Means as ConfiguredMeans, Phase, Target};
use syncline_connect::layers::sanitize::Sanitizer;
use syncline_core::secrets::Redactor;
use syncline_core::{Direction, Filter, Side};
use syncline_engine::checks::{Check, Checked, Ground, Means, Own};
use syncline_engine::{Gates, SecretScan};

use crate::problem::{Problem, Result};
use crate::scripts;
use crate::service::Service;

/// The word for the verification of a target in reports.
pub(crate) const VERIFICATION: &str = "verification";

/// The gates of a target for a run of this direction, when it has any. `looked` is filled while the sides are looked at.
pub(crate) fn of(
    service: &Service,
    target: &Target,
    direction: Direction,
    filter: &Arc<Filter>,
    looked: Arc<Mutex<Vec<Checked>>>,
) -> Result<Option<Gates>> {
    let after = if is_checked_early(target) { Vec::new() } else { after(target)? };
    let own = own(service, target, filter);
    // Nothing leaves a target that only brings something in.
    let is_searched = target.secrets.leaving && direction.may_write(Side::Remote);
    let secrets = is_searched.then(|| Arc::clone(&own.secrets));
    if target.checks.is_empty() && secrets.is_none() {
        return Ok(None);
    }
    let root = service.workspace().root.clone();
    let environment = BTreeMap::from([
        ("SYNCLINE_TARGET".to_owned(), target.name.clone()),
        ("SYNCLINE_DIRECTION".to_owned(), target.direction.to_string()),
        ("SYNCLINE_WORKSPACE".to_owned(), root.display().to_string()),
    ]);
    Ok(Some(Gates {
        before: checks(target, |phase| phase == Phase::Before)?,
        after,
        ground: Ground { root, environment, own, ..Ground::default() },
        scratch: Some(scripts::scratch(service)),
        secrets,
        looked,
    }))
}

/// What belongs to a target, for the checks that Syncline makes itself.
pub(crate) fn own(service: &Service, target: &Target, filter: &Arc<Filter>) -> Own {
    let secrets = &target.secrets;
    let baseline = service.workspace().root.join(secrets.baseline.as_str());
    Own {
        folder: target.path.as_ref().map(ToString::to_string).unwrap_or_default(),
        filter: Arc::clone(filter),
        secrets: Arc::new(SecretScan::new(secrets.patterns.clone(), baseline, secrets.baseline.to_string())),
    }
}

/// What takes the secrets out of what comes in, when that is wanted.
pub(crate) fn sanitizer(service: &Service, target: &Target) -> Result<Option<Arc<Sanitizer>>> {
    let Some(how) = &target.secrets.arriving else { return Ok(None) };
    let patterns: Vec<String> = target.secrets.patterns.iter().chain(&how.patterns).cloned().collect();
    let redactor = Redactor::new(&patterns, how.placeholder.as_deref()).map_err(|error| {
        Problem::usage(
            "bad_value",
            format!("what comes in to {:?} cannot be sanitized: {error}", target.name),
        )
    })?;
    let rules = format!("{patterns:?} {:?}", how.placeholder);
    let allowed = own(service, target, &Arc::default()).secrets.allowed();
    Ok(Some(Arc::new(Sanitizer::new(redactor, allowed, &rules))))
}

/// The checks of what a run came to.
pub(crate) fn after(target: &Target) -> Result<Vec<Check>> {
    checks(target, |phase| phase != Phase::Before)
}

/// Whether what comes in is checked before it is brought in: a script makes it in a copy.
pub(crate) fn is_checked_early(target: &Target) -> bool {
    target.script.is_some() && target.direction != Direction::Push
}

fn checks(target: &Target, of_phase: impl Fn(Phase) -> bool) -> Result<Vec<Check>> {
    let made = target.checks.iter().filter(|check| of_phase(check.phase));
    made.filter(|check| !check.skips.contains(&target.direction)).map(check).collect()
}

fn check(configured: &Configured) -> Result<Check> {
    let phase = match configured.phase {
        Phase::Before => "before",
        Phase::After => "after",
        Phase::Drift => "drift",
        Phase::Verification => VERIFICATION,
    };
    let means = match &configured.means {
        ConfiguredMeans::Command(command) => Means::Command(command.clone()),
        ConfiguredMeans::Builtin { builtin, paths } => {
            let paths = (!paths.is_empty()).then(|| Filter::new(paths, &[], None, Vec::new())).transpose()?;
            Means::Builtin(*builtin, paths.map(Arc::new))
        }
    };
    Ok(Check {
        name: configured.name.clone(),
        phase,
        means,
        expectation: configured.expectation.clone(),
        keep: configured.keep,
        in_copy: configured.phase == Phase::Drift,
    })
}
