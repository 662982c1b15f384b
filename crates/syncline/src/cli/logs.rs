//! Logs: to standard error, and for a process that keeps running to files that are rotated. No secret is in them.

use std::collections::HashSet;
use std::io::{self, Write};
use std::path::Path;
use std::sync::OnceLock;

use syncline_core::secrets::Redactor;
use syncline_service::Problem;
use tracing_appender::rolling::{RollingFileAppender, Rotation};
use tracing_subscriber::filter::{FilterExt as _, FilterFn};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, fmt};

use super::telemetry::Telemetry;
use super::text::is_unsafe;

/// How many files are kept: one a day, for a week.
const FILES_MAX: usize = 7;

/// The files, once there are any. A layer that is put in later would be without its filter, so that this one waits.
static FILES: OnceLock<RollingFileAppender> = OnceLock::new();

/// Sends log lines to standard error: warnings, and more when asked; and traces to where the environment says.
pub(crate) fn begin(verbose: u8) -> Telemetry {
    // What libraries do is of no use to somebody who wants to know what a script did.
    let usual = match verbose {
        0 => "warn",
        1 => "info",
        2 => "info,syncline=debug",
        _ => "trace",
    };
    let colours = io::IsTerminal::is_terminal(&io::stderr());
    let lines = fmt::layer()
        .with_writer(|| Line::to(Some(Box::new(io::stderr())), Form::Text))
        .with_target(false)
        .with_ansi(colours)
        .with_filter(filter(usual).and(lines_only()));
    let files = fmt::layer()
        .json()
        .flatten_event(true)
        .with_current_span(false)
        .with_target(false)
        .with_writer(|| {
            Line::to(FILES.get().map(|files| Box::new(files.make_writer()) as Box<dyn Write>), Form::Json)
        })
        .with_filter(filter("warn,syncline=info").and(lines_only()));
    let (telemetry, wrong) = Telemetry::begin();
    tracing_subscriber::registry().with(lines).with(files).with(telemetry.layer()).init();
    if let Some(wrong) = wrong {
        tracing::warn!("{wrong}");
    }
    telemetry
}

/// Spans are for traces alone: where nobody wants these, none is made.
fn lines_only() -> FilterFn {
    FilterFn::new(|metadata| metadata.is_event())
}

/// Keeps log lines in `folder` as well, as JSON, in a file for each day; those of the last seven days are kept.
pub(crate) fn to_files(folder: &Path) -> Result<(), Problem> {
    let failed = |error| Problem::io(error, format_args!("keeping logs in {}", folder.display()));
    std::fs::create_dir_all(folder).map_err(failed)?;
    let appender = RollingFileAppender::builder()
        .rotation(Rotation::DAILY)
        .filename_prefix("syncline")
        .filename_suffix("log")
        .max_log_files(FILES_MAX)
        .build(folder)
        .map_err(|error| failed(io::Error::other(error)))?;
    // Whoever is served next by the same process goes on with the same files.
    let _ = FILES.set(appender);
    Ok(())
}

fn filter(usual: &str) -> EnvFilter {
    let wanted = std::env::var("SYNCLINE_LOG").ok().filter(|filter| !filter.is_empty());
    EnvFilter::new(wanted.as_deref().unwrap_or(usual))
}

/// One line, without secrets: neither those that were referred to, nor what looks like one. It goes on when it is whole,
/// since a secret could be cut in two. Nothing in it drives a terminal or begins another line: it may hold what somebody else
/// has said.
struct Line {
    /// Where it goes; nowhere as long as nothing is kept.
    to: Option<Box<dyn Write>>,
    form: Form,
    text: Vec<u8>,
}

/// What a line is.
#[derive(Clone, Copy)]
enum Form {
    /// Text for people, perhaps with colours.
    Text,
    /// A JSON object.
    Json,
}

impl Line {
    fn to(to: Option<Box<dyn Write>>, form: Form) -> Self {
        Self { to, form, text: Vec::new() }
    }
}

impl Write for Line {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        if self.to.is_some() {
            self.text.extend_from_slice(text);
        }
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.as_mut().map_or(Ok(()), |to| to.flush())
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        if let Some(to) = &mut self.to {
            // Where the line cannot be written, nobody can be told of it either.
            let _ = to.write_all(tamed(&concealed(&self.text), self.form).as_bytes());
        }
    }
}

