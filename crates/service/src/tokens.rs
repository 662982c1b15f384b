//! Tokens: making them, and knowing whose one is.
//!
//! A token is `syn_`, 16 hexadecimal digits that tell it from others, `_`, and 64 that are its secret; the beginning is for
//! programs that search for secrets. The secret is 256 random bits, so that nobody can try all of them and nothing has to
//! slow down who tries: a plain digest of it is kept, and a database that is stolen holds no token. What is slow, such as
//! Argon2, is for passwords, which people choose from few.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use syncline_core::{Digest, Nanos};
use syncline_store::TokenRecord;

use crate::caller::Caller;
use crate::operation::Scope;
use crate::problem::{Class, Problem, Result};
use crate::service::Service;

const BEGINNING: &str = "syn_";
/// Digits of the identifier.
const ID_DIGITS: usize = 16;
/// Digits of the secret.
const SECRET_DIGITS: usize = 64;
/// How exactly it is remembered when a token was used: each time would be a write for each request.
const USED_NS: Nanos = 60 * 1_000_000_000;

/// A token as its owner has it. It has no `Debug`, so that it gets into no message.
pub(crate) struct Made {
    pub(crate) id: String,
    pub(crate) hash: Digest,
    pub(crate) token: String,
}

/// Makes a token that nobody has had.
pub(crate) fn make() -> Result<Made> {
    let mut random = [0; (ID_DIGITS + SECRET_DIGITS) / 2];
    getrandom::fill(&mut random).map_err(|error| {
        Problem::new(Class::Failed, "no_randomness", format!("the system gives no random bits: {error}"))
    })?;
    let digits = random.iter().fold(String::new(), |mut digits, byte| {
        let _ = write!(digits, "{byte:02x}");
        digits
    });
    let (id, secret) = digits.split_at(ID_DIGITS);
    let token = format!("{BEGINNING}{id}_{secret}");
    Ok(Made { id: id.to_owned(), hash: Digest::of(secret.as_bytes()), token })
}

/// The identifier and the secret of a token, when it looks like one.
fn parts(token: &str) -> Option<(&str, &str)> {
    let (id, secret) = token.strip_prefix(BEGINNING)?.split_once('_')?;
    let is_hex = |text: &str, digits| {
        text.len() == digits && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    (is_hex(id, ID_DIGITS) && is_hex(secret, SECRET_DIGITS)).then_some((id, secret))
}

impl Service {
    /// Whose a token is; `None` when it is nobody's, or counts no more.
    ///
    /// It is found by its identifier, which is no secret, and its secret is compared in constant time.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub async fn authenticate(&self, token: &str) -> Result<Option<Caller>> {
        let Some((id, secret)) = parts(token) else { return Ok(None) };
        let store = self.reading().await?;
        let Some(record) = store.token(id).await? else { return Ok(None) };
        // The comparison of BLAKE3 hashes takes the same time wherever they differ.
        let is_same = blake3::Hash::from_bytes(record.hash.0) == blake3::hash(secret.as_bytes());
        let now = self.clock().now();
        if !is_same || record.expires.is_some_and(|expires| expires <= now) {
            return Ok(None);
        }
        if record.used.is_none_or(|used| now.saturating_sub(used) >= USED_NS)
            && let Err(error) = store.token_used(id, now).await
        {
            tracing::warn!(%error, "when a token was used could not be written");
        }
        Ok(Some(caller(record)))
    }

    /// Whether there is any token that counts.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub async fn has_tokens(&self) -> Result<bool> {
        let now = self.clock().now();
        let tokens = self.reading().await?.tokens().await?;
        Ok(tokens.iter().any(|token| token.expires.is_none_or(|expires| expires > now)))
    }
}

fn caller(record: TokenRecord) -> Caller {
    let scopes: BTreeSet<Scope> = record.scopes.iter().filter_map(|word| Scope::from_word(word)).collect();
    Caller { id: record.id, name: record.name, scopes, targets: record.targets }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_back_and_nothing_else_is() {
        let made = make().unwrap();
        let (id, secret) = parts(&made.token).unwrap();
        assert_eq!((id, Digest::of(secret.as_bytes())), (made.id.as_str(), made.hash));
        assert_ne!(make().unwrap().token, made.token);
        let upper = made.token.to_uppercase();
        for other in ["", "syn_", &made.token[1..], &made.token[..84], &upper, &format!("{}0", made.token)] {
            assert_eq!(parts(other), None, "{other}");
        }
    }
}
