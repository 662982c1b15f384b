//! Channels, and how messages get into them: beside the looks, and each channel by itself, so that one that takes its time
//! holds up nothing but itself.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use jiff::Timestamp;
use syncline_connect::{AlertChannel, AlertLine, AlertMessage, Error, Retry};
use syncline_core::Nanos;
use syncline_monitor::outbox;
use syncline_store::{AlertBook, DeliveryRecord, LineRecord};

use crate::problem::{Problem, Result};
use crate::service::Service;

/// How long it is waited at least when trying again cannot help before somebody has changed something. Nobody tells when
/// that is done, so that it is tried all the same.
const REFUSED_PAUSE: Duration = Duration::from_secs(60);

/// The channels of a workspace.
pub(crate) struct Channels(Vec<(String, Arc<dyn AlertChannel>)>);

impl Channels {
    /// Opens them; what cannot be opened is told, and left out.
    pub(crate) fn open(service: &Service) -> Self {
        let mut opened = Vec::new();
        for channel in &service.workspace().alerts.channels {
            match Self::one(service, &channel.name) {
                Ok(open) => opened.push((channel.name.clone(), open)),
                Err(problem) => {
                    tracing::error!(channel = channel.name, %problem, "an alert channel cannot be used");
                }
            }
        }
        Self(opened)
    }

    /// The channel of this name.
    pub(crate) fn one(service: &Service, name: &str) -> Result<Arc<dyn AlertChannel>> {
        let channels = &service.workspace().alerts.channels;
        let channel = channels.iter().find(|channel| channel.name == name);
        let channel = channel.ok_or_else(|| Problem::not_found(format!("there is no channel {name:?}")))?;
        let settings = channel.settings.resolved_settings()?;
        let kind = service.registry().channel(&channel.settings.kind);
        let kind = kind.ok_or_else(|| {
            Problem::not_found(format!("there is no kind of channel {:?}", channel.settings.kind))
        })?;
        Ok((kind.open)(&settings)?)
    }

    pub(super) fn names(&self) -> Vec<String> {
        self.0.iter().map(|(name, _)| name.clone()).collect()
    }

    /// Asks a service elsewhere for its address, again and again; ends never.
    pub(super) fn dead_man(&self, service: &Service) -> impl Future<Output = ()> + Send + use<> {
        let config = service.workspace().alerts.dead_man.clone();
        let opened = config.as_ref().and_then(|config| {
            let url = config.url().map_err(|error| error.to_string());
            let opened =
                url.and_then(|url| (service.registry().ping)(&url).map_err(|error| error.to_string()));
            opened.inspect_err(|error| tracing::error!(error, "the dead-man service cannot be used")).ok()
        });
        async move {
            let (Some(config), Some(ping)) = (config, opened) else { return std::future::pending().await };
            let mut tick = tokio::time::interval(config.every);
            loop {
                tick.tick().await;
                if let Err(error) = ping.deliver(&test_message("", 0), None).await {
                    tracing::warn!(%error, "the dead-man service was not reached");
                }
            }
        }
    }

    /// Begins to send what is due, in order within each channel.
    pub(super) fn send(&self, sending: &mut Sending, book: &AlertBook, node: &str, wall: Nanos) {
        for delivery in outbox::due(book) {
            let Some((_, channel)) = self.0.iter().find(|(name, _)| *name == delivery.channel) else {
                continue;
            };
            if sending.busy.contains(&delivery.channel) {
                continue;
            }
            sending.busy.push(delivery.channel.clone());
            let earlier = outbox::message_of(book, &delivery.channel, delivery.incident).map(str::to_owned);
            let message = message(&delivery, node, wall);
            let channel = Arc::clone(channel);
            sending.tries.push(Box::pin(async move {
                let sent = channel.deliver(&message, earlier.as_deref()).await;
                Tried { channel: delivery.channel, id: delivery.id, sent }
            }));
        }
    }
}

/// What is on its way: at most one message to each channel.
#[derive(Default)]
pub(super) struct Sending {
    tries: FuturesUnordered<BoxFuture<'static, Tried>>,
    busy: Vec<String>,
}

