//! Starting Git.

use std::ffi::{OsStr, OsString};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

use crate::problem::{Class, Problem, Result};

/// A repository with a work tree.
#[derive(Clone, Debug)]
pub struct Repository {
    /// The top of the work tree, absolute.
    pub root: PathBuf,
    /// The Git directory of this work tree, absolute.
    pub directory: PathBuf,
    /// The Git directory that all work trees share, absolute.
    pub common: PathBuf,
}

impl Repository {
    /// The repository that `folder` lies in.
    ///
    /// # Errors
    /// When there is none, it has no work tree, or Git cannot be started.
    pub fn at(folder: &Path) -> Result<Self> {
        let path = |question: &str| {
            let mut command = git(folder);
            command.args(["rev-parse", "--path-format=absolute", question]);
            let output = finish(command, &[])?;
            let path =
                output.stdout.strip_suffix(b"\n").filter(|path| output.status.success() && !path.is_empty());
            path.map(|path| PathBuf::from(name_of(path))).ok_or_else(|| {
                let (folder, told) = (folder.display(), told(&output.stderr));
                if told.contains("dubious ownership") {
                    let message =
                        format!("Git does not use the repository of {folder}: it belongs to another user");
                    let hint =
                        format!("if you trust it: git config --global --add safe.directory '{folder}'");
                    return Problem::usage("foreign_repository", message).with_hint(hint);
                }
                let message = format!("{folder} does not lie in a Git repository with a work tree: {told}");
                Problem::usage("no_repository", message).with_hint("name one with --repository")
            })
        };
        Ok(Self {
            root: path("--show-toplevel")?,
            directory: path("--git-dir")?,
            common: path("--git-common-dir")?,
        })
    }

    /// Git, ready to be given arguments. Names are taken as they are, never as patterns.
    pub(super) fn git(&self) -> Command {
        git(&self.root)
    }

    /// Runs Git and gives what it prints; fails when Git does.
    pub(super) fn run<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Result<Vec<u8>> {
        self.feed(arguments, &[])
    }

    /// As [`Repository::run`], with something on standard input.
    pub(super) fn feed<S: AsRef<OsStr>>(&self, arguments: &[S], input: &[u8]) -> Result<Vec<u8>> {
        let mut command = self.git();
        command.args(arguments);
        succeeded(finish(command, input)?)
    }

    /// As [`Repository::run`]; `None` when Git fails.
    pub(super) fn ask<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Option<String> {
        let bytes = self.run(arguments).ok()?;
        Some(String::from_utf8(bytes).ok()?.trim().to_owned())
    }

    /// The content of a blob.
    pub(super) fn blob(&self, oid: &str) -> Result<Vec<u8>> {
        self.run(&["cat-file", "blob", oid])
    }

    /// Writes a blob as it is, and gives its name.
    pub(super) fn store(&self, content: &[u8]) -> Result<String> {
        let name = self.feed(&["hash-object", "-w", "--no-filters", "--stdin"], content)?;
        Ok(String::from_utf8_lossy(&name).trim().to_owned())
    }
}

/// Git in a folder, ready to be given arguments.
pub(super) fn git(folder: &Path) -> Command {
    let mut command = Command::new("git");
    command.arg("--literal-pathspecs").args(["-c", "core.quotePath=false", "-C"]).arg(folder);
    command.env("LC_ALL", "C").env("GIT_TERMINAL_PROMPT", "0").env_remove("GIT_LITERAL_PATHSPECS");
    command
}

/// Runs a command to its end with `input` on its standard input.
pub(super) fn finish(mut command: Command, input: &[u8]) -> Result<Output> {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command
        .spawn()
        .map_err(|error| Problem::io(error, "starting git").with_hint("Git must be installed and in PATH"))?;
    let stdin = child.stdin.take();
    std::thread::scope(|scope| {
        // Git may print before it has read everything, so both go on at once. One that ends early has read enough.
        scope.spawn(move || stdin.map(|mut stdin| stdin.write_all(input)));
        child.wait_with_output()
    })
    .map_err(|error| Problem::io(error, "running git"))
}

/// What a command printed; an error when it failed.
pub(super) fn succeeded(output: Output) -> Result<Vec<u8>> {
    if output.status.success() {
        return Ok(output.stdout);
    }
    Err(Problem::new(Class::Failed, "git_failed", format!("git failed: {}", told(&output.stderr))))
}

/// The first thing that Git has to say.
fn told(stderr: &[u8]) -> String {
    let text = String::from_utf8_lossy(stderr);
    let line = text.lines().next().unwrap_or("it said nothing");
    line.trim_start_matches("fatal: ").trim_start_matches("error: ").to_owned()
}

/// A temporary folder that nobody else may look into.
pub(super) fn private_folder() -> Result<TempDir> {
    let mut builder = tempfile::Builder::new();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(std::fs::Permissions::from_mode(0o700));
    }
    builder.prefix("syncline-git-").tempdir().map_err(|error| Problem::io(error, "making a temporary folder"))
}

/// A name as Git writes it.
#[cfg(unix)]
pub(super) fn name_of(bytes: &[u8]) -> OsString {
    use std::os::unix::ffi::OsStringExt;
    OsString::from_vec(bytes.to_vec())
}

/// A name as Git writes it.
#[cfg(not(unix))]
pub(super) fn name_of(bytes: &[u8]) -> OsString {
    String::from_utf8_lossy(bytes).into_owned().into()
}

/// A name as Git reads it.
pub(super) fn bytes(name: &OsStr) -> &[u8] {
    name.as_encoded_bytes()
}
