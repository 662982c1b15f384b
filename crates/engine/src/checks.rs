//! Checks: what decides whether a run may begin, and whether what it did may stay. A check is a command of a user, or one
//! that Syncline makes itself.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use syncline_core::secrets::Scanner;
use syncline_core::{Builtin, Expectation, Filter};

use crate::builtins;
use crate::process::{Call, End, Finished, Limits, What};
use crate::scratch::{Copying, Scratch, blocking};
use crate::secrets::SecretScan;

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
    /// By what it is checked.
    pub means: Means,
    /// What it must come to.
    pub expectation: Expectation,
    /// Whether what was done stays although it fails.
    pub keep: bool,
    /// Whether a command may change what it looks at: then it is given a copy.
    pub in_copy: bool,
}

/// By what something is checked.
#[derive(Clone, Debug)]
pub enum Means {
    /// A line for the shell.
    Command(String),
    /// A check that Syncline makes itself; of these files of the workspace, or of those of the target.
    Builtin(Builtin, Option<Arc<Filter>>),
}

/// Where checks are made.
#[derive(Clone, Debug, Default)]
pub struct Ground {
    /// The workspace, or a copy of it.
    pub root: PathBuf,
    /// What commands find in their environment besides the usual.
    pub environment: BTreeMap<String, String>,
    /// Where alone commands may write, where the system can see to that; `None` for everywhere.
    pub writable: Option<Vec<PathBuf>>,
    /// How much a command may take.
    pub limits: Limits,
    /// What belongs to the target.
    pub own: Own,
}

/// What belongs to a target, for the checks that Syncline makes itself.
#[derive(Clone, Debug, Default)]
pub struct Own {
    /// Its folder, relative to the workspace; empty for the whole of it.
    pub folder: String,
    /// Which paths of the folder belong to it.
    pub filter: Arc<Filter>,
    /// What counts as a secret in them.
    pub secrets: Arc<SecretScan>,
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

impl Check {
    /// Makes the check on this ground; a command that may change what it looks at, on a copy of it.
    pub(crate) async fn make_on(&self, ground: &Ground, copying: impl FnOnce() -> Copying) -> Checked {
        let is_command = matches!(self.means, Means::Command(_));
        if !(self.in_copy && is_command) {
            return self.make(ground).await;
        }
        let (copying, from) = (copying(), ground.root.clone());
        match blocking(move || Scratch::copy(&copying, &from)).await {
            Ok(scratch) => {
                let mut environment = ground.environment.clone();
                environment.extend(scratch.environment());
                let writable = Some(scratch.writable());
                let copy = Ground { root: scratch.root(), environment, writable, ..ground.clone() };
                self.make(&copy).await
            }
            Err(error) => {
                let hint = error.hint().map(|hint| format!("; {hint}")).unwrap_or_default();
                self.checked(Some(format!("could not be started: {error}{hint}")), Duration::ZERO)
            }
        }
    }

    async fn make(&self, ground: &Ground) -> Checked {
        let command = match &self.means {
            Means::Command(command) => command,
            Means::Builtin(builtin, paths) => {
                let began = Instant::now();
                let failure = builtins::make(*builtin, ground, paths.clone()).await.err();
                return self.checked(failure, began.elapsed());
            }
        };
        let mut environment = kept_environment();
        environment.extend(ground.environment.clone());
        let limits = ground.limits;
        let call = Call {
            what: What::Shell(command.clone()),
            folder: ground.root.clone(),
            environment,
            limits,
            writable: ground.writable.clone(),
            held: None,
        };
        match call.run().await {
            Ok(finished) => self.checked(failure(self, command, &finished, &limits), finished.duration),
            Err(error) => self.checked(Some(format!("could not be started: {error}")), Duration::ZERO),
        }
    }

    fn checked(&self, failure: Option<String>, duration: Duration) -> Checked {
        let command = match &self.means {
            Means::Command(command) => shown(command),
            Means::Builtin(builtin, _) => Some(builtin.name().to_owned()),
        };
        // Without its words: only a script knows which of them are secret.
        tracing::debug!(check = self.name, phase = self.phase, command, passed = failure.is_none(), took = ?duration, "a check was made");
        Checked { name: self.name.clone(), phase: self.phase, failure, keep: self.keep, duration }
    }
}

fn failure(check: &Check, command: &str, finished: &Finished, limits: &Limits) -> Option<String> {
    let End::Exited(code) = finished.end else {
        return Some(finished.end.describe(limits));
    };
    let printed = String::from_utf8_lossy(&finished.out);
    let failure = check.expectation.failure(code, &printed)?;
    let words = finished.last_words(LAST_LINES);
    let said = if words.is_empty() { String::new() } else { format!("; it said: {words}") };
    let command = shown(command).map(|command| format!("; its command is `{command}`"));
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

    #[tokio::test]
    async fn a_command_that_hangs_is_ended_and_fails() {
        let folder = tempfile::tempdir().unwrap();
        let limits = Limits { time: Duration::from_millis(200), ..Limits::default() };
        for in_copy in [false, true] {
            let check = Check {
                name: "Hangs".into(),
                phase: "drift",
                means: Means::Command("sleep 1000 & sleep 1000".into()),
                expectation: Expectation::default(),
                keep: false,
                in_copy,
            };
            let ground = Ground { root: folder.path().to_owned(), limits, ..Ground::default() };
            let copying = || Copying { above: Some(folder.path().join("scratch")), ..Copying::default() };
            let checked = check.make_on(&ground, copying).await;
            assert!(checked.failure.unwrap().starts_with("was ended after"));
        }
        assert_eq!(std::fs::read_dir(folder.path().join("scratch")).unwrap().count(), 0);
    }
}
