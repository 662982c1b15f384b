//! `syncline man`.

use std::path::PathBuf;

use clap::CommandFactory as _;
use syncline_service::Problem;

use crate::cli::args::Args;
use crate::cli::output::Output;

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
        let mut command = Args::command();
        command.build();
        let Some(folder) = self.folder else {
            let mut page = Vec::new();
            let rendered = clap_mangen::Man::new(command).render(&mut page);
            rendered.map_err(|error| Problem::io(error, "writing the manual page"))?;
            output.raw(&String::from_utf8_lossy(&page));
            return Ok(0);
        };
        let failed = |error| Problem::io(error, format_args!("writing manual pages to {}", folder.display()));
        std::fs::create_dir_all(&folder).map_err(failed)?;
        clap_mangen::generate_to(Args::command(), &folder).map_err(failed)?;
        output.note(format_args!("wrote the manual pages to {}", folder.display()));
        Ok(0)
    }
}
