//! A workspace and its remote in a temporary folder, and the program to run on them.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

pub(crate) struct World {
    folder: TempDir,
}

/// What a run of the program came to.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl World {
    /// A workspace of one target `main` without any file yet.
    pub(crate) fn new() -> Self {
        Self::with("")
    }

    /// As [`World::new`], with more lines below the target.
    pub(crate) fn with(target: &str) -> Self {
        let world = Self { folder: tempfile::tempdir().unwrap() };
        fs::create_dir(world.path("local")).unwrap();
        fs::create_dir(world.path("remote")).unwrap();
        let lines: String = target.lines().map(|line| format!("    {line}\n")).collect();
        world.configure(&format!(
            "version: \"1.0\"\nnode: {{ name: here }}\ntargets:\n  main:\n    remote: {{ kind: folder, path: ../remote }}\n{lines}"
        ));
        world
    }

    pub(crate) fn configure(&self, text: &str) {
        fs::write(self.local("syncline.yaml"), text).unwrap();
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    pub(crate) fn local(&self, path: &str) -> PathBuf {
        self.path("local").join(path)
    }

    pub(crate) fn remote(&self, path: &str) -> PathBuf {
        self.path("remote").join(path)
    }

    pub(crate) fn write_local(&self, path: &str, text: &str) {
        write(&self.local(path), text);
    }

    pub(crate) fn write_remote(&self, path: &str, text: &str) {
        write(&self.remote(path), text);
    }

    pub(crate) fn read_local(&self, path: &str) -> Option<String> {
        fs::read_to_string(self.local(path)).ok()
    }

    pub(crate) fn read_remote(&self, path: &str) -> Option<String> {
        fs::read_to_string(self.remote(path)).ok()
    }

    /// What both sides hold at a path, which must be the same.
    pub(crate) fn agreed(&self, path: &str) -> Option<String> {
        let (local, remote) = (self.read_local(path), self.read_remote(path));
        assert_eq!(local, remote, "the sides differ at {path}");
        local
    }

    /// The program, ready to run in the workspace.
    pub(crate) fn command<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_syncline"));
        command.current_dir(self.path("local")).stdin(Stdio::null()).args(arguments);
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            if text.starts_with("SYNCLINE_") || text.starts_with("OTEL_") {
                command.env_remove(name);
            }
        }
        command
    }

    pub(crate) fn run<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Ran {
        Ran::from(self.command(arguments).output().unwrap())
    }

    /// Runs the program and expects an exit code.
    #[track_caller]
    pub(crate) fn expect<S: AsRef<OsStr>>(&self, code: i32, arguments: &[S]) -> Ran {
        let ran = self.run(arguments);
        assert_eq!(ran.code, code, "standard output:\n{}\nstandard error:\n{}", ran.out, ran.err);
        ran
    }

    /// Runs the program with `--format json`, expects an exit code, and reads what it prints.
    #[track_caller]
    pub(crate) fn json<S: AsRef<OsStr>>(&self, code: i32, arguments: &[S]) -> Value {
        let mut all: Vec<&OsStr> = arguments.iter().map(AsRef::as_ref).collect();
        all.extend([OsStr::new("--format"), OsStr::new("json")]);
        let ran = self.expect(code, &all);
        let value: Value =
            serde_json::from_str(&ran.out).unwrap_or_else(|error| panic!("{error}: {}", ran.out));
        assert_eq!(value["version"], 1, "{value}");
        value
    }

    /// The identifier of the only open conflict.
    #[track_caller]
    pub(crate) fn conflict(&self) -> String {
        let list = self.json(0, &["conflicts", "list"]);
        let conflicts = list["conflicts"].as_array().unwrap();
        assert_eq!(conflicts.len(), 1, "{list}");
        conflicts[0]["id"].as_str().unwrap().to_owned()
    }

    /// Names of what is directly in a folder, sorted.
    pub(crate) fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

fn write(file: &Path, text: &str) {
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(file, text).unwrap();
}
