//! The steps of a batch on a tree that is not made yet: what is possible, what is kept, and what comes out.

use std::collections::HashSet;
use std::path::Path;

use syncline_connect::{Batch, Error, Result};
use syncline_core::{Action, Digest, Expected, ItemPath, Outcome, Problem, Step, Version};
use tokio::runtime::Handle;

use super::command::Git;
use super::import::{self, Blob};
use super::names;
use super::objects::Objects;
use super::tree::{Draft, Entry, Mode, ObjectId, Tree};

/// What the steps of one batch work with.
pub(super) struct Steps<'a> {
    pub(super) git: &'a Git,
    /// A folder for files that help.
    pub(super) scratch: &'a Path,
    pub(super) objects: &'a Objects,
    pub(super) batch: &'a Batch,
    pub(super) handle: &'a Handle,
}

/// The steps of a batch on the way: what is decided, and the content that was made.
pub(super) struct Progress {
    /// What became of a step before anything was committed: refused, or not possible.
    decided: Vec<Option<Outcome>>,
    blobs: Vec<Option<Blob>>,
}

impl Steps<'_> {
    /// Finds out which steps can be done, keeps old content, and makes blobs of the new: nothing outside is touched.
    ///
    /// # Errors
    /// When nothing can be written, or history cannot be made durable.
    pub(super) fn prepare(&self, tree: &Tree) -> Result<Progress> {
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
        let is_write = |at: &usize| matches!(steps[*at].action, Action::Write { .. });
        let writes: Vec<usize> =
            (0..steps.len()).filter(|at| progress.decided[*at].is_none() && is_write(at)).collect();
        // Nothing outside is touched before both are done, so neither waits for the other.
        let (kept, made) = std::thread::scope(|scope| {
            let keeping = scope.spawn(|| self.keep(&replaced));
            let made = self.make(&writes);
            (keeping.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)), made)
        });
        for (at, made) in made? {
            match made {
                Ok(blob) => progress.blobs[at] = Some(blob),
                Err(problem) => progress.decided[at] = Some(Outcome::Failed(problem)),
            }
        }
        for (at, problem) in kept? {
            progress.blobs[at] = None;
            progress.decided[at] = Some(Outcome::Failed(problem));
        }
        Ok(progress)
    }

    /// Makes a blob of the new content of each of these steps.
    fn make(&self, writes: &[usize]) -> Result<Vec<(usize, Result<Blob, Problem>)>> {
        if writes.is_empty() {
            return Ok(Vec::new());
        }
        import::blobs(self.git, self.scratch, self.batch, self.handle, writes)
    }

    /// Makes old content durable in history; returns the steps whose old content cannot be kept, which are not to be done.
    ///
    /// # Errors
    /// With kind `Damaged` when the repository does not give the content; when history cannot be made durable.
    fn keep(&self, replaced: &[(usize, Entry)]) -> Result<Vec<(usize, Problem)>> {
        let mut refused = Vec::new();
        let mut kept: HashSet<(ObjectId, Digest)> = HashSet::new();
        for (at, entry) in replaced {
            let step = &self.batch.steps[*at];
            let read = || self.objects.read(self.git, &entry.object);
            let digest = match step.expected.keep() {
                Some(digest) => digest,
                None => digest_of(read()?)?,
            };
            if kept.contains(&(entry.object, digest)) {
                continue;
            }
            let content = read()?;
            match self.handle.block_on(self.batch.history.keep(&digest, content)) {
                Ok(()) => drop(kept.insert((entry.object, digest))),
                Err(error) => refused.push((*at, error.to_problem(step.path.as_str()))),
            }
        }
        if !kept.is_empty() {
            self.handle.block_on(self.batch.history.sync())?;
        }
        Ok(refused)
    }
}

impl Progress {
    /// Performs all steps on a draft that are not decided yet.
    pub(super) fn plan(&self, batch: &Batch, draft: &mut Draft<'_>) -> Vec<Outcome> {
        let steps = batch.steps.iter().zip(&self.decided).zip(&self.blobs);
        steps
            .map(|((step, decided), blob)| match decided {
                Some(outcome) => outcome.clone(),
                None => perform(draft, step, blob.as_ref()),
            })
            .collect()
    }

    /// How many steps wrote content, which counted itself on its way.
    pub(super) fn written(&self) -> usize {
        self.blobs.iter().flatten().count()
    }

    /// Refuses every step that is not decided yet.
    pub(super) fn refuse_rest(&mut self, found: &str) {
        for outcome in &mut self.decided {
            outcome.get_or_insert_with(|| Outcome::Refused { found: found.to_owned() });
        }
    }

    /// What was decided, once everything is.
    pub(super) fn decided(self) -> Vec<Outcome> {
        self.decided.into_iter().flatten().collect()
    }
}

/// Stands for content that is not made yet.
const PLACEHOLDER: Blob = Blob { object: ObjectId::ZERO, digest: Digest([0; 32]), size: 0 };

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
