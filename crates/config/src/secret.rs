//! Secrets: which keys hold them, how they are referred to, and how they stay out of every output.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::{ConfigError, Warning};
use crate::known::remember;
use crate::source::REDACTED;
use crate::suggest::quote;

/// Largest file that a `${file:…}` reference may name, in bytes.
const FILE_BYTES_MAX: u64 = 64 * 1024;

/// A value that no output shows: its `Debug` and `Display` print `[redacted]`.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Redacted<T>(T);

impl<T> Redacted<T> {
    /// Wraps a value.
    pub const fn new(value: T) -> Self {
        Self(value)
    }

    /// Takes the value out; from then on the caller keeps it secret.
    pub fn into_exposed(self) -> T {
        self.0
    }
}

impl<T> Deref for Redacted<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> fmt::Debug for Redacted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}

impl<T> fmt::Display for Redacted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}

/// Whether the value of a key of this name is probably a secret.
#[must_use]
pub fn is_secret_key(key: &str) -> bool {
    let key = key.to_lowercase().replace('-', "_");
    let tells_where = ["_file", "_path", "_env", "_url", "_id", "_name"].iter().any(|end| key.ends_with(end));
    let words = ["password", "passwd", "passphrase", "token", "secret", "credential"];
    !tells_where
        && (key.ends_with("_key")
            || matches!(key.as_str(), "apikey" | "webhook")
            || words.iter().any(|word| key.contains(word)))
}

/// A piece of a setting.
#[derive(Debug, PartialEq, Eq)]
enum Part<'a> {
    Literal(&'a str),
    Variable(&'a str),
    File(&'a str),
}

/// Splits a setting into literal text and references; `$${` stands for a literal `${`.
fn parts(text: &str) -> Result<Vec<Part<'_>>, String> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        if rest[..at].ends_with('$') {
            parts.push(Part::Literal(&rest[..at - 1]));
            parts.push(Part::Literal("${"));
            rest = &rest[at + 2..];
            continue;
        }
        parts.push(Part::Literal(&rest[..at]));
        let Some(length) = rest[at..].find('}') else {
            return Err("a reference (`${…`) is not closed with `}`".into());
        };
        parts.push(reference(&rest[at + 2..at + length])?);
        rest = &rest[at + length + 1..];
    }
    parts.push(Part::Literal(rest));
    Ok(parts)
}

fn reference(inner: &str) -> Result<Part<'_>, String> {
    match inner.split_once(':') {
        Some(("env", name)) if !name.is_empty() && !name.contains(['=', '\0']) => Ok(Part::Variable(name)),
        Some(("file", path)) if !path.is_empty() && !path.contains('\0') => Ok(Part::File(path)),
        Some(("env" | "file", _)) => {
            Err(format!("the reference {} names nothing", quote(&format!("${{{inner}}}"))))
        }
        // What stands in an unknown reference may be a secret that somebody tried to hide: it is not repeated.
        Some(_) => {
            Err("a reference is of an unknown kind; `${env:NAME}` and `${file:PATH}` are known".into())
        }
        None => {
            Err("a reference does not say what it refers to; write `${env:NAME}` or `${file:PATH}`".into())
        }
    }
}

/// Why the references in a setting cannot be understood, when they cannot.
pub(crate) fn reference_problem(text: &str) -> Option<String> {
    parts(text).err()
}

/// Whether a setting is something else than what is written there: it holds a reference or an escaped one.
pub(crate) fn needs_resolution(text: &str) -> bool {
    text.contains("${")
}

/// Whether a setting holds a reference.
pub(crate) fn has_reference(text: &str) -> bool {
    parts(text).is_ok_and(|parts| parts.iter().any(|part| !matches!(part, Part::Literal(_))))
}

/// Whether a setting is a reference and nothing else, so that it may be shown.
pub(crate) fn is_reference(text: &str) -> bool {
    has_reference(text)
        && parts(text).is_ok_and(|parts| {
            parts.iter().all(|part| !matches!(part, Part::Literal(text) if !text.is_empty()))
        })
}

