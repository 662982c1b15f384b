//! `schedule`: when a target is due.

use std::str::FromStr;

use croner::Cron;
use syncline_core::Schedule;

use super::quantity::span;

/// Reads a schedule as it is written in the file; `None` when it cannot be understood.
#[must_use]
pub fn read_schedule(text: &str) -> Option<Schedule> {
    let text = text.trim();
    if let Some(rest) = text.strip_prefix("every ") {
        return span(rest).map(Schedule::Every);
    }
    let fields = match text {
        "@hourly" => "0 * * * *",
        "@daily" | "@midnight" => "0 0 * * *",
        "@weekly" => "0 0 * * 0",
        "@monthly" => "0 0 1 * *",
        "@yearly" | "@annually" => "0 0 1 1 *",
        fields => fields,
    };
    // A sixth field would be seconds, which no scheduler of a CI system has.
    let is_cron = fields.split_ascii_whitespace().count() == 5 && Cron::from_str(fields).is_ok();
    is_cron.then(|| Schedule::Cron(fields.split_ascii_whitespace().collect::<Vec<_>>().join(" ")))
}

/// Whether a schedule comes at all: fields that are right each for itself may together name no day.
pub(crate) fn comes(schedule: &Schedule) -> bool {
    let Schedule::Cron(fields) = schedule else { return true };
    // A schedule that comes does so within some years of any moment, so it need not be looked for from today.
    let somewhen = jiff::Timestamp::UNIX_EPOCH.to_zoned(jiff::tz::TimeZone::UTC);
    Cron::from_str(fields).is_ok_and(|cron| cron.find_next_occurrence(&somewhen, false).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schedule_that_names_no_day_never_comes() {
        for (text, expected) in [
            ("0 0 31 2 *", false),
            ("0 0 30 2 *", false),
            ("0 0 31 4,6,9,11 *", false),
            ("0 0 29 2 *", true),
            ("0 0 31 2 1", true),
            ("0 0 31 1-4 *", true),
            ("59 23 31 12 *", true),
            ("@yearly", true),
            ("every 500d", true),
        ] {
            assert_eq!(comes(&read_schedule(text).unwrap()), expected, "{text:?}");
        }
    }

    #[test]
    fn schedules_are_read_or_refused() {
        let read = |text| read_schedule(text).map(|schedule| schedule.to_string());
        for (text, expected) in [
            ("0 2 * * *", Some("0 2 * * *")),
            (" 0  */6 * * * ", Some("0 */6 * * *")),
            ("0 5 * * 0", Some("0 5 * * 0")),
            ("@hourly", Some("0 * * * *")),
            ("every 15m", Some("every 15m")),
            ("every 7200s", Some("every 2h")),
            ("every 36h", Some("every 36h")),
            ("every 48h", Some("every 2d")),
            ("0 2 * *", None),
            ("* * * * * *", None),
            ("61 * * * *", None),
            ("@often", None),
            ("every day", None),
            ("", None),
        ] {
            assert_eq!(read(text).as_deref(), expected, "{text:?}");
        }
    }
}
