//! Reading a document: its headings, and the lists that name servers, agents and skills.
//!
//! An entry of a list is a line such as ``- `github`: `npx -y server-github`, env `GITHUB_TOKEN`, in `cursor` ``: the name;
//! how it is reached; the names of variables, or of headers; the clients that have it, when not all do. What follows is
//! anybody's prose. A name alone says nothing of how it is reached, and agrees with whatever a client has.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

use super::clients::Client;
use super::held::Way;

/// What a section lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    Servers,
    Agents,
    Skills,
}

/// A heading.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Heading {
    pub(super) level: u8,
    /// Its line, counted from 1.
    pub(super) line: usize,
    /// The number that it begins with.
    pub(super) number: Option<u32>,
    /// Its text without that number.
    pub(super) title: String,
}

/// One entry of a list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Entry {
    /// Its line, counted from 1.
    pub(super) line: usize,
    /// The bytes of the whole item.
    pub(super) item: Range<usize>,
    /// The bytes that say something, from the name on: prose comes after them.
    pub(super) core: Range<usize>,
    pub(super) name: String,
    pub(super) way: Option<Way>,
    pub(super) variables: BTreeSet<String>,
    /// The clients that are meant; none stands for all.
    pub(super) clients: BTreeSet<String>,
}

/// A section that lists something.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Section {
    /// Where a list may be added: the end of what stands in it before any other heading.
    pub(super) end: usize,
    pub(super) entries: Vec<Entry>,
}

/// A document.
#[derive(Clone, Debug, Default)]
pub(super) struct Document {
    pub(super) headings: Vec<Heading>,
    pub(super) sections: BTreeMap<Part, Section>,
    /// What cannot be understood: the line, and what is to be said.
    pub(super) flaws: Vec<(usize, String)>,
}

impl Part {
    pub(super) const ALL: [Self; 3] = [Self::Servers, Self::Agents, Self::Skills];

    /// The heading of its section.
    pub(super) const fn title(self) -> &'static str {
        match self {
            Self::Servers => "MCP servers",
            Self::Agents => "Agents",
            Self::Skills => "Skills",
        }
    }

    fn of(title: &str) -> Option<Self> {
        let title = title.trim_end_matches(':').to_lowercase();
        Self::ALL.into_iter().find(|part| part.title().to_lowercase() == title)
    }
}

impl Document {
    /// Reads a document; what cannot be understood is told beside the rest.
    pub(super) fn parse(text: &str) -> Self {
        let mut reader = Reader::new(text);
        let options = Options::ENABLE_YAML_STYLE_METADATA_BLOCKS;
        for (event, range) in Parser::new_ext(text, options).into_offset_iter() {
            reader.event(event, range);
        }
        reader.finish()
    }

    /// The entries of a part.
    pub(super) fn entries(&self, part: Part) -> &[Entry] {
        self.sections.get(&part).map_or(&[], |section| &section.entries)
    }

    /// The entries of a part by their names.
    pub(super) fn named(&self, part: Part) -> BTreeMap<&str, Vec<&Entry>> {
        let mut named: BTreeMap<&str, Vec<&Entry>> = BTreeMap::new();
        for entry in self.entries(part) {
            named.entry(&entry.name).or_default().push(entry);
        }
        named
    }
}

impl Entry {
    /// Whether a client is among those that are meant.
    pub(super) fn is_about(&self, client: &str) -> bool {
        self.clients.is_empty() || self.clients.contains(client)
    }
}

/// A piece of a line: code between backticks, or anything else.
enum Piece {
    Code(String, Range<usize>),
    Text(String),
}

struct Reader<'a> {
    text: &'a str,
    /// Where each line begins.
    lines: Vec<usize>,
    document: Document,
    heading: Option<(u8, usize, String)>,
    /// The section that is being read, with the level of its heading, and whether another heading stood in it.
    open: Option<(Part, u8, bool)>,
    /// The blocks around what is being read.
    blocks: Vec<TagEnd>,
    item: Option<(Range<usize>, Vec<Piece>)>,
    /// Whether the first paragraph of the item is over.
    over: bool,
}

