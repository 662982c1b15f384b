//! What a channel must be able to do through which people are told that something is wrong.

use async_trait::async_trait;

use crate::error::Result;

/// A way to people: a chat, a mailbox, a program of theirs.
#[async_trait]
pub trait AlertChannel: Send + Sync {
    /// Delivers a message, and returns the channel's own name for it when it could be edited later.
    ///
    /// - `earlier` is what this returned for an earlier message about the same incident. A channel that can edits that one;
    ///   when it is gone, or the channel cannot, the message is sent anew.
    /// - A message may arrive twice, with the same identifier, and never not at all: `Ok` says that it has arrived.
    /// - Nothing in a message is markup or a mention, whatever it looks like.
    async fn deliver(&self, message: &AlertMessage, earlier: Option<&str>) -> Result<Option<String>>;
}

/// A message about an incident, as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlertMessage {
    /// Tells it from every other message; the same when it is delivered again.
    pub id: String,
    /// The node that tells it.
    pub node: String,
    /// The number of the incident; 0 for a message that only shows that messages arrive.
    pub incident: u64,
    /// When it is sent, in seconds since 1970.
    pub sent: i64,
    /// What is wrong, or was.
    pub lines: Vec<AlertLine>,
}

/// Something that is wrong, or was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlertLine {
    /// The rule that found it, a word.
    pub rule: String,
    /// What it concerns.
    pub subject: String,
    /// Whether it cannot wait until the morning.
    pub critical: bool,
    /// What is wrong, in one line.
    pub text: String,
    /// Since when, as RFC 3339 writes it.
    pub since: String,
    /// When it became right again, as RFC 3339 writes it.
    pub cleared: Option<String>,
}

impl AlertMessage {
    /// Whether all of it is right again.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.lines.iter().all(|line| line.cleared.is_some())
    }
}
