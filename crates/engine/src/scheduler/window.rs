//! Windows: the times of the week in which targets may run by themselves.

use jiff::Unit;
use syncline_core::{Nanos, Window};

use super::{nanos, zone, zoned};

/// Whether a target with these windows may run by itself at this moment; without any it always may.
#[must_use]
pub fn is_open(windows: &[Window], moment: Nanos) -> bool {
    windows.is_empty() || windows.iter().any(|window| is_in(window, moment))
}

fn is_in(window: &Window, moment: Nanos) -> bool {
    let Some(local) = zoned(moment, &zone(&window.timezone)) else { return false };
    let day = usize::try_from(local.weekday().to_monday_zero_offset()).unwrap_or_default();
    let minute = u16::try_from(i32::from(local.hour()) * 60 + i32::from(local.minute())).unwrap_or_default();
    window.is_open(day, minute)
}

/// The first moment from `from` on at which one of these windows is open; `None` when none ever is.
///
/// It is looked for a little over a week ahead: a window that opens on one day of the week may be skipped once by a
/// change of the clock.
#[must_use]
pub fn opens(windows: &[Window], from: Nanos) -> Option<Nanos> {
    if is_open(windows, from) {
        return Some(from);
    }
    windows.iter().filter_map(|window| opens_next(window, from)).min()
}

fn opens_next(window: &Window, from: Nanos) -> Option<Nanos> {
    /// Two weeks: the next day of the week, also when its first time does not exist.
    const DAYS_MAX: u32 = 14;
    let zone = zone(&window.timezone);
    let start = zoned(from, &zone)?;
    (0..=DAYS_MAX).find_map(|days| {
        let day = start.date().checked_add(jiff::Span::new().days(days)).ok()?;
        let (hour, minute) = (i8::try_from(window.from / 60).ok()?, i8::try_from(window.from % 60).ok()?);
        // A time that the clock leaves out becomes the one as much later; by then it is open.
        let opening = day.at(hour, minute, 0, 0).to_zoned(zone.clone()).ok()?.round(Unit::Second).ok()?;
        nanos(&opening).filter(|opening| *opening > from && is_in(window, *opening))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Nanos {
        let moment: jiff::Timestamp = text.parse().unwrap();
        Nanos::try_from(moment.as_nanosecond()).unwrap()
    }

    fn window(days: [bool; 7], from: u16, to: u16) -> Window {
        Window { days, from: from * 60, to: to * 60, timezone: "Europe/Berlin".to_owned() }
    }

    const WORK: [bool; 7] = [true, true, true, true, true, false, false];

    #[test]
    fn a_window_follows_the_clock_of_its_time_zone() {
        let night = [window(WORK, 22, 6)];
        let table = [
            // 2026-03-27 is a Friday; the clock goes forward on Sunday the 29th at 01:00 UTC.
            ("2026-03-27T20:59:59Z", false, "2026-03-27T21:00:00Z"),
            ("2026-03-27T21:00:00Z", true, "2026-03-27T21:00:00Z"),
            // Friday's night goes on until Saturday at six, and Saturday and Sunday begin none.
            ("2026-03-28T04:59:59Z", true, "2026-03-28T04:59:59Z"),
            ("2026-03-28T05:00:00Z", false, "2026-03-30T20:00:00Z"),
            ("2026-03-30T19:59:59Z", false, "2026-03-30T20:00:00Z"),
            ("2026-03-30T20:00:00Z", true, "2026-03-30T20:00:00Z"),
        ];
        for (moment, open, next) in table {
            assert_eq!(is_open(&night, at(moment)), open, "{moment}");
            assert_eq!(opens(&night, at(moment)), Some(at(next)), "{moment}");
        }
        assert!(is_open(&[], at("2026-03-28T05:00:00Z")), "without windows it is always open");
    }

    #[test]
    fn a_window_within_the_hour_that_is_left_out_or_repeated() {
        let sunday = [false, false, false, false, false, false, true];
        let two = [window(sunday, 2, 3)];
        // Between two and three there is nothing on that night, so the next one is a week later.
        assert_eq!(opens(&two, at("2026-03-28T12:00:00Z")), Some(at("2026-04-05T00:00:00Z")));
        // In autumn that hour comes twice, and the window is open in both.
        assert!(is_open(&two, at("2026-10-25T00:30:00Z")) && is_open(&two, at("2026-10-25T01:30:00Z")));
        assert!(!is_open(&two, at("2026-10-25T02:00:00Z")));
        // One that begins in the hour that is left out begins at its end.
        let half = [Window { from: 150, to: 600, ..two[0].clone() }];
        assert_eq!(opens(&half, at("2026-03-29T00:59:00Z")), Some(at("2026-03-29T01:30:00Z")));
    }

    #[test]
    fn the_first_of_several_windows_counts_and_none_never_opens() {
        let noon = window([true; 7], 12, 13);
        let all = [window(WORK, 22, 6), noon];
        assert_eq!(opens(&all, at("2026-03-28T05:00:00Z")), Some(at("2026-03-28T11:00:00Z")));
        assert_eq!(opens(&[window([false; 7], 0, 24)], at("2026-03-28T05:00:00Z")), None);
    }
}
