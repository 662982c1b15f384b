//! A batch: one commit that holds what both sides agree on, pushed, proposed or left on the local branch; and, with the
//! mark, the local branch brought along.

use std::sync::Arc;

use syncline_connect::{Batch, Error, ErrorKind, Result};
use syncline_core::{Filter, Outcome, Problem};
use tokio::runtime::Handle;

use super::super::import;
use super::super::is_word;
use super::super::mirror::LOCAL;
use super::super::notes::{Left, Notes};
use super::super::remote::{self, Pushed};
use super::super::steps::Steps;
use super::super::tree::{Draft, ObjectId, Tree};
use super::bring::Way;
use super::clone::Clone;
use super::own::{Merged, compose};
use super::scan::{Base, Found, Look};
use super::settings::Policy;

/// How often a batch is put on top of what others have done meanwhile.
const ATTEMPTS_MAX: usize = 5;

/// What one batch works with.
pub(super) struct Work<'a> {
    pub(super) base: &'a Base<'a>,
    pub(super) notes: &'a mut Notes,
    pub(super) filter: &'a Arc<Filter>,
    pub(super) batch: &'a Batch,
    pub(super) handle: &'a Handle,
}

/// What became of a commit.
enum Placed {
    /// It is where it belongs.
    Done,
    /// Somebody else was there first.
    Moved,
}

