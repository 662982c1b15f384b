//! The swap: the only thing that touches the tree. Each is atomic, and verified by what came out.

use std::io;

use syncline_connect::Result;
use syncline_core::{Action, Digest, Expected, Item, ItemPath, Kind, Outcome, Step, Version};

use super::apply::Work;
use super::names::Names;
use super::parents::Parents;
use super::platform::{Directory, Stat, Type, now, set_file_mode, stat_file};
use super::stage::{Prepared, Spot, describe, is_expected, keep_old, refused_or_failed, wait};
use super::version::Stamp;
use super::walk::kind_of;

/// One thread that swaps.
pub(super) struct Swapper<'a> {
    work: &'a Work<'a>,
    parents: Parents<'a>,
    tree: Parents<'a>,
}

/// The result of one swap: what the item's state is now, or why it was not done.
type Swapped<T> = std::result::Result<T, Outcome>;

impl<'a> Swapper<'a> {
    pub(super) const fn new(work: &'a Work<'a>) -> Self {
        Self { work, parents: work.parents(), tree: work.planting.parents(work) }
    }

    /// Performs one step.
    ///
    /// # Errors
    /// When old content that could only be kept now could not be made durable.
    pub(super) fn perform(&mut self, at: usize, step: &Step, prepared: &Prepared) -> Result<Outcome> {
        if let Some(outcome) = &prepared.outcome {
            return Ok(Outcome::clone(outcome));
        }
        let outcome = match &step.action {
            Action::Write { item, .. } => match self.landed(at, step, prepared) {
                Some(outcome) => Ok(outcome),
                None => self.write(at, step, item, prepared)?,
            },
            Action::Remove { item } => self.remove(at, step, item, prepared)?,
            Action::Move { from, version, item } => self.move_item(step, from, version, item),
        };
        let outcome = outcome.unwrap_or_else(|outcome| outcome);
        if matches!(outcome, Outcome::Applied { .. }) {
            self.work.batch.progress.add(1, 0);
        }
        Ok(outcome)
    }

    /// Lets a new folder land, or finds what landed with its folder; `None` when the step must be done by itself.
    fn landed(&mut self, at: usize, step: &Step, prepared: &Prepared) -> Option<Outcome> {
        let planting = self.work.planting;
        if planting.may_land(at) {
            let parent = self.parents.get_or_make(step.path.parent()).ok()?;
            // Until it lands nobody can get at what is in it: at this moment all of it is as it was staged.
            let moment = now();
            self.work.staging.tree.move_new(&at.to_string(), &parent, step.path.name()).ok()?;
            planting.land(at, moment);
        }
        let moment = planting.landed(at)?;
        Some(match &prepared.staged {
            Some(staged) => applied(staged.stamp.encode(moment), Some(staged.digest), staged.stamp.size),
            None => applied(Version::none(), None, 0),
        })
    }

    fn write(
        &mut self,
        at: usize,
        step: &Step,
        item: &Item,
        prepared: &Prepared,
    ) -> Result<Swapped<Outcome>> {
        let failed = |error| Ok(Err(refused_or_failed(step, error)));
        let parent = match self.parents.get_or_make(step.path.parent()) {
            Ok(parent) => parent,
            Err(error) => return failed(error),
        };
        let name = step.path.name();
        let Expected::Present { version, .. } = &step.expected else {
            return Ok(self.create(at, step, item, prepared, &parent));
        };
        let stat = match parent.stat(name) {
            Ok(stat) => stat,
            Err(error) => return failed(error),
        };
        if item.kind.is_directory() && stat.kind == Type::Directory && version.as_bytes().is_empty() {
            return Ok(Ok(applied(Version::none(), None, 0)));
        }
        if let Err(outcome) = self.keep_late(step, &parent, &stat, version, prepared)? {
            return Ok(Err(outcome));
        }
        if stat.kind == Type::Directory && !is_empty(&parent, name) {
            return Ok(Err(Outcome::Refused { found: "a directory that is not empty".into() }));
        }
        Ok(self.replace(at, step, prepared, &parent, &stat))
    }

    /// Puts an item where nothing may be.
    fn create(
        &mut self,
        at: usize,
        step: &Step,
        item: &Item,
        prepared: &Prepared,
        parent: &Directory,
    ) -> Swapped<Outcome> {
        let name = step.path.name();
        let done = match &prepared.staged {
            Some(staged) => Spot::of(self.work, at, staged.thread, &mut self.tree)
                .and_then(|spot| spot.directory().move_new(spot.name(), parent, name)),
            None => parent.make_directory(name, 0o777),
        };
        match done {
            Ok(()) => Ok(written(parent, step, item, prepared)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                if item.kind.is_directory() && self.work.made.contains(step.path.as_str()) {
                    return Ok(applied(Version::none(), None, 0));
                }
                let found = parent.stat(name).map_or_else(|_| "something".into(), |stat| describe(&stat));
                Err(Outcome::Refused { found })
            }
            Err(error) => Err(refused_or_failed(step, error)),
        }
    }

