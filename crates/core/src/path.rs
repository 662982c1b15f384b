//! Item paths: relative, normalised, ordered by component.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

/// Longest accepted path in bytes.
pub const PATH_BYTES_MAX: usize = 4096;
/// Longest accepted component in bytes.
pub const NAME_BYTES_MAX: usize = 255;

/// A path of an item relative to the root of its side: UTF-8, components separated by `/`, none of them
/// empty, `.` or `..`, no NUL byte.
///
/// Paths order by component, so that everything below a directory directly follows it.
/// Cloning is cheap: the text is shared.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ItemPath(Arc<str>);

/// Why a text is not an item path.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// The text is empty.
    #[error("the path is empty")]
    Empty,
    /// The text starts with `/`.
    #[error("the path {0:?} is absolute; paths are relative to the root")]
    Absolute(String),
    /// A component is empty, `.` or `..`.
    #[error("the path {0:?} has an empty, `.` or `..` component")]
    Component(String),
    /// The text holds a NUL byte.
    #[error("the path {0:?} holds a NUL byte")]
    Nul(String),
    /// The path or one of its components is too long.
    #[error("the path of {0} bytes is too long (at most {PATH_BYTES_MAX}, {NAME_BYTES_MAX} for each name)")]
    TooLong(usize),
}

impl ItemPath {
    /// Checks `text` and makes a path of it.
    ///
    /// # Errors
    /// When the text is empty, absolute, too long, or has an empty, `.`, `..` or NUL-bearing component.
    pub fn parse(text: &str) -> Result<Self, PathError> {
        if text.is_empty() {
            return Err(PathError::Empty);
        }
        if text.starts_with('/') {
            return Err(PathError::Absolute(text.into()));
        }
        if text.contains('\0') {
            return Err(PathError::Nul(text.into()));
        }
        if text.len() > PATH_BYTES_MAX || text.split('/').any(|name| name.len() > NAME_BYTES_MAX) {
            return Err(PathError::TooLong(text.len()));
        }
        if text.split('/').any(|name| matches!(name, "" | "." | "..")) {
            return Err(PathError::Component(text.into()));
        }
        Ok(Self(text.into()))
    }

    /// The path of `name` inside the directory `parent`; the root is the empty text.
    ///
    /// # Errors
    /// As [`ItemPath::parse`].
    pub fn child(parent: &str, name: &str) -> Result<Self, PathError> {
        if name.contains('/') {
            return Err(PathError::Component(name.into()));
        }
        if parent.is_empty() { Self::parse(name) } else { Self::parse(&format!("{parent}/{name}")) }
    }

    /// The text of the path.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The last component.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.rsplit_once('/').map_or(&self.0, |(_, name)| name)
    }

    /// The text of the directory that holds the item; empty for the root.
    #[must_use]
    pub fn parent(&self) -> &str {
        self.0.rsplit_once('/').map_or("", |(parent, _)| parent)
    }

    /// The directories that hold the item, nearest first, the root left out.
    pub fn ancestors(&self) -> impl Iterator<Item = Self> + '_ {
        std::iter::successors(parent_of(&self.0), |text| parent_of(text)).map(|text| Self(text.into()))
    }

    /// Whether the item lies below the directory `directory`, at any depth; every path lies below the root "".
    #[must_use]
    pub fn is_below(&self, directory: &str) -> bool {
        directory.is_empty()
            || (self.0.len() > directory.len()
                && self.0.as_bytes()[directory.len()] == b'/'
                && self.0.starts_with(directory))
    }

    /// The path that this one becomes when the directory `from` above it is moved to `to`.
    #[must_use]
    pub fn moved(&self, from: &Self, to: &Self) -> Option<Self> {
        if self == from {
            return Some(to.clone());
        }
        self.is_below(from.as_str()).then(|| Self(format!("{}{}", to.0, &self.0[from.0.len()..]).into()))
    }

    /// The reason why this path is never synced, if there is one: internals of version control systems and
    /// Syncline's own state, in every spelling that some file system takes for them.
    #[must_use]
    pub fn protected(&self) -> Option<&'static str> {
        self.0.split('/').find_map(protected_name)
    }
}

