//! HMAC-SHA256 over bytes as they came, compared in constant time.

use std::fmt::Write as _;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use syncline_core::Digest;

fn mac(key: &[u8], parts: &[&[u8]]) -> Option<Hmac<Sha256>> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).ok()?;
    parts.iter().for_each(|part| mac.update(part));
    Some(mac)
}

/// The signature of the concatenated `parts`.
#[must_use]
pub fn sign(key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    // A key of any length is a key of HMAC; the empty signature that could come of none is nobody's.
    mac(key, parts).map(|mac| mac.finalize().into_bytes().to_vec()).unwrap_or_default()
}

/// Whether `signature` is that of the concatenated `parts`, whole; the time it takes tells nothing of where it differs.
#[must_use]
pub fn verify(key: &[u8], parts: &[&[u8]], signature: &[u8]) -> bool {
    mac(key, parts).is_some_and(|mac| mac.verify_slice(signature).is_ok())
}

/// Whether two secrets are equal; the time it takes tells nothing of where they differ, nor of how long they are.
#[must_use]
pub fn is_equal(one: &[u8], other: &[u8]) -> bool {
    // The comparison of these hashes takes constant time.
    blake3::hash(one) == blake3::hash(other)
}

/// The bytes of a signature in hexadecimal: 64 digits, in lower case as everybody who signs writes them.
#[must_use]
pub fn from_hex(text: &str) -> Option<Vec<u8>> {
    let is_lower = !text.bytes().any(|byte| byte.is_ascii_uppercase());
    is_lower.then(|| Digest::from_hex(text))?.map(|bytes| bytes.0.to_vec())
}

/// Bytes in hexadecimal, in lower case.
#[must_use]
pub fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // A `String` takes everything.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_github_holds_and_nothing_near_it() {
        // Of "Validating webhook deliveries" in GitHub's documentation.
        let (key, body) = (b"It's a Secret to Everybody", b"Hello, World!".as_slice());
        let written = "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
        let signature = from_hex(written).unwrap();
        assert_eq!(to_hex(&sign(key, &[body])), written);
        assert!(verify(key, &[b"Hello, ", b"World!"], &signature));
        assert!(!verify(key, &[b"Hello, world!"], &signature));
        assert!(!verify(b"another", &[body], &signature));
        assert!(!verify(key, &[body], &signature[..31]) && !verify(key, &[body], &[]));
        for wrong in
            ["", &written[..62], &written.to_uppercase(), &format!("{written}00"), &written.replace('7', "x")]
        {
            assert_eq!(from_hex(wrong), None, "{wrong}");
        }
        assert!(is_equal(b"secret", b"secret") && !is_equal(b"secret", b"secret2") && !is_equal(b"", b"s"));
    }
}
