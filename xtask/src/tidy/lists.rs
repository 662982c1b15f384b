//! What stands in a visible list is tested and documented.

use syn::visit::{self, Visit};

use super::{Finding, text};
use crate::repository::SourceFile;

const ENDPOINTS: &str = "crates/connectors/src/lib.rs";
const OPERATIONS: &str = "crates/service/src/lib.rs";
const SUMMARY: &str = "docs/src/SUMMARY.md";
const OPERATIONS_PAGE: &str = "docs/src/reference/operations.md";

/// Finds endpoints that the conformance suite or the guide leaves out, and operations that the guide leaves out.
pub(super) fn check(files: &[SourceFile]) -> Vec<Finding> {
    let mut found = Vec::new();
    if let Some(source) = text(files, ENDPOINTS) {
        let endpoints = entries(source, "ENDPOINTS");
        if endpoints.is_empty() {
            found.push(Finding::new(ENDPOINTS, 0, "the list `ENDPOINTS` is empty or missing"));
        }
        endpoints.iter().for_each(|name| endpoint(files, name, &mut found));
    }
    if let Some(source) = text(files, OPERATIONS) {
        let operations = entries(source, "OPERATIONS");
        if operations.is_empty() {
            found.push(Finding::new(OPERATIONS, 0, "the list `OPERATIONS` is empty or missing"));
        }
        let page = text(files, OPERATIONS_PAGE).unwrap_or_default();
        for name in operations.iter().filter(|name| !page.contains(&format!("`{name}`"))) {
            let message = format!("the operation `{name}` is not in {OPERATIONS_PAGE}");
            found.push(Finding::new(OPERATIONS, 0, message));
        }
    }
    found
}

fn endpoint(files: &[SourceFile], name: &str, found: &mut Vec<Finding>) {
    let conforms = format!("endpoints::{name}::");
    let tests = files.iter().filter(|file| file.path.starts_with("crates/connectors/tests/"));
    let mut suites = tests.filter(|file| file.path.contains("conformance"));
    if !suites.any(|file| file.text.contains(&conforms)) {
        let message = format!("the endpoint `{name}` is not in the conformance test");
        found.push(Finding::new(ENDPOINTS, 0, message));
    }
    let page = format!("docs/src/endpoints/{name}.md");
    if text(files, &page).is_none() {
        found.push(Finding::new(ENDPOINTS, 0, format!("the endpoint `{name}` has no page {page}")));
    } else if !text(files, SUMMARY).is_some_and(|summary| summary.contains(&format!("endpoints/{name}.md"))) {
        found.push(Finding::new(
            SUMMARY,
            0,
            format!("the page of the endpoint `{name}` is not in the summary"),
        ));
    }
}

/// The entries of a constant list of paths such as `endpoints::folder::KIND`: for each, the module that holds it.
fn entries(source: &str, list: &str) -> Vec<String> {
    struct Entries<'a> {
        list: &'a str,
        found: Vec<String>,
    }
    impl<'ast> Visit<'ast> for Entries<'_> {
        fn visit_item_const(&mut self, item: &'ast syn::ItemConst) {
            if item.ident == self.list {
                visit::visit_expr(self, &item.expr);
            }
        }

        fn visit_expr_path(&mut self, entry: &'ast syn::ExprPath) {
            let segments = &entry.path.segments;
            if let Some(at) = segments.len().checked_sub(2) {
                self.found.push(segments[at].ident.to_string());
            }
        }
    }
    let Ok(syntax) = syn::parse_file(source) else { return Vec::new() };
    let mut entries = Entries { list, found: Vec::new() };
    entries.visit_file(&syntax);
    entries.found
}

#[cfg(test)]
mod tests {
    use super::super::tests::{files, messages};
    use super::*;

    const LIST: &str = "pub const ENDPOINTS: &[Kind] = &[endpoints::folder::KIND];";
    const TEST: (&str, &str) =
        ("crates/connectors/tests/it/conformance.rs", "use x::endpoints::folder::FolderEndpoint;");
    const PAGE: (&str, &str) = ("docs/src/endpoints/folder.md", "# Folder");
    const LINK: (&str, &str) = (SUMMARY, "- [Folder](endpoints/folder.md)");

    fn found(given: &[(&str, &str)]) -> usize {
        messages(&check(&files(given))).len()
    }

    #[test]
    fn an_endpoint_must_be_tested_and_documented() {
        assert_eq!(found(&[(ENDPOINTS, LIST), TEST, PAGE, LINK]), 0);
        assert_eq!(found(&[(ENDPOINTS, LIST), PAGE, LINK]), 1);
        assert_eq!(found(&[(ENDPOINTS, LIST), TEST, LINK]), 1);
        assert_eq!(found(&[(ENDPOINTS, LIST), TEST, PAGE]), 1);
        assert_eq!(found(&[(ENDPOINTS, "pub const OTHER: u8 = 1;"), TEST, PAGE, LINK]), 1);
    }

    #[test]
    fn an_operation_must_be_documented() {
        let list = (OPERATIONS, "pub const OPERATIONS: &[Operation] = &[operations::start_run::OPERATION];");
        assert_eq!(found(&[list]), 1);
        assert_eq!(found(&[list, (OPERATIONS_PAGE, "| `start_run` | runs |")]), 0);
    }
}
