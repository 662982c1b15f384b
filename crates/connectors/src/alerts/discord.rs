//! Discord: a webhook of a channel, whose messages can be edited.

use std::sync::Arc;

use async_trait::async_trait;
use reqwest::Method;
use schemars::{JsonSchema, schema_for};
use serde::Deserialize;
use serde_json::{Value, json};
use syncline_connect::{AlertChannel, AlertMessage, ChannelKind, ErrorKind, Result};

use super::post::{Address, Letter, Post};
use super::text::{text, without_markdown};

/// The line of this channel in the list.
pub const KIND: ChannelKind = ChannelKind {
    name: NAME,
    summary: "A channel in Discord, through a webhook.",
    schema: || schema_for!(Settings),
    open: |settings| Ok(Arc::new(Discord::open(&super::settings(settings, NAME)?)?)),
};

const NAME: &str = "discord";
/// The longest message, in characters.
const LENGTH_MAX: usize = 2_000;
/// The flag of a message whose links show no pages.
const SUPPRESS_EMBEDS: u32 = 1 << 2;

/// A channel in Discord.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// The address of the webhook, by reference: whoever has it may write into the channel.
    #[schemars(example = &"${env:DISCORD_WEBHOOK}")]
    webhook: String,
}

struct Discord {
    post: Post,
    webhook: Address,
}

impl Discord {
    fn open(settings: &Settings) -> Result<Self> {
        Ok(Self { post: Post::new(NAME)?, webhook: Address::read(&settings.webhook, "webhook")? })
    }

    async fn call(&self, method: Method, to: &Address, body: &Value) -> Result<Option<Value>> {
        let body = body.to_string().into_bytes();
        self.post.send(Letter { method, to, body, head: Vec::new() }).await
    }
}

#[async_trait]
impl AlertChannel for Discord {
    async fn deliver(&self, message: &AlertMessage, earlier: Option<&str>) -> Result<Option<String>> {
        let content = text(message, LENGTH_MAX, without_markdown);
        let body =
            json!({ "content": content, "allowed_mentions": { "parse": [] }, "flags": SUPPRESS_EMBEDS });
        if let Some(number) = earlier {
            let edited = json!({ "content": content, "allowed_mentions": { "parse": [] } });
            match self.call(Method::PATCH, &self.webhook.with(&["messages", number]), &edited).await {
                // Somebody has removed it, or it is in a thread that was closed, which a new one opens again.
                Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::Invalid) => {}
                answered => return answered.map(|_| Some(number.to_owned())),
            }
        }
        // Only so does it answer with the message, and after it was stored.
        let answer = self.call(Method::POST, &self.webhook.asking("wait", "true"), &body).await?;
        Ok(answer.and_then(|answer| answer["id"].as_str().map(str::to_owned)))
    }
}
