//! `syncline ci`.

use std::path::{Path, PathBuf};

use clap::Subcommand;
use serde::Serialize;
use syncline_service::operations::check_ci::{self, State, check_ci};
use syncline_service::operations::generate_ci::{self, generate_ci};
use syncline_service::{Problem, ci, wire};

use crate::cli::args::Globals;
use crate::cli::output::Output;
use crate::cli::text::{paint, shown, style};
use crate::cli::{report_file, session};

/// Write the workflow with which a CI system runs the targets, or check it against them.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  syncline ci generate github                             write .github/workflows/syncline.yml
  syncline ci generate github --action ada/syncline@v1    and let it install Syncline with this action
  syncline ci generate github --stdout                    only print it
  syncline ci check                                       exit code 3 when it does not do what the targets say")]
pub(crate) struct Ci {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Write the workflow: when each target is due, and what a person may start by hand.
    Generate(Generate),
    /// Check that the workflow does what the targets say; otherwise end with exit code 3.
    Check {
        /// The CI system.
        #[arg(value_enum, default_value_t = System::Github)]
        system: System,
    },
}

#[derive(Debug, clap::Args)]
struct Generate {
    /// The CI system.
    #[arg(value_enum)]
    system: System,
    /// The action that installs Syncline: the repository of Syncline and a tag or commit of it, or a folder of this
    /// repository [default: that of the workflow that is there].
    ///
    /// Without any, the runner must have the program.
    #[arg(long, value_name = "OWNER/REPOSITORY@REF|./FOLDER")]
    action: Option<String>,
    /// The file to write [default: .github/workflows/syncline.yml in the repository].
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Print the workflow instead.
    #[arg(long, conflicts_with_all = ["out", "force"])]
    stdout: bool,
    /// Overwrite a file that was not generated, or that was changed by hand.
    #[arg(long)]
    force: bool,
}

/// A CI system, as typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum System {
    /// GitHub Actions.
    Github,
}

impl From<System> for ci::System {
    fn from(typed: System) -> Self {
        match typed {
            System::Github => Self::Github,
        }
    }
}

/// What was written.
#[derive(Serialize)]
struct Written {
    version: u32,
    file: String,
    changed: bool,
    warnings: Vec<String>,
}

impl Ci {
    /// Runs the command.
    pub(crate) fn run(self, globals: &Globals, output: &Output) -> Result<u8, Problem> {
        match self.command {
            Command::Generate(command) => command.run(globals, output),
            Command::Check { system } => check(system, globals, output),
        }
    }
}

impl Generate {
    fn run(self, globals: &Globals, output: &Output) -> Result<u8, Problem> {
        let service = session::open(globals, output, "command line")?;
        let request = generate_ci::Request { system: self.system.into(), action: self.action };
        let made = generate_ci(&service, &request)?;
        warn(&made.warnings, output);
        if self.stdout {
            if output.is_json() {
                output.json(&made);
            } else {
                output.raw(&made.text);
            }
            return Ok(0);
        }
        let file = self.out.unwrap_or_else(|| Path::new(&made.repository).join(&made.path));
        let changed = put(&file, &made.text, self.force)?;
        let written = Written {
            version: wire::VERSION,
            file: file.display().to_string(),
            changed,
            warnings: made.warnings,
        };
        output.result(&written, || {
            let what = if changed { "wrote" } else { "nothing to change in" };
            format!("{} {what} {}\n", paint(style::GOOD, "✓"), shown(&written.file))
        });
        Ok(0)
    }
}

/// Puts the workflow in its place, unless somebody's work is there; whether that changed anything.
fn put(file: &Path, text: &str, force: bool) -> Result<bool, Problem> {
    let failed = |error, what: &str| Problem::io(error, format_args!("{what} {}", file.display()));
    match std::fs::read(file) {
        Ok(there) if there == text.as_bytes() => return Ok(false),
        Ok(there) => {
            if let Some(reason) = ci::not_ours(&there).filter(|_| !force) {
                let message = format!("{} {reason}; nothing was written", file.display());
                return Err(Problem::usage("exists", message).with_hint("--force overwrites it"));
            }
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            if let Some(folder) = file.parent() {
                std::fs::create_dir_all(folder).map_err(|error| failed(error, "making the folder of"))?;
            }
        }
        Err(error) => return Err(failed(error, "reading")),
    }
    report_file::write(file, text.as_bytes())?;
    Ok(true)
}

fn check(system: System, globals: &Globals, output: &Output) -> Result<u8, Problem> {
    let service = session::open(globals, output, "command line")?;
    let found = check_ci(&service, &check_ci::Request { system: system.into() })?;
    warn(&found.warnings, output);
    let wrong = found.state != State::Current;
    output.outcome(&found, wrong, || {
        let path = shown(&found.path);
        match (&found.message, &found.command) {
            (Some(message), Some(command)) => {
                format!("{} {path}: {message}; run `{command}`\n", paint(style::BAD, "✗"))
            }
            _ => format!("{} {path} does what the targets say\n", paint(style::GOOD, "✓")),
        }
    });
    Ok(if wrong { 3 } else { 0 })
}

fn warn(warnings: &[String], output: &Output) {
    for warning in warnings {
        output.warn(shown(warning));
    }
}
