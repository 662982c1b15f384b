//! An endpoint that gives up in time.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use syncline_core::{ItemPath, Outcome, Snapshot, Version};

use crate::content::Content;
use crate::endpoint::{Batch, Capabilities, Endpoint, Health, ScanRequest, Watch};
use crate::error::{Error, ErrorKind, Result};

/// Time limits, each for one whole call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// For a health check.
    pub check: Duration,
    /// For a whole listing.
    pub scan: Duration,
    /// Until content is open; reading it on is not counted.
    pub read: Duration,
    /// For a whole batch.
    pub apply: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        let minutes = |count: u64| Duration::from_secs(60 * count);
        Self { check: minutes(1), scan: minutes(60), read: minutes(5), apply: minutes(120) }
    }
}

/// Fails a call with kind `TimedOut` when its time limit passes.
///
/// The call is dropped there: an endpoint whose batch goes on in the background must not be wrapped, or must
/// lock against itself.
pub struct TimeoutLayer {
    inner: Arc<dyn Endpoint>,
    timeouts: Timeouts,
}

impl TimeoutLayer {
    /// Wraps an endpoint.
    pub fn new(inner: Arc<dyn Endpoint>, timeouts: Timeouts) -> Self {
        Self { inner, timeouts }
    }

    async fn limit<T>(
        &self,
        limit: Duration,
        what: &str,
        call: impl Future<Output = Result<T>> + Send,
    ) -> Result<T> {
        tokio::time::timeout(limit, call).await.unwrap_or_else(|_| {
            let location = &self.inner.capabilities().location;
            let seconds = limit.as_secs_f64();
            Err(Error::new(ErrorKind::TimedOut, format!("{what} {location} took longer than {seconds} s")))
        })
    }
}

#[async_trait]
impl Endpoint for TimeoutLayer {
    fn capabilities(&self) -> &Capabilities {
        self.inner.capabilities()
    }

    async fn check(&self) -> Result<Health> {
        self.limit(self.timeouts.check, "checking", self.inner.check()).await
    }

    async fn scan(&self, request: ScanRequest) -> Result<Snapshot> {
        self.limit(self.timeouts.scan, "listing", self.inner.scan(request)).await
    }

    async fn read(&self, path: &ItemPath, version: &Version) -> Result<Content> {
        self.limit(self.timeouts.read, "reading from", self.inner.read(path, version)).await
    }

    async fn apply(&self, batch: Batch) -> Result<Vec<Outcome>> {
        self.limit(self.timeouts.apply, "writing to", self.inner.apply(batch)).await
    }

    fn watch(&self) -> Option<&dyn Watch> {
        self.inner.watch()
    }
}
