//! `syncline mcp`.

use std::path::Path;
use std::sync::Arc;

use clap::ValueEnum;
use serde_json::{Value, json};
use syncline_server::mcp;
use syncline_service::Problem;

use crate::cli::args::Globals;
use crate::cli::output::Output;
use crate::cli::{runtime, session};

/// Let an AI client look at this workspace and work on it, over standard input and output.
///
/// The client starts the command itself, and speaks the Model Context Protocol with it. Each call reads the configuration
/// anew, obeys the guard, and is in the history like any other run. What would roll back, restore or settle something needs
/// the hash of what it would do; names and content of synced files are marked as data.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  syncline mcp --print-config claude-code    what to write into .mcp.json
  syncline mcp --print-config claude-desktop
  syncline mcp                               what the client starts")]
pub(crate) struct Mcp {
    /// Print what makes a client start this command, instead of answering one.
    #[arg(long, value_name = "CLIENT", value_enum)]
    print_config: Option<Client>,
}

/// A client whose configuration is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Client {
    /// `.mcp.json` in the project.
    ClaudeCode,
    /// `claude_desktop_config.json`.
    ClaudeDesktop,
    /// `.cursor/mcp.json`.
    Cursor,
    /// `.vscode/mcp.json`.
    Vscode,
}

impl Mcp {
    /// Runs the command.
    pub(crate) fn run(self, globals: &Globals, output: &Output) -> Result<u8, Problem> {
        if let Some(client) = self.print_config {
            output.json(&configuration(client, globals)?);
            output.note(format_args!("write this into {}", client.place()));
            return Ok(0);
        }
        let (globals, output) = (globals.clone(), output.clone());
        // The client goes on talking to this process while people change the file.
        let open: mcp::Open = Arc::new(move || session::open_quietly(&globals, &output, "mcp").map(Arc::new));
        runtime::block_on_to_the_end(async {
            tokio::select! {
                // What is going on then stops between two steps; the next run goes on from there.
                () = runtime::wait_for_signal() => Ok(0),
                ended = mcp::converse(open) => ended.map(|()| 0),
            }
        })
    }
}

impl Client {
    const fn place(self) -> &'static str {
        match self {
            Self::ClaudeCode => ".mcp.json of the project, or run `claude mcp add`",
            Self::ClaudeDesktop => "claude_desktop_config.json (Settings, Developer, Edit Config)",
            Self::Cursor => ".cursor/mcp.json, of the project or in your home folder",
            Self::Vscode => ".vscode/mcp.json of the project",
        }
    }
}

/// What a client has to be told: whole paths, since nobody knows where it starts the command.
fn configuration(client: Client, globals: &Globals) -> Result<Value, Problem> {
    let program =
        std::env::current_exe().map_err(|error| Problem::io(error, "finding the path of this program"))?;
    let folder = session::current_folder()?;
    let config =
        syncline_config::locate(globals.config.as_deref(), &syncline_config::from_process(), &folder)?;
    let mut arguments = vec!["mcp".to_owned(), "--config".to_owned(), whole(&config)?];
    if let Some(state) = &globals.state {
        arguments.extend(["--state".to_owned(), whole(state)?]);
    }
    let mut server = json!({ "command": whole(&program)?, "args": arguments });
    if matches!(client, Client::ClaudeCode | Client::Vscode) {
        server["type"] = "stdio".into();
    }
    let member = if client == Client::Vscode { "servers" } else { "mcpServers" };
    Ok(json!({ member: { "syncline": server } }))
}

fn whole(path: &Path) -> Result<String, Problem> {
    let whole = std::path::absolute(path).map_err(|error| Problem::io(error, "finding a path"))?;
    whole.to_str().map(str::to_owned).ok_or_else(|| {
        let message =
            format!("the path {} is no text, and a configuration holds nothing else", whole.display());
        Problem::usage("bad_path", message).with_hint("move it to a folder whose name is UTF-8")
    })
}
