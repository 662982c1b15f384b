//! `syncline completions`.

use clap::CommandFactory as _;
use clap_complete::Shell;
use syncline_service::Problem;

use crate::cli::args::Args;
use crate::cli::output::Output;

/// Print the completions of a shell.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  syncline completions bash > ~/.local/share/bash-completion/completions/syncline
  syncline completions zsh > \"${fpath[1]}/_syncline\"
  syncline completions fish > ~/.config/fish/completions/syncline.fish")]
pub(crate) struct Completions {
    /// The shell.
    #[arg(value_enum)]
    shell: Shell,
}

impl Completions {
    /// Runs the command.
    pub(crate) fn run(self, output: &Output) -> Result<u8, Problem> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Args::command(), "syncline", &mut script);
        output.raw(&String::from_utf8_lossy(&script));
        Ok(0)
    }
}