    /// Lets new and old change places, looks at what came out, and takes it back when it is not what was expected.
    fn replace(
        &self,
        at: usize,
        step: &Step,
        prepared: &Prepared,
        parent: &Directory,
        old: &Stat,
    ) -> Swapped<Outcome> {
        let (swap, name, place) = (&self.work.staging.swap, step.path.name(), at.to_string());
        let failed = |error| refused_or_failed(step, error);
        match &prepared.staged {
            Some(staged) => self.work.staging.new[staged.thread].move_new(&place, swap, &place),
            None => swap.make_directory(&place, 0o777),
        }
        .map_err(failed)?;
        let new = swap.stat(&place).map_err(failed)?;
        match swap.exchange(&place, parent, name) {
            Ok(()) => {}
            Err(error)
                if error.kind() == io::ErrorKind::Unsupported
                    && !is_directory(old)
                    && !is_directory(&new) =>
            {
                // The file system cannot exchange. A rename over the old item is atomic too, but leaves a gap after
                // the last look in which an edit would be lost from the tree (its former state is in history).
                return match swap.move_over(&place, parent, name) {
                    Ok(()) => Ok(written(parent, step, step.item(), prepared)),
                    Err(error) => Err(failed(error)),
                };
            }
            Err(error) => {
                let _ = swap.remove_file(&place).or_else(|_| swap.remove_directory(&place));
                return Err(failed(error));
            }
        }
        let out = swap.stat(&place).map_err(failed)?;
        let removed = if !is_same(&out, old) {
            Err(Outcome::Refused { found: describe(&out) })
        } else if is_directory(&out) {
            swap.remove_directory(&place).map_err(failed)
        } else {
            swap.remove_file(&place).map_err(failed)
        };
        match removed {
            Ok(()) => Ok(written(parent, step, step.item(), prepared)),
            Err(outcome) => {
                self.take_back(&place, parent, step, &new).map_err(failed)?;
                Err(outcome)
            }
        }
    }

    /// Undoes an exchange that brought out something else than expected.
    fn take_back(&self, place: &str, parent: &Directory, step: &Step, new: &Stat) -> io::Result<()> {
        let (swap, name) = (&self.work.staging.swap, step.path.name());
        match swap.exchange(place, parent, name) {
            Ok(()) => {}
            // Somebody removed the new item: what was there before it comes back.
            Err(error) if error.kind() == io::ErrorKind::NotFound => swap.move_new(place, parent, name)?,
            Err(error) => return Err(error),
        }
        match swap.stat(place) {
            Ok(out) if is_same(&out, new) => {
                swap.remove_file(place).or_else(|_| swap.remove_directory(place))?;
            }
            Ok(_) => self.work.staging.rescue(place, &step.path)?,
            Err(_) => {}
        }
        Ok(())
    }

    fn remove(
        &mut self,
        at: usize,
        step: &Step,
        item: &Item,
        prepared: &Prepared,
    ) -> Result<Swapped<Outcome>> {
        let failed = |error| Ok(Err(refused_or_failed(step, error)));
        let looked = self.parents.get(step.path.parent()).and_then(|parent| {
            let stat = parent.stat(step.path.name())?;
            Ok((parent, stat))
        });
        let (parent, stat) = match looked {
            Ok(looked) => looked,
            Err(error) => return failed(error),
        };
        let name = step.path.name();
        let Expected::Present { version, .. } = &step.expected else {
            return Ok(Err(Outcome::Refused { found: describe(&stat) }));
        };
        if item.kind.is_directory() && is_directory(&stat) {
            self.parents.clear();
            return match parent.remove_directory(name) {
                Ok(()) => Ok(Ok(applied(Version::none(), None, 0))),
                Err(error) => failed(error),
            };
        }
        if let Err(outcome) = self.keep_late(step, &parent, &stat, version, prepared)? {
            return Ok(Err(outcome));
        }
        let (swap, place) = (&self.work.staging.swap, at.to_string());
        if let Err(error) = parent.move_new(name, swap, &place) {
            return failed(error);
        }
        let out = match swap.stat(&place) {
            Ok(out) => out,
            Err(error) => return failed(error),
        };
        if is_same(&out, &stat) && !is_directory(&out) {
            return match swap.remove_file(&place) {
                Ok(()) => Ok(Ok(applied(Version::none(), None, 0))),
                Err(error) => failed(error),
            };
        }
        let back =
            swap.move_new(&place, &parent, name).or_else(|_| self.work.staging.rescue(&place, &step.path));
        match back {
            Ok(()) => Ok(Err(Outcome::Refused { found: describe(&out) })),
            Err(error) => failed(error),
        }
    }

