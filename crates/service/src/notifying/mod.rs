//! Telling programs elsewhere what happens: `notify` in the file.
//!
//! What happens is written down in the state by whichever process it happens in. The one that serves the workspace makes
//! messages of it, which are durable before they are sent, and sends each until it has arrived or is given up. It is a task
//! of its own beside the runs: nothing that becomes of it stops or delays a run.

mod composing;
mod schedule;
mod sending;

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use syncline_config::Notification;
use syncline_store::{AttemptRecord, MessageRecord, NewMessage, Onlooker, Store, Subscriber, Told, Verdict};
use tokio::sync::{Notify, watch as signal};
use tokio::task::JoinHandle;

pub(crate) use composing::of_test;
pub(crate) use sending::{check, send};

use crate::lookout::Signs;
use crate::problem::Result;
use crate::service::Service;
use schedule::{AHEAD_MAX, WAITING_MAX, nanos, verdict};

/// How long it is waited at most before it is looked for what waits: clocks jump.
const LOOK_EVERY: Duration = Duration::from_secs(60);
/// How long it is waited when the state cannot be used.
const TROUBLE_PAUSE: Duration = Duration::from_secs(5);
/// Most messages that are on their way to one receiver at once.
const AT_ONCE: u32 = 8;
/// How long it may take to end: what has not been answered by then is sent again after the next start.
const END_MAX: Duration = Duration::from_secs(5);

/// Somebody who tells programs elsewhere what happens.
pub(crate) struct Notifying(JoinHandle<()>);

impl Notifying {
    /// Begins to tell, until `ending` turns true.
    pub(crate) fn begin(service: Arc<Service>, signs: Signs, ending: signal::Receiver<bool>) -> Self {
        Self(tokio::spawn(go(service, signs, ending)))
    }

    /// Waits for its end, but not for long.
    pub(crate) async fn ended(self) {
        let abort = self.0.abort_handle();
        match tokio::time::timeout(END_MAX, self.0).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(%error, "telling others what happens ended by a defect"),
            Err(_) => abort.abort(),
        }
    }
}

/// Waits until it turns true, or for a time; whether it is true. A sender that is gone counts as that.
async fn ends_within(ending: &mut signal::Receiver<bool>, time: Duration) -> bool {
    tokio::time::timeout(time, ending.wait_for(|end| *end)).await.is_ok()
}

async fn go(service: Arc<Service>, signs: Signs, mut ending: signal::Receiver<bool>) {
    let begun = loop {
        match begin(&service).await {
            Ok(begun) => break begun,
            Err(problem) => tracing::error!(%problem, "others cannot be told what happens yet"),
        }
        if ends_within(&mut ending, TROUBLE_PAUSE).await {
            return;
        }
    };
    let Some((store, onlooker)) = begun else { return };
    for to in service.workspace().notify.iter().filter(|to| !to.disabled) {
        if let Err(problem) = check(to) {
            tracing::error!(%problem, "what happens waits until that is mended");
        }
    }
    // Each has a place of its own to wait in, so that one which is slow holds up none of the others.
    let receivers: Vec<Receiver<'_>> = service
        .workspace()
        .notify
        .iter()
        .filter(|notification| !notification.disabled)
        .map(|to| Receiver { service: &service, store: &store, to, news: Notify::new() })
        .collect();
    let deliveries = join_all(receivers.iter().map(|receiver| receiver.go(ending.clone())));
    tokio::join!(deliveries, hand_on(&service, &store, onlooker, &receivers, signs, ending.clone()));
}

/// Says who is to be told from now on; `None` when nobody is.
async fn begin(service: &Service) -> Result<Option<(Store, Onlooker)>> {
    let store = service.stored().await?;
    store.keep_subscribers(&names(service), service.clock().now()).await?;
    if service.workspace().notify.is_empty() {
        return Ok(None);
    }
    let onlooker = Onlooker::of(&store).await?;
    Ok(Some((store, onlooker)))
}

/// The names of those who are told.
pub(crate) fn names(service: &Service) -> Vec<String> {
    service.workspace().notify.iter().map(|notification| notification.name.clone()).collect()
}

