//! Secrets: finds what looks like one in content that is about to leave.
//!
//! Three kinds of rules look at the content: formats of tokens that are publicly known, what users add, and whatever is
//! assigned to a name such as `password`. A finding never holds what was found: only where it is, and a fingerprint by
//! which it can be allowed.

mod redact;
mod rules;
mod values;

use std::collections::BTreeMap;

use regex::bytes::{Regex, RegexSet};

pub use redact::{Redacted, Redactor, Refusal};
use rules::{Rule, Shape};
use values::Value;

/// The largest content that is looked at, in bytes.
pub const SCAN_BYTES_MAX: u64 = 8 * 1024 * 1024;
/// What allows the secrets of its line.
pub const ALLOW_MARKER: &str = "syncline:allow-secret";
/// Content with a zero byte among so many at its beginning is binary, as it is for Git.
const PROBE_BYTES: usize = 8000;

/// Looks for secrets.
#[derive(Debug)]
pub struct Scanner {
    rules: Vec<Rule>,
    /// Which of the rules have anything to look at, in one pass.
    any: RegexSet,
}

/// Something that looks like a secret. It does not hold the secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretFinding {
    /// The name of the rule that found it.
    pub rule: String,
    /// Its line, counted from 1.
    pub line: u32,
    /// The byte of the line at which it begins, counted from 1.
    pub column: u32,
    /// 32 hexadecimal digits that stand for the rule and the secret: the first half of a BLAKE3 digest of both.
    pub fingerprint: String,
}

/// A pattern of a user cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the pattern cannot be used: {message}")]
pub struct PatternError {
    /// Which of the patterns, counted from 0.
    pub index: usize,
    /// What is wrong with it.
    pub message: String,
}

/// Where a secret ends that stands in the content, and which rule found it.
struct Place {
    end: usize,
    rule: usize,
    /// Whether text put there must be quoted, since its value is not and its name is, as a number is in JSON.
    bare: bool,
}

impl Scanner {
    /// A scanner with the built-in rules, and one for each of the patterns `custom`.
    ///
    /// A pattern of nothing but letters, digits, `_`, `-`, `.*`, `.+`, `(`, `|` and `)` is the *name* of a secret, in
    /// either case: it finds what is assigned to a name in which it occurs, and no mention of it. Any other pattern is a
    /// regular expression for the secret itself, or for something beside which it stands as the group `secret`.
    ///
    /// # Errors
    /// When one of the patterns is no regular expression, or would find nothing at all everywhere.
    pub fn new(custom: &[String]) -> Result<Self, PatternError> {
        Self::with(custom, false)
    }

    /// As [`Scanner::new`]; one that is `strict` also finds every setting whose name is that of a secret, whatever its value.
    fn with(custom: &[String], strict: bool) -> Result<Self, PatternError> {
        let mut rules = rules::known().map_err(|error| failed(0, &error))?;
        for (index, pattern) in custom.iter().enumerate() {
            if strict {
                rules.extend(rules::setting(pattern).map_err(|error| failed(index, &error))?);
            }
            rules.push(rules::custom(pattern).map_err(|error| failed(index, &error))?);
        }
        if strict {
            rules.push(rules::password_setting().map_err(|error| failed(0, &error))?);
        }
        rules.extend(rules::generic().map_err(|error| failed(0, &error))?);
        let any = RegexSet::new(rules.iter().map(|rule| rule.regex.as_str()));
        Ok(Self { any: any.map_err(|error| failed(0, &error))?, rules })
    }

    /// Everything in `content` that looks like a secret, in its order.
    ///
    /// Binary content and what is larger than [`SCAN_BYTES_MAX`] is not looked at, nor are lines that hold
    /// [`ALLOW_MARKER`].
    #[must_use]
    pub fn scan(&self, content: &[u8]) -> Vec<SecretFinding> {
        if content.len() as u64 > SCAN_BYTES_MAX || is_binary(content) {
            return Vec::new();
        }
        self.findings(&self.places(content), content)
    }

