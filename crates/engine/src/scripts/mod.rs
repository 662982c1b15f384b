//! Script targets: a program of the user that brings something in, or sends something out.
//!
//! It is the remote side of its target. One that brings something in is run in a scratch copy of the workspace, and what
//! it made of its outputs there is a snapshot like any other: planned, shown, guarded and applied as every other change,
//! with its old versions in history. One that sends something out is run when what it sends has changed; what the sides
//! agree on is what was sent last. So a program that does the same thing twice is never run for nothing, and a dry run
//! never sends anything.
//!
//! One that works only in the workspace itself (`in_place`) works there, and is put back at once: see `in_place.rs`.

mod failure;
mod in_place;
mod launch;
mod put_back;

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use syncline_connect::layers::sanitize::{SanitizeLayer, Sanitizer};
use syncline_connect::{
    Batch, Capabilities, Content, Endpoint, Error, ErrorKind, Health, Result, ScanRequest,
};
use syncline_core::{
    Abilities, Action, Change, Digest, Direction, Entry, Filter, Found, ItemPath, MemoryBaseline, Outcome,
    Problem, Root, Seen, Snapshot, Step, Version,
};

use crate::checks::{Check, Checked, Ground, Own};
use crate::look::{digest_of, unreadable};
use crate::process::Limits;
use crate::scratch::{Copying, Scratch, Wanted, blocking};
use launch::Place;

/// Most changes outside of the outputs that are told one by one.
const STRAYS_MAX: usize = 20;

/// What a script is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// To look at its target: it is not run, and what it makes is taken to be what was agreed on.
    Look,
    /// To see what a run would do: it is told that nothing is to be changed anywhere.
    DryRun,
    /// To run.
    Run,
}

/// A script, and what it is given.
#[derive(Clone)]
pub struct Script {
    /// The name of its target.
    pub target: String,
    /// Its file, relative to the workspace, and perhaps arguments.
    pub entrypoint: String,
    /// Which way things go: `Push` sends, the others bring.
    pub direction: Direction,
    /// What it is opened for.
    pub mode: Mode,
    /// Whether it works in the workspace itself, because it cannot in a copy.
    pub in_place: bool,
    /// Which files of the workspace it works with; all of them when `None`.
    pub inputs: Option<Arc<Filter>>,
    /// Which files it makes; of a script that sends something, none.
    pub outputs: Arc<Filter>,
    /// Folders that are there when it begins.
    pub folders: Vec<String>,
    /// Its settings, as a JSON object.
    pub config: String,
    /// What is added to its environment.
    pub environment: BTreeMap<String, String>,
    /// Values that must not be seen in what it says.
    pub secrets: Vec<String>,
    /// What is checked of what it made, before anything of that is brought in.
    pub checks: Vec<Check>,
    /// What the checks came to.
    pub checked: Arc<Mutex<Vec<Checked>>>,
    /// What belongs to its target.
    pub own: Own,
    /// Takes the secrets out of what it made, when that is wanted.
    pub sanitizer: Option<Arc<Sanitizer>>,
    /// How much it may take.
    pub limits: Limits,
    /// Where else than in its copy it may write.
    pub writable: Vec<PathBuf>,
    /// The workspace.
    pub workspace: PathBuf,
    /// A folder on this machine for scratch copies; that of the system for temporary files when `None`.
    pub scratch: Option<PathBuf>,
}

impl Script {
    fn copying(&self) -> Copying {
        let wanted = self.inputs.as_ref().map(|inputs| Wanted {
            inputs: Arc::clone(inputs),
            outputs: Arc::clone(&self.outputs),
            entrypoint: self.entrypoint.clone(),
        });
        Copying {
            target: self.target.clone(),
            wanted,
            folders: self.folders.clone(),
            above: self.scratch.clone(),
            hint: "name what the script needs under `inputs`; only that, its outputs and its own folder are copied",
        }
    }

