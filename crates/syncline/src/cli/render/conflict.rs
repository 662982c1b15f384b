//! Conflicts.

use std::fmt::Write as _;

use syncline_service::operations::show_conflict::{Pane, Response};
use syncline_service::wire::{Conflict, Item};

use super::super::text::{bytes, local_time, paint, shown, style};
use super::diff::{self, Layout};

/// A conflict in a list.
pub(crate) fn line(conflict: &Conflict) -> String {
    let state = if conflict.open { paint(style::WARN, "open   ") } else { paint(style::GOOD, "settled") };
    // That a policy settled it says less than what it did.
    let resolution = conflict.resolution.as_ref().filter(|resolution| *resolution != "by policy");
    let what = resolution.or(conflict.action.as_ref()).map(|text| shown(text)).unwrap_or_default();
    format!(
        "{}  {state}  {}: {}  {}\n",
        paint(style::PLACE, &conflict.id),
        shown(&conflict.target),
        shown(&conflict.path),
        paint(style::FAINT, &what)
    )
}

/// A conflict with its versions.
pub(crate) fn page(response: &Response, layout: Layout) -> String {
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
    if let (Some(_), Some(action)) = (&conflict.resolution, &conflict.action) {
        let _ = writeln!(text, "  when it was found: {}", shown(action));
    }
    if let Some(note) = &conflict.note {
        let _ = writeln!(text, "  note: {}", shown(note));
    }
    let base = conflict.base.as_ref().map_or_else(|| "nothing".to_owned(), describe);
    let _ = writeln!(text, "  base    {base}");
    let _ = writeln!(text, "  local   {}", describe(&conflict.local));
    let _ = writeln!(text, "  remote  {}", describe(&conflict.remote));
    if let Some(merged) = &conflict.merged {
        let _ = writeln!(text, "  merged  {}", describe(merged));
    }
    panes(&mut text, response, layout);
    if conflict.open {
        settle(&mut text, response);
    }
    text
}

/// The versions of both sides, or why they cannot be shown.
fn panes(text: &mut String, response: &Response, layout: Layout) {
    let (Some(local), Some(remote)) = (&response.local.text, &response.remote.text) else {
        note(text, "local", &response.local);
        note(text, "remote", &response.remote);
        return;
    };
    text.push('\n');
    let (local, remote) = (("local", local.as_str()), ("remote", remote.as_str()));
    match layout {
        Layout::Unified => text.push_str(&diff::unified(local, remote)),
        Layout::SideBySide { width } => text.push_str(&diff::side_by_side(local, remote, width)),
        Layout::ThreeWay => {
            note(text, "base", &response.base);
            let base = ("base", response.base.text.as_deref().unwrap_or_default());
            text.push_str(&diff::unified(base, local));
            text.push('\n');
            text.push_str(&diff::unified(base, remote));
        }
    }
    if let Some(Pane { text: Some(merged), .. }) = &response.merged {
        let _ = writeln!(text, "\nmerged, beside the local version:");
        text.push_str(&diff::unified(local, ("merged", merged)));
    }
    for (side, pane) in [("local", &response.local), ("remote", &response.remote)] {
        note(text, side, pane);
    }
}

/// What can be done about an open conflict.
fn settle(text: &mut String, response: &Response) {
    let id = &response.conflict.id;
    let _ = writeln!(text, "\n{}", paint(style::FAINT, "settle it with:"));
    let _ = writeln!(text, "  syncline conflicts resolve {id} --take local|remote|both");
    if let Some(merge) = &response.merge {
        let marked = response.conflict.merged.is_some();
        let (command, about) = match (merge.clean, &merge.note) {
            (true, _) if marked => ("--take merged", "no marker is left in the file".to_owned()),
            (true, _) => ("--take merged", "the versions merge cleanly".to_owned()),
            (false, note) => ("--edit", note.as_deref().map(shown).unwrap_or_default()),
        };
        let about = if about.is_empty() { about } else { paint(style::FAINT, &format!("  ({about})")) };
        let _ = writeln!(text, "  syncline conflicts resolve {id} {command}{about}");
    }
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
