//! Tests of the pure core: tables for the planner, properties over a model world.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::print_stdout, reason = "a replayed seed shows its world")]

mod merge;
mod properties;
mod random;
mod redact;
mod roomless;
mod secrets;
mod table;
mod world;
