//! `syncline serve`: what it answers per second, how soon while it syncs, what it costs while nothing happens, and how
//! many can listen.

use std::fmt::Write as _;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::Bench;
use super::http::{Connection, flood, p99, pace, readable};
use super::jobs::{copy, is_equal};
use super::running::{PATIENCE, Running};
use super::tools::remove;
use super::workload::{SMALL, SOME};
use crate::shell::{build, say};

/// The route that is asked for.
const STATUS: &str = "/status";
/// Requests that are answered in a round.
const REQUESTS: usize = 200_000;
/// Connections over which they come.
const CONNECTIONS: usize = 32;
/// How often the status is asked for while a sync is going on.
const ASK_EVERY: Duration = Duration::from_millis(4);
/// Targets of the daemon that has nothing to do.
const TARGETS: usize = 100;
/// How long it is left alone before it is measured, and measured then.
const SETTLING: Duration = Duration::from_secs(15);
const WINDOW: Duration = Duration::from_secs(30);
/// How often the program beside it looks at a file: nothing that looks at anything can cost less than its wakes do.
const SLEEP: Duration = Duration::from_secs(1);
/// Those who listen to events at once.
const LISTENERS: usize = 1000;

impl Bench {
    /// Asks for the status: while everything is synced for the first time, and as fast as it is answered, beside an
    /// endpoint that does nothing but answer.
    ///
    /// # Errors
    /// When a program does not run, or an answer is none.
    pub fn status(&mut self) -> Result<bool> {
        let trivial = build("--example", "trivial_endpoint", true)?;
        let tree = self.tree(SMALL)?;
        let pair = self.pair("status");
        copy(&tree, &pair.a)?;
        configure(&pair.a, [("bench", ".", pair.b.as_path())])?;
        let requests = REQUESTS / self.shrink as usize;
        let mut equal = true;
        for _ in 0..self.rounds {
            remove(&pair.b)?;
            pair.forget()?;
            fs::create_dir(&pair.b)?;
            self.wait_until_quiet();
            let (daemon, address) = self.serve(&pair.a)?;
            let meter = daemon.meter();
            let times = pace(address, STATUS, ASK_EVERY, goes_on)?;
            let (count, slowest) = (times.len(), times.iter().max().copied().unwrap_or_default());
            let p99 = p99(times).context("nothing was asked while it synced")?;
            say(format_args!("status-busy: {count} answers, the slowest after {slowest:?}"));
            self.note("status-busy", "syncline", meter.sample(p99.as_secs_f64()));
            let body = self.place.join("status.json");
            fs::write(&body, Connection::open(address, STATUS)?.get()?)?;
            let log = self.place.join("trivial.log");
            let (endpoint, other) = Running::listening(Command::new(&trivial).arg(body), &log)?;
            for (name, server, address) in
                [("syncline", &daemon, address), ("trivial endpoint", &endpoint, other)]
            {
                self.wait_until_quiet();
                let meter = server.meter();
                let taken = flood(address, STATUS, CONNECTIONS, requests)?;
                self.note("status", name, meter.sample(taken.as_secs_f64()));
            }
            daemon.stop()?;
            equal &= is_equal(&pair)?;
        }
        remove(&pair.a)?;
        remove(&pair.b)?;
        Ok(equal)
    }

    /// Leaves a daemon with many targets alone, beside a program that only looks at a file once a second.
    ///
    /// # Errors
    /// When it does not run, or watches less than it is to.
    pub fn idle(&mut self) -> Result<bool> {
        let tree = self.tree(SOME)?;
        let pair = self.pair("idle");
        let count = (TARGETS / self.shrink as usize).max(2);
        let names: Vec<String> = (0..count).map(|index| format!("target-{index:03}")).collect();
        for name in &names {
            copy(&tree, &pair.a.join(name))?;
        }
        let remotes: Vec<_> = names.iter().map(|name| pair.b.join(name)).collect();
        remotes.iter().try_for_each(fs::create_dir_all)?;
        configure(
            &pair.a,
            names.iter().zip(&remotes).map(|(name, remote)| (name.as_str(), name.as_str(), remote.as_path())),
        )?;
        let (daemon, address) = self.serve(&pair.a)?;
        pace(address, STATUS, Duration::from_millis(200), goes_on)?;
        thread::sleep(SETTLING);
        let mut sleeper = Command::new(std::env::current_exe()?);
        sleeper.arg("sleep").arg(pair.a.join("syncline.yaml"));
        let sleeper = Running::start(&mut sleeper, &self.place.join("sleep.log"))?;
        for _ in 0..self.rounds {
            self.wait_until_quiet();
            let meters = [("syncline", daemon.meter()), ("one look a second", sleeper.meter())];
            thread::sleep(WINDOW);
            for (name, meter) in meters {
                self.note("idle", name, meter.sample(WINDOW.as_secs_f64()));
            }
        }
        let log = fs::read_to_string(self.place.join("serve.log"))?;
        if let Some(line) = log.lines().find(|line| line.contains("watch") && line.contains("limit")) {
            bail!("not everything was watched: {line}");
        }
        daemon.stop()?;
        let equal = is_equal(&pair)?;
        remove(&pair.a)?;
        remove(&pair.b)?;
        Ok(equal)
    }

