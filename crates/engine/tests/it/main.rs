//! Tests of the engine: deterministic simulation over two memory endpoints with injected faults.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod crash;
mod faults;
mod histories;
mod power;
#[cfg(target_os = "linux")]
mod process;
#[path = "../../../core/tests/it/random.rs"]
mod random;
mod secrets;
mod taken_back;
mod watching;
mod world;
