//! `syncline service`, and what a service manager and the logs are told by `syncline serve`.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::support::{Ran, World};
use crate::watch_place::{Watched, eventually};

/// A stand-in for systemctl: it writes down what it is asked, and fails at what a file names.
const SYSTEMCTL: &str = r#"#!/bin/sh
echo "$*" >> "$ASKED"
[ -e "$ASKED.fails" ] && case "$*" in *"$(cat "$ASKED.fails")"*) echo "Failed to connect to bus" >&2; exit 1;; esac
case "$*" in *show*) printf 'ActiveState=active\nUnitFileState=enabled\nResult=success\nMainPID=42\nNRestarts=1\nMemoryCurrent=1048576\nStateChangeTimestamp=@1790000000\n';; esac
exit 0
"#;

struct Installed {
    world: World,
}

impl Installed {
    fn new() -> Self {
        let world = World::with("schedule: every 1s");
        fs::create_dir(world.path("bin")).unwrap();
        fs::write(world.path("bin/systemctl"), SYSTEMCTL).unwrap();
        fs::set_permissions(world.path("bin/systemctl"), fs::Permissions::from_mode(0o755)).unwrap();
        Self { world }
    }

    fn run(&self, arguments: &[&str]) -> Ran {
        let path = format!("{}:{}", self.world.path("bin").display(), std::env::var("PATH").unwrap());
        let mut all = vec!["service"];
        all.extend(arguments);
        let mut command = self.world.command(&all);
        command.env("PATH", path).env("XDG_CONFIG_HOME", self.world.path("config"));
        let ran = command.env("ASKED", self.world.path("asked")).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ran { code: ran.status.code().unwrap(), out: text(&ran.stdout), err: text(&ran.stderr) }
    }

    fn asked(&self) -> Vec<String> {
        let asked = fs::read_to_string(self.world.path("asked")).unwrap_or_default();
        let _ = fs::remove_file(self.world.path("asked"));
        asked.lines().map(str::to_owned).collect()
    }

    fn unit(&self, name: &str) -> Option<String> {
        fs::read_to_string(self.world.path("config/systemd/user").join(name)).ok()
    }
}

