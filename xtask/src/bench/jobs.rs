//! The jobs, each round of each tool in turn.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};

use super::Bench;
use super::compare::differences;
use super::tools::{Pair, Tool, remove};
use super::workload::{BULK, Half, SMALL, TINY, Workload, change};
use crate::shell::{command, quietly, say};

/// Changes on each side of the two-way job.
const CHANGES: usize = 1000;

impl Bench {
    /// Does one job. Tells whether both sides were equal after each round.
    ///
    /// # Errors
    /// When data cannot be prepared, or a tool fails.
    pub fn job(&mut self, job: &str) -> Result<bool> {
        self.tell_limits();
        match job {
            "j1" => self.first_sync(),
            "j2" => self.nothing_to_do("j2", SMALL),
            "j3" => self.two_way(),
            "j4" => self.conflicting(),
            "j6" => self.renamed_folder(),
            "j7" => self.nothing_to_do("j7", TINY),
            "j8" => self.latency(),
            "status" => self.status(),
            "idle" => self.idle(),
            "live" => self.live(),
            _ => self.git(),
        }
    }

    /// J1: everything comes to an empty folder.
    fn first_sync(&mut self) -> Result<bool> {
        let tree = self.tree(SMALL)?;
        let pair = self.pair("first");
        copy(&tree, &pair.a)?;
        pair.configure()?;
        self.rounds("j1", &[Tool::Syncline, Tool::Rsync, Tool::Unison], |bench, tool, _| {
            remove(&pair.b)?;
            pair.forget()?;
            fs::create_dir(&pair.b)?;
            bench.timed("j1", tool, &pair, false)
        })
    }

    /// J2 and J7: both sides are equal. All tools work on the same two folders, since none of them changes anything.
    fn nothing_to_do(&mut self, job: &'static str, workload: Workload) -> Result<bool> {
        let tree = self.tree(workload)?;
        let pair = self.pair(job);
        copy(&tree, &pair.a)?;
        copy(&tree, &pair.b)?;
        pair.configure()?;
        // Unison takes a quarter of an hour to see a million files for the first time.
        let tools: &[Tool] = match job {
            "j7" => &[Tool::Syncline, Tool::Rsync],
            _ => &[Tool::Syncline, Tool::Rsync, Tool::Unison],
        };
        for tool in self.tools.installed(tools) {
            // The first time a tool sees the folders, it makes its state.
            quietly(&mut self.tools.sync(tool, &pair, false))?;
        }
        let mut equal = self.rounds(job, tools, |bench, tool, _| {
            let sample = bench.measure(&bench.tools.sync(tool, &pair, false))?;
            bench.note(job, tool.name(), sample);
            Ok(true)
        })?;
        equal &= is_equal(&pair)?;
        // A million files are not kept while the next job is measured.
        remove(&pair.a)?;
        remove(&pair.b)?;
        remove(&pair.archives)?;
        if job == "j7" {
            remove(&tree)?;
        }
        Ok(equal)
    }

    /// J3: changes on both sides, none of them at the same path.
    fn two_way(&mut self) -> Result<bool> {
        let changes = CHANGES / self.shrink as usize;
        let tools = [Tool::Syncline, Tool::Unison];
        let pairs = self.pairs_in_sync("two-way", &tools)?;
        let start = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
        self.rounds("j3", &tools, |bench, tool, round| {
            let pair = pair_of(&pairs, tool)?;
            let seed = start + round as u64;
            change(&pair.a, changes, Half { number: 0, seed })?;
            change(&pair.b, changes, Half { number: 1, seed })?;
            bench.timed("j3", tool, pair, false)
        })
    }

    /// J6: a folder gets another name on one side.
    fn renamed_folder(&mut self) -> Result<bool> {
        let tools = [Tool::Syncline, Tool::Rsync, Tool::Unison];
        let pairs = self.pairs_in_sync("renamed", &tools)?;
        self.rounds("j6", &tools, |bench, tool, round| {
            let pair = pair_of(&pairs, tool)?;
            let name = |round: usize| if round == 0 { BULK.to_owned() } else { format!("{BULK}-{round}") };
            fs::rename(pair.a.join(name(round)), pair.a.join(name(round + 1)))?;
            bench.timed("j6", tool, pair, true)
        })
    }

