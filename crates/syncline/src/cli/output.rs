//! Printing: results to standard output, everything else to standard error.
//!
//! A result that could not be printed does not stop what goes on; it is told at the end, and in the exit code. A reader
//! that goes away, as in `syncline history | head`, has seen enough: that is no failure.

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};
use std::sync::{Arc, OnceLock};

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
    /// Why standard output takes no more, once it does not.
    closed: Arc<OnceLock<io::Error>>,
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
        Self {
            format: globals.format,
            quiet: globals.quiet,
            verbose: globals.verbose > 0,
            closed: Arc::default(),
        }
    }

    /// The output before any option is known.
    pub(crate) fn plain(format: Format) -> Self {
        Self { format, quiet: false, verbose: false, closed: Arc::default() }
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
            Err(error) => self.close(error.into()),
        }
    }

    /// Prints text to standard output as it is.
    pub(crate) fn raw(&self, text: &str) {
        if self.closed.get().is_some() {
            return;
        }
        let mut out = anstream::stdout().lock();
        if let Err(error) = out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
            self.close(error);
        }
    }

    /// Remembers why standard output takes no more.
    pub(crate) fn close(&self, error: io::Error) {
        // Only the first reason counts.
        let _ = self.closed.set(error);
    }

    /// Whether whoever read standard output went away.
    pub(crate) fn is_unread(&self) -> bool {
        self.closed.get().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
    }

    /// Tells when a result could not be printed; the exit code then.
    pub(crate) fn finish(&self, code: u8) -> u8 {
        match self.closed.get() {
            Some(error) if !self.is_unread() => {
                self.line(format!("{}: writing to standard output: {error}", paint(style::BAD, "error")));
                if code == 2 { 2 } else { 1 }
            }
            _ => code,
        }
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
