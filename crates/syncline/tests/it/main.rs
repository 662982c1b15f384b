//! The built program, run as people and scripts run it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod config;
mod conflicts;
mod direction;
mod examples;
mod exit_codes;
mod faces;
mod faults;
mod git_resolve;
mod guard;
mod history;
mod inbox;
mod kill;
mod lock;
mod plan;
mod scrub;
mod shapes;
mod support;
mod watch;
mod workspace;
