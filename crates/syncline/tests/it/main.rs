//! The built program, run as people and scripts run it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod acceptance;
mod ai_clients;
mod alerts;
mod builtins;
mod checks;
mod ci;
mod committing;
mod config;
mod conflicts;
mod direction;
mod drift;
mod examples;
mod exit_codes;
mod faces;
mod faults;
mod git;
mod git_resolve;
mod guard;
mod history;
mod http;
mod import;
mod inbox;
mod kill;
mod lock;
mod merging;
mod order;
mod output;
mod pair;
mod pauses;
mod plan;
mod power;
mod problems;
#[path = "../../../core/tests/it/random.rs"]
mod random;
mod repositories;
mod sanitize;
mod scripts;
mod scrub;
mod secrets;
mod serve;
mod shapes;
mod support;
mod troubleshooting;
mod upstream;
mod watch;
mod watch_place;
mod workspace;
