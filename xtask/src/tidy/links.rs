//! Links of the documentation lead somewhere, and every page can be found.

use std::collections::{BTreeMap, BTreeSet};

use super::Finding;
use crate::repository::SourceFile;

const GUIDE: &str = "docs/src/";
const SUMMARY: &str = "docs/src/SUMMARY.md";

/// Finds links to files or headings that are not there, and pages of the guide that the summary leaves out.
pub(super) fn check(files: &[SourceFile]) -> Vec<Finding> {
    let paths: BTreeSet<&str> = files.iter().map(|file| file.path.as_str()).collect();
    let pages: BTreeMap<&str, &str> = files
        .iter()
        .filter(|file| file.path.ends_with(".md"))
        .map(|file| (file.path.as_str(), file.text.as_str()))
        .collect();
    let mut found = Vec::new();
    let mut in_summary = BTreeSet::new();
    for (&page, text) in &pages {
        for (line, link) in links(text) {
            let (target, heading) = link.split_once('#').unwrap_or((&link, ""));
            let target = if target.is_empty() { page.to_owned() } else { resolve(page, target) };
            let is_folder = paths.iter().any(|path| path.starts_with(&format!("{target}/")));
            if !paths.contains(target.as_str()) && !is_folder {
                found.push(Finding::new(page, line, format!("the link {link:?} leads nowhere")));
                continue;
            }
            let there = pages.get(target.as_str());
            if !heading.is_empty() && there.is_some_and(|text| !headings(text).contains(heading)) {
                found.push(Finding::new(
                    page,
                    line,
                    format!("the link {link:?} names no heading of {target}"),
                ));
            }
            if page == SUMMARY {
                in_summary.insert(target);
            }
        }
    }
    let guide = pages.keys().filter(|page| page.starts_with(GUIDE) && **page != SUMMARY);
    for page in guide.filter(|page| !in_summary.contains(**page)) {
        found.push(Finding::new(*page, 0, format!("the page is not in {SUMMARY}: nobody finds it")));
    }
    found
}

/// The relative links of a page, with their lines; those that lead out of the repository are left out.
fn links(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (line, text) in prose(text) {
        for (at, _) in text.match_indices("](") {
            let link = text[at + 2..].split(')').next().unwrap_or_default();
            let outside = link.contains("://") || link.starts_with("mailto:");
            if !outside && !link.is_empty() {
                found.push((line, link.to_owned()));
            }
        }
    }
    found
}

/// The lines of a page that are not in a code block, from 1.
pub(super) fn prose(text: &str) -> Vec<(usize, &str)> {
    let mut in_code = false;
    let mut lines = Vec::new();
    for (index, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            in_code = !in_code;
        } else if !in_code {
            lines.push((index + 1, line));
        }
    }
    lines
}

/// The names under which the headings of a page can be linked to.
fn headings(text: &str) -> BTreeSet<String> {
    let lines = prose(text).into_iter().filter(|(_, line)| line.starts_with('#'));
    lines.map(|(_, line)| anchor(line.trim_start_matches('#').trim())).collect()
}

/// The anchor of a heading, as mdBook and the usual hosts make it.
fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.flat_map(char::to_lowercase).map(|c| if c == ' ' { '-' } else { c }).collect()
}

/// The path that `link` on the page `page` leads to.
fn resolve(page: &str, link: &str) -> String {
    let folder = page.rsplit_once('/').map_or("", |(folder, _)| folder);
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in link.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::super::tests::{files, messages};
    use super::*;

    #[test]
    fn links_that_lead_nowhere_are_found() {
        let given = files(&[
            ("README.md", "[a](docs/src/a.md) [b](docs/src/a.md#two-words) [c](https://example.org/x)\n"),
            ("docs/src/SUMMARY.md", "- [A](a.md)\n"),
            ("docs/src/a.md", "# Two words!\n[up](../../README.md) [here](#two-words)\n"),
        ]);
        assert_eq!(messages(&check(&given)), [""; 0]);
        let given = files(&[
            (
                "README.md",
                "text\n[a](docs/src/b.md) [b](docs/src/a.md#three) [c](#none)\n```\n[no](code)\n```\n",
            ),
            ("docs/src/SUMMARY.md", "- [A](a.md)\n"),
            ("docs/src/a.md", "# Two words\n"),
        ]);
        let found = messages(&check(&given));
        assert_eq!(found.len(), 3, "{found:?}");
        assert!(found[0].starts_with("README.md:2: the link \"docs/src/b.md\""), "{found:?}");
    }

    #[test]
    fn pages_outside_the_summary_are_found() {
        let given = files(&[("docs/src/SUMMARY.md", ""), ("docs/src/lost.md", "# Lost\n")]);
        assert_eq!(messages(&check(&given)).len(), 1);
    }
}
