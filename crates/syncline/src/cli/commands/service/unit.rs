//! The unit with which systemd runs a workspace: its text, and where it lies.
//!
//! The settings are those of systemd.service(5), systemd.exec(5) and systemd.resource-control(5).

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use syncline_service::Problem;

/// The first words of every unit that Syncline writes, by which it knows its own.
const MARK: &str = "# Written by `syncline service install` for ";

/// Who runs the unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Manager {
    /// The system, as this user and group.
    System { user: String, group: Option<String> },
    /// The manager of the user who installs it.
    User,
}

/// What a unit is to do.
#[derive(Clone, Debug)]
pub(super) struct Unit {
    /// Who runs it.
    pub(super) manager: Manager,
    /// The program.
    pub(super) program: PathBuf,
    /// The configuration file.
    pub(super) config: PathBuf,
    /// The workspace.
    pub(super) workspace: PathBuf,
    /// The state folder, where another one than that of the workspace was named.
    pub(super) state: Option<PathBuf>,
    /// Other folders that it writes to.
    pub(super) folders: Vec<PathBuf>,
    /// The address to answer on over HTTP.
    pub(super) listen: Option<String>,
    /// A file of environment variables, such as those that hold secrets.
    pub(super) environment: Option<PathBuf>,
    /// The most memory that the process and its scripts may take, as systemd writes sizes.
    pub(super) memory_max: String,
}

/// What every process may give up. Scripts confine themselves by Landlock, whose calls are in no group of every version.
const CONFINED: [&str; 9] = [
    "NoNewPrivileges=yes",
    "LockPersonality=yes",
    "RestrictRealtime=yes",
    "RestrictSUIDSGID=yes",
    "RestrictNamespaces=yes",
    "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK",
    "SystemCallArchitectures=native",
    "SystemCallFilter=@system-service landlock_create_ruleset landlock_add_rule landlock_restrict_self",
    "SystemCallErrorNumber=EPERM",
];

/// What the manager of the system can keep from a process besides.
const CONFINED_BY_SYSTEM: [&str; 13] = [
    "CapabilityBoundingSet=",
    "AmbientCapabilities=",
    "PrivateDevices=yes",
    "ProtectClock=yes",
    "ProtectControlGroups=yes",
    "ProtectHostname=yes",
    "ProtectKernelLogs=yes",
    "ProtectKernelModules=yes",
    "ProtectKernelTunables=yes",
    "ProtectProc=invisible",
    "RemoveIPC=yes",
    "ProtectSystem=strict",
    "ProtectHome=read-only",
];

/// Where units of the system lie.
pub(super) const SYSTEM_FOLDER: &str = "/etc/systemd/system";

/// The name of the unit of a workspace unless another one is asked for: that of its folder.
pub(super) fn default_name(workspace: &Path) -> String {
    let folder = workspace.file_name().unwrap_or_default().to_string_lossy();
    let plain = |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '-' };
    let name: String = folder.chars().map(plain).collect();
    let name = name.trim_matches(['-', '.']);
    if name.is_empty() { "syncline".to_owned() } else { format!("syncline-{name}") }
}

/// Whether a name may be that of a unit.
pub(super) fn is_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    !name.is_empty() && name.len() <= 200 && name.chars().all(plain) && !name.starts_with(['.', '-'])
}

/// The workspace for which a unit was written; `None` when it was not written by Syncline.
pub(super) fn workspace_of(text: &str) -> Option<&str> {
    text.lines().next()?.strip_prefix(MARK)
}

impl Unit {
    /// The text of the unit.
    ///
    /// # Errors
    /// When a path cannot be written in a unit.
    pub(super) fn text(&self) -> Result<String, Problem> {
        let workspace = plain(&self.workspace)?;
        let mut text = format!(
            "{MARK}{workspace}\n# It is written anew by the next install; put changes of your own into a drop-in \
             (`systemctl edit`).\n\n[Unit]\nDescription=Syncline for {}\nWants=network-online.target\n\
             After=network-online.target\n\n[Service]\n",
            percent(workspace)
        );
        for (key, value) in self.service()? {
            // A `String` takes everything.
            let _ = writeln!(text, "{key}={value}");
        }
        let _ = write!(text, "\n# Least privilege.\n{}", self.confinement()?);
        let target = if self.manager == Manager::User { "default.target" } else { "multi-user.target" };
        let _ = write!(text, "\n[Install]\nWantedBy={target}\n");
        Ok(text)
    }

    fn service(&self) -> Result<Vec<(&'static str, String)>, Problem> {
        let mut command = format!("{} --config {}", word(&self.program)?, word(&self.config)?);
        if let Some(state) = &self.state {
            let _ = write!(command, " --state {}", word(state)?);
        }
        command.push_str(" serve");
        if let Some(listen) = &self.listen {
            let _ = write!(command, " --listen {listen}");
        }
        let mut settings = vec![
            ("Type", "notify".to_owned()),
            ("ExecStart", command),
            ("ExecReload", "/bin/kill -HUP $MAINPID".to_owned()),
            ("WorkingDirectory", percent(plain(&self.workspace)?)),
        ];
        if let Manager::System { user, group } = &self.manager {
            settings.push(("User", user.clone()));
            settings.extend(group.clone().map(|group| ("Group", group)));
        }
        if let Some(file) = &self.environment {
            settings.push(("EnvironmentFile", percent(plain(file)?)));
        }
        let rest = [
            ("Restart", "on-failure"),
            ("RestartSec", "5s"),
            ("WatchdogSec", "60s"),
            // What is going on comes to its end first; scripts are told by Syncline, not by systemd.
            ("TimeoutStopSec", "10min"),
            ("KillMode", "mixed"),
            ("MemoryMax", self.memory_max.as_str()),
            ("SyslogIdentifier", "syncline"),
        ];
        settings.extend(rest.map(|(key, value)| (key, value.to_owned())));
        Ok(settings)
    }

