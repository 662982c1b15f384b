//! Telegram: a bot that writes into a chat, and edits what it wrote.

use std::sync::Arc;

use async_trait::async_trait;
use reqwest::Method;
use schemars::{JsonSchema, schema_for};
use serde::Deserialize;
use serde_json::{Value, json};
use syncline_connect::{AlertChannel, AlertMessage, ChannelKind, ErrorKind, Result};

use super::post::{Address, Letter, Post};
use super::text::{text, without_mentions};

/// The line of this channel in the list.
pub const KIND: ChannelKind = ChannelKind {
    name: NAME,
    summary: "A chat in Telegram, through a bot.",
    schema: || schema_for!(Settings),
    open: |settings| Ok(Arc::new(Telegram::open(super::settings(settings, NAME)?)?)),
};

const NAME: &str = "telegram";
/// The longest message of the Bot API, in UTF-16 units.
const LENGTH_MAX: usize = 4_096;

/// A chat in Telegram.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// The token of the bot, by reference.
    #[schemars(example = &"${env:TELEGRAM_TOKEN}")]
    token: String,
    /// The chat: its number, or the name of a public channel.
    #[schemars(example = &"-1001234567890")]
    chat: String,
    /// Where the Bot API is.
    #[serde(default = "api")]
    base_url: String,
}

fn api() -> String {
    "https://api.telegram.org".to_owned()
}

struct Telegram {
    post: Post,
    bot: Address,
    chat: String,
}

impl Telegram {
    fn open(settings: Settings) -> Result<Self> {
        let bot = Address::read(&settings.base_url, "base_url")?.with(&[&format!("bot{}", settings.token)]);
        Ok(Self { post: Post::new(NAME)?, bot, chat: settings.chat })
    }

    async fn call(&self, method: &str, body: &Value) -> Result<Option<Value>> {
        let to = self.bot.with(&[method]);
        let body = body.to_string().into_bytes();
        self.post.send(Letter { method: Method::POST, to: &to, body, head: Vec::new() }).await
    }
}

#[async_trait]
impl AlertChannel for Telegram {
    async fn deliver(&self, message: &AlertMessage, earlier: Option<&str>) -> Result<Option<String>> {
        // Without `parse_mode` nothing in it is markup. The names of people are found all the same: each `@` is broken.
        let text = text(message, LENGTH_MAX, without_mentions);
        let body = json!({
            "chat_id": self.chat,
            "text": text,
            "link_preview_options": { "is_disabled": true },
        });
        if let Some(number) = earlier.and_then(|earlier| earlier.parse::<i64>().ok()) {
            let mut edited = body.clone();
            edited["message_id"] = number.into();
            match self.call("editMessageText", &edited).await {
                // It answers so when the message is gone, and also when it says that already: then it is sent once more.
                Err(error) if error.kind() == ErrorKind::Invalid => {}
                answered => return answered.map(|_| Some(number.to_string())),
            }
        }
        let answer = self.call("sendMessage", &body).await?;
        Ok(answer.and_then(|answer| answer["result"]["message_id"].as_i64()).map(|number| number.to_string()))
    }
}
