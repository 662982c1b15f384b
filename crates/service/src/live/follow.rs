//! Following what goes on: a look whenever the state, the watch or the time gives reason for one.

use std::sync::Arc;
use std::time::Duration;

use syncline_store::{Onlooker, WatchRecord};

use super::Live;
use super::diff::Told;
use super::health::Looked;
use crate::beat;
use crate::problem::Result;
use crate::service::Service;
use crate::watch_post::WatchPost;

/// How often it is asked whether anything has changed.
const ASK_EVERY: Duration = Duration::from_millis(250);
/// How many questions go by at most between two looks, should something change without a trace: a minute of them. A look
/// at many targets costs far more than the questions.
const QUIET_MAX: u32 = 240;

/// Somebody who follows one workspace.
pub(crate) struct Following<'a> {
    live: &'a Live,
    service: &'a Service,
    post: &'a WatchPost,
    eyes: Option<(Onlooker, Told)>,
    /// What the watch told of itself at the last look.
    record: Option<Arc<WatchRecord>>,
    quiet: u32,
}

impl<'a> Following<'a> {
    pub(crate) const fn new(live: &'a Live, service: &'a Service, post: &'a WatchPost) -> Self {
        Self { live, service, post, eyes: None, record: None, quiet: 0 }
    }

    /// Looks again and again, until it is dropped.
    pub(crate) async fn go(&mut self) -> std::convert::Infallible {
        let mut ask = beat::every(ASK_EVERY);
        loop {
            ask.tick().await;
            if let Some(hearing) = self.live.hearing() {
                hearing.tell_progress();
            }
            self.look_if_needed().await;
        }
    }

    /// Looks a last time, whatever was seen.
    pub(crate) async fn finish(mut self) {
        self.quiet = QUIET_MAX;
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
        self.quiet += 1;
        // Pauses end by themselves; peers, and the end of this process, are in no state.
        let looks_the_same = |looked: Arc<Looked>| {
            looked.seen.draining == self.live.is_draining()
                && looked.seen.peers == self.live.peers()
                && told.is_paused_alike(&looked.overview, now)
        };
        if !changed
            && self.record.as_ref().is_some_and(|seen| Arc::ptr_eq(seen, &record))
            && self.quiet < QUIET_MAX
            && self.live.looked().is_some_and(looks_the_same)
        {
            return Ok(());
        }
        let overview = onlooker.overview().await?;
        told.tell(onlooker, &overview, &record, now, self.live.feed()).await?;
        let looked = Looked::new(self.service.workspace(), overview, &record, now, self.live);
        self.live.looked.send_replace(Some(looked.into()));
        (self.record, self.quiet) = (Some(record), 0);
        Ok(())
    }
}