    /// What a program said, without the values that must not be seen.
    fn redacted(&self, said: &str) -> String {
        let secrets = self.secrets.iter().filter(|secret| !secret.is_empty());
        let said = secrets.fold(said.to_owned(), |text, secret| text.replace(secret.as_str(), "[redacted]"));
        let Some(sanitizer) = &self.sanitizer else { return said };
        match sanitizer.sanitize("what it said", said.as_bytes()) {
            Ok(redacted) => redacted.content.map_or(said, |text| String::from_utf8_lossy(&text).into_owned()),
            Err(_) => "[redacted]".to_owned(),
        }
    }
}

/// Opens a folder as an endpoint.
pub type OpenFolder = Arc<dyn Fn(&std::path::Path) -> Result<Arc<dyn Endpoint>> + Send + Sync>;

/// A script as the remote side of its target.
pub struct ScriptEndpoint {
    script: Arc<Script>,
    open_folder: OpenFolder,
    capabilities: Capabilities,
    /// What it made when the whole of it was looked at last.
    produced: Mutex<Option<Arc<Produced>>>,
}

/// What a script has made.
struct Produced {
    folder: Arc<dyn Endpoint>,
    /// What it was given of its outputs.
    given: Arc<MemoryBaseline>,
    notes: Vec<Problem>,
    /// The versions of the copy, by path: those that are told are digests, which are the same in every copy.
    versions: Mutex<HashMap<ItemPath, Version>>,
    // Removed when the endpoint is closed.
    _scratch: Scratch,
}

impl ScriptEndpoint {
    /// The remote side of a script's target; nothing is run yet.
    #[must_use]
    pub fn new(script: Script, open_folder: OpenFolder) -> Self {
        let sends = script.direction == Direction::Push;
        let abilities = Abilities { moves: false, directory_moves: false, ..Abilities::default() };
        let abilities = if sends { Abilities { directories: false, ..abilities } } else { abilities };
        let capabilities = Capabilities {
            kind: "script",
            location: script.entrypoint.clone(),
            writable: sends,
            abilities,
            only: None,
            marks: false,
            disturbs: script.in_place,
            consistent_listing: true,
            watch: false,
            // What it sends goes out at once: it is run once for all of it.
            batch_max: usize::MAX,
            words: syncline_connect::Words::default(),
        };
        Self { script: Arc::new(script), open_folder, capabilities, produced: Mutex::default() }
    }

    fn sends(&self) -> bool {
        self.script.direction == Direction::Push
    }

