//! A program of yours: a document in JSON, signed as [Standard Webhooks](https://www.standardwebhooks.com) says.

use std::sync::Arc;

use async_trait::async_trait;
use reqwest::Method;
use schemars::{JsonSchema, schema_for};
use serde::Deserialize;
use serde_json::{Value, json};
use syncline_connect::standard_webhooks::{ID, Key, SIGNATURE, TIMESTAMP};
use syncline_connect::{AlertChannel, AlertMessage, ChannelKind, Error, ErrorKind, Result};

use super::post::{Address, Letter, Post};

/// The line of this channel in the list.
pub const KIND: ChannelKind = ChannelKind {
    name: NAME,
    summary: "A program of yours, by a signed HTTP request (Standard Webhooks).",
    schema: || schema_for!(Settings),
    open: |settings| Ok(Arc::new(Webhook::open(&super::settings(settings, NAME)?)?)),
};

const NAME: &str = "webhook";
/// The version of the document's shape.
const VERSION: u32 = 1;

/// A program of yours.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// Where the request goes.
    #[schemars(example = &"${env:ALERT_WEBHOOK}")]
    webhook: String,
    /// The secret by which the program knows that the request comes from here, by reference: `whsec_` and base64 of 24 to
    /// 64 bytes.
    #[schemars(example = &"${env:ALERT_SECRET}")]
    secret: String,
    /// Whether the request may go to this machine and its networks, and without TLS.
    #[serde(default)]
    allow_private: bool,
}

struct Webhook {
    post: Post,
    webhook: Address,
    key: Key,
}

impl Webhook {
    fn open(settings: &Settings) -> Result<Self> {
        let key = Key::parse(settings.secret.trim()).ok_or_else(|| {
            Error::new(ErrorKind::Invalid, "`secret` is no secret of a webhook")
                .with_hint("write `whsec_` and base64 of 24 to 64 random bytes")
        })?;
        let webhook = Address::read(&settings.webhook, "webhook")?;
        Ok(Self { post: Post::vetted(NAME, &webhook, settings.allow_private)?, webhook, key })
    }
}

fn document(message: &AlertMessage) -> Value {
    let alerts: Vec<Value> = message
        .lines
        .iter()
        .map(|line| {
            json!({
                "rule": line.rule,
                "subject": line.subject,
                "severity": if line.critical { "critical" } else { "warning" },
                "message": line.text,
                "since": line.since,
                "cleared": line.cleared,
            })
        })
        .collect();
    let kind = match message.incident {
        0 => "test",
        _ if message.is_over() => "incident.cleared",
        _ => "incident.changed",
    };
    json!({
        "version": VERSION,
        "type": kind,
        "node": message.node,
        "incident": message.incident,
        "alerts": alerts,
    })
}

#[async_trait]
impl AlertChannel for Webhook {
    async fn deliver(&self, message: &AlertMessage, _: Option<&str>) -> Result<Option<String>> {
        let body = document(message).to_string().into_bytes();
        let head = vec![
            (ID, message.id.clone()),
            (TIMESTAMP, message.sent.to_string()),
            (SIGNATURE, self.key.sign(&message.id, message.sent, &body)),
        ];
        self.post.send(Letter { method: Method::POST, to: &self.webhook, body, head }).await?;
        Ok(None)
    }
}
