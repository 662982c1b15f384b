//! Alert channels: ways to people.

pub mod discord;
pub mod email;
pub mod mattermost;
pub mod ping;
mod post;
pub mod slack;
pub mod telegram;
mod text;
pub mod webhook;

use serde::de::DeserializeOwned;
use syncline_connect::{Error, ErrorKind, Result};

/// The settings of a channel as it wants them.
fn settings<T: DeserializeOwned>(settings: &serde_json::Value, kind: &str) -> Result<T> {
    serde_json::from_value(settings.clone()).map_err(|_| {
        // What is wrong could quote a secret; the check against the schema has told it already.
        Error::new(ErrorKind::Invalid, format!("the settings of the channel `{kind}` cannot be understood"))
    })
}
