//! The text of the file, and how a line of it is shown without giving a secret away.

use std::path::Path;
use std::sync::Arc;

use crate::error::{ConfigError, Location, Snippet, Warning};
use crate::secret::is_secret_key;

/// Longest line that is shown, in characters.
const LINE_MAX: usize = 100;
/// How many characters stay before the trouble when a line is cropped.
const LINE_BEFORE: usize = 40;

/// What stands in the place of what is not shown.
pub(crate) const REDACTED: &str = "[redacted]";

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Mark {
    /// From the file: line and column from 1, width in characters.
    File { line: u32, column: u32, width: u32 },
    /// From an environment variable.
    Variable(Arc<str>),
}

/// The file and its text.
#[derive(Debug)]
pub(crate) struct Source<'a> {
    file: Arc<Path>,
    lines: Vec<&'a str>,
    /// Where values stand that no message may show, once the text was understood. Before that it is guessed.
    private: Option<Vec<Mark>>,
}

impl<'a> Source<'a> {
    pub(crate) fn new(file: &Path, text: &'a str) -> Self {
        Self { file: file.into(), lines: text.lines().collect(), private: None }
    }

    /// From now on no snippet shows the values at `marks`.
    pub(crate) fn protect(&mut self, marks: Vec<Mark>) {
        self.private = Some(marks);
    }

    /// An error at `mark`.
    pub(crate) fn error(&self, mark: &Mark, code: &'static str, message: impl Into<String>) -> ConfigError {
        ConfigError {
            location: Some(self.location(mark)),
            snippet: self.snippet(mark).map(Box::new),
            ..ConfigError::new(code, message)
        }
    }

    /// A warning at `mark`.
    pub(crate) fn warning(&self, mark: &Mark, code: &'static str, message: String, hint: &str) -> Warning {
        Warning { code, message, location: Some(self.location(mark)), hint: Some(hint.to_owned()) }
    }

    pub(crate) fn location(&self, mark: &Mark) -> Location {
        match mark {
            Mark::File { line, column, .. } => {
                Location::File { file: Arc::clone(&self.file), line: *line, column: *column }
            }
            Mark::Variable(name) => Location::Variable(Arc::clone(name)),
        }
    }

