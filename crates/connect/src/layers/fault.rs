//! Injected faults: for tests of everything that uses an endpoint.
//!
//! A hook is asked before every call, and decides. It may also change the world itself, as a user would who
//! edits a file at that very moment, and then return [`Fault::None`].

use std::future::pending;
use std::sync::Arc;

use async_trait::async_trait;
use syncline_core::{Change, Digest, ItemPath, Outcome, Seen, Snapshot, Step, Version};

use crate::content::Content;
use crate::endpoint::{Batch, Capabilities, Contents, Endpoint, Health, History, ScanRequest, Watch};
use crate::error::{Error, Result};

/// What is about to happen.
#[derive(Clone, Copy, Debug)]
pub enum Call<'a> {
    /// A health check.
    Check,
    /// A scan.
    Scan,
    /// Content of this path is about to be opened for reading.
    Read(&'a ItemPath),
    /// A batch of this many steps is about to be applied.
    Apply(usize),
    /// Inside a batch: the content of this step is about to be opened.
    Open(&'a Step),
    /// Inside a batch: old content is about to be kept in history.
    Keep(&'a Digest),
    /// Inside a batch: history is about to be made durable.
    SyncHistory,
    /// Inside a batch: the step at this index is about to change something. Only the memory endpoint tells.
    Mutate(usize, &'a Step),
    /// Inside a batch: the mark is about to be left. Only the memory endpoint tells.
    Mark,
    /// Inside a batch: what it changed is about to be made durable. Only the memory endpoint tells.
    Sync,
    /// A batch was applied, and its outcomes are about to be returned.
    Applied,
}

impl Call<'_> {
    /// Whether the call changes something, on the endpoint or in history.
    #[must_use]
    pub const fn is_mutation(&self) -> bool {
        matches!(self, Self::Keep(_) | Self::SyncHistory | Self::Mutate(..) | Self::Mark | Self::Sync)
    }
}

/// What goes wrong.
#[derive(Debug)]
pub enum Fault {
    /// Nothing.
    None,
    /// The call fails with this error. A step fails by it; the batch goes on.
    Error(Error),
    /// A listing ends early: it is incomplete and proves no absence. No other call is affected.
    Incomplete,
    /// The program dies here: the call never returns. Drop the future that waits for it.
    Crash,
}

/// Decides what goes wrong.
pub type Hook = Arc<dyn Fn(&Call<'_>) -> Fault + Send + Sync>;

/// Asks `hook` about `call`, and dies or fails as it says; tells whether a listing is to end early.
///
/// # Errors
/// When the hook says so.
pub async fn pass(hook: &Hook, call: Call<'_>) -> Result<bool> {
    match hook(&call) {
        Fault::None => Ok(false),
        Fault::Incomplete => Ok(true),
        Fault::Error(error) => Err(error),
        Fault::Crash => pending().await,
    }
}

/// An endpoint that fails when its hook says so.
pub struct FaultLayer {
    inner: Arc<dyn Endpoint>,
    hook: Hook,
}

impl FaultLayer {
    /// Wraps an endpoint.
    pub fn new(inner: Arc<dyn Endpoint>, hook: Hook) -> Self {
        Self { inner, hook }
    }
}

#[async_trait]
impl Endpoint for FaultLayer {
    fn capabilities(&self) -> &Capabilities {
        self.inner.capabilities()
    }

    async fn check(&self) -> Result<Health> {
        pass(&self.hook, Call::Check).await?;
        self.inner.check().await
    }

    async fn scan(&self, request: ScanRequest) -> Result<Snapshot> {
        let cut = pass(&self.hook, Call::Scan).await?;
        let mut snapshot = self.inner.scan(request).await?;
        if cut {
            // An incomplete listing lacks some of what is there, and may not say that anything is absent.
            snapshot.complete = false;
            let half = snapshot.changes.len().div_ceil(2);
            snapshot.changes.truncate(half);
            snapshot.changes.retain(|change: &Change| change.now != Seen::Absent);
        }
        Ok(snapshot)
    }

    async fn read(&self, path: &ItemPath, version: &Version) -> Result<Content> {
        pass(&self.hook, Call::Read(path)).await?;
        self.inner.read(path, version).await
    }

    async fn apply(&self, mut batch: Batch) -> Result<Vec<Outcome>> {
        pass(&self.hook, Call::Apply(batch.steps.len())).await?;
        batch.contents = Arc::new(FaultContents { inner: batch.contents, hook: Arc::clone(&self.hook) });
        batch.history = Arc::new(FaultHistory { inner: batch.history, hook: Arc::clone(&self.hook) });
        let outcomes = self.inner.apply(batch).await?;
        pass(&self.hook, Call::Applied).await?;
        Ok(outcomes)
    }

    fn watch(&self) -> Option<&dyn Watch> {
        self.inner.watch()
    }
}

struct FaultContents {
    inner: Arc<dyn Contents>,
    hook: Hook,
}

#[async_trait]
impl Contents for FaultContents {
    async fn open(&self, step: &Step) -> Result<Content> {
        pass(&self.hook, Call::Open(step)).await?;
        self.inner.open(step).await
    }
}

struct FaultHistory {
    inner: Arc<dyn History>,
    hook: Hook,
}

#[async_trait]
impl History for FaultHistory {
    async fn keep_file(&self, digest: &Digest, file: &std::fs::File) -> Result<()> {
        pass(&self.hook, Call::Keep(digest)).await?;
        self.inner.keep_file(digest, file).await
    }

    async fn keep(&self, digest: &Digest, content: Content) -> Result<()> {
        pass(&self.hook, Call::Keep(digest)).await?;
        self.inner.keep(digest, content).await
    }

    async fn sync(&self) -> Result<()> {
        pass(&self.hook, Call::SyncHistory).await?;
        self.inner.sync().await
    }
}
