//! Anybody: Standard Webhooks, or HMAC-SHA256 of the body in a header that the file names.

use syncline_connect::standard_webhooks::{ID, Key, SIGNATURE, TIMESTAMP, is_recent};

use super::{Incoming, Known, NO_SECRET, UNSIGNED, UNTIMELY, Verdict, WRONG, signed_body};

const NO_ID: &str = "the header with its identifier is missing, empty, or there twice";
const NO_KEY: &str = "`secret` is no key of Standard Webhooks: `whsec_` and base64 of 24 to 64 bytes";

pub(super) fn check(known: &Known<'_>, incoming: &Incoming<'_>) -> Verdict {
    let Some(header) = &known.webhook.header else { return standard(known, incoming) };
    let written = incoming.header(&header.to_ascii_lowercase());
    let digits = written.map(|written| written.strip_prefix("sha256=").unwrap_or(written));
    let signature = match signed_body(known, digits, "", incoming.body) {
        Ok(signature) => signature,
        Err(why) => return Verdict::Refused(why),
    };
    match &known.webhook.id_header {
        None => Verdict::Genuine(signature),
        Some(header) => match incoming.header(&header.to_ascii_lowercase()) {
            Some(id) if !id.is_empty() => Verdict::Genuine(id.to_owned()),
            _ => Verdict::Refused(NO_ID),
        },
    }
}

/// As Standard Webhooks has it: identifier and time are signed with the body.
pub(super) fn standard(known: &Known<'_>, incoming: &Incoming<'_>) -> Verdict {
    let genuine = || {
        let id = incoming.header(ID).filter(|id| !id.is_empty()).ok_or(NO_ID)?;
        let timestamp =
            incoming.header(TIMESTAMP).filter(|time| is_recent(time, known.now)).ok_or(UNTIMELY)?;
        let key = Key::parse(known.secret.ok_or(NO_SECRET)?).ok_or(NO_KEY)?;
        let signatures = incoming.header(SIGNATURE).ok_or(UNSIGNED)?;
        let is_right = key.verify(id, timestamp, signatures, incoming.body, known.now);
        is_right.then(|| id.to_owned()).ok_or(WRONG)
    };
    genuine().map_or_else(Verdict::Refused, Verdict::Genuine)
}
