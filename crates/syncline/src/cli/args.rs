//! What may be typed.

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};

use super::commands;

/// Keeps every copy of a project's state in agreement, and can prove it.
///
/// A workspace is a folder with a `syncline.yaml`. Its targets are pairs: a folder of the workspace, and a place
/// outside. A run looks at both sides, compares them with what they last agreed on, and makes them agree again.
/// Nothing is ever lost: what is overwritten or removed is kept in history first.
#[derive(Debug, Parser)]
#[command(name = "syncline", version, about, long_about, propagate_version = true, max_term_width = 100)]
#[command(after_help = "\
Start here:
  syncline init --remote /mnt/backup/notes   make a workspace of this folder
  syncline plan                              see what would be done
  syncline run                               do it
  syncline demo                              see all of it in ten seconds

Exit codes:
  0  done, or nothing to do
  1  at least one target failed
  2  the command line or the configuration is wrong
  3  changes are pending (with --detailed-exitcode or `fail_on_diff`)
  4  a guard stopped a run, and it waits for approval; or a target that was named is paused
  5  conflicts wait for a decision")]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) globals: Globals,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Options of every command.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Globals {
    /// The configuration file [default: the nearest syncline.yaml, here or above].
    ///
    /// Without it, SYNCLINE_CONFIG counts, then the nearest `syncline.yaml` or `.insightpulse/sync.yaml` in the
    /// working directory or above.
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Where Syncline keeps its state [default: .syncline in the workspace].
    #[arg(long, global = true, value_name = "DIR", env = "SYNCLINE_STATE", hide_env_values = true)]
    pub(crate) state: Option<PathBuf>,
    /// How results are printed.
    ///
    /// With `json`, standard output holds one versioned JSON document and nothing else.
    #[arg(long, global = true, value_name = "FORMAT", value_enum, default_value_t = Format::Human)]
    pub(crate) format: Format,
    /// When to use colours; NO_COLOR is honoured.
    #[arg(long, global = true, value_name = "WHEN", value_enum, default_value_t = Color::Auto)]
    pub(crate) color: Color,
    /// Print only what is wrong.
    #[arg(long, short, global = true, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
    /// Print more, and log to standard error; twice for more. SYNCLINE_LOG takes a filter instead.
    #[arg(long, short, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
}

/// How results are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    Human,
    /// For programs: stable and versioned.
    Json,
}

/// When to use colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Color {
    /// On a terminal.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// The commands, in the order in which people meet them.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Init(commands::init::Init),
    Import(commands::import::Import),
    Targets(commands::targets::Targets),
    Plan(commands::plan::Plan),
    Run(commands::run::Run),
    Trigger(commands::trigger::Trigger),
    Serve(commands::serve::Serve),
    Stop(commands::stop::Stop),
    Service(commands::service::Service),
    Mcp(commands::mcp::Mcp),
    Drift(commands::drift::Drift),
    Status(commands::status::Status),
    Pause(commands::pause::Pause),
    Resume(commands::resume::Resume),
    Alerts(commands::alerts::Alerts),
    Webhooks(commands::webhooks::Webhooks),
    Peers(commands::peers::Peers),
    Conflicts(commands::conflicts::Conflicts),
    History(commands::history::History),
    Rollback(commands::rollback::Rollback),
    Restore(commands::restore::Restore),
    Explain(commands::explain::Explain),
    Scrub(commands::scrub::Scrub),
    Token(commands::token::Token),
    Audit(commands::audit::Audit),
    Doctor(commands::doctor::Doctor),
    Git(commands::git::Git),
    Ci(commands::ci::Ci),
    Demo(commands::demo::Demo),
    Config(commands::config::Config),
    Call(commands::call::Call),
    Completions(commands::completions::Completions),
    Man(commands::man::Man),
}