    /// Has one, then many listen to the events of a run.
    ///
    /// # Errors
    /// When one of them does not hear it.
    pub fn live(&mut self) -> Result<bool> {
        let pair = self.pair("live");
        remove(&pair.a)?;
        remove(&pair.b)?;
        fs::create_dir_all(&pair.a)?;
        fs::create_dir_all(&pair.b)?;
        fs::write(pair.a.join("first.txt"), "first")?;
        configure(&pair.a, [("bench", ".", pair.b.as_path())])?;
        let (daemon, address) = self.serve(&pair.a)?;
        pace(address, STATUS, Duration::from_millis(50), goes_on)?;
        for round in 0..self.rounds {
            for (name, count) in [("one listener", 1), ("1,000 listeners", LISTENERS)] {
                let mut listeners = (0..count).map(|_| listen(address)).collect::<Result<Vec<_>>>()?;
                self.wait_until_quiet();
                listeners.iter_mut().for_each(Connection::forget);
                let meter = daemon.meter();
                let begun = Instant::now();
                fs::write(pair.a.join(format!("file-{round}-{count}.txt")), name)?;
                hear_all(&mut listeners)?;
                self.note("live", name, meter.sample(begun.elapsed().as_secs_f64()));
            }
        }
        daemon.stop()?;
        is_equal(&pair)
    }

    /// Starts `syncline serve` in a workspace, and waits until it can tell how it is doing.
    fn serve(&self, workspace: &Path) -> Result<(Running, SocketAddr)> {
        let mut serve = Command::new(&self.tools.syncline);
        serve.args(["serve", "--listen", "127.0.0.1:0", "--config"]).arg(workspace.join("syncline.yaml"));
        let (daemon, address) = Running::listening(&mut serve, &self.place.join("serve.log"))?;
        let end = Instant::now() + PATIENCE;
        while Connection::open(address, "/readyz")?.get().is_err() {
            if Instant::now() >= end {
                bail!("the daemon is not ready within {PATIENCE:?}");
            }
            thread::sleep(Duration::from_millis(2));
        }
        Ok((daemon, address))
    }
}

/// Looks at a file once a second, and does nothing else; ends never.
///
/// # Errors
/// When the file is gone.
pub fn sleep(file: &Path) -> Result<bool> {
    loop {
        fs::symlink_metadata(file)?;
        thread::sleep(SLEEP);
    }
}

/// Writes a configuration of watched targets, each with its folder in the workspace and that on the other side.
fn configure<'a>(root: &Path, targets: impl IntoIterator<Item = (&'a str, &'a str, &'a Path)>) -> Result<()> {
    let mut text = String::from("version: \"1.0\"\nnode: { name: bench }\ntargets:\n");
    for (name, folder, remote) in targets {
        let remote = serde_json::Value::from(remote.to_string_lossy());
        let _ = write!(
            text,
            "  {name}:\n    path: {folder}\n    remote: {{ kind: folder, path: {remote} }}\n    triggers: {{ watch: true }}\n"
        );
    }
    Ok(fs::write(root.join("syncline.yaml"), text)?)
}

/// Whether a status tells of a target whose first run has not ended.
fn goes_on(status: &[u8]) -> bool {
    const FIRST: &[u8] = b"\"last_run\":null";
    status.windows(FIRST.len()).any(|bytes| bytes == FIRST)
}

/// Somebody who listens to events, and has been told so.
fn listen(address: SocketAddr) -> Result<Connection> {
    let mut listener = Connection::open(address, "/api/v1/events")?;
    listener.ask()?;
    while !has_heard(&listener, "listening") {
        listener.hear()?;
    }
    Ok(listener)
}

fn has_heard(listener: &Connection, event: &str) -> bool {
    let line = format!("event: {event}\n");
    listener.heard().windows(line.len()).any(|bytes| bytes == line.as_bytes())
}

/// Waits until all have heard that a run ended, and checks that all have heard the same.
fn hear_all(listeners: &mut [Connection]) -> Result<()> {
    let mut waiting: Vec<&mut Connection> = listeners.iter_mut().collect();
    while !waiting.is_empty() {
        let mut ready = readable(waiting.iter().map(|listener| &**listener))?;
        // From the last to the first, so that the places of those before stay what they are.
        while let Some(index) = ready.pop() {
            waiting[index].hear()?;
            if !events_of_run(waiting[index]).is_empty() {
                waiting.swap_remove(index);
            }
        }
    }
    let mut heard = listeners.iter().map(events_of_run);
    let first = heard.next().unwrap_or_default();
    if first.is_empty() || heard.any(|other| other != first) {
        bail!("those who listen did not hear the same run: {first:?}");
    }
    Ok(())
}

/// The identifiers and names of the events of the run, from its beginning to its end; none before that. What is around it,
/// such as looks that came to nothing, may be heard by some and not by others, depending on when they came.
fn events_of_run(listener: &Connection) -> Vec<String> {
    let text = String::from_utf8_lossy(listener.heard());
    let lines = text.lines().filter(|line| line.starts_with("id: ") || line.starts_with("event: "));
    let mut events: Vec<String> = lines.map(str::to_owned).collect();
    let Some(begin) = events.iter().position(|line| line == "event: run_started") else { return Vec::new() };
    // The identifier of an event is in front of its name.
    let mut events = events.split_off(begin.saturating_sub(1));
    let end = events.iter().position(|line| line == "event: run_ended");
    events.truncate(end.map_or(0, |end| end + 1));
    events
}
