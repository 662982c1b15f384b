//! Following what goes on: a look whenever the state, the watch or the time gives reason for one.

use std::sync::Arc;
use std::time::Duration;

use syncline_core::Nanos;
use syncline_store::{Onlooker, WatchRecord};
use tokio::time::Instant;

use super::Live;
use super::diff::Told;
use super::health::Looked;
use crate::lookout::Signs;
use crate::problem::Result;
use crate::service::Service;
use crate::watch_post::WatchPost;

/// How long it is waited at most between two looks, should something change without a trace: a look at many targets costs
/// far more than to be told that there is something new.
const REST_MAX: Duration = Duration::from_secs(300);
/// How long after the end of a pause it is looked.
const SHORTLY_AFTER: Duration = Duration::from_millis(100);
/// How long it is waited when the state cannot be looked at.
const TROUBLE_PAUSE: Duration = Duration::from_secs(1);

/// Somebody who follows one workspace.
pub(crate) struct Following<'a> {
    live: &'a Live,
    service: &'a Service,
    post: &'a WatchPost,
    eyes: Option<(Onlooker, Told)>,
    /// What the watch told of itself at the last look.
    record: Option<Arc<WatchRecord>>,
    /// When that was, and when the next pause of a target ends by itself.
    looked_at: Option<Instant>,
    next_end: Option<Nanos>,
}

impl<'a> Following<'a> {
    pub(crate) const fn new(live: &'a Live, service: &'a Service, post: &'a WatchPost) -> Self {
        Self { live, service, post, eyes: None, record: None, looked_at: None, next_end: None }
    }

    /// Looks again and again, when there are signs that something is new, until it is dropped.
    pub(crate) async fn go(&mut self, mut signs: Signs) -> std::convert::Infallible {
        loop {
            self.look_if_needed().await;
            let rest = self.rest();
            tokio::select! {
                Ok(()) = signs.changed() => {}
                () = tokio::time::sleep(rest) => {}
            }
        }
    }

    /// How long it may be before a look is needed without a sign.
    fn rest(&self) -> Duration {
        if self.record.is_none() {
            return TROUBLE_PAUSE;
        }
        let left = self.next_end.map(|end| end.saturating_sub(self.service.clock().now()));
        let left = left.map(|left| u64::try_from(left).map_or(Duration::ZERO, Duration::from_nanos));
        // Not at once again, however the clock stands.
        left.map_or(REST_MAX, |left| (left + SHORTLY_AFTER).min(REST_MAX))
    }

    /// Looks a last time, whatever was seen.
    pub(crate) async fn finish(mut self) {
        self.looked_at = None;
        self.look_if_needed().await;
    }

    async fn look_if_needed(&mut self) {
        if let Err(problem) = self.try_to_look().await {
            tracing::warn!(%problem, "the state could not be looked at");
            let message = format!("the state cannot be looked at: {problem}");
            let looked = match self.live.looked() {
                Some(before) => before.stale(message),
                None => Looked::blind(self.service.workspace(), self.post.record().since, message),
            };
            self.live.looked.send_replace(Some(looked.into()));
            // What was read halfway is not gone on with.
            self.record = None;
        }
    }

    async fn try_to_look(&mut self) -> Result<()> {
        let now = self.service.clock().now();
        if self.eyes.is_none() {
            let mut onlooker = Onlooker::of(&self.service.stored().await?).await?;
            let told = Told::at(&mut onlooker, now).await?;
            self.eyes = Some((onlooker, told));
        }
        let Some((onlooker, told)) = &mut self.eyes else { return Ok(()) };
        let record = self.post.record();
        let changed = onlooker.has_changed().await?;
        // Pauses end by themselves; peers, and the end of this process, are in no state.
        let looks_the_same = |looked: Arc<Looked>| {
            looked.seen.draining == self.live.is_draining()
                && looked.seen.peers == self.live.peers()
                && told.is_paused_alike(&looked.overview, now)
        };
        if !changed
            && self.record.as_ref().is_some_and(|seen| Arc::ptr_eq(seen, &record))
            && self.looked_at.is_some_and(|at| at.elapsed() < REST_MAX)
            && self.live.looked().is_some_and(looks_the_same)
        {
            return Ok(());
        }
        let overview = onlooker.overview().await?;
        let ends = overview.targets.values().filter_map(|target| target.pause.as_ref()?.until);
        let next_end = ends.filter(|end| *end > now).min();
        told.tell(onlooker, &overview, &record, now, self.live.feed()).await?;
        let looked = Looked::new(self.service.workspace(), overview, &record, now, self.live);
        self.live.looked.send_replace(Some(looked.into()));
        (self.record, self.looked_at, self.next_end) = (Some(record), Some(Instant::now()), next_end);
        Ok(())
    }
}
