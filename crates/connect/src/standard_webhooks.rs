//! Signatures after Standard Webhooks, made and checked.
//!
//! Source: <https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>. What is signed is the
//! identifier, the time in seconds and the body, with dots between them. Only the symmetric scheme (`v1`) is known here.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::signature;

/// The header with the identifier of a message, which is the same each time it is tried.
pub const ID: &str = "webhook-id";
/// The header with the time of a try, in seconds since 1970.
pub const TIMESTAMP: &str = "webhook-timestamp";
/// The header with signatures, with spaces between them.
pub const SIGNATURE: &str = "webhook-signature";
/// By how many seconds the time of a message may differ from that of its receiver.
pub const TOLERANCE_SECONDS: i64 = 300;

/// What stands in front of a key in text.
pub const KEY_PREFIX: &str = "whsec_";
/// What stands in front of a signature of the symmetric scheme.
const SCHEME: &str = "v1,";
/// Most signatures of one message that are looked at: a key that is being replaced needs two.
const SIGNATURES_MAX: usize = 16;
/// Bytes of a key.
const KEY_BYTES: std::ops::RangeInclusive<usize> = 24..=64;

/// A key; nothing shows it.
#[derive(Clone, PartialEq, Eq)]
pub struct Key(Vec<u8>);

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(…)")
    }
}

impl Key {
    /// Reads a key: 24 to 64 bytes in base64, with `whsec_` in front or not.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let encoded = text.strip_prefix(KEY_PREFIX).unwrap_or(text);
        let bytes = STANDARD.decode(encoded).ok()?;
        KEY_BYTES.contains(&bytes.len()).then_some(Self(bytes))
    }

    /// The value of [`SIGNATURE`] for a message.
    #[must_use]
    pub fn sign(&self, id: &str, timestamp: i64, body: &[u8]) -> String {
        let timestamp = timestamp.to_string();
        let signature = signature::sign(&self.0, &signed(id, &timestamp, body));
        format!("{SCHEME}{}", STANDARD.encode(signature))
    }

    /// Whether one of the `signatures` is that of the message, and its time is near `now`, in seconds since 1970.
    #[must_use]
    pub fn verify(&self, id: &str, timestamp: &str, signatures: &str, body: &[u8], now: i64) -> bool {
        if !is_recent(timestamp, now) || id.is_empty() {
            return false;
        }
        let signed = signed(id, timestamp, body);
        signatures
            .split(' ')
            .take(SIGNATURES_MAX)
            .filter_map(|signature| STANDARD.decode(signature.strip_prefix(SCHEME)?).ok())
            .any(|bytes| signature::verify(&self.0, &signed, &bytes))
    }
}

/// Whether a time in seconds since 1970, as a header has it, is near `now`.
#[must_use]
pub fn is_recent(timestamp: &str, now: i64) -> bool {
    let is_number = !timestamp.is_empty() && timestamp.bytes().all(|byte| byte.is_ascii_digit());
    let seconds = timestamp.parse::<i64>().ok().filter(|_| is_number);
    seconds.and_then(|seconds| now.checked_sub(seconds)).is_some_and(|age| age.abs() <= TOLERANCE_SECONDS)
}

fn signed<'a>(id: &'a str, timestamp: &'a str, body: &'a [u8]) -> [&'a [u8]; 5] {
    [id.as_bytes(), b".", timestamp.as_bytes(), b".", body]
}

#[cfg(test)]
mod tests {
    use super::*;

    // The example of the reference implementations.
    const KEY: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const MESSAGE: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
    const TIME: i64 = 1_614_265_330;
    const BODY: &[u8] = b"{\"test\": 2432232314}";
    const SIGNED: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";

    #[test]
    fn the_published_example_is_signed_and_verified() {
        let key = Key::parse(KEY).unwrap();
        assert_eq!(key.sign(MESSAGE, TIME, BODY), SIGNED);
        let verify = |signatures: &str, now| key.verify(MESSAGE, &TIME.to_string(), signatures, BODY, now);
        assert!(verify(SIGNED, TIME) && verify(SIGNED, TIME + 300) && verify(SIGNED, TIME - 300));
        assert!(!verify(SIGNED, TIME + 301) && !verify(SIGNED, TIME - 301), "stale");
        let several = format!("v1a,{} v1,AAAA {SIGNED}", &SIGNED[3..]);
        assert!(verify(&several, TIME), "one of several is enough");
        for wrong in ["", "v1,", &SIGNED[3..], &SIGNED[..SIGNED.len() - 5], &SIGNED.replace("v1,", "v1a,")] {
            assert!(!verify(wrong, TIME), "{wrong}");
        }
        assert!(!key.verify("msg_other", &TIME.to_string(), SIGNED, BODY, TIME));
        assert!(!key.verify(MESSAGE, &(TIME + 1).to_string(), SIGNED, BODY, TIME));
        assert!(
            !key.verify(MESSAGE, &TIME.to_string(), SIGNED, b"{\"test\":2432232314}", TIME),
            "written anew"
        );
        for wrong in ["", "soon", "+1614265330", "-5", "99999999999999999999"] {
            assert!(!is_recent(wrong, TIME), "{wrong}");
        }
    }

    #[test]
    fn a_key_has_its_length_and_is_shown_to_nobody() {
        assert_eq!(Key::parse(&KEY[6..]), Key::parse(KEY));
        for wrong in ["", "whsec_", "whsec_c2hvcnQ=", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS?"] {
            assert_eq!(Key::parse(wrong), None, "{wrong}");
        }
        assert_eq!(format!("{:?}", Key::parse(KEY).unwrap()), "Key(…)");
    }
}
