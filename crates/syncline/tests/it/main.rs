//! The built program, run as people and scripts run it.

mod config;
mod conflicts;
mod direction;
mod exit_codes;
mod faces;
mod guard;
mod history;
mod lock;
mod plan;
mod scrub;
mod shapes;
mod support;
mod watch;
mod workspace;
