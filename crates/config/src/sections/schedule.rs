//! `schedule`: when a target is due.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use croner::Cron;

use super::quantity::span;

/// When a target is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Schedule {
    /// Five fields of cron, in UTC: minute, hour, day of the month, month, day of the week.
    Cron(String),
    /// Every so often.
    Every(Duration),
}

impl Schedule {
    /// Reads a schedule as it is written in the file; `None` when it cannot be understood.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        if let Some(rest) = text.strip_prefix("every ") {
            return span(rest).map(Self::Every);
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
        is_cron.then(|| Self::Cron(fields.split_ascii_whitespace().collect::<Vec<_>>().join(" ")))
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cron(fields) => f.write_str(fields),
            Self::Every(time) => match time.as_secs() {
                seconds if seconds % 86_400 == 0 => write!(f, "every {}d", seconds / 86_400),
                seconds if seconds % 3_600 == 0 => write!(f, "every {}h", seconds / 3_600),
                seconds if seconds % 60 == 0 => write!(f, "every {}m", seconds / 60),
                seconds => write!(f, "every {seconds}s"),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schedules_are_read_or_refused() {
        let read = |text| Schedule::parse(text).map(|schedule| schedule.to_string());
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
