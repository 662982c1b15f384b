//! A branch of a Git repository: on a host, reached over https or ssh, or in a folder.
//!
//! There is no work tree. A bare repository in the state folder mirrors the branch; a scan lists its tip, and a batch
//! becomes one commit on top of the tip that was scanned, pushed only if the branch is still there.

mod apply;
mod command;
mod environment;
mod errors;
mod import;
mod mirror;
mod names;
mod notes;
mod objects;
mod part;
mod remote;
mod scan;
mod settings;
mod steps;
mod times;
mod tree;
pub mod upstream;
mod url;

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use syncline_connect::{
    Batch, Capabilities, Content, Endpoint, EndpointKind, Error, ErrorKind, Health, OpenRequest, Result,
    ScanRequest,
};
use syncline_core::{Abilities, ItemPath, Outcome, Snapshot, Version};
use tokio::runtime::Handle;

use command::Git;
use mirror::Mirror;
use objects::Objects;
pub(in crate::endpoints) use part::Listed;
use settings::{Effective, Settings};
use tree::{ObjectId, Tree};

/// The Git endpoint's line in the list.
pub const KIND: EndpointKind = EndpointKind {
    name: "git",
    summary: "a branch of a Git repository, over https, ssh or a path",
    schema: || schemars::schema_for!(Settings),
    open: |request| Ok(Arc::new(GitEndpoint::open(request)?)),
};

/// Most steps in one batch, which is one commit.
const BATCH_MAX: usize = 1_000_000;

/// A branch of a Git repository.
pub struct GitEndpoint {
    shared: Arc<Shared>,
    capabilities: Capabilities,
}

/// What calls work with, on threads that may block.
struct Shared {
    settings: Effective,
    /// The folder of the mirror.
    folder: PathBuf,
    git: Git,
    objects: Objects,
    /// The tip that was scanned or made last: content is read from it, and batches stand on it.
    tip: Mutex<Option<Tip>>,
}

/// The branch at one commit.
#[derive(Clone)]
struct Tip {
    branch: String,
    commit: Option<ObjectId>,
    /// What the commit holds, once somebody had to know.
    tree: Option<Arc<Tree>>,
}

impl GitEndpoint {
    /// Opens a branch; nobody is contacted yet.
    ///
    /// # Errors
    /// When the settings cannot be used.
    pub fn open(request: &OpenRequest<'_>) -> Result<Self> {
        let settings = Settings::read(request.settings)?.resolve(request.workspace)?;
        let key = format!("{}\0{}", settings.url.as_str(), settings.branch.as_deref().unwrap_or_default());
        let name = blake3::hash(key.as_bytes()).to_hex();
        let folder = request.state.join("git").join(&name[..32]);
        let folder = std::path::absolute(&folder)
            .map_err(|error| Error::io(error, format_args!("finding {}", folder.display())))?;
        let (environment, secrets) =
            (environment::environment(Some(&settings), &[])?, environment::secrets(&settings));
        let git = Git::new(environment, secrets, &mirror::repository(&folder));
        let capabilities = Capabilities {
            kind: KIND.name,
            location: settings.location(),
            writable: true,
            abilities: Abilities { directories: false, directory_moves: false, ..Abilities::default() },
            only: None,
            marks: true,
            disturbs: false,
            consistent_listing: true,
            watch: false,
            batch_max: BATCH_MAX,
            words: errors::WORDS,
        };
        let shared = Shared { settings, folder, git, objects: Objects::default(), tip: Mutex::default() };
        Ok(Self { shared: Arc::new(shared), capabilities })
    }

    /// Does work that blocks on a thread that may; the programs that it started end when nobody waits for it.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Shared, Git) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let shared = Arc::clone(&self.shared);
        let given_up = GivenUp(Arc::new(AtomicBool::new(false)));
        let git = shared.git.watched_by(&given_up.0);
        match tokio::task::spawn_blocking(move || work(&shared, git)).await {
            Ok(done) => done,
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Err(_) => Err(Error::new(ErrorKind::Io, "the program is shutting down")),
        }
    }
}

#[async_trait]
impl Endpoint for GitEndpoint {
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    async fn check(&self) -> Result<Health> {
        let location = self.capabilities.location.clone();
        self.blocking(move |shared, git| {
            let outside = remote::outside(&git, &shared.settings, None)?;
            let branch = &outside.branch;
            let (message, warnings) = match outside.tip {
                Some(tip) => (format!("{location}: the branch {branch} is at {tip}"), Vec::new()),
                None => {
                    let warning = format!("{location} has no branch {branch} yet; the first push makes it");
                    (format!("{location} can be reached"), vec![warning])
                }
            };
            Ok(Health { message, writable: true, warnings })
        })
        .await
    }

    async fn scan(&self, request: ScanRequest) -> Result<Snapshot> {
        self.blocking(move |shared, git| shared.scan(git, &request)).await
    }