    /// What the process may not do. A manager of a user has no right to give the folders of the system other rights.
    fn confinement(&self) -> Result<String, Problem> {
        let mut text: String = CONFINED.iter().map(|line| format!("{line}\n")).collect();
        if self.manager == Manager::User {
            return Ok(text);
        }
        text.extend(CONFINED_BY_SYSTEM.iter().map(|line| format!("{line}\n")));
        let mut written = vec![&self.workspace];
        written.extend(self.state.iter().chain(&self.folders));
        if written.iter().all(|folder| !folder.starts_with("/tmp") && !folder.starts_with("/var/tmp")) {
            text.push_str("PrivateTmp=yes\n");
        } else {
            text.push_str("ReadWritePaths=/tmp /var/tmp\n");
        }
        for folder in written {
            // One that is not mounted yet keeps nothing from starting.
            let _ = writeln!(text, "ReadWritePaths=-{}", word(folder)?);
        }
        Ok(text)
    }
}

/// A path as text in one line.
fn plain(path: &Path) -> Result<&str, Problem> {
    path.to_str().filter(|text| !text.contains(char::is_control)).ok_or_else(|| {
        let message = format!("{} cannot be written in a unit: it is no text of one line", path.display());
        Problem::usage("bad_path", message).with_hint("name the folder otherwise")
    })
}

/// Text in which no `%` is one of systemd's specifiers.
fn percent(text: &str) -> String {
    text.replace('%', "%%")
}

/// A path as one word of a command line or a list.
fn word(path: &Path) -> Result<String, Problem> {
    let text = percent(plain(path)?).replace('\\', "\\\\").replace('"', "\\\"").replace('$', "$$");
    Ok(if text.contains([' ', '\'', '"', '\\', ';']) { format!("\"{text}\"") } else { text })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unit(manager: Manager) -> Unit {
        Unit {
            manager,
            program: "/usr/local/bin/syncline".into(),
            config: "/srv/my notes/100%/syncline.yaml".into(),
            workspace: "/srv/my notes/100%".into(),
            state: None,
            folders: vec!["/mnt/backup".into()],
            listen: Some("127.0.0.1:8080".into()),
            environment: Some("/etc/syncline/notes.env".into()),
            memory_max: "500M".into(),
        }
    }

    #[test]
    fn the_unit_of_a_system_runs_unprivileged_and_writes_where_it_must_only() {
        let manager = Manager::System { user: "1000".into(), group: Some("1000".into()) };
        let text = unit(manager).text().unwrap();
        for line in [
            "ExecStart=/usr/local/bin/syncline --config \"/srv/my notes/100%%/syncline.yaml\" serve --listen 127.0.0.1:8080",
            "WorkingDirectory=/srv/my notes/100%%",
            "User=1000",
            "Type=notify",
            "WatchdogSec=60s",
            "MemoryMax=500M",
            "ProtectSystem=strict",
            "ReadWritePaths=-\"/srv/my notes/100%%\"",
            "ReadWritePaths=-/mnt/backup",
            "WantedBy=multi-user.target",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
        assert_eq!(workspace_of(&text), Some("/srv/my notes/100%"));
    }

    #[test]
    fn the_unit_of_a_user_asks_for_nothing_that_only_the_system_may_grant() {
        let text = unit(Manager::User).text().unwrap();
        assert!(text.contains("NoNewPrivileges=yes") && text.contains("WantedBy=default.target"), "{text}");
        for forbidden in ["User=", "ProtectSystem", "ReadWritePaths", "CapabilityBoundingSet"] {
            assert!(!text.contains(forbidden), "{forbidden}\n{text}");
        }
    }

    #[test]
    fn a_path_cannot_add_lines_to_a_unit() {
        let evil = Unit { workspace: "/srv/a\nUser=root".into(), ..unit(Manager::User) };
        assert_eq!(evil.text().unwrap_err().code, "bad_path");
        let evil = Unit { config: "/srv/$HOME\"; rm".into(), ..unit(Manager::User) };
        assert!(evil.text().unwrap().contains("--config \"/srv/$$HOME\\\"; rm\" serve"));
    }

    #[test]
    fn names_come_from_the_folder() {
        assert_eq!(default_name(Path::new("/srv/My Notes")), "syncline-My-Notes");
        assert_eq!(default_name(Path::new("/")), "syncline");
        assert!(is_name("syncline-a.b_c") && !is_name("../a") && !is_name("a b") && !is_name("-x"));
    }
}
