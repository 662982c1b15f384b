//! A message as text: what is wrong, line by line, with nothing in it that a chat would take for markup or a mention.

use std::fmt::Write;

use syncline_connect::AlertMessage;

/// Most characters of a line: what a program said may be long.
const LINE_MAX: usize = 400;

/// The text of a message in at most `length_max` UTF-16 units, which is how chats count; `escape` makes text harmless.
///
/// Lines that do not fit are counted, and told as a number.
pub(super) fn text(message: &AlertMessage, length_max: usize, escape: impl Fn(&str) -> String) -> String {
    let over = if message.is_over() { ": over" } else { "" };
    let mut text = format!("Syncline on {}{over}", escape(&plain(&message.node)));
    // Room for the number of lines that are left out.
    let limit = length_max.saturating_sub(32);
    let mut length = units(&text);
    for (index, line) in message.lines.iter().enumerate() {
        let mark = match (&line.cleared, line.critical) {
            (Some(_), _) => "✅",
            (None, true) => "🔴",
            (None, false) => "🟠",
        };
        let until = line.cleared.as_deref().map(|cleared| format!(", over at {cleared}")).unwrap_or_default();
        let row = format!("\n{mark} {} (since {}{until})", escape(&plain(&line.text)), line.since);
        length += units(&row);
        if length > limit {
            // Writing to a string cannot fail.
            let _ = write!(text, "\n… and {} more", message.lines.len() - index);
            break;
        }
        text.push_str(&row);
    }
    text
}

/// What a message is about, in a few words on one line.
pub(super) fn subject(message: &AlertMessage) -> String {
    let wrong = message.lines.iter().filter(|line| line.cleared.is_none()).count();
    let state = if wrong == 0 { "over".to_owned() } else { format!("{wrong} wrong") };
    format!("Syncline on {}: {state}", plain(&message.node))
}

/// Text on one line, without what controls a terminal or turns the direction of what follows, and not too long.
fn plain(text: &str) -> String {
    let is_harmless = |c: &char| !matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}');
    let shown = text.chars().filter(is_harmless).map(|c| if c.is_control() { ' ' } else { c });
    let mut shown: String = shown.take(LINE_MAX + 1).collect();
    if shown.chars().count() > LINE_MAX {
        shown = shown.chars().take(LINE_MAX).chain(['…']).collect();
    }
    shown
}

/// Escapes what Slack reads as a mention, a link or a channel.
pub(super) fn without_entities(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// Puts a backslash before everything that the Markdown of Discord could read, and before what begins an emoji or makes an
/// address of what comes after it: an address would show the backslashes in it.
pub(super) fn without_markdown(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        if is_markup(c, rest.peek()) {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

/// Writes everything that a dialect of Markdown could read by its number, as in HTML.
///
/// A backslash would not do for Mattermost: some of its clients know it before a few characters only, and all of them look
/// for emoji, channels and hashtags in what is left once the backslashes are gone.
pub(super) fn with_entities(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        if is_markup(c, rest.peek()) || matches!(c, '&' | '$' | '{' | '}') {
            // Writing to a string cannot fail.
            let _ = write!(out, "&#{};", u32::from(c));
        } else {
            out.push(c);
        }
    }
    out
}

fn is_markup(c: char, next: Option<&char>) -> bool {
    match c {
        '\\' | '*' | '_' | '~' | '`' | '|' | '[' | ']' | '(' | ')' | '!' | '#' | '<' | '>' => true,
        ':' => next.is_some_and(|next| !next.is_whitespace()),
        _ => false,
    }
}

/// Breaks every `@`, so that it names nobody.
pub(super) fn without_mentions(text: &str) -> String {
    text.replace('@', "@\u{200b}")
}

fn units(text: &str) -> usize {
    text.encode_utf16().count()
}

#[cfg(test)]
pub(super) mod tests {
    use syncline_connect::AlertLine;

    use super::*;

    /// A message with lines that say these texts.
    pub(in super::super) fn message(texts: &[&str]) -> AlertMessage {
        let line = |text: &&str| AlertLine {
            rule: "failing".to_owned(),
            subject: "notes".to_owned(),
            critical: false,
            text: (*text).to_owned(),
            since: "2026-11-29T10:00:00Z".to_owned(),
            cleared: None,
        };
        AlertMessage {
            id: "x-1".to_owned(),
            node: "helios".to_owned(),
            incident: 1,
            sent: 1_795_946_400,
            lines: texts.iter().map(line).collect(),
        }
    }

    #[test]
    fn what_does_not_fit_is_told_as_a_number() {
        let long = "🦀".repeat(300);
        let lines = vec![long.as_str(); 40];
        let text = text(&message(&lines), 2000, str::to_owned);
        assert!(units(&text) <= 2000, "{}", units(&text));
        assert!(text.ends_with("\n… and 37 more"), "{text}");
    }

    #[test]
    fn a_line_stays_one_line_and_shows_nothing_that_is_not_there() {
        let text = text(&message(&["a\nb\u{1b}[31m\u{202e}c"]), 2000, str::to_owned);
        assert_eq!(text, "Syncline on helios\n🟠 a b [31mc (since 2026-11-29T10:00:00Z)");
    }

    #[test]
    fn a_colon_is_harmless_where_a_word_ends() {
        assert_eq!(without_markdown("a: b :x: https://c:"), r"a: b \:x: https\://c:");
        assert_eq!(with_entities("a: b :x: https://c:"), "a: b &#58;x: https&#58;//c:");
    }

    #[test]
    fn what_is_over_is_told_as_such() {
        let mut message = message(&["away"]);
        message.lines[0].cleared = Some("2026-11-29T11:00:00Z".to_owned());
        let expected =
            "Syncline on helios: over\n✅ away (since 2026-11-29T10:00:00Z, over at 2026-11-29T11:00:00Z)";
        assert_eq!(text(&message, 2000, str::to_owned), expected);
    }
}