fn parent_of(text: &str) -> Option<&str> {
    text.rsplit_once('/').map(|(parent, _)| parent)
}

/// Why a name is protected; see [`ItemPath::protected`].
///
/// Spellings: HFS+ drops certain zero-width characters, NTFS drops trailing dots and spaces, ignores an
/// alternate stream suffix (`:…`) and knows `GIT~1` as the short name of `.git`; both ignore case; Windows takes
/// `\\` for a separator. The list of dropped characters is the one that Git refuses in `core.protectHFS`.
#[must_use]
pub fn protected_name(name: &str) -> Option<&'static str> {
    if !name.starts_with(['.', '\u{200c}', '\u{200d}', '\u{feff}'])
        && !name.contains(['~', '\\'])
        && name.is_ascii()
    {
        return None;
    }
    name.split('\\').find_map(protected_part)
}

fn protected_part(name: &str) -> Option<&'static str> {
    let base = name.split(':').next().unwrap_or(name);
    let folded: String = base
        .chars()
        .filter(|c| !matches!(c, '\u{200c}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{206a}'..='\u{206f}' | '\u{feff}'))
        .flat_map(char::to_lowercase)
        .collect();
    match folded.trim_end_matches(['.', ' ']) {
        ".git" | "git~1" => Some("Git internals are never synced"),
        ".hg" | ".svn" | ".bzr" | ".jj" | "_darcs" | ".fossil" | "cvs" => {
            Some("version control internals are never synced")
        }
        ".syncline" | "syncli~1" => Some("Syncline's own state is never synced"),
        _ => None,
    }
}

/// The order of paths: by component, as bytes.
#[must_use]
pub fn compare(a: &str, b: &str) -> Ordering {
    // A separator sorts before every other byte; this is the same as comparing component by component.
    let key = |byte: &u8| if *byte == b'/' { 0 } else { u16::from(*byte) + 1 };
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let at = shared(a, b);
    match (a.get(at), b.get(at)) {
        (Some(x), Some(y)) => key(x).cmp(&key(y)),
        _ => a.len().cmp(&b.len()),
    }
}

/// How many bytes two texts begin with alike. Neighbours in a tree share long beginnings, so eight are compared at once.
fn shared(a: &[u8], b: &[u8]) -> usize {
    let (mut at, words) = (0, a.as_chunks::<8>().0.iter().zip(b.as_chunks::<8>().0));
    for (x, y) in words {
        let differing = u64::from_le_bytes(*x) ^ u64::from_le_bytes(*y);
        if differing != 0 {
            return at + differing.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    at + a[at..].iter().zip(&b[at..]).take_while(|(x, y)| x == y).count()
}

impl Ord for ItemPath {
    fn cmp(&self, other: &Self) -> Ordering {
        compare(&self.0, &other.0)
    }
}

impl PartialOrd for ItemPath {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for ItemPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ItemPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_is_that_of_the_components() {
        let names = ["a", "a-b", "a b", "ab", "abcdefgh", "abcdefgh.x", "abcdefghi", "é", "z"];
        let mut texts: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        for _ in 0..2 {
            let below: Vec<String> = texts
                .iter()
                .flat_map(|above| names.iter().map(move |name| format!("{above}/{name}")))
                .collect();
            texts.extend(below);
        }
        texts.sort();
        texts.dedup();
        for a in texts.iter().step_by(3) {
            for b in &texts {
                let (x, y): (Vec<&str>, Vec<&str>) = (a.split('/').collect(), b.split('/').collect());
                assert_eq!(compare(a, b), x.cmp(&y), "{a} and {b}");
            }
        }
    }
}
