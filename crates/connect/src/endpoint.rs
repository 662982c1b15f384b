//! The endpoint contract: five verbs and capability data.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use syncline_core::{
    Abilities, Baseline, Digest, Filter, ItemPath, Mark, Outcome, Side, Snapshot, Step, Version,
};
use tokio::sync::mpsc;

use crate::content::Content;
use crate::error::Result;

/// A place that holds items: one side of a target.
#[async_trait]
pub trait Endpoint: Send + Sync {
    /// Tells what the endpoint can do. It never changes while the endpoint is open.
    fn capabilities(&self) -> &Capabilities;

    /// Checks that the endpoint can be reached and used, without changing anything.
    ///
    /// # Errors
    /// When it cannot; the error says why and what to do.
    async fn check(&self) -> Result<Health>;

    /// Lists the endpoint as changes against a baseline, without changing anything.
    ///
    /// - A path of the baseline whose recorded version is still there is not reported.
    /// - What could not be read is reported as unreadable, never as absent, and everything below it neither.
    /// - Absence is reported only when the listing was complete; [`Snapshot::complete`] says whether it was.
    /// - No content is read: a digest is given only where it is known anyway (links, empty files, an item moved
    ///   from a path of the baseline).
    /// - A root that is missing or is no directory is a snapshot, not an error.
    /// - With `request.durable`, what is reported is durable: a power loss after the scan does not take it back.
    ///
    /// # Errors
    /// When no listing could be made at all.
    async fn scan(&self, request: ScanRequest) -> Result<Snapshot>;

    /// Opens the content of an item; of a symbolic link, the text of its target.
    ///
    /// - Refuses with kind `Changed` or `NotFound` when that version is not there (any more).
    ///
    /// # Errors
    /// When the item cannot be opened.
    async fn read(&self, path: &ItemPath, version: &Version) -> Result<Content>;

    /// Performs steps in their order, each only if what it expects is there. Needs the capability `writable`.
    ///
    /// - Every old content is durable in `batch.history` before its path is touched.
    /// - A path is whole-old or whole-new at every moment, and when this returns, the batch is durable.
    /// - One failed or refused step does not stop the others; the outcomes are in the order of the steps.
    /// - Never writes outside the root, through a symbolic link, or to a protected path, whatever a step says.
    /// - Clears away what the batches of runs that died have left; an empty batch does nothing else.
    /// - When `batch.mark` is given, leaves it behind after the steps, and finishes what a scan called unsettled.
    ///
    /// # Errors
    /// When the batch as a whole could not be made durable or could not start; then nothing may be assumed done.
    async fn apply(&self, batch: Batch) -> Result<Vec<Outcome>>;

    /// The means of watching, where [`Capabilities::watch`] says that there is one.
    fn watch(&self) -> Option<&dyn Watch> {
        None
    }
}

/// What an endpoint is and can do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// The kind of endpoint, as in the configuration: `folder`, `memory`, …
    pub kind: &'static str,
    /// Where it is, for people; holds no secret.
    pub location: String,
    /// Whether it can be written.
    pub writable: bool,
    /// What it can hold and do, as far as planning depends on it.
    pub abilities: Abilities,
    /// The one item that it holds, where it can hold no other.
    pub only: Option<ItemPath>,
    /// Whether it can keep a mark beside the items.
    pub marks: bool,
    /// Whether listing it changes the other side for a while, which is then listed after it.
    pub disturbs: bool,
    /// Whether a listing shows every write that was acknowledged before it.
    pub consistent_listing: bool,
    /// Whether [`Endpoint::watch`] gives a watcher.
    pub watch: bool,
    /// Largest number of steps in one batch; `usize::MAX` for all of them in one, however many they are.
    pub batch_max: usize,
    /// What befalls it, in the words of those who work with it.
    pub words: Words,
}

/// What may befall an endpoint, in the words of those who work with it, where these are not those of folders. Each is a
/// fragment that says what happened, and what to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Words {
    /// It is not there any more, though something was agreed on.
    pub gone: Option<&'static str>,
    /// It does not go on from where the last run left it.
    pub replaced: Option<&'static str>,
}

/// The result of a health check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// What was found, for people.
    pub message: String,
    /// Whether it may be written, as far as that can be told without writing.
    pub writable: bool,
    /// What is not as it should be, though it works: for people.
    pub warnings: Vec<String>,
}