    /// What the script makes; `again` has it run although it was already.
    async fn produced(&self, again: bool) -> Result<Arc<Produced>> {
        if let Some(produced) = self.last().filter(|_| !again) {
            return Ok(produced);
        }
        let made = Arc::new(self.produce().await?);
        *self.produced.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&made));
        Ok(made)
    }

    fn last(&self) -> Option<Arc<Produced>> {
        self.produced.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn produce(&self) -> Result<Produced> {
        in_place::recover(&self.script).await?;
        let (scratch, given) = if self.script.in_place {
            in_place::run(&self.script).await?
        } else {
            self.run_in_copy().await?
        };
        let given = Arc::new(given);
        let script = Arc::clone(&self.script);
        let (scratch, notes) = blocking(move || {
            let mut notes = tell(&script, scratch.strays(&script.outputs)?);
            if let Some(sanitizer) = &script.sanitizer {
                notes.extend(scratch.sanitize(&script.outputs, sanitizer)?);
            }
            Ok((scratch, notes))
        })
        .await?;
        self.check_made(&scratch).await?;
        let mut folder = (self.open_folder)(&scratch.root())?;
        if let Some(sanitizer) = &self.script.sanitizer {
            // What could not be rewritten in the copy is refused here.
            folder = Arc::new(SanitizeLayer::new(folder, Arc::clone(sanitizer)));
        }
        Ok(Produced { folder, notes, given, versions: Mutex::default(), _scratch: scratch })
    }

    async fn run_in_copy(&self) -> Result<(Scratch, MemoryBaseline)> {
        let (script, scratch) = (Arc::clone(&self.script), self.scratch().await?);
        let (scratch, given) = blocking(move || {
            let given = scratch.digests(&script.outputs)?;
            Ok((scratch, given))
        })
        .await?;
        launch::run(&self.script, &Place::copy(&scratch), None).await?;
        Ok((scratch, given))
    }

    async fn scratch(&self) -> Result<Scratch> {
        let (copying, workspace) = (self.script.copying(), self.script.workspace.clone());
        blocking(move || Scratch::copy(&copying, &workspace)).await
    }

    /// Checks what was made while it is nowhere else yet: what fails halts the run, and is never brought in.
    async fn check_made(&self, scratch: &Scratch) -> Result<()> {
        let ground = Ground {
            root: scratch.root(),
            environment: launch::environment(&self.script, &scratch.environment()),
            own: self.script.own.clone(),
            ..Ground::default()
        };
        let mut made = Vec::new();
        for check in &self.script.checks {
            made.push(check.make_on(&ground, || self.script.copying()).await);
        }
        for failure in made.iter_mut().filter_map(|checked| checked.failure.as_mut()) {
            *failure = self.script.redacted(failure);
        }
        *self.script.checked.lock().unwrap_or_else(PoisonError::into_inner) = made;
        Ok(())
    }

    /// Puts what is to be sent into a copy, and runs the script on it.
    async fn send(&self, batch: &Batch) -> Result<Vec<Outcome>> {
        let scratch = self.scratch().await?;
        let mut outcomes = Vec::with_capacity(batch.steps.len());
        for step in &*batch.steps {
            outcomes.push(match lay_out(&scratch, batch, step).await {
                Ok(outcome) => outcome,
                Err(error) => Outcome::Failed(error.to_problem(step.path.as_str())),
            });
        }
        let laid_out = batch.steps.iter().zip(&outcomes);
        let changes: Vec<&Step> = laid_out
            .filter(|(_, outcome)| matches!(outcome, Outcome::Applied { .. }))
            .map(|(step, _)| step)
            .collect();
        if changes.len() == batch.steps.len() {
            if let Err(error) = launch::run(&self.script, &Place::copy(&scratch), Some(&changes)).await {
                // All of it failed for one reason, which is told once.
                let problem = error.to_problem("");
                return Ok(outcomes.iter().map(|_| Outcome::Failed(problem.clone())).collect());
            }
            return Ok(outcomes);
        }
        // Half of it is not sent: the script could not tell what is missing.
        let held = |outcome: Outcome, step: &Step| match outcome {
            Outcome::Applied { .. } => Outcome::Failed(Problem::new(
                step.path.as_str(),
                "not_sent",
                "not sent, because other files could not be read; run again",
            )),
            other => other,
        };
        Ok(outcomes.into_iter().zip(&*batch.steps).map(|(outcome, step)| held(outcome, step)).collect())
    }
}

impl Produced {
    /// The changes without those that are none: a script may write what was there before.
    async fn by_content(&self, changes: Vec<Change>) -> Vec<Change> {
        let mut differing = Vec::with_capacity(changes.len());
        for mut change in changes {
            if let Seen::Present(found) = &mut change.now
                && !found.item.kind.is_directory()
            {
                let inner = found.version.clone();
                match self.digest(&change.path, &inner).await {
                    Ok((digest, size)) => {
                        (found.item.digest, found.item.size) = (Some(digest), size);
                        found.version = Version::new(&digest.0);
                        self.versions().insert(change.path.clone(), inner);
                    }
                    Err(problem) => change.now = Seen::Unreadable(problem),
                }
            }
            let same = |was: &Entry, found: &Found| {
                was.kind == found.item.kind && was.versions.remote == found.version
            };
            let is_same =
                change.was.as_deref().zip(change.now.found()).is_some_and(|(was, found)| same(was, found));
            if !is_same {
                differing.push(change);
            }
        }
        differing
    }

    async fn digest(
        &self,
        path: &ItemPath,
        version: &Version,
    ) -> std::result::Result<(Digest, u64), Problem> {
        let content =
            self.folder.read(path, version).await.map_err(|error| unreadable(path.as_str(), &error))?;
        digest_of(content).map_err(|error| unreadable(path.as_str(), &Error::io(error, "reading")))
    }

