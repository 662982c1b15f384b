//! A batch: one commit on top of the tip that was scanned, pushed only if the branch is still there.

use std::sync::Arc;

use syncline_connect::{Batch, Error, ErrorKind, Result};
use syncline_core::Outcome;
use tokio::runtime::Handle;

use super::import;
use super::mirror::Mirror;
use super::notes::Left;
use super::objects::Objects;
use super::remote::{self, Pushed};
use super::settings::Effective;
use super::steps::Steps;
use super::tree::{Draft, ObjectId, Tree};
use super::{Tip, is_word};

/// How often a batch is put on top of what others have pushed meanwhile.
const ATTEMPTS_MAX: usize = 5;

/// What one batch works with.
pub(super) struct Work<'a> {
    pub(super) mirror: &'a mut Mirror<'a>,
    pub(super) settings: &'a Effective,
    pub(super) objects: &'a Objects,
    pub(super) batch: &'a Batch,
    pub(super) handle: &'a Handle,
}

impl Work<'_> {
    /// Performs the batch on top of `tip`; returns where the branch is afterwards.
    ///
    /// # Errors
    /// When nothing can be committed or pushed. Whether the push arrived is then unknown; the next scan tells.
    pub(super) fn run(&mut self, tip: Tip) -> Result<(Vec<Outcome>, Tip)> {
        if !is_word(&self.batch.run) {
            return Err(Error::new(ErrorKind::Invalid, "the name of the run is no word"));
        }
        let (outcomes, tip) = if self.batch.steps.is_empty() { (Vec::new(), tip) } else { self.steps(tip)? };
        let commit = tip.commit.map(|commit| commit.to_string());
        if tip.commit.is_some() && (self.mirror.notes.tip != commit || self.batch.mark.is_some()) {
            self.mirror.notes.branch = Some(tip.branch.clone());
            self.mirror.notes.tip.clone_from(&commit);
        }
        if let Some((name, mark)) = &self.batch.mark {
            let left = Left { mark: mark.0.clone(), commit };
            let key = self.mirror.key(name);
            self.mirror.notes.marks.insert(key, left);
        }
        self.mirror.save()?;
        Ok((outcomes, tip))
    }

    fn steps(&mut self, tip: Tip) -> Result<(Vec<Outcome>, Tip)> {
        self.mirror.ensure()?;
        let tree = self.tree(&tip)?;
        let (git, scratch) = (&self.mirror.git, self.mirror.folder());
        let work = Steps { git, scratch, objects: self.objects, batch: self.batch, handle: self.handle };
        let mut progress = work.prepare(&tree)?;
        let mut tip = Tip { tree: Some(tree), ..tip };
        for _ in 0..ATTEMPTS_MAX {
            let tree = self.tree(&tip)?;
            let mut draft = Draft::new(&tree);
            let outcomes = progress.plan(self.batch, &mut draft);
            if draft.edits.is_empty() {
                return Ok((outcomes, tip));
            }
            let done = outcomes.iter().filter(|outcome| matches!(outcome, Outcome::Applied { .. })).count();
            let message = self.settings.message.replace("{files}", &done.to_string());
            let message = message.replace("{run}", &self.batch.run);
            let commit = import::commit(self.mirror, self.settings, tip.commit, &draft.edits, &message)?;
            if self.push(&tip, commit)? == Pushed::Done {
                let edits = draft.edits;
                let tree = Arc::new(tree.edited(edits));
                self.batch.progress.add(done.saturating_sub(progress.written()) as u64, 0);
                self.mirror.tidy();
                return Ok((outcomes, Tip { commit: Some(commit), tree: Some(tree), ..tip }));
            }
            match self.follow(&tip)? {
                Some(moved) => tip = moved,
                None => {
                    progress.refuse_rest("the branch was rewritten or removed meanwhile");
                    break;
                }
            }
        }
        progress.refuse_rest("others push faster than this batch can follow");
        Ok((progress.decided(), tip))
    }

    fn tree(&self, tip: &Tip) -> Result<Arc<Tree>> {
        match (&tip.tree, tip.commit) {
            (Some(tree), _) => Ok(Arc::clone(tree)),
            (None, Some(commit)) => Ok(Arc::new(self.mirror.tree(commit)?)),
            (None, None) => Ok(Arc::default()),
        }
    }

    /// Pushes; when the connection is lost, asks whether it had arrived.
    fn push(&self, tip: &Tip, commit: ObjectId) -> Result<Pushed> {
        let git = &self.mirror.git;
        match remote::push(git, self.settings, &tip.branch, tip.commit, commit) {
            Err(error) if matches!(error.kind(), ErrorKind::Unreachable | ErrorKind::TimedOut) => {
                match remote::outside(git, self.settings, Some(&tip.branch)) {
                    Ok(outside) if outside.tip == Some(commit) => Ok(Pushed::Done),
                    _ => Err(error),
                }
            }
            other => other,
        }
    }

    /// Where the branch has gone meanwhile; `None` when what was there has been taken back.
    fn follow(&mut self, tip: &Tip) -> Result<Option<Tip>> {
        let outside = self.mirror.update()?;
        let (Some(new), true) = (outside.tip, outside.branch == tip.branch) else { return Ok(None) };
        let goes_on = match tip.commit {
            Some(old) => self.mirror.led_to(old, new)?,
            None => true,
        };
        Ok(goes_on.then_some(Tip { branch: outside.branch, commit: Some(new), tree: None }))
    }
}
