//! `syncline git install-driver`.

use std::fmt::Write as _;
use std::path::PathBuf;

use syncline_service::Problem;
use syncline_service::git::driver::{Installed, install, install_for_user};

use super::repository;
use crate::cli::output::Output;
use crate::cli::session::current_folder;
use crate::cli::text::{paint, quoted, shown, style};

/// Make Syncline a merge driver of Git.
///
/// Writes `merge.syncline.*` to the configuration of the repository. Git asks the driver for the paths for which an
/// attributes file says `merge=syncline`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  syncline git install-driver --attributes '*.json' --attributes '*.md'
  syncline git install-driver --global")]
pub(super) struct InstallDriver {
    /// Write it to the configuration of the user, for all repositories.
    #[arg(long)]
    global: bool,
    /// Paths to merge with it: added to the attributes of this clone, `.git/info/attributes`.
    #[arg(long, value_name = "PATTERN")]
    attributes: Vec<String>,
    /// The repository [default: the one here].
    #[arg(long, value_name = "DIR")]
    repository: Option<PathBuf>,
}

impl InstallDriver {
    /// Runs the command.
    pub(super) fn run(self, output: &Output) -> Result<u8, Problem> {
        let program = std::env::current_exe().map_err(|error| Problem::io(error, "finding this program"))?;
        let program = program.to_str().ok_or_else(|| {
            Problem::usage("bad_path", format!("the path of this program is no text: {}", program.display()))
        })?;
        let installed = if self.global && self.attributes.is_empty() && self.repository.is_none() {
            install_for_user(&current_folder()?, &quoted(program))?
        } else {
            let repository = repository(self.repository.as_deref())?;
            install(&repository, &quoted(program), self.global, &self.attributes)?
        };
        output.result(&installed, || page(&installed));
        Ok(0)
    }
}

fn page(installed: &Installed) -> String {
    let done = paint(style::GOOD, "✓");
    let place = if installed.global { "of the user" } else { "of the repository" };
    let mut text = format!("{done} merge.syncline.driver is in the configuration {place}\n");
    if let Some(file) = &installed.attributes {
        let what = if installed.added.is_empty() { "has these patterns already" } else { "has new lines:" };
        let _ = writeln!(text, "{done} {} {what}", shown(file));
        for line in &installed.added {
            let _ = writeln!(text, "    {}", shown(line));
        }
    }
    if !installed.suggested.is_empty() {
        let next = "say in .gitattributes which paths it merges, for example:";
        let _ = writeln!(text, "{}", paint(style::FAINT, next));
        for line in &installed.suggested {
            let _ = writeln!(text, "    {line}");
        }
    }
    text
}
