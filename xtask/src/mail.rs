//! Whether alerts by e-mail arrive at a mail server of somebody else.

use std::process::Command;

use anyhow::Result;

use crate::pages::Checked;
use crate::python::Program;
use crate::repository::root;
use crate::shell::{build_syncline, is_installed, quietly, say};

/// A mail server, which is a library of this Python.
pub const SERVER: Program = Program {
    name: "aiosmtpd",
    folder: "mail-server",
    requirements: include_str!("../mail/requirements.txt"),
};

/// Sends messages to it.
///
/// # Errors
/// When the program does not build.
pub fn run() -> Result<Checked> {
    let program = build_syncline(false)?;
    say("\n== mail");
    let missing: Vec<_> =
        ["python3", "openssl"].into_iter().filter(|program| !is_installed(program)).collect();
    if !missing.is_empty() {
        return Ok(Checked { done: true, missing });
    }
    let server = match SERVER.installed() {
        Ok(server) => server,
        Err(error) => {
            say(format_args!("the mail server could not be installed: {error:#}"));
            return Ok(Checked { done: true, missing: vec![SERVER.name] });
        }
    };
    let mut receive = Command::new(server.with_file_name("python"));
    receive.arg(root().join("xtask/mail/receive.py")).arg(program);
    let received = quietly(&mut receive);
    if let Err(error) = &received {
        say(format_args!("{error:#}"));
    }
    Ok(Checked { done: received.is_ok(), missing: Vec::new() })
}
