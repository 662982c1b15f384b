//! `timezone`, `missed`, `jitter` and `windows`: when a target runs by itself.

use std::time::Duration;

use jiff::tz::TimeZone;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use syncline_core as core;
use syncline_core::timing::{DAYS, MINUTES_OF_DAY};

use super::Resolver;
use super::quantity::{SPAN_HINT, span};
use crate::suggest::quote;

/// What is made up for of the moments at which nobody was there to run a target.
// `Serialize` lets the schema show the default.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Missed {
    /// Nothing: it waits for the next moment.
    None,
    /// One run for all of them.
    #[default]
    Last,
    /// A run for each of them.
    All,
}

impl From<Missed> for core::Missed {
    fn from(written: Missed) -> Self {
        match written {
            Missed::None => Self::None,
            Missed::Last => Self::Last,
            Missed::All => Self::All,
        }
    }
}

/// A time of the week.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Window {
    /// On which days it opens: names and ranges of them.
    #[schemars(example = &"mon-fri,sun", extend("default" = "mon-sun"))]
    days: Option<String>,
    /// When it opens, in hours and minutes.
    #[schemars(example = &"22:00")]
    from: String,
    /// When it closes; on the next day when that is not later than `from`. `24:00` is midnight.
    #[schemars(example = &"06:00")]
    to: String,
    /// The time zone of its days and times, by its IANA name. Default: that of the target.
    #[schemars(example = &"Europe/Berlin")]
    timezone: Option<String>,
}

/// When targets run by themselves, resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Resolved {
    pub(crate) timezone: String,
    pub(crate) missed: core::Missed,
    pub(crate) jitter: Duration,
    pub(crate) windows: Vec<core::Window>,
}

/// What is written of it, in a target or in `defaults`; what is missing is taken from elsewhere.
pub(crate) struct Written {
    pub(crate) timezone: Option<String>,
    pub(crate) missed: Option<Missed>,
    pub(crate) jitter: Option<String>,
    pub(crate) windows: Option<Vec<Window>>,
}

impl Default for Resolved {
    fn default() -> Self {
        let timezone = "UTC".to_owned();
        Self { timezone, missed: core::Missed::default(), jitter: Duration::ZERO, windows: Vec::new() }
    }
}

impl Written {
    /// What will be done; `at` is where it is written, and `base` counts where nothing is.
    pub(crate) fn resolve(self, at: &[&str], base: &Resolved, resolver: &mut Resolver<'_>) -> Resolved {
        let timezone = match self.timezone {
            Some(name) => {
                check_timezone(&name, &[at, &["timezone"]].concat(), resolver);
                name
            }
            None => base.timezone.clone(),
        };
        let jitter = self.jitter.and_then(|text| {
            let read = span(&text);
            if read.is_none() {
                let message = format!("{} cannot be understood", quote(&text));
                resolver.error(&[at, &["jitter"]].concat(), "bad_value", message, SPAN_HINT.to_owned());
            }
            read
        });
        let windows = match self.windows {
            Some(windows) => {
                let all = windows.into_iter().enumerate();
                all.filter_map(|(index, window)| {
                    window.resolve(&[at, &["windows", &index.to_string()]].concat(), &timezone, resolver)
                })
                .collect()
            }
            None => base.windows.clone(),
        };
        Resolved {
            missed: self.missed.map_or(base.missed, Into::into),
            jitter: jitter.unwrap_or(base.jitter),
            timezone,
            windows,
        }
    }
}

fn check_timezone(name: &str, at: &[&str], resolver: &mut Resolver<'_>) {
    if TimeZone::get(name).is_err() {
        let message = format!("there is no time zone {}", quote(name));
        let hint = "use a name of the IANA database, such as `Europe/Berlin`, or `UTC`".to_owned();
        resolver.error(at, "bad_timezone", message, hint);
    }
}

impl Window {
    /// The window; `None` when what was written is wrong.
    pub(crate) fn resolve(
        self,
        at: &[&str],
        timezone: &str,
        resolver: &mut Resolver<'_>,
    ) -> Option<core::Window> {
        let wrong = |key: &str, text: &str, hint: &str, resolver: &mut Resolver<'_>| {
            let message = format!("{} cannot be understood", quote(text));
            resolver.error(&[at, &[key]].concat(), "bad_value", message, hint.to_owned());
        };
        let days = self.days.as_deref().unwrap_or("mon-sun");
        let read_days = days_of(days);
        if read_days.is_none() {
            wrong("days", days, "write days and ranges of them, such as `mon-fri` or `sat,sun`", resolver);
        }
        let mut time = |key: &str, text: &str, latest: u16| {
            let read = minute_of(text).filter(|minute| *minute <= latest);
            if read.is_none() {
                wrong(key, text, "write hours and minutes, such as `\"22:00\"`", resolver);
            }
            read
        };
        let from = time("from", &self.from, MINUTES_OF_DAY - 1);
        let to = time("to", &self.to, MINUTES_OF_DAY);
        if let Some(name) = &self.timezone {
            check_timezone(name, &[at, &["timezone"]].concat(), resolver);
        }
        let timezone = self.timezone.unwrap_or_else(|| timezone.to_owned());
        Some(core::Window { days: read_days?, from: from?, to: to?, timezone })
    }
}

/// Reads days such as `mon-fri,sun`; a range may lead over the end of the week.
fn days_of(text: &str) -> Option<[bool; 7]> {
    let day = |name: &str| {
        let name = name.trim().to_ascii_lowercase();
        DAYS.iter().position(|day| *day == name)
    };
    let mut days = [false; 7];
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (day(first)?, day(last)?);
        let length = (last + 7 - first) % 7;
        (first..=first + length).for_each(|day| days[day % 7] = true);
    }
    Some(days)
}

/// Reads a time such as `06:30` as a minute of the day.
fn minute_of(text: &str) -> Option<u16> {
    let (hours, minutes) = text.trim().split_once(':')?;
    let number = |digits: &str, length: std::ops::RangeInclusive<usize>| {
        let whole = length.contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
        whole.then(|| digits.parse::<u16>().ok()).flatten()
    };
    let (hours, minutes) = (number(hours, 1..=2)?, number(minutes, 2..=2)?);
    (minutes < 60).then_some(hours * 60 + minutes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_and_times_are_read_or_refused() {
        let days = |text: &str| days_of(text).map(|days| days.map(|day| if day { '1' } else { '0' }));
        let days = |text: &str| days(text).map(String::from_iter);
        for (text, expected) in [
            ("mon-fri", Some("1111100")),
            ("sat, Sun", Some("0000011")),
            ("fri-mon", Some("1000111")),
            ("wed", Some("0010000")),
            ("mon-sun", Some("1111111")),
            ("", None),
            ("mon-", None),
            ("monday", None),
            ("mon,", None),
        ] {
            assert_eq!(days(text).as_deref(), expected, "{text:?}");
        }
        for (text, expected) in [
            ("00:00", Some(0)),
            ("6:30", Some(390)),
            ("24:00", Some(1440)),
            ("6:3", None),
            ("22", None),
            ("12:60", None),
            ("-1:00", None),
            ("100:00", None),
        ] {
            assert_eq!(minute_of(text), expected, "{text:?}");
        }
    }
}
