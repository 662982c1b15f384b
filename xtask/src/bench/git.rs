//! The git job: a tree whose remote is a bare repository, beside `git` itself on an equal tree.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Result;

use super::Bench;
use super::compare::differences;
use super::jobs::copy;
use super::tools::remove;
use super::workload::{Half, MEDIUM, change};
use crate::shell::{command, is_installed, quietly, say};

/// The name of the part in which nothing is to be done.
const IDLE: &str = "git-idle";
/// Of so many files, one changes.
const ONE_IN: usize = 100;

/// A tree and the bare repository that it is pushed to.
struct Pushed {
    work: PathBuf,
    bare: PathBuf,
    /// What `git` itself keeps beside the tree, so that both trees hold the same.
    own: PathBuf,
}

impl Pushed {
    fn new(bench: &Bench, name: &str, tree: &Path) -> Result<Self> {
        let folder = bench.place.join(&format!("git-{name}"));
        remove(&folder)?;
        fs::create_dir_all(&folder)?;
        let made =
            Self { work: folder.join("work"), bare: folder.join("bare.git"), own: folder.join("own.git") };
        copy(tree, &made.work)?;
        quietly(command("git", ["init", "--quiet", "--bare", "--initial-branch=main"]).arg(&made.bare))?;
        Ok(made)
    }

    /// Makes Syncline's first run.
    fn configure(&self, bench: &Bench) -> Result<Command> {
        let bare = serde_json::Value::from(self.bare.to_string_lossy());
        let text = format!(
            "version: \"1.0\"\nnode: {{ name: bench }}\ntargets:\n  bench:\n    remote:\n      kind: git\n      url: {bare}\n      \
             author: {{ name: bench, email: bench@example.org }}\n"
        );
        fs::write(self.work.join("syncline.yaml"), text)?;
        let run = || {
            let mut run = Command::new(&bench.tools.syncline);
            run.args(["run", "--config"]).arg(self.work.join("syncline.yaml"));
            run
        };
        quietly(&mut run())?;
        Ok(run())
    }

    /// What a person would type to have everything pushed.
    fn by_hand(&self) -> Result<Command> {
        quietly(command("git", ["init", "--quiet", "--bare", "--initial-branch=main"]).arg(&self.own))?;
        let commit = || {
            let typed =
                "git add --all && git commit --quiet -m bench && git push --quiet \"$BARE\" HEAD:main";
            let mut run = command("sh", ["-c", typed]);
            run.env("GIT_DIR", &self.own).env("GIT_WORK_TREE", &self.work).env("BARE", &self.bare);
            for who in ["AUTHOR", "COMMITTER"] {
                run.env(format!("GIT_{who}_NAME"), "bench")
                    .env(format!("GIT_{who}_EMAIL"), "bench@example.org");
            }
            run.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_COUNT", "1");
            run.env("GIT_CONFIG_KEY_0", "core.bare").env("GIT_CONFIG_VALUE_0", "false");
            run
        };
        quietly(&mut commit())?;
        Ok(commit())
    }

    /// Whether the branch holds exactly the files of the tree; says what differs.
    fn is_pushed(&self) -> Result<bool> {
        let out = self.bare.with_extension("out");
        remove(&out)?;
        fs::create_dir(&out)?;
        let mut checkout = command("git", ["checkout", "--quiet", "--force", "main", "--", "."]);
        checkout
            .env("GIT_DIR", &self.bare)
            .env("GIT_WORK_TREE", &out)
            .env("GIT_INDEX_FILE", out.with_extension("index"));
        checkout.current_dir(&out);
        quietly(&mut checkout)?;
        let mut found = differences(&self.work, &out)?;
        // Git keeps no folder without a file.
        found.retain(|line| !line.split(": ").next().is_some_and(|path| self.work.join(path).is_dir()));
        found.iter().take(10).for_each(|line| say(format_args!("     differs: {line}")));
        Ok(found.is_empty())
    }
}

impl Bench {
    /// Pushes a share of changed files, and then nothing at all.
    ///
    /// # Errors
    /// When data cannot be prepared, or a program fails.
    pub fn git(&mut self) -> Result<bool> {
        if !is_installed("git") {
            say("git is missing: this job is left out");
            return Ok(true);
        }
        let tree = self.tree(MEDIUM)?;
        let changes = super::compare::files(&tree)?.len() / ONE_IN;
        let (ours, theirs) = (Pushed::new(self, "syncline", &tree)?, Pushed::new(self, "by-hand", &tree)?);
        let (run, by_hand) = (ours.configure(self)?, theirs.by_hand()?);
        let start = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
        let mut equal = true;
        for round in 0..self.rounds {
            for (name, pushed, command) in [("syncline", &ours, &run), ("git", &theirs, &by_hand)] {
                change(&pushed.work, changes, Half { number: 0, seed: start + round as u64 })?;
                let sample = self.measure(command)?;
                self.note("git", name, sample);
                equal &= pushed.is_pushed()?;
            }
        }
        let mut ask = command("git", ["ls-remote", "--quiet"]);
        ask.arg(&ours.bare).arg("refs/heads/main");
        for _ in 0..self.rounds {
            for (name, command) in [("syncline", &run), ("git ls-remote", &ask)] {
                let sample = self.measure(command)?;
                self.note(IDLE, name, sample);
            }
        }
        Ok(equal)
    }
}
