//! An open workspace: its configuration, its state, and what its use cases need around them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use syncline_config::{KindSchema, Role, Workspace};
use syncline_connect::Registry;
use syncline_core::{Direction, ItemPath};
use syncline_engine::scripts::Mode;
use syncline_engine::{Clock, Context, Events, Options, Target};
use syncline_store::{ConflictQuery, ConflictRecord, RunQuery, RunRecord, RunState, Store, WorkspaceLock};
use tokio::sync::{Mutex, MutexGuard, Notify, OnceCell};

use crate::caller::Caller;
use crate::clock::SystemClock;
use crate::git_exclude;
use crate::live::Live;
use crate::notifying;
use crate::problem::{Class, Problem, Result};
use crate::targets;
use crate::webhooks::Inbox;

/// The folder beneath the workspace in which state lies unless it was moved.
const STATE_FOLDER: &str = ".syncline";
/// The name of the newest run.
const LAST: &str = "last";

/// What is needed to open a workspace.
pub struct Opening {
    /// The configuration file.
    pub config: PathBuf,
    /// The variables of the process.
    pub environment: BTreeMap<String, String>,
    /// The endpoints that this program knows.
    pub registry: Registry,
    /// Where the state lies, when not in `.syncline` beneath the workspace.
    pub state: Option<PathBuf>,
    /// Who listens to runs.
    pub events: Arc<dyn Events>,
    /// How it is asked, such as by the command line, for the records of runs.
    pub cause: String,
    /// Files that belong to no target although they may lie in one, such as the plan that is being saved.
    pub reserved: Vec<PathBuf>,
}

/// An open workspace, as there is one for whoever asks. Cheap to clone.
#[derive(Clone)]
pub struct Service {
    workspace: Arc<Workspace>,
    registry: Registry,
    reserved: Vec<PathBuf>,
    state: PathBuf,
    store: Arc<OnceCell<Store>>,
    events: Arc<dyn Events>,
    clock: Arc<dyn Clock>,
    face: String,
    caller: Arc<Caller>,
    committing: Arc<Mutex<()>>,
    arrivals: Arc<Notify>,
    inbox: Arc<Inbox>,
}

/// The state, opened to be changed; nobody else changes it meanwhile.
pub(crate) struct Writing {
    pub(crate) store: Store,
    _lock: WorkspaceLock,
}

impl Service {
    /// Opens a workspace; nothing is looked at yet but its configuration.
    ///
    /// # Errors
    /// When the configuration is wrong.
    pub fn open(opening: Opening) -> Result<Self> {
        let kinds = kind_schemas(&opening.registry);
        let workspace = syncline_config::load(&opening.config, &opening.environment, &kinds)?;
        let state = opening
            .state
            .map_or_else(|| workspace.root.join(STATE_FOLDER), |state| workspace.root.join(state));
        Ok(Self {
            workspace: Arc::new(workspace),
            registry: opening.registry,
            reserved: opening.reserved,
            state,
            store: Arc::default(),
            events: opening.events,
            clock: Arc::new(SystemClock),
            face: opening.cause,
            caller: Arc::new(Caller::local()),
            committing: Arc::default(),
            arrivals: Arc::default(),
            inbox: Arc::default(),
        })
    }

    /// The same workspace, as there is one for `caller`, who asks by way of `face`: targets that it is kept from are none.
    ///
    /// # Errors
    /// When what it is limited to is no pattern.
    pub fn for_caller(&self, caller: &Caller, face: &str) -> Result<Self> {
        let mut service = Self { face: face.to_owned(), caller: Arc::new(caller.clone()), ..self.clone() };
        if !caller.targets.is_empty() {
            service.workspace = Arc::new(self.workspace.limited_to(&caller.targets)?);
        }
        Ok(service)
    }

    /// Who asks.
    #[must_use]
    pub fn caller(&self) -> &Caller {
        &self.caller
    }

    /// How it is asked.
    pub(crate) fn face(&self) -> &str {
        &self.face
    }

    /// Whether there is a target of this name for whoever asks; one that is in the state alone is there for those who
    /// are kept from none.
    #[must_use]
    pub fn may_see(&self, target: &str) -> bool {
        self.caller.targets.is_empty() || self.workspace.target(target).is_some()
    }

    /// Refuses what is the name of no target for whoever asks.
    ///
    /// # Errors
    /// When it is none.
    pub fn check_target(&self, name: &str) -> Result<()> {
        if self.workspace.target(name).is_some() {
            return Ok(());
        }
        // A pattern names targets elsewhere, and is the name of none.
        self.configured(name)?;
        Err(Problem::not_found(format!("there is no target {name:?}")))
    }

    /// The same workspace, to whose runs another one listens as well.
    pub(crate) fn heard_by(self, live: &Live) -> Self {
        Self { events: live.beside(Arc::clone(&self.events)), ..self }
    }

