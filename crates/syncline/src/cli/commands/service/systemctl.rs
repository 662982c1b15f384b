//! Asking systemd, by its own program.

use std::io::ErrorKind;
use std::path::Path;
use std::process::{Command, Stdio};

use serde::Serialize;
use syncline_service::{Class, Problem};

/// The manager of the system, or that of the user.
#[derive(Clone, Copy, Debug)]
pub(super) struct Systemctl {
    /// Whether that of the user.
    pub(super) user: bool,
}

/// What the manager tells of a unit.
#[derive(Debug, Default, Serialize)]
pub(super) struct Told {
    /// As in `systemctl is-active`.
    #[serde(rename = "state")]
    pub(super) active: String,
    /// As in `systemctl is-enabled`.
    #[serde(skip)]
    pub(super) unit_file: String,
    /// Why it ended, when it failed.
    pub(super) result: String,
    /// Its process; 0 when there is none.
    pub(super) pid: u32,
    /// How often it was started again by itself.
    pub(super) restarts: u32,
    /// Bytes of memory that it takes.
    pub(super) memory: Option<u64>,
    /// Since when it is as it is.
    pub(super) since: Option<String>,
}

impl Systemctl {
    /// Lets a unit run from the next boot on, and `now` too; one that `runs` already is started anew.
    pub(super) fn start(self, name: &str, now: bool, runs: bool) -> Result<(), Problem> {
        self.reload()?;
        let unit = unit(name);
        self.ask(&["enable", &unit])?;
        match (now, runs) {
            (true, true) => self.ask(&["restart", &unit]).map(drop),
            (true, false) => self.ask(&["start", &unit]).map(drop),
            (false, _) => Ok(()),
        }
    }

    /// Ends a unit, and lets it not run any more.
    pub(super) fn stop(self, name: &str) -> Result<(), Problem> {
        self.ask(&["disable", "--now", &unit(name)]).map(drop)
    }

    /// Lets the manager read its units anew.
    pub(super) fn reload(self) -> Result<(), Problem> {
        self.ask(&["daemon-reload"]).map(drop)
    }

    /// What it tells of a unit.
    pub(super) fn told(self, name: &str) -> Result<Told, Problem> {
        let properties =
            "ActiveState,UnitFileState,Result,MainPID,NRestarts,MemoryCurrent,StateChangeTimestamp";
        let said = self.ask(&["show", &unit(name), "--timestamp=unix", "--property", properties])?;
        let mut told = Told::default();
        for (key, value) in said.lines().filter_map(|line| line.split_once('=')) {
            match key {
                "ActiveState" => told.active = value.to_owned(),
                "UnitFileState" => told.unit_file = value.to_owned(),
                "Result" if value != "success" => told.result = value.to_owned(),
                "MainPID" => told.pid = value.parse().unwrap_or_default(),
                "NRestarts" => told.restarts = value.parse().unwrap_or_default(),
                // The greatest number of all means that it is not known.
                "MemoryCurrent" => told.memory = value.parse().ok().filter(|memory| *memory != u64::MAX),
                "StateChangeTimestamp" => told.since = time(value),
                _ => {}
            }
        }
        Ok(told)
    }

    fn ask(self, arguments: &[&str]) -> Result<String, Problem> {
        let mut command = Command::new("systemctl");
        if self.user {
            command.arg("--user");
        }
        let asked = command.args(arguments).stdin(Stdio::null()).output().map_err(|error| match error.kind() {
            ErrorKind::NotFound => Problem::usage("no_systemd", "this system is not run by systemd: there is no systemctl")
                .with_hint("let its own manager run `syncline serve`; `syncline service install --print` shows how systemd would"),
            _ => Problem::io(error, "starting systemctl"),
        })?;
        if asked.status.success() {
            return Ok(String::from_utf8_lossy(&asked.stdout).into_owned());
        }
        let said = String::from_utf8_lossy(&asked.stderr);
        let said = said.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or("it said nothing");
        let message = format!("`systemctl {}` failed: {said}", arguments.join(" "));
        Err(Problem::new(Class::Failed, "systemd", message))
    }
}

fn unit(name: &str) -> String {
    format!("{name}.service")
}

/// A time as `@seconds` since the epoch.
fn time(value: &str) -> Option<String> {
    let seconds = value.strip_prefix('@')?.parse().ok()?;
    jiff::Timestamp::from_second(seconds).ok().map(|time| time.to_string())
}

/// Whether this process may do everything.
#[cfg(unix)]
pub(super) fn is_privileged() -> bool {
    rustix::process::geteuid().is_root()
}

/// Whether this process may do everything.
#[cfg(not(unix))]
pub(super) fn is_privileged() -> bool {
    false
}

/// The user and the group that own a folder, by number.
#[cfg(unix)]
pub(super) fn owner(folder: &Path) -> Option<(u32, u32)> {
    use std::os::unix::fs::MetadataExt as _;
    std::fs::metadata(folder).ok().map(|metadata| (metadata.uid(), metadata.gid()))
}

/// Nobody, as far as is known.
#[cfg(not(unix))]
pub(super) fn owner(_: &Path) -> Option<(u32, u32)> {
    None
}
