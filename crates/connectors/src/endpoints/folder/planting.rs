//! New folders are put together in staging, whole, and land in their place by one rename.
//!
//! That is not only faster than to move each item by itself: it also means that a new folder is never seen half full.
//! When something is in the way of the folder, its items are moved one by one, each only if nothing is in its way.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, PoisonError};

use syncline_connect::{Error, Result};
use syncline_core::{Action, Expected, Step};

use super::apply::Work;
use super::parents::{Made, Parents};

/// Which steps of a batch belong to a new folder.
pub(super) struct Planting {
    /// For each step, the index of the topmost new folder that holds it or that it makes.
    roots: Vec<Option<usize>>,
    /// The moment at which a folder landed.
    landed: Mutex<HashMap<usize, i64>>,
    /// Folders that hold something that must not land.
    spoiled: Mutex<HashSet<usize>>,
    /// What is made in staging is nobody's business.
    made: Made,
}

impl Planting {
    /// Finds the new folders: only what comes after its folder, and expects nothing, belongs to it.
    pub(super) fn of(steps: &[Step]) -> Self {
        let mut tops: HashMap<&str, usize> = HashMap::new();
        let mut roots = vec![None; steps.len()];
        for (at, step) in steps.iter().enumerate() {
            let Action::Write { item, .. } = &step.action else { continue };
            if step.expected != Expected::Absent || step.path.protected().is_some() {
                continue;
            }
            let above = std::iter::successors(Some(step.path.parent()), |path| {
                path.rsplit_once('/').map(|(up, _)| up)
            });
            let found = above.filter(|path| !path.is_empty()).find_map(|path| tops.get(path).copied());
            if item.kind.is_directory() {
                let root = found.unwrap_or(at);
                tops.insert(step.path.as_str(), root);
                roots[at] = Some(root);
            } else {
                roots[at] = found;
            }
        }
        Self { roots, landed: Mutex::default(), spoiled: Mutex::default(), made: Made::default() }
    }

    /// The new folder that a step belongs to.
    pub(super) fn root(&self, at: usize) -> Option<usize> {
        self.roots[at]
    }

    /// Where the item of a step is put together, below the staging folder for new folders.
    pub(super) fn place(&self, steps: &[Step], at: usize) -> Option<String> {
        let root = self.root(at)?;
        let rest = &steps[at].path.as_str()[steps[root].path.as_str().len()..];
        Some(format!("{root}{rest}"))
    }

    /// Makes all new folders in staging.
    ///
    /// # Errors
    /// When one cannot be made.
    pub(super) fn make_directories(&self, work: &Work<'_>) -> Result<()> {
        let mut parents = self.parents(work);
        for (at, step) in work.batch.steps.iter().enumerate() {
            if step.item().kind.is_directory()
                && let Some(place) = self.place(&work.batch.steps, at)
            {
                let made = parents.get_or_make(&place);
                made.map_err(|error| Error::io(error, format_args!("making {} in staging", step.path)))?;
            }
        }
        Ok(())
    }

    /// Handles on directories below the staging folder for new folders.
    pub(super) const fn parents<'a>(&'a self, work: &Work<'a>) -> Parents<'a> {
        Parents::new(&work.staging.tree, &self.made)
    }

    /// Keeps the folder that a step belongs to from landing: its items are moved one by one.
    pub(super) fn spoil(&self, at: usize) {
        if let Some(root) = self.root(at) {
            self.spoiled.lock().unwrap_or_else(PoisonError::into_inner).insert(root);
        }
    }

    /// Whether the folder that the step makes may land whole.
    pub(super) fn may_land(&self, at: usize) -> bool {
        self.root(at) == Some(at)
            && !self.spoiled.lock().unwrap_or_else(PoisonError::into_inner).contains(&at)
    }

    /// Notes that a folder landed at a moment.
    pub(super) fn land(&self, root: usize, moment: i64) {
        self.landed.lock().unwrap_or_else(PoisonError::into_inner).insert(root, moment);
    }

    /// The moment at which the folder that a step belongs to landed; `None` while or when it did not.
    pub(super) fn landed(&self, at: usize) -> Option<i64> {
        let root = self.root(at)?;
        self.landed.lock().unwrap_or_else(PoisonError::into_inner).get(&root).copied()
    }
}
