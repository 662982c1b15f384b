//! The upstream of the workspace: a branch that the clone follows in which a person works too.
//!
//! The remote side is the tip of that branch, read from the clone's own objects. A batch becomes a commit with what both
//! sides agree on, and the local branch is brought along. Whatever a person does with Git meanwhile goes first.

mod apply;
mod bring;
mod clone;
mod own;
mod scan;
mod settings;

use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use syncline_connect::{
    Batch, Capabilities, Content, Endpoint, EndpointKind, Error, ErrorKind, Health, OpenRequest, Result,
    ScanRequest,
};
use syncline_core::{Abilities, Filter, ItemPath, Outcome, Snapshot, Version};
use tokio::runtime::Handle;

use super::GivenUp;
use super::command::Git;
use super::errors;
use super::names;
use super::notes::Notes;
use super::objects::Objects;
use super::tree::Tree;
use clone::Place;
use scan::{Base, Found, Look};
use settings::{Policy, Settings};

/// The upstream's line in the list.
pub const KIND: EndpointKind = EndpointKind {
    name: "upstream",
    summary: "the branch that the workspace follows, when it is a clone of a Git repository",
    schema: || schemars::schema_for!(Settings),
    open: |request| Ok(Arc::new(UpstreamEndpoint::open(request)?)),
};

/// Most steps in one batch, which is one commit.
const BATCH_MAX: usize = 1_000_000;

/// The upstream of the workspace.
pub struct UpstreamEndpoint {
    shared: Arc<Shared>,
    capabilities: Capabilities,
}

/// What calls work with, on threads that may block.
struct Shared {
    place: Place,
    settings: Settings,
    workspace: PathBuf,
    /// The folder of notes.
    folder: PathBuf,
    references: String,
    objects: Objects,
    /// What was looked at last: batches stand on it.
    last: Mutex<Last>,
    /// What content is read from. A lock of its own, since a batch that is going on must not keep readers waiting: it
    /// may wait for them.
    reading: Mutex<Option<(Git, Arc<Tree>)>>,
}

#[derive(Default)]
struct Last {
    look: Option<Look>,
    filter: Arc<Filter>,
}

impl UpstreamEndpoint {
    /// Finds the clone; nobody is contacted yet.
    ///
    /// # Errors
    /// When the settings cannot be used, or the folder lies in no clone.
    pub fn open(request: &OpenRequest<'_>) -> Result<Self> {
        let settings = Settings::read(request.settings)?;
        let place = Place::find(request.folder)?;
        let root = place.root.as_ref().map_or("", ItemPath::as_str);
        let key = blake3::hash(format!("{}\0{root}", place.directory.display()).as_bytes()).to_hex();
        let folder = request.state.join("git").join(format!("upstream-{}", &key[..32]));
        let folder = std::path::absolute(&folder)
            .map_err(|error| Error::io(error, format_args!("finding {}", folder.display())))?;
        let branch = settings.branch.as_ref().map(|branch| format!("#{branch}")).unwrap_or_default();
        let capabilities = Capabilities {
            kind: KIND.name,
            location: format!("upstream of {}{branch}", request.folder.display()),
            writable: settings.commit != Policy::Off,
            abilities: Abilities { directories: false, directory_moves: false, ..Abilities::default() },
            only: None,
            marks: true,
            disturbs: false,
            consistent_listing: true,
            watch: false,
            batch_max: BATCH_MAX,
            words: errors::WORDS,
        };
        let shared = Shared {
            references: format!("refs/syncline/{}", &blake3::hash(root.as_bytes()).to_hex()[..16]),
            place,
            settings,
            workspace: request.workspace.to_owned(),
            folder,
            objects: Objects::default(),
            last: Mutex::default(),
            reading: Mutex::default(),
        };
        Ok(Self { shared: Arc::new(shared), capabilities })
    }

    /// Does work that blocks on a thread that may; the programs that it started end when nobody waits for it.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Shared, &Arc<AtomicBool>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let shared = Arc::clone(&self.shared);
        let given_up = GivenUp(Arc::new(AtomicBool::new(false)));
        let flag = Arc::clone(&given_up.0);
        match tokio::task::spawn_blocking(move || work(&shared, &flag)).await {
            Ok(done) => done,
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Err(_) => Err(Error::new(ErrorKind::Io, "the program is shutting down")),
        }
    }
}

