//! One binary for all integration tests of the connectors.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod ai_clients;
mod alerts;
mod conformance;
mod folder;
mod folder_faults;
mod git;
mod git_hosts;
mod git_support;
mod repositories;
mod support;
mod watching;