    /// The configuration.
    #[must_use]
    pub fn workspace(&self) -> &Workspace {
        &self.workspace
    }

    /// The endpoints that this program knows.
    #[must_use]
    pub const fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Files that belong to no target, besides the configuration and the state.
    pub(crate) fn reserved(&self) -> &[PathBuf] {
        &self.reserved
    }

    /// The state folder; it need not exist.
    #[must_use]
    pub fn state(&self) -> &Path {
        &self.state
    }

    pub(crate) fn clock(&self) -> &dyn Clock {
        self.clock.as_ref()
    }

    pub(crate) fn shared_clock(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.clock)
    }

    /// Who or what asks, for the records of runs.
    pub(crate) fn cause(&self) -> String {
        if self.caller.is_local() {
            return self.face.clone();
        }
        format!("{} by {}", self.face, self.caller.name)
    }

    /// The sole right to commit what runs have brought in, among the runs of this process.
    pub(crate) async fn committing(&self) -> MutexGuard<'_, ()> {
        self.committing.lock().await
    }

    /// Told when this process has recorded that targets are asked for.
    pub(crate) fn arrivals(&self) -> &Notify {
        &self.arrivals
    }

    /// Deliveries of webhooks that wait to be recorded.
    pub(crate) fn inbox(&self) -> &Inbox {
        &self.inbox
    }

    /// The state, to be looked at: nothing is made on disk when there is none yet.
    pub(crate) async fn reading(&self) -> Result<Store> {
        if self.store.initialized() || self.state.join("state.db").exists() {
            return self.stored().await;
        }
        Ok(Store::in_memory().await?)
    }

    /// Refuses to change the state of somebody else as the superuser.
    pub(crate) fn check_owner(&self) -> Result<()> {
        Ok(syncline_store::check_owner(&self.state)?)
    }

    /// The state, to be changed; refused while another process changes it.
    pub(crate) async fn writing(&self) -> Result<Writing> {
        self.check_owner()?;
        let store = self.stored().await?;
        let lock = store.lock().map_err(|error| {
            let is_held = error.kind() == syncline_store::ErrorKind::Locked;
            let problem = Problem::from(error);
            if !is_held {
                return problem;
            }
            let hint =
                "wait until it has ended, or end it: nothing is lost, the next run goes on where it stopped";
            problem.with_hint(hint)
        })?;
        // Whoever is named in the file is told of what happens from here on, whether or not anybody serves yet.
        store.subscribe(&notifying::names(self)).await?;
        self.leave_out_of_git();
        Ok(Writing { store, _lock: lock })
    }

    /// Has Git leave the state out, where it lies in the workspace.
    pub(crate) fn leave_out_of_git(&self) {
        if self.state.starts_with(&self.workspace.root)
            && let Err(error) = git_exclude::exclude(&self.workspace.root)
        {
            tracing::warn!(%error, "the state could not be excluded from Git");
        }
    }

    /// The state for a run, and while it is not a dry one, the sole right to change it.
    pub(crate) async fn for_run(&self, dry_run: bool) -> Result<(Store, Option<Writing>)> {
        if dry_run {
            return Ok((self.reading().await?, None));
        }
        let writing = self.writing().await?;
        Ok((writing.store.clone(), Some(writing)))
    }

    /// The state, which is made when there is none yet.
    pub(crate) async fn stored(&self) -> Result<Store> {
        let open = || Store::open(&self.state);
        Ok(self.store.get_or_try_init(open).await?.clone())
    }

    /// What runs need around them.
    pub(crate) fn context(&self, store: &Store) -> Context {
        Context {
            store: store.clone(),
            clock: Arc::clone(&self.clock),
            events: Arc::clone(&self.events),
            workers: std::thread::available_parallelism().map_or(1, usize::from),
            // The lock keeps other processes away, so the lease of one that was killed may be taken over at once.
            holder: self.workspace.node.clone(),
            turns: None,
        }
    }

    /// The target of this name, as configured.
    pub(crate) fn configured(&self, name: &str) -> Result<&syncline_config::Target> {
        let found = self.workspace.select(std::slice::from_ref(&name.to_owned()), None)?;
        found.first().copied().ok_or_else(|| Problem::not_found(format!("there is no target {name:?}")))
    }

    /// A target, to be looked at: no script is run.
    pub(crate) fn target(
        &self,
        configured: &syncline_config::Target,
        direction: Direction,
    ) -> Result<Target> {
        targets::open(self, configured, direction, Mode::Look)
    }

    /// A target, ready to run in `direction`.
    pub(crate) fn target_to_run(
        &self,
        configured: &syncline_config::Target,
        direction: Direction,
        options: &Options,
    ) -> Result<Target> {
        let choices = &options.choices;
        let mode = match options.dry_run {
            // What people decided about is in history or on a side: a script has nothing to say about it.
            _ if !(choices.desired.is_empty() && choices.takes.is_empty()) => Mode::Look,
            true => Mode::DryRun,
            false => Mode::Run,
        };
        targets::open(self, configured, direction, mode)
    }

    /// The run that `id` names: its identifier, an unambiguous beginning of it, or `last`.
    pub(crate) async fn run_named(&self, store: &Store, id: &str) -> Result<RunRecord> {
        let found = if id == LAST && !self.caller.targets.is_empty() {
            let all = store.runs(&RunQuery::default()).await?;
            all.into_iter().find(|run| self.may_see(&run.start.target))
        } else {
            store.run(id).await?.filter(|run| self.may_see(&run.start.target))
        };
        found.ok_or_else(|| {
            Problem::new(Class::NotFound, "unknown_run", format!("there is no run {id:?}"))
                .with_hint("see `syncline history` for the runs that there are")
        })
    }

    /// As [`Service::run_named`], but `last` is the last run that changed something: a halted one, or one that only
    /// had something to remember, leaves nothing to undo.
    pub(crate) async fn run_to_undo(&self, store: &Store, id: &str) -> Result<RunRecord> {
        if id != LAST {
            return self.run_named(store, id).await;
        }
        let runs = store.runs(&RunQuery::default()).await?.into_iter();
        let mut runs = runs.filter(|run| self.may_see(&run.start.target)).peekable();
        if let Some(open) = runs.peek().filter(|run| run.finish.is_none()) {
            let message =
                format!("the run {} was cut short, and what it did is not known yet", open.start.id);
            return Err(Problem::new(Class::Stale, "interrupted", message)
                .with_hint(format!("run the target {:?} once, then roll back", open.start.target)));
        }
        let changed = |run: &RunRecord| run.finish.as_ref().is_some_and(|finish| finish.steps > 0);
        let mut last = runs.find(changed).ok_or_else(|| {
            Problem::new(Class::NotFound, "unknown_run", "no run has changed anything yet")
                .with_hint("see `syncline history` for the runs that there are")
        })?;
        // A run that was cut short and the one that finished its work are undone together.
        let target = last.start.target.clone();
        for older in runs.filter(|run| run.start.target == target) {
            match older.finish.as_ref().map(|finish| finish.state) {
                Some(RunState::Interrupted) => last = older,
                Some(RunState::Halted) => {}
                _ => break,
            }
        }
        Ok(last)
    }

    /// Conflicts of the targets that there are for whoever asks.
    pub(crate) async fn conflicts(
        &self,
        store: &Store,
        query: &ConflictQuery,
    ) -> Result<Vec<ConflictRecord>> {
        let mut records = store.conflicts(query).await?;
        records.retain(|record| self.may_see(&record.target));
        Ok(records)
    }

    /// The targets that a path of the workspace belongs to, each with the path inside the target; `None` when the
    /// folder of the target itself is meant.
    pub(crate) fn covering(&self, path: &str) -> Result<Vec<(&syncline_config::Target, Option<ItemPath>)>> {
        if matches!(path, "" | "." | "./") {
            // The workspace itself: every target that is all of it or lies in it, as a whole.
            return Ok(self.workspace.targets.iter().map(|target| (target, None)).collect());
        }
        let path = ItemPath::parse(path.trim_start_matches("./").trim_end_matches('/'))
            .map_err(|error| Problem::usage("bad_path", error.to_string()))?;
        let inside = |target: &syncline_config::Target| match &target.path {
            None => Some(Some(path.clone())),
            Some(folder) if *folder == path => Some(None),
            Some(folder) => {
                let below =
                    path.is_below(folder.as_str()).then(|| &path.as_str()[folder.as_str().len() + 1..]);
                below.and_then(|below| ItemPath::parse(below).ok()).map(Some)
            }
        };
        let targets = self.workspace.targets.iter();
        Ok(targets.filter_map(|target| Some((target, inside(target)?))).collect())
    }
}

/// What the configuration must know of the endpoints.
#[must_use]
pub fn kind_schemas(registry: &Registry) -> Vec<KindSchema> {
    let describe = |kind: &syncline_connect::EndpointKind| KindSchema {
        role: Role::Endpoint,
        name: kind.name,
        summary: kind.summary,
        schema: (kind.schema)().to_value(),
    };
    let describe_channel = |kind: &syncline_connect::ChannelKind| KindSchema {
        role: Role::Channel,
        name: kind.name,
        summary: kind.summary,
        schema: (kind.schema)().to_value(),
    };
    registry.endpoints.iter().map(describe).chain(registry.channels.iter().map(describe_channel)).collect()
}
