//! `soak`: the seeded suites with far more cases than an ordinary test run has time for.

use anyhow::Result;

use crate::replies::Replies;
use crate::shell::{cargo, say, watched};

/// What `soak` is told.
#[derive(clap::Args)]
pub struct Arguments {
    /// Random cases for each property of the planner
    #[arg(long, default_value_t = 1_000_000)]
    cases: u64,
    /// Simulated histories of the whole engine
    #[arg(long, default_value_t = 50_000)]
    histories: u64,
    /// Simulated worlds that are killed at every step
    #[arg(long, default_value_t = 2000)]
    kills: u64,
    /// States after a power loss under the real program, for each scenario
    #[arg(long, default_value_t = 20_000)]
    power: u64,
    /// Simulated worlds that lose power at every step
    #[arg(long, default_value_t = 2000)]
    power_worlds: u64,
}

/// A suite that takes its cases from seeds.
struct Suite {
    name: &'static str,
    package: &'static str,
    /// The part of the tests' names that selects it.
    filter: &'static str,
    variable: &'static str,
}

const SUITES: [Suite; 5] = [
    Suite { name: "planner", package: "syncline-core", filter: "properties", variable: "SYNCLINE_CASES" },
    Suite {
        name: "histories",
        package: "syncline-engine",
        filter: "histories",
        variable: "SYNCLINE_HISTORIES",
    },
    Suite { name: "kills", package: "syncline-engine", filter: "crash", variable: "SYNCLINE_CRASHES" },
    Suite { name: "power losses", package: "syncline", filter: "power::", variable: "SYNCLINE_POWER_STATES" },
    Suite {
        name: "simulated power losses",
        package: "syncline-engine",
        filter: "power::",
        variable: "SYNCLINE_POWER_WORLDS",
    },
];

/// Runs the suites one after the other and tells how to replay what failed. Tells whether all passed.
///
/// # Errors
/// When a suite cannot be started at all.
pub fn run(arguments: &Arguments) -> Result<bool> {
    let mut replies = Replies::default();
    let mut replays = Vec::new();
    let mut all_done = true;
    for suite in &SUITES {
        let count = match suite.name {
            "planner" => arguments.cases,
            "histories" => arguments.histories,
            "kills" => arguments.kills,
            "power losses" => arguments.power,
            _ => arguments.power_worlds,
        };
        say(format_args!("\n== {}: {count} seeds", suite.name));
        let mut command = cargo();
        command.args(["test", "--release", "--locked", "--package", suite.package, "--tests", suite.filter]);
        command.args(["--", "--nocapture"]).env(suite.variable, count.to_string());
        command.env("CARGO_TERM_COLOR", "never");
        all_done &= watched(&mut command, |line| {
            replies.read(line);
            replays.extend(replay(line));
        })?;
    }
    say("\n== summary");
    if !replays.is_empty() {
        say("replay a failing seed with:");
        replays.iter().for_each(|line| say(format_args!("  {line}")));
    }
    if replies.passed == 0 {
        say("no seeded suite ran");
        all_done = false;
    }
    let failed = replies.failed.max(u64::from(!all_done));
    say(format_args!("{} passed, {failed} failed", replies.passed));
    Ok(all_done)
}

/// The replay command that a failing suite prints, up to the end of the line.
fn replay(line: &str) -> Option<String> {
    let at = line.find("SYNCLINE_SEED=")?;
    Some(line[at..].trim_end_matches(['`', '"']).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_replay_command_is_found_in_a_panic_message() {
        let line = "seed 7 failed; replay: SYNCLINE_SEED=7 cargo test -p syncline-core --test it properties";
        assert_eq!(replay(line).unwrap(), "SYNCLINE_SEED=7 cargo test -p syncline-core --test it properties");
        assert_eq!(replay("all is well"), None);
    }
}
