//! The HTTP face: every use case of the list is a route, and so is what watches over the process.
//!
//! [`guard`] refuses what a page in a browser sends, [`auth`] tells who asks, and each route what it takes.

mod auth;
mod events;
mod failures;
mod guard;
mod hooks;
mod limits;
mod listen;
pub mod mcp;
mod openapi;
mod probes;
mod problems;
mod query;
mod room;
mod routes;
mod seats;
mod stall;
mod tls;
mod trying;

pub use listen::Listening;
pub use openapi::document;
