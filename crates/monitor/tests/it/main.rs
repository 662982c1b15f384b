//! What is told over time, in simulation: seconds stand for weeks.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod alerts;
mod heartbeats;
mod week;
mod world;
