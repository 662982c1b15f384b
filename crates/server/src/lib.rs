//! The HTTP face: every use case of the list is a route, and so is what watches over the process.
//!
//! [`guard`] refuses what a page in a browser sends, [`auth`] tells who asks, and each route what it takes.

mod auth;
mod guard;
mod hooks;
mod listen;
pub mod mcp;
mod openapi;
mod probes;
mod problems;
mod query;
mod routes;
mod tls;
mod trying;

pub use listen::{LISTEN_DEFAULT, Listening};
pub use openapi::document;