impl Work<'_> {
    /// Performs the steps on what was looked at last.
    ///
    /// # Errors
    /// When nothing can be committed or pushed. Whether a push arrived is then unknown; the next scan tells.
    pub(super) fn steps(&mut self, look: &mut Look) -> Result<Vec<Outcome>> {
        self.check()?;
        let policy = self.base.settings.commit;
        if policy == Policy::Off {
            let told = |path: &str| {
                Outcome::Failed(Problem::new(
                    path,
                    "read_only",
                    "with `commit: off` nothing goes to the upstream",
                ))
            };
            return Ok(self.batch.steps.iter().map(|step| told(step.path.as_str())).collect());
        }
        self.refresh_head(look)?;
        let mut progress = {
            let git = &look.clone.git;
            let (scratch, objects) = (self.base.folder, self.base.objects);
            super::make_private(scratch)
                .map_err(|error| Error::io(error, format_args!("making {}", scratch.display())))?;
            Steps { git, scratch, objects, batch: self.batch, handle: self.handle }.prepare(&look.tree)?
        };
        for _ in 0..ATTEMPTS_MAX {
            let tree = Arc::clone(&look.tree);
            let mut draft = Draft::new(&tree);
            let outcomes = progress.plan(self.batch, &mut draft);
            let edits = std::mem::take(&mut draft.edits);
            if edits.is_empty() {
                return Ok(outcomes);
            }
            let agreed = Arc::new(tree.edited(edits));
            let done = outcomes.iter().filter(|outcome| matches!(outcome, Outcome::Applied { .. })).count();
            match self.place(look, &agreed, done)? {
                Placed::Done => {
                    look.tree = agreed;
                    return Ok(outcomes);
                }
                Placed::Moved => {}
            }
            if !self.follow(look)? {
                progress.refuse_rest("the upstream was rewritten or removed meanwhile");
                return Ok(progress.decided());
            }
        }
        progress.refuse_rest("others are faster than this batch can follow");
        Ok(progress.decided())
    }

    /// Brings the local branch along, and leaves the mark.
    ///
    /// # Errors
    /// When a lock stays, or the clone cannot be written.
    pub(super) fn settle(&mut self, look: &mut Look) -> Result<()> {
        self.check()?;
        self.refresh_head(look)?;
        let (policy, tree) = (self.base.settings.commit, Arc::clone(&look.tree));
        look.clone.remember(look.upstream);
        if policy.commits() && look.clone.head.commit != look.upstream {
            let there_first = look.clone.is_in(look.clone.head.commit, look.upstream)?;
            // What others have done meanwhile is for the next run, which sees it.
            if !there_first {
                self.place(look, &tree, 0)?;
            }
        }
        // A reference of ours that nobody else moves: what was pushed is what the local branch is to be at.
        let goal = look.upstream;
        let clone = &look.clone;
        if policy != Policy::Off && clone.head.commit != goal && clone.is_in(clone.head.commit, goal)? {
            self.bring(look, goal, "brought along")?;
        }
        self.leave(look)
    }

    fn check(&self) -> Result<()> {
        self.base.place.refuse_busy()?;
        if is_word(&self.batch.run) {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Invalid, "the name of the run is no word"))
    }

    /// Looks at the local branch again: a person may have committed since the scan.
    fn refresh_head(&self, look: &mut Look) -> Result<()> {
        let now = super::clone::head(&look.clone.git)?;
        if now.branch != look.clone.head.branch {
            return Err(super::clone::busy(format!("{} was checked out during the run", now.branch)));
        }
        let moved = now.commit != look.clone.head.commit;
        look.clone.head = now;
        if moved && self.base.settings.commit == Policy::Commit {
            look.tree = Arc::new(self.base.tree(&look.clone, look.upstream, None)?);
        }
        Ok(())
    }

    /// Makes a commit that holds what is agreed and puts it where it belongs; `files` goes into its message.
    fn place(&self, look: &mut Look, agreed: &Tree, files: usize) -> Result<Placed> {
        let policy = self.base.settings.commit;
        let clone = &look.clone;
        let ours = match (policy, &look.proposal) {
            (Policy::Propose, Some((_, tip))) => tip.unwrap_or(look.upstream),
            _ => clone.head.commit,
        };
        let merged = Merged::of(clone, ours, look.upstream)?;
        let composed = compose(clone, &look.own, merged, agreed, self.base.folder)?;
        let commit = match composed.parents.first() {
            Some(only) if composed.nothing_new => *only,
            _ => {
                let message = self.message(clone, files);
                import::commit_tree(&clone.git, &clone.settings, &composed.tree, &composed.parents, &message)?
            }
        };
        match (policy, look.proposal.as_mut()) {
            (Policy::Commit, _) => self.commit_locally(look, commit),
            (Policy::Propose, Some((name, tip))) => {
                let name = name.clone();
                let known = look.clone.outside(&name)?;
                if known.is_some() && known != *tip {
                    return Ok(Placed::Moved);
                }
                if known == Some(commit) {
                    return Ok(Placed::Done);
                }
                let placed = self.push(&look.clone, &name, known, commit)?;
                if matches!(placed, Placed::Done) {
                    *tip = Some(commit);
                    self.keep(&look.clone, "proposal", commit)?;
                }
                Ok(placed)
            }
            _ if commit == look.upstream => Ok(Placed::Done),
            _ => {
                let placed = self.push(&look.clone, &look.clone.branch, Some(look.upstream), commit)?;
                if matches!(placed, Placed::Done) {
                    look.upstream = commit;
                    self.keep(&look.clone, "upstream", commit)?;
                }
                Ok(placed)
            }
        }
    }

    /// Keeps a commit in a reference of ours.
    fn keep(&self, clone: &Clone, name: &str, commit: ObjectId) -> Result<()> {
        let name = format!("{}/{name}", self.base.references);
        let done = clone.git.run(&["update-ref", &name, &commit.to_string()], LOCAL)?;
        super::clone::succeeded(done, "writing a reference").map(drop)
    }

    /// Moves the local branch to a commit that nobody is sent.
    fn commit_locally(&self, look: &mut Look, commit: ObjectId) -> Result<Placed> {
        if commit == look.clone.head.commit {
            return Ok(Placed::Done);
        }
        let way =
            Way::find(&look.clone, self.base.place, &look.own, look.clone.head.commit, &commit.to_string())?;
        if let Some(obstacle) = way.obstacles(&look.clone, self.base.place, self.base.folder)?.first() {
            let message = format!("{}: {}", obstacle.path, obstacle.message);
            return Err(Error::new(ErrorKind::Changed, message).with_code("git_dirty"));
        }
        match way.go(&look.clone, self.base.place, commit, &format!("run {}", self.batch.run)) {
            Ok(()) => {
                look.clone.head.commit = commit;
                Ok(Placed::Done)
            }
            Err(error) if error.code() == "changed" => Ok(Placed::Moved),
            Err(error) => Err(error),
        }
    }

    /// Moves the local branch to a commit that holds all of it; what is in the way of that, the next scan tells.
    fn bring(&self, look: &mut Look, commit: ObjectId, reason: &str) -> Result<()> {
        let way =
            Way::find(&look.clone, self.base.place, &look.own, look.clone.head.commit, &commit.to_string())?;
        if !way.obstacles(&look.clone, self.base.place, self.base.folder)?.is_empty() {
            return Ok(());
        }
        match way.go(&look.clone, self.base.place, commit, &format!("run {}, {reason}", self.batch.run)) {
            Ok(()) => look.clone.head.commit = commit,
            // A person was faster; the next run sees what they did.
            Err(error) if matches!(error.code(), "changed" | "git_dirty") => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Pushes; when the connection is lost, asks whether it had arrived.
    fn push(
        &self,
        clone: &Clone,
        branch: &str,
        expected: Option<ObjectId>,
        commit: ObjectId,
    ) -> Result<Placed> {
        match remote::push(&clone.git, &clone.settings, branch, expected, commit) {
            Ok(Pushed::Done) => Ok(Placed::Done),
            Ok(Pushed::Moved) => Ok(Placed::Moved),
            Err(error) if matches!(error.kind(), ErrorKind::Unreachable | ErrorKind::TimedOut) => {
                match clone.outside(branch) {
                    Ok(Some(tip)) if tip == commit => Ok(Placed::Done),
                    _ => Err(error),
                }
            }
            Err(error) => Err(error),
        }
    }

    /// Looks again at what others have done; tells whether it goes on from what was there.
    fn follow(&self, look: &mut Look) -> Result<bool> {
        let before = look.upstream;
        match self.base.look(self.notes, self.filter)? {
            Found::There(now) if now.clone.is_in(before, now.upstream)? => {
                *look = *now;
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    fn message(&self, clone: &Clone, files: usize) -> String {
        let run = &self.batch.run;
        let subject = if files == 0 {
            format!("Batch sync: merge of the upstream of {}", clone.head.branch)
        } else {
            clone.settings.message.replace("{files}", &files.to_string()).replace("{run}", run)
        };
        format!("{subject}\n\nSyncline-Run: {run}\n")
    }

    /// Notes where everything is.
    fn leave(&mut self, look: &Look) -> Result<()> {
        let commit = look.upstream.to_string();
        self.notes.branch = Some(look.clone.head.branch.clone());
        self.notes.tip = Some(commit.clone());
        if self.base.settings.commit.commits() {
            self.notes.settled = Some(look.clone.head.commit.to_string());
        }
        if let Some((_, Some(tip))) = &look.proposal {
            self.notes.proposed = Some(tip.to_string());
        }
        if let Some((name, mark)) = &self.batch.mark {
            self.notes.marks.insert(name.clone(), Left { mark: mark.0.clone(), commit: Some(commit) });
        }
        Ok(())
    }
}
