//! The pure heart of Syncline: values in, values out.
//!
//! Nothing here does input or output, reads a clock, draws random numbers, waits, or knows a serialisation.
//! Time, randomness and identifiers are arguments. Trouble is data: results come with their problems.

pub mod baseline;
pub mod digest;
pub mod filter;
pub mod fold;
pub mod gate;
pub mod item;
pub mod merge;
pub mod order;
pub mod path;
pub mod plan;
pub mod policy;
pub mod secrets;
pub mod side;
pub mod snapshot;
pub mod step;
pub mod timing;

pub use baseline::{Baseline, Damaged, Entry, EntryRef, MemoryBaseline};
pub use digest::Digest;
pub use filter::{Filter, Verdict};
pub use fold::fold;
pub use gate::{Builtin, Expectation};
pub use item::{Item, Kind, Nanos, Version};
pub use order::Standing;
pub use path::{ItemPath, PathError};
pub use plan::{Choices, Input, MadeFrom, Retracted, Take, conflict_path, merged_kind, plan};
pub use policy::{Abilities, Guard, Merging, Policy, Resolution, Rule};
pub use side::{Direction, Side, Sides};
pub use snapshot::{Change, Found, Mark, Problem, Root, Seen, Snapshot};
pub use step::{
    Action, Conflict, Expected, Goal, Halt, MergeNeed, MergeResult, Need, Outcome, Plan, Source, Step,
};
pub use timing::{Missed, Schedule, Window};
