//! The shapes that leave the program: JSON, versioned, separate from the types that the engine works with.

mod conflict;
mod drift;
mod figures;
mod health;
mod item;
mod junit;
mod news;
mod pause;
mod plan;
mod report;
mod run;
mod token;
mod watch;

pub use conflict::{Conflict, ConflictList};
pub use drift::{DriftReport, TargetDrift};
pub use figures::Figures;
pub use health::{Health, LastEnd, Seen, TargetHealth};
pub use item::{Direction, Item, Side, Verb};
pub use news::News;
pub use pause::Pause;
pub use plan::{Drift, Halt, Plan, PlannedStep, Remark, TargetPlan};
pub(crate) use report::cell;
pub use report::{CheckReport, LeftOut, Report, Steps, TargetReport};
pub use run::{Run, RunList};
pub use token::{Token, TokenScope};
pub use watch::{LastRun, Offline, Watch, WatchedTarget};

use syncline_core::Nanos;

/// The version of every shape in this module.
pub const VERSION: u32 = 1;

/// A moment as text: RFC 3339, UTC, to the millisecond.
#[must_use]
pub fn timestamp(moment: Nanos) -> String {
    let millisecond = moment.div_euclid(1_000_000);
    jiff::Timestamp::from_millisecond(millisecond).unwrap_or_default().to_string()
}

/// A span between two moments in seconds, to the millisecond.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "milliseconds of a run are far below 2^52")]
pub fn seconds(from: Nanos, to: Nanos) -> f64 {
    to.saturating_sub(from).max(0).div_euclid(1_000_000) as f64 / 1000.0
}
