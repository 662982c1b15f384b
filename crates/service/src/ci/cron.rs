//! Schedules of targets in the words of GitHub: five fields of cron, at most every five minutes.

use std::collections::BTreeSet;
use std::time::Duration;

use syncline_core::Schedule;

/// GitHub starts nothing more often, in minutes.
const MINUTES_MIN: u32 = 5;

/// Every span that five fields of cron can repeat evenly, in minutes.
const SPANS: [(u64, &str); 17] = [
    (5, "*/5 * * * *"),
    (6, "*/6 * * * *"),
    (10, "*/10 * * * *"),
    (12, "*/12 * * * *"),
    (15, "*/15 * * * *"),
    (20, "*/20 * * * *"),
    (30, "*/30 * * * *"),
    (60, "0 * * * *"),
    (2 * 60, "0 */2 * * *"),
    (3 * 60, "0 */3 * * *"),
    (4 * 60, "0 */4 * * *"),
    (6 * 60, "0 */6 * * *"),
    (8 * 60, "0 */8 * * *"),
    (12 * 60, "0 */12 * * *"),
    (24 * 60, "0 0 * * *"),
    (7 * 24 * 60, "0 0 * * 0"),
    // A month has 30 days and a half, near enough.
    (732 * 60, "0 0 1 * *"),
];

const MONTHS: [&str; 12] =
    ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"];
const DAYS: [&str; 7] = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];

/// What GitHub can do of a schedule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cron {
    /// Five fields that hold nothing but letters, digits and `*/,-`; `None` when nothing comes near.
    pub(super) fields: Option<String>,
    /// How that differs from what was asked for.
    pub(super) warning: Option<String>,
}

/// Says a schedule in the words of GitHub.
pub(super) fn cron(schedule: &Schedule) -> Cron {
    match schedule {
        Schedule::Every(span) => every(*span, schedule),
        Schedule::Cron(fields) => spelled(fields),
    }
}

/// The minutes of a day at which fields of [`cron`] are due, whatever the day.
pub(super) fn minutes_of_day(fields: &str) -> BTreeSet<u32> {
    let mut fields = fields.split(' ');
    let minutes = fields.next().and_then(|field| values(field, 0, 59, &[])).unwrap_or_default();
    let hours = fields.next().and_then(|field| values(field, 0, 23, &[])).unwrap_or_default();
    hours.iter().flat_map(|hour| minutes.iter().map(move |minute| hour * 60 + minute)).collect()
}

fn every(span: Duration, schedule: &Schedule) -> Cron {
    let seconds = span.as_secs();
    let exact = SPANS.iter().find(|(minutes, _)| minutes * 60 == seconds);
    if let Some((_, fields)) = exact.filter(|(minutes, _)| *minutes <= 7 * 24 * 60) {
        return Cron { fields: Some((*fields).to_owned()), warning: None };
    }
    // Nearest by proportion: ten minutes are nearer to twelve than to five. Spans ascend, so the first of two wins.
    let distance = |minutes: u64| {
        let (one, other) = (u128::from(minutes * 60), u128::from(seconds.max(1)));
        // Per million, so that the comparison needs no floating point.
        one.max(other) * 1_000_000 / one.min(other)
    };
    let nearest = SPANS.iter().min_by_key(|(minutes, _)| distance(*minutes));
    let fields = nearest.map(|(_, fields)| (*fields).to_owned());
    let spoken = fields.as_deref().unwrap_or_default();
    let why = if seconds < u64::from(MINUTES_MIN) * 60 {
        "GitHub starts nothing more often than every 5 minutes"
    } else {
        "cron cannot repeat that evenly"
    };
    Cron { warning: Some(format!("`{schedule}` becomes `{spoken}`: {why}")), fields }
}

fn spelled(text: &str) -> Cron {
    let fields: Vec<&str> = text.split(' ').collect();
    let read = || {
        let &[minute, hour, day, month, weekday] = fields.as_slice() else { return None };
        values(hour, 0, 23, &[])?;
        values(day, 1, 31, &[])?;
        values(month, 1, 12, &MONTHS)?;
        Some((values(minute, 0, 59, &[])?, values(weekday, 0, 7, &DAYS)?))
    };
    let Some((minutes, weekdays)) = read() else {
        let warning =
            format!("GitHub does not understand the schedule `{text}`; it can only be started by hand");
        return Cron { fields: None, warning: Some(warning) };
    };
    let mut told: Vec<String> = fields.iter().map(|&field| field.to_owned()).collect();
    if weekdays.contains(&7) {
        // Sunday is 0 there, and nothing else.
        let days: BTreeSet<u32> = weekdays.iter().map(|day| day % 7).collect();
        told[4] = if days.len() == 7 { "*".to_owned() } else { list(&days) };
    }
    let allowed = spread(&minutes);
    if allowed == minutes {
        return Cron { fields: Some(told.join(" ")), warning: None };
    }
    told[0] = minute_field(&allowed);
    let told = told.join(" ");
    let why = "GitHub starts nothing more often than every 5 minutes";
    Cron { warning: Some(format!("`{text}` becomes `{told}`: {why}")), fields: Some(told) }
}

