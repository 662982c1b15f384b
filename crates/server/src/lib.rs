//! The HTTP face: every use case of the list is a route, and so is what watches over the process.
//!
//! Whoever can reach it may do what a shell may, so that it listens on this machine alone, and [`guard`] refuses what a
//! page in a browser sends.

mod events;
mod guard;
mod limits;
mod listen;
mod openapi;
mod probes;
mod problems;
mod query;
mod routes;
mod stall;

pub use listen::{LISTEN_DEFAULT, Listening};
pub use openapi::document;
