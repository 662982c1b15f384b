//! The engine: one target, one run.
//!
//! Read [`cycle`] first: the whole flow on one screen. The engine stores observations, never pending work; a
//! run that is cut short is recovered by the next one, which looks at the world afresh.

mod apply;
mod bridge;
mod builtins;
pub mod checks;
mod context;
mod cycle;
mod error;
mod gates;
mod keeper;
mod look;
mod merging;
pub mod process;
mod reach;
mod result;
pub mod scheduler;
mod scratch;
pub mod scripts;
mod secrets;
mod settling;
mod spans;
mod spread;
mod undo;
mod watch;

pub use context::{Clock, Context, Event, Events, Options, Target};
pub use cycle::{preview, run};
pub use error::{Error, Result};
pub use gates::Gates;
pub use reach::Reach;
pub use result::{RunResult, Tally, is_remark};
pub use secrets::SecretScan;
pub use undo::{before_run, version_at};
pub use watch::{Away, Told, Watching, watch};
