//! Conflicts.

use std::fmt::Write as _;

use syncline_service::operations::show_conflict::{Pane, Response};
use syncline_service::wire::{Conflict, Item};

use super::super::text::{bytes, local_time, paint, shown, shown_lines, style};

/// A conflict in a list.
pub(crate) fn line(conflict: &Conflict) -> String {
    let state = if conflict.open { paint(style::WARN, "open   ") } else { paint(style::GOOD, "settled") };
    let what =
        conflict.resolution.as_ref().or(conflict.action.as_ref()).map(|text| shown(text)).unwrap_or_default();
    format!(
        "{}  {state}  {}: {}  {}\n",
        paint(style::PLACE, &conflict.id),
        shown(&conflict.target),
        shown(&conflict.path),
        paint(style::FAINT, &what)
    )
}

/// A conflict with its versions.
pub(crate) fn page(response: &Response) -> String {
    let conflict = &response.conflict;
    let mut text = line(conflict);
    let how = match conflict.winner {
        Some(winner) => format!("the {} version keeps the name", winner.name()),
        None if conflict.merged.is_some() => "both versions were merged".to_owned(),
        None => "nothing was touched".to_owned(),
    };
    let _ = writeln!(text, "  {}, policy {}: {how}", conflict.kind, conflict.policy);
    if conflict.clamped {
        let _ = writeln!(text, "  a time stamp lies in the future, so it did not count");
    }
    if let Some(copy) = &conflict.copy {
        let _ = writeln!(text, "  the other version is {}", shown(copy));
    }
    let base = conflict.base.as_ref().map_or_else(|| "nothing".to_owned(), describe);
    let _ = writeln!(text, "  base    {base}");
    let _ = writeln!(text, "  local   {}", describe(&conflict.local));
    let _ = writeln!(text, "  remote  {}", describe(&conflict.remote));
    if let Some(merged) = &conflict.merged {
        let _ = writeln!(text, "  merged  {}", describe(merged));
    }
    match &response.diff {
        Some(diff) => {
            text.push('\n');
            diff.lines().for_each(|line| text.push_str(&diff_line(line)));
        }
        None => {
            note(&mut text, "local", &response.local);
            note(&mut text, "remote", &response.remote);
        }
    }
    if conflict.open {
        let _ = writeln!(text, "\n{}", paint(style::FAINT, "settle it with:"));
        let _ = writeln!(text, "  syncline conflicts resolve {} --take local|remote|both", conflict.id);
    }
    text
}

fn diff_line(line: &str) -> String {
    let look = match line.as_bytes().first() {
        Some(b'+') => style::GOOD,
        Some(b'-') => style::BAD,
        Some(b'@') => style::PLACE,
        _ => anstyle::Style::new(),
    };
    format!("{}\n", paint(look, &shown_lines(line)))
}

fn note(text: &mut String, side: &str, pane: &Pane) {
    if let Some(note) = &pane.note {
        let _ = writeln!(text, "  {}", paint(style::FAINT, &format!("{side}: {note}")));
    }
}

fn describe(item: &Item) -> String {
    let digest = item.digest.as_deref().and_then(|digest| digest.get(..8)).unwrap_or_default();
    let modified =
        item.modified.as_deref().map(|stamp| format!(", modified {}", local_time(stamp))).unwrap_or_default();
    format!("{}, {}{modified} {}", item.kind, bytes(item.size), paint(style::FAINT, digest))
}
