//! Writing a merged document as the local version would have written it.
//!
//! What comes from the local version is copied as it stands. A list that was merged keeps the white space that it has
//! there. What comes from the remote version is written in the local style, which is read off the local version.

use super::parse::{Body, Document, Node};
use super::walk::Out;

/// How a document lays out its lists.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::merge) struct Style {
    /// One level of indentation; `None` when the document is on one line.
    pub unit: Option<String>,
    pub line_break: &'static str,
    /// From the end of a key to its value.
    pub colon: String,
    /// From a comma to what follows it on the same line.
    pub gap: String,
}

impl Style {
    /// The style of `document`, or of `other` when `document` holds no list to read it off.
    pub fn of(document: &Document<'_>, other: &Document<'_>) -> Self {
        let shown = if is_empty(&document.root) { other } else { document };
        let open = open_gap(&shown.root);
        let unit = open.contains('\n').then(|| after_break(open).to_owned());
        let line_break = if open.contains("\r\n") { "\r\n" } else { "\n" };
        let default_gap = if unit.is_some() { " " } else { "" };
        let colon = colon(shown, &shown.root).unwrap_or(if unit.is_some() { ": " } else { ":" });
        let gap = if unit.is_some() { None } else { first_comma_gap(shown, &shown.root) };
        Self { unit, line_break, colon: colon.to_owned(), gap: gap.unwrap_or(default_gap).to_owned() }
    }

    /// How a list at this indentation is laid out.
    pub fn layout(&self, indent: &str) -> Layout {
        let colon = self.colon.clone();
        match &self.unit {
            None => Layout {
                open: String::new(),
                comma: format!(",{}", self.gap),
                close: String::new(),
                colon,
                indent: indent.to_owned(),
            },
            Some(unit) => {
                let indent_within = format!("{indent}{unit}");
                let open = format!("{}{indent_within}", self.line_break);
                let comma = format!(",{open}");
                Layout {
                    open,
                    comma,
                    close: format!("{}{indent}", self.line_break),
                    colon,
                    indent: indent_within,
                }
            }
        }
    }
}

/// The white space of one list.
pub(in crate::merge) struct Layout {
    pub open: String,
    pub comma: String,
    pub close: String,
    pub colon: String,
    /// The indentation of what is in the list.
    pub indent: String,
}

impl Layout {
    /// The layout that `list` has, where it has one.
    fn of(document: &Document<'_>, list: &Node<'_>, style: &Style, indent: &str) -> Self {
        if is_empty(list) {
            return style.layout(indent);
        }
        let open = open_gap(list);
        let many_lines = open.contains('\n');
        let inner = &list.raw[..list.raw.len() - 1];
        let close = inner[inner.trim_end_matches(SPACE).len()..].to_owned();
        let gap = match comma_gap(document, list) {
            Some(gap) => gap,
            None if many_lines => open,
            None if style.unit.is_some() => " ",
            None => &style.gap,
        };
        Self {
            open: open.to_owned(),
            comma: format!(",{gap}"),
            close,
            colon: colon(document, list).unwrap_or(&style.colon).to_owned(),
            indent: if many_lines { after_break(open).to_owned() } else { indent.to_owned() },
        }
    }
}

/// Writes a merged document.
pub(super) fn write(local: &Document<'_>, remote: &Document<'_>, merged: &Out<'_, '_>) -> String {
    let style = Style::of(local, remote);
    let verbatim = Style::of(remote, local).unit.is_some() == style.unit.is_some();
    let mut text = String::from(if local.bom { "\u{feff}" } else { "" });
    text.push_str(&local.text[..local.root.start]);
    write_value(&mut text, merged, local, &style, verbatim, "");
    text.push_str(&local.text[local.root.end()..]);
    text
}

/// Writes a merged value at an indentation. `local` is the document that [`Out::Keep`] and the layouts come from.
pub(in crate::merge) fn write_value(
    text: &mut String,
    merged: &Out<'_, '_>,
    local: &Document<'_>,
    style: &Style,
    verbatim: bool,
    indent: &str,
) {
    let mut writer = Writer { local, style: style.clone(), verbatim, text: std::mem::take(text) };
    writer.out(merged, indent);
    *text = writer.text;
}

struct Writer<'d, 'a> {
    local: &'d Document<'a>,
    style: Style,
    /// Whether lists on one line are copied from the remote version as they stand.
    verbatim: bool,
    text: String,
}

