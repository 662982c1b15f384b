//! `peers`: other nodes, whose heartbeats are expected and to which ours are sent.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::alerts::read;
use super::{Resolver, is_name, name_rule};
use crate::secret::{Lookup, Redacted, has_reference, reference_problem};
use crate::suggest::quote;

/// The least time between two heartbeats: each is sent in copies, the last of them 13 seconds after the first.
const EVERY_MIN: Duration = Duration::from_secs(15);

/// Other nodes.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Peers {
    /// The nodes, by the name that each has as its `node.name`.
    nodes: BTreeMap<String, Peer>,
    /// Where heartbeats arrive. Only this machine is heard unless it says otherwise.
    listen: String,
    /// How often a heartbeat is sent: 15 seconds at least.
    every: String,
    /// Without a heartbeat for this long, a peer is down: twice `every` at least, to which 15 seconds are added for what is
    /// still on its way.
    down_after: String,
    /// The key that all nodes share, by reference.
    #[schemars(example = &"${file:~/.config/syncline/peers.key}")]
    key: Option<String>,
}

/// Another node.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Peer {
    /// Where our heartbeats go: an address and a port. None are sent when it is not written.
    #[schemars(example = &"192.0.2.7:8765")]
    address: Option<String>,
    /// Where its `syncline serve` answers over HTTP. When no heartbeat comes, it is asked there before it counts as down.
    #[schemars(example = &"https://chad.example.com:8080")]
    url: Option<String>,
    /// The key that only the two share, by reference.
    key: Option<String>,
    /// The targets whose remote it holds: when it is down, that is what is told, and not what follows from it.
    #[serde(default)]
    targets: Vec<String>,
}

impl Default for Peers {
    fn default() -> Self {
        Self {
            nodes: BTreeMap::new(),
            listen: "127.0.0.1:8765".to_owned(),
            every: "60s".to_owned(),
            down_after: "3m".to_owned(),
            key: None,
        }
    }
}

/// Other nodes.
#[derive(Clone, Debug)]
pub struct PeersConfig {
    /// The nodes.
    pub nodes: Vec<PeerConfig>,
    /// Where heartbeats arrive.
    pub listen: SocketAddr,
    /// How often one is sent.
    pub every: Duration,
    /// Without one for this long, a peer is down.
    pub down_after: Duration,
}

/// Another node.
#[derive(Clone, Debug)]
pub struct PeerConfig {
    /// Its name.
    pub name: String,
    /// Where our heartbeats go.
    pub address: Option<SocketAddr>,
    /// Where it answers over HTTP, without a slash at its end.
    pub url: Option<String>,
    /// The targets whose remote it holds.
    pub targets: Vec<String>,
    key: Redacted<String>,
    lookup: Lookup,
}

impl PeerConfig {
    /// The secret that this node shares with it.
    ///
    /// # Errors
    /// When a reference refers to nothing.
    pub fn key(&self) -> Result<Redacted<String>, crate::ConfigError> {
        self.lookup.resolve(&self.key).map(Redacted::new)
    }
}

impl Peers {
    pub(crate) fn resolve(self, lookup: &Lookup, resolver: &mut Resolver<'_>) -> PeersConfig {
        let every = read(&self.every, &["peers", "every"], resolver);
        let down_after = read(&self.down_after, &["peers", "down_after"], resolver);
        self.check_times(every, down_after, resolver);
        let listen = address(&self.listen, &["peers", "listen"], resolver);
        check_key(self.key.as_deref(), &["peers", "key"], resolver);
        let mut nodes = Vec::new();
        for (name, peer) in self.nodes {
            let path = ["peers", "nodes", &name];
            if !is_name(&name) {
                let message = format!("{} cannot be the name of a node", quote(&name));
                resolver.error(&path, "bad_name", message, name_rule());
            }
            check_key(peer.key.as_deref(), &["peers", "nodes", &name, "key"], resolver);
            let Some(key) = peer.key.or_else(|| self.key.clone()) else {
                let message = format!("there is no key for heartbeats of {}", quote(&name));
                let hint = "write `key: ${file:…}` for it, or for all below `peers`".to_owned();
                resolver.error(&path, "no_key", message, hint);
                continue;
            };
            let place = ["peers", "nodes", &name, "address"];
            let address = peer.address.map(|text| address(&text, &place, resolver));
            let place = ["peers", "nodes", &name, "url"];
            let url = peer.url.map(|text| address_of_site(&text, &place, resolver));
            let key = Redacted::new(key);
            nodes.push(PeerConfig { name, address, url, targets: peer.targets, key, lookup: lookup.clone() });
        }
        PeersConfig { nodes, listen, every, down_after }
    }

    /// Reports times that heartbeats cannot keep to.
    fn check_times(&self, every: Duration, down_after: Duration, resolver: &mut Resolver<'_>) {
        if every < EVERY_MIN {
            let message = format!("{} is too short a time between two heartbeats", quote(&self.every));
            let least = EVERY_MIN.as_secs();
            let hint = format!("write `{least}s` or more: the copies of one alone take 13 seconds");
            resolver.error(&["peers", "every"], "too_short", message, hint);
        }
        let least = every.max(EVERY_MIN).saturating_mul(2);
        if down_after < least {
            let message = format!("{} is too short for a peer to count as down", quote(&self.down_after));
            let least = least.as_secs() + u64::from(least.subsec_nanos() > 0);
            let hint =
                format!("write `{least}s` or more: twice `every`, so that one that is lost is no outage");
            resolver.error(&["peers", "down_after"], "too_short", message, hint);
        }
    }
}

fn address(text: &str, path: &[&str], resolver: &mut Resolver<'_>) -> SocketAddr {
    text.parse().unwrap_or_else(|_| {
        let message = format!("{} is no address with a port", quote(text));
        resolver.error(path, "bad_address", message, "write it like `192.0.2.7:8765`".to_owned());
        SocketAddr::from(([127, 0, 0, 1], 8765))
    })
}

fn address_of_site(text: &str, path: &[&str], resolver: &mut Resolver<'_>) -> String {
    let rest = ["https://", "http://"].into_iter().find_map(|scheme| text.strip_prefix(scheme));
    if rest.is_none_or(|rest| rest.is_empty() || rest.starts_with('/') || rest.contains(['@', '?', '#', ' ']))
    {
        let message = format!("{} is no address of a site", quote(text));
        resolver.error(
            path,
            "bad_address",
            message,
            "write it like `https://chad.example.com:8080`".to_owned(),
        );
    }
    text.trim_end_matches('/').to_owned()
}

/// Reports a key that is no reference: a key that stands in the file is everybody's.
fn check_key(key: Option<&str>, path: &[&str], resolver: &mut Resolver<'_>) {
    let Some(key) = key else { return };
    if let Some(problem) = reference_problem(key) {
        resolver.error(path, "bad_reference", problem, None);
    } else if !has_reference(key) {
        let message = "a key of heartbeats is written out".to_owned();
        resolver.warn(path, "literal_secret", message, "refer to it: `${env:NAME}` or `${file:PATH}`");
    }
}
