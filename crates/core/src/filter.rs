//! Which paths belong to a target.

use globset::{Glob, GlobBuilder, GlobSet, GlobSetBuilder};
use ignore::gitignore::{Gitignore, GitignoreBuilder};

use crate::digest::Digest;
use crate::path::ItemPath;

/// The rules that say which paths belong to a target. The same rules hold for both sides.
#[derive(Clone, Debug)]
pub struct Filter {
    include: Option<GlobSet>,
    include_texts: Vec<String>,
    exclude: GlobSet,
    exclude_texts: Vec<String>,
    ignore: Gitignore,
    ignore_name: String,
    reserved: Vec<ItemPath>,
    fingerprint: Digest,
}

/// What a filter says of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It belongs to the target.
    Included,
    /// A directory that does not itself belong to the target, but something below it may.
    Traverse,
    /// It does not belong to the target, nor does anything below it. The text names the deciding rule.
    Ignored(String),
}

/// A pattern that cannot be understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message} in the pattern {pattern:?}")]
pub struct PatternError {
    /// The pattern as it was written.
    pub pattern: String,
    /// What is wrong with it.
    pub message: String,
    /// What to write instead, where that is known.
    pub hint: Option<&'static str>,
}

impl PatternError {
    fn new(pattern: impl Into<String>, message: impl Into<String>) -> Self {
        Self { pattern: pattern.into(), message: message.into(), hint: None }
    }
}

impl Default for Filter {
    fn default() -> Self {
        Self {
            include: None,
            include_texts: Vec::new(),
            exclude: GlobSet::empty(),
            exclude_texts: Vec::new(),
            ignore: Gitignore::empty(),
            ignore_name: String::new(),
            reserved: Vec::new(),
            fingerprint: fingerprint(&[], &[], "", &[]),
        }
    }
}

impl Filter {
    /// Makes a filter.
    ///
    /// - `include`: globs; when there are any, only what they match belongs to the target.
    /// - `exclude`: globs; what they match does not, nor anything below it.
    /// - `ignore`: the name of an ignore file, for people, and its text in the syntax of `gitignore(5)`.
    /// - `reserved`: paths that never belong to a target, such as the configuration file itself.
    ///
    /// Globs match whole paths; `*` stops at `/`, `**` does not; a glob without `/` matches a name at any depth.
    ///
    /// # Errors
    /// When a pattern cannot be understood.
    pub fn new(
        include: &[String],
        exclude: &[String],
        ignore: Option<(&str, &str)>,
        reserved: Vec<ItemPath>,
    ) -> Result<Self, PatternError> {
        let (ignore_name, ignore_text) = ignore.unwrap_or_default();
        Ok(Self {
            include: (!include.is_empty()).then(|| glob_set(include)).transpose()?,
            include_texts: include.to_vec(),
            exclude: glob_set(exclude)?,
            exclude_texts: exclude.to_vec(),
            ignore: ignore_rules(ignore_text)?,
            ignore_name: ignore_name.to_owned(),
            fingerprint: fingerprint(include, exclude, ignore_text, &reserved),
            reserved,
        })
    }

    /// A digest of all rules: filters that have the same decide the same.
    #[must_use]
    pub const fn fingerprint(&self) -> Digest {
        self.fingerprint
    }

    /// Decides about one path. The directories above it are taken as already decided and not ignored.
    #[must_use]
    pub fn decide(&self, path: &ItemPath, is_directory: bool) -> Verdict {
        self.decide_text(path.as_str(), is_directory)
    }

    /// As [`Filter::decide`], for the text of an item path: a walk asks for every name, and most need no path of
    /// their own.
    #[must_use]
    pub fn decide_text(&self, path: &str, is_directory: bool) -> Verdict {
        let name = path.rsplit_once('/').map_or(path, |(_, name)| name);
        if let Some(reason) = crate::path::protected_name(name) {
            return Verdict::Ignored(reason.to_owned());
        }
        if self.reserved.iter().any(|reserved| reserved.as_str() == path) {
            return Verdict::Ignored("the configuration of this workspace is never synced".to_owned());
        }
        if !self.exclude.is_empty()
            && let Some(&rule) = self.exclude.matches(path).first()
        {
            return Verdict::Ignored(format!("exclude: {}", self.exclude_texts[rule]));
        }
        if !self.ignore.is_empty()
            && let ignore::Match::Ignore(rule) = self.ignore.matched(path, is_directory)
        {
            return Verdict::Ignored(format!("{}: {}", self.ignore_name, rule.original()));
        }
        match &self.include {
            Some(include) if !include.is_match(path) => {
                if is_directory {
                    Verdict::Traverse
                } else {
                    Verdict::Ignored(format!("include: none of {}", self.include_texts.join(", ")))
                }
            }
            _ => Verdict::Included,
        }
    }

    /// Decides about a path of which nothing is known yet, by asking for each directory above it first.
    #[must_use]
    pub fn decide_deep(&self, path: &ItemPath, is_directory: bool) -> Verdict {
        let mut above: Vec<ItemPath> = path.ancestors().collect();
        while let Some(directory) = above.pop() {
            if let Verdict::Ignored(rule) = self.decide(&directory, true) {
                return Verdict::Ignored(format!("{rule} (on {directory})"));
            }
        }
        self.decide(path, is_directory)
    }
}

