//! Endpoints: places that hold items.

pub mod ai_clients;
pub mod folder;
pub mod git;
pub mod repositories;

pub use git::upstream;
