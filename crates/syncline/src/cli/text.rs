//! Words, numbers and names as people read them.

use anstyle::Style;

/// The styles of the command line.
pub(crate) mod style {
    use anstyle::{AnsiColor, Style};

    /// Headings and names.
    pub(crate) const STRONG: Style = Style::new().bold();
    /// What is less important.
    pub(crate) const FAINT: Style = Style::new().dimmed();
    /// Success and additions.
    pub(crate) const GOOD: Style = AnsiColor::Green.on_default();
    /// Changes.
    pub(crate) const CHANGE: Style = AnsiColor::Yellow.on_default();
    /// Moves and identifiers.
    pub(crate) const PLACE: Style = AnsiColor::Cyan.on_default();
    /// Warnings, halts and conflicts.
    pub(crate) const WARN: Style = AnsiColor::Yellow.on_default().bold();
    /// Failures and removals.
    pub(crate) const BAD: Style = AnsiColor::Red.on_default();
}

/// Text in a style; whoever prints it takes the style out where there are no colours.
pub(crate) fn paint(style: Style, text: &str) -> String {
    format!("{style}{text}{style:#}")
}

/// Text that came from outside, safe to print: control characters, which could drive the terminal, and
/// characters that change the direction of writing, which could disguise a name, are escaped.
pub(crate) fn shown(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        if is_unsafe(c) {
            safe.extend(c.escape_unicode());
        } else {
            safe.push(c);
        }
    }
    safe
}

/// As [`shown`], for text of several lines.
pub(crate) fn shown_lines(text: &str) -> String {
    text.split('\n').map(|line| shown(&line.replace('\t', "    "))).collect::<Vec<_>>().join("\n")
}

/// Whether a character could drive a terminal or disguise what stands beside it.
pub(crate) fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{061c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}'
        )
}

/// A number of bytes.
#[expect(clippy::cast_precision_loss, reason = "two digits are shown")]
pub(crate) fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if count < 1024 {
        return format!("{count} B");
    }
    let mut value = count as f64 / 1024.0;
    let mut unit = 0;
    while value >= 1023.95 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

/// A number of seconds.
pub(crate) fn seconds(value: f64) -> String {
    if value < 0.1 {
        format!("{:.0} ms", value * 1000.0)
    } else if value < 60.0 {
        format!("{value:.1} s")
    } else {
        format!("{:.0} min {:.0} s", (value / 60.0).floor(), value % 60.0)
    }
}

/// A number of things.
pub(crate) fn count(number: u64, thing: &str) -> String {
    match number {
        1 => format!("1 {thing}"),
        _ => format!("{number} {thing}s"),
    }
}

/// The part of a run's identifier that tells it from others: the millisecond in which it began.
pub(crate) fn short_run(run: &str) -> &str {
    run.get(..13).unwrap_or(run)
}

/// An RFC 3339 time stamp as people read it, in their own time zone.
pub(crate) fn local_time(timestamp: &str) -> String {
    timestamp.parse::<jiff::Timestamp>().map_or_else(
        |_| timestamp.to_owned(),
        |moment| moment.to_zoned(jiff::tz::TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S").to_string(),
    )
}

/// A word for the shell: quoted where it must be.
pub(crate) fn quoted(word: &str) -> String {
    let plain =
        |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '/' | ':' | '=' | '@' | ',');
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_drive_the_terminal_or_disguise_themselves() {
        assert_eq!(shown("notes/äöü 😀.md"), "notes/äöü 😀.md");
        assert_eq!(shown("a\u{1b}[2Jb\n"), "a\\u{1b}[2Jb\\u{a}");
        assert_eq!(shown("invoice\u{202e}fdp.exe"), "invoice\\u{202e}fdp.exe");
        assert_eq!(shown_lines("a\n\tb\u{7}"), "a\n    b\\u{7}");
    }

    #[test]
    fn numbers_are_short() {
        assert_eq!(bytes(0), "0 B");
        assert_eq!(bytes(1023), "1023 B");
        assert_eq!(bytes(1536), "1.5 KiB");
        assert_eq!(bytes(1024 * 1024 - 1), "1.0 MiB");
        assert_eq!(seconds(0.012), "12 ms");
        assert_eq!(seconds(61.0), "1 min 1 s");
        assert_eq!(count(1, "change"), "1 change");
        assert_eq!(count(0, "change"), "0 changes");
    }

    #[test]
    fn words_survive_the_shell() {
        assert_eq!(quoted("notes"), "notes");
        assert_eq!(quoted("my notes"), "'my notes'");
        assert_eq!(quoted("it's"), r"'it'\''s'");
    }
}
