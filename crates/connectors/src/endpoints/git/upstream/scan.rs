//! Looking at the upstream: what it holds, and whether the local branch can follow.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use syncline_connect::{Error, ErrorKind, Listing, Result, ScanRequest, snapshot_from_listing};
use syncline_core::{Filter, Mark, Problem, Root, Seen, Snapshot};

use super::super::notes::Notes;
use super::super::objects::Objects;
use super::super::scan::{ODD_MAX, fill, seen};
use super::super::times;
use super::super::tree::{ObjectId, Tree};
use super::bring::Way;
use super::clone::{Clone, Place};
use super::own::{Merged, Own, overlay};
use super::settings::{Policy, Settings, invalid};

/// What a call works with.
pub(super) struct Base<'a> {
    pub(super) place: &'a Place,
    pub(super) settings: &'a Settings,
    pub(super) workspace: &'a Path,
    /// The folder of notes and of files that help.
    pub(super) folder: &'a Path,
    pub(super) objects: &'a Objects,
    /// Set when nobody waits for the call any more.
    pub(super) given_up: &'a Arc<AtomicBool>,
    /// What our references start with.
    pub(super) references: &'a str,
}

/// Clone and upstream at one moment.
pub(super) struct Look {
    pub(super) clone: Clone,
    pub(super) own: Own,
    /// How many files are left to Git, which converts them.
    converted: usize,
    /// The commit that the branch of the upstream is at.
    pub(super) upstream: ObjectId,
    /// Where proposals go, when changes are proposed.
    pub(super) proposal: Option<Proposal>,
    /// What the remote side of the target holds.
    pub(super) tree: Arc<Tree>,
}

/// The branch for proposals, and the commit that it is at.
pub(super) type Proposal = (String, Option<ObjectId>);

/// What the upstream is found to be.
pub(super) enum Found {
    There(Box<Look>),
    /// The branch was there before, and is gone.
    Gone,
}

