//! Notion: HMAC-SHA256 of the body in `X-Notion-Signature`, with a token that Notion makes and tells once.
//!
//! Source: <https://developers.notion.com/reference/webhooks>. The token comes in a request that is not signed. It is kept
//! only while the file has no `secret`; whoever sets up the webhook compares it at Notion and has `secret` refer to it.

use serde_json::Value;

use super::{Incoming, Known, Verdict, identifier, signed_body};

/// Longest request with a token, in bytes: it holds little else.
const HANDSHAKE_BYTES_MAX: usize = 4096;
const NO_TOKEN: &str = "it brings no token to sign with, and the file has no `secret` for it yet";

pub(super) fn check(known: &Known<'_>, incoming: &Incoming<'_>) -> Verdict {
    if known.secret.is_none() {
        let token = (incoming.body.len() <= HANDSHAKE_BYTES_MAX).then(|| incoming.json());
        let token = token.as_ref().and_then(|body: &Value| identifier(body, "verification_token"));
        let is_word = |token: &String| token.bytes().all(|byte| byte.is_ascii_graphic());
        return token.filter(is_word).map_or(Verdict::Refused(NO_TOKEN), Verdict::Handshake);
    }
    let written = incoming.header("x-notion-signature");
    let signature = match signed_body(known, written, "sha256=", incoming.body) {
        Ok(signature) => signature,
        Err(why) => return Verdict::Refused(why),
    };
    // Another try has another number in its body.
    Verdict::Genuine(identifier(&incoming.json(), "id").unwrap_or(signature))
}
