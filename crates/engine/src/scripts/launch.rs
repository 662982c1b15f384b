//! Starting a script.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use syncline_connect::{Error, ErrorKind, Result};
use syncline_core::Step;

use super::failure::{LAST_LINES, failure};
use super::{Mode, Script};
use crate::checks::kept_environment;
use crate::process::{Call, Finished, What};
use crate::scratch::Scratch;

/// The programs that run scripts by their extension, where a file says nothing itself.
const INTERPRETERS: &[(&str, &str)] =
    &[("sh", "sh"), ("bash", "bash"), ("py", "python3"), ("js", "node"), ("rb", "ruby"), ("pl", "perl")];

/// The program of an entrypoint.
pub(super) struct Program {
    /// Its file in the workspace.
    pub(super) path: PathBuf,
    relative: String,
    arguments: Vec<String>,
}

/// Finds the file of an entrypoint: the whole of it, or its first word, the rest being arguments.
pub(super) fn find(script: &Script) -> Result<Program> {
    let whole = script.entrypoint.trim();
    let mut words = whole.split_ascii_whitespace().map(str::to_owned);
    let first = words.next().unwrap_or_default();
    let candidates = [(whole.to_owned(), Vec::new()), (first.clone(), words.collect())];
    for (relative, arguments) in candidates {
        let path = script.workspace.join(&relative);
        if path.is_file() {
            return Ok(Program { path, relative, arguments });
        }
    }
    let message = format!("the entrypoint {first} of {} is not there", script.target);
    Err(Error::new(ErrorKind::Invalid, message).with_hint("its path is relative to the workspace"))
}

/// Where a script works.
pub(super) struct Place {
    /// The workspace, or its copy.
    pub(super) root: PathBuf,
    /// A folder for temporary files.
    pub(super) temporary: PathBuf,
    /// What it finds in its environment because of the place.
    pub(super) environment: BTreeMap<String, String>,
    /// What it may write.
    pub(super) writable: Vec<PathBuf>,
    /// The lock that it holds as long as it is at work.
    pub(super) held: Option<Arc<File>>,
}

impl Place {
    pub(super) fn copy(scratch: &Scratch) -> Self {
        Self {
            root: scratch.root(),
            temporary: scratch.temporary(),
            environment: scratch.environment(),
            writable: scratch.writable(),
            held: None,
        }
    }
}

/// Runs a script in its place. `changes` are what it sends.
pub(super) async fn run(script: &Script, place: &Place, changes: Option<&[&Step]>) -> Result<Finished> {
    let program = find(script)?;
    let file = place.root.join(&program.relative);
    let failed = |error: io::Error| Error::io(error, format_args!("starting {}", script.entrypoint));
    let mut environment = environment(script, &place.environment);
    if let Some(changes) = changes {
        let list = place.temporary.join("changes.tsv");
        let lines = changes.iter().map(|step| format!("{}\t{}\n", step.verb(), step.path));
        std::fs::write(&list, lines.collect::<String>()).map_err(failed)?;
        environment.insert("SYNCLINE_CHANGES".to_owned(), list.display().to_string());
    }
    for folder in script.writable.iter().filter(|_| script.mode == Mode::Run) {
        // What is not there cannot be granted.
        let made = std::fs::create_dir_all(folder);
        made.map_err(|error| Error::io(error, format_args!("making {}", folder.display())))?;
    }
    let mut writable = place.writable.clone();
    writable.extend(script.writable.iter().cloned());
    // Names alone: what the variables hold may be secret.
    let given: Vec<&str> = environment.keys().map(String::as_str).collect();
    let (target, folder) = (&script.target, &place.root);
    tracing::debug!(%target, entrypoint = script.entrypoint, folder = %folder.display(), ?given, "a script starts");
    let call = Call {
        what: how(&file, &program.arguments).map_err(failed)?,
        folder: place.root.clone(),
        environment: environment.clone(),
        limits: script.limits,
        writable: Some(writable),
        held: place.held.clone(),
    };
    let finished = call.run().await.map_err(failed)?;
    let (how, took) = (finished.end.describe(&script.limits), finished.duration);
    let said = script.redacted(&finished.last_words(LAST_LINES));
    tracing::debug!(%target, entrypoint = script.entrypoint, ?took, ?said, "a script {how}");
    if finished.is_success() {
        return Ok(finished);
    }
    Err(failure(script, &finished, &environment))
}

/// Its own program when it may be executed and says what by, else the one for its extension.
fn how(file: &Path, arguments: &[String]) -> io::Result<What> {
    let extension = file.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    let known = INTERPRETERS.iter().find(|(name, _)| extension.eq_ignore_ascii_case(name));
    match known {
        Some((_, program)) if !runs_itself(file)? => {
            let arguments = std::iter::once(file.display().to_string()).chain(arguments.iter().cloned());
            Ok(What::Program(program.into(), arguments.collect()))
        }
        _ => Ok(What::Program(file.to_owned(), arguments.to_vec())),
    }
}

#[cfg(unix)]
fn runs_itself(file: &Path) -> io::Result<bool> {
    use std::io::Read;
    use std::os::unix::fs::PermissionsExt;
    let mut start = [0; 2];
    let mut opened = std::fs::File::open(file)?;
    let executable = opened.metadata()?.permissions().mode() & 0o111 != 0;
    Ok(executable && opened.read(&mut start)? == 2 && &start == b"#!")
}

#[cfg(not(unix))]
fn runs_itself(_file: &Path) -> io::Result<bool> {
    Ok(false)
}

/// What a script, and the checks of what it made, find in their environment.
pub(super) fn environment(script: &Script, of_place: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let mut all = kept_environment();
    all.extend(of_place.clone());
    let own = [
        // Its byte code would be a change outside of the outputs.
        ("PYTHONDONTWRITEBYTECODE", "1".to_owned()),
        ("SYNCLINE_TARGET", script.target.clone()),
        ("SYNCLINE_DIRECTION", script.direction.to_string()),
        ("SYNCLINE_DRY_RUN", if script.mode == Mode::Run { "0" } else { "1" }.to_owned()),
        ("SYNCLINE_WORKSPACE", script.workspace.display().to_string()),
        ("SYNCLINE_CONFIG_JSON", script.config.clone()),
    ];
    all.extend(own.map(|(name, value)| (name.to_owned(), value)));
    all.extend(script.environment.clone());
    all
}