    /// Where the secrets stand, whatever the content is.
    fn places(&self, content: &[u8]) -> BTreeMap<usize, Place> {
        // What two rules find belongs to the one that knows more, which comes first.
        let mut places: BTreeMap<usize, Place> = BTreeMap::new();
        for rule in &self.any.matches(content) {
            let Rule { regex, shape, .. } = &self.rules[rule];
            let shape = *shape;
            let mut at = 0;
            while let Some((value, next)) = find(regex, shape, content, at) {
                let last_before = places.range(..value.end).next_back();
                let is_free = last_before.is_none_or(|(_, other)| other.end <= value.start);
                if is_free && shape.accepts(content, &value) {
                    let bare = shape == Shape::Setting && !value.quoted && value.named_in_quotes;
                    places.insert(value.start, Place { end: value.end, rule, bare });
                }
                at = next;
            }
        }
        places
    }

    fn findings(&self, places: &BTreeMap<usize, Place>, content: &[u8]) -> Vec<SecretFinding> {
        let mut findings = Vec::new();
        let mut line = Line::first(content);
        for (&start, place) in places {
            line.advance(content, start);
            if line.allowed {
                continue;
            }
            let rule = &self.rules[place.rule].name;
            findings.push(SecretFinding {
                rule: rule.clone(),
                line: line.number,
                column: u32::try_from(start - line.start + 1).unwrap_or(u32::MAX),
                fingerprint: fingerprint(rule, &content[start..place.end]),
            });
        }
        findings
    }
}

/// A line of some content.
struct Line {
    number: u32,
    start: usize,
    end: usize,
    /// Whether it says that its secrets are none.
    allowed: bool,
}

impl Line {
    fn first(content: &[u8]) -> Self {
        Self::at(content, 1, 0)
    }

    fn at(content: &[u8], number: u32, start: usize) -> Self {
        let rest = &content[start..];
        let length = rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
        let marker = ALLOW_MARKER.as_bytes();
        let allowed = rest[..length].windows(marker.len()).any(|window| window == marker);
        Self { number, start, end: start + length, allowed }
    }

    /// Goes on to the line of a byte that is not before this line.
    fn advance(&mut self, content: &[u8], byte: usize) {
        let (mut number, mut start) = (self.number, self.start);
        if byte <= self.end {
            return;
        }
        for (offset, _) in
            content[..byte].iter().enumerate().skip(self.end).filter(|(_, byte)| **byte == b'\n')
        {
            number = number.saturating_add(1);
            start = offset + 1;
        }
        *self = Self::at(content, number, start);
    }
}

/// Whether content is binary, as Git would say.
fn is_binary(content: &[u8]) -> bool {
    content[..content.len().min(PROBE_BYTES)].contains(&0)
}

/// Checks that a pattern of a user can be used.
///
/// # Errors
/// As [`Scanner::new`], without its index.
pub fn check_pattern(pattern: &str) -> Result<(), PatternError> {
    rules::custom(pattern).map(drop).map_err(|error| failed(0, &error))
}

fn failed(index: usize, error: &impl std::fmt::Display) -> PatternError {
    PatternError { index, message: error.to_string() }
}

/// The next value from `at` on that may be a secret, and where to look for the one after it.
fn find(regex: &Regex, shape: Shape, content: &[u8], at: usize) -> Option<(Value, usize)> {
    if at > content.len() {
        return None;
    }
    if shape == Shape::Setting {
        let name = regex.find_at(content, at)?;
        return Some((values::setting(content, name.range()), name.end()));
    }
    if shape.is_assignment() {
        let name = regex.find_at(content, at)?;
        return Some((values::assigned(content, name.end()), name.end()));
    }
    let captures = regex.captures_at(content, at)?;
    let whole = captures.get(0)?;
    let secret = captures.name("secret").unwrap_or(whole);
    let (start, end) = (secret.start(), secret.end());
    let value = Value { start, end, quoted: true, alone: true, tight: true, named_in_quotes: false };
    Some((value, whole.end().max(at + 1)))
}

/// What stands for a secret in a list of those that are allowed; the rule belongs to it, so that the same text found for
/// another reason is another finding.
fn fingerprint(rule: &str, secret: &[u8]) -> String {
    let mut hasher = blake3::Hasher::new_derive_key("syncline 2026 secret fingerprint 1");
    hasher.update(rule.as_bytes()).update(&[0]).update(secret);
    hasher.finalize().to_hex()[..32].to_owned()
}
