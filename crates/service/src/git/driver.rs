//! Git's merge driver: Git asks for one path at a time while it merges.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use schemars::JsonSchema;
use serde::Serialize;
use syncline_core::merge::{Input, Labels, Merged, Strategy, merge};
use syncline_core::{Merging, Resolution, Side};

use super::command::{Repository, finish, git, succeeded};
use super::policies::Policies;
use super::written::read_file;
use crate::problem::{Problem, Result};
use crate::wire::VERSION;

/// The versions that Git hands over, as `%O`, `%A`, `%B` and `%P`.
#[derive(Clone, Debug)]
pub struct Versions {
    /// The file with the common ancestor.
    pub base: PathBuf,
    /// The file with the current version; the result goes there.
    pub current: PathBuf,
    /// The file with the version of the other branch.
    pub other: PathBuf,
    /// The path in the work tree that this is about, relative to its top.
    pub path: PathBuf,
}

/// Merges one path; whether the result is clean. Otherwise it has markers, or, where none can be written, it is the
/// current version.
///
/// # Errors
/// When a version cannot be read or the result not be written.
pub fn drive(folder: &Path, versions: &Versions, policies: &Policies) -> Result<bool> {
    let read = |file: &Path| {
        read_file(&folder.join(file))
            .map_err(|error| Problem::io(error, format_args!("reading {}", file.display())))
    };
    let (base, current, other) = (read(&versions.base)?, read(&versions.current)?, read(&versions.other)?);
    // Git hands over an empty file where both sides created the path.
    let base = (!base.is_empty()).then_some(base);
    let input = Input { base: base.as_deref(), local: &current, remote: &other };
    let name = versions.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let policy = policies.of(&folder.join(&versions.path));
    let strategy = match &policy {
        Resolution::Prefer(Side::Local) => return Ok(true),
        Resolution::Prefer(Side::Remote) => {
            return write(&folder.join(&versions.current), &other).map(|()| true);
        }
        Resolution::Merge(merging) => merging.strategy(&name, &input),
        // Only one file can be handed back: what asks for more is marked, and stays unmerged.
        Resolution::Manual | Resolution::KeepBoth => Strategy::Markers,
        // No time of either version is handed over.
        Resolution::Newest => Merging::Auto.strategy(&name, &input),
    };
    let marks_only = matches!(policy, Resolution::Manual | Resolution::KeepBoth);
    let labels = Labels { base: "base", local: "current", remote: "other" };
    let (bytes, clean) = match merge(&strategy, &input, &labels) {
        Merged::Clean { bytes, .. } => (bytes, !marks_only),
        Merged::Marked { bytes, .. } => (bytes, false),
        Merged::Unclean(_) => match merge(&Strategy::Markers, &input, &labels) {
            // By lines it is clean, but not as its policy asks for: a person has to look.
            Merged::Clean { bytes, .. } | Merged::Marked { bytes, .. } => (bytes, false),
            Merged::Unclean(_) => return Ok(false),
        },
    };
    write(&folder.join(&versions.current), &bytes)?;
    Ok(clean)
}

/// Writes over a file that Git made and reads again.
fn write(file: &Path, bytes: &[u8]) -> Result<()> {
    let failed = |error| Problem::io(error, format_args!("writing {}", file.display()));
    read_file(file).map_err(failed)?;
    let mut open = std::fs::OpenOptions::new().write(true).truncate(true).open(file).map_err(failed)?;
    open.write_all(bytes).map_err(failed)
}

/// What was installed.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Installed {
    /// The version of this shape.
    pub version: u32,
    /// The command that Git runs.
    pub driver: String,
    /// Whether it is in the configuration of the user, for all repositories.
    pub global: bool,
    /// The file with the patterns that name it, when it was written.
    pub attributes: Option<String>,
    /// The lines that were added to it.
    pub added: Vec<String>,
    /// Lines for `.gitattributes`, when none was written.
    pub suggested: Vec<String>,
}

/// Makes `command` Git's merge driver `syncline` for all repositories of the user.
///
/// # Errors
/// When Git fails.
pub fn install_for_user(folder: &Path, command: &str) -> Result<Installed> {
    configure(|| git(folder), "--global", command)
}

/// Makes `command` Git's merge driver `syncline` for one repository, or for all of the user, and names it for
/// `patterns` in the attributes of this clone.
///
/// # Errors
/// When a pattern cannot stand in an attributes file, Git fails, or the file cannot be written.
pub fn install(
    repository: &Repository,
    command: &str,
    global: bool,
    patterns: &[String],
) -> Result<Installed> {
    for pattern in patterns {
        if pattern.is_empty()
            || pattern.starts_with(['#', '!', '"', '['])
            || pattern.contains(|c: char| c.is_whitespace() || c.is_control())
        {
            let message = format!("{pattern:?} cannot be a pattern of an attributes file");
            return Err(Problem::usage("bad_pattern", message).with_hint("write a pattern such as '*.json'"));
        }
    }
    let scope = if global { "--global" } else { "--local" };
    let mut installed = configure(|| repository.git(), scope, command)?;
    if patterns.is_empty() {
        return Ok(installed);
    }
    installed.suggested.clear();
    let file = repository.common.join("info").join("attributes");
    installed.added = add_lines(&file, patterns)
        .map_err(|error| Problem::io(error, format_args!("writing {}", file.display())))?;
    installed.attributes = Some(file.display().to_string());
    Ok(installed)
}

fn configure(git: impl Fn() -> Command, scope: &str, command: &str) -> Result<Installed> {
    let driver = format!("{command} git merge-driver -- %O %A %B %P");
    let settings = [("name", "Syncline: text by lines, JSON by structure"), ("driver", &driver)];
    for (key, value) in settings {
        let mut git = git();
        git.args(["config", scope, &format!("merge.syncline.{key}"), value]);
        finish(git, &[]).and_then(succeeded)?;
    }
    let suggested = ["*.json merge=syncline", "*.md merge=syncline"].map(str::to_owned).to_vec();
    let global = scope == "--global";
    Ok(Installed { version: VERSION, driver, global, attributes: None, added: Vec::new(), suggested })
}

/// Adds the lines that are missing; gives those.
fn add_lines(file: &Path, patterns: &[String]) -> std::io::Result<Vec<String>> {
    let before = match std::fs::read_to_string(file) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        other => other?,
    };
    let lines = patterns.iter().map(|pattern| format!("{pattern} merge=syncline"));
    let missing: Vec<String> =
        lines.filter(|line| !before.lines().any(|known| known.trim() == line)).collect();
    if missing.is_empty() {
        return Ok(missing);
    }
    if let Some(folder) = file.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let gap = if before.is_empty() || before.ends_with('\n') { "" } else { "\n" };
    let addition = format!("{gap}{}\n", missing.join("\n"));
    let mut open = std::fs::OpenOptions::new().append(true).create(true).open(file)?;
    open.write_all(addition.as_bytes())?;
    Ok(missing)
}