    /// Checks that the old item is as expected, and keeps it now if it could not be kept before.
    fn keep_late(
        &self,
        step: &Step,
        parent: &Directory,
        stat: &Stat,
        version: &Version,
        prepared: &Prepared,
    ) -> Result<Swapped<()>> {
        let refused = || Ok(Err(Outcome::Refused { found: describe(stat) }));
        match &prepared.kept {
            Some(kept) if Stamp::of(stat) == kept.stamp => Ok(Ok(())),
            Some(_) => refused(),
            None if !is_expected(stat, version.as_bytes()) => refused(),
            None => match keep_old(self.work, parent, step, stat) {
                Ok(Some(_)) => {
                    wait(self.work, self.work.batch.history.sync())?;
                    Ok(Ok(()))
                }
                Ok(None) => Ok(Ok(())),
                Err(outcome) => Ok(Err(outcome)),
            },
        }
    }

    fn move_item(
        &mut self,
        step: &Step,
        from: &ItemPath,
        version: &Version,
        item: &Item,
    ) -> Swapped<Outcome> {
        let failed = |error| refused_or_failed(step, error);
        let source = self.parents.get(from.parent()).map_err(failed)?;
        let stat = source.stat(from.name()).map_err(failed)?;
        if !is_expected(&stat, version.as_bytes()) {
            return Err(Outcome::Refused { found: format!("at {from}: {}", describe(&stat)) });
        }
        let target = self.parents.get_or_make(step.path.parent()).map_err(failed)?;
        let (from_name, name) = (from.name(), step.path.name());
        // On a file system that folds case, the new spelling of a name is the old item itself.
        let respelled =
            target.stat(name).is_ok_and(|found| is_same(&found, &stat) && found.links == stat.links)
                && from.as_str().to_lowercase() == step.path.as_str().to_lowercase();
        if respelled {
            source.move_over(from_name, &target, name).map_err(failed)?;
        } else {
            source.move_new(from_name, &target, name).map_err(failed)?;
        }
        self.parents.clear();
        let moment = now();
        let out = target.stat(name).map_err(failed)?;
        if !is_same(&out, &stat) {
            // Somebody replaced it between the look and the move: it goes back to where it was.
            target.move_new(name, &source, from_name).map_err(failed)?;
            return Err(Outcome::Refused { found: format!("at {from}: {}", describe(&out)) });
        }
        if is_directory(&out) {
            return Ok(applied(Version::none(), None, 0));
        }
        let stamp = set_executable(&target, name, &out, item.kind).map_err(failed)?;
        Ok(applied(stamp.encode(moment), None, 0))
    }
}

/// The outcome of a write that is in place.
///
/// The version is that of what was staged; when the item is not that any more, it is one that no item ever has, so
/// that the next scan looks at it.
fn written(parent: &Directory, step: &Step, item: &Item, prepared: &Prepared) -> Outcome {
    let Some(staged) = &prepared.staged else {
        return applied(Version::none(), None, 0);
    };
    let moment = now();
    let stamp = match parent.stat(step.path.name()) {
        Ok(stat) if kind_of(&stat) == Some(item.kind) && Stamp::of(&stat).is_same_file(staged.stamp) => {
            Stamp::of(&stat)
        }
        _ => Stamp { changed: i64::MIN, ..staged.stamp },
    };
    applied(stamp.encode(moment), Some(staged.digest), staged.stamp.size)
}

const fn applied(version: Version, digest: Option<Digest>, size: u64) -> Outcome {
    Outcome::Applied { version, digest, size }
}

/// Whether both are the same item in the same state, wherever it lies. What a directory holds is not its state.
fn is_same(a: &Stat, b: &Stat) -> bool {
    if is_directory(a) && is_directory(b) {
        return a.inode == b.inode;
    }
    a.kind == b.kind && Stamp::of(a).is_same_file(Stamp::of(b))
}

fn is_directory(stat: &Stat) -> bool {
    stat.kind == Type::Directory
}

fn is_empty(parent: &Directory, name: &str) -> bool {
    let mut names = Names::default();
    let read = parent.beneath(name).and_then(|directory| names.read(&directory));
    read.is_ok() && names.sorted().next().is_none()
}

/// Gives a moved file the executable bit that its item has; tells its state.
fn set_executable(parent: &Directory, name: &str, stat: &Stat, kind: Kind) -> io::Result<Stamp> {
    let Kind::File { executable } = kind else {
        return Ok(Stamp::of(stat));
    };
    if stat.kind != Type::File || executable == (stat.mode & 0o100 != 0) {
        return Ok(Stamp::of(stat));
    }
    let file = parent.file(name)?;
    let mode = if executable { stat.mode | ((stat.mode & 0o444) >> 2) } else { stat.mode & !0o111 };
    set_file_mode(&file, mode & 0o777)?;
    Ok(Stamp::of(&stat_file(&file)?))
}