/// Leaves out minutes that follow another one too soon.
fn spread(minutes: &BTreeSet<u32>) -> BTreeSet<u32> {
    let mut kept = BTreeSet::new();
    for &minute in minutes {
        if kept.last().is_none_or(|last| minute - last >= MINUTES_MIN) {
            kept.insert(minute);
        }
    }
    kept
}

fn minute_field(minutes: &BTreeSet<u32>) -> String {
    let steps = (MINUTES_MIN..=30).find(|&step| minutes.iter().copied().eq((0..60).step_by(step as usize)));
    steps.map_or_else(|| list(minutes), |step| format!("*/{step}"))
}

fn list(values: &BTreeSet<u32>) -> String {
    values.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

/// The values of a field; `None` when it is more than lists, ranges, steps and names: what else schedulers know,
/// such as the last day of a month, GitHub does not.
fn values(field: &str, min: u32, max: u32, names: &[&str]) -> Option<BTreeSet<u32>> {
    let one = |text: &str| {
        let named = names.iter().position(|name| name.eq_ignore_ascii_case(text));
        let digits = !text.is_empty() && text.len() <= 2 && text.bytes().all(|byte| byte.is_ascii_digit());
        match named {
            Some(at) => Some(min + u32::try_from(at).ok()?),
            None if digits => text.parse().ok().filter(|value| (min..=max).contains(value)),
            None => None,
        }
    };
    let mut found = BTreeSet::new();
    for part in field.split(',') {
        let (range, step) = part.split_once('/').map_or((part, None), |(range, step)| (range, Some(step)));
        let step =
            step.map_or(Some(1), |step| step.parse::<usize>().ok().filter(|step| (1..=60).contains(step)))?;
        let (first, last) = match range.split_once('-') {
            // Days of the week have two names for Sunday; all of them are seven nevertheless.
            None if range == "*" => (min, if max == 7 { 6 } else { max }),
            None if part.contains('/') => (one(range)?, max),
            None => (one(range)?, one(range)?),
            Some((first, last)) => (one(first)?, one(last)?),
        };
        if first > last {
            return None;
        }
        found.extend((first..=last).step_by(step));
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_github_knows_is_passed_on_and_the_rest_comes_near_or_is_told() {
        for (written, expected, warns) in [
            ("0 2 * * *", Some("0 2 * * *"), false),
            ("0 */6 * * *", Some("0 */6 * * *"), false),
            ("0 5 * * 0", Some("0 5 * * 0"), false),
            ("0 5 * JAN-mar MON,Fri", Some("0 5 * JAN-mar MON,Fri"), false),
            ("0 5 * * 7", Some("0 5 * * 0"), false),
            ("0 5 * * 5-7", Some("0 5 * * 0,5,6"), false),
            ("@weekly", Some("0 0 * * 0"), false),
            ("* * * * *", Some("*/5 * * * *"), true),
            ("*/2 4 * * *", Some("*/6 4 * * *"), true),
            ("1,2,3,30 * * * *", Some("1,30 * * * *"), true),
            ("0 0 L * *", None, true),
            ("0 0 * * MON#2", None, true),
            ("every 15m", Some("*/15 * * * *"), false),
            ("every 60m", Some("0 * * * *"), false),
            ("every 12h", Some("0 */12 * * *"), false),
            ("every 1d", Some("0 0 * * *"), false),
            ("every 7d", Some("0 0 * * 0"), false),
            ("every 30s", Some("*/5 * * * *"), true),
            ("every 7m", Some("*/6 * * * *"), true),
            ("every 25m", Some("*/30 * * * *"), true),
            ("every 36h", Some("0 0 * * *"), true),
            ("every 90d", Some("0 0 1 * *"), true),
        ] {
            let schedule =
                syncline_config::read_schedule(written).unwrap_or_else(|| panic!("{written} is no schedule"));
            let told = cron(&schedule);
            assert_eq!(
                (told.fields.as_deref(), told.warning.is_some()),
                (expected, warns),
                "{written}: {told:?}"
            );
        }
    }

    #[test]
    fn minutes_of_a_day_are_those_of_both_fields() {
        assert_eq!(minutes_of_day("0,30 1-2 * * *"), BTreeSet::from([60, 90, 120, 150]));
        assert_eq!(minutes_of_day("*/5 * * * *").len(), 288);
    }
}
