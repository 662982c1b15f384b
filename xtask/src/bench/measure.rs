//! Measuring one command: wall time, CPU, memory, and what the rest of the machine did meanwhile.
//!
//! Each command is started by a small process of its own, so that the resource usage of its children is that of
//! this command alone. Memory is that of the largest process: rsync runs three of them.

use std::ffi::OsString;
use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sys::resource::{UsageWho, getrusage};
use serde::{Deserialize, Serialize};

use super::Bench;
use super::results::Sample;
use crate::shell::{command, is_root, quietly};

/// What the measuring process is told.
#[derive(clap::Args)]
pub struct Arguments {
    /// Where to write the figures
    #[arg(long)]
    out: PathBuf,
    /// Where to write what the command says
    #[arg(long)]
    log: PathBuf,
    /// Scheduling priority, from -20 to 19
    #[arg(long, allow_hyphen_values = true)]
    priority: Option<i32>,
    /// The command
    #[arg(last = true, required = true)]
    command: Vec<OsString>,
}

/// The figures of one command.
#[derive(Deserialize, Serialize)]
struct Figures {
    wall_s: f64,
    cpu_s: f64,
    rss_kib: i64,
    code: Option<i32>,
}

/// Runs one command and writes its figures.
///
/// # Errors
/// When the command cannot be started or the figures cannot be written.
pub fn helper(arguments: &Arguments) -> Result<bool> {
    if let Some(priority) = arguments.priority {
        prioritise(priority);
    }
    let log = File::create(&arguments.log)?;
    let (program, rest) = arguments.command.split_first().context("there is no command")?;
    let mut command = Command::new(program);
    command.args(rest).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    let start = Instant::now();
    let status = command.status().with_context(|| format!("starting {}", program.to_string_lossy()))?;
    let wall_s = start.elapsed().as_secs_f64();
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let seconds = |time: nix::sys::time::TimeVal| time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6;
    let cpu_s = seconds(usage.user_time()) + seconds(usage.system_time());
    let figures = Figures { wall_s, cpu_s, rss_kib: usage.max_rss(), code: status.code() };
    fs::write(&arguments.out, serde_json::to_string(&figures)?)?;
    Ok(true)
}

/// Where the scheduler groups processes by session, niceness counts within a group only; the group has its own.
pub fn prioritise(priority: i32) {
    let _ = nix::unistd::setsid();
    // Without the right to do so, the command is measured at the usual priority.
    let _ = fs::write("/proc/self/autogroup", priority.to_string());
}

impl Bench {
    /// Waits for a quiet machine, runs `command`, and returns its figures.
    ///
    /// # Errors
    /// When it fails; the error holds what it said.
    pub fn measure(&self, command: &Command) -> Result<Sample> {
        self.measure_to(command, &[0])
    }

    /// The same for a command that may end with each of some exit codes.
    ///
    /// # Errors
    /// When it ends with another one; the error holds what it said.
    pub fn measure_to(&self, command: &Command, accepted: &[i32]) -> Result<Sample> {
        let (out, log) = (self.place.join("figures.json"), self.place.join("log.txt"));
        let mut helper = Command::new(std::env::current_exe()?);
        helper.arg("measure").arg("--out").arg(&out).arg("--log").arg(&log);
        if let Some(priority) = self.priority {
            helper.arg(format!("--priority={priority}"));
        }
        helper.arg("--").arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            helper.env(name, value.unwrap_or_default());
        }
        self.wait_until_quiet();
        let (busy, start) = (busy_s(), Instant::now());
        quietly(&mut helper)?;
        let (busy, elapsed_s) = (busy_s() - busy, start.elapsed().as_secs_f64());
        let figures: Figures = serde_json::from_str(&fs::read_to_string(&out)?)?;
        if !figures.code.is_some_and(|code| accepted.contains(&code)) {
            let said = fs::read_to_string(&log).unwrap_or_default();
            bail!("{command:?} ended with {:?}: {}", figures.code, said.trim());
        }
        Ok(Sample {
            wall_s: figures.wall_s,
            cpu_s: Some(figures.cpu_s),
            rss_mib: Some(figures.rss_kib as f64 / 1024.0),
            foreign_cores: ((busy - figures.cpu_s) / elapsed_s).max(0.0),
        })
    }

    /// Writes back what is dirty, then waits until little else runs; not longer than was allowed.
    pub fn wait_until_quiet(&self) {
        // What is still dirty would be written during the measurement. Where this fails, the wait must do.
        let _ = quietly(&mut command("sync", [] as [&str; 0]));
        let end = Instant::now() + Duration::from_secs(self.wait_s);
        while Instant::now() < end {
            let busy = busy_s();
            sleep(Duration::from_millis(500));
            if busy_s() - busy < 0.1 {
                return;
            }
        }
    }

    /// What was asked for and cannot be had is told once.
    pub fn tell_limits(&self) {
        if self.priority.is_some_and(|priority| priority < 0) && !is_root() {
            crate::shell::say("only root may raise the priority: measuring at the usual one");
        }
    }
}

/// Seconds for which the processors of this machine have worked, all together.
pub fn busy_s() -> f64 {
    // Ticks are hundredths of a second in this file, whatever the kernel's own are.
    let text = fs::read_to_string("/proc/stat").unwrap_or_default();
    let fields: Vec<f64> = text
        .lines()
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .skip(1)
        .filter_map(|f| f.parse().ok())
        .collect();
    // user, nice, system, (idle, waiting), interrupts, soft interrupts
    [0, 1, 2, 5, 6].iter().filter_map(|&field| fields.get(field)).sum::<f64>() / 100.0
}

/// Seconds of CPU that a running process has used so far.
pub fn cpu_s_of(process: u32) -> f64 {
    let text = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    // The name stands in parentheses and may hold anything; user and system time are fields 14 and 15 of proc(5).
    let fields = text.rsplit(')').next().unwrap_or_default().split_whitespace().skip(11).take(2);
    fields.filter_map(|field| field.parse::<f64>().ok()).sum::<f64>() / 100.0
}

/// Memory that a running process holds now, in MiB.
pub fn rss_mib_of(process: u32) -> Option<f64> {
    let text = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.split_whitespace().next()?.parse::<f64>().ok()? / 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_helper_measures_a_command() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("out");
        let spin = "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; exit 3";
        let arguments = Arguments {
            out: out.clone(),
            log: folder.path().join("log"),
            priority: None,
            command: ["sh", "-c", spin].map(OsString::from).to_vec(),
        };
        helper(&arguments).unwrap();
        let figures: Figures = serde_json::from_str(&fs::read_to_string(out).unwrap()).unwrap();
        assert_eq!(figures.code, Some(3));
        assert!(figures.wall_s > 0.0 && figures.cpu_s > 0.0 && figures.rss_kib > 0);
    }
}
