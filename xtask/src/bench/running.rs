//! Programs that run while something is measured.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::measure::{busy_s, cpu_s_of, rss_mib_of};
use super::results::Sample;

/// After this, what is waited for is lost.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A process that is ended when it is no longer needed.
pub struct Running(Child);

impl Running {
    /// Starts a program; what it says goes to the file `log`.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(command: &mut Command, log: &Path) -> Result<Self> {
        let log = File::create(log)?;
        let child = command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).spawn();
        Ok(Self(child.with_context(|| format!("starting {command:?}"))?))
    }

    /// The same for one that says where it listens, which is returned as well.
    ///
    /// # Errors
    /// When it cannot be started, or does not say it in time.
    pub fn listening(command: &mut Command, log: &Path) -> Result<(Self, SocketAddr)> {
        let mut running = Self::start(command, log)?;
        let end = Instant::now() + PATIENCE;
        while Instant::now() < end && running.0.try_wait()?.is_none() {
            let said = fs::read_to_string(log)?;
            let address =
                said.lines().find_map(|line| line.split_once("listening on http://")?.1.parse().ok());
            if let Some(address) = address {
                return Ok((running, address));
            }
            sleep(Duration::from_millis(10));
        }
        bail!("{command:?} does not listen; it said: {}", fs::read_to_string(log)?.trim())
    }

    /// The number of the process.
    pub fn id(&self) -> u32 {
        self.0.id()
    }

    /// What this process, and others, use from now on.
    pub fn meter(&self) -> Meter {
        let process = self.id();
        Meter { process, begun: Instant::now(), busy: busy_s(), own: cpu_s_of(process), ours: ours() }
    }

    /// Asks it to end, and waits for that.
    ///
    /// # Errors
    /// When it does not end.
    pub fn stop(mut self) -> Result<()> {
        let pid = Pid::from_raw(i32::try_from(self.id())?);
        kill(pid, Signal::SIGTERM)?;
        let end = Instant::now() + PATIENCE;
        while Instant::now() < end {
            if self.0.try_wait()?.is_some() {
                return Ok(());
            }
            sleep(Duration::from_millis(20));
        }
        bail!("process {pid} did not end within {PATIENCE:?} of being asked to")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It has ended already, unless something went wrong.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What was used when it began to be counted.
pub struct Meter {
    process: u32,
    begun: Instant,
    busy: f64,
    own: f64,
    ours: f64,
}

impl Meter {
    /// A round that took `wall_s`, with what the process used, and others besides this one, since the beginning.
    pub fn sample(&self, wall_s: f64) -> Sample {
        let cpu_s = cpu_s_of(self.process) - self.own;
        let others = busy_s() - self.busy - cpu_s - (ours() - self.ours);
        Sample {
            wall_s,
            cpu_s: Some(cpu_s),
            rss_mib: rss_mib_of(self.process),
            foreign_cores: (others / self.begun.elapsed().as_secs_f64()).max(0.0),
        }
    }
}

/// Seconds of CPU that this process has used: as a client, it is no stranger.
fn ours() -> f64 {
    cpu_s_of(std::process::id())
}