/// Makes messages of what happens, for as long as it is not to end.
async fn hand_on(
    service: &Service,
    store: &Store,
    mut onlooker: Onlooker,
    receivers: &[Receiver<'_>],
    mut signs: Signs,
    mut ending: signal::Receiver<bool>,
) {
    // What was there before is handed on as well.
    let mut is_due = true;
    loop {
        match hand_on_once(service, store, &mut onlooker, &mut is_due).await {
            Ok(false) => {}
            Ok(true) => receivers.iter().for_each(|receiver| receiver.news.notify_one()),
            Err(problem) => {
                tracing::warn!(%problem, "what happened could not be handed on yet");
                if ends_within(&mut ending, TROUBLE_PAUSE).await {
                    return;
                }
                continue;
            }
        }
        tokio::select! {
            biased;
            // A sender that is gone counts as an end.
            _ = ending.wait_for(|end| *end) => return,
            Ok(()) = signs.changed() => {}
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
    }
}

/// Whether there may be anything new to send. `is_due` says, until it is done, that there may be something to hand on.
async fn hand_on_once(
    service: &Service,
    store: &Store,
    onlooker: &mut Onlooker,
    is_due: &mut bool,
) -> Result<bool> {
    *is_due |= onlooker.has_changed().await?;
    if !*is_due {
        return Ok(false);
    }
    store.tell_untold().await?;
    if store.has_news().await? {
        let compose = |subscriber: &Subscriber, told: Told<'_>| compose(service, subscriber, told);
        let now = service.clock().now();
        while store.hand_on_news(compose, now.saturating_sub(nanos(WAITING_MAX)), now).await? {}
    }
    *is_due = false;
    Ok(true)
}

/// What is sent to a subscriber; `None` when it does not want to know.
fn compose(service: &Service, subscriber: &Subscriber, told: Told<'_>) -> Option<NewMessage> {
    let workspace = service.workspace();
    let to = workspace.notify.iter().find(|notification| notification.name == subscriber.webhook)?;
    if to.disabled || subscriber.gone.is_some() {
        return None;
    }
    match told {
        Told::News(news) => {
            let event = composing::event(&news.happening)?;
            to.is_told(event, &news.target).then(|| composing::of_news(event, news, &workspace.node))
        }
        Told::Lost(count) => {
            tracing::error!(
                webhook = to.name,
                count,
                "so many events were given up: nobody sent them for too long"
            );
            Some(composing::of_lost(count, &workspace.node, service.clock().now()))
        }
    }
}

/// A program elsewhere, and what waits for it.
struct Receiver<'a> {
    service: &'a Service,
    store: &'a Store,
    to: &'a Notification,
    /// Told when there may be something new to send.
    news: Notify,
}

impl Receiver<'_> {
    /// Sends what is due, until it is to end; what is on its way then is still waited for.
    async fn go(&self, mut ending: signal::Receiver<bool>) {
        loop {
            let pause = match self.send_due().await {
                Ok(pause) => pause,
                Err(problem) => {
                    tracing::warn!(webhook = self.to.name, %problem, "what is to be sent could not be looked for");
                    TROUBLE_PAUSE
                }
            };
            tokio::select! {
                biased;
                // A sender that is gone counts as an end.
                _ = ending.wait_for(|end| *end) => return,
                () = self.news.notified() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Sends what is due, at most so much at once; how long nothing else is.
    async fn send_due(&self) -> Result<Duration> {
        let now = self.service.clock().now();
        let subscribers = self.store.subscribers().await?;
        let is_gone =
            |subscriber: &Subscriber| subscriber.webhook == self.to.name && subscriber.gone.is_some();
        if subscribers.iter().any(is_gone) {
            return Ok(LOOK_EVERY);
        }
        let waiting = self.store.waiting_messages(&self.to.name, AT_ONCE, now).await?;
        let is_due = |message: &MessageRecord| {
            message.next <= now || message.next > now.saturating_add(nanos(AHEAD_MAX))
        };
        let (due, later): (Vec<_>, Vec<_>) = waiting.into_iter().partition(is_due);
        if due.is_empty() {
            let next = later.iter().map(|message| message.next - now).min();
            let pause = next.and_then(|next| u64::try_from(next).ok()).map(Duration::from_nanos);
            return Ok(pause.unwrap_or(LOOK_EVERY).min(LOOK_EVERY));
        }
        let attempts: Vec<_> = join_all(due.iter().map(|message| self.attempt(message))).await;
        self.store.attempted(&self.to.name, &attempts).await?;
        Ok(Duration::ZERO)
    }

    async fn attempt(&self, record: &MessageRecord) -> (i64, AttemptRecord, Verdict) {
        let (answer, mut attempt) = send(self.service, self.to, &record.message).await;
        let now = self.service.clock().now();
        let (verdict, error) = verdict(answer, record.tries.saturating_add(1), &record.message.id, now);
        if let Some(reason) = &error {
            let (webhook, id) = (&self.to.name, &record.message.id);
            match verdict {
                Verdict::Again(_) | Verdict::Delivered => {
                    tracing::info!(webhook, id, reason, "a message has not arrived yet");
                }
                Verdict::GivenUp => tracing::error!(webhook, id, reason, "a message was given up"),
                Verdict::Gone => {
                    tracing::error!(
                        webhook,
                        id,
                        reason,
                        "the webhook is sent nothing more; `syncline webhooks test` takes it up again"
                    );
                }
            }
        }
        attempt.error = error;
        (record.seq, attempt, verdict)
    }
}