impl Base<'_> {
    /// Looks at the clone; `known` is the branch that was checked out before.
    ///
    /// # Errors
    /// As [`Clone::look`].
    pub(super) fn clone(&self, known: Option<&str>) -> Result<Clone> {
        let mut clone = Clone::look(self.place, self.settings, self.workspace, known)?;
        clone.git = clone.git.watched_by(self.given_up);
        Ok(clone)
    }

    /// Looks at clone and upstream, and takes what is new of the latter into the clone.
    ///
    /// # Errors
    /// When a person is in the middle of something, nothing is followed, or the upstream cannot be reached.
    pub(super) fn look(&self, notes: &Notes, filter: &Arc<Filter>) -> Result<Found> {
        let clone = self.clone(notes.branch.as_deref())?;
        self.refuse_rewound(notes, &clone)?;
        let Some(upstream) = clone.outside(&clone.branch)? else {
            if notes.tip.is_some() {
                return Ok(Found::Gone);
            }
            let message =
                format!("the upstream ({}) has no branch {}", clone.settings.url.as_str(), clone.branch);
            return Err(invalid(message)
                .with_hint(format!("push it once: `git push -u origin {}`", clone.head.branch)));
        };
        let proposal = match self.settings.commit {
            Policy::Propose => {
                let name = self.settings.proposal(self.place.root.as_ref())?;
                let tip = clone.outside(&name)?;
                Some((name, tip))
            }
            _ => None,
        };
        let (upstream, proposal) = self.take(&clone, upstream, proposal)?;
        let root = self.place.root.as_ref();
        let mut own = Own::of(&clone.git, root, filter)?;
        let tip = proposal.as_ref().and_then(|(_, tip)| *tip);
        let tree = Arc::new(self.tree(&clone, upstream, tip)?);
        let converted = own.leave_converted(&clone.git, root, &tree, upstream, self.folder)?;
        Ok(Found::There(Box::new(Look { clone, own, converted, upstream, proposal, tree })))
    }

    /// Refuses a branch that no longer holds what it held when it was last brought along: only a person knows why.
    fn refuse_rewound(&self, notes: &Notes, clone: &Clone) -> Result<()> {
        let branch = &clone.head.branch;
        let settled = notes.settled.as_deref().and_then(ObjectId::parse);
        if let Some(settled) = settled.filter(|_| notes.branch.as_ref() == Some(branch))
            && !clone.is_in(settled, clone.head.commit)?
        {
            let short = &settled.to_string()[..10];
            let message = format!(
                "the branch {branch} no longer holds the commit {short}, which is at its upstream: it was reset, rebased \
                 or amended"
            );
            return Err(Error::new(ErrorKind::Changed, message).with_code("git_rewound").with_hint(format!(
                "take it back in with `git merge {short}` or `git pull --no-rebase`; to undo it, use `git revert`"
            )));
        }
        Ok(())
    }

    /// Fetches what the clone does not have.
    fn take(
        &self,
        clone: &Clone,
        upstream: ObjectId,
        proposal: Option<Proposal>,
    ) -> Result<(ObjectId, Option<Proposal>)> {
        let (ours, theirs) =
            (format!("{}/proposal", self.references), format!("{}/upstream", self.references));
        let known = clone.reference(&theirs)?;
        let mut wanted = Vec::new();
        if known != Some(upstream) {
            wanted.push((clone.branch.as_str(), theirs.clone()));
        }
        let mut made = None;
        if let Some((name, tip)) = &proposal {
            let last = clone.reference(&ours)?;
            // A proposal that was taken down stays proposed here: nobody has said that the files are to go back.
            made = tip.or(last);
            if tip.is_some() && *tip != last {
                wanted.push((name.as_str(), ours.clone()));
            }
        }
        let fetched = !wanted.is_empty();
        if fetched {
            clone.fetch(&wanted)?;
        }
        let gone = || Error::new(ErrorKind::Damaged, "the clone does not tell what was fetched");
        let upstream = if fetched { clone.reference(&theirs)?.ok_or_else(gone)? } else { upstream };
        if fetched && proposal.as_ref().is_some_and(|(_, tip)| tip.is_some()) {
            made = clone.reference(&ours)?;
        }
        Ok((upstream, proposal.map(|(name, _)| (name, made))))
    }

    /// What the remote side holds: the upstream, and on top of it what is committed or proposed and not there yet.
    pub(super) fn tree(&self, clone: &Clone, upstream: ObjectId, proposal: Option<ObjectId>) -> Result<Tree> {
        let there = clone.tree(&upstream.to_string())?;
        let ours = match self.settings.commit {
            Policy::Commit => Some(clone.head.commit),
            Policy::Propose => proposal,
            Policy::Off | Policy::CommitAndPush => None,
        };
        let Some(ours) = ours.filter(|ours| *ours != upstream) else { return Ok(there) };
        let base = match clone.base(ours, upstream)? {
            Some(base) => clone.tree(&base.to_string())?,
            None => Tree::default(),
        };
        Ok(overlay(&base, &clone.tree(&ours.to_string())?, &there))
    }

    /// Lists the remote side.
    ///
    /// # Errors
    /// As [`Base::look`]; and when a merge outside of the target needs a person.
    pub(super) fn scan(&self, notes: &Notes, request: &ScanRequest) -> Result<(Snapshot, Option<Look>)> {
        let look = match self.look(notes, &request.filter)? {
            Found::There(look) => *look,
            Found::Gone => {
                let sentinel = request.sentinel.as_ref().map(|_| false);
                let gone = Snapshot { root: Root::Missing, complete: true, sentinel, ..Snapshot::default() };
                return Ok((gone, None));
            }
        };
        let mark = self.mark(notes, &look, request)?;
        let (unsettled, mut problems) = self.standing(&look)?;
        problems.extend(self.proposed(&look)?);
        if look.converted > 0 {
            let message = format!(
                "{} files are converted by Git (a filter such as that of Git LFS, an encoding, line endings) and left to it",
                look.converted
            );
            problems.push(Problem::new(".", "converted", message));
        }
        problems.extend(look.tree.odd.iter().take(ODD_MAX).cloned());
        let modified = times::committed(&look.clone.git, self.objects, look.upstream)?;
        let entries = look.tree.entries.iter();
        let mut listed: std::collections::BTreeMap<_, _> =
            entries.map(|(path, entry)| (path.clone(), seen(path, *entry, modified))).collect();
        listed.extend(look.own.hidden.iter().map(|path| (path.clone(), Seen::Ignored)));
        let root = look.tree.root_is.map_or(Root::Present, Root::WrongType);
        let since = mark.as_ref().and_then(|_| marked(notes, request));
        let listing = Listing { root, complete: true, seen: listed, mark, problems };
        let mut snapshot = snapshot_from_listing(request, listing)?;
        snapshot.unsettled = unsettled;
        fill(&look.clone.git, self.objects, request.side, &mut snapshot.changes)?;
        if let Some(since) = since {
            let root = self.place.root.as_ref();
            times::refine(&look.clone.git, root, since, look.upstream, &mut snapshot)?;
        }
        Ok((snapshot, Some(look)))
    }

    /// The mark that was left, if nothing was taken back since.
    fn mark(&self, notes: &Notes, look: &Look, request: &ScanRequest) -> Result<Option<Mark>> {
        let Some(left) = notes.marks.get(&request.mark) else { return Ok(None) };
        if notes.branch.as_ref() != Some(&look.clone.head.branch) {
            return Ok(None);
        }
        if let Some(then) = marked(notes, request)
            && !look.clone.is_in(then, look.upstream)?
        {
            return Ok(None);
        }
        let proposed = notes.proposed.as_deref().and_then(ObjectId::parse);
        let tip = look.proposal.as_ref().and_then(|(_, tip)| *tip);
        if let (Some(proposed), Some(tip)) = (proposed, tip)
            && !look.clone.is_in(proposed, tip)?
            && !look.clone.is_in(proposed, look.upstream)?
        {
            return Ok(None);
        }
        Ok(Some(Mark(left.mark.clone())))
    }

    /// Whether the local branch is to be brought along, and what is in the way of that.
    fn standing(&self, look: &Look) -> Result<(bool, Vec<Problem>)> {
        let (here, there) = (look.clone.head.commit, look.upstream);
        let policy = self.settings.commit;
        let behind = !look.clone.is_in(there, here)?;
        if here == there || policy == Policy::Off || !behind && policy != Policy::CommitAndPush {
            return Ok((false, Vec::new()));
        }
        if !policy.commits() && !look.clone.is_in(here, there)? {
            // Somebody has commits of their own, and nothing is committed on that branch: they merge.
            return Ok((false, Vec::new()));
        }
        let merged = Merged::of(&look.clone, here, there)?;
        merged.refuse_conflicts(&look.clone, &look.own)?;
        let way = Way::find(&look.clone, self.place, &look.own, here, &merged.tree)?;
        let obstacles = way.obstacles(&look.clone, self.place, self.folder)?;
        Ok((obstacles.is_empty(), obstacles))
    }

    /// Tells what is proposed and not taken yet.
    fn proposed(&self, look: &Look) -> Result<Option<Problem>> {
        let Some((name, Some(_))) = &look.proposal else { return Ok(None) };
        let there = look.clone.tree(&look.upstream.to_string())?;
        let paths: std::collections::BTreeSet<_> =
            there.entries.keys().chain(look.tree.entries.keys()).collect();
        let count =
            paths.iter().filter(|path| there.entries.get(**path) != look.tree.entries.get(**path)).count();
        let message = format!(
            "{count} files are proposed on the branch {name} and not in {} yet; merge it there to take them",
            look.clone.branch
        );
        Ok((count > 0).then(|| Problem::new(".", "proposed", message)))
    }
}

/// The commit at which the mark was left.
fn marked(notes: &Notes, request: &ScanRequest) -> Option<ObjectId> {
    ObjectId::parse(notes.marks.get(&request.mark)?.commit.as_deref()?)
}
