//! Printing: results to standard output, everything else to standard error. A reader that goes away is no reason
//! to stop.

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};

use serde::Serialize;
use serde_json::json;
use syncline_service::Problem;

use super::args::{Color, Format, Globals};
use super::text::{paint, shown, shown_lines, style};

/// Where and how to print.
#[derive(Clone, Debug)]
pub(crate) struct Output {
    format: Format,
    quiet: bool,
    pub(crate) verbose: bool,
}

impl Output {
    /// The output that the options of a command ask for.
    pub(crate) fn new(globals: &Globals) -> Self {
        let choice = match globals.color {
            Color::Auto => anstream::ColorChoice::Auto,
            Color::Always => anstream::ColorChoice::Always,
            Color::Never => anstream::ColorChoice::Never,
        };
        choice.write_global();
        Self { format: globals.format, quiet: globals.quiet, verbose: globals.verbose > 0 }
    }

    /// The output before any option is known.
    pub(crate) const fn plain(format: Format) -> Self {
        Self { format, quiet: false, verbose: false }
    }

    /// Whether standard output holds one JSON document.
    pub(crate) fn is_json(&self) -> bool {
        self.format == Format::Json
    }

    /// Whether a person sits at a terminal, to be shown progress and asked questions.
    pub(crate) fn is_interactive(&self) -> bool {
        !self.is_json() && !self.quiet && io::stderr().is_terminal()
    }

    /// Prints a result: as JSON, or as `human` writes it.
    pub(crate) fn result<T: Serialize>(&self, value: &T, human: impl FnOnce() -> String) {
        self.outcome(value, false, human);
    }

    /// As [`Output::result`]; what is wrong is told even by a quiet command.
    pub(crate) fn outcome<T: Serialize>(&self, value: &T, wrong: bool, human: impl FnOnce() -> String) {
        if self.is_json() {
            self.json(value);
        } else if wrong || !self.quiet {
            self.raw(&human());
        }
    }

    /// Prints a JSON document.
    pub(crate) fn json<T: Serialize>(&self, value: &T) {
        match serde_json::to_string_pretty(value) {
            Ok(text) => self.raw(&format!("{text}\n")),
            Err(error) => tracing::error!(%error, "the result cannot be written as JSON"),
        }
    }

    /// Prints text to standard output as it is.
    pub(crate) fn raw(&self, text: &str) {
        let mut out = anstream::stdout().lock();
        // A reader that went away, as in `syncline history | head`, has seen enough.
        let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    }

    /// Prints a line for people to standard error, unless it is to be quiet.
    pub(crate) fn note(&self, line: impl Display) {
        if !self.quiet {
            self.line(line);
        }
    }

    /// Prints a warning for people to standard error.
    pub(crate) fn warn(&self, line: impl Display) {
        self.line(format!("{}: {line}", paint(style::WARN, "warning")));
    }

    fn line(&self, line: impl Display) {
        let mut err = anstream::stderr().lock();
        let _ = writeln!(err, "{line}");
    }

    /// Prints what went wrong: as JSON to standard output, and otherwise for people to standard error.
    pub(crate) fn problem(&self, problem: &Problem) {
        if self.is_json() {
            self.json(&json!({ "version": 1, "error": problem.to_wire() }));
            return;
        }
        if let Some(written) = &problem.written {
            self.line(
                shown_lines(&written.excerpt).replace("error:", &format!("{}:", paint(style::BAD, "error"))),
            );
            return;
        }
        self.line(format!("{}: {}", paint(style::BAD, "error"), shown(&problem.message)));
        if let Some(hint) = &problem.hint {
            self.line(format!("  {} {}", paint(style::FAINT, "= help:"), shown(hint)));
        }
    }
}
