//! The `syncline` program: parses the command line, and leaves the rest to the service.

mod cli;
mod wiring;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main()
}
