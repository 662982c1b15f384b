//! The commands: one file each, as the command tree has them.

pub(crate) mod init;
pub(crate) mod plan;
pub(crate) mod run;
pub(crate) mod status;
pub(crate) mod targets;

use clap::ValueEnum;
use syncline_service::{Problem, wire};

use super::args::{Args, Command};
use super::output::Output;

/// Runs a command; the exit code.
pub(crate) fn run(args: Args, output: &Output) -> Result<u8, Problem> {
    let Args { globals, command } = args;
    match command {
        Command::Init(command) => command.run(output),
        Command::Targets(command) => command.run(&globals, output),
        Command::Plan(command) => command.run(&globals, output),
        Command::Run(command) => command.run(&globals, output),
        Command::Status(command) => command.run(&globals, output),
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
