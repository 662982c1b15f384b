//! The pages that explain the code name files and tests that exist, so that they cannot go stale in silence.

use std::collections::BTreeSet;

use super::links::prose;
use super::{Finding, text};
use crate::repository::SourceFile;

/// The pages that explain the code, or name the tests of it.
const PAGES: [&str; 3] = ["ARCHITECTURE.md", "CONTRIBUTING.md", "docs/src/reliability.md"];
/// Folders whose files are named by their whole path.
const FOLDERS: [&str; 3] = ["crates/", "xtask/", "docs/"];

/// Finds code spans that name a file, or in a table of invariants or attacks a test, that does not exist.
pub(super) fn check(files: &[SourceFile]) -> Vec<Finding> {
    let functions = functions(files);
    let mut found = Vec::new();
    for page in PAGES {
        for (line, text) in prose(text(files, page).unwrap_or_default()) {
            let number = text.strip_prefix("| I").or_else(|| text.strip_prefix("| A"));
            let names_tests = number.is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
            for span in text.split('`').skip(1).step_by(2) {
                if is_placeholder(span) {
                    continue;
                }
                let names_file = FOLDERS.iter().any(|folder| span.starts_with(folder));
                if names_file && !exists(files, span) {
                    found.push(Finding::new(page, line, format!("there is no {span}")));
                } else if names_tests && is_name(span) && !functions.contains(span) {
                    found.push(Finding::new(page, line, format!("there is no test `{span}`")));
                }
            }
        }
    }
    found
}

/// Whether a span stands for any name of its kind.
fn is_placeholder(span: &str) -> bool {
    span.contains(['<', '…', '*', '{'])
}

/// Whether a span looks like the name of a test: several words.
fn is_name(span: &str) -> bool {
    span.contains('_') && span.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

fn exists(files: &[SourceFile], span: &str) -> bool {
    let span = span.trim_end_matches('/');
    let folder = format!("{span}/");
    files.iter().any(|file| {
        file.path == span || file.path.starts_with(&folder) || file.path.strip_suffix(".rs") == Some(span)
    })
}

/// The names of all functions of the workspace.
fn functions(files: &[SourceFile]) -> BTreeSet<&str> {
    let sources = files.iter().filter(|file| file.path.ends_with(".rs"));
    let after = sources.flat_map(|file| file.text.match_indices("fn ").map(|(at, _)| &file.text[at + 3..]));
    after.filter_map(|rest| rest.split(|c: char| !(c.is_alphanumeric() || c == '_')).next()).collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::{files, messages};
    use super::*;

    fn found(page: &str) -> Vec<String> {
        messages(&check(&files(&[
            ("ARCHITECTURE.md", page),
            ("crates/core/src/plan/mod.rs", "fn a_plan_is_made() {}"),
        ])))
    }

    #[test]
    fn files_that_do_not_exist_are_found() {
        assert_eq!(found("See `crates/core/src/plan` and `crates/core/src/plan/mod`."), [""; 0]);
        assert_eq!(
            found("See `crates/core/src/planner`."),
            ["ARCHITECTURE.md:1: there is no crates/core/src/planner"]
        );
        assert_eq!(found("Add `crates/connectors/src/endpoints/<name>.rs`."), [""; 0]);
    }

    #[test]
    fn tests_that_do_not_exist_are_found() {
        assert_eq!(found("| I1 | Convergence | `a_plan_is_made` |"), [""; 0]);
        assert_eq!(found("| I1 | Convergence | `no_plan_is_made` |").len(), 1);
        assert_eq!(found("| A12 | a flood | it is dropped | `no_plan_is_made` |").len(), 1);
        assert_eq!(found("Elsewhere `no_plan_is_made` may stand."), [""; 0]);
    }
}
