//! Times that records carry about themselves.

use super::super::json::parse::Node;

/// Members that tell when a record was changed last, in the order in which they are looked for.
pub(super) const CHANGED: [&str; 11] = [
    "updated_at",
    "updatedAt",
    "modified_at",
    "modifiedAt",
    "last_modified",
    "lastModified",
    "modified",
    "updated",
    "timestamp",
    "time",
    "ts",
];

/// Members that tell when a record came to be.
const CREATED: [&str; 6] = ["created_at", "createdAt", "created", "timestamp", "time", "date"];

/// When the record says that it was changed, in nanoseconds since 1970.
pub(super) fn changed(record: &Node<'_>) -> Option<i128> {
    CHANGED.iter().find_map(|name| nanos(record.member(name)?))
}

/// When the record says that it came to be, in nanoseconds since 1970.
pub(super) fn created(record: &Node<'_>) -> Option<i128> {
    CREATED.iter().find_map(|name| nanos(record.member(name)?))
}

/// Reads a moment: RFC 3339, where the time, its seconds and the offset may be missing (UTC then), or a count since 1970
/// in seconds, milliseconds, microseconds or nanoseconds, told apart by its size.
pub(super) fn nanos(value: &Node<'_>) -> Option<i128> {
    match value.raw.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        Some(text) => moment(text),
        None => count(value.raw),
    }
}

fn count(number: &str) -> Option<i128> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let whole_number: i128 =
        whole.parse().ok().filter(|whole: &i128| (0..10_i128.pow(20)).contains(whole))?;
    // Seconds have at most eleven digits until the year 5138; each finer unit has three more.
    let scale = match whole.len() {
        ..=11 => 1_000_000_000,
        12..=14 => 1_000_000,
        15..=17 => 1_000,
        _ => 1,
    };
    Some(whole_number * scale + nanos_of(fraction)? * scale / 1_000_000_000)
}

/// The nanoseconds of the digits after a decimal point.
fn nanos_of(fraction: &str) -> Option<i128> {
    if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    format!("{:0<9.9}", fraction).parse().ok()
}

fn moment(text: &str) -> Option<i128> {
    let date = text.get(..10)?;
    let mut rest = text.get(11..).unwrap_or_default();
    if !matches!(text.as_bytes().get(10), None | Some(b'T' | b't' | b' ')) {
        return None;
    }
    let days = days(number(date, 0..4)?, number(date, 5..7)?, number(date, 8..10)?)?;
    let split = date.as_bytes();
    if split[4] != b'-' || split[7] != b'-' {
        return None;
    }
    let mut offset = 0;
    if let Some(utc) = rest.strip_suffix(['Z', 'z']) {
        rest = utc;
    } else if let Some(at) = rest.rfind(['+', '-']) {
        let zone = rest[at + 1..].replace(':', "");
        let minutes = number(&zone, 0..2)? * 60 + number(&zone, 2..4)?;
        offset = if rest[at..].starts_with('-') { -minutes } else { minutes };
        rest = &rest[..at];
    }
    let (clock, fraction) = rest.split_once('.').unwrap_or((rest, ""));
    let mut units = [0_i128; 3];
    for (unit, part) in units.iter_mut().zip(clock.split(':').filter(|part| !part.is_empty())) {
        *unit = number(part, 0..part.len())?;
    }
    let seconds = days * 86_400 + units[0] * 3_600 + (units[1] - offset) * 60 + units[2];
    Some(seconds * 1_000_000_000 + nanos_of(fraction)?)
}

fn number(text: &str, range: std::ops::Range<usize>) -> Option<i128> {
    let digits = text.get(range).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))?;
    digits.get(..digits.len().min(9))?.parse().ok()
}

/// Days from 1970-01-01 in the Gregorian calendar, counted in years that begin in March.
///
/// Source: Hinnant, "chrono-Compatible Low-Level Date Algorithms" (2013), `days_from_civil`.
fn days(year: i128, month: i128, day: i128) -> Option<i128> {
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    Some(era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468)
}

#[cfg(test)]
mod tests {
    use super::super::super::json::parse::parse;
    use super::*;

    fn read(text: &str) -> Option<i128> {
        nanos(&parse(text.as_bytes()).unwrap().root)
    }

    #[test]
    fn moments_are_compared_as_moments() {
        let second = 1_000_000_000;
        assert_eq!(read(r#""1970-01-01T00:00:00Z""#), Some(0));
        assert_eq!(read(r#""2026-02-08T17:30:00Z""#), Some(1_770_571_800 * second));
        assert_eq!(read(r#""2026-02-08T18:30:00.000+01:00""#), Some(1_770_571_800 * second));
        assert_eq!(read(r#""2026-02-08 12:00:00-0530""#), Some(1_770_571_800 * second));
        assert_eq!(read("1770571800"), Some(1_770_571_800 * second));
        assert_eq!(read("1770571800.25"), Some(1_770_571_800 * second + second / 4));
        assert_eq!(read("1770571800000"), Some(1_770_571_800 * second));
        assert_eq!(read(r#""2026-02-08""#), Some(1_770_508_800 * second));
        for not_one in [r#""soon""#, r#""2026/02/08""#, r#""2026-13-08""#, "true", "null", "-5", "1e9", "[]"]
        {
            assert_eq!(read(not_one), None, "{not_one}");
        }
    }
}