/// A line in which everything is escaped that would drive a terminal, disguise something or begin another line.
fn tamed(line: &str, form: Form) -> String {
    let (line, end) = line.strip_suffix('\n').map_or((line, ""), |line| (line, "\n"));
    let mut tamed = String::with_capacity(line.len() + 1);
    let mut rest = line;
    while let Some(c) = rest.chars().next() {
        let colour = if matches!(form, Form::Text) { colour(rest) } else { 0 };
        let length = if colour > 0 { colour } else { c.len_utf8() };
        match form {
            _ if colour > 0 || !is_unsafe(c) => tamed.push_str(&rest[..length]),
            Form::Text => tamed.extend(c.escape_unicode()),
            // All that is unsafe has four digits.
            Form::Json => tamed.push_str(&format!("\\u{:04x}", u32::from(c))),
        }
        rest = &rest[length..];
    }
    tamed + end
}

/// How many bytes at the beginning of a text set one of the colours that log lines have, and do nothing else.
fn colour(text: &str) -> usize {
    let Some((codes, _)) = text.strip_prefix("\u{1b}[").and_then(|rest| rest.split_once('m')) else {
        return 0;
    };
    let is_plain =
        |code: &str| matches!(code, "0" | "1" | "2" | "3" | "31" | "32" | "33" | "34" | "35" | "36");
    if codes.split(';').all(is_plain) { "\u{1b}[m".len() + codes.len() } else { 0 }
}

pub(super) fn concealed(line: &[u8]) -> String {
    static PATTERNS: OnceLock<Option<Redactor>> = OnceLock::new();
    let text = String::from_utf8_lossy(line);
    let text = syncline_config::conceal(&text);
    let patterns = PATTERNS.get_or_init(|| Redactor::new(&[], Some("[redacted]")).ok());
    match patterns.as_ref().map(|patterns| patterns.redact(text.as_bytes(), &HashSet::new())) {
        Some(Ok(redacted)) => match redacted.content {
            Some(content) => String::from_utf8_lossy(&content).into_owned(),
            None => text.into_owned(),
        },
        // What cannot be searched is not shown.
        Some(Err(_)) => "[redacted]\n".to_owned(),
        None => text.into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_stays_one_line_and_drives_nothing_but_its_own_colours() {
        let text = "\u{1b}[1;33mWARN\u{1b}[0m a\nERROR forged\u{1b}[2J\u{1b}[8m\u{9b}\u{202e}\r\té\n";
        let shown = "\u{1b}[1;33mWARN\u{1b}[0m a\\u{a}ERROR forged\\u{1b}[2J\\u{1b}[8m\\u{9b}\\u{202e}\\u{d}\\u{9}é\n";
        assert_eq!(tamed(text, Form::Text), shown);
        let said = "a\nb\u{1b}[0m\u{9b}\u{202e}é";
        let record = serde_json::json!({ "said": said }).to_string();
        let kept = tamed(&format!("{record}\n"), Form::Json);
        assert!(kept.ends_with("}\n") && !kept.trim_end().chars().any(is_unsafe), "{kept}");
        let read: serde_json::Value = serde_json::from_str(&kept).unwrap();
        assert_eq!(read["said"], said, "and it is read back as it was");
    }

    #[test]
    fn what_looks_like_a_secret_is_not_logged_and_the_rest_is() {
        let plain = r#"{"timestamp":"2026-11-29T07:00:00.000001Z","level":"INFO","message":"a run ended","target":"notes","run":"019ac0de-7a11-7a11-8a11-0123456789ab","steps":3}"#;
        assert_eq!(concealed(plain.as_bytes()), plain);
        let token = ["ghp", "_", "0aB1cD2eF3gH4iJ5kL6mN7oP8qR9sT0uV1wX"].concat();
        let line = format!(r#"{{"message":"cannot push to https://x:{token}@host/r"}}"#);
        let shown = concealed(line.as_bytes());
        assert!(
            !shown.contains(&token) && shown.contains("[redacted]") && shown.contains("cannot push"),
            "{shown}"
        );
    }
}
