//! J8: how long a change takes to arrive while Syncline watches.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use fastrand::Rng;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::Bench;
use super::jobs::{copy, is_equal};
use super::measure::{busy_s, cpu_s_of};
use super::results::Sample;
use super::workload::MEDIUM;
use crate::shell::say;

/// Single files that are written.
const FILES: usize = 20;
/// Files that are written at once.
const BURST: usize = 200;
/// After this, a file is lost.
const PATIENCE: Duration = Duration::from_secs(30);

/// A process that is stopped when it is no longer needed.
struct Watching(Child);

impl Watching {
    /// Writes files to `a` and waits until all are at `b`; the time runs from the last write.
    fn timed(&self, a: &Path, b: &Path, files: &[(String, String)]) -> Result<Sample> {
        let (busy, own, begun) = (busy_s(), cpu_s_of(self.0.id()), Instant::now());
        let mut written = begun;
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
        let own = cpu_s_of(self.0.id()) - own;
        let foreign_cores = ((busy_s() - busy - own) / begun.elapsed().as_secs_f64()).max(0.0);
        Ok(Sample { wall_s, cpu_s: Some(own), rss_mib: None, foreign_cores })
    }

    /// Asks it to end, and waits for that.
    fn stop(&mut self) -> Result<()> {
        let pid = Pid::from_raw(i32::try_from(self.0.id())?);
        kill(pid, Signal::SIGTERM)?;
        let end = Instant::now() + PATIENCE;
        while Instant::now() < end {
            if self.0.try_wait()?.is_some() {
                return Ok(());
            }
            sleep(Duration::from_millis(20));
        }
        bail!("the watch did not end within {PATIENCE:?} of being asked to")
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        // It has ended already, unless something went wrong.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
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
        let log = File::create(self.place.join("watch.log"))?;
        let mut watch = Command::new(&self.tools.syncline);
        watch.args(["run", "--watch", "--config"]).arg(pair.a.join("syncline.yaml"));
        let child = watch.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).spawn();
        let mut watching = Watching(child.context("starting the watch")?);
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
                let sample = watching.timed(&pair.a, &pair.b, &[(name, content)])?;
                self.results.add("j8", "syncline, one file", Some(sample));
                sleep(Duration::from_millis(random.u64(200..900)));
            }
            let burst: Vec<(String, String)> = (0..BURST)
                .map(|index| (format!("burst-{round}-{index}.txt"), format!("{}", random.u64(..)).repeat(25)))
                .collect();
            let sample = watching.timed(&pair.a, &pair.b, &burst)?;
            say(format_args!("j8 burst of {BURST}: {:.3} s", sample.wall_s));
            self.results.add("j8", "syncline, burst of 200 files", Some(sample));
            sleep(Duration::from_secs(1));
        }
        watching.stop()?;
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