#[test]
fn a_unit_is_installed_started_asked_about_and_removed() {
    let installed = Installed::new();
    let ran = installed.run(&["status", "--user"]);
    assert_eq!((ran.code, ran.out.contains("not installed")), (1, true), "{ran:?}");

    let ran = installed.run(&["install", "--user", "--listen", "127.0.0.1:8123"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let service = "syncline-local.service";
    let begun = [
        "--user daemon-reload".to_owned(),
        format!("--user enable {service}"),
        format!("--user start {service}"),
    ];
    assert_eq!(installed.asked(), begun);
    let unit = installed.unit(service).unwrap();
    assert!(unit.contains("serve --listen 127.0.0.1:8123"), "{unit}");

    // Once more renews it, and starts it anew.
    assert_eq!(installed.run(&["install", "--user"]).code, 0);
    assert_eq!(installed.asked().last().unwrap(), &format!("--user restart {service}"));

    let ran = installed.run(&["status", "--user", "--format", "json"]);
    let told: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(
        (ran.code, &told["active"], &told["pid"], &told["memory"]),
        (0, &true.into(), &42.into(), &1_048_576.into())
    );

    installed.asked();
    assert_eq!(installed.run(&["uninstall", "--user"]).code, 0);
    assert_eq!(
        installed.asked(),
        [format!("--user disable --now {service}"), "--user daemon-reload".to_owned()]
    );
    assert_eq!(installed.unit(service), None);
    assert_eq!(installed.run(&["uninstall", "--user"]).code, 2);
}

#[test]
fn what_is_not_ours_or_cannot_be_installed_is_left() {
    let installed = Installed::new();
    let folder = installed.world.path("config/systemd/user");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("other.service"), "[Service]\nExecStart=/bin/true\n").unwrap();
    for command in ["install", "uninstall", "status"] {
        let ran = installed.run(&[command, "--user", "--name", "other"]);
        assert_eq!(
            (ran.code, ran.err.contains("was not written by Syncline")),
            (2, true),
            "{command}: {ran:?}"
        );
    }
    assert!(installed.unit("other.service").unwrap().contains("/bin/true"));
    assert_eq!(installed.run(&["install", "--user", "--name", "../evil"]).code, 2);

    // Whatever fails, nothing is left half installed.
    for fails in ["daemon-reload", "enable", "start"] {
        fs::write(installed.world.path("asked.fails"), fails).unwrap();
        let ran = installed.run(&["install", "--user"]);
        assert_eq!((ran.code, ran.err.contains("Failed to connect to bus")), (1, true), "{fails}: {ran:?}");
        assert_eq!(installed.unit("syncline-local.service"), None, "{fails}");
        let asked = installed.asked();
        assert!(
            asked.contains(&"--user disable --now syncline-local.service".to_owned()),
            "{fails}: {asked:?}"
        );
    }
}

#[test]
fn systemd_understands_both_units_and_finds_little_exposed() {
    let installed = Installed::new();
    for (kind, name) in [("--system", "system.service"), ("--user", "user.service")] {
        let mut arguments = vec!["install", "--print", kind];
        if kind == "--system" {
            arguments.extend(["--run-as", "daemon"]);
        }
        let ran = installed.run(&arguments);
        assert_eq!(ran.code, 0, "{ran:?}");
        let file = installed.world.path(name);
        fs::write(&file, ran.out).unwrap();
        analyze(&["verify"], kind, &file);
        if kind == "--system" {
            // 0 is locked up, 10 is wide open.
            analyze(&["security", "--offline=true", "--threshold=30"], kind, &file);
        }
    }
}

fn analyze(arguments: &[&str], kind: &str, file: &Path) {
    let ran = Command::new("systemd-analyze")
        .arg(kind)
        .args(arguments)
        .arg(file)
        .env("XDG_RUNTIME_DIR", file.parent().unwrap())
        .output()
        .unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    assert!(ran.status.success(), "{said}");
    let complaints: Vec<&str> = said.lines().filter(|line| line.contains(&*file.to_string_lossy())).collect();
    assert!(complaints.is_empty(), "{complaints:?}");
}

#[test]
fn the_service_manager_is_told_when_it_is_ready_alive_and_about_to_end() {
    let world = World::with("schedule: every 1h");
    let socket = UnixDatagram::bind(world.path("notify")).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(120))).unwrap();
    let mut command = world.command(&["serve"]);
    command.env("NOTIFY_SOCKET", world.path("notify")).env("WATCHDOG_USEC", "200000");
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let told = || {
        let mut bytes = [0; 256];
        let length = socket.recv(&mut bytes).unwrap();
        String::from_utf8_lossy(&bytes[..length]).into_owned()
    };
    let mut heard = Vec::new();
    while !heard.iter().any(|news: &String| news.contains("READY=1")) {
        heard.push(told());
    }
    for _ in 0..2 {
        while !told().contains("WATCHDOG=1") {}
    }
    assert!(Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap().success());
    while !told().contains("STOPPING=1") {}
    assert!(child.wait().unwrap().success());
}

#[test]
fn logs_tell_of_runs_and_of_no_secret() {
    let world = World::new();
    let secret = "correct-horse-battery";
    world.configure(
        "version: \"1.0\"\nnode: { name: here }\ntargets:\n  main: { schedule: every 1s, remote: { kind: folder, path: ../remote } }\n  \
         away: { schedule: every 1s, path: away, remote: { kind: folder, path: \"../${env:PLACE}\" } }\n",
    );
    world.write_local("a.md", "a");
    // What is wrong with it is told with its name.
    fs::write(world.path(secret), "no folder").unwrap();
    fs::create_dir(world.local("away")).unwrap();
    let mut command = world.command(&["serve"]);
    command.env("PLACE", secret).stdout(Stdio::null()).stderr(Stdio::null());
    let mut serving = command.spawn().unwrap();
    let log = || {
        let files = fs::read_dir(world.local(".syncline/logs")).into_iter().flatten().flatten();
        files.map(|file| fs::read_to_string(file.path()).unwrap()).collect::<String>()
    };
    eventually("both runs are in the log", || {
        let log = log();
        log.contains("\"target\":\"main\"") && log.contains("\"target\":\"away\"")
    });
    serving.kill().unwrap();
    serving.wait().unwrap();
    let log = log();
    for line in log.lines() {
        let line: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert!(line["timestamp"].is_string() && line["level"].is_string(), "{line}");
    }
    assert!(!log.contains(secret) && log.contains("[redacted]"), "{log}");
}

#[test]
fn stop_ends_it() {
    let world = World::with("schedule: every 1h");
    let mut serving = Watched::launch(&world, &["serve"]);
    eventually("it serves", || serving.said().contains("serving"));
    let ran = world.run(&["stop"]);
    assert_eq!((ran.code, ran.out.contains("has ended")), (0, true), "{ran:?}");
    assert!(serving.ended().success());
}