    async fn read(&self, path: &ItemPath, version: &Version) -> Result<Content> {
        // Asking a program that is running already takes microseconds: another thread would take longer.
        self.shared.read(path, version)
    }

    async fn apply(&self, batch: Batch) -> Result<Vec<Outcome>> {
        if batch.steps.is_empty() && batch.mark.is_none() {
            return Ok(Vec::new());
        }
        let handle = Handle::current();
        self.blocking(move |shared, git| shared.apply(git, &batch, &handle)).await
    }
}

impl Shared {
    fn scan(&self, git: Git, request: &ScanRequest) -> Result<Snapshot> {
        let mut mirror = Mirror::take(&self.folder, &self.settings, git)?;
        let mut outside = mirror.update()?;
        let scanned =
            match (scan::scan(&mut mirror, &self.settings, &self.objects, request, &outside), outside.tip) {
                (Err(error), Some(tip)) if error.kind() == ErrorKind::Damaged => {
                    let tip = mirror.make_anew(&outside.branch, tip)?;
                    self.objects.forget();
                    outside.tip = Some(tip);
                    scan::scan(&mut mirror, &self.settings, &self.objects, request, &outside)?
                }
                (other, _) => other?,
            };
        *self.tip() = Some(Tip { branch: outside.branch, commit: outside.tip, tree: scanned.tree });
        Ok(scanned.snapshot)
    }

    fn read(&self, path: &ItemPath, version: &Version) -> Result<Content> {
        match self.try_read(path, version) {
            Err(error) if error.kind() == ErrorKind::Damaged => {
                self.repair()?;
                self.try_read(path, version)
            }
            other => other,
        }
    }

    fn try_read(&self, path: &ItemPath, version: &Version) -> Result<Content> {
        if let Some(reason) = names::refusal(path) {
            return Err(Error::new(ErrorKind::Denied, format!("{path}: {reason}")));
        }
        let gone = || Error::new(ErrorKind::NotFound, format!("{path} is not there"));
        let tree = self.tree()?.ok_or_else(gone)?;
        let there = tree.entries.get(path).ok_or_else(gone)?;
        if there.version() != *version || there.mode.kind().is_none() {
            return Err(Error::new(ErrorKind::Changed, format!("{path} has changed")));
        }
        self.objects.read(&self.git, &there.object)
    }

    /// The tree that was scanned, listed when nobody had to know it until now.
    fn tree(&self) -> Result<Option<Arc<Tree>>> {
        let mut last = self.tip();
        if last.is_none() {
            let mut mirror = Mirror::take(&self.folder, &self.settings, self.git.clone())?;
            let outside = mirror.update()?;
            *last = Some(Tip { branch: outside.branch, commit: outside.tip, tree: None });
        }
        let Some(Tip { commit: Some(commit), tree, .. }) = &mut *last else { return Ok(None) };
        if let Some(tree) = tree {
            return Ok(Some(Arc::clone(tree)));
        }
        let listed = Arc::new(mirror::list(&self.git, &self.settings, *commit)?);
        *tree = Some(Arc::clone(&listed));
        Ok(Some(listed))
    }

    /// Makes a damaged mirror anew.
    fn repair(&self) -> Result<()> {
        let mut mirror = Mirror::take(&self.folder, &self.settings, self.git.clone())?;
        let known = mirror.notes.branch.clone();
        let outside = remote::outside(&mirror.git, &self.settings, known.as_deref())?;
        if let Some(tip) = outside.tip {
            mirror.make_anew(&outside.branch, tip)?;
        }
        self.objects.forget();
        Ok(())
    }

    fn apply(&self, git: Git, batch: &Batch, handle: &Handle) -> Result<Vec<Outcome>> {
        let done = self.try_apply(git.clone(), batch, handle);
        match done {
            // The mirror is at fault only before anything was pushed: a failed push has another kind.
            Err(error) if error.kind() == ErrorKind::Damaged => {
                self.repair()?;
                self.try_apply(git, batch, handle)
            }
            other => other,
        }
    }

    fn try_apply(&self, git: Git, batch: &Batch, handle: &Handle) -> Result<Vec<Outcome>> {
        let mut mirror = Mirror::take(&self.folder, &self.settings, git)?;
        let last = self.tip().clone();
        let tip = match last {
            Some(tip) => tip,
            None => {
                let outside = mirror.update()?;
                Tip { branch: outside.branch, commit: outside.tip, tree: None }
            }
        };
        let (settings, objects) = (&self.settings, &self.objects);
        let (outcomes, tip) =
            apply::Work { mirror: &mut mirror, settings, objects, batch, handle }.run(tip)?;
        *self.tip() = Some(tip);
        Ok(outcomes)
    }

    fn tip(&self) -> MutexGuard<'_, Option<Tip>> {
        self.tip.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tells programs that nobody waits for them any more: dropped together with the call.
struct GivenUp(Arc<AtomicBool>);

impl Drop for GivenUp {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Whether a text can be the name of a run: a word that is safe in a message.
fn is_word(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 100
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
}
