//! Running other programs, and talking to whoever started this one.

use std::ffi::OsStr;
use std::fmt;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// Says one line to the person at the terminal.
pub fn say(line: impl fmt::Display) {
    // The tests of this program must not sound like a test runner: the outer one would count what they say.
    if cfg!(test) {
        return;
    }
    // Nobody reads the terminal any more: nothing is left to tell, and the exit code still counts.
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

/// Whether a program of this name is in the search path.
pub fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    // Servers are where only the administrator's search path leads.
    let places = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
    places.into_iter().any(|folder| folder.join(program).is_file())
}

/// Whether this process may do what only the administrator may.
pub fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// The cargo that runs this.
pub fn cargo() -> Command {
    Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// A command with arguments.
pub fn command<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(program: &str, arguments: I) -> Command {
    let mut command = Command::new(program);
    command.args(arguments);
    command
}

/// Runs a command to its end, silently.
///
/// # Errors
/// When it cannot be started or fails; the error holds what it said last.
pub fn quietly(command: &mut Command) -> Result<String> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("starting {}", command.get_program().to_string_lossy()))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let last: Vec<&str> = said.lines().rev().take(8).collect();
    let last: Vec<&str> = last.into_iter().rev().collect();
    bail!("{command:?} ended with {}: {}", output.status, last.join("\n"))
}

/// Runs a command, shows every line that it writes, and hands each to `each`. Tells whether it succeeded.
///
/// # Errors
/// When it cannot be started.
pub fn watched(command: &mut Command, mut each: impl FnMut(&str)) -> Result<bool> {
    let (reader, writer) = std::io::pipe().context("making a pipe")?;
    command.stdin(Stdio::null()).stdout(writer.try_clone()?).stderr(writer);
    let mut child =
        command.spawn().with_context(|| format!("starting {}", command.get_program().to_string_lossy()))?;
    // The parent's ends of the pipe must go, or reading never ends.
    command.stdout(Stdio::null()).stderr(Stdio::null());
    for line in BufReader::new(reader).split(b'\n') {
        let line = line?;
        let line = String::from_utf8_lossy(&line);
        say(&line);
        each(&line);
    }
    Ok(child.wait()?.success())
}

/// Builds the program and returns the path of its binary.
///
/// # Errors
/// When it does not build.
pub fn build_syncline(release: bool) -> Result<PathBuf> {
    build("--bin", "syncline", release)
}

/// Builds a program of the kind that `kind` tells, such as `--example`, and returns the path of its binary.
///
/// # Errors
/// When it does not build.
pub fn build(kind: &str, name: &str, release: bool) -> Result<PathBuf> {
    let mut build = cargo();
    build.args(["build", "--workspace", kind, name, "--message-format=json-render-diagnostics"]);
    if release {
        build.arg("--release");
    }
    let output = build.stderr(Stdio::inherit()).output().context("starting cargo build")?;
    if !output.status.success() {
        bail!("{name} does not build");
    }
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter(|message| message["target"]["name"] == name)
        .find_map(|message| message["executable"].as_str().map(PathBuf::from))
        .context("cargo did not tell where the binary is")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failing_command_is_an_error_with_its_last_words() {
        let error = quietly(&mut command("sh", ["-c", "echo lost >&2; exit 3"])).unwrap_err();
        assert!(error.to_string().contains("lost"), "{error}");
    }

    #[test]
    fn watching_hands_over_both_streams_and_the_verdict() {
        let mut lines = Vec::new();
        let mut talk = command("sh", ["-c", "echo one; echo two >&2; exit 1"]);
        let done = watched(&mut talk, |line| lines.push(line.to_owned())).unwrap();
        lines.sort();
        assert!(!done);
        assert_eq!(lines, ["one", "two"]);
    }

    #[test]
    fn missing_programs_are_missing() {
        assert!(is_installed("sh"));
        assert!(!is_installed("no-such-program-as-this"));
    }
}
