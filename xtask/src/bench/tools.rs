//! The tools that are measured, and how each is told to do a job.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use crate::shell::{command, is_installed, quietly, say};

/// A program that keeps folders in agreement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tool {
    /// This project.
    Syncline,
    /// One way, no state.
    Rsync,
    /// Two ways, with state.
    Unison,
    /// Two ways, with state: `rclone bisync`.
    Bisync,
}

impl Tool {
    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Syncline => "syncline",
            Self::Rsync => "rsync",
            Self::Unison => "unison",
            Self::Bisync => "bisync",
        }
    }

    /// The program, which is also the name of its package.
    const fn program(self) -> &'static str {
        match self {
            Self::Bisync => "rclone",
            other => other.name(),
        }
    }
}

/// Two folders and what a tool remembers of them.
#[derive(Clone)]
pub struct Pair {
    /// The workspace.
    pub a: PathBuf,
    /// The other side.
    pub b: PathBuf,
    /// Where unison and bisync keep what they remember.
    pub archives: PathBuf,
}

impl Pair {
    /// The pair inside `folder`.
    pub fn inside(folder: &Path) -> Self {
        Self { a: folder.join("a"), b: folder.join("b"), archives: folder.join("archives") }
    }

    /// Writes the configuration of Syncline.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn configure(&self) -> Result<()> {
        let text = format!(
            "version: \"1.0\"\nnode: {{ name: bench }}\ntargets:\n  bench:\n    remote: {{ kind: folder, path: {} }}\n    \
             conflicts: keep-both\n",
            serde_json::Value::from(self.b.to_string_lossy())
        );
        Ok(fs::write(self.a.join("syncline.yaml"), text)?)
    }

    /// Forgets everything that any tool remembers.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub fn forget(&self) -> Result<()> {
        remove(&self.a.join(".syncline"))?;
        remove(&self.b.join(".syncline"))?;
        remove(&self.archives)
    }
}

/// Removes a folder, if it is there.
///
/// # Errors
/// When it cannot be removed.
pub fn remove(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}

/// The tools of this machine.
pub struct Tools {
    /// The binary of Syncline.
    pub syncline: PathBuf,
    installed: Vec<Tool>,
}

impl Tools {
    /// Looks for the peers and says which are missing.
    pub fn find(syncline: PathBuf) -> Self {
        let mut installed = vec![Tool::Syncline];
        for peer in [Tool::Rsync, Tool::Unison, Tool::Bisync] {
            if is_installed(peer.program()) {
                installed.push(peer);
            } else {
                let name = peer.program();
                say(format_args!(
                    "{name} is missing: install it with `apt-get install {name}`; measuring the rest"
                ));
            }
        }
        Self { syncline, installed }
    }

    /// Those of `tools` that are here.
    pub fn installed(&self, tools: &[Tool]) -> Vec<Tool> {
        tools.iter().copied().filter(|tool| self.installed.contains(tool)).collect()
    }

    /// The command with which `tool` brings a pair into agreement; `exact` lets rsync remove things too.
    pub fn sync(&self, tool: Tool, pair: &Pair, exact: bool) -> Command {
        match tool {
            Tool::Syncline => {
                let mut run = Command::new(&self.syncline);
                run.args(["run", "--config"]).arg(pair.a.join("syncline.yaml"));
                run
            }
            Tool::Rsync => {
                let mut run = command("rsync", ["-a", "--exclude=/.syncline", "--exclude=/syncline.yaml"]);
                if exact {
                    run.arg("--delete");
                }
                run.arg(with_slash(&pair.a)).arg(with_slash(&pair.b));
                run
            }
            Tool::Unison => {
                let mut run = Command::new("unison");
                run.arg(&pair.a).arg(&pair.b).env("UNISON", &pair.archives);
                run.args(["-batch", "-auto", "-times", "-confirmbigdel=false", "-ui", "text"]);
                // In conflicts one version wins, and the other one stays as a copy.
                run.args(["-prefer", "newer", "-copyonconflict"]);
                run.args([
                    "-logfile",
                    "/dev/null",
                    "-ignore",
                    "Path .syncline",
                    "-ignore",
                    "Path syncline.yaml",
                ]);
                run
            }
            Tool::Bisync => {
                let state = pair.archives.join("bisync");
                let mut run = Command::new("rclone");
                run.arg("bisync").arg(&pair.a).arg(&pair.b).arg("--workdir").arg(&state);
                run.args(["--exclude", "/.syncline/**", "--exclude", "/syncline.yaml", "--force"]);
                if !state.exists() {
                    run.arg("--resync");
                }
                run.env("RCLONE_CONFIG", "/dev/null");
                run
            }
        }
    }

    /// The versions of the tools, in one line each.
    pub fn versions(&self) -> Vec<String> {
        let version = |tool: &Tool| {
            let program: OsString =
                if *tool == Tool::Syncline { self.syncline.clone().into() } else { tool.program().into() };
            let flag = if *tool == Tool::Unison { "-version" } else { "--version" };
            let said = quietly(Command::new(program).arg(flag)).unwrap_or_default();
            let words = said.lines().next().unwrap_or_default().split_whitespace();
            words.take(3).collect::<Vec<_>>().join(" ")
        };
        self.installed.iter().map(version).collect()
    }
}

fn with_slash(folder: &Path) -> OsString {
    let mut text = folder.as_os_str().to_owned();
    text.push("/");
    text
}
