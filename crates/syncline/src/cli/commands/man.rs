//! `syncline man`.

use std::path::{Path, PathBuf};

use clap::{Command, CommandFactory as _};
use clap_mangen::roff::{Roff, roman};
use syncline_service::Problem;

use crate::cli::args::Args;
use crate::cli::output::Output;
use crate::cli::report_file;

/// What every rendered part begins with: how apostrophes are written.
const PREAMBLE: &str = ".ie \\n(.g .ds Aq \\(aq\n.el .ds Aq '\n";

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
            output.raw(&page(command)?);
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
    let name = format!("{}.1", title(&command));
    report_file::write(&folder.join(name), page(command)?.as_bytes())
}

/// The name of a page: that of the command, with those above it.
fn title(command: &Command) -> String {
    command.get_display_name().unwrap_or_else(|| command.get_name()).to_owned()
}

/// The manual page of a command, in the markup of `man`.
fn page(command: Command) -> Result<String, Problem> {
    let version = env!("CARGO_PKG_VERSION");
    let mut page = Vec::new();
    // The date is left out: pages of one version are the same whenever they are made.
    let heading = format!(
        "{PREAMBLE}.TH \"{}\" \"1\" \"\" \"syncline {version}\" \"Syncline manual\"\n",
        title(&command).to_uppercase()
    );
    let more = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    let (has_options, has_commands) =
        (command.get_arguments().next().is_some(), command.get_subcommands().next().is_some());
    let manual = clap_mangen::Man::new(command);
    let rendered = manual
        .render_name_section(&mut page)
        .and_then(|()| manual.render_synopsis_section(&mut page))
        .and_then(|()| manual.render_description_section(&mut page))
        .and_then(|()| if has_options { manual.render_options_section(&mut page) } else { Ok(()) })
        .and_then(|()| if has_commands { manual.render_subcommands_section(&mut page) } else { Ok(()) })
        .and_then(|()| more_sections(&more).to_writer(&mut page));
    rendered.map_err(|error| Problem::io(error, "writing the manual page"))?;
    let text = String::from_utf8_lossy(&page).replace(PREAMBLE, "");
    // A break beside an empty line does nothing, and checkers complain about it.
    Ok(format!("{heading}{}", text.replace(".br\n\n.br\n", ".sp\n")))
}

/// The examples and what else stands below the help of a command: each block is a section whose lines stay lines.
fn more_sections(help: &str) -> Roff {
    let mut roff = Roff::new();
    for block in help.split("\n\n").filter(|block| !block.trim().is_empty()) {
        let (heading, text) = block.split_once(':').unwrap_or(("Notes", block));
        let heading = if heading == "Exit codes" { "Exit status" } else { heading };
        roff.control("SH", [heading.to_uppercase().as_str()]);
        roff.control("nf", []);
        for line in text.trim_start_matches(' ').lines().map(str::trim_end).filter(|line| !line.is_empty()) {
            roff.text([roman(line)]);
        }
        roff.control("fi", []);
    }
    roff
}
