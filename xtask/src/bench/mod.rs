//! `bench`: Syncline beside rsync, unison, rclone and Git, on the same data, in the same run, turn by turn.
//!
//! Only ratios from one run mean anything: how fast a machine is at a moment depends on everything else that it
//! does. So each round runs every tool once, medians are compared, and the CPU that others used is written down.

mod compare;
mod conflicting;
mod daemon;
mod git;
mod http;
mod jobs;
mod latency;
pub mod measure;
mod page;
mod place;
mod results;
mod running;
mod tools;
mod workload;

use std::path::PathBuf;

use anyhow::{Result, bail};

use crate::shell::{build_syncline, say};
use place::Place;
use results::Results;
use tools::Tools;

pub use daemon::sleep;
pub use page::page;

/// What `bench` is told.
#[derive(clap::Args)]
pub struct Arguments {
    /// Jobs to measure: j1 first sync, j2 nothing to do, j3 two-way changes, j4 conflicts, j6 renamed folder, j7 nothing
    /// to do in a million files, j8 watching, git a Git remote, status the daemon's answers, idle a daemon with nothing to
    /// do, live those who listen to it; all of them when none is named
    jobs: Vec<String>,
    /// How often each tool does each job
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Divide all workloads by this, to try things out; nothing is written to the documentation then
    #[arg(long, default_value_t = 1)]
    shrink: u32,
    /// Where the workloads and the copies live; default: a journaled file system of our own in a temporary folder
    /// when run by root, else the temporary folder itself
    #[arg(long)]
    data: Option<PathBuf>,
    /// Scheduling priority of what is measured, from -20 (root only) to 19, against other work of the machine
    #[arg(long, allow_hyphen_values = true)]
    priority: Option<i32>,
    /// Longest wait for the machine to become quiet before each measurement, in seconds
    #[arg(long, default_value_t = 20)]
    wait_s: u64,
}

/// The jobs, in their order.
const JOBS: [&str; 11] = ["j1", "j2", "j3", "j4", "j6", "j7", "j8", "git", "status", "idle", "live"];

/// Everything that a job needs.
pub struct Bench {
    place: Place,
    tools: Tools,
    rounds: usize,
    shrink: u32,
    priority: Option<i32>,
    wait_s: u64,
    results: Results,
}

/// Measures, prints, and keeps the results. Tells whether every job ended with equal trees.
///
/// # Errors
/// When data cannot be prepared or a tool cannot be run.
pub fn run(arguments: &Arguments) -> Result<bool> {
    for job in &arguments.jobs {
        if !JOBS.contains(&job.as_str()) {
            bail!("there is no job {job:?}; the jobs are {}", JOBS.join(", "));
        }
    }
    if arguments.rounds == 0 || arguments.shrink == 0 {
        bail!("--rounds and --shrink start at 1");
    }
    let tools = Tools::find(build_syncline(true)?);
    if let Some(priority) = arguments.priority {
        // What runs while it is measured is started by this process, and so is the client that asks it.
        measure::prioritise(priority);
    }
    let mut bench = Bench {
        place: Place::prepare(arguments.data.as_deref())?,
        tools,
        rounds: arguments.rounds,
        shrink: arguments.shrink,
        priority: arguments.priority,
        wait_s: arguments.wait_s,
        results: Results::default(),
    };
    let mut all_equal = true;
    for job in JOBS {
        if arguments.jobs.is_empty() || arguments.jobs.iter().any(|wanted| wanted == job) {
            say(format_args!("\n== {job}"));
            all_equal &= bench.job(job)?;
            bench.results.machine = bench.place.machine(&bench.tools);
            if bench.shrink == 1 {
                // At once: a later job may fail after hours.
                bench.results.keep()?;
            }
        }
    }
    say(format_args!("\n{}", page::render(&bench.results)));
    if bench.shrink == 1 {
        say("written: bench/results.json and docs/src/benchmarks.md");
    } else {
        say("the workloads were shrunk: nothing was written");
    }
    Ok(all_equal)
}
