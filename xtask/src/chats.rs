//! Whether alerts arrive in chats, as they are and as others describe them: a simulator of Telegram receives them, and
//! what is sent to Discord, Slack and Mattermost is judged by what is published about their messages.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::node::Packages;
use crate::repository::root;
use crate::shell::{build_syncline, is_installed, quietly, say};

/// The simulator, the types and schemas of messages, and readers of their markup.
pub const JUDGES: Packages = Packages {
    folder: "chats",
    wanted: include_str!("../chats/package.json"),
    lock: include_str!("../chats/package-lock.json"),
};
/// What uses them. It stands beside them when it runs, which is where Node.js looks for what it imports.
const SCRIPTS: [&str; 2] = ["receive.mjs", "judges.mjs"];

/// Sends messages to them. What is missing here is a failure: nothing else looks at these messages from outside.
///
/// # Errors
/// When the program does not build, or what receives cannot be installed.
pub fn run() -> Result<bool> {
    let program = build_syncline(false)?;
    say("\n== chats");
    for needed in ["node", "npm"] {
        if !is_installed(needed) {
            bail!("`{needed}` is not installed: install Node.js 20 or newer, with npm");
        }
    }
    let folder = JUDGES.installed().context("what receives messages could not be installed")?;
    let received = receive(&folder, &program);
    if let Err(error) = &received {
        say(format_args!("{error:#}"));
    }
    Ok(received.is_ok())
}

fn receive(folder: &Path, program: &Path) -> Result<()> {
    for script in SCRIPTS {
        std::fs::copy(root().join("xtask/chats").join(script), folder.join(script))?;
    }
    quietly(Command::new("node").arg(folder.join(SCRIPTS[0])).arg(program))?;
    Ok(())
}