/// The names of the environment variables that a setting refers to.
pub(crate) fn variables(text: &str) -> Vec<&str> {
    let named = |part| match part {
        Part::Variable(name) => Some(name),
        Part::Literal(_) | Part::File(_) => None,
    };
    parts(text).unwrap_or_default().into_iter().filter_map(named).collect()
}

/// The files that a setting refers to.
pub(crate) fn files(text: &str) -> Vec<&str> {
    let named = |part| match part {
        Part::File(path) => Some(path),
        Part::Literal(_) | Part::Variable(_) => None,
    };
    parts(text).unwrap_or_default().into_iter().filter_map(named).collect()
}

/// A secret, which no log shows from now on.
fn known(secret: &str) -> &str {
    remember(secret);
    secret
}

/// Where references are looked up.
#[derive(Clone, Debug)]
pub(crate) struct Lookup {
    pub(crate) root: PathBuf,
    pub(crate) environment: Arc<Redacted<BTreeMap<String, String>>>,
}

impl Lookup {
    /// Replaces the references in a setting by what they refer to.
    pub(crate) fn resolve(&self, text: &str) -> Result<String, ConfigError> {
        let mut resolved = String::new();
        for part in parts(text).map_err(|problem| ConfigError::new("bad_reference", problem))? {
            match part {
                Part::Literal(text) => resolved.push_str(text),
                Part::Variable(name) => resolved.push_str(known(self.variable(name)?)),
                Part::File(path) => resolved.push_str(known(&self.file(path)?)),
            }
        }
        Ok(resolved)
    }

    fn variable(&self, name: &str) -> Result<&str, ConfigError> {
        match self.environment.get(name) {
            Some(value) if !value.is_empty() => Ok(value),
            found => {
                let state = if found.is_some() { "empty" } else { "not set" };
                let message = format!("the environment variable {name} of `${{env:{name}}}` is {state}");
                Err(ConfigError::new("secret_missing", message)
                    .with_hint(format!("set {name} in the environment of this process")))
            }
        }
    }

    fn file(&self, path: &str) -> Result<String, ConfigError> {
        let full = self.root.join(path);
        let problem = |what: String| {
            ConfigError::new("secret_missing", format!("the file of `${{file:{path}}}` {what}"))
                .with_hint(format!("put the secret on the first line of {}", full.display()))
        };
        let failed = |error: std::io::Error| match error.kind() {
            ErrorKind::NotFound => problem("does not exist".into()),
            _ => problem(format!("cannot be read: {error}")),
        };
        // Asked first, because opening a pipe would wait for its writer.
        let metadata = std::fs::metadata(&full).map_err(failed)?;
        if !metadata.is_file() {
            return Err(problem("is not a regular file".into()));
        }
        let mut content = String::new();
        File::open(&full)
            .and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_string(&mut content))
            .map_err(failed)?;
        if content.len() as u64 > FILE_BYTES_MAX {
            return Err(problem(format!("is too large (at most {FILE_BYTES_MAX} bytes)")));
        }
        match content.lines().next().map(str::trim) {
            Some(line) if !line.is_empty() => Ok(line.to_owned()),
            _ => Err(problem("has an empty first line".into())),
        }
    }

    /// Warns of every file that a setting refers to and every user of this machine may read.
    pub(crate) fn exposed_files(&self, text: &str) -> Vec<Warning> {
        files(text)
            .into_iter()
            .filter(|path| is_readable_by_all(&self.root.join(path)))
            .map(|path| Warning {
                code: "secret_exposed",
                message: format!("every user of this machine may read the file of `${{file:{path}}}`"),
                location: None,
                hint: Some(format!("chmod 600 {}", self.root.join(path).display())),
            })
            .collect()
    }
}

#[cfg(unix)]
fn is_readable_by_all(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(file).is_ok_and(|metadata| metadata.permissions().mode() & 0o004 != 0)
}

#[cfg(not(unix))]
fn is_readable_by_all(_file: &Path) -> bool {
    false
}
