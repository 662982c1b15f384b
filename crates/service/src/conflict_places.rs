//! What must hold at the paths of a conflict before a decision about it can be carried out.

use syncline_core::{Direction, Item, ItemPath, Side, Verdict, conflict_path};
use syncline_engine::Target;
use syncline_store::{ConflictRecord, Store};

use crate::conflict_versions;
use crate::glance::{self, Here};
use crate::problem::{Class, Problem, Result};
use crate::runner::Done;
use crate::wishes::Wishes;

/// Refuses a path that no run would touch: rules leave it out by now, or a side cannot be read there.
pub(crate) async fn reachable(store: &Store, target: &Target, path: &ItemPath) -> Result<()> {
    let here = glance::at(store, target, path).await?;
    let is_directory = Side::BOTH.iter().any(|&side| here[side].is_directory());
    if let Verdict::Ignored(rule) = target.filter.decide_deep(path, is_directory) {
        let message = format!("{path} does not belong to the target any more ({rule}); nothing was changed");
        return Err(Problem::usage("excluded", message));
    }
    for side in Side::BOTH {
        if let Here::Unreadable(trouble) = &here[side] {
            let message = format!(
                "{path} cannot be read on the {side} side ({}); nothing was changed",
                trouble.message
            );
            return Err(Problem::new(Class::Unavailable, "not_reachable", message));
        }
        if let Here::Ignored = &here[side] {
            let message =
                format!("rules leave out what the {side} side holds at {path}; nothing was changed");
            return Err(Problem::usage("excluded", message));
        }
    }
    Ok(())
}

/// Refuses to take the version of a side where the other one may not be written.
pub(crate) fn may_take(target: &Target, side: Side) -> Result<()> {
    let direction = target.policy.direction;
    if direction.may_write(side.other()) {
        return Ok(());
    }
    let message = format!(
        "the {side} version cannot be taken: the direction of the target is {direction}, so the {} side is never written",
        side.other()
    );
    Err(Problem::usage("direction", message))
}

/// Refuses a target that may not write on both sides.
pub(crate) fn both_ways(target: &Target, what: &str) -> Result<()> {
    let direction = target.policy.direction;
    if direction == Direction::Bidirectional {
        return Ok(());
    }
    let closed = if direction.may_write(Side::Local) { Side::Remote } else { Side::Local };
    let message =
        format!("{what}: the direction of the target is {direction}, so the {closed} side is never written");
    Err(Problem::usage("direction", message))
}

/// The conflict name of the remote version, when both versions can be put side by side: their contents are kept, and
/// the name is free.
pub(crate) async fn apart(store: &Store, target: &Target, record: &ConflictRecord) -> Result<ItemPath> {
    both_ways(target, "the versions cannot be put side by side")?;
    for side in Side::BOTH {
        if record.versions[side].kind.is_directory() {
            let message =
                format!("the {side} version is a directory: a file and a directory cannot share a name");
            return Err(Problem::usage("directory", message));
        }
        kept(store, target, record, side).await?;
    }
    let copy = conflict_path(&record.path, &record.versions.remote, &target.policy.nodes.remote);
    reachable(store, target, &record.path).await?;
    reachable(store, target, &copy).await?;
    let here = glance::at(store, target, &copy).await?;
    for side in Side::BOTH {
        let free = match &here[side] {
            Here::Absent => true,
            Here::Agreed(entry) => Some(entry.digest) == record.versions.remote.digest,
            Here::Other(found) => found.item.digest == record.versions.remote.digest,
            _ => false,
        };
        if !free {
            let message =
                format!("{copy} is taken by something else on the {side} side; nothing was changed");
            return Err(
                Problem::new(Class::Stale, "name_taken", message).with_hint("move it elsewhere first")
            );
        }
    }
    Ok(copy)
}

/// Refuses to go on without the content of a version.
pub(crate) async fn kept(store: &Store, target: &Target, record: &ConflictRecord, side: Side) -> Result<()> {
    if keep(store, target, record, &record.versions[side]).await? {
        return Ok(());
    }
    let message = format!(
        "the content of the {side} version of {} is not kept any more; nothing was changed",
        record.path
    );
    Err(Problem::new(Class::NotFound, "content_gone", message))
}

/// Makes sure that history holds the content of `item`, from wherever it is still to be had.
async fn keep(store: &Store, target: &Target, record: &ConflictRecord, item: &Item) -> Result<bool> {
    let Some(digest) = item.digest else { return Ok(false) };
    if store.objects().contains(&digest) {
        return Ok(true);
    }
    if let Some(bytes) = store.bases().find(&[digest].into())?.read(&digest) {
        conflict_versions::put(store, bytes).await?;
        return Ok(true);
    }
    for path in [Some(&record.path), record.copy.as_ref()].into_iter().flatten() {
        let here = glance::at(store, target, path).await?;
        for side in Side::BOTH {
            if glance::keep(store, target, side, path, &here[side])
                .await
                .is_ok_and(|kept| kept.is_some_and(|(found, _)| found == digest))
            {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

/// Why a run did not do what was decided about the paths of a conflict; `None` when nothing is known to be wrong.
pub(crate) fn trouble(done: &Done, paths: &[Option<&ItemPath>]) -> Option<String> {
    let result = match &done.result {
        Ok(result) => result,
        Err(problem) => return Some(problem.message.clone()),
    };
    if let Some(halt) = result.halts.first() {
        return Some(format!("halted: {}", halt.message));
    }
    let at = |own: &ItemPath, path: &str| own.as_str() == path || own.is_below(path);
    let touches = |path: &str| paths.iter().flatten().any(|own| at(own, path));
    // In what two sides differ is no trouble: it is what the decision was about.
    let mut troubles = result.problems.iter().filter(|trouble| trouble.code != "differs");
    troubles.find(|trouble| touches(&trouble.path)).map(|trouble| trouble.message.clone())
}

/// Whether both sides agree by now on what was wished for these paths.
pub(crate) async fn granted(
    store: &Store,
    target: &str,
    paths: &[Option<&ItemPath>],
    wishes: &Wishes,
) -> Result<bool> {
    let baseline = glance::baseline(store, target).await?;
    for path in paths.iter().flatten() {
        let Some(wish) = wishes.get(*path) else { continue };
        let agreed = baseline.get(path)?;
        let is_so = match (wish, &agreed) {
            (Some(item), Some(entry)) => item.digest == entry.item().digest && item.kind == entry.kind,
            (None, None) => true,
            _ => false,
        };
        if !is_so {
            return Ok(false);
        }
    }
    Ok(true)
}
