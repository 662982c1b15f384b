//! A batch: one commit on top of the tip that was scanned, pushed only if the branch is still there.

use std::collections::HashSet;
use std::sync::Arc;

use syncline_connect::{Batch, Error, ErrorKind, Result};
use syncline_core::{Action, Digest, Expected, ItemPath, Outcome, Problem, Step, Version};
use tokio::runtime::Handle;

use super::import::{self, Blob};
use super::mirror::Mirror;
use super::names;
use super::notes::Left;
use super::objects::Objects;
use super::remote::{self, Pushed};
use super::settings::Effective;
use super::tree::{Draft, Entry, Mode, ObjectId, Tree};
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

/// The steps of a batch on the way: what is decided, and the content that was made.
struct Progress {
    /// What became of a step before anything was committed: refused, or not possible.
    decided: Vec<Option<Outcome>>,
    blobs: Vec<Option<Blob>>,
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
        let mut progress = self.prepare(&tree)?;
        let mut tip = Tip { tree: Some(tree), ..tip };
        for _ in 0..ATTEMPTS_MAX {
            let tree = self.tree(&tip)?;
            let mut draft = Draft::new(&tree);
            let outcomes = self.plan(&mut draft, &progress);
            if draft.edits.is_empty() {
                return Ok((outcomes, tip));
            }
            let done = outcomes.iter().filter(|outcome| matches!(outcome, Outcome::Applied { .. })).count();
            let message = self.settings.message.replace("{files}", &done.to_string());
            let message = message.replace("{run}", &self.batch.run);
            let commit = import::commit(self.mirror, self.settings, tip.commit, &draft.edits, &message)?;
            if self.push(&tip, commit)? == Pushed::Done {
                let edits = draft.edits;
                let tree = Arc::new(edited(&tree, edits));
                let writes = progress.blobs.iter().flatten().count();
                self.batch.progress.add(done.saturating_sub(writes) as u64, 0);
                self.mirror.tidy();
                return Ok((outcomes, Tip { commit: Some(commit), tree: Some(tree), ..tip }));
            }
            match self.follow(&tip)? {
                Some(moved) => tip = moved,
                None => {
                    refuse_rest(&mut progress, "the branch was rewritten or removed meanwhile");
                    break;
                }
            }
        }
        refuse_rest(&mut progress, "others push faster than this batch can follow");
        Ok((progress.decided.into_iter().flatten().collect(), tip))
    }

    fn tree(&self, tip: &Tip) -> Result<Arc<Tree>> {
        match (&tip.tree, tip.commit) {
            (Some(tree), _) => Ok(Arc::clone(tree)),
            (None, Some(commit)) => Ok(Arc::new(self.mirror.tree(commit)?)),
            (None, None) => Ok(Arc::default()),
        }
    }

    /// Finds out which steps can be done, keeps old content, and makes blobs of the new: nothing outside is touched.
    fn prepare(&self, tree: &Tree) -> Result<Progress> {
        let steps = &self.batch.steps;
        let mut progress = Progress { decided: vec![None; steps.len()], blobs: vec![None; steps.len()] };
        let mut draft = Draft::new(tree);
        let mut replaced: Vec<(usize, Entry)> = Vec::new();
        for (at, step) in steps.iter().enumerate() {
            let there = draft.get(&step.path);
            match perform(&mut draft, step, Some(&PLACEHOLDER)) {
                Outcome::Applied { .. } => replaced.extend(there.map(|entry| (at, entry))),
                other => progress.decided[at] = Some(other),
            }
        }
        self.keep(&replaced, &mut progress)?;
        let is_write = |at: &usize| matches!(steps[*at].action, Action::Write { .. });
        let writes: Vec<usize> =
            (0..steps.len()).filter(|at| progress.decided[*at].is_none() && is_write(at)).collect();
        if !writes.is_empty() {
            for (at, made) in import::blobs(self.mirror, self.batch, self.handle, &writes)? {
                match made {
                    Ok(blob) => progress.blobs[at] = Some(blob),
                    Err(problem) => progress.decided[at] = Some(Outcome::Failed(problem)),
                }
            }
        }
        Ok(progress)
    }

    /// Makes old content durable in history; a step whose old content cannot be kept is not done.
    ///
    /// # Errors
    /// With kind `Damaged` when the mirror does not give the content; when history cannot be made durable.
    fn keep(&self, replaced: &[(usize, Entry)], progress: &mut Progress) -> Result<()> {
        let mut kept: HashSet<(ObjectId, Digest)> = HashSet::new();
        for (at, entry) in replaced {
            let step = &self.batch.steps[*at];
            let read = || self.objects.read(&self.mirror.git, &entry.object);
            let digest = match &step.expected {
                Expected::Present { keep: Some(digest), .. } => *digest,
                _ => digest_of(read()?)?,
            };
            if kept.contains(&(entry.object, digest)) {
                continue;
            }
            let content = read()?;
            match self.handle.block_on(self.batch.history.keep(&digest, content)) {
                Ok(()) => drop(kept.insert((entry.object, digest))),
                Err(error) => {
                    progress.decided[*at] = Some(Outcome::Failed(error.to_problem(step.path.as_str())));
                }
            }
        }
        if kept.is_empty() { Ok(()) } else { self.handle.block_on(self.batch.history.sync()) }
    }

    /// Performs all steps on a draft that are not decided yet.
    fn plan(&self, draft: &mut Draft<'_>, progress: &Progress) -> Vec<Outcome> {
        let steps = self.batch.steps.iter().zip(&progress.decided).zip(&progress.blobs);
        steps
            .map(|((step, decided), blob)| match decided {
                Some(outcome) => outcome.clone(),
                None => perform(draft, step, blob.as_ref()),
            })
            .collect()
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

/// Stands for content that is not made yet.
const PLACEHOLDER: Blob = Blob { object: ObjectId::ZERO, digest: Digest([0; 32]), size: 0 };

fn refuse_rest(progress: &mut Progress, found: &str) {
    for outcome in &mut progress.decided {
        outcome.get_or_insert_with(|| Outcome::Refused { found: found.to_owned() });
    }
}

fn edited(tree: &Tree, edits: std::collections::BTreeMap<ItemPath, Option<Entry>>) -> Tree {
    let mut entries = tree.entries.clone();
    for (path, entry) in edits {
        match entry {
            Some(entry) => entries.insert(path, entry),
            None => entries.remove(&path),
        };
    }
    Tree { entries, odd: tree.odd.clone(), root_is: None }
}

/// Performs one step on a draft, if what it expects is there; `blob` is the content of a write.
fn perform(draft: &mut Draft<'_>, step: &Step, blob: Option<&Blob>) -> Outcome {
    match check(draft, step) {
        Err(outcome) => outcome,
        Ok(()) => put(draft, step, blob),
    }
}

fn put(draft: &mut Draft<'_>, step: &Step, blob: Option<&Blob>) -> Outcome {
    let nothing = |version| Outcome::Applied { version, digest: None, size: 0 };
    let unsupported = || failed(step, "unsupported", "Git does not keep directories of their own");
    match &step.action {
        Action::Remove { .. } => {
            draft.edits.insert(step.path.clone(), None);
            nothing(Version::none())
        }
        Action::Move { from, version, item } => {
            let (Some(mode), Some(moved)) = (Mode::of(item.kind), Entry::of_version(version)) else {
                return unsupported();
            };
            let entry = Entry { mode, ..moved };
            draft.edits.insert(from.clone(), None);
            draft.edits.insert(step.path.clone(), Some(entry));
            nothing(entry.version())
        }
        Action::Write { item, .. } => {
            let Some(mode) = Mode::of(item.kind) else { return unsupported() };
            let Some(blob) = blob else { return failed(step, "io", "its content was not made") };
            let entry = Entry { mode, object: blob.object };
            draft.edits.insert(step.path.clone(), Some(entry));
            Outcome::Applied { version: entry.version(), digest: Some(blob.digest), size: blob.size }
        }
    }
}

/// Checks everything that a step asks for.
fn check(draft: &Draft<'_>, step: &Step) -> Result<(), Outcome> {
    let refused = |found: String| Err(Outcome::Refused { found });
    let mut paths = vec![&step.path];
    if let Action::Move { from, .. } = &step.action {
        paths.push(from);
    }
    let link = matches!(Mode::of(step.item().kind), Some(Mode::Link))
        && !matches!(step.action, Action::Remove { .. });
    let reason = paths.iter().find_map(|path| names::refusal(path));
    if let Some(reason) = reason.or_else(|| link.then(|| names::link_refusal(&step.path)).flatten()) {
        return Err(failed(step, "protected", reason));
    }
    if step.item().kind.is_directory() {
        return Err(failed(step, "unsupported", "Git does not keep directories of their own"));
    }
    if let Some(kind) = draft.root_is() {
        return refused(format!("the root is a {kind}"));
    }
    if let Action::Move { from, version, item } = &step.action {
        match draft.get(from) {
            Some(entry)
                if entry.version() == *version
                    && entry.mode.kind().is_some_and(|kind| kind.is_same_type(item.kind)) => {}
            other => return refused(format!("at {from}: {}", describe(draft, from, other))),
        }
    }
    let in_the_way = draft.in_the_way(&step.path);
    // A move from `a` to `a/b` makes way for itself.
    let moves_away = |above: &ItemPath| matches!(&step.action, Action::Move { from, .. } if from == above);
    if let Some((above, entry)) = in_the_way.filter(|(above, _)| !moves_away(above)) {
        return refused(format!("{above} is a {}", word(entry.mode)));
    }
    let there = draft.get(&step.path);
    match (&step.expected, there) {
        (Expected::Absent, None) if !draft.is_directory(&step.path) => Ok(()),
        (Expected::Present { version, .. }, Some(entry)) if entry.version() == *version => Ok(()),
        _ => refused(describe(draft, &step.path, there)),
    }
}

fn failed(step: &Step, code: &'static str, message: &str) -> Outcome {
    Outcome::Failed(Problem::new(step.path.as_str(), code, message))
}

fn describe(draft: &Draft<'_>, path: &ItemPath, there: Option<Entry>) -> String {
    match there {
        Some(entry) => format!("a {} with the hash {}", word(entry.mode), entry.object),
        None if draft.is_directory(path) => "a directory".into(),
        None => "nothing".into(),
    }
}

const fn word(mode: Mode) -> &'static str {
    match mode {
        Mode::File | Mode::Executable => "file",
        Mode::Link => "symbolic link",
        Mode::Submodule => "submodule",
    }
}

fn digest_of(content: syncline_connect::Content) -> Result<Digest> {
    let mut hasher = blake3::Hasher::new();
    std::io::copy(&mut content.into_reader(), &mut hasher)
        .map_err(|error| Error::io(error, "reading old content"))?;
    Ok(hasher.finalize().into())
}