/// Compiles one glob as every setting of Syncline understands it; see [`Filter::new`]. A `/` or `./` in front
/// anchors it at the root, one at its end says nothing.
///
/// # Errors
/// When the pattern cannot be understood, or can only be a mistake: one that is blank would match everything, one
/// with a part that no path has, such as `..`, would match nothing.
pub fn glob(pattern: &str) -> Result<Glob, PatternError> {
    let plain = pattern.trim_end_matches('/');
    let anchored = plain.strip_prefix("./").or_else(|| plain.strip_prefix('/'));
    mistaken(pattern, anchored.unwrap_or(plain))?;
    let whole = match anchored {
        Some(rest) => rest.to_owned(),
        None if plain.contains('/') => plain.to_owned(),
        None => format!("**/{plain}"),
    };
    GlobBuilder::new(&whole)
        .literal_separator(true)
        .backslash_escape(true)
        .build()
        .map_err(|error| PatternError::new(pattern, error.kind().to_string()))
}

/// Refuses a glob that compiles but cannot be meant; `plain` is what is left of it without its anchor.
fn mistaken(pattern: &str, plain: &str) -> Result<(), PatternError> {
    let (message, hint) = if plain.trim().is_empty() {
        ("nothing is named", "name what is meant, such as `*.tmp` or `build/`; `**` stands for everything")
    } else if plain.split('/').any(|part| matches!(part, "" | "." | "..")) {
        (
            "a part that no path has",
            "write it relative to the target's folder, without `.`, `..` or two `/` in a row",
        )
    } else {
        return Ok(());
    };
    Err(PatternError { hint: Some(hint), ..PatternError::new(pattern, message) })
}

fn fingerprint(include: &[String], exclude: &[String], ignore: &str, reserved: &[ItemPath]) -> Digest {
    let mut text = String::new();
    let mut add = |kind: char, rule: &str| text.push_str(&format!("{kind}{}:{rule}", rule.len()));
    include.iter().for_each(|rule| add('i', rule));
    exclude.iter().for_each(|rule| add('e', rule));
    add('g', ignore);
    reserved.iter().for_each(|path| add('r', path.as_str()));
    Digest::of(text.as_bytes())
}

fn glob_set(patterns: &[String]) -> Result<GlobSet, PatternError> {
    let mut set = GlobSetBuilder::new();
    for pattern in patterns {
        set.add(glob(pattern)?);
    }
    set.build().map_err(|error| PatternError::new(patterns.join(", "), error.kind().to_string()))
}

fn ignore_rules(text: &str) -> Result<Gitignore, PatternError> {
    let mut rules = GitignoreBuilder::new("");
    for line in text.lines() {
        rules.add_line(None, line).map_err(|error| PatternError::new(line, error.to_string()))?;
    }
    rules.build().map_err(|error| PatternError::new("", error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ignored(filter: &Filter, path: &str, directory: bool) -> bool {
        matches!(filter.decide_deep(&ItemPath::parse(path).unwrap(), directory), Verdict::Ignored(_))
    }

    #[test]
    fn globs_are_anchored_by_a_slash_in_front_or_within() {
        let rows: [(&str, &str, bool); 10] = [
            ("build", "build", true),
            ("build", "a/build/x", true),
            ("build/", "a/build/x", true),
            ("/build", "build/x", true),
            ("/build", "a/build", false),
            ("./build", "build", true),
            ("docs/*.md", "docs/a.md", true),
            ("docs/*.md", "docs/a/b.md", false),
            ("docs/**", "docs/a/b.md", true),
            ("*.tmp", "a/b/c.tmp", true),
        ];
        for (pattern, path, expected) in rows {
            let filter = Filter::new(&[], &[pattern.to_owned()], None, Vec::new()).unwrap();
            assert_eq!(ignored(&filter, path, false), expected, "{pattern} on {path}");
        }
    }

    #[test]
    fn globs_that_would_match_everything_or_nothing_are_refused() {
        for pattern in ["", " ", "\t", "/", "//", ".", "./", "..", "../x", "a/../b", "a//b", "/../x", "a/."] {
            let error = glob(pattern).expect_err(pattern);
            assert!(error.hint.is_some(), "{pattern:?}");
        }
        for pattern in ["**", "...", "..x", "a b", "/.hidden", "a/**/"] {
            assert!(glob(pattern).is_ok(), "{pattern:?}");
        }
    }

    #[test]
    fn include_globs_look_into_directories_that_they_do_not_name() {
        let filter = Filter::new(&["docs/*.md".to_owned()], &[], None, Vec::new()).unwrap();
        let decide = |path: &str, directory| filter.decide(&ItemPath::parse(path).unwrap(), directory);
        assert_eq!(decide("docs", true), Verdict::Traverse);
        assert_eq!(decide("docs/a.md", false), Verdict::Included);
        assert!(matches!(decide("docs/a.txt", false), Verdict::Ignored(_)));
    }

    #[test]
    fn internals_and_reserved_paths_are_ignored_in_every_spelling() {
        let reserved = vec![ItemPath::parse("syncline.yaml").unwrap()];
        let filter = Filter::new(&[], &[], Some((".synclineignore", "*.o\n!keep.o\n")), reserved).unwrap();
        for path in [
            ".git",
            "a/.GIT/config",
            "git~1",
            ".g\u{200c}it/x",
            ".git. ",
            ".syncline/x",
            "syncline.yaml",
            "x.o",
        ] {
            assert!(ignored(&filter, path, false), "{path:?}");
        }
        for path in ["keep.o", ".gitignore", "git", "a/syncline.yaml", ".github/x"] {
            assert!(!ignored(&filter, path, false), "{path:?}");
        }
    }
}
