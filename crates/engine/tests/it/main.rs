//! Tests of the engine: deterministic simulation over two memory endpoints with injected faults.

mod crash;
mod faults;
mod histories;
#[path = "../../../core/tests/it/random.rs"]
mod random;
mod world;
