//! GitHub: HMAC-SHA256 of the body in `X-Hub-Signature-256`.
//!
//! Source: <https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries>. The older header with SHA-1
//! counts for nothing.

use super::{Incoming, Known, Verdict, signed_body};

pub(super) fn check(known: &Known<'_>, incoming: &Incoming<'_>) -> Verdict {
    let written = incoming.header("x-hub-signature-256");
    let signature = match signed_body(known, written, "sha256=", incoming.body) {
        Ok(signature) => signature,
        Err(why) => return Verdict::Refused(why),
    };
    // Only the body is signed, so that only the body can tell one delivery from another: it holds times and identifiers.
    match incoming.header("x-github-event") {
        Some("ping") => Verdict::Idle,
        _ => Verdict::Genuine(signature),
    }
}