impl<'a> Reader<'a> {
    fn new(text: &'a str) -> Self {
        let starts = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at + 1);
        let lines = std::iter::once(0).chain(starts).collect();
        Self {
            text,
            lines,
            document: Document::default(),
            heading: None,
            open: None,
            blocks: Vec::new(),
            item: None,
            over: false,
        }
    }

    fn line(&self, at: usize) -> usize {
        self.lines.partition_point(|start| *start <= at)
    }

    fn event(&mut self, event: Event<'_>, range: Range<usize>) {
        match event {
            Event::Start(Tag::Heading { level, .. }) if self.blocks.is_empty() => {
                self.heading = Some((level as u8, range.start, String::new()));
            }
            Event::End(TagEnd::Heading(_)) => self.end_heading(),
            Event::Start(Tag::Item) if matches!(self.blocks[..], [TagEnd::List(_)]) => {
                self.blocks.push(TagEnd::Item);
                self.over = false;
                self.item = self.open.is_some().then(|| (range, Vec::new()));
            }
            Event::Start(tag) if is_block(&tag) => {
                self.over = true;
                self.blocks.push(tag.to_end());
            }
            Event::End(TagEnd::Paragraph) => self.over = true,
            Event::End(end) if self.blocks.last() == Some(&end) => {
                self.blocks.pop();
                if let (TagEnd::Item, 1, Some((range, pieces))) = (end, self.blocks.len(), self.item.take()) {
                    self.end_item(range, pieces);
                }
            }
            Event::Code(code) => self.piece(Piece::Code(code.into_string(), range)),
            Event::Text(text) => self.piece(Piece::Text(text.into_string())),
            Event::SoftBreak | Event::HardBreak => self.piece(Piece::Text(" ".to_owned())),
            _ => {}
        }
    }

    fn piece(&mut self, piece: Piece) {
        if let Some((_, _, title)) = &mut self.heading {
            let (Piece::Code(text, _) | Piece::Text(text)) = &piece;
            title.push_str(text);
        } else if let Some((_, pieces)) = self.item.as_mut().filter(|_| !self.over && self.blocks.len() == 2)
        {
            pieces.push(piece);
        }
    }

    fn end_heading(&mut self) {
        let Some((level, start, text)) = self.heading.take() else { return };
        let (number, title) = numbered(text.trim());
        let line = self.line(start);
        if let Some((part, above, split)) = self.open {
            if !split && let Some(section) = self.document.sections.get_mut(&part) {
                section.end = start;
            }
            self.open = (level > above).then_some((part, above, true));
        }
        if let Some(part) = Part::of(title) {
            if self.document.sections.contains_key(&part) {
                let said = format!("there is a second section {:?}: keep one of them", part.title());
                self.document.flaws.push((line, said));
            }
            self.open = Some((part, level, false));
            self.document.sections.entry(part).or_default().end = self.text.len();
        }
        self.document.headings.push(Heading { level, line, number, title: title.to_owned() });
    }

    fn end_item(&mut self, range: Range<usize>, pieces: Vec<Piece>) {
        let Some((part, ..)) = self.open else { return };
        let line = self.line(range.start);
        let known = self.document.sections.entry(part).or_default();
        match entry(part, line, range, pieces) {
            Ok(entry) => {
                let meets = |other: &&Entry| {
                    other.name == entry.name
                        && (other.clients.is_empty()
                            || entry.clients.is_empty()
                            || !other.clients.is_disjoint(&entry.clients))
                };
                if let Some(other) = known.entries.iter().find(meets) {
                    let said = format!("`{}` is named in line {} already", entry.name, other.line);
                    self.document.flaws.push((line, said));
                } else {
                    known.entries.push(entry);
                }
            }
            Err(said) => self.document.flaws.push((line, said)),
        }
    }

    fn finish(self) -> Document {
        self.document
    }
}

