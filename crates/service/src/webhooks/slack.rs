//! Slack: HMAC-SHA256 of version, time and body in `X-Slack-Signature`.
//!
//! Source: <https://docs.slack.dev/authentication/verifying-requests-from-slack>.

use syncline_connect::signature;
use syncline_connect::standard_webhooks::is_recent;

use super::{Incoming, Known, Verdict, identifier};

pub(super) fn check(known: &Known<'_>, incoming: &Incoming<'_>) -> Verdict {
    let Some(signature) = verified(known, incoming) else { return Verdict::Refused };
    let body = incoming.json();
    if body["type"] == "url_verification" {
        return Verdict::Challenge(identifier(&body, "challenge").unwrap_or_default());
    }
    // Another try has another time, and so another signature. What is no JSON, such as a command, is tried once.
    Verdict::Genuine(identifier(&body, "event_id").unwrap_or(signature))
}

fn verified(known: &Known<'_>, incoming: &Incoming<'_>) -> Option<String> {
    let timestamp = incoming.header("x-slack-request-timestamp").filter(|time| is_recent(time, known.now))?;
    let digits = incoming.header("x-slack-signature")?.strip_prefix("v0=")?;
    let signed = [b"v0:", timestamp.as_bytes(), b":", incoming.body];
    let bytes = signature::from_hex(digits)?;
    signature::verify(known.secret?.as_bytes(), &signed, &bytes).then(|| digits.to_owned())
}
