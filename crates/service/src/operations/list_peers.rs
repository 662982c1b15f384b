//! Lists other nodes, and what is believed of them. Needs no secret and no endpoint.

use std::collections::BTreeMap;

use schemars::{JsonSchema, schema_for};
use serde::{Deserialize, Serialize};
use syncline_store::PeersRecord;

use crate::operation::{Operation, Scope, ToolHints, answer, get, question};
use crate::problem::Result;
use crate::service::Service;
use crate::watch_post;
use crate::wire::{VERSION, timestamp};

/// The line of this use case in the list.
pub const OPERATION: Operation = Operation {
    name: "list_peers",
    summary: "List other nodes, and whether they live",
    scope: Scope::Read,
    route: get("/peers"),
    tool: Some(ToolHints::READ_ONLY),
    request: || schema_for!(Request),
    response: || schema_for!(Response),
    call: |service, value| {
        Box::pin(async move {
            let Request {} = question(value)?;
            answer(&list_peers(service)?)
        })
    },
};

/// Nothing is to be said.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Request {}

/// Other nodes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Response {
    /// The version of this shape.
    pub version: u32,
    /// The name of this node.
    pub node: String,
    /// Whether somebody listens to heartbeats now.
    pub listening: bool,
    /// The nodes, by name.
    pub peers: Vec<Peer>,
    /// How many datagrams were dropped since the start, by why.
    pub dropped: BTreeMap<String, u64>,
}

/// Another node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Peer {
    /// Its name.
    pub name: String,
    /// `awaited`, `alive`, `suspected`, `down` or `left`; `unknown` while nobody listens.
    pub state: String,
    /// When its last heartbeat arrived.
    pub heard: Option<String>,
}

/// Lists other nodes, as whoever serves the workspace has last written it down.
///
/// # Errors
/// When the state cannot be looked at, or whoever asks is limited to some targets.
pub fn list_peers(service: &Service) -> Result<Response> {
    service.caller().check_all_targets()?;
    let listening =
        watch_post::running(service)?.and_then(|running| running.record).is_some_and(|record| record.serving);
    let mut record = PeersRecord::read(service.state());
    let peers = service.workspace().peers.nodes.iter().map(|node| {
        let known = record.peers.remove(&node.name).unwrap_or_default();
        let state = if listening && !known.state.is_empty() { known.state } else { "unknown".to_owned() };
        Peer { name: node.name.clone(), state, heard: known.heard.map(timestamp) }
    });
    Ok(Response {
        version: VERSION,
        node: service.workspace().node.clone(),
        listening,
        peers: peers.collect(),
        dropped: record.dropped,
    })
}
