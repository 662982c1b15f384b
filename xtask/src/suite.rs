//! `test`: everything that must pass before a change is merged.

use anyhow::Result;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use crate::pages::Checked;
use crate::replies::Replies;
use crate::shell::{cargo, command, is_installed, is_root, quietly, say, watched};

/// Programs that tests and checks start, and the Debian packages that hold them.
const PROGRAMS: [(&str, &str); 14] = [
    ("git", "git"),
    ("strace", "strace"),
    ("mandoc", "mandoc"),
    ("zsh", "zsh"),
    ("fish", "fish"),
    ("apache2", "apache2"),
    ("sshd", "openssh-server"),
    ("ssh-keygen", "openssh-client"),
    ("openssl", "openssl"),
    ("ip", "iproute2"),
    ("systemd-analyze", "systemd"),
    ("promtool", "prometheus"),
    ("node", "nodejs"),
    ("npm", "npm"),
];

/// What asks whether a package may start its service, and what it is told: tests start servers of their own.
const SERVICES: (&str, &str) = ("/usr/sbin/policy-rc.d", "#!/bin/sh\nexit 101\n");

/// What `test` is told.
#[derive(clap::Args)]
pub struct Arguments {
    /// Leave out the slow suites (tests in a module `slow`) and use fewer random cases
    #[arg(long)]
    fast: bool,
}

/// Runs every check, the later ones too when an earlier one failed, and sums up. Tells whether all passed.
///
/// # Errors
/// When a check cannot be started at all.
pub fn run(arguments: &Arguments) -> Result<bool> {
    install_programs();
    let mut report = Report::default();
    report.check("format", cargo().args(["fmt", "--all", "--check"]))?;
    let clippy = ["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"];
    report.check("lint", cargo().args(clippy))?;
    report.own("tidy", crate::tidy::run());
    report.own("generate --check", crate::generate::check());
    report.checked("pages", crate::pages::run());
    report.checked("workflows", crate::workflows::run());
    report.checked("api", crate::api::run());
    report.checked("AI clients", crate::mcp::run());
    report.checked("mail", crate::mail::run());
    report.own("chats", crate::chats::run());
    for (name, mut suite) in tests(arguments) {
        report.suite(name, &mut suite)?;
    }
    match deny() {
        Some(mut check) => report.check("dependencies", &mut check)?,
        None => report.note("dependencies", "not checked: cargo-deny is not installed"),
    }
    Ok(report.sum_up())
}

/// Installs what tests start and this machine lacks, where that is allowed.
fn install_programs() {
    let missing: Vec<&str> =
        PROGRAMS.iter().filter(|(program, _)| !is_installed(program)).map(|(_, package)| *package).collect();
    if missing.is_empty() {
        return;
    }
    let names = missing.join(" ");
    if !(is_root() && is_installed("apt-get")) {
        say(format_args!("some tests need programs that are missing here; install them: {names}"));
        return;
    }
    say(format_args!("installing {names}"));
    let forbidden = forbid_services();
    let install = quietly(&mut command("apt-get", ["update", "-qq"])).and_then(|_| {
        let arguments = ["install", "-y", "-qq", "--no-install-recommends"];
        quietly(command("apt-get", arguments).args(&missing).env("DEBIAN_FRONTEND", "noninteractive"))
    });
    if forbidden {
        let _ = std::fs::remove_file(SERVICES.0);
    }
    if let Err(error) = install {
        say(format_args!("{names} could not be installed; tests that need them will say so: {error:#}"));
    }
}

/// Keeps packages from starting their services while they are installed. Tells whether that has to be lifted again: a
/// policy that is there already stays.
fn forbid_services() -> bool {
    let (file, answer) = SERVICES;
    let made = std::fs::File::create_new(file).and_then(|mut policy| {
        policy.set_permissions(std::fs::Permissions::from_mode(0o755))?;
        policy.write_all(answer.as_bytes())
    });
    made.is_ok()
}

