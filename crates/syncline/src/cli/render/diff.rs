//! Differences of texts, in colour.

use similar::{ChangeTag, DiffOp, DiffTag, TextDiff};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::super::text::{paint, shown_lines, style};

/// How to show differences.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layout {
    /// From the local version to the remote one.
    Unified,
    /// The local version left, the remote one right.
    SideBySide {
        /// Columns that there are.
        width: usize,
    },
    /// From the base to the local version, and to the remote one.
    ThreeWay,
}

/// Unchanged lines that are shown around changed ones.
const CONTEXT: usize = 3;
/// Columns when nobody tells how many there are.
const WIDTH: usize = 120;
/// Fewer columns than this hold nothing that could be read.
const WIDTH_MIN: usize = 24;
/// Between the two columns: a space, a sign and a space.
const GUTTER: usize = 3;

/// The columns of the terminal; without one, those that `COLUMNS` names.
pub(crate) fn terminal_width() -> usize {
    let terminal = terminal_size::terminal_size().map(|(width, _)| usize::from(width.0));
    let named = || std::env::var("COLUMNS").ok()?.parse().ok();
    terminal.or_else(named).unwrap_or(WIDTH).max(WIDTH_MIN)
}

/// A unified diff.
pub(crate) fn unified(from: (&str, &str), to: (&str, &str)) -> String {
    let diff = TextDiff::from_lines(from.1, to.1);
    let text = diff.unified_diff().context_radius(CONTEXT).header(from.0, to.0).to_string();
    if text.is_empty() {
        return format!("--- {}\n+++ {}\n{}\n", from.0, to.0, paint(style::FAINT, "no difference"));
    }
    text.lines().map(unified_line).collect()
}

fn unified_line(line: &str) -> String {
    let look = match line.as_bytes().first() {
        Some(b'+') => style::GOOD,
        Some(b'-') => style::BAD,
        Some(b'@') => style::PLACE,
        _ => anstyle::Style::new(),
    };
    format!("{}\n", paint(look, &shown_lines(line)))
}

/// Two texts beside each other; `<` and `>` mark lines that only one has, `|` lines that differ.
pub(crate) fn side_by_side(left: (&str, &str), right: (&str, &str), width: usize) -> String {
    let column = width.max(WIDTH_MIN).saturating_sub(GUTTER) / 2;
    let rows = Rows { column, diff: TextDiff::from_lines(left.1, right.1) };
    let mut text = rows.row(Some(left.0), ' ', Some(right.0));
    let rule = "─".repeat(column);
    text.push_str(&format!("{rule}─┬─{rule}\n"));
    for (index, group) in rows.diff.grouped_ops(CONTEXT).iter().enumerate() {
        if index > 0 {
            text.push_str(&format!("{}\n", paint(style::PLACE, &"·".repeat(2 * column + GUTTER))));
        }
        group.iter().for_each(|op| text.push_str(&rows.lines(op)));
    }
    text
}

struct Rows<'a> {
    column: usize,
    diff: TextDiff<'a, 'a, str>,
}

impl Rows<'_> {
    fn lines(&self, op: &DiffOp) -> String {
        let of = |tag: ChangeTag| -> Vec<&str> {
            let changes = self.diff.iter_changes(op).filter(|change| change.tag() == tag);
            changes.map(|change| change.value()).collect()
        };
        if op.tag() == DiffTag::Equal {
            return of(ChangeTag::Equal).iter().map(|line| self.row(Some(line), ' ', Some(line))).collect();
        }
        let (left, right) = (of(ChangeTag::Delete), of(ChangeTag::Insert));
        (0..left.len().max(right.len()))
            .map(|at| {
                let (left, right) = (left.get(at).copied(), right.get(at).copied());
                let sign = match (left, right) {
                    (Some(_), Some(_)) => '|',
                    (Some(_), None) => '<',
                    _ => '>',
                };
                self.row(left, sign, right)
            })
            .collect()
    }

    fn row(&self, left: Option<&str>, sign: char, right: Option<&str>) -> String {
        let plain = anstyle::Style::new();
        let (look_left, look_right) = if sign == ' ' { (plain, plain) } else { (style::BAD, style::GOOD) };
        let left = fitted(left.unwrap_or_default(), self.column);
        let right = fitted(right.unwrap_or_default(), self.column);
        let middle = if sign == ' ' { "│".to_owned() } else { paint(style::CHANGE, &sign.to_string()) };
        match right.trim_end() {
            "" => format!("{} {middle}\n", paint(look_left, &left)),
            right => format!("{} {middle} {}\n", paint(look_left, &left), paint(look_right, right)),
        }
    }
}

/// A line cut or filled to exactly `width` columns.
fn fitted(line: &str, width: usize) -> String {
    let line = shown_lines(line.trim_end_matches(['\n', '\r']));
    if line.width() <= width {
        let fill = width - line.width();
        return line + &" ".repeat(fill);
    }
    let (mut cut, mut used) = (String::new(), 0);
    for c in line.chars() {
        let columns = c.width().unwrap_or_default();
        if used + columns + 1 > width {
            break;
        }
        cut.push(c);
        used += columns;
    }
    cut.push('…');
    cut + &" ".repeat(width - used - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Text as a file shows it: without colours.
    fn plain(text: &str) -> String {
        anstream::adapter::strip_str(text).to_string()
    }

    #[test]
    fn columns_line_up_and_nothing_drives_the_terminal() {
        let left = "same\n漢字 wide\nonly here\u{1b}[2J\nlast\n";
        let right = "same\nfar too long for such a narrow column\nlast\nmore\n";
        insta::assert_snapshot!(plain(&side_by_side(("local", left), ("remote", right), 39)), @r"
        local              │ remote
        ───────────────────┬───────────────────
        same               │ same
        漢字 wide          | far too long for …
        only here\u{1b}[2J <
        last               │ last
                           > more
        ");
    }

    #[test]
    fn equal_texts_have_no_difference() {
        assert!(plain(&unified(("base", "a\n"), ("local", "a\n"))).contains("no difference"));
        assert!(plain(&unified(("base", "a\n"), ("local", "b\u{7}\n"))).contains("+b\\u{7}"));
    }
}