/// A message that was tried.
pub(super) struct Tried {
    channel: String,
    id: String,
    sent: std::result::Result<Option<String>, Error>,
}

impl Sending {
    /// The next message that arrived, or could not be sent; never, when nothing is on its way.
    pub(super) async fn next(&mut self) -> Tried {
        match self.tries.next().await {
            Some(tried) => {
                self.busy.retain(|busy| *busy != tried.channel);
                tried
            }
            None => std::future::pending().await,
        }
    }
}

impl Tried {
    /// Notes what became of it.
    pub(super) fn note(self, book: &mut AlertBook) {
        let Self { channel, id, sent } = self;
        let error = match sent {
            Ok(handle) => return outbox::arrived(book, &id, handle),
            Err(error) => error,
        };
        tracing::warn!(channel, %error, "an alert could not be sent yet");
        let (pause, asked) = match error.retry() {
            Retry::Soon(after) => (after, after.is_some()),
            Retry::Never => (Some(REFUSED_PAUSE), false),
        };
        if let Some(lost) = outbox::failed(book, &id, &error.to_string(), pause, asked) {
            tracing::error!(channel = lost.channel, reason = lost.reason, "an alert was given up");
        }
    }
}

fn message(delivery: &DeliveryRecord, node: &str, wall: Nanos) -> AlertMessage {
    AlertMessage {
        id: delivery.id.clone(),
        node: node.to_owned(),
        incident: delivery.incident,
        sent: wall / 1_000_000_000,
        lines: delivery.lines.iter().map(line).collect(),
    }
}

fn line(line: &LineRecord) -> AlertLine {
    AlertLine {
        rule: line.rule.clone(),
        subject: line.subject.clone(),
        critical: line.critical,
        text: line.message.clone(),
        since: written(line.since),
        cleared: line.cleared.map(written),
    }
}

/// A moment, to the second.
fn written(moment: Nanos) -> String {
    Timestamp::from_second(moment / 1_000_000_000).unwrap_or_default().to_string()
}

/// A message that only shows that messages arrive.
pub(crate) fn test_message(node: &str, wall: Nanos) -> AlertMessage {
    let now = written(wall);
    AlertMessage {
        id: format!("test-{}", uuid::Uuid::now_v7()),
        node: node.to_owned(),
        incident: 0,
        sent: wall / 1_000_000_000,
        lines: vec![AlertLine {
            rule: "test".to_owned(),
            subject: node.to_owned(),
            critical: false,
            text: "this is a test: nothing is wrong".to_owned(),
            since: now.clone(),
            cleared: Some(now),
        }],
    }
}

#[cfg(test)]
mod tests {
    use syncline_monitor::Notice;

    use super::*;

    /// A channel that takes everything, or never answers.
    struct Channel {
        answers: bool,
    }

    #[async_trait::async_trait]
    impl AlertChannel for Channel {
        async fn deliver(
            &self,
            _: &AlertMessage,
            _: Option<&str>,
        ) -> syncline_connect::Result<Option<String>> {
            if self.answers { Ok(None) } else { std::future::pending().await }
        }
    }

    #[tokio::test]
    async fn a_channel_that_never_answers_holds_up_no_other_and_is_sent_one_message_at_a_time() {
        let channel = |answers| -> Arc<dyn AlertChannel> { Arc::new(Channel { answers }) };
        let channels =
            Channels(vec![("slow".to_owned(), channel(false)), ("team".to_owned(), channel(true))]);
        let (mut book, mut sending) = (AlertBook::default(), Sending::default());
        for incident in 1..=3 {
            let notice = Notice { incident, again: false, lines: Vec::new() };
            assert_eq!(outbox::post(&mut book, &[notice], &channels.names(), 0), []);
            channels.send(&mut sending, &book, "node", 0);
            let tried = sending.next().await;
            assert_eq!(tried.channel, "team");
            tried.note(&mut book);
        }
        assert_eq!(sending.tries.len(), 1, "the first message is still on its way");
        let waiting: Vec<_> =
            book.deliveries.iter().map(|one| (one.channel.as_str(), one.incident)).collect();
        assert_eq!(waiting, [("slow", 1), ("slow", 2), ("slow", 3)]);
    }
}