    /// A copy of the small tree on both sides for each tool that is here, already in agreement.
    ///
    /// # Errors
    /// When they cannot be made.
    pub fn pairs_in_sync(&self, name: &str, tools: &[Tool]) -> Result<Vec<(Tool, Pair)>> {
        let tree = self.tree(SMALL)?;
        let mut pairs = Vec::new();
        for tool in self.tools.installed(tools) {
            let pair = self.pair(&format!("{name}-{}", tool.name()));
            copy(&tree, &pair.a)?;
            copy(&tree, &pair.b)?;
            pair.configure()?;
            quietly(&mut self.tools.sync(tool, &pair, true))?;
            pairs.push((tool, pair));
        }
        Ok(pairs)
    }

    /// Calls `each` for every tool in turn, as often as there are rounds; marks the tools that are not here.
    ///
    /// # Errors
    /// When `each` fails.
    pub fn rounds(
        &mut self,
        job: &str,
        tools: &[Tool],
        mut each: impl FnMut(&mut Self, Tool, usize) -> Result<bool>,
    ) -> Result<bool> {
        let installed = self.tools.installed(tools);
        for tool in tools {
            self.results.add(job, tool.name(), None);
        }
        let mut equal = true;
        for round in 0..self.rounds {
            for &tool in &installed {
                equal &= each(self, tool, round)
                    .with_context(|| format!("{job}, {}, round {}", tool.name(), round + 1))?;
            }
        }
        Ok(equal)
    }

    /// Measures one run of a tool, and tells whether both sides are equal afterwards.
    fn timed(&mut self, job: &str, tool: Tool, pair: &Pair, exact: bool) -> Result<bool> {
        let sample = self.measure(&self.tools.sync(tool, pair, exact))?;
        self.note(job, tool.name(), sample);
        is_equal(pair)
    }

    /// Tells a figure and keeps it.
    pub fn note(&mut self, job: &str, tool: &str, sample: super::results::Sample) {
        say(format_args!(
            "{job} {tool:<9} {:8.3} s, CPU {:7.2} s, {:6.1} MiB, others {:.2} cores",
            sample.wall_s,
            sample.cpu_s.unwrap_or_default(),
            sample.rss_mib.unwrap_or_default(),
            sample.foreign_cores
        ));
        self.results.add(job, tool, Some(sample));
    }

    /// The tree of a workload; made when it is not there yet.
    pub fn tree(&self, workload: Workload) -> Result<PathBuf> {
        let workload = workload.shrunk(self.shrink);
        let tree = self.place.join(&format!("tree-{}-{}", workload.name, self.shrink));
        if !tree.exists() {
            say(format_args!("making the tree {}", workload.name));
            let unfinished = tree.with_extension("unfinished");
            remove(&unfinished)?;
            workload.make(&unfinished)?;
            fs::rename(&unfinished, &tree)?;
        }
        Ok(tree)
    }

    /// An empty place for a pair.
    pub fn pair(&self, name: &str) -> Pair {
        Pair::inside(&self.place.join(&format!("pair-{name}")))
    }
}

/// Copies a tree with its times, in place of what was there.
pub fn copy(from: &Path, to: &Path) -> Result<()> {
    remove(to)?;
    if let Some(parent) = to.parent() {
        fs::create_dir_all(parent)?;
    }
    quietly(command("cp", ["-a", "--"]).arg(from).arg(to)).map(|_| ())
}

/// The pair of a tool.
///
/// # Errors
/// When it has none.
pub fn pair_of(pairs: &[(Tool, Pair)], tool: Tool) -> Result<&Pair> {
    let found = pairs.iter().find(|(owner, _)| *owner == tool);
    found.map(|(_, pair)| pair).context("the tool has no pair of folders")
}

/// Whether both sides are equal; says what differs.
pub fn is_equal(pair: &Pair) -> Result<bool> {
    let found = differences(&pair.a, &pair.b)?;
    found.iter().take(10).for_each(|line| say(format_args!("     differs: {line}")));
    Ok(found.is_empty())
}
