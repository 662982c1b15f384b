//! Webhooks that come in: whether a delivery is from whom it says, and what of it is recorded.
//!
//! A delivery is a hint to look and never says what to do, so that all it can cause is one run of its targets. One file for
//! each kind of sender says how it signs; [`check_of`] is the list of them.

mod generic;
mod gitea;
mod github;
mod gitlab;
mod inbox;
mod notion;
mod slack;

use serde_json::Value;
use syncline_config::{Webhook, WebhookKind};
use syncline_connect::signature;
use syncline_store::{Arrival, Delivery};

use crate::problem::{Class, Problem, Result};
use crate::service::Service;

pub(crate) use inbox::Inbox;

/// Largest delivery, in bytes; GitHub's are the largest, and nothing that is needed is in them.
pub const DELIVERY_BYTES_MAX: usize = 5 << 20;
/// Longest identifier of a delivery; of a longer one the digest counts.
const ID_BYTES_MAX: usize = 200;
const NANOS: i64 = 1_000_000_000;

/// A delivery as it came.
pub struct Incoming<'a> {
    /// The value of a header that stands there once, by its name in lower case.
    pub header: &'a (dyn Fn(&str) -> Option<&'a str> + Send + Sync),
    /// The body, before anything has read it.
    pub body: &'a [u8],
}

impl<'a> Incoming<'a> {
    fn header(&self, name: &str) -> Option<&'a str> {
        (self.header)(name)
    }

    /// The body as JSON; only for a delivery that is known to be genuine.
    fn json(&self) -> Value {
        serde_json::from_slice(self.body).unwrap_or_default()
    }
}

/// What a kind needs to know of a webhook.
struct Known<'a> {
    /// The secret; none only where the sender tells it when it is set up.
    secret: Option<&'a str>,
    /// What the file says besides.
    webhook: &'a Webhook,
    /// The time, in seconds since 1970.
    now: i64,
}

/// What a delivery is.
enum Verdict {
    /// Not from whom it says, too old, or not signed at all: which check failed, for the log alone.
    Refused(&'static str),
    /// Genuine; this tells it from all others.
    Genuine(String),
    /// Genuine, and of nothing that has changed.
    Idle,
    /// Genuine, and this text is to be sent back.
    Challenge(String),
    /// The sender tells the secret with which it is going to sign.
    Handshake(String),
}

/// How a kind of sender signs.
type Check = fn(&Known<'_>, &Incoming<'_>) -> Verdict;

/// The kinds, each with its file.
const fn check_of(kind: WebhookKind) -> Check {
    match kind {
        WebhookKind::Github => github::check,
        WebhookKind::Gitlab => gitlab::check,
        WebhookKind::Gitea => gitea::check,
        WebhookKind::Slack => slack::check,
        WebhookKind::Notion => notion::check,
        WebhookKind::Generic => generic::check,
    }
}

/// What became of a delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Received {
    /// It is recorded; its targets run soon.
    Recorded,
    /// It had come before, and has no second effect.
    Known,
    /// It is genuine and asks for nothing.
    Idle,
    /// This text is to be sent back.
    Challenge(String),
    /// It is not from whom it says, or too old. Which check failed is for the log: whoever sent it learns nothing of it.
    Refused(&'static str),
}

/// Takes a delivery for the webhook `name`: checks it, and records it. Nothing else happens here.
///
/// # Errors
/// When there is no such webhook, its secret cannot be had, or the state cannot be written.
pub async fn receive(service: &Service, name: &str, incoming: Incoming<'_>) -> Result<Received> {
    let webhooks = &service.workspace().webhooks;
    let webhook = webhooks.iter().find(|webhook| webhook.name == name).ok_or_else(|| {
        Problem::new(Class::NotFound, "unknown_webhook", "there is no such webhook")
            .with_hint("name it under `webhooks` in the file")
    })?;
    let secret = webhook.secret.as_ref().map(|secret| secret.resolve()).transpose().map_err(|error| {
        tracing::warn!(webhook = name, %error, "deliveries cannot be checked");
        unusable()
    })?;
    let secret = secret.as_ref().map(|secret| secret.as_str());
    if secret.is_some_and(str::is_empty) {
        return Err(unusable());
    }
    let now = service.clock().now();
    let known = Known { secret, webhook, now: now.div_euclid(NANOS) };
    let id = match check_of(webhook.kind)(&known, &incoming) {
        // Whoever takes deliveries logs it, for as long as it is worth telling.
        Verdict::Refused(why) => return Ok(Received::Refused(why)),
        Verdict::Idle => return Ok(Received::Idle),
        Verdict::Challenge(text) => return Ok(Received::Challenge(text)),
        Verdict::Handshake(token) => {
            let file = syncline_store::keep_token(service.state(), name, &token)?;
            let file = file.display();
            tracing::warn!(
                webhook = name,
                "the token that the sender signs with is in {file}: `secret` is to refer to it"
            );
            return Ok(Received::Idle);
        }
        Verdict::Genuine(id) => id,
    };
    let id = if id.len() > ID_BYTES_MAX { blake3::hash(id.as_bytes()).to_string() } else { id };
    let delivery = Delivery { hook: name.to_owned(), id, targets: webhook.targets.clone() };
    match service.inbox().record(service, delivery).await? {
        Arrival::New => Ok(Received::Recorded),
        Arrival::Known => Ok(Received::Known),
    }
}

fn unusable() -> Problem {
    Problem::new(Class::Unavailable, "webhook_unusable", "deliveries of this webhook cannot be checked now")
        .with_hint("the log says why")
}

/// What the log says of a delivery without a signature.
const UNSIGNED: &str = "the header with its signature is missing, or there twice";
/// What the log says of a signature that cannot be read.
const MALFORMED: &str = "its signature is not written as senders of this kind write it";
/// What the log says of a signature that does not hold.
const WRONG: &str = "its signature is not one of this body with `secret`";
/// What the log says of a delivery that is too old, or from the future.
const UNTIMELY: &str = "the time that it names is missing, or more than five minutes away from the clock";
/// What the log says where nothing can be checked.
const NO_SECRET: &str = "the file has no `secret` for it";

/// A delivery with the signature of its body in hexadecimal, behind `prefix`: that signature, when it holds, or which check
/// failed.
fn signed_body(
    known: &Known<'_>,
    written: Option<&str>,
    prefix: &str,
    body: &[u8],
) -> std::result::Result<String, &'static str> {
    let digits = written.ok_or(UNSIGNED)?.strip_prefix(prefix).ok_or(MALFORMED)?;
    let signature = signature::from_hex(digits).ok_or(MALFORMED)?;
    let secret = known.secret.ok_or(NO_SECRET)?;
    let is_right = signature::verify(secret.as_bytes(), &[body], &signature);
    is_right.then(|| digits.to_owned()).ok_or(WRONG)
}

/// An identifier in a genuine body.
fn identifier(body: &Value, key: &str) -> Option<String> {
    body.get(key)?.as_str().filter(|id| !id.is_empty()).map(str::to_owned)
}

#[cfg(test)]
mod tests;
