//! Telegram: a bot that writes into a chat, and edits what it wrote.

use std::sync::Arc;

use async_trait::async_trait;
use reqwest::Method;
use schemars::{JsonSchema, schema_for};
use serde::Deserialize;
use serde_json::{Value, json};
use syncline_connect::{AlertChannel, AlertMessage, ChannelKind, ErrorKind, Result};

use super::post::{Address, Answered, Letter, Post, Refusal};
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

    async fn ask(&self, method: &str, body: &Value) -> Result<Answered> {
        let to = self.bot.with(&[method]);
        let letter = |body: &Value| Letter {
            method: Method::POST,
            to: &to,
            body: body.to_string().into_bytes(),
            head: Vec::new(),
        };
        let answered = self.post.ask(letter(body)).await?;
        let Some(moved) = answered.as_ref().err().and_then(moved_to) else { return Ok(answered) };
        tracing::warn!(chat = moved, "the group has become a supergroup: write its new number into `chat`");
        let mut again = body.clone();
        again["chat_id"] = moved.into();
        self.post.ask(letter(&again)).await
    }
}

/// Where the chat is now: a group that grows becomes a supergroup, and gets another number.
fn moved_to(refusal: &Refusal) -> Option<i64> {
    refusal.said.as_ref()?.pointer("/parameters/migrate_to_chat_id")?.as_i64()
}

/// Whether an edit was refused because the message says that already.
fn says_so_already(refusal: &Refusal) -> bool {
    let why = refusal.said.as_ref().and_then(|said| said["description"].as_str());
    why.is_some_and(|why| why.contains("message is not modified"))
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
            match self.ask("editMessageText", &edited).await? {
                // An earlier try had arrived, and only its answer was lost.
                Err(refusal) if says_so_already(&refusal) => return Ok(Some(number.to_string())),
                Err(refusal) => {
                    let error = self.post.refused(&refusal);
                    // It answers so when the message is gone, or may not be edited any more.
                    if error.kind() != ErrorKind::Invalid {
                        return Err(error);
                    }
                }
                Ok(_) => return Ok(Some(number.to_string())),
            }
        }
        let answer = self.ask("sendMessage", &body).await?.map_err(|refusal| self.post.refused(&refusal))?;
        Ok(answer.and_then(|answer| answer["result"]["message_id"].as_i64()).map(|number| number.to_string()))
    }
}
