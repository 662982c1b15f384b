//! What a content is, and which strategy fits it.

use super::{Input, Strategy, Unclean, VERSION_BYTES_MAX, has_open_markers, json};
use crate::side::Side;

/// How far a NUL byte is looked for: the first 8 KiB, as Git does.
const BINARY_BYTES: usize = 8 << 10;

/// Whether `bytes` is taken for binary: there is a NUL byte in its first 8 KiB.
///
/// Text in UTF-16 counts as binary: to merge it by bytes would tear characters apart. Invalid UTF-8 is text.
#[must_use]
pub fn is_binary(bytes: &[u8]) -> bool {
    bytes[..bytes.len().min(BINARY_BYTES)].contains(&0)
}

impl Strategy {
    /// The strategy that fits by content, or `None` when the versions should not be merged.
    ///
    /// - [`Strategy::Json`] for a name that ends in `.json` when every version is JSON.
    /// - `None` for such a name when only some versions are JSON: a side broke it, or is in the middle of writing it.
    /// - [`Strategy::Text`] for every other text, also for `.json` files that are no JSON in any version (settings with
    ///   comments), for `.jsonc`, and for newline-delimited JSON. A union is never chosen by content, because it
    ///   decides for the user.
    /// - `None` for what no strategy merges: binary, larger than 8 MiB, open markers.
    #[must_use]
    pub fn by_content(name: &str, input: &Input<'_>) -> Option<Self> {
        mergeable(input).ok()?;
        let json = name.len() >= 5 && name.as_bytes()[name.len() - 5..].eq_ignore_ascii_case(b".json");
        if !json {
            return Some(Self::Text);
        }
        let good = versions(input).filter(|(_, bytes)| json::is_json(bytes)).count();
        match good {
            0 => Some(Self::Text),
            good if good == versions(input).count() => Some(Self::Json { key: None }),
            _ => None,
        }
    }
}

/// The versions there are, with their names.
pub(super) fn versions<'a>(input: &Input<'a>) -> impl Iterator<Item = (&'static str, &'a [u8])> {
    let base = input.base.map(|base| ("base", base));
    base.into_iter().chain([("local", input.local), ("remote", input.remote)])
}

/// Refuses what no strategy merges.
pub(super) fn mergeable(input: &Input<'_>) -> Result<(), Unclean> {
    for (version, bytes) in versions(input) {
        if bytes.len() > VERSION_BYTES_MAX {
            return Err(Unclean::TooLarge { version, bytes: bytes.len(), bytes_max: VERSION_BYTES_MAX });
        }
        if is_binary(bytes) {
            return Err(Unclean::Binary { version });
        }
    }
    for (side, bytes) in [(Side::Local, input.local), (Side::Remote, input.remote)] {
        if has_open_markers(bytes) {
            return Err(Unclean::OpenMarkers { side });
        }
    }
    Ok(())
}

/// Refuses versions with more lines than `lines_max`.
pub(super) fn within_lines(input: &Input<'_>, lines_max: usize) -> Result<(), Unclean> {
    let long = |bytes: &[u8]| bytes.iter().filter(|&&byte| byte == b'\n').count() > lines_max;
    match versions(input).find(|(_, bytes)| long(bytes)) {
        Some((version, _)) => Err(Unclean::TooMany { version, lines_max }),
        None => Ok(()),
    }
}
