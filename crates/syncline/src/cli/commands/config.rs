//! `syncline config`.

use clap::Subcommand;
use serde_json::json;
use syncline_service::{Problem, kind_schemas};

use crate::cli::args::Globals;
use crate::cli::output::Output;
use crate::cli::session;
use crate::cli::text::{count, paint, shown, shown_lines, style};
use crate::wiring;

/// Check the configuration, or print its schema or its reference page.
#[derive(Debug, clap::Args)]
pub(crate) struct Config {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Check the configuration without doing anything.
    ///
    /// Prints every error with its place and what to do about it.
    Check,
    /// Print the JSON Schema of the configuration, for editors.
    Schema,
    /// Print the reference page of every key, as Markdown.
    Reference,
}

impl Config {
    /// Runs the command.
    pub(crate) fn run(self, globals: &Globals, output: &Output) -> Result<u8, Problem> {
        let kinds = kind_schemas(&wiring::registry());
        match self.command {
            Command::Schema => output.json(&syncline_config::schema(&kinds)),
            Command::Reference => output.raw(&syncline_config::reference_markdown(&kinds)),
            Command::Check => check(globals, output)?,
        }
        Ok(0)
    }
}

fn check(globals: &Globals, output: &Output) -> Result<(), Problem> {
    let service = session::open_quietly(globals, output, "command line")?;
    let workspace = service.workspace();
    let warnings = workspace.warnings.iter().map(|warning| {
        json!({ "code": warning.code, "message": warning.message, "hint": warning.hint,
                "location": warning.location.as_ref().map(syncline_service::Place::from) })
    });
    let document = json!({
        "version": 1,
        "file": workspace.file.display().to_string(),
        "targets": workspace.targets.len(),
        "warnings": warnings.collect::<Vec<_>>(),
    });
    output.result(&document, || {
        let mut text: String = workspace
            .warnings
            .iter()
            .map(|warning| format!("{}\n", shown_lines(&warning.to_string())))
            .collect();
        let file = shown(&workspace.file.display().to_string());
        let targets = count(workspace.targets.len() as u64, "target");
        text.push_str(&format!("{} {file}: {targets}\n", paint(style::GOOD, "✓")));
        text
    });
    Ok(())
}
