//! A program of yours: a document in JSON, signed as [Standard Webhooks](https://www.standardwebhooks.com) says.

use std::sync::Arc;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use reqwest::Method;
use schemars::{JsonSchema, schema_for};
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::Sha256;
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
/// How a written secret begins.
const PREFIX: &str = "whsec_";

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
}

struct Webhook {
    post: Post,
    webhook: Address,
    key: Hmac<Sha256>,
}

impl Webhook {
    fn open(settings: &Settings) -> Result<Self> {
        let key = key(&settings.secret).ok_or_else(|| {
            Error::new(ErrorKind::Invalid, "`secret` is no secret of a webhook")
                .with_hint("write `whsec_` and base64 of 24 to 64 random bytes")
        })?;
        Ok(Self { post: Post::new(NAME)?, webhook: Address::read(&settings.webhook, "webhook")?, key })
    }
}

fn key(secret: &str) -> Option<Hmac<Sha256>> {
    let bytes = STANDARD.decode(secret.trim().strip_prefix(PREFIX)?).ok()?;
    if !(24..=64).contains(&bytes.len()) {
        return None;
    }
    Hmac::new_from_slice(&bytes).ok()
}

/// The signature of a message: over its identifier, its time and its bytes.
fn signature(key: &Hmac<Sha256>, id: &str, sent: i64, body: &[u8]) -> String {
    let mut mac = key.clone();
    mac.update(format!("{id}.{sent}.").as_bytes());
    mac.update(body);
    format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
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
    json!({
        "version": VERSION,
        "type": if message.is_over() { "incident.cleared" } else { "incident.changed" },
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
            ("webhook-id", message.id.clone()),
            ("webhook-timestamp", message.sent.to_string()),
            ("webhook-signature", signature(&self.key, &message.id, message.sent, &body)),
        ];
        self.post.send(Letter { method: Method::POST, to: &self.webhook, body, head }).await?;
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_signed_as_the_standard_says() {
        // The example of the reference implementations.
        let key = key("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let signed =
            signature(&key, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, b"{\"test\": 2432232314}");
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn what_is_no_secret_is_refused() {
        for text in ["", "whsec_", "whsec_c2hvcnQ=", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_???"] {
            assert!(key(text).is_none(), "{text}");
        }
    }
}
