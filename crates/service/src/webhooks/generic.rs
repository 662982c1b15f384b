//! Anybody: Standard Webhooks, or HMAC-SHA256 of the body in a header that the file names.

use syncline_connect::standard_webhooks::{ID, Key, SIGNATURE, TIMESTAMP};

use super::{Incoming, Known, Verdict, signed_body};

pub(super) fn check(known: &Known<'_>, incoming: &Incoming<'_>) -> Verdict {
    let Some(header) = &known.webhook.header else { return standard(known, incoming) };
    let written = incoming.header(&header.to_ascii_lowercase());
    let digits = written.map(|written| written.strip_prefix("sha256=").unwrap_or(written));
    let Some(signature) = signed_body(known, digits, "", incoming.body) else { return Verdict::Refused };
    match &known.webhook.id_header {
        None => Verdict::Genuine(signature),
        Some(header) => match incoming.header(&header.to_ascii_lowercase()) {
            Some(id) if !id.is_empty() => Verdict::Genuine(id.to_owned()),
            _ => Verdict::Refused,
        },
    }
}

/// As Standard Webhooks has it: identifier and time are signed with the body.
pub(super) fn standard(known: &Known<'_>, incoming: &Incoming<'_>) -> Verdict {
    let genuine = || {
        let (id, timestamp) = (incoming.header(ID)?, incoming.header(TIMESTAMP)?);
        let key = Key::parse(known.secret?)?;
        let signatures = incoming.header(SIGNATURE)?;
        key.verify(id, timestamp, signatures, incoming.body, known.now).then(|| id.to_owned())
    };
    genuine().map_or(Verdict::Refused, Verdict::Genuine)
}
