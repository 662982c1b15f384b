//! Which sections a document must have.

use std::fmt::Write as _;

use super::document::Heading;

/// Most numbered sections that a document can be asked for.
const SECTIONS_MAX: u32 = 1000;

/// The sections that a document must have, each once and in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Sections {
    /// Headings that begin with these numbers.
    Numbers(u32, u32),
    /// Headings with these texts, numbers in front of them left out.
    Names(Vec<String>),
}

impl Sections {
    /// Reads a range such as `0-23`.
    ///
    /// # Errors
    /// When it is none.
    pub(super) fn range(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!("`sections`: {text:?} is no range of numbers such as 0-23, with at most {SECTIONS_MAX}")
        };
        let (first, last) = text.split_once('-').ok_or_else(wrong)?;
        let number = |text: &str| text.trim().parse::<u32>().map_err(|_| wrong());
        let (first, last) = (number(first)?, number(last)?);
        if last < first || last - first >= SECTIONS_MAX {
            return Err(wrong());
        }
        Ok(Self::Numbers(first, last))
    }

    /// What is wrong with the headings of a document: the line, and what is to be said.
    pub(super) fn violations(&self, headings: &[Heading]) -> Vec<(usize, String)> {
        let wanted: Vec<String> = match self {
            Self::Numbers(first, last) => (*first..=*last).map(|number| number.to_string()).collect(),
            Self::Names(names) => names.iter().map(|name| name.trim().to_lowercase()).collect(),
        };
        let key = |heading: &Heading| match self {
            Self::Numbers(..) => heading.number.map(|number| number.to_string()),
            Self::Names(_) => Some(heading.title.to_lowercase()),
        };
        // Headings further down may begin with numbers too: the level at which the first section stands counts.
        let is_wanted = |heading: &&Heading| key(heading).is_some_and(|key| wanted.contains(&key));
        let level = headings.iter().filter(is_wanted).map(|heading| heading.level).min();
        let found: Vec<(usize, &Heading)> = headings
            .iter()
            .filter(|heading| Some(heading.level) == level)
            .filter_map(|heading| {
                Some((wanted.iter().position(|name| Some(name) == key(heading).as_ref())?, heading))
            })
            .collect();
        let mut said = Vec::new();
        let (mut seen, mut highest): (Vec<Option<usize>>, Option<(usize, usize)>) =
            (vec![None; wanted.len()], None);
        for (at, heading) in found {
            let (name, line) = (&wanted[at], heading.line);
            if let Some(first) = seen[at] {
                said.push((line, format!("section {name} stands here again; it is in line {first} already")));
            } else if let Some((above, there)) = highest.filter(|(above, _)| *above > at) {
                let above = &wanted[above];
                said.push((
                    line,
                    format!("section {name} comes after section {above} of line {there}: put it before"),
                ));
            }
            seen[at].get_or_insert(line);
            if highest.is_none_or(|(above, _)| at > above) {
                highest = Some((at, line));
            }
        }
        let mut last = 1;
        for (name, line) in wanted.iter().zip(seen) {
            match line {
                Some(line) => last = line,
                None => said.push((last, missing(name, last))),
            }
        }
        said.sort();
        said
    }
}

fn missing(name: &str, line: usize) -> String {
    let mut said = format!("section {name} is missing");
    if line > 1 {
        let _ = write!(said, ": it belongs after the section of line {line}");
    }
    said
}

#[cfg(test)]
mod tests {
    use super::super::document::Document;
    use super::*;

    fn said(sections: &Sections, text: &str) -> Vec<(usize, String)> {
        sections.violations(&Document::parse(text).headings)
    }

    #[test]
    fn numbered_sections_stand_once_and_in_order() {
        let sections = Sections::range("0-3").unwrap();
        let good = "# Claude\n\n## 0. Start\n## 1) One\n### 1.1 Deeper\n### 2 steps\n## 2: Two\n## Section 3 - Three\n";
        assert_eq!(said(&sections, good), []);
        let bad = "## 0. Start\n## 2. Two\n## 1. One\n## 2. Two\n";
        let lines: Vec<usize> = said(&sections, bad).iter().map(|(line, _)| *line).collect();
        assert_eq!(lines, [2, 3, 4], "{:?}", said(&sections, bad));
        assert!(said(&sections, bad).iter().any(|(_, text)| text.contains("section 3 is missing")));
        assert_eq!(said(&sections, "").len(), 4);
        assert_eq!(
            said(&sections, "```\n## 0. x\n## 1. x\n## 2. x\n## 3. x\n```\n").len(),
            4,
            "code has no headings"
        );
    }

    #[test]
    fn named_sections_stand_once_and_in_order() {
        let sections = Sections::Names(vec!["Goals".into(), "MCP servers".into()]);
        assert_eq!(said(&sections, "# goals\n# 2. MCP Servers\n"), []);
        assert_eq!(said(&sections, "# MCP servers\n# Goals\n").len(), 1);
        assert_eq!(said(&sections, "# Goals\n").len(), 1);
    }
}
