//! Heartbeats: what counts, and what is dropped.
