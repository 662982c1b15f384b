//! J8: how long a change takes to arrive while Syncline watches.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use fastrand::Rng;

use super::Bench;
use super::jobs::{copy, is_equal};
use super::results::Sample;
use super::running::{PATIENCE, Running};
use super::workload::MEDIUM;
use crate::shell::say;

/// Single files that are written.
const FILES: usize = 20;
/// Files that are written at once.
const BURST: usize = 200;

/// Writes files to `a` and waits until all are at `b`; the time runs from the last write.
fn timed(watch: &Running, a: &Path, b: &Path, files: &[(String, String)]) -> Result<Sample> {
    let meter = watch.meter();
    let mut written = Instant::now();
    for (name, content) in files {
        fs::write(a.join(name), content)?;
        written = Instant::now();
    }
    for (name, content) in files {
        wait(b, name, content.as_bytes())?;
    }
    let wall_s = written.elapsed().as_secs_f64();
    // In so short a time the counters of the system, which tick a hundred times a second, tell little.
    sleep(Duration::from_millis(200));
    Ok(Sample { rss_mib: None, ..meter.sample(wall_s) })
}

impl Bench {
    /// Writes files on one side and waits for each on the other; then many at once.
    ///
    /// # Errors
    /// When a file never arrives.
    pub fn latency(&mut self) -> Result<bool> {
        let tree = self.tree(MEDIUM)?;
        let pair = self.pair("watch");
        copy(&tree, &pair.a)?;
        copy(&tree, &pair.b)?;
        pair.configure()?;
        let mut watch = Command::new(&self.tools.syncline);
        watch.args(["run", "--watch", "--config"]).arg(pair.a.join("syncline.yaml"));
        let watch = Running::start(&mut watch, &self.place.join("watch.log"))?;
        arrival(&pair.a, &pair.b, "warm-up.txt", b"ready?", Instant::now())?;
        self.wait_until_quiet();
        let mut random = Rng::with_seed(8);
        for round in 0..self.rounds {
            for index in 0..FILES {
                // New files and overwritten ones in turn, at moments that have nothing to do with any interval.
                let name = if index % 2 == 0 {
                    format!("one-{round}-{index}.txt")
                } else {
                    "warm-up.txt".to_owned()
                };
                let content = format!("{round} {index} {}", random.u64(..)).repeat(40);
                let sample = timed(&watch, &pair.a, &pair.b, &[(name, content)])?;
                self.results.add("j8", "syncline, one file", Some(sample));
                sleep(Duration::from_millis(random.u64(200..900)));
            }
            let burst: Vec<(String, String)> = (0..BURST)
                .map(|index| (format!("burst-{round}-{index}.txt"), format!("{}", random.u64(..)).repeat(25)))
                .collect();
            let sample = timed(&watch, &pair.a, &pair.b, &burst)?;
            say(format_args!("j8 burst of {BURST}: {:.3} s", sample.wall_s));
            self.results.add("j8", "syncline, burst of 200 files", Some(sample));
            sleep(Duration::from_secs(1));
        }
        watch.stop()?;
        is_equal(&pair)
    }
}

/// Writes the first file; when it has arrived, the watch has started.
fn arrival(a: &Path, b: &Path, name: &str, content: &[u8], since: Instant) -> Result<()> {
    fs::write(a.join(name), content)?;
    wait(b, name, content).with_context(|| format!("the watch did not start within {:?}", since.elapsed()))
}

fn wait(folder: &Path, name: &str, content: &[u8]) -> Result<()> {
    let end = Instant::now() + PATIENCE;
    while Instant::now() < end {
        if fs::read(folder.join(name)).is_ok_and(|found| found == content) {
            return Ok(());
        }
        sleep(Duration::from_micros(500));
    }
    bail!("{name} did not arrive within {PATIENCE:?}")
}
