//! Comparing a document with what clients hold: whether they agree, and in what they differ, in words.

use std::collections::{BTreeMap, BTreeSet};

use super::document::{Document, Entry, Part};
use super::held::{Held, Server};
use super::render;
use super::settings::Unnamed;

/// What of a document agrees with what is held.
#[derive(Debug)]
pub(super) struct Agreement {
    /// The names of servers for which the document says just what clients have.
    pub(super) servers: BTreeSet<String>,
    full: bool,
}

impl Agreement {
    /// Whether everything agrees.
    pub(super) const fn is_full(&self) -> bool {
        self.full
    }
}

/// Compares a document with what is held.
pub(super) fn agreement(document: &Document, held: &Held) -> Agreement {
    let named = document.named(Part::Servers);
    let names: BTreeSet<&str> =
        named.keys().copied().chain(held.servers.keys().map(String::as_str)).collect();
    let nothing = BTreeMap::new();
    let agrees = |name: &&&str| {
        let has = held.servers.get(**name).unwrap_or(&nothing);
        let entries = named.get(**name).map_or(&[][..], Vec::as_slice);
        held.clients.iter().all(|client| says(entries, client, has.get(client)))
    };
    let servers: BTreeSet<String> = names.iter().filter(agrees).map(|&name| name.to_owned()).collect();
    let same = |part: Part, list: &Option<BTreeMap<String, String>>| {
        list.as_ref()
            .is_none_or(|list| document.named(part).keys().copied().eq(list.keys().map(String::as_str)))
    };
    let full =
        servers.len() == names.len() && same(Part::Agents, &held.agents) && same(Part::Skills, &held.skills);
    Agreement { servers, full }
}

/// Whether the entries of one name say what a client has.
fn says(entries: &[&Entry], client: &str, has: Option<&Server>) -> bool {
    match (entries.iter().find(|entry| entry.is_about(client)), has) {
        (None, None) => true,
        (Some(entry), Some(server)) => fits(entry, server),
        _ => false,
    }
}

/// Whether an entry says what a client has; a name alone says nothing against it.
pub(super) fn fits(entry: &Entry, server: &Server) -> bool {
    entry
        .way
        .as_ref()
        .is_none_or(|way| *way == server.definition.way && entry.variables == server.definition.variables)
}

/// What counts of what is held: everything, or only what the document names.
pub(super) fn counted(document: &Document, mut held: Held, unnamed: Unnamed) -> Held {
    if unnamed == Unnamed::Ignore {
        let servers = document.named(Part::Servers);
        held.servers.retain(|name, clients| {
            let entries = servers.get(name.as_str()).map_or(&[][..], Vec::as_slice);
            clients.retain(|client, _| entries.iter().any(|entry| entry.is_about(client)));
            !clients.is_empty()
        });
        for (part, list) in [(Part::Agents, &mut held.agents), (Part::Skills, &mut held.skills)] {
            let named = document.named(part);
            if let Some(list) = list {
                list.retain(|name, _| named.contains_key(name.as_str()));
            }
        }
    }
    held
}

/// In what a document and clients differ: a sentence each, without any value of a variable.
pub(super) fn differences(document: &Document, held: &Held) -> Vec<String> {
    let mut said = Vec::new();
    let named = document.named(Part::Servers);
    for (name, entries) in &named {
        let has = held.servers.get(*name);
        for entry in entries {
            let about = held.clients.iter().filter(|client| entry.is_about(client));
            let (there, missing): (Vec<&str>, Vec<&str>) =
                about.partition(|client| has.is_some_and(|has| has.contains_key(**client)));
            if !missing.is_empty() {
                let line = entry.line;
                said.push(format!(
                    "the server `{name}` is named in line {line}, and {} not have it",
                    do_not(&missing)
                ));
            }
            for client in there {
                if let Some(server) =
                    has.and_then(|has| has.get(client)).filter(|server| !fits(entry, server))
                {
                    said.push(differs(entry, client, server));
                }
            }
        }
    }
    for (name, clients) in &held.servers {
        let entries = named.get(name.as_str()).map_or(&[][..], Vec::as_slice);
        let unnamed =
            clients.keys().copied().filter(|client| !entries.iter().any(|entry| entry.is_about(client)));
        let unnamed: Vec<&str> = unnamed.collect();
        if !unnamed.is_empty() {
            said.push(format!(
                "the server `{name}` is in {}, and the document does not name it there",
                unnamed.join(", ")
            ));
        }
    }
    for (part, word, list) in [(Part::Agents, "agent", &held.agents), (Part::Skills, "skill", &held.skills)] {
        let Some(list) = list else { continue };
        let named = document.named(part);
        for entry in document.entries(part).iter().filter(|entry| !list.contains_key(&entry.name)) {
            said.push(format!(
                "the {word} `{}` is named in line {}, and there is no file of it",
                entry.name, entry.line
            ));
        }
        for name in list.keys().filter(|name| !named.contains_key(name.as_str())) {
            said.push(format!("the {word} `{name}` is there, and the document does not name it"));
        }
    }
    said
}

fn do_not(clients: &[&str]) -> String {
    format!("{} {}", clients.join(", "), if clients.len() == 1 { "does" } else { "do" })
}

fn differs(entry: &Entry, client: &str, server: &Server) -> String {
    let (name, line) = (&entry.name, entry.line);
    let has = &server.definition;
    match entry.way.as_ref().filter(|way| **way != has.way) {
        Some(way) => format!(
            "the server `{name}` differs: line {line} says `{}`, and {client} has `{}`",
            render::way(way),
            render::way(&has.way)
        ),
        None => {
            let names = |names: &BTreeSet<String>| match names.len() {
                0 => "none".to_owned(),
                _ => names.iter().cloned().collect::<Vec<_>>().join(", "),
            };
            let (named, there) = (names(&entry.variables), names(&has.variables));
            format!(
                "the variables of the server `{name}` differ: line {line} names {named}, and {client} has {there}"
            )
        }
    }
}