    /// A line of the file, counted from 1.
    pub(crate) fn line(&self, number: u32) -> Option<&'a str> {
        self.lines.get((number as usize).checked_sub(1)?).copied()
    }

    /// The mark, or the end of the file when it lies behind that.
    pub(crate) fn clamped(&self, mark: Mark) -> Mark {
        match mark {
            Mark::File { line, .. } if line as usize > self.lines.len() && !self.lines.is_empty() => {
                let column = self.lines.last().map_or(0, |line| line.chars().count()) + 1;
                let number = |value| u32::try_from(value).unwrap_or(u32::MAX);
                Mark::File { line: number(self.lines.len()), column: number(column), width: 1 }
            }
            mark => mark,
        }
    }

    fn snippet(&self, mark: &Mark) -> Option<Snippet> {
        let Mark::File { line, column, width } = mark else {
            return None;
        };
        let (masked, column) = self.masked(*line, (*column as usize).saturating_sub(1))?;
        let shown: Vec<char> = masked.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        let column = column.min(shown.len());
        let start = if shown.len() <= LINE_MAX { 0 } else { column.saturating_sub(LINE_BEFORE) };
        let end = shown.len().min(start + LINE_MAX);
        let width = (*width as usize).clamp(1, (end.max(column) - column).max(1));
        let text: String = shown[start..end].iter().collect();
        Some(Snippet { text: text.trim_end().to_owned(), indent: column - start, width })
    }

    /// The line without the values that no message may show, and where the character at `column` is now.
    fn masked(&self, number: u32, column: usize) -> Option<(String, usize)> {
        let line = self.line(number)?;
        let Some(private) = &self.private else {
            return Some((self.guessed(number, line), column));
        };
        let mut shown: Vec<char> = line.chars().collect();
        let mut spans: Vec<(usize, usize)> =
            private.iter().filter_map(|mark| self.span_on(mark, number)).collect();
        spans.sort_unstable();
        spans.dedup();
        let mut column = column;
        for (start, end) in spans.into_iter().rev() {
            let end = end.min(shown.len());
            if start >= end {
                continue;
            }
            shown.splice(start..end, REDACTED.chars());
            if column >= end {
                column = column + REDACTED.len() - (end - start);
            } else if column > start {
                column = start;
            }
        }
        Some((mask_url_password(&String::from_iter(shown)), column))
    }

    /// The part of line `number` that the value at `mark` covers; it may have started on a line above.
    fn span_on(&self, mark: &Mark, number: u32) -> Option<(usize, usize)> {
        let Mark::File { line, column, width } = mark else {
            return None;
        };
        let (mut start, mut left) = (*column as usize - 1, *width as usize);
        for above in *line..number {
            left = left.checked_sub((self.line(above)?.chars().count() + 1).saturating_sub(start))?;
            start = 0;
        }
        (*line <= number && left > 0).then_some((start, start + left))
    }

    /// The line of a text that could not be understood, with everything replaced that may be a secret: what
    /// follows a key that looks like one, what stands below such a key, and the password of an URL.
    fn guessed(&self, number: u32, line: &str) -> String {
        if self.is_below_secret(number) {
            let indent: String = line.chars().take_while(|c| c.is_whitespace()).collect();
            return format!("{indent}{REDACTED}");
        }
        let line = match secret_key_end(line) {
            Some(end) if !line[end..].trim().is_empty() => format!("{} {REDACTED}", &line[..end]),
            _ => line.to_owned(),
        };
        mask_url_password(&line)
    }

    /// Whether a line above, indented less, ends in a key that looks like a secret: a block scalar, say.
    fn is_below_secret(&self, number: u32) -> bool {
        let indent = |line: &str| line.chars().take_while(|c| *c == ' ').count();
        let mut least = self
            .line(number)
            .map_or(0, |line| if line.trim().is_empty() { usize::MAX } else { indent(line) });
        // In broken YAML, indentation says little: a key without a value on the line before is enough.
        let before =
            (1..number).rev().filter_map(|above| self.line(above)).find(|line| !line.trim().is_empty());
        if before.is_some_and(|line| secret_key_end(line).is_some_and(|end| line[end..].trim().is_empty())) {
            return true;
        }
        for above in (1..number).rev().filter_map(|above| self.line(above)) {
            if above.trim().is_empty() || indent(above) >= least {
                continue;
            }
            if secret_key_end(above).is_some() {
                return true;
            }
            least = indent(above);
        }
        false
    }
}

/// Where the value of the first key that looks like a secret starts in a line of YAML.
fn secret_key_end(line: &str) -> Option<usize> {
    line.match_indices(':').find_map(|(at, _)| {
        let key = line[..at].trim_end().trim_end_matches(['"', '\'']);
        let start = key
            .rfind(|c: char| !c.is_alphanumeric() && c != '_' && c != '-')
            .map_or(0, |index| index + key[index..].chars().next().map_or(1, char::len_utf8));
        is_secret_key(&key[start..]).then_some(at + 1)
    })
}

/// Replaces the password in `scheme://user:password@host`.
pub(crate) fn mask_url_password(text: &str) -> String {
    let mut masked = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        masked.push_str(before);
        let authority = after.find(['/', ' ', '"', '\'', ',', '}']).unwrap_or(after.len());
        match (after[..authority].find(':'), after[..authority].rfind('@')) {
            (Some(colon), Some(end)) if colon < end => {
                masked.push_str(&after[..=colon]);
                masked.push_str(REDACTED);
                rest = &after[end..];
            }
            _ => rest = after,
        }
    }
    masked + rest
}
