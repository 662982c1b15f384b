//! Channels, and how messages get into them.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use jiff::Timestamp;
use syncline_connect::{AlertChannel, AlertLine, AlertMessage, Error, Retry};
use syncline_core::Nanos;
use syncline_monitor::outbox;
use syncline_store::{AlertBook, DeliveryRecord, LineRecord};

use crate::problem::{Problem, Result};
use crate::service::Service;

/// How long it is waited when trying again cannot help before somebody has changed something.
const REFUSED_PAUSE: Duration = Duration::from_secs(15 * 60);

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

    /// Tries deliveries, all at once, and notes what became of them.
    pub(super) async fn deliver(
        &self,
        book: &mut AlertBook,
        due: Vec<DeliveryRecord>,
        node: &str,
        wall: Nanos,
    ) {
        let tries = due.into_iter().filter_map(|delivery| {
            let (_, channel) = self.0.iter().find(|(name, _)| *name == delivery.channel)?;
            let earlier = outbox::message_of(book, &delivery.channel, delivery.incident).map(str::to_owned);
            let message = message(&delivery, node, wall);
            let channel = Arc::clone(channel);
            Some(async move {
                let sent = channel.deliver(&message, earlier.as_deref()).await;
                (delivery, sent)
            })
        });
        let tries: Vec<_> = tries.collect();
        for (delivery, sent) in join_all(tries).await {
            match sent {
                Ok(handle) => outbox::arrived(book, &delivery.id, handle),
                Err(error) => {
                    tracing::warn!(channel = delivery.channel, %error, "an alert could not be sent yet");
                    let pause = pause(&error);
                    if let Some(lost) = outbox::failed(book, &delivery.id, &error.to_string(), pause) {
                        tracing::error!(
                            channel = lost.channel,
                            reason = lost.reason,
                            "an alert was given up"
                        );
                    }
                }
            }
        }
    }
}

fn pause(error: &Error) -> Option<Duration> {
    match error.retry() {
        Retry::Soon(after) => after,
        Retry::Never => Some(REFUSED_PAUSE),
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
