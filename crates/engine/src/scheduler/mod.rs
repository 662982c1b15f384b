//! When targets run by themselves: which moments of a schedule are due, and whether the moment is one at which a
//! target may run. Nothing here waits or reads a clock: moments are arguments.

mod agenda;
mod hold;
mod timetable;
mod window;

use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};
use syncline_core::Nanos;

pub use agenda::{Agenda, Due};
pub use hold::{Hold, PAUSED, hold};
pub use timetable::{MOMENTS_MAX, Timetable};
pub use window::{is_open, opens};

/// The time zone of this name; UTC when this system does not know it, which the configuration has ruled out.
fn zone(name: &str) -> TimeZone {
    TimeZone::get(name).unwrap_or(TimeZone::UTC)
}

/// A moment as people of a time zone see it; `None` beyond the year 9999.
fn zoned(moment: Nanos, zone: &TimeZone) -> Option<Zoned> {
    Timestamp::from_nanosecond(moment.into()).ok().map(|moment| moment.to_zoned(zone.clone()))
}

fn nanos(moment: &Zoned) -> Option<Nanos> {
    Nanos::try_from(moment.timestamp().as_nanosecond()).ok()
}
