//! The secrets that this process has read, so that what it writes for people can be kept free of them.

use std::borrow::Cow;
use std::sync::{PoisonError, RwLock};

use crate::source::REDACTED;

/// What is shorter is no secret worth hiding: it would be found in ordinary words.
const LENGTH_MIN: usize = 6;

/// Longest first, so that a secret which is part of another one does not leave the rest of that one.
static KNOWN: RwLock<Vec<String>> = RwLock::new(Vec::new());

/// Remembers a secret that was referred to.
pub(crate) fn remember(secret: &str) {
    if secret.len() < LENGTH_MIN {
        return;
    }
    let mut known = KNOWN.write().unwrap_or_else(PoisonError::into_inner);
    // As JSON has it, too: log lines are JSON.
    let quoted = serde_json::Value::from(secret).to_string();
    for form in [secret, &quoted[1..quoted.len() - 1]] {
        let place = known.partition_point(|other| other.len() > form.len());
        if !known[place..].iter().take_while(|other| other.len() == form.len()).any(|other| other == form) {
            known.insert(place, form.to_owned());
        }
    }
}

/// The text with `[redacted]` in the place of every secret that was referred to so far, as it is or as JSON has it.
#[must_use]
pub fn conceal(text: &str) -> Cow<'_, str> {
    let known = KNOWN.read().unwrap_or_else(PoisonError::into_inner);
    let mut concealed = Cow::Borrowed(text);
    for secret in known.iter() {
        if concealed.contains(secret.as_str()) {
            concealed = Cow::Owned(concealed.replace(secret.as_str(), REDACTED));
        }
    }
    concealed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_concealed_as_it_is_and_as_json_has_it() {
        assert_eq!(conceal("nothing is known of hun\"ter22"), "nothing is known of hun\"ter22");
        for secret in ["hun\"ter22", "hun\"ter22-and-more", "short", "hun\"ter22"] {
            remember(secret);
        }
        assert_eq!(conceal("a hun\"ter22 b"), "a [redacted] b");
        assert_eq!(conceal(r#"{"said":"hun\"ter22-and-more"}"#), r#"{"said":"[redacted]"}"#);
        assert_eq!(conceal("a short word"), "a short word");
    }
}
