//! A branch as one part of an endpoint that shows several: listed whole, and only read.

use syncline_connect::{Error, ErrorKind, Result};
use syncline_core::{Change, ItemPath, Problem, Seen, Side};

use super::command::Git;
use super::mirror::Mirror;
use super::scan::{ODD_MAX, fill, seen};
use super::{GitEndpoint, Shared, Tip, times};

/// What a branch holds.
pub(in crate::endpoints) struct Listed {
    /// The branch that was listed.
    pub(in crate::endpoints) branch: String,
    /// The commit that it is at; `None` when the repository has no commit yet.
    pub(in crate::endpoints) commit: Option<String>,
    /// Its items, in path order, without their sizes.
    pub(in crate::endpoints) seen: Vec<(ItemPath, Seen)>,
    /// Entries that cannot be items.
    pub(in crate::endpoints) odd: Vec<Problem>,
}

impl GitEndpoint {
    /// Brings the mirror to where the branch is, and lists it.
    ///
    /// # Errors
    /// When it cannot be reached, or the branch is not there.
    pub(in crate::endpoints) async fn list(&self) -> Result<Listed> {
        self.blocking(Shared::list).await
    }

    /// Adds sizes, and digests where they are known anyway, to changes of what was listed; their paths do not matter.
    ///
    /// # Errors
    /// When the mirror is damaged.
    pub(in crate::endpoints) async fn fill(
        &self,
        side: Side,
        mut changes: Vec<Change>,
    ) -> Result<Vec<Change>> {
        let filled = self.blocking(move |shared, git| {
            fill(&git, &shared.objects, side, &mut changes)?;
            Ok(changes)
        });
        filled.await
    }
}

impl Shared {
    fn list(&self, git: Git) -> Result<Listed> {
        let mut mirror = Mirror::take(&self.folder, &self.settings, git)?;
        let was_there = mirror.notes.tip.is_some();
        let mut outside = mirror.update()?;
        let Some(tip) = outside.tip else {
            if was_there || self.settings.branch.is_some() {
                let message = format!("{} has no branch {}", self.settings.url.as_str(), outside.branch);
                return Err(
                    Error::new(ErrorKind::NotFound, message).with_hint("check the name of the branch")
                );
            }
            *self.tip() = Some(Tip { branch: outside.branch.clone(), commit: None, tree: None });
            return Ok(Listed { branch: outside.branch, commit: None, seen: Vec::new(), odd: Vec::new() });
        };
        let tree = match mirror.tree(tip) {
            Err(error) if error.kind() == ErrorKind::Damaged => {
                outside.tip = Some(mirror.make_anew(&outside.branch, tip)?);
                self.objects.forget();
                mirror.tree(outside.tip.unwrap_or(tip))?
            }
            other => other?,
        };
        let commit = outside.tip.unwrap_or(tip);
        let modified = times::committed(&mirror.git, &self.objects, commit)?;
        let tree = std::sync::Arc::new(tree);
        let listed = Listed {
            branch: outside.branch.clone(),
            commit: Some(commit.to_string()),
            seen: tree
                .entries
                .iter()
                .map(|(path, entry)| (path.clone(), seen(path, *entry, modified)))
                .collect(),
            odd: tree.odd.iter().take(ODD_MAX).cloned().collect(),
        };
        *self.tip() = Some(Tip { branch: outside.branch, commit: Some(commit), tree: Some(tree) });
        Ok(listed)
    }
}