#[async_trait]
impl Endpoint for UpstreamEndpoint {
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    async fn check(&self) -> Result<Health> {
        self.blocking(|shared, given_up| {
            let clone = shared.base(given_up).clone(None)?;
            let (branch, url) = (&clone.branch, clone.settings.url.as_str());
            let mut warnings = Vec::new();
            let message = match clone.outside(branch)? {
                Some(tip) => format!("{url}: the branch {branch} is at {tip}"),
                None => {
                    warnings.push(format!("{url} has no branch {branch}; push it once by hand"));
                    format!("{url} can be reached")
                }
            };
            Ok(Health { message, writable: true, warnings })
        })
        .await
    }

    async fn scan(&self, request: ScanRequest) -> Result<Snapshot> {
        self.blocking(move |shared, given_up| {
            let (snapshot, look) = shared.base(given_up).scan(&shared.notes(), &request)?;
            shared.show(look.as_ref());
            *shared.last() = Last { look, filter: Arc::clone(&request.filter) };
            Ok(snapshot)
        })
        .await
    }

    async fn read(&self, path: &ItemPath, version: &Version) -> Result<Content> {
        self.shared.read(path, version)
    }

    async fn apply(&self, batch: Batch) -> Result<Vec<Outcome>> {
        if batch.steps.is_empty() && batch.mark.is_none() {
            return Ok(Vec::new());
        }
        let handle = Handle::current();
        self.blocking(move |shared, given_up| shared.apply(&batch, &handle, given_up)).await
    }
}

impl Shared {
    fn base<'a>(&'a self, given_up: &'a Arc<AtomicBool>) -> Base<'a> {
        Base {
            given_up,
            place: &self.place,
            settings: &self.settings,
            workspace: &self.workspace,
            folder: &self.folder,
            objects: &self.objects,
            references: &self.references,
        }
    }

    fn notes(&self) -> Notes {
        Notes::read(&self.folder.join("notes.json"))
    }

    fn read(&self, path: &ItemPath, version: &Version) -> Result<Content> {
        if let Some(reason) = names::refusal(path) {
            return Err(Error::new(ErrorKind::Denied, format!("{path}: {reason}")));
        }
        let gone = || Error::new(ErrorKind::NotFound, format!("{path} is not there"));
        if self.reading().is_none() {
            self.look(&mut self.last(), &Arc::default())?;
        }
        let (git, tree) = self.reading().clone().ok_or_else(gone)?;
        let there = tree.entries.get(path).ok_or_else(gone)?;
        if there.version() != *version || there.mode.kind().is_none() {
            return Err(Error::new(ErrorKind::Changed, format!("{path} has changed")));
        }
        self.objects.read(&git, &there.object)
    }

    /// From now on content is read from this.
    fn show(&self, look: Option<&Look>) {
        *self.reading() = look.map(|look| (look.clone.git.clone(), Arc::clone(&look.tree)));
    }

    /// Looks at clone and upstream, unless that was done before.
    fn look(&self, last: &mut Last, given_up: &Arc<AtomicBool>) -> Result<()> {
        if last.look.is_none()
            && let Found::There(look) = self.base(given_up).look(&self.notes(), &last.filter)?
        {
            self.show(Some(&look));
            last.look = Some(*look);
        }
        Ok(())
    }

    fn apply(&self, batch: &Batch, handle: &Handle, given_up: &Arc<AtomicBool>) -> Result<Vec<Outcome>> {
        let mut last = self.last();
        self.look(&mut last, given_up)?;
        let (mut notes, base) = (self.notes(), self.base(given_up));
        let Last { look: Some(look), filter } = &mut *last else {
            return Err(Error::new(ErrorKind::NotFound, "the branch of the upstream is gone"));
        };
        look.clone.git = look.clone.git.watched_by(given_up);
        let mut work = apply::Work { base: &base, notes: &mut notes, filter, batch, handle };
        let outcomes = if batch.steps.is_empty() { Vec::new() } else { work.steps(look)? };
        self.show(Some(look));
        if batch.mark.is_some() {
            work.settle(look)?;
            self.show(Some(look));
            make_private(&self.folder)
                .map_err(|error| Error::io(error, format_args!("making {}", self.folder.display())))?;
            notes.write(&self.folder.join("notes.json"))?;
        }
        Ok(outcomes)
    }

    fn reading(&self) -> MutexGuard<'_, Option<(Git, Arc<Tree>)>> {
        self.reading.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn last(&self) -> MutexGuard<'_, Last> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes a folder and those above it. The state folder may be among them, and only its owner may look into that.
fn make_private(folder: &std::path::Path) -> std::io::Result<()> {
    super::mirror::make_private(folder)
}
