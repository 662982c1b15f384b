//! The commands: one file each, as the command tree has them.

pub(crate) mod alerts;
pub(crate) mod audit;
pub(crate) mod call;
pub(crate) mod ci;
pub(crate) mod completions;
pub(crate) mod config;
pub(crate) mod conflicts;
pub(crate) mod demo;
pub(crate) mod doctor;
pub(crate) mod drift;
pub(crate) mod explain;
pub(crate) mod git;
pub(crate) mod history;
pub(crate) mod import;
pub(crate) mod init;
pub(crate) mod man;
pub(crate) mod mcp;
pub(crate) mod pause;
pub(crate) mod peers;
pub(crate) mod plan;
pub(crate) mod restore;
pub(crate) mod resume;
pub(crate) mod rollback;
pub(crate) mod run;
pub(crate) mod scrub;
pub(crate) mod serve;
pub(crate) mod service;
pub(crate) mod status;
pub(crate) mod stop;
pub(crate) mod targets;
pub(crate) mod token;
pub(crate) mod trigger;
mod watch;
pub(crate) mod webhooks;

use clap::ValueEnum;
use syncline_service::{Problem, wire};

use super::args::{Args, Command};
use super::output::Output;
use super::render;

/// Runs a command; the exit code.
pub(crate) fn run(args: Args, output: &Output) -> Result<u8, Problem> {
    let Args { globals, command } = args;
    match command {
        Command::Init(command) => command.run(output),
        Command::Import(command) => command.run(output),
        Command::Targets(command) => command.run(&globals, output),
        Command::Plan(command) => command.run(&globals, output),
        Command::Run(command) => command.run(&globals, output),
        Command::Trigger(command) => command.run(&globals, output),
        Command::Serve(command) => command.run(&globals, output),
        Command::Stop(command) => command.run(&globals, output),
        Command::Service(command) => command.run(&globals, output),
        Command::Drift(command) => command.run(&globals, output),
        Command::Status(command) => command.run(&globals, output),
        Command::Pause(command) => command.run(&globals, output),
        Command::Resume(command) => command.run(&globals, output),
        Command::Alerts(command) => command.run(&globals, output),
        Command::Webhooks(command) => command.run(&globals, output),
        Command::Peers(command) => command.run(&globals, output),
        Command::Conflicts(command) => command.run(&globals, output),
        Command::History(command) => command.run(&globals, output),
        Command::Rollback(command) => command.run(&globals, output),
        Command::Restore(command) => command.run(&globals, output),
        Command::Explain(command) => command.run(&globals, output),
        Command::Scrub(command) => command.run(&globals, output),
        Command::Token(command) => command.run(&globals, output),
        Command::Audit(command) => command.run(&globals, output),
        Command::Doctor(command) => command.run(&globals, output),
        Command::Git(command) => command.run(&globals, output),
        Command::Demo(command) => command.run(&globals, output),
        Command::Ci(command) => command.run(&globals, output),
        Command::Mcp(command) => command.run(&globals, output),
        Command::Call(command) => command.run(&globals, output),
        Command::Config(command) => command.run(&globals, output),
        Command::Completions(command) => command.run(output),
        Command::Man(command) => command.run(output),
    }
}

/// Prints the report of a run that was asked for by another command than `run`; the exit code.
fn finish_run(report: wire::Report, output: &Output) -> u8 {
    if report.dry_run {
        let made = wire::Plan::new(report.results.into_iter().filter_map(|result| result.plan).collect());
        output.result(&made, || render::plan::unapprovable(&made, output.verbose));
        return plan::exit_code(&made, false);
    }
    output.result(&report, || render::report::unapprovable(&report, output.verbose));
    // Conflicts that were open before are no concern of this command.
    match report.exit_code(false) {
        5 => 0,
        code => code,
    }
}

/// Which way changes may flow, as typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Direction {
    /// From the remote to the workspace.
    Pull,
    /// From the workspace to the remote.
    Push,
    /// Both ways.
    Bidirectional,
}

impl From<Direction> for wire::Direction {
    fn from(typed: Direction) -> Self {
        match typed {
            Direction::Pull => Self::Pull,
            Direction::Push => Self::Push,
            Direction::Bidirectional => Self::Bidirectional,
        }
    }
}

/// One of the two one-way directions, as typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum OneWay {
    /// From the remote to the workspace.
    Pull,
    /// From the workspace to the remote.
    Push,
}

impl From<OneWay> for wire::Direction {
    fn from(typed: OneWay) -> Self {
        match typed {
            OneWay::Pull => Self::Pull,
            OneWay::Push => Self::Push,
        }
    }
}

/// Which targets a command is about.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Selection {
    /// Names or globs, such as `notes` or 'oca_*' [default: all targets].
    #[arg(value_name = "NAME|GLOB")]
    pub(crate) targets: Vec<String>,
    /// Only targets of this direction.
    #[arg(long, value_name = "DIRECTION", value_enum)]
    pub(crate) direction: Option<Direction>,
}
