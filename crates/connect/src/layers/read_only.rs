//! An endpoint that must not be written.

use std::sync::Arc;

use async_trait::async_trait;
use syncline_core::{ItemPath, Outcome, Snapshot, Version};

use crate::content::Content;
use crate::endpoint::{Batch, Capabilities, Endpoint, Health, ScanRequest, Watch};
use crate::error::{Error, ErrorKind, Result};

/// Refuses every batch, so that a mistake above cannot become a write.
pub struct ReadOnlyLayer {
    inner: Arc<dyn Endpoint>,
    capabilities: Capabilities,
}

impl ReadOnlyLayer {
    /// Wraps an endpoint.
    pub fn new(inner: Arc<dyn Endpoint>) -> Self {
        let capabilities = Capabilities { writable: false, ..inner.capabilities().clone() };
        Self { inner, capabilities }
    }
}

#[async_trait]
impl Endpoint for ReadOnlyLayer {
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    async fn check(&self) -> Result<Health> {
        self.inner.check().await
    }

    async fn scan(&self, request: ScanRequest) -> Result<Snapshot> {
        self.inner.scan(request).await
    }

    async fn read(&self, path: &ItemPath, version: &Version) -> Result<Content> {
        self.inner.read(path, version).await
    }

    async fn apply(&self, _batch: Batch) -> Result<Vec<Outcome>> {
        let location = &self.capabilities.location;
        Err(Error::new(ErrorKind::Unsupported, format!("{location} is opened for reading only"))
            .with_hint("change the direction of the target to have it written"))
    }

    fn watch(&self) -> Option<&dyn Watch> {
        self.inner.watch()
    }
}
