//! "Did you mean …?", and quoting of text that somebody else wrote.

/// Longest foreign text that is repeated in a message, in characters.
const QUOTE_MAX: usize = 60;
/// Most names that a hint lists.
const LIST_MAX: usize = 24;

/// Puts foreign text into back-ticks, control characters escaped, cropped when it is long.
pub(crate) fn quote(text: &str) -> String {
    let mut shown: String = text.chars().take(QUOTE_MAX).flat_map(char::escape_debug).collect();
    if text.chars().count() > QUOTE_MAX {
        shown.push('…');
    }
    format!("`{}`", shown.replace("\\\"", "\"").replace("\\'", "'"))
}

/// A hint that names the nearest of `known`, or all of them when none is near: `what` says what they are.
pub(crate) fn hint<'a>(
    written: &str,
    known: impl IntoIterator<Item = &'a str>,
    what: &str,
) -> Option<String> {
    let known: Vec<&str> = known.into_iter().collect();
    if let Some(near) = nearest(written, &known) {
        return Some(format!("did you mean {}?", quote(near)));
    }
    let listed: Vec<String> = known.iter().take(LIST_MAX).map(|name| quote(name)).collect();
    let more = if known.len() > LIST_MAX { ", …" } else { "" };
    (!listed.is_empty()).then(|| format!("{what}: {}{more}", listed.join(", ")))
}

/// The name of `known` that is so near that it was probably meant.
pub(crate) fn nearest<'a>(written: &str, known: &[&'a str]) -> Option<&'a str> {
    // A name far longer than any real one is not a typo, and comparing it would be slow.
    if written.chars().count() > QUOTE_MAX {
        return None;
    }
    let folded = written.to_lowercase().replace('-', "_");
    let budget = (folded.chars().count() / 3).max(1);
    known
        .iter()
        .map(|name| {
            let other = name.to_lowercase().replace('-', "_");
            (strsim::damerau_levenshtein(&folded, &other), *name)
        })
        .filter(|(distance, name)| *distance <= budget && *distance < name.chars().count())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}
