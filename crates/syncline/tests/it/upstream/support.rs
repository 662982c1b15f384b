//! Two clones of one bare repository, each of them a workspace, and the persons who work in them.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::support::Ran;

/// Two clones and the repository that both follow.
pub(crate) struct Pair {
    folder: tempfile::TempDir,
    pub(crate) one: Node,
    pub(crate) two: Node,
}

/// A clone that is a workspace.
pub(crate) struct Node {
    name: &'static str,
    /// The folder that everything lies in.
    around: PathBuf,
}

/// Runs Git as a person with no configuration but that of the repository.
#[track_caller]
pub(crate) fn git(folder: &Path, arguments: &[&str]) -> String {
    let Output { status, stdout, stderr } = try_git(folder, arguments);
    assert!(status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&stderr));
    String::from_utf8(stdout).unwrap()
}

pub(crate) fn try_git(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new("git");
    command.current_dir(folder).args(arguments).stdin(Stdio::null());
    command.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_EDITOR", "true");
    command.output().expect("the tests need the program git")
}

/// Where the real Git is.
fn real_git() -> PathBuf {
    let places = std::env::var_os("PATH").unwrap();
    let mut real = std::env::split_paths(&places).map(|place| place.join("git"));
    real.find(|path| path.is_file()).expect("the tests need the program git")
}

impl Pair {
    /// Two workspaces with these lines below their target.
    pub(crate) fn new(target: &str) -> Self {
        Self::with("", target)
    }

    /// Two workspaces with more settings of the remote, and these lines below the target.
    pub(crate) fn with(settings: &str, target: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let around = folder.path().to_path_buf();
        git(&around, &["init", "--quiet", "--bare", "--initial-branch=main", "hub.git"]);
        git(&around, &["clone", "--quiet", "hub.git", "one"]);
        let person = ["-c", "user.name=person", "-c", "user.email=person@example.org"];
        let start = ["commit", "--quiet", "--allow-empty", "-m", "start"];
        git(&around.join("one"), &[&person[..], &start].concat());
        git(&around.join("one"), &["push", "--quiet", "-u", "origin", "HEAD:main"]);
        git(&around, &["clone", "--quiet", "hub.git", "two"]);
        let node = |name| Node { name, around: around.clone() };
        let pair = Self { folder, one: node("one"), two: node("two") };
        for node in [&pair.one, &pair.two] {
            node.git(&["config", "user.name", "person"]);
            node.git(&["config", "user.email", "person@example.org"]);
            node.git(&["config", "pull.rebase", "false"]);
            fs::write(node.path(".git/info/exclude"), "/syncline.yaml\n.syncline/\n").unwrap();
            node.configure(settings, target);
        }
        pair
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    #[track_caller]
    pub(crate) fn hub(&self, arguments: &[&str]) -> String {
        git(&self.path("hub.git"), arguments)
    }

    /// The commit that the branch is at.
    pub(crate) fn tip(&self) -> String {
        self.hub(&["rev-parse", "main"]).trim().to_owned()
    }

    pub(crate) fn listed(&self) -> Vec<String> {
        self.hub(&["ls-tree", "-r", "--name-only", "main"]).lines().map(str::to_owned).collect()
    }

    /// What the branch holds at a path.
    #[track_caller]
    pub(crate) fn at_hub(&self, path: &str) -> String {
        self.hub(&["cat-file", "blob", &format!("main:{path}")])
    }

    /// Lets both sync, the first one again so that it has what the second one brought.
    #[track_caller]
    pub(crate) fn sync_both(&self) {
        self.one.sync();
        self.two.sync();
        self.one.sync();
    }
}

impl Node {
    pub(crate) fn configure(&self, settings: &str, target: &str) {
        let lines: String = target.lines().map(|line| format!("    {line}\n")).collect();
        let name = self.name;
        let text = format!(
            "version: \"1.0\"\nnode: {{ name: {name} }}\ntargets:\n  main:\n    remote: {{ kind: upstream, author: \
             {{ name: {name}, email: {name}@example.org }}{settings} }}\n{lines}"
        );
        fs::write(self.path("syncline.yaml"), text).unwrap();
    }

    pub(crate) fn folder(&self) -> PathBuf {
        self.around.join(self.name)
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.folder().join(path)
    }

    pub(crate) fn write(&self, path: &str, text: &str) {
        fs::create_dir_all(self.path(path).parent().unwrap()).unwrap();
        fs::write(self.path(path), text).unwrap();
    }

    pub(crate) fn remove(&self, path: &str) {
        fs::remove_file(self.path(path)).unwrap();
    }

    pub(crate) fn read(&self, path: &str) -> Option<String> {
        fs::read_to_string(self.path(path)).ok()
    }

