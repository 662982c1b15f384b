//! What a run is given: the target, the state, the clock, and who listens.

use std::sync::Arc;

use syncline_connect::{Endpoint, Progress};
use syncline_core::{Choices, Filter, ItemPath, Nanos, Policy, Side, Sides, Window};
use syncline_store::Store;
use tokio::sync::Mutex;

use crate::gates::Gates;

/// Tells the time and makes identifiers; tests give their own.
pub trait Clock: Send + Sync {
    /// Now.
    fn now(&self) -> Nanos;
    /// An identifier that was never given before and that sorts by the time it was made.
    fn identifier(&self) -> String;
}

/// Everything around a run that is the same for all targets of a workspace.
#[derive(Clone)]
pub struct Context {
    /// The state of the workspace.
    pub store: Store,
    /// Time and identifiers.
    pub clock: Arc<dyn Clock>,
    /// Who wants to know what happens.
    pub events: Arc<dyn Events>,
    /// How many threads may read content at once; zero reads on the calling task, in a fixed order.
    pub workers: usize,
    /// Who runs this, for leases and for people.
    pub holder: String,
    /// When each run takes the workspace for itself and gives it back, as a watch does, so that other commands can work
    /// between its runs: whose turn it is in this process. Otherwise the caller holds the workspace.
    pub turns: Option<Arc<Mutex<()>>>,
}

/// What happens during a run, in the order in which it happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The sides are being scanned.
    Scanning {
        /// The target.
        target: String,
    },
    /// Content is being read to tell what changed.
    Comparing {
        /// The target.
        target: String,
        /// How many items are to be read.
        items: u64,
    },
    /// What is about to leave is being searched for secrets.
    Searching {
        /// The target.
        target: String,
        /// How many items are to be searched.
        items: u64,
    },
    /// Steps are being applied.
    Applying {
        /// The target.
        target: String,
        /// How many steps there are.
        steps: u64,
        /// Bytes to be transferred.
        bytes: u64,
    },
    /// The run is over.
    Finished {
        /// The target.
        target: String,
    },
}

/// Listens to runs; it only listens.
pub trait Events: Send + Sync {
    /// Something happened.
    fn happened(&self, event: &Event);
    /// The counters of the phase that is going on.
    fn progress(&self) -> Arc<Progress>;
}

/// Nobody listens.
impl Events for () {
    fn happened(&self, _: &Event) {}

    fn progress(&self) -> Arc<Progress> {
        Arc::default()
    }
}

/// One target, resolved: ready to run.
#[derive(Clone)]
pub struct Target {
    /// The name.
    pub name: String,
    /// The two sides.
    pub endpoints: Sides<Arc<dyn Endpoint>>,
    /// Which paths belong to it.
    pub filter: Arc<Filter>,
    /// What it wants.
    pub policy: Policy,
    /// What is checked around its runs.
    pub gates: Option<Arc<Gates>>,
    /// When it may run by itself; at any time when there are none.
    pub windows: Vec<Window>,
}

impl Target {
    /// What tells this pair of endpoints from another one where marks cannot.
    pub(crate) fn identity(&self) -> String {
        let remote = self.endpoints[Side::Remote].capabilities();
        format!("{}:{}", remote.kind, remote.location)
    }
}

/// How a run is to be carried out.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Who or what asked for it, for people.
    pub cause: String,
    /// Plan only: nothing is changed anywhere.
    pub dry_run: bool,
    /// What is already decided.
    pub choices: Choices,
    /// How the conflicts that `choices` settle are told to be settled, where people decided about them.
    pub settled_as: Option<String>,
    /// The hash of the only plan that may be applied, when one was saved.
    pub plan: Option<String>,
    /// How many removals the runs just before this one have made: the guard counts them too.
    pub removed_before: u64,
    /// Look only at these paths and what is below them.
    pub only: Option<Vec<ItemPath>>,
}