    async fn read(&self, path: &ItemPath, version: &Version) -> Result<Content> {
        let inner = self.versions().get(path).cloned().unwrap_or_else(|| version.clone());
        self.folder.read(path, &inner).await
    }

    fn versions(&self) -> MutexGuard<'_, HashMap<ItemPath, Version>> {
        self.versions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Puts the content of one step where the script looks for it.
async fn lay_out(scratch: &Scratch, batch: &Batch, step: &Step) -> Result<Outcome> {
    let Action::Write { item, .. } = &step.action else {
        scratch.remove(&step.path)?;
        return Ok(Outcome::Applied { version: Version::none(), digest: None, size: 0 });
    };
    let content = batch.contents.open(step).await?;
    let (digest, size) = scratch.put(&step.path, item.kind, content)?;
    if item.digest.is_some_and(|planned| planned != digest) {
        return Err(Error::new(ErrorKind::Changed, format!("{} changed while it was read", step.path)));
    }
    batch.progress.add(1, size);
    Ok(Outcome::Applied { version: Version::new(&digest.0), digest: Some(digest), size })
}

/// What a script changed in its copy besides its outputs: it stays there, but whoever wrote the script should know.
fn tell(script: &Script, strays: Vec<String>) -> Vec<Problem> {
    let more = strays.len().saturating_sub(STRAYS_MAX);
    let one = |path: &String| {
        let message =
            format!("{} changed this, which is none of its `outputs`: it was left out", script.entrypoint);
        Problem::new(path.as_str(), "outside_outputs", message)
    };
    let mut told: Vec<Problem> = strays.iter().take(STRAYS_MAX).map(one).collect();
    if more > 0 {
        let message = format!("{} changed {more} more that are none of its `outputs`", script.entrypoint);
        told.push(Problem::new("", "outside_outputs", message));
    }
    told
}

/// What a dry run cannot tell.
fn untold_problem(script: &Script) -> Problem {
    let message = format!(
        "{} works in the workspace itself (`in_place`): only a run can tell what it changes",
        script.entrypoint
    );
    Problem::new("", "in_place", message)
}

#[async_trait]
impl Endpoint for ScriptEndpoint {
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    async fn check(&self) -> Result<Health> {
        let program = launch::find(&self.script)?;
        let message = format!("{} is there", program.path.display());
        Ok(Health { message, writable: self.sends(), warnings: Vec::new() })
    }

    async fn scan(&self, request: ScanRequest) -> Result<Snapshot> {
        let is_run = match self.script.mode {
            Mode::Look => false,
            Mode::DryRun => !self.script.in_place,
            Mode::Run => true,
        };
        if self.sends() || !is_run {
            // What was sent is what was agreed: nobody can look at it.
            let count = request.baseline.count();
            let untold = self.script.in_place && self.script.mode == Mode::DryRun;
            let problems = untold.then(|| untold_problem(&self.script)).into_iter().collect();
            return Ok(Snapshot {
                root: Root::Present,
                complete: true,
                count,
                problems,
                ..Snapshot::default()
            });
        }
        // What is looked at again during a run is what was made for it.
        let produced = self.produced(request.only.is_none() && !request.again).await?;
        // What is in a scratch copy need not be durable: another run would make it again.
        let mut snapshot = produced.folder.scan(ScanRequest { durable: false, ..request }).await?;
        snapshot.mark = None;
        snapshot.origin = Some(Arc::clone(&produced.given));
        snapshot.changes = produced.by_content(snapshot.changes).await;
        snapshot.problems.extend(produced.notes.iter().cloned());
        Ok(snapshot)
    }

    async fn read(&self, path: &ItemPath, version: &Version) -> Result<Content> {
        let gone =
            || Error::new(ErrorKind::NotFound, format!("{path} is not there: the script did not make it"));
        self.last().ok_or_else(gone)?.read(path, version).await
    }

    async fn apply(&self, batch: Batch) -> Result<Vec<Outcome>> {
        if batch.steps.is_empty() {
            return Ok(Vec::new());
        }
        self.send(&batch).await
    }
}
