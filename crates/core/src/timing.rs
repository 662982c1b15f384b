//! When targets may run and are due, as plain values; what comes of them in a time zone is the engine's to say.

use std::fmt;
use std::time::Duration;

/// When a target is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Schedule {
    /// Five fields of cron: minute, hour, day of the month, month, day of the week.
    Cron(String),
    /// Every so often.
    Every(Duration),
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

/// What is made up for of the moments at which nobody was there to run a target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Missed {
    /// Nothing.
    None,
    /// The last of them.
    #[default]
    Last,
    /// All of them.
    All,
}

impl Missed {
    /// The word for it in the file.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Last => "last",
            Self::All => "all",
        }
    }
}

/// The names of the days of a week, the first one first.
pub const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// The minutes of a day.
pub const MINUTES_OF_DAY: u16 = 24 * 60;

/// A time of the week in which a target may run by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    /// On which days it opens, Monday first.
    pub days: [bool; 7],
    /// The minute of the day at which it opens.
    pub from: u16,
    /// The minute at which it closes, of the next day when it is not later than `from`; at most
    /// [`MINUTES_OF_DAY`].
    pub to: u16,
    /// The time zone of its days and times, by its name in the IANA database.
    pub timezone: String,
}

impl Window {
    /// Whether it is open at a minute of a day (Monday is 0) of its time zone.
    #[must_use]
    pub fn is_open(&self, day: usize, minute: u16) -> bool {
        let opens = |day: usize| self.days[day % 7];
        if self.from < self.to {
            return opens(day) && (self.from..self.to).contains(&minute);
        }
        // It began today, or yesterday and goes on after midnight.
        opens(day) && minute >= self.from || opens(day + 6) && minute < self.to
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut day = 0;
        let mut separator = "";
        while day < 7 {
            let length = self.days[day..].iter().take_while(|opens| **opens).count();
            match length {
                0 => {}
                1 => write!(f, "{separator}{}", DAYS[day])?,
                2 => write!(f, "{separator}{},{}", DAYS[day], DAYS[day + 1])?,
                _ => write!(f, "{separator}{}-{}", DAYS[day], DAYS[day + length - 1])?,
            }
            separator = if length > 0 { "," } else { separator };
            day += length.max(1);
        }
        let time = |minute: u16| format!("{:02}:{:02}", minute / 60, minute % 60);
        write!(f, " {}-{} {}", time(self.from), time(self.to), self.timezone)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(days: &str, from: u16, to: u16) -> Window {
        let days = DAYS.map(|day| days.contains(day));
        Window { days, from: from * 60, to: to * 60, timezone: "UTC".to_owned() }
    }

    #[test]
    fn a_window_is_open_from_its_first_minute_until_before_its_last() {
        let (night, day) = (window("mon fri", 22, 6), window("sun", 9, 17));
        let table = [
            (&day, 6, 9 * 60 - 1, false),
            (&day, 6, 9 * 60, true),
            (&day, 6, 17 * 60 - 1, true),
            (&day, 6, 17 * 60, false),
            (&day, 0, 12 * 60, false),
            (&night, 0, 22 * 60 - 1, false),
            (&night, 0, 22 * 60, true),
            // Monday's window goes on into Tuesday, where none opens of its own.
            (&night, 1, 6 * 60 - 1, true),
            (&night, 1, 6 * 60, false),
            (&night, 1, 23 * 60, false),
            // Sunday night opens none, so Monday morning is closed.
            (&night, 0, 5 * 60, false),
            (&night, 5, 3 * 60, true),
            (&window("mon", 0, 24), 0, 1439, true),
            (&window("mon", 0, 24), 1, 0, false),
            // From a time to the same time is a whole day.
            (&window("mon", 8, 8), 1, 8 * 60 - 1, true),
            (&window("mon", 8, 8), 1, 8 * 60, false),
        ];
        for (window, day, minute, expected) in table {
            assert_eq!(window.is_open(day, minute), expected, "{window} on {} at {minute}", DAYS[day]);
        }
    }

    #[test]
    fn a_window_is_shown_as_it_is_written() {
        let shown = |days: &str| window(days, 22, 6).to_string();
        assert_eq!(shown("mon tue wed thu fri"), "mon-fri 22:00-06:00 UTC");
        assert_eq!(shown("mon wed sat sun"), "mon,wed,sat,sun 22:00-06:00 UTC");
        assert_eq!(shown("mon tue wed sun"), "mon-wed,sun 22:00-06:00 UTC");
        assert_eq!(window("sun", 0, 24).to_string(), "sun 00:00-24:00 UTC");
    }
}
