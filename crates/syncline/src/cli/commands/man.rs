//! `syncline man`.

use std::path::{Path, PathBuf};

use clap::{Command, CommandFactory as _};
use syncline_service::Problem;

use crate::cli::args::Args;
use crate::cli::output::Output;
use crate::cli::report_file;

/// Print the manual page, or write the pages of all commands to a folder.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  syncline man | man -l -                        read it
  syncline man ~/.local/share/man/man1           install all pages")]
pub(crate) struct Man {
    /// The folder; made when it is missing.
    #[arg(value_name = "DIR")]
    folder: Option<PathBuf>,
}

impl Man {
    /// Runs the command.
    pub(crate) fn run(self, output: &Output) -> Result<u8, Problem> {
        let mut command = Args::command().disable_help_subcommand(true);
        command.build();
        let Some(folder) = self.folder else {
            output.raw(&String::from_utf8_lossy(&page(&clap_mangen::Man::new(command))?));
            return Ok(0);
        };
        let made = std::fs::create_dir_all(&folder);
        made.map_err(|error| Problem::io(error, format_args!("making {}", folder.display())))?;
        write_pages(command, &folder)?;
        output.note(format_args!("wrote the manual pages to {}", folder.display()));
        Ok(0)
    }
}

/// Writes the page of a command and those of the commands below it.
fn write_pages(command: Command, folder: &Path) -> Result<(), Problem> {
    for below in command.get_subcommands().filter(|below| !below.is_hide_set()) {
        write_pages(below.clone(), folder)?;
    }
    let manual = clap_mangen::Man::new(command);
    report_file::write(&folder.join(manual.get_filename()), &page(&manual)?)
}

fn page(manual: &clap_mangen::Man) -> Result<Vec<u8>, Problem> {
    let mut page = Vec::new();
    let rendered = manual.render(&mut page);
    rendered.map_err(|error| Problem::io(error, "writing the manual page"))?;
    Ok(page)
}