impl Writer<'_, '_> {
    fn out(&mut self, out: &Out<'_, '_>, indent: &str) {
        match out {
            Out::Keep(node) => self.text.push_str(node.raw),
            Out::Take(node) => render(&mut self.text, node, &self.style, self.verbatim, indent),
            Out::Object { like, members } => {
                let layout = Layout::of(self.local, like, &self.style, indent);
                self.list(['{', '}'], &layout, members, |writer, (name, value)| {
                    writer.text.push_str(name);
                    writer.text.push_str(&layout.colon);
                    writer.out(value, &layout.indent);
                });
            }
            Out::Array { like, items } => {
                let layout = Layout::of(self.local, like, &self.style, indent);
                self.list(['[', ']'], &layout, items, |writer, item| writer.out(item, &layout.indent));
            }
        }
    }

    fn list<T>(
        &mut self,
        brackets: [char; 2],
        layout: &Layout,
        items: &[T],
        mut write: impl FnMut(&mut Self, &T),
    ) {
        self.text.push(brackets[0]);
        for (index, item) in items.iter().enumerate() {
            self.text.push_str(if index == 0 { &layout.open } else { &layout.comma });
            write(self, item);
        }
        if !items.is_empty() {
            self.text.push_str(&layout.close);
        }
        self.text.push(brackets[1]);
    }
}

/// Writes a value in `style`; with `verbatim`, a list on one line stays as it is written.
pub(in crate::merge) fn render(
    text: &mut String,
    node: &Node<'_>,
    style: &Style,
    verbatim: bool,
    indent: &str,
) {
    if node.is_scalar() || is_empty(node) || (verbatim && !node.raw.contains('\n')) {
        text.push_str(node.raw);
        return;
    }
    let layout = style.layout(indent);
    let separator = |text: &mut String, index: usize| {
        text.push_str(if index == 0 { &layout.open } else { &layout.comma });
    };
    match &node.body {
        Body::Object(members) => {
            text.push('{');
            for (index, member) in members.iter().enumerate() {
                separator(text, index);
                text.push_str(member.name);
                text.push_str(&layout.colon);
                render(text, &member.value, style, verbatim, &layout.indent);
            }
            text.push_str(&layout.close);
            text.push('}');
        }
        Body::Array(items) => {
            text.push('[');
            for (index, item) in items.iter().enumerate() {
                separator(text, index);
                render(text, item, style, verbatim, &layout.indent);
            }
            text.push_str(&layout.close);
            text.push(']');
        }
        Body::String | Body::Literal => {}
    }
}

const SPACE: [char; 4] = [' ', '\t', '\n', '\r'];

fn is_empty(node: &Node<'_>) -> bool {
    match &node.body {
        Body::Array(items) => items.is_empty(),
        Body::Object(members) => members.is_empty(),
        Body::String | Body::Literal => true,
    }
}

/// The white space after the opening bracket of a list.
fn open_gap<'a>(list: &Node<'a>) -> &'a str {
    let inner = list.raw.get(1..).unwrap_or_default();
    &inner[..inner.len() - inner.trim_start_matches(SPACE).len()]
}

/// Where the first two elements of a list begin and end.
fn spans(list: &Node<'_>) -> Option<(usize, usize)> {
    match &list.body {
        Body::Array(items) => Some((items.first()?.end(), items.get(1)?.start)),
        Body::Object(members) => Some((members.first()?.value.end(), members.get(1)?.start)),
        Body::String | Body::Literal => None,
    }
}

fn comma_gap<'a>(document: &Document<'a>, list: &Node<'_>) -> Option<&'a str> {
    let (end, start) = spans(list)?;
    document.text[end..start].split_once(',').map(|(_, gap)| gap)
}

/// The gap after a comma, in the first list in or below `node` that has one, not far into it.
fn first_comma_gap<'a>(document: &Document<'a>, node: &Node<'_>) -> Option<&'a str> {
    comma_gap(document, node).or_else(|| match &node.body {
        Body::Object(members) => {
            members.iter().take(8).find_map(|member| first_comma_gap(document, &member.value))
        }
        Body::Array(items) => items.iter().take(8).find_map(|item| first_comma_gap(document, item)),
        Body::String | Body::Literal => None,
    })
}

/// From the end of a key to its value, in the first object in or below `node`.
fn colon<'a>(document: &Document<'a>, node: &Node<'_>) -> Option<&'a str> {
    match &node.body {
        Body::Object(members) => {
            let first = members.first()?;
            Some(&document.text[first.start + first.name.len()..first.value.start])
        }
        Body::Array(items) => items.iter().take(8).find_map(|item| colon(document, item)),
        Body::String | Body::Literal => None,
    }
}

fn after_break(gap: &str) -> &str {
    gap.rsplit('\n').next().unwrap_or_default()
}
