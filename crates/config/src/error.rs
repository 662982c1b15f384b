//! Errors and warnings that point at the place in the file, and print the way `rustc` does.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

/// Where a value was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// A place in a file.
    File {
        /// The file, as it was named to [`crate::load`].
        file: Arc<Path>,
        /// The line, counted from 1.
        line: u32,
        /// The column in characters, counted from 1.
        column: u32,
    },
    /// An environment variable.
    Variable(Arc<str>),
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { file, line, column } => write!(f, "{}:{line}:{column}", file.display()),
            Self::Variable(name) => write!(f, "the environment variable {name}"),
        }
    }
}

/// The line that holds the trouble, safe to show: control characters replaced, secrets masked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snippet {
    /// The line, cropped when it is long.
    pub text: String,
    /// How many characters of `text` stand before the trouble.
    pub indent: usize,
    /// How many characters the trouble is long; at least one.
    pub width: usize,
}

/// One thing that is wrong with the configuration. It never holds the value of a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// A stable code, such as `unknown_key`.
    pub code: &'static str,
    /// What is wrong, as a lower-case fragment.
    pub message: String,
    /// Where, when one place can be named.
    pub location: Option<Location>,
    /// The line at that place.
    pub snippet: Option<Box<Snippet>>,
    /// What to do about it, as a lower-case fragment.
    pub hint: Option<String>,
}

impl ConfigError {
    /// Makes an error that points nowhere.
    #[must_use]
    pub fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), location: None, snippet: None, hint: None }
    }

    /// Adds what to do about it.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<Option<String>>) -> Self {
        self.hint = hint.into();
        self
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}", self.message)?;
        write_place(f, self.location.as_ref(), self.snippet.as_deref())?;
        match &self.hint {
            Some(hint) => write!(f, "\n  = help: {hint}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for ConfigError {}

fn write_place(f: &mut fmt::Formatter<'_>, at: Option<&Location>, snippet: Option<&Snippet>) -> fmt::Result {
    let Some(at) = at else { return Ok(()) };
    write!(f, "\n  --> {at}")?;
    if let (Location::File { line, .. }, Some(snippet)) = (at, snippet) {
        let number = line.to_string();
        let margin = " ".repeat(number.len());
        let (indent, carets) = (" ".repeat(snippet.indent), "^".repeat(snippet.width));
        write!(f, "\n {margin} |\n {number} | {}\n {margin} | {indent}{carets}", snippet.text)?;
    }
    Ok(())
}

/// Everything that is wrong with the configuration: never empty, and nothing of the file was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigErrors(Vec<ConfigError>);

impl ConfigErrors {
    /// `Err` with the errors, or `Ok` when there are none.
    pub(crate) fn check(errors: Vec<ConfigError>) -> Result<(), Self> {
        if errors.is_empty() { Ok(()) } else { Err(Self(errors)) }
    }

    /// The errors, in the order in which they stand in the file.
    pub fn iter(&self) -> std::slice::Iter<'_, ConfigError> {
        self.0.iter()
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.len()
    }
}

impl From<ConfigError> for ConfigErrors {
    fn from(error: ConfigError) -> Self {
        Self(vec![error])
    }
}

impl IntoIterator for ConfigErrors {
    type Item = ConfigError;
    type IntoIter = std::vec::IntoIter<ConfigError>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'a> IntoIterator for &'a ConfigErrors {
    type Item = &'a ConfigError;
    type IntoIter = std::slice::Iter<'a, ConfigError>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "\n\n" };
            write!(f, "{separator}{error}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}

/// Something that is allowed but probably not meant. It never holds the value of a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// A stable code, such as `literal_secret`.
    pub code: &'static str,
    /// What was found, as a lower-case fragment.
    pub message: String,
    /// Where, when one place can be named.
    pub location: Option<Location>,
    /// What to do about it, as a lower-case fragment.
    pub hint: Option<String>,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "warning: {}", self.message)?;
        write_place(f, self.location.as_ref(), None)?;
        match &self.hint {
            Some(hint) => write!(f, "\n  = help: {hint}"),
            None => Ok(()),
        }
    }
}
