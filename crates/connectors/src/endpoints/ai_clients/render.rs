//! A document as it would be if it said what clients hold: every entry that agrees with them stays as it is written, and so
//! does everything else. Thus a document that agrees is its own rendering, byte by byte.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use super::compare::{Agreement, agreement};
use super::document::{Document, Entry, Part, Section};
use super::held::{Definition, Held, Server, Way};

/// The document with which a workspace begins that has none.
const EMPTY: &str = "# AI clients\n";

/// Renders what is held into a document; `text` is empty where there is none.
///
/// # Errors
/// When what is held cannot be said in the document, as a fragment.
pub(super) fn render(text: &str, held: &Held) -> Result<String, String> {
    let text = if text.is_empty() { EMPTY } else { text };
    let document = Document::parse(text);
    let mut edits = Edits {
        text,
        newline: if text.contains("\r\n") { "\r\n" } else { "\n" },
        made: Vec::new(),
        gone: BTreeSet::new(),
    };
    edits.servers(&document, held);
    for (part, list) in [(Part::Agents, &held.agents), (Part::Skills, &held.skills)] {
        if let Some(list) = list {
            edits.list(&document, part, list);
        }
    }
    let made = edits.apply();
    let again = Document::parse(&made);
    if !again.flaws.is_empty() || !agreement(&again, held).is_full() {
        return Err("what clients hold cannot be written into it: a name or a command has signs that Markdown takes for its own, or the document ends within a block of code".to_owned());
    }
    Ok(made)
}

struct Edits<'a> {
    text: &'a str,
    newline: &'static str,
    /// Bytes of the text with what takes their place.
    made: Vec<(Range<usize>, String)>,
    /// Where entries begin that go.
    gone: BTreeSet<usize>,
}

impl Edits<'_> {
    fn servers(&mut self, document: &Document, held: &Held) {
        let named = document.named(Part::Servers);
        let Agreement { servers, .. } = agreement(document, held);
        let mut added = Vec::new();
        for (name, entries) in &named {
            if servers.contains(*name) {
                continue;
            }
            let mut wanted = canonical(held, held.servers.get(*name)).into_iter();
            for entry in entries {
                let strangers: BTreeSet<&str> = entry
                    .clients
                    .iter()
                    .map(String::as_str)
                    .filter(|client| !held.clients.contains(client))
                    .collect();
                let is_ours = entry.clients.is_empty() || strangers.len() < entry.clients.len();
                match wanted.next() {
                    _ if !is_ours => {}
                    Some((definition, clients)) => {
                        let clients = with_strangers(held, clients, &strangers);
                        self.made.push((
                            entry.core.clone(),
                            server(name, Some(&definition.way), &definition.variables, &clients),
                        ));
                    }
                    None if strangers.is_empty() => self.remove(entry),
                    None => {
                        let clients: Vec<&str> = strangers.into_iter().collect();
                        self.made.push((
                            entry.core.clone(),
                            server(name, entry.way.as_ref(), &entry.variables, &clients),
                        ));
                    }
                }
            }
            added.extend(wanted.map(|(definition, clients)| line(held, name, definition, clients)));
        }
        for (name, clients) in held.servers.iter().filter(|(name, _)| !named.contains_key(name.as_str())) {
            let wanted = canonical(held, Some(clients)).into_iter();
            added.extend(wanted.map(|(definition, clients)| line(held, name, definition, clients)));
        }
        self.add(document, Part::Servers, added);
    }

    fn list(&mut self, document: &Document, part: Part, list: &BTreeMap<String, String>) {
        let named = document.named(part);
        for entry in document.entries(part).iter().filter(|entry| !list.contains_key(&entry.name)) {
            self.remove(entry);
        }
        let missing = list.iter().filter(|(name, _)| !named.contains_key(name.as_str()));
        let added = missing.map(|(name, description)| {
            let told =
                if description.is_empty() { String::new() } else { format!(": {}", escaped(description)) };
            (name.clone(), format!("{}{told}", code(name)))
        });
        self.add(document, part, added.collect());
    }

    /// Removes the lines of an entry.
    fn remove(&mut self, entry: &Entry) {
        let start = self.text[..entry.item.start].rfind('\n').map_or(0, |at| at + 1);
        let last = entry.item.start + self.text[entry.item.clone()].trim_end().len();
        let end = self.text[last..].find('\n').map_or(self.text.len(), |at| last + at + 1);
        self.made.push((start..end, String::new()));
        self.gone.insert(entry.item.start);
    }

    /// Adds entries, each where its name belongs among the others.
    fn add(&mut self, document: &Document, part: Part, mut added: Vec<(String, String)>) {
        if added.is_empty() {
            return;
        }
        added.sort();
        match document.sections.get(&part) {
            Some(section) if !section.entries.is_empty() => {
                added.into_iter().for_each(|(name, core)| self.beside(section, &name, &core));
            }
            Some(section) => self.begin(section.end, None, &added),
            None => self.begin(self.text.len(), Some(part), &added),
        }
    }

    fn beside(&mut self, section: &Section, name: &str, core: &str) {
        let stays = |entry: &&Entry| !self.gone.contains(&entry.item.start);
        let before = section.entries.iter().rev().filter(stays).find(|entry| entry.name.as_str() <= name);
        let neighbour = before.unwrap_or(&section.entries[0]);
        let start = self.text[..neighbour.item.start].rfind('\n').map_or(0, |at| at + 1);
        let mark = self.text[neighbour.item.start..].split_whitespace().next().unwrap_or("-");
        let line = format!("{}{mark} {core}", &self.text[start..neighbour.item.start]);
        if before.is_none() {
            self.made.push((start..start, format!("{line}{}", self.newline)));
        } else {
            let end = neighbour.item.start + self.text[neighbour.item.clone()].trim_end().len();
            self.made.push((end..end, format!("{}{line}", self.newline)));
        }
    }

    /// Begins a list, below a heading of its own if there is none yet.
    fn begin(&mut self, end: usize, heading: Option<Part>, added: &[(String, String)]) {
        let newline = self.newline;
        let last = self.text[..end].trim_end().len();
        let heading =
            heading.map_or_else(String::new, |part| format!("{newline}{newline}## {}", part.title()));
        let lines: String = added.iter().map(|(_, core)| format!("{newline}- {core}")).collect();
        // What stood between the last line and the next heading, or the end, stays between them.
        let after = if self.text[last..end].is_empty() { newline } else { "" };
        self.made.push((last..last, format!("{heading}{newline}{lines}{after}")));
    }

    fn apply(mut self) -> String {
        // Edits at the same place stay in the order in which they were made.
        self.made.sort_by_key(|(range, _)| (range.start, range.end));
        let (mut text, mut at) = (String::with_capacity(self.text.len()), 0);
        for (range, made) in self.made {
            text.push_str(&self.text[at..range.start.max(at)]);
            text.push_str(&made);
            at = at.max(range.end);
        }
        text.push_str(&self.text[at..]);
        text
    }
}

