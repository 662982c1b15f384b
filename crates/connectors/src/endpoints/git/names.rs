//! Names that a Git tree may hold and that are never taken from it nor put into it.

use syncline_core::ItemPath;

/// Files that Git itself obeys, with the short names that NTFS makes of them and the ones that it makes when those
/// are taken. As a link, such a name would make Git read something else; the list is the one of `git fsck`.
const OBEYED: [(&str, &str, &str); 4] = [
    (".gitmodules", "gitmod", "gi7eba"),
    (".gitattributes", "gitatt", "gi7d29"),
    (".gitignore", "gitign", "gi250a"),
    (".mailmap", "mailma", "maba30"),
];

/// Why a path is neither taken from a tree nor put into one, when it is not.
pub(super) fn refusal(path: &ItemPath) -> Option<&'static str> {
    path.protected().or_else(|| climbing(path))
}

/// Why a path could lead upwards on another system, when it could.
pub(super) fn climbing(path: &ItemPath) -> Option<&'static str> {
    let climbs = |name: &str| name.contains('\\') && name.split('\\').any(|part| part == "..");
    path.as_str()
        .split('/')
        .any(climbs)
        .then_some("a name that leads upwards on some systems is never synced")
}

/// Why a symbolic link of this name is neither taken nor put, when it is not.
pub(super) fn link_refusal(path: &ItemPath) -> Option<&'static str> {
    let base = path.name().split(':').next().unwrap_or_default();
    let folded: String = base
        .chars()
        .filter(|c| !matches!(c, '\u{200c}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{206a}'..='\u{206f}' | '\u{feff}'))
        .flat_map(char::to_lowercase)
        .collect();
    let folded = folded.trim_end_matches(['.', ' ']);
    let short = |stem: &str| {
        folded
            .strip_prefix(stem)
            .and_then(|rest| rest.strip_prefix('~'))
            .is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
    };
    OBEYED
        .iter()
        .any(|(name, stem, taken)| folded == *name || short(stem) || short(taken))
        .then_some("a file that Git obeys must not be a symbolic link")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(path: &str) -> ItemPath {
        ItemPath::parse(path).unwrap_or_else(|error| panic!("{path:?}: {error}"))
    }

    #[test]
    fn git_internals_are_refused_in_every_spelling() {
        for path in [
            ".git/config",
            "a/.GIT/hooks/x",
            "git~1/x",
            "GIT~1",
            ".g\u{200c}it/x",
            "\u{feff}.git",
            ".git./x",
            ".git /x",
            ".git::$INDEX_ALLOCATION/x",
            "a\\.git\\hooks\\x",
            ".git\\config",
            "..\\..\\x",
            "a/..\\x",
            ".syncline/state.db",
        ] {
            assert!(refusal(&at(path)).is_some(), "{path:?}");
        }
        for path in
            [".gitignore", ".gitmodules", ".github/x", "git", "a..b", "back\\slash", "..dots..", "x.git"]
        {
            assert_eq!(refusal(&at(path)), None, "{path:?}");
        }
    }

    #[test]
    fn what_git_obeys_is_no_link() {
        for path in
            [".gitmodules", "a/.GitAttributes", ".gitignore ", "GITMOD~1", "gi7eba~2", ".mail\u{200d}map"]
        {
            assert!(link_refusal(&at(path)).is_some(), "{path:?}");
        }
        for path in ["gitmodules", "gitmod~x", "gitmod", ".gitkeep", "mailmap"] {
            assert_eq!(link_refusal(&at(path)), None, "{path:?}");
        }
    }
}
