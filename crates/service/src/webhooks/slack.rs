//! Slack: HMAC-SHA256 of version, time and body in `X-Slack-Signature`.
//!
//! Source: <https://docs.slack.dev/authentication/verifying-requests-from-slack>.

use syncline_connect::signature;
use syncline_connect::standard_webhooks::is_recent;

use super::{Incoming, Known, MALFORMED, NO_SECRET, UNSIGNED, UNTIMELY, Verdict, WRONG, identifier};

pub(super) fn check(known: &Known<'_>, incoming: &Incoming<'_>) -> Verdict {
    let signature = match verified(known, incoming) {
        Ok(signature) => signature,
        Err(why) => return Verdict::Refused(why),
    };
    let body = incoming.json();
    if body["type"] == "url_verification" {
        return Verdict::Challenge(identifier(&body, "challenge").unwrap_or_default());
    }
    // Another try has another time, and so another signature. What is no JSON, such as a command, is tried once.
    Verdict::Genuine(identifier(&body, "event_id").unwrap_or(signature))
}

fn verified(known: &Known<'_>, incoming: &Incoming<'_>) -> Result<String, &'static str> {
    let timestamp = incoming.header("x-slack-request-timestamp").filter(|time| is_recent(time, known.now));
    let timestamp = timestamp.ok_or(UNTIMELY)?;
    let written = incoming.header("x-slack-signature").ok_or(UNSIGNED)?;
    let digits = written.strip_prefix("v0=").ok_or(MALFORMED)?;
    let signed = [b"v0:", timestamp.as_bytes(), b":", incoming.body];
    let bytes = signature::from_hex(digits).ok_or(MALFORMED)?;
    let secret = known.secret.ok_or(NO_SECRET)?;
    signature::verify(secret.as_bytes(), &signed, &bytes).then(|| digits.to_owned()).ok_or(WRONG)
}
