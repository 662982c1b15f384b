//! Sending a message once: signed, and only where it may go.

use std::time::Instant;

use syncline_config::Notification;
use syncline_connect::standard_webhooks::{ID, Key, SIGNATURE, TIMESTAMP};
use syncline_connect::{Parcel, Receipt};
use syncline_store::{AttemptRecord, NewMessage};

use crate::problem::Problem;
use crate::service::Service;

/// Longest reason that is kept, in characters.
const REASON_MAX: usize = 200;

/// Sends a message to its receiver; what came of it, and the record of that, which still says nothing of why it failed.
pub(crate) async fn send(
    service: &Service,
    to: &Notification,
    message: &NewMessage,
) -> (Result<Receipt, String>, AttemptRecord) {
    let at = service.clock().now();
    let began = Instant::now();
    let answer = match parcel(to, message, at / 1_000_000_000) {
        Ok(parcel) => (service.registry().courier)(parcel).await.map_err(|error| short(&error.to_string())),
        Err(reason) => Err(reason),
    };
    let attempt = AttemptRecord {
        at,
        duration_ms: i64::try_from(began.elapsed().as_millis()).unwrap_or(i64::MAX),
        status: answer.as_ref().ok().map(|receipt| receipt.status),
        error: None,
    };
    (answer, attempt)
}

/// Refuses a receiver to which nothing could be sent, for want of a secret.
pub(crate) fn check(to: &Notification) -> Result<(), Problem> {
    let nothing = NewMessage { id: String::new(), target: None, event: String::new(), body: String::new() };
    parcel(to, &nothing, 0).map(drop).map_err(|reason| {
        Problem::usage(
            "webhook_unusable",
            format!("nothing can be sent to the webhook {:?}: {reason}", to.name),
        )
    })
}

/// A message, ready to go. Secrets are looked up each time, so that one which was replaced counts at once.
fn parcel(to: &Notification, message: &NewMessage, now: i64) -> Result<Parcel, String> {
    let url = to.url.resolve().map_err(|error| short(&error.to_string()))?.trim().to_owned();
    let body = message.body.clone().into_bytes();
    let mut signatures = Vec::new();
    for (setting, secret) in [("secret", Some(&to.secret)), ("previous_secret", to.previous_secret.as_ref())]
    {
        let Some(secret) = secret else { continue };
        let text = secret.resolve().map_err(|error| short(&error.to_string()))?;
        let key = Key::parse(text.trim()).ok_or_else(|| {
            format!("its `{setting}` is no key: write `whsec_` and base64 of 24 to 64 random bytes")
        })?;
        signatures.push(key.sign(&message.id, now, &body));
    }
    let head =
        vec![(ID, message.id.clone()), (TIMESTAMP, now.to_string()), (SIGNATURE, signatures.join(" "))];
    Ok(Parcel { url, allow_private: to.allow_private, timeout: to.timeout, head, body })
}

/// One line that is not too long and holds no secret.
fn short(reason: &str) -> String {
    let line = reason.lines().next().unwrap_or_default();
    syncline_config::conceal(line).chars().take(REASON_MAX).collect()
}
