//! `syncline peers`.

use syncline_service::Problem;
use syncline_service::operations::list_peers::{Peer, Response, list_peers};

use crate::cli::args::Globals;
use crate::cli::output::Output;
use crate::cli::session;
use crate::cli::text::{local_time, paint, shown, style};

/// See the other nodes below `peers` in the file, and whether they live.
///
/// While `syncline serve` runs, it sends them heartbeats and listens to theirs.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  syncline peers                   the nodes, and when each was last heard
  syncline peers --format json     also what was dropped, and why")]
pub(crate) struct Peers {}

impl Peers {
    /// Runs the command.
    pub(crate) fn run(self, globals: &Globals, output: &Output) -> Result<u8, Problem> {
        let service = session::open(globals, output, "command line")?;
        let response = list_peers(&service)?;
        output.result(&response, || page(&response));
        Ok(0)
    }
}

fn page(response: &Response) -> String {
    if response.peers.is_empty() {
        return "the file names no peers\n".to_owned();
    }
    response.peers.iter().map(line).collect()
}

fn line(peer: &Peer) -> String {
    let mark = match peer.state.as_str() {
        "alive" => style::GOOD,
        "down" => style::BAD,
        _ => style::WARN,
    };
    let heard = match &peer.heard {
        Some(heard) => format!("last heard {}", local_time(heard)),
        None => "never heard".to_owned(),
    };
    format!("{}  {}, {heard}\n", paint(style::STRONG, &shown(&peer.name)), paint(mark, &peer.state))
}
