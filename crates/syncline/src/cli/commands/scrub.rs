//! `syncline scrub`.

use std::fmt::Write as _;

use syncline_service::Problem;
use syncline_service::operations::scrub::{Finding, Request, Response, ScrubbedState, scrub};

use crate::cli::args::Globals;
use crate::cli::output::Output;
use crate::cli::render::plan::error_lines;
use crate::cli::text::{count, paint, shown, style};
use crate::cli::{runtime, session};

/// Re-read everything, and find content that rotted.
///
/// Reads every item that both sides agreed on, and everything that history keeps, and compares the digests. Content
/// that differs although nobody wrote it is reported, and with --repair replaced from where it is still good. What
/// history keeps and nothing can repair is then set aside, so that everything else works.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  syncline scrub            look only
  syncline scrub --repair   and repair what can be

Exit codes: 0 everything is sound or was repaired, 1 something is not.")]
pub(crate) struct Scrub {
    /// Names or globs [default: all targets].
    #[arg(value_name = "NAME|GLOB")]
    targets: Vec<String>,
    /// Repair what rotted from where it is still good.
    #[arg(long)]
    repair: bool,
}

impl Scrub {
    /// Runs the command.
    pub(crate) fn run(self, globals: &Globals, output: &Output) -> Result<u8, Problem> {
        let service = session::open(globals, output, "command line")?;
        let request = Request { targets: self.targets, repair: self.repair };
        let response = runtime::block_on(scrub(&service, &request))?;
        output.result(&response, || page(&response, self.repair));
        Ok(u8::from(!response.sound))
    }
}

fn page(response: &Response, repair: bool) -> String {
    let mut text = String::new();
    for target in &response.targets {
        let sound = target.error.is_none() && target.findings.iter().all(|finding| finding.repaired);
        let pending = match target.pending {
            0 => String::new(),
            pending => format!(", {pending} left out (changes are pending)"),
        };
        let name = paint(style::STRONG, &shown(&target.target));
        let _ = writeln!(text, "{} {name}  {} read{pending}", sign(sound), count(target.read, "content"));
        text.extend(target.error.iter().map(error_lines));
        target.findings.iter().for_each(|finding| text.push_str(&line(finding)));
    }
    let history = &response.history;
    let sound = history.error.is_none() && history.damaged.len() == history.repaired.len();
    let _ = writeln!(text, "{} history  {} read", sign(sound), count(history.read, "content"));
    text.extend(history.error.iter().map(error_lines));
    for digest in &history.damaged {
        let aside = history.set_aside.iter().find(|aside| aside.digest == *digest);
        let state = match aside {
            Some(aside) => format!("damaged; it was set aside, with it is lost {}", shown(&aside.message)),
            None if history.repaired.contains(digest) => "damaged; it was repaired".to_owned(),
            None => "damaged".to_owned(),
        };
        let _ = writeln!(text, "  {} {digest}: {state}", paint(style::BAD, "✗"));
    }
    if history.aside_before > 0 {
        let line = format!(
            "{} set aside before, see `syncline doctor`",
            count(history.aside_before, "damaged object")
        );
        let _ = writeln!(text, "  {}", paint(style::FAINT, &line));
    }
    text.push_str(&state_lines(&response.state));
    if !repair && may_be_repaired(response) {
        let _ = writeln!(text, "{}", paint(style::FAINT, "repair what can be: syncline scrub --repair"));
    }
    text
}

/// Whether there is anything that repairing could help: it cannot help a target that could not be looked at.
fn may_be_repaired(response: &Response) -> bool {
    let found = response.targets.iter().any(|target| !target.findings.is_empty());
    found || !response.history.damaged.is_empty() || !response.state.damaged.is_empty()
}

/// What is told of the state; nothing where all of it can be read, since nobody asks for rows.
fn state_lines(state: &ScrubbedState) -> String {
    let mut text = String::new();
    if state.damaged.is_empty() && state.error.is_none() {
        return text;
    }
    let sound = state.error.is_none() && state.damaged.iter().all(|row| row.repaired);
    let _ = writeln!(text, "{} state  {} read", sign(sound), count(state.read, "row"));
    text.extend(state.error.iter().map(error_lines));
    for row in &state.damaged {
        let _ = writeln!(text, "  {} {}: {}", sign(row.repaired), shown(&row.name), shown(&row.message));
    }
    text
}

fn sign(sound: bool) -> String {
    if sound { paint(style::GOOD, "✓") } else { paint(style::BAD, "✗") }
}

fn line(finding: &Finding) -> String {
    let state = if finding.repaired { paint(style::GOOD, "repaired") } else { paint(style::BAD, "✗") };
    let message = shown(&finding.message);
    format!("  {state} {} on the {} side: {message}\n", shown(&finding.path), finding.side.name())
}