const fn is_block(tag: &Tag<'_>) -> bool {
    matches!(
        tag,
        Tag::List(_)
            | Tag::Item
            | Tag::BlockQuote(_)
            | Tag::CodeBlock(_)
            | Tag::HtmlBlock
            | Tag::MetadataBlock(_)
    )
}

/// What the next piece of code in a line is about.
#[derive(Clone, Copy, PartialEq, Eq)]
enum About {
    Way,
    Variables,
    Clients,
}

fn entry(part: Part, line: usize, item: Range<usize>, pieces: Vec<Piece>) -> Result<Entry, String> {
    let unnamed = || {
        format!("an entry of {:?} begins with its name between backticks, such as - `github`", part.title())
    };
    let mut pieces = pieces.into_iter();
    let Some(Piece::Code(name, core)) = pieces.next() else { return Err(unnamed()) };
    if name.trim().is_empty() {
        return Err(unnamed());
    }
    let mut entry = Entry { line, item, core, name, ..Entry::default() };
    let (mut about, mut between) = (About::Way, String::new());
    for piece in pieces.take_while(|_| part == Part::Servers) {
        let (code, range) = match piece {
            Piece::Text(text) => {
                between.push_str(&text);
                continue;
            }
            Piece::Code(code, range) => (code, range),
        };
        let Some(next) = turn(about, &std::mem::take(&mut between)) else { break };
        about = next;
        match about {
            About::Way if entry.way.is_some() => break,
            About::Way => entry.way = Some(way(&code)?),
            About::Variables => drop(entry.variables.insert(code)),
            About::Clients if Client::named(&code).is_none() => {
                return Err(format!("{code:?} is no client that is known"));
            }
            About::Clients => drop(entry.clients.insert(code)),
        }
        entry.core.end = range.end;
    }
    Ok(entry)
}

/// What the words before a piece of code say that it is about; `None` when prose has begun.
fn turn(about: About, between: &str) -> Option<About> {
    let words: Vec<String> = between
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
        .collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        [] | ["and"] => Some(about),
        ["env" | "variable" | "variables" | "header" | "headers"] => Some(About::Variables),
        ["in" | "client" | "clients"] => Some(About::Clients),
        _ => None,
    }
}

/// Reads how a server is reached.
fn way(code: &str) -> Result<Way, String> {
    if code.starts_with("http://") || code.starts_with("https://") {
        return Ok(Way::Url(code.to_owned()));
    }
    match shlex::split(code) {
        Some(words) if !words.is_empty() => Ok(Way::Command(words)),
        _ => Err("the command cannot be taken apart: a quote is not closed, or it is empty".to_owned()),
    }
}

/// Takes a number off the beginning of a heading: `7. Title`, `7) Title`, `Section 7: Title`; not `7.1 Title`.
fn numbered(text: &str) -> (Option<u32>, &str) {
    let bare =
        ["Section ", "section ", "§"].iter().find_map(|word| text.strip_prefix(word)).unwrap_or(text).trim();
    let digits = bare.bytes().take_while(u8::is_ascii_digit).count();
    let rest = &bare[digits..];
    let mut next = rest.chars();
    let is_number = match (next.next(), next.next()) {
        (Some('.'), after) => !after.is_some_and(|c| c.is_ascii_digit()),
        (first, _) => first.is_none_or(|c| matches!(c, ')' | ':' | '-' | '–' | '—') || c.is_whitespace()),
    };
    match bare[..digits].parse() {
        Ok(number) if is_number => (
            Some(number),
            rest.trim_start_matches(|c: char| {
                matches!(c, '.' | ')' | ':' | '-' | '–' | '—') || c.is_whitespace()
            }),
        ),
        _ => (None, text),
    }
}