/// What a scan is to look at, and what is known already.
#[derive(Clone)]
pub struct ScanRequest {
    /// Which side of the baseline is this endpoint.
    pub side: Side,
    /// What both sides last agreed on.
    pub baseline: Arc<dyn Baseline>,
    /// Which paths belong to the target.
    pub filter: Arc<Filter>,
    /// The identifier under which the side keeps its mark.
    pub mark: String,
    /// The file whose presence is asked for, when there is one.
    pub sentinel: Option<ItemPath>,
    /// Look only at these paths and at what is below them, and take everything else as agreed; `None` for all.
    pub only: Option<Vec<ItemPath>>,
    /// Whether the changes that are reported must be durable: a run is going to agree on them.
    pub durable: bool,
    /// Whether this continues a look that has just begun: whoever makes what it lists need not make it again.
    pub again: bool,
    /// Whether directories are agreed on by themselves; not where one of the sides keeps none.
    pub directories: bool,
    /// Counts what was done so far, for people who wait.
    pub progress: Arc<Progress>,
}

/// Steps to perform together.
#[derive(Clone)]
pub struct Batch {
    /// The run that they belong to: a word that is unique, and safe as a file name.
    pub run: String,
    /// The steps, in their order, all of this endpoint's side. Shared, since a layer that tries again clones the batch.
    pub steps: Arc<[Step]>,
    /// Opens the content of write steps.
    pub contents: Arc<dyn Contents>,
    /// Where old content is kept.
    pub history: Arc<dyn History>,
    /// The mark to leave behind: the identifier under which it is kept, and the mark.
    pub mark: Option<(String, Mark)>,
    /// Counts what was done so far, for people who wait.
    pub progress: Arc<Progress>,
}

/// Opens the content that write steps put.
#[async_trait]
pub trait Contents: Send + Sync {
    /// Opens the content of one write step.
    ///
    /// # Errors
    /// When the content is not there any more, or cannot be opened.
    async fn open(&self, step: &Step) -> Result<Content>;
}

/// Keeps old content, by digest. Every implementation refuses content that does not have the digest.
#[async_trait]
pub trait History: Send + Sync {
    /// Keeps the content of an open regular file, as a copy: a link would change with the next write to the file.
    ///
    /// # Errors
    /// When it could not be kept, or is not the content of that digest.
    async fn keep_file(&self, digest: &Digest, file: &std::fs::File) -> Result<()>;

    /// Keeps content.
    ///
    /// # Errors
    /// As [`History::keep_file`].
    async fn keep(&self, digest: &Digest, content: Content) -> Result<()>;

    /// Makes everything kept so far durable.
    ///
    /// # Errors
    /// When it could not; then nothing kept since the last call may be relied on.
    async fn sync(&self) -> Result<()>;
}

/// Counters for people who wait. Reading and adding never blocks.
#[derive(Debug, Default)]
pub struct Progress {
    /// Items looked at, or steps done.
    pub items: AtomicU64,
    /// Bytes transferred.
    pub bytes: AtomicU64,
}

impl Progress {
    /// Adds to both counters.
    pub fn add(&self, items: u64, bytes: u64) {
        self.items.fetch_add(items, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }
}

/// Watches an endpoint for changes.
pub trait Watch: Send + Sync {
    /// Starts watching the paths that `filter` lets through; it ends when the watcher is dropped.
    ///
    /// # Errors
    /// When nothing can be watched; a part that cannot is an event instead.
    fn start(&self, filter: Arc<Filter>) -> Result<Watcher>;
}

/// A running watch.
pub struct Watcher {
    /// What happened, in its order. A full channel ends in [`WatchEvent::Overflow`], never in silence.
    pub events: mpsc::Receiver<WatchEvent>,
    /// Keeps the watch alive.
    pub guard: Box<dyn std::any::Any + Send>,
}

/// What a watcher saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WatchEvent {
    /// Something may have changed at this path or below it.
    Changed(ItemPath),
    /// Events were lost: only a full scan tells what changed.
    Overflow,
    /// A part cannot be watched, such as when the system's limit is exhausted; only scans see its changes. For
    /// people: what happened and what to do.
    Limited(String),
}