/// What clients have under one name: each definition once, with the clients that share it.
fn canonical<'a>(
    held: &Held,
    clients: Option<&'a BTreeMap<&'static str, Server>>,
) -> Vec<(&'a Definition, Vec<&'static str>)> {
    let mut found: Vec<(&Definition, Vec<&'static str>)> = Vec::new();
    for client in &held.clients {
        let Some(server) = clients.and_then(|clients| clients.get(client)) else { continue };
        match found.iter_mut().find(|(definition, _)| **definition == server.definition) {
            Some((_, clients)) => clients.push(client),
            None => found.push((&server.definition, vec![client])),
        }
    }
    found
}

/// The clients to name in a line: none when all are meant.
fn with_strangers<'a>(held: &Held, clients: Vec<&'a str>, strangers: &BTreeSet<&'a str>) -> Vec<&'a str> {
    if clients.len() == held.clients.len() && strangers.is_empty() {
        return Vec::new();
    }
    clients.into_iter().chain(strangers.iter().copied()).collect()
}

fn line(held: &Held, name: &str, definition: &Definition, clients: Vec<&str>) -> (String, String) {
    let clients = with_strangers(held, clients, &BTreeSet::new());
    (name.to_owned(), server(name, Some(&definition.way), &definition.variables, &clients))
}

/// How a server is written.
pub(super) fn server(
    name: &str,
    way: Option<&Way>,
    variables: &BTreeSet<String>,
    clients: &[&str],
) -> String {
    let codes = |names: Vec<&str>| names.into_iter().map(code).collect::<Vec<_>>().join(", ");
    let mut text = code(name);
    let mut word = "env";
    if let Some(way) = way {
        text.push_str(": ");
        text.push_str(&code(&self::way(way)));
        word = if matches!(way, Way::Url(_)) { "headers" } else { word };
    }
    if !variables.is_empty() {
        text.push_str(&format!(", {word} {}", codes(variables.iter().map(String::as_str).collect())));
    }
    if !clients.is_empty() {
        text.push_str(&format!(", in {}", codes(clients.to_vec())));
    }
    text
}

/// How a server is reached, as a person would type it.
pub(super) fn way(way: &Way) -> String {
    match way {
        Way::Url(url) => url.clone(),
        Way::Command(words) => {
            shlex::try_join(words.iter().map(String::as_str)).unwrap_or_else(|_| words.join(" "))
        }
    }
}

/// A text as code: between more backticks than it holds in a row.
fn code(text: &str) -> String {
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or_default();
    let fence = "`".repeat(longest + 1);
    let pad = if text.starts_with(['`', ' ']) || text.ends_with(['`', ' ']) { " " } else { "" };
    format!("{fence}{pad}{text}{pad}{fence}")
}

/// A text as prose, in which nothing is markup.
fn escaped(text: &str) -> String {
    let mut made = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, '\\' | '`' | '*' | '_' | '[' | ']' | '<' | '>' | '&') {
            made.push('\\');
        }
        made.push(c);
    }
    made
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(words: &str, variables: &[&str]) -> Server {
        let way = Way::Command(words.split(' ').map(str::to_owned).collect());
        let variables = variables.iter().map(|&name| name.to_owned()).collect();
        Server { definition: Definition { way, variables }, literal: BTreeSet::new(), settings: Vec::new() }
    }

    fn held(servers: &[(&str, &'static str, Server)]) -> Held {
        let mut held = Held { clients: vec!["cline", "cursor"], ..Held::default() };
        for (name, client, server) in servers {
            held.servers.entry((*name).to_owned()).or_default().insert(client, server.clone());
        }
        held
    }

    #[test]
    fn a_document_that_agrees_is_its_own_rendering() {
        let text = "---\ntitle: x\n---\n# Mine\n\n## 3. MCP Servers\n\nProse.\n\n*   `a`: `run  \"one two\"`, env `B`; see `docs`\n* `n` whatever\n\n## Other\n* `c`\n";
        let mut state = held(&[("n", "cline", command("x", &[])), ("n", "cursor", command("y", &["Z"]))]);
        let way = Way::Command(vec!["run".into(), "one two".into()]);
        let a = Server {
            definition: Definition { way, variables: ["B".to_owned()].into() },
            ..command("x", &[])
        };
        state.servers.insert("a".into(), [("cline", a.clone()), ("cursor", a)].into());
        assert_eq!(render(text, &state).unwrap(), text);
    }

    #[test]
    fn what_differs_is_changed_and_nothing_else() {
        let text = "# Mine\n\n## MCP servers\n\n- `a`: `old`. Prose stays.\n- `gone`: `x`\n  more\n- `z`: `z`\n\n## Next\n";
        let state = held(&[
            ("a", "cline", command("new --x", &["T"])),
            ("a", "cursor", command("new --x", &["T"])),
            ("m", "cursor", command("m", &[])),
            ("z", "cline", command("z", &[])),
            ("z", "cursor", command("z", &[])),
        ]);
        assert_eq!(
            render(text, &state).unwrap(),
            "# Mine\n\n## MCP servers\n\n- `a`: `new --x`, env `T`. Prose stays.\n- `m`: `m`, in `cursor`\n- `z`: `z`\n\n## Next\n"
        );
    }

    #[test]
    fn a_section_that_is_missing_or_empty_is_begun() {
        let state = held(&[("a", "cline", command("x", &[]))]);
        let line = "- `a`: `x`, in `cline`\n";
        for (text, expected) in [
            ("", format!("# AI clients\n\n## MCP servers\n\n{line}")),
            ("# Mine", format!("# Mine\n\n## MCP servers\n\n{line}")),
            ("## MCP servers\n\n## Next\n", format!("## MCP servers\n\n{line}\n## Next\n")),
            ("## MCP servers\nProse.\n### Deeper\n", format!("## MCP servers\nProse.\n\n{line}### Deeper\n")),
        ] {
            assert_eq!(render(text, &state).unwrap(), expected, "{text:?}");
        }
        assert_eq!(
            render("# Mine\r\n", &state).unwrap(),
            format!("# Mine\r\n\r\n## MCP servers\r\n\r\n{}", line.replace('\n', "\r\n"))
        );
    }

    #[test]
    fn what_no_line_can_say_is_told_and_never_written() {
        let odd = command("run", &[]);
        for name in ["`x`", " padded ", "a``b", "<!--", "*x*"] {
            assert!(render("# Mine\n", &held(&[(name, "cline", odd.clone())])).is_ok(), "{name:?}");
        }
        assert!(render("# Mine\n\n```\nnever closed\n", &held(&[("a", "cline", odd)])).is_err());
        let mut state = held(&[]);
        state.agents = Some([("x".to_owned(), "<!-- `a` ## MCP servers [b](c)".to_owned())].into());
        let made = render("# Mine\n", &state).unwrap();
        assert_eq!(Document::parse(&made).headings.len(), 2, "{made}");
    }

    #[test]
    fn definitions_that_differ_between_clients_become_lines_of_their_own() {
        let state = held(&[("a", "cline", command("x", &[])), ("a", "cursor", command("y", &[]))]);
        let made = render("## MCP servers\n- `a`: `z`, in `cline`, `zed`\n", &state).unwrap();
        assert_eq!(made, "## MCP servers\n- `a`: `x`, in `cline`, `zed`\n- `a`: `y`, in `cursor`\n");
        assert_eq!(render(&made, &state).unwrap(), made);
    }
}
