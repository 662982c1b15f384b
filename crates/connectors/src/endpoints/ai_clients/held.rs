//! What AI clients hold, as far as a document can say it. Values of variables and of headers are never part of it.

use std::collections::{BTreeMap, BTreeSet};

use syncline_core::Digest;

/// How a server is reached.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Way {
    /// By starting a program: its name, and its arguments.
    Command(Vec<String>),
    /// At an address.
    Url(String),
}

/// What a document says of a server.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Definition {
    pub(super) way: Way,
    /// The names of its environment variables, or of its headers when it has an address.
    pub(super) variables: BTreeSet<String>,
}

/// A server as one client has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Server {
    pub(super) definition: Definition,
    /// The variables whose values stand in the client's file itself: nothing else could give them back.
    pub(super) literal: BTreeSet<String>,
    /// What else is set for it, of which a document does not tell.
    pub(super) settings: Vec<String>,
}

/// The servers of one client, by name.
pub(super) type Servers = BTreeMap<String, Server>;

/// What all chosen clients hold together.
#[derive(Clone, Debug, Default)]
pub(super) struct Held {
    /// The names of the chosen clients, in the order of the settings.
    pub(super) clients: Vec<&'static str>,
    /// Servers by name, and then by the client that has them.
    pub(super) servers: BTreeMap<String, BTreeMap<&'static str, Server>>,
    /// Agents with what they say of themselves; `None` when nobody looks for any.
    pub(super) agents: Option<BTreeMap<String, String>>,
    /// Skills, as agents.
    pub(super) skills: Option<BTreeMap<String, String>>,
}

impl Held {
    /// Whether there is nothing at all.
    pub(super) fn is_empty(&self) -> bool {
        let none = |list: &Option<BTreeMap<_, _>>| list.as_ref().is_none_or(BTreeMap::is_empty);
        self.servers.is_empty() && none(&self.agents) && none(&self.skills)
    }

    /// Adds the servers of one client.
    pub(super) fn add(&mut self, client: &'static str, servers: Servers) {
        self.clients.push(client);
        for (name, server) in servers {
            self.servers.entry(name).or_default().insert(client, server);
        }
    }

    /// A digest of everything that a document can say: two states with the same one are the same to it.
    pub(super) fn fingerprint(&self) -> Digest {
        let mut text = String::new();
        let mut add = |word: &str| text.push_str(&format!("{}:{word}", word.len()));
        self.clients.iter().for_each(|client| add(client));
        for (name, clients) in &self.servers {
            for (client, server) in clients {
                add(name);
                add(client);
                match &server.definition.way {
                    Way::Command(words) => words.iter().for_each(|word| add(word)),
                    Way::Url(url) => add(url),
                }
                add("variables");
                server.definition.variables.iter().for_each(|name| add(name));
            }
        }
        for (kind, list) in [("agents", &self.agents), ("skills", &self.skills)] {
            add(kind);
            list.iter().flat_map(BTreeMap::keys).for_each(|name| add(name));
        }
        Digest::of(text.as_bytes())
    }
}

/// Whether a text fits into a line of a document, and cannot play tricks on a terminal.
pub(super) fn is_plain(text: &str) -> bool {
    !text.chars().any(|c| {
        c.is_control()
            || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    })
}
