//! `tidy`: the rules of the house that no compiler checks.
//!
//! Each rule is a function from text to findings, so that its tests show that it can fail. To add a rule: one
//! file, and one line in [`findings`].

mod layers;
mod links;
mod lists;
mod prose;
mod size;
mod source;
mod words;

use std::fmt;

use anyhow::Result;

use crate::repository::{SourceFile, text_files};
use crate::shell::say;

/// Something that breaks a rule.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// The file, by its path from the root of the repository.
    pub path: String,
    /// The line, from 1; 0 when the whole file is meant.
    pub line: usize,
    /// What is wrong and what to do, as a lower-case fragment.
    pub message: String,
}

impl Finding {
    /// Makes a finding.
    pub fn new(path: impl Into<String>, line: usize, message: impl Into<String>) -> Self {
        Self { path: path.into(), line, message: message.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}: {}", self.path, self.message),
            line => write!(f, "{}:{line}: {}", self.path, self.message),
        }
    }
}

/// Checks every rule on every file of the repository. Tells whether nothing was found.
///
/// # Errors
/// When the files cannot be read.
pub fn run() -> Result<bool> {
    say("\n== tidy");
    let files = text_files()?;
    let found = findings(&files);
    found.iter().for_each(say);
    say(format_args!("{} files, {} findings", files.len(), found.len()));
    Ok(found.is_empty())
}

/// What breaks a rule, in the order of files and lines.
fn findings(files: &[SourceFile]) -> Vec<Finding> {
    let mut found = Vec::new();
    for file in files {
        found.extend(size::file(file));
        found.extend(words::file(file));
        found.extend(source::file(file));
    }
    found.extend(layers::check(files));
    found.extend(links::check(files));
    found.extend(lists::check(files));
    found.extend(prose::check(files));
    found.sort();
    found
}

/// The text of the file at `path`, when it is there.
fn text<'a>(files: &'a [SourceFile], path: &str) -> Option<&'a str> {
    files.iter().find(|file| file.path == path).map(|file| file.text.as_str())
}

/// Whether a path belongs to test code: its files may be longer, since a table of cases is best read in one piece.
fn is_test(path: &str) -> bool {
    let folder = |name: &str| path.split('/').any(|part| part == name);
    folder("tests") || folder("conformance") || folder("benches") || path.ends_with("/tests.rs")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Files for tests of rules.
    pub(super) fn files(files: &[(&str, &str)]) -> Vec<SourceFile> {
        files
            .iter()
            .map(|(path, text)| SourceFile { path: (*path).to_owned(), text: (*text).to_owned() })
            .collect()
    }

    /// The messages of findings.
    pub(super) fn messages(found: &[Finding]) -> Vec<String> {
        found.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn findings_of_all_rules_are_collected_and_sorted() {
        let bad = files(&[
            ("crates/core/src/b.rs", "fn f() { todo!() }\n"),
            ("crates/core/src/a.rs", "#[allow(dead_code)]\nfn f() {}\n"),
        ]);
        let found = messages(&findings(&bad));
        assert!(found[0].starts_with("crates/core/src/a.rs:1: "), "{found:?}");
        assert!(found[1].starts_with("crates/core/src/b.rs:1: "), "{found:?}");
    }
}
