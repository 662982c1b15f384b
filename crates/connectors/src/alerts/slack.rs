//! Slack: an incoming webhook. Its messages cannot be edited, so that what is over is told anew.

use std::sync::Arc;

use async_trait::async_trait;
use reqwest::Method;
use schemars::{JsonSchema, schema_for};
use serde::Deserialize;
use serde_json::json;
use syncline_connect::{AlertChannel, AlertMessage, ChannelKind, Result};

use super::post::{Address, Letter, Post};
use super::text::{text, without_entities};

/// The line of this channel in the list.
pub const KIND: ChannelKind = ChannelKind {
    name: NAME,
    summary: "A channel in Slack, through an incoming webhook.",
    schema: || schema_for!(Settings),
    open: |settings| Ok(Arc::new(Slack::open(&super::settings(settings, NAME)?)?)),
};

const NAME: &str = "slack";
/// What Slack shows of a message without folding it.
const LENGTH_MAX: usize = 3_000;

/// A channel in Slack.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// The address of the webhook, by reference: whoever has it may write into the channel.
    #[schemars(example = &"${env:SLACK_WEBHOOK}")]
    webhook: String,
}

struct Slack {
    post: Post,
    webhook: Address,
}

impl Slack {
    fn open(settings: &Settings) -> Result<Self> {
        Ok(Self { post: Post::new(NAME)?, webhook: Address::read(&settings.webhook, "webhook")? })
    }
}

#[async_trait]
impl AlertChannel for Slack {
    async fn deliver(&self, message: &AlertMessage, _: Option<&str>) -> Result<Option<String>> {
        let text = text(message, LENGTH_MAX, without_entities);
        // A block of plain text knows no markup; the text beside it is for notifications.
        let block =
            json!({ "type": "section", "text": { "type": "plain_text", "text": text, "emoji": false } });
        let body = json!({ "text": text, "blocks": [block], "unfurl_links": false, "unfurl_media": false });
        let body = body.to_string().into_bytes();
        self.post.send(Letter { method: Method::POST, to: &self.webhook, body, head: Vec::new() }).await?;
        Ok(None)
    }
}
