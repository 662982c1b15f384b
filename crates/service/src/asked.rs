//! What is asked for in the state: the side of whoever serves the workspace.

use std::time::Duration;

use syncline_store::{Request, Store, Writes};
use tokio::time::{Instant, sleep, sleep_until};

use crate::lookout::Signs;
use crate::service::Service;
use crate::wire::LeftOut;

/// How long it is waited at most before it is looked for what other processes ask for, without a sign of it.
const REST_MAX: Duration = Duration::from_secs(60);
/// How long it is waited when the state cannot be used.
const TROUBLE_PAUSE: Duration = Duration::from_millis(500);
/// How long it is waited before targets that were to be left alone are tried again.
const HELD_PAUSE: Duration = Duration::from_secs(10);

/// What is asked for, and what of it was tried already.
pub(crate) struct Asked<'a> {
    service: &'a Service,
    store: Store,
    writes: Writes,
    /// Whether there may be requests that were not read yet.
    is_due: bool,
    /// What was read last.
    known: Vec<Request>,
    /// Tells that others may have asked for something.
    signs: Signs,
    /// Every request up to this one was tried.
    tried: i64,
    /// When the last one was tried.
    last: Instant,
    /// Whether the state could not be read the last time, so that it is told once.
    blind: bool,
}

impl<'a> Asked<'a> {
    pub(crate) fn new(service: &'a Service, store: &Store, signs: Signs) -> Self {
        Self {
            service,
            store: store.clone(),
            writes: Writes::to(store),
            is_due: true,
            known: Vec::new(),
            signs,
            tried: 0,
            last: Instant::now(),
            blind: false,
        }
    }

    /// Waits until there is something that was not tried yet, or was left alone a while ago. May be cancelled.
    pub(crate) async fn arrival(&mut self) {
        loop {
            let requests = self.read().await;
            let is_new = requests.iter().any(|request| request.seq > self.tried);
            if is_new || !requests.is_empty() && self.last.elapsed() >= HELD_PAUSE {
                return;
            }
            // What this process records is known at once; another one leaves only the state.
            tokio::select! {
                () = self.service.arrivals().notified() => {}
                Ok(()) = self.signs.changed() => {}
                () = sleep_until(self.last + HELD_PAUSE), if !requests.is_empty() => {}
                () = sleep(if self.blind { TROUBLE_PAUSE } else { REST_MAX }) => {}
            }
        }
    }

    /// What is asked for, of targets that there are; what asks for others is forgotten.
    pub(crate) async fn take(&mut self) -> Vec<Request> {
        let requests = self.read().await;
        self.tried = requests.iter().map(|request| request.seq).fold(self.tried, i64::max);
        self.last = Instant::now();
        let is_there = |request: &Request| self.service.workspace().target(&request.target).is_some();
        let (known, gone): (Vec<Request>, Vec<Request>) = requests.into_iter().partition(is_there);
        if !gone.is_empty() {
            self.forget(&gone).await;
        }
        known
    }

    /// Forgets what has run; what was left alone is tried again later.
    pub(crate) async fn done(&self, requests: Vec<Request>, left_out: &[LeftOut]) {
        let is_held = |request: &Request| left_out.iter().any(|held| held.target == request.target);
        let ran: Vec<Request> = requests.into_iter().filter(|request| !is_held(request)).collect();
        if !ran.is_empty() {
            self.forget(&ran).await;
        }
    }

    async fn forget(&self, requests: &[Request]) {
        if let Err(error) = self.store.fulfil(requests).await {
            // Then they run once more, which changes nothing.
            tracing::warn!(%error, "requests that were met could not be forgotten");
            sleep(TROUBLE_PAUSE).await;
        }
    }

    async fn read(&mut self) -> Vec<Request> {
        self.is_due |= self.writes.may_have_come();
        if !self.is_due {
            return self.known.clone();
        }
        match self.store.requests().await {
            Ok(requests) => {
                (self.blind, self.is_due) = (false, false);
                self.known.clone_from(&requests);
                requests
            }
            Err(error) => {
                if !self.blind {
                    tracing::warn!(%error, "what is asked for could not be read");
                }
                self.blind = true;
                Vec::new()
            }
        }
    }
}
