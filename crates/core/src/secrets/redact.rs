//! Taking secrets out of content that is about to come in.

use std::collections::HashSet;
use std::ops::Range;

use super::rules::Shape;
use super::{
    Line, PROBE_BYTES, PatternError, SCAN_BYTES_MAX, Scanner, SecretFinding, fingerprint, is_binary,
};

/// What stands for the name of the rule in a placeholder.
const RULE: &str = "{rule}";
/// What stands in the place of a secret, unless something else is said.
const PLACEHOLDER: &str = "<redacted:{rule}>";
/// How often content is looked at again: what is put there may make more of what is beside it.
const ROUNDS_MAX: usize = 8;

/// Puts placeholders in the place of secrets.
///
/// It finds what a [`Scanner`] finds, whatever the content says of what is allowed, and besides every setting whose name is
/// that of a password, or one of those that a user calls secret. What it has been through has nothing left that it would
/// find: doing it twice is doing it once.
#[derive(Debug)]
pub struct Redactor {
    scanner: Scanner,
    /// One for each rule.
    placeholders: Vec<Vec<u8>>,
}

/// Content without its secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redacted {
    /// The content; `None` when nothing was found.
    pub content: Option<Vec<u8>>,
    /// What was found, by its place in the original. Of a setting that counts by its name alone there is no fingerprint: its
    /// value may be so short that it could be guessed from one.
    pub findings: Vec<SecretFinding>,
}

/// Why content cannot be freed of its secrets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It is larger than [`SCAN_BYTES_MAX`].
    #[error("it is larger than 8 MiB, too large to be searched for secrets")]
    TooLarge,
    /// It is binary, and what was found cannot be replaced without breaking it.
    #[error("it holds what looks like a secret, and is no text in which that could be replaced")]
    Binary,
    /// There is more to be found however often it is replaced.
    #[error("it cannot be freed of what looks like a secret: its placeholder looks like one itself")]
    Endless,
}

impl Redactor {
    /// A redactor with the built-in rules and the patterns `custom`, as [`Scanner::new`] has them. In `placeholder`, which is
    /// `<redacted:{rule}>` unless given, `{rule}` stands for what was found.
    ///
    /// # Errors
    /// As [`Scanner::new`].
    pub fn new(custom: &[String], placeholder: Option<&str>) -> Result<Self, PatternError> {
        let scanner = Scanner::with(custom, true)?;
        let placeholder = placeholder.unwrap_or(PLACEHOLDER);
        let names = scanner.rules.iter().map(|rule| &rule.name);
        // A pattern may hold any sign, and content must stay what it is: a document of JSON, for one.
        let kinds = names.map(|name| if name.starts_with("pattern ") { "custom" } else { name });
        let placeholders = kinds.map(|kind| placeholder.replace(RULE, kind).into_bytes()).collect();
        Ok(Self { scanner, placeholders })
    }

    /// The content without its secrets, but for those with a fingerprint in `allowed`.
    ///
    /// # Errors
    /// When that cannot be had, or cannot be known.
    pub fn redact(&self, content: &[u8], allowed: &HashSet<String>) -> Result<Redacted, Refusal> {
        if content.len() as u64 > SCAN_BYTES_MAX {
            return Err(Refusal::TooLarge);
        }
        if is_binary(content) {
            let clean = Redacted { content: None, findings: Vec::new() };
            return if self.is_clean(content, allowed) { Ok(clean) } else { Err(Refusal::Binary) };
        }
        let mut redacted = Redacted { content: None, findings: Vec::new() };
        for _ in 0..ROUNDS_MAX {
            let current = redacted.content.as_deref().unwrap_or(content);
            let found = self.found(current, allowed);
            if found.is_empty() {
                return Ok(redacted);
            }
            let next = self.replaced(current, &found);
            if redacted.content.is_none() {
                redacted.findings = self.findings(content, &found);
            }
            redacted.content = Some(next);
        }
        Err(Refusal::Endless)
    }

    /// Whether nothing is found in binary content.
    fn is_clean(&self, content: &[u8], allowed: &HashSet<String>) -> bool {
        if is_wide(content) {
            // Text in UTF-16 is text without its zero bytes, as far as secrets go.
            let narrow: Vec<u8> = content.iter().copied().filter(|byte| *byte != 0).collect();
            return self.found(&narrow, allowed).is_empty();
        }
        // Programs speak of passwords: only what looks like a secret itself counts.
        let found = self.found(content, allowed);
        found.iter().all(|found| self.scanner.rules[found.rule].shape == Shape::Setting)
    }

    /// What is to be replaced, in its order; what has been already is not.
    fn found(&self, content: &[u8], allowed: &HashSet<String>) -> Vec<Found> {
        let mut found = Vec::new();
        for (start, place) in self.scanner.places(content) {
            // The space around a key belongs to the lines beside it.
            let text = &content[start..place.end];
            let start = start + (text.len() - text.trim_ascii_start().len());
            let range = start..start + text.trim_ascii().len();
            let found_here = Found { range, rule: place.rule, bare: place.bare };
            if !self.is_placeholder(content, &found_here.range)
                && !allowed.contains(&self.fingerprint(content, &found_here))
            {
                found.push(found_here);
            }
        }
        found
    }

    fn fingerprint(&self, content: &[u8], found: &Found) -> String {
        fingerprint(&self.scanner.rules[found.rule].name, &content[found.range.clone()])
    }

    /// Whether a range lies in a placeholder.
    fn is_placeholder(&self, content: &[u8], range: &Range<usize>) -> bool {
        self.placeholders.iter().any(|placeholder| {
            let length = placeholder.len();
            let starts = range.end.saturating_sub(length)..=range.start;
            let mut starts = starts.filter(|start| start + length >= range.end);
            starts.any(|start| content[start..].starts_with(placeholder))
        })
    }

    fn replaced(&self, content: &[u8], found: &[Found]) -> Vec<u8> {
        let (mut replaced, mut copied) = (Vec::with_capacity(content.len()), 0);
        for Found { range, rule, bare } in found {
            let quote: &[u8] = if *bare { b"\"" } else { b"" };
            let parts = [&content[copied..range.start], quote, &self.placeholders[*rule], quote];
            replaced.extend(parts.concat());
            copied = range.end;
        }
        replaced.extend_from_slice(&content[copied..]);
        replaced
    }

    fn findings(&self, content: &[u8], found: &[Found]) -> Vec<SecretFinding> {
        let mut line = Line::first(content);
        let finding = |found: &Found| {
            line.advance(content, found.range.start);
            let is_plain = self.scanner.rules[found.rule].shape == Shape::Setting;
            SecretFinding {
                rule: self.scanner.rules[found.rule].name.clone(),
                line: line.number,
                column: u32::try_from(found.range.start - line.start + 1).unwrap_or(u32::MAX),
                fingerprint: if is_plain { String::new() } else { self.fingerprint(content, found) },
            }
        };
        found.iter().map(finding).collect()
    }
}

/// Whether content is text in UTF-16: every other byte of text in most languages is zero there, or nearly so.
fn is_wide(content: &[u8]) -> bool {
    let probe = &content[..content.len().min(PROBE_BYTES)];
    let zeros = |odd: usize| probe.iter().skip(odd).step_by(2).filter(|byte| **byte == 0).count();
    let most = zeros(0).max(zeros(1));
    content.starts_with(&[0xff, 0xfe]) || content.starts_with(&[0xfe, 0xff]) || most * 3 > probe.len()
}

/// Something to be replaced.
struct Found {
    range: Range<usize>,
    rule: usize,
    bare: bool,
}