    /// Runs Git as the person who works here.
    #[track_caller]
    pub(crate) fn git(&self, arguments: &[&str]) -> String {
        git(&self.folder(), arguments)
    }

    /// Commits everything that was changed by hand.
    #[track_caller]
    pub(crate) fn commit(&self, message: &str) {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "-m", message]);
    }

    pub(crate) fn head(&self) -> String {
        self.git(&["rev-parse", "HEAD"]).trim().to_owned()
    }

    pub(crate) fn status(&self) -> String {
        self.git(&["status", "--porcelain"])
    }

    /// Nothing is uncommitted, and the branch is at this commit.
    #[track_caller]
    pub(crate) fn is_clean_at(&self, commit: &str) {
        assert_eq!(self.head(), commit, "{}", self.git(&["log", "--graph", "--oneline", "--all"]));
        assert_eq!(self.status(), "");
        assert!(!self.path(".git/index.lock").exists());
    }

    /// The content of every file that is not Git's or Syncline's.
    pub(crate) fn contents(&self) -> Vec<String> {
        self.files().into_iter().map(|path| self.read(&path).unwrap()).collect()
    }

    /// The path of every file that is not Git's or Syncline's.
    pub(crate) fn files(&self) -> Vec<String> {
        let mut found = Vec::new();
        let mut waiting = vec![self.folder()];
        while let Some(directory) = waiting.pop() {
            for entry in fs::read_dir(&directory).unwrap() {
                let path = entry.unwrap().path();
                let name = path.strip_prefix(self.folder()).unwrap().to_str().unwrap().to_owned();
                match name.as_str() {
                    ".git" | "syncline.yaml" => {}
                    _ if path.ends_with(".syncline") => {}
                    _ if path.is_dir() => waiting.push(path),
                    _ => found.push(name),
                }
            }
        }
        found.sort();
        found
    }

    /// Puts an executable hook into the clone.
    pub(crate) fn hook(&self, name: &str, script: &str) {
        script_at(&self.path(".git/hooks").join(name), &format!("#!/bin/sh\n{script}\n"));
    }

    pub(crate) fn command<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_syncline"));
        command.current_dir(self.folder()).stdin(Stdio::null()).args(arguments);
        command.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1");
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("SYNCLINE_") {
                command.env_remove(name);
            }
        }
        command
    }

    /// As [`Node::command`], with a program that runs this script before the real Git.
    pub(crate) fn command_with_git(&self, before: &str, after: &str, arguments: &[&str]) -> Command {
        let programs = self.around.join(format!("programs-{}", self.name));
        fs::create_dir_all(&programs).unwrap();
        let real = real_git();
        let script =
            format!("#!/bin/sh\n{before}\n'{}' \"$@\"\ncode=$?\n{after}\nexit $code\n", real.display());
        script_at(&programs.join("git"), &script);
        let mut command = self.command(arguments);
        command.env("PATH", format!("{}:{}", programs.display(), std::env::var("PATH").unwrap()));
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        Ran::from(self.command(arguments).output().unwrap())
    }

    #[track_caller]
    pub(crate) fn expect(&self, code: i32, arguments: &[&str]) -> Ran {
        expected(code, self.run(arguments))
    }

    /// As [`Node::expect`], with a script before each call of Git.
    #[track_caller]
    pub(crate) fn expect_with_git(&self, code: i32, before: &str, arguments: &[&str]) -> Ran {
        expected(code, Ran::from(self.command_with_git(before, "", arguments).output().unwrap()))
    }

    #[track_caller]
    pub(crate) fn sync(&self) -> Ran {
        self.expect(0, &["run"])
    }

    #[track_caller]
    pub(crate) fn json(&self, code: i32, arguments: &[&str]) -> Value {
        let ran = self.expect(code, &[arguments, &["--format", "json"]].concat());
        serde_json::from_str(&ran.out).unwrap_or_else(|error| panic!("{error}: {}", ran.out))
    }

    /// Runs, is refused with this code, and touches nothing.
    #[track_caller]
    pub(crate) fn is_refused(&self, code: &str) -> Value {
        let before = (self.contents(), self.head(), self.status());
        let report = self.json(1, &["run"]);
        assert_eq!(report["results"][0]["error"]["code"], code, "{report}");
        assert_eq!((self.contents(), self.head(), self.status()), before, "something was touched");
        report
    }
}

#[track_caller]
fn expected(code: i32, ran: Ran) -> Ran {
    assert_eq!(ran.code, code, "standard output:\n{}\nstandard error:\n{}", ran.out, ran.err);
    ran
}

fn script_at(file: &Path, text: &str) {
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(file, text).unwrap();
    fs::set_permissions(file, fs::Permissions::from_mode(0o755)).unwrap();
}
