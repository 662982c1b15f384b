//! Mattermost: an incoming webhook. Its messages cannot be edited, so that what is over is told anew.

use std::sync::Arc;

use async_trait::async_trait;
use reqwest::Method;
use schemars::{JsonSchema, schema_for};
use serde::Deserialize;
use serde_json::json;
use syncline_connect::{AlertChannel, AlertMessage, ChannelKind, Result};

use super::post::{Address, Letter, Post};
use super::text::{text, with_entities, without_mentions};

/// The line of this channel in the list.
pub const KIND: ChannelKind = ChannelKind {
    name: NAME,
    summary: "A channel in Mattermost, through an incoming webhook.",
    schema: || schema_for!(Settings),
    open: |settings| Ok(Arc::new(Mattermost::open(&super::settings(settings, NAME)?)?)),
};

const NAME: &str = "mattermost";
/// The shortest limit of a message that a server may have, in characters.
const LENGTH_MAX: usize = 4_000;

/// A channel in Mattermost.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// The address of the webhook, by reference: whoever has it may write into the channel.
    #[schemars(example = &"${env:MATTERMOST_WEBHOOK}")]
    webhook: String,
}

struct Mattermost {
    post: Post,
    webhook: Address,
}

impl Mattermost {
    fn open(settings: &Settings) -> Result<Self> {
        Ok(Self { post: Post::new(NAME)?, webhook: Address::read(&settings.webhook, "webhook")? })
    }
}

#[async_trait]
impl AlertChannel for Mattermost {
    async fn deliver(&self, message: &AlertMessage, _: Option<&str>) -> Result<Option<String>> {
        // A webhook may name everybody, and reads the mentions and links of Slack too: each `@` is broken, and no `<` is left.
        let text = text(message, LENGTH_MAX, |text| without_mentions(&with_entities(text)));
        let body = json!({ "text": text }).to_string().into_bytes();
        self.post.send(Letter { method: Method::POST, to: &self.webhook, body, head: Vec::new() }).await?;
        Ok(None)
    }
}
