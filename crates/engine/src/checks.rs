//! Checks: commands whose outcome decides whether a run may begin, and whether what it did may stay.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use syncline_core::Expectation;
use syncline_core::secrets::Scanner;

use crate::process::{Call, End, Finished, Limits, What};

/// How much of what a failed check said is shown.
const LAST_LINES: usize = 4;
/// How much of the command of a failed check is shown, in characters.
const COMMAND_CHARS_MAX: usize = 200;
/// What every program has of the environment of Syncline itself.
const KEPT: &[&str] = &["PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "TZ", "SystemRoot"];

/// A check.
#[derive(Clone, Debug)]
pub struct Check {
    /// What people know it by.
    pub name: String,
    /// When it is made: a word for reports.
    pub phase: &'static str,
    /// A line for the shell.
    pub command: String,
    /// What it must come to.
    pub expectation: Expectation,
    /// Whether what was done stays although it fails.
    pub keep: bool,
    /// Whether it may change what it looks at: then it is given a copy.
    pub in_copy: bool,
}

/// What a check came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checked {
    /// What people know it by.
    pub name: String,
    /// When it was made.
    pub phase: &'static str,
    /// Why it failed; `None` when it passed.
    pub failure: Option<String>,
    /// Whether what was done stays although it failed.
    pub keep: bool,
    /// How long it took.
    pub duration: Duration,
}

impl Checked {
    /// Whether what was done must not stay.
    #[must_use]
    pub const fn forbids(&self) -> bool {
        self.failure.is_some() && !self.keep
    }
}

/// What programs have of the environment of Syncline itself.
pub(crate) fn kept_environment() -> BTreeMap<String, String> {
    KEPT.iter().filter_map(|name| Some(((*name).to_owned(), std::env::var(name).ok()?))).collect()
}

/// Makes a check in `folder`, with more than the usual environment.
pub async fn make(check: &Check, folder: &Path, environment: &BTreeMap<String, String>) -> Checked {
    let mut all = kept_environment();
    all.extend(environment.clone());
    let limits = Limits::default();
    let call = Call {
        what: What::Shell(check.command.clone()),
        folder: PathBuf::from(folder),
        environment: all,
        limits,
        writable: None,
    };
    let (failure, duration) = match call.run().await {
        Ok(finished) => (failure(check, &finished, &limits), finished.duration),
        Err(error) => (Some(format!("could not be started: {error}")), Duration::ZERO),
    };
    // Without its words: only a script knows which of them are secret.
    tracing::debug!(check = check.name, phase = check.phase, command = shown(&check.command), passed = failure.is_none(), took = ?duration, "a check was made");
    Checked { name: check.name.clone(), phase: check.phase, failure, keep: check.keep, duration }
}

fn failure(check: &Check, finished: &Finished, limits: &Limits) -> Option<String> {
    let End::Exited(code) = finished.end else {
        return Some(finished.end.describe(limits));
    };
    let printed = String::from_utf8_lossy(&finished.out);
    let failure = check.expectation.failure(code, &printed)?;
    let words = finished.last_words(LAST_LINES);
    let said = if words.is_empty() { String::new() } else { format!("; it said: {words}") };
    let command = shown(&check.command).map(|command| format!("; its command is `{command}`"));
    Some(format!("{failure}{said}{}", command.unwrap_or_default()))
}

/// The beginning of a command, on one line; `None` when something in it looks like a secret.
fn shown(command: &str) -> Option<String> {
    let scanner = Scanner::new(&[]).ok()?;
    if !scanner.scan(command.as_bytes()).is_empty() {
        return None;
    }
    let words: Vec<&str> = command.split_whitespace().collect();
    let line = words.join(" ");
    Some(match line.char_indices().nth(COMMAND_CHARS_MAX) {
        Some((at, _)) => format!("{}…", &line[..at]),
        None => line,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_shown_in_part_and_never_with_a_secret() {
        assert_eq!(shown("find addons\n  -name x | wc -l").as_deref(), Some("find addons -name x | wc -l"));
        assert_eq!(shown(&"é".repeat(1000)).map(|shown| shown.chars().count()), Some(COMMAND_CHARS_MAX + 1));
        let token = concat!("ghp_", "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8");
        assert_eq!(shown(&format!("curl -H 'Authorization: Bearer {token}' https://api.example")), None);
    }
}
