//! The command line: what may be typed, and how what comes back is shown.

mod args;
mod commands;
mod logs;
mod output;
mod progress;
mod render;
mod report_file;
mod runtime;
mod session;
mod supervisor;
mod telemetry;
mod text;

use std::process::ExitCode;

use clap::Parser as _;
use clap::error::ErrorKind;
use syncline_service::Problem;

use args::{Args, Format};
use output::Output;

/// Runs the command line of this process.
pub(crate) fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => return misunderstood(&error),
    };
    let output = Output::new(&args.globals);
    let telemetry = logs::begin(args.globals.verbose);
    let code = match commands::run(args, &output) {
        Ok(code) => code,
        Err(problem) => {
            output.problem(&problem);
            problem.exit_code()
        }
    };
    telemetry.end();
    ExitCode::from(output.finish(code))
}

/// Tells what is wrong with the command line, or gives the help that was asked for.
fn misunderstood(error: &clap::Error) -> ExitCode {
    let asked = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
    let json = !asked && wants_json();
    let output = Output::plain(if json { Format::Json } else { Format::Human });
    if json {
        let text = error.render().to_string();
        let message = text.lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned();
        let problem = Problem::usage("bad_arguments", message).with_hint("see `syncline --help`");
        output.problem(&problem);
    } else if let Err(error) = error.print().and_then(|()| std::io::Write::flush(&mut std::io::stdout())) {
        output.close(error);
    }
    ExitCode::from(output.finish(if asked { 0 } else { 2 }))
}

/// Whether the arguments, which could not be understood, ask for JSON.
fn wants_json() -> bool {
    let arguments: Vec<String> = std::env::args().collect();
    arguments.iter().any(|argument| argument == "--format=json")
        || arguments.windows(2).any(|pair| pair[0] == "--format" && pair[1] == "json")
}