/// The commands that run tests: with nextest where it is installed, which does not know doc tests.
fn tests(arguments: &Arguments) -> Vec<(&'static str, Command)> {
    let mut all = cargo();
    let mut documentation = cargo();
    documentation.args(["test", "--workspace", "--locked", "--doc"]);
    if is_installed("cargo-nextest") {
        all.args(["nextest", "run", "--workspace", "--locked", "--no-fail-fast", "--no-tests=pass"]);
        if arguments.fast {
            all.args(["-E", "not test(/(^|::)slow::/)"]);
        }
    } else {
        // Without `--doc`, these are the library, binary and integration tests.
        all.args(["test", "--workspace", "--locked", "--no-fail-fast", "--lib", "--bins", "--tests"]);
        if arguments.fast {
            all.args(["--", "--skip", "slow::"]);
        }
    }
    if arguments.fast {
        all.env("SYNCLINE_CASES", "2000").env("SYNCLINE_HISTORIES", "200");
    }
    for suite in [&mut all, &mut documentation] {
        suite.env("CARGO_TERM_COLOR", "never");
    }
    vec![("tests", all), ("documentation tests", documentation)]
}

/// The check of licences, sources and bans; the advisories need a database from the network, so they are checked
/// only where it can be had.
fn deny() -> Option<Command> {
    is_installed("cargo-deny").then(|| {
        let mut check = cargo();
        check.args(["deny", "--workspace", "check", "--hide-inclusion-graph", "bans", "licenses", "sources"]);
        if std::env::var_os("SYNCLINE_ADVISORIES").is_some() {
            check.arg("advisories");
        }
        check
    })
}

/// What passed and what failed.
#[derive(Default)]
struct Report {
    lines: Vec<String>,
    passed: u64,
    failed: u64,
}

impl Report {
    fn check(&mut self, name: &str, check: &mut Command) -> Result<()> {
        say(format_args!("\n== {name}"));
        let done = watched(check, |_| {})?;
        self.note_check(name, done);
        Ok(())
    }

    fn own(&mut self, name: &str, done: Result<bool>) {
        let done = done.unwrap_or_else(|error| {
            say(format_args!("error: {error:#}"));
            false
        });
        self.note_check(name, done);
    }

    /// What checks the files that the program makes may be missing here: then it is named.
    fn checked(&mut self, name: &str, checked: Result<Checked>) {
        let mut missing = Vec::new();
        let done = checked.map(|checked| {
            missing = checked.missing;
            checked.done
        });
        self.own(name, done);
        if !missing.is_empty() {
            self.note(name, &format!("not checked by what is not installed: {}", missing.join(", ")));
        }
    }

    fn note_check(&mut self, name: &str, done: bool) {
        self.passed += u64::from(done);
        self.failed += u64::from(!done);
        self.note(name, if done { "passed" } else { "FAILED" });
    }

    /// Runs a command that runs tests, and counts these.
    fn suite(&mut self, name: &str, suite: &mut Command) -> Result<()> {
        say(format_args!("\n== {name}"));
        let mut replies = Replies::default();
        let done = watched(suite, |line| replies.read(line))?;
        // A suite that does not even build has no test that failed.
        let failed = replies.failed.max(u64::from(!done));
        self.passed += replies.passed;
        self.failed += failed;
        self.note(name, &format!("{} passed, {failed} failed, {} skipped", replies.passed, replies.skipped));
        Ok(())
    }

    fn note(&mut self, name: &str, result: &str) {
        self.lines.push(format!("{name:<20} {result}"));
    }

    fn sum_up(&self) -> bool {
        say("\n== summary");
        self.lines.iter().for_each(say);
        say(format_args!("{} passed, {} failed", self.passed, self.failed));
        self.failed == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sum_counts_checks_and_tests() {
        let mut report = Report::default();
        report.note_check("lint", true);
        report.own("tidy", Ok(false));
        let said =
            "echo 'test result: FAILED. 7 passed; 2 failed; 1 ignored; 0 measured; 0 filtered out'; false";
        report.suite("tests", &mut command("sh", ["-c", said])).unwrap();
        assert_eq!((report.passed, report.failed), (8, 3));
        assert!(!report.sum_up());
    }

    #[test]
    fn a_suite_that_does_not_build_fails() {
        let mut report = Report::default();
        report.suite("tests", &mut command("sh", ["-c", "exit 101"])).unwrap();
        assert_eq!((report.passed, report.failed), (0, 1));
    }
}
