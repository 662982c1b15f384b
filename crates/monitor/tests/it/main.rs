//! What is told over time, in simulation: seconds stand for weeks.

mod alerts;
mod heartbeats;
mod outbox;
mod week;
mod world;
