//! Gitea and Forgejo: HMAC-SHA256 of the body in `X-Gitea-Signature` or `X-Forgejo-Signature`.
//!
//! Source: <https://docs.gitea.com/usage/webhooks>.

use super::{Incoming, Known, Verdict, signed_body};

pub(super) fn check(known: &Known<'_>, incoming: &Incoming<'_>) -> Verdict {
    let written = incoming.header("x-forgejo-signature").or_else(|| incoming.header("x-gitea-signature"));
    signed_body(known, written, "", incoming.body).map_or_else(Verdict::Refused, Verdict::Genuine)
}
