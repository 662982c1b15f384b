//! An endpoint that tries again.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use backon::{BackoffBuilder, Retryable};
use syncline_core::{ItemPath, Outcome, Snapshot, Version};

use crate::content::Content;
use crate::endpoint::{Batch, Capabilities, Endpoint, Health, ScanRequest, Watch};
use crate::error::{Error, Result, Retry};

/// How often and after which delays to try again.
///
/// The delay before attempt n + 1 is `base` · 2ⁿ⁻¹, at most `delay_max`, plus a random part of up to `jitter`.
/// An endpoint that asks for a longer delay gets it, unless it is longer than `wait_max`: then the error stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retries {
    /// Most attempts, the first one included.
    pub attempts_max: usize,
    /// The first delay.
    pub base: Duration,
    /// The longest delay of our own.
    pub delay_max: Duration,
    /// The longest random part that is added.
    pub jitter: Duration,
    /// The longest delay that an endpoint may ask for.
    pub wait_max: Duration,
    /// Where the random parts start from; `None` for other ones each time.
    pub seed: Option<u64>,
}

impl Default for Retries {
    fn default() -> Self {
        Self {
            attempts_max: 5,
            base: Duration::from_secs(1),
            delay_max: Duration::from_secs(32),
            jitter: Duration::from_secs(1),
            wait_max: Duration::from_secs(120),
            seed: None,
        }
    }
}

impl Retries {
    /// The delays between the attempts, from the first one on.
    #[must_use]
    pub fn delays(self) -> Delays {
        let random = self.seed.map_or_else(fastrand::Rng::new, fastrand::Rng::with_seed);
        Delays { retries: self, done: 0, random }
    }
}

impl BackoffBuilder for Retries {
    type Backoff = Delays;

    fn build(self) -> Delays {
        self.delays()
    }
}

/// The delays between attempts.
#[derive(Clone, Debug)]
pub struct Delays {
    retries: Retries,
    done: u32,
    random: fastrand::Rng,
}

impl Iterator for Delays {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        if self.done as usize + 1 >= self.retries.attempts_max {
            return None;
        }
        let doubled = self.retries.base.saturating_mul(2_u32.saturating_pow(self.done));
        self.done += 1;
        Some(doubled.min(self.retries.delay_max) + self.retries.jitter.mul_f64(self.random.f64()))
    }
}

/// Tries a call again when its error says that this may help.
///
/// A batch is tried again as a whole: every step states what it expects, so a step that was done the first time
/// is refused the second time, never done twice.
pub struct RetryLayer {
    inner: Arc<dyn Endpoint>,
    retries: Retries,
}

impl RetryLayer {
    /// Wraps an endpoint.
    pub fn new(inner: Arc<dyn Endpoint>, retries: Retries) -> Self {
        Self { inner, retries }
    }

    async fn retry<T, F>(&self, call: impl FnMut() -> F + Send) -> Result<T>
    where
        F: Future<Output = Result<T>> + Send,
        T: Send,
    {
        let wait_max = self.retries.wait_max;
        call.retry(self.retries)
            .when(move |error: &Error| match error.retry() {
                Retry::Soon(asked) => asked.is_none_or(|asked| asked <= wait_max),
                Retry::Never => false,
            })
            .adjust(|error, delay| match error.retry() {
                Retry::Soon(Some(asked)) => delay.map(|delay| delay.max(asked)),
                _ => delay,
            })
            .await
    }
}

#[async_trait]
impl Endpoint for RetryLayer {
    fn capabilities(&self) -> &Capabilities {
        self.inner.capabilities()
    }

    async fn check(&self) -> Result<Health> {
        self.retry(|| self.inner.check()).await
    }

    async fn scan(&self, request: ScanRequest) -> Result<Snapshot> {
        self.retry(|| self.inner.scan(request.clone())).await
    }

    async fn read(&self, path: &ItemPath, version: &Version) -> Result<Content> {
        self.retry(|| self.inner.read(path, version)).await
    }

    async fn apply(&self, batch: Batch) -> Result<Vec<Outcome>> {
        self.retry(|| self.inner.apply(batch.clone())).await
    }

    fn watch(&self) -> Option<&dyn Watch> {
        self.inner.watch()
    }
}
