//! The project's own chores.
//!
//! `cargo xtask test` is what a contributor and the continuous integration run; the other commands are its parts,
//! and what takes too long for it.

mod api;
mod bench;
mod chats;
mod generate;
mod mail;
mod mcp;
mod node;
mod pages;
mod python;
mod replies;
mod repository;
mod shell;
mod soak;
mod suite;
mod tidy;
mod workflows;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The project's own chores.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", version, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Run everything that must pass before a change is merged
    Test(suite::Arguments),
    /// Run the seeded suites for hours: a million plans, fifty thousand simulated histories
    Soak(soak::Arguments),
    /// Regenerate the committed files that come from the program itself
    Generate(generate::Arguments),
    /// Check the rules of the house
    Tidy,
    /// Ask the HTTP API whatever its own document allows, and more
    Api,
    /// Let alerts arrive in chats: a simulator of Telegram, and the published schemas of the others
    Chats,
    /// Measure Syncline beside rsync and unison
    Bench(bench::Arguments),
    /// Run one command and write what it used to a file; `bench` calls this
    #[command(hide = true)]
    Measure(bench::measure::Arguments),
    /// Look at a file once a second and do nothing else; `bench` measures a daemon with nothing to do beside this
    #[command(hide = true)]
    Sleep { file: std::path::PathBuf },
}

fn main() -> ExitCode {
    let done = match Arguments::parse().chore {
        Chore::Test(arguments) => suite::run(&arguments),
        Chore::Soak(arguments) => soak::run(&arguments),
        Chore::Generate(arguments) => generate::run(&arguments),
        Chore::Tidy => tidy::run(),
        Chore::Api => api::run().map(|checked| checked.done && checked.missing.is_empty()),
        Chore::Chats => chats::run(),
        Chore::Bench(arguments) => bench::run(&arguments),
        Chore::Measure(arguments) => bench::measure::helper(&arguments),
        Chore::Sleep { file } => bench::sleep(&file),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            shell::say(format_args!("error: {error:#}"));
            ExitCode::from(2)
        }
    }
}
