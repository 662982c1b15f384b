//! GitLab: Standard Webhooks where the webhook has a signing token, otherwise the secret itself in `X-Gitlab-Token`.
//!
//! Source: <https://docs.gitlab.com/user/project/integrations/webhooks/>. A secret that begins as signing tokens do is only
//! ever used to check signatures, so that nobody can have the weaker way by leaving them out.

use syncline_connect::signature;
use syncline_connect::standard_webhooks::KEY_PREFIX;

use super::{Incoming, Known, NO_SECRET, Verdict, generic};

const NO_TOKEN: &str = "the header with its secret token is missing, or there twice";
const WRONG_TOKEN: &str = "its secret token is not `secret`";

pub(super) fn check(known: &Known<'_>, incoming: &Incoming<'_>) -> Verdict {
    let Some(secret) = known.secret else { return Verdict::Refused(NO_SECRET) };
    if secret.starts_with(KEY_PREFIX) {
        return generic::standard(known, incoming);
    }
    let Some(told) = incoming.header("x-gitlab-token") else { return Verdict::Refused(NO_TOKEN) };
    if !signature::is_equal(told.as_bytes(), secret.as_bytes()) {
        return Verdict::Refused(WRONG_TOKEN);
    }
    // Nothing is signed; the identifier is the same for every try of one delivery.
    let id = incoming.header("idempotency-key").or_else(|| incoming.header("x-gitlab-event-uuid"));
    Verdict::Genuine(id.map_or_else(|| blake3::hash(incoming.body).to_string(), str::to_owned))
}
