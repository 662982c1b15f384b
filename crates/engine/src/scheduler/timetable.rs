//! The moments of a schedule.

use std::collections::VecDeque;
use std::str::FromStr;
use std::time::Duration;

use croner::Cron;
use jiff::tz::TimeZone;
use syncline_core::{Missed, Nanos, Schedule};

use super::{nanos, zone, zoned};

/// Most moments that are made up for at once: of more, the latest count.
pub const MOMENTS_MAX: usize = 100;

/// A moment that is further back than this was missed: nobody was there to see it.
const ON_TIME: Nanos = 60_000_000_000;

/// When a target is due.
///
/// A moment is that of the schedule; a run begins at [`Timetable::begins`], which lies before the moment that follows,
/// so that moments never change places.
#[derive(Clone, Debug)]
pub struct Timetable {
    target: String,
    rhythm: Rhythm,
    missed: Missed,
    jitter: Nanos,
}

#[derive(Clone, Debug)]
enum Rhythm {
    Cron(Box<Cron>, TimeZone),
    Every(Nanos),
    /// What no schedule that was read from a file is.
    Never,
}

impl Timetable {
    /// The timetable of a target.
    #[must_use]
    pub fn new(target: &str, schedule: &Schedule, timezone: &str, missed: Missed, jitter: Duration) -> Self {
        let length = |time: Duration| Nanos::try_from(time.as_nanos()).unwrap_or(Nanos::MAX);
        let rhythm = match schedule {
            Schedule::Cron(fields) => match Cron::from_str(fields) {
                Ok(cron) => Rhythm::Cron(Box::new(cron), zone(timezone)),
                Err(_) => Rhythm::Never,
            },
            Schedule::Every(time) => Rhythm::Every(length(*time).max(1)),
        };
        Self { target: target.to_owned(), rhythm, missed, jitter: length(jitter) }
    }

    /// The target's name.
    #[must_use]
    pub fn target(&self) -> &str {
        &self.target
    }

    /// The first moment after `after`; `None` when there is none any more.
    ///
    /// - An interval counts from `after`, which is the last run or the last moment that was due.
    /// - A time that the clock leaves out is made up for when it goes on, and one that comes twice counts once, unless
    ///   the schedule says every so often (`*`), which goes by what has passed.
    #[must_use]
    pub fn next(&self, after: Nanos) -> Option<Nanos> {
        match &self.rhythm {
            Rhythm::Cron(cron, zone) => {
                let next = cron.find_next_occurrence(&zoned(after, zone)?, false).ok()?;
                nanos(&next).filter(|next| *next > after)
            }
            Rhythm::Every(span) => after.checked_add(*span),
            Rhythm::Never => None,
        }
    }

    /// When the run of a moment begins: later by a share of the jitter that follows from target and moment.
    #[must_use]
    pub fn begins(&self, moment: Nanos) -> Nanos {
        let gap = self.next(moment).map_or(Nanos::MAX, |next| next.saturating_sub(moment));
        let room = self.jitter.min(gap);
        if room <= 0 {
            return moment;
        }
        let mut hasher = blake3::Hasher::new();
        hasher.update(self.target.as_bytes()).update(&[0]).update(&moment.to_le_bytes());
        let mut draw = [0; 8];
        hasher.finalize_xof().fill(&mut draw);
        let share = u64::from_le_bytes(draw) % u64::try_from(room).unwrap_or(1);
        moment.saturating_add(Nanos::try_from(share).unwrap_or_default())
    }

    /// The moments whose runs are to begin now, oldest first; `last` is the last moment that was handled, or the last
    /// run.
    ///
    /// - What was missed counts as `missed` says: not at all, the last of it, or all of it, at most [`MOMENTS_MAX`].
    /// - A target that never ran has missed nothing: an interval begins at once, and a time of day is waited for,
    ///   unless it came within the last minute.
    /// - A clock that was put back makes nothing due twice: moments before `last` are over.
    #[must_use]
    pub fn due(&self, last: Option<Nanos>, now: Nanos) -> Vec<Nanos> {
        let last = last.unwrap_or_else(|| self.start(now));
        let mut due = self.passed(last, now);
        let is_on_time = |moment: &Nanos| now.saturating_sub(self.begins(*moment)) <= ON_TIME;
        match self.missed {
            Missed::All => due.into(),
            Missed::Last => due.pop_back().into_iter().collect(),
            Missed::None => due.pop_back().filter(is_on_time).into_iter().collect(),
        }
    }

    /// Where the schedule of a target that never ran begins to count.
    pub(super) fn start(&self, now: Nanos) -> Nanos {
        match &self.rhythm {
            Rhythm::Every(span) => now.saturating_sub(*span),
            _ => now.saturating_sub(ON_TIME),
        }
    }

    /// The last moment after `last` whose time has come, whether or not it is made up for.
    #[must_use]
    pub fn latest(&self, last: Nanos, now: Nanos) -> Option<Nanos> {
        self.passed(last, now).pop_back()
    }

    /// The moments after `last` whose time has come, oldest first; the latest of them, when they are many.
    fn passed(&self, last: Nanos, now: Nanos) -> VecDeque<Nanos> {
        let mut passed = VecDeque::new();
        let mut from = self.skipped(last, now);
        while let Some(moment) = self.next(from).filter(|moment| self.begins(*moment) <= now) {
            from = moment;
            passed.push_back(moment);
            if passed.len() > MOMENTS_MAX {
                passed.pop_front();
            }
        }
        passed
    }

    /// Where to begin to look for what is due: nothing that counts lies between `last` and it.
    fn skipped(&self, last: Nanos, now: Nanos) -> Nanos {
        let most = Nanos::try_from(MOMENTS_MAX).unwrap_or(Nanos::MAX);
        match &self.rhythm {
            // An interval stays aligned to the last run, however long nobody was there.
            Rhythm::Every(span) => {
                let passed = now.saturating_sub(last) / span;
                last.saturating_add((passed - most - 1).max(0).saturating_mul(*span))
            }
            // Looked for backwards, so that a year without anybody costs no half a million steps.
            Rhythm::Cron(cron, zone) => {
                let mut from = now;
                for _ in 0..=MOMENTS_MAX + 1 {
                    let Some(at) = zoned(from, zone) else { return last };
                    let before = cron.find_previous_occurrence(&at, false).ok().as_ref().and_then(nanos);
                    match before {
                        Some(before) if before > last && before < from => from = before,
                        _ => return last,
                    }
                }
                from
            }
            Rhythm::Never => last,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MINUTE: Nanos = 60_000_000_000;

    fn at(text: &str) -> Nanos {
        let moment: jiff::Timestamp = text.parse().unwrap();
        Nanos::try_from(moment.as_nanosecond()).unwrap()
    }

    fn shown(moment: Nanos) -> String {
        jiff::Timestamp::from_nanosecond(moment.into()).unwrap().to_string()
    }

    fn cron(fields: &str, timezone: &str, missed: Missed) -> Timetable {
        Timetable::new("notes", &Schedule::Cron(fields.to_owned()), timezone, missed, Duration::ZERO)
    }

    fn every(minutes: u64, missed: Missed) -> Timetable {
        let schedule = Schedule::Every(Duration::from_secs(minutes * 60));
        Timetable::new("notes", &schedule, "UTC", missed, Duration::ZERO)
    }

    /// The moments after `from` and up to `until`.
    fn moments(timetable: &Timetable, from: &str, until: &str) -> Vec<String> {
        let mut moment = at(from);
        std::iter::from_fn(|| {
            moment = timetable.next(moment).filter(|next| *next <= at(until))?;
            Some(shown(moment))
        })
        .collect()
    }

    #[test]
    fn the_clock_goes_forward_and_back_and_each_time_of_day_counts_once() {
        let table: [(&str, &str, &str, &[&str]); 8] = [
            // Half past two does not exist on that night: it is made up for at three, which is 01:00 UTC.
            (
                "30 2 * * *",
                "2026-03-28T12:00:00Z",
                "2026-03-30T12:00:00Z",
                &["2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"],
            ),
            // In autumn it comes twice, and counts once.
            (
                "30 2 * * *",
                "2026-10-24T12:00:00Z",
                "2026-10-26T12:00:00Z",
                &["2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"],
            ),
            // Whoever begins to look between the two does not see the second as another one.
            ("30 2 * * *", "2026-10-25T00:45:00Z", "2026-10-26T12:00:00Z", &["2026-10-26T01:30:00Z"]),
            // Hours that pass are hours that pass: no gap and nothing twice, on either night.
            (
                "0 * * * *",
                "2026-03-28T23:30:00Z",
                "2026-03-29T02:30:00Z",
                &["2026-03-29T00:00:00Z", "2026-03-29T01:00:00Z", "2026-03-29T02:00:00Z"],
            ),
            (
                "0 * * * *",
                "2026-10-24T23:30:00Z",
                "2026-10-25T02:30:00Z",
                &["2026-10-25T00:00:00Z", "2026-10-25T01:00:00Z", "2026-10-25T02:00:00Z"],
            ),
            ("0 3 * * *", "2026-03-28T12:00:00Z", "2026-03-29T12:00:00Z", &["2026-03-29T01:00:00Z"]),
            (
                "0 22 * * 5",
                "2026-03-26T00:00:00Z",
                "2026-04-04T00:00:00Z",
                &["2026-03-27T21:00:00Z", "2026-04-03T20:00:00Z"],
            ),
            (
                "0 0 29 2 *",
                "2026-01-01T00:00:00Z",
                "2032-12-31T00:00:00Z",
                &["2028-02-28T23:00:00Z", "2032-02-28T23:00:00Z"],
            ),
        ];
        for (fields, from, until, expected) in table {
            let timetable = cron(fields, "Europe/Berlin", Missed::All);
            assert_eq!(moments(&timetable, from, until), expected, "{fields} from {from}");
            // Whoever looks back finds the same.
            let due: Vec<String> = timetable.due(Some(at(from)), at(until)).into_iter().map(shown).collect();
            assert_eq!(due, expected, "{fields} due until {until}");
        }
    }

    #[test]
    fn what_was_missed_counts_as_it_is_said() {
        let (last, now) = (at("2026-11-02T02:00:00Z"), at("2026-11-05T09:00:00Z"));
        let days = |missed| cron("0 2 * * *", "UTC", missed).due(Some(last), now).into_iter().map(shown);
        assert_eq!(days(Missed::None).count(), 0);
        assert!(days(Missed::Last).eq(["2026-11-05T02:00:00Z"]));
        assert!(days(Missed::All).eq([
            "2026-11-03T02:00:00Z",
            "2026-11-04T02:00:00Z",
            "2026-11-05T02:00:00Z"
        ]));
        // What is on time was not missed.
        let punctual = cron("0 2 * * *", "UTC", Missed::None);
        let late =
            |seconds: Nanos| punctual.due(Some(last), at("2026-11-05T02:00:00Z") + seconds * 1_000_000_000);
        assert_eq!((late(-1).len(), late(0).len(), late(60).len(), late(61).len()), (0, 1, 1, 0));
        // Nobody has missed anything before the first time.
        assert!(cron("0 2 * * *", "UTC", Missed::All).due(None, now).is_empty());
        assert_eq!(every(15, Missed::None).due(None, now), [now]);
    }

    #[test]
    fn an_interval_stays_aligned_to_the_last_run() {
        let last = at("2026-11-02T02:07:00Z");
        let due = |missed, now| every(15, missed).due(Some(last), at(now)).into_iter().map(shown);
        assert_eq!(due(Missed::Last, "2026-11-02T02:21:59Z").count(), 0);
        assert!(due(Missed::Last, "2026-11-02T02:22:00Z").eq(["2026-11-02T02:22:00Z"]));
        assert!(due(Missed::Last, "2026-11-02T02:53:00Z").eq(["2026-11-02T02:52:00Z"]));
        assert!(due(Missed::All, "2026-11-02T02:53:00Z").eq([
            "2026-11-02T02:22:00Z",
            "2026-11-02T02:37:00Z",
            "2026-11-02T02:52:00Z"
        ]));
        let year = every(1, Missed::All).due(Some(last), at("2027-11-02T02:07:30Z"));
        assert_eq!(
            (year.len(), year.last().map(|last| shown(*last))),
            (MOMENTS_MAX, Some("2027-11-02T02:07:00Z".into()))
        );
        let year = cron("* * * * *", "UTC", Missed::All).due(Some(last), at("2027-11-02T02:07:30Z"));
        assert_eq!(
            (year.len(), year.last().map(|last| shown(*last))),
            (MOMENTS_MAX, Some("2027-11-02T02:07:00Z".into()))
        );
    }

    #[test]
    fn a_clock_that_was_put_back_makes_nothing_due_twice() {
        let last = at("2026-11-02T02:00:00Z");
        assert!(cron("0 2 * * *", "UTC", Missed::All).due(Some(last), at("2026-11-02T01:59:00Z")).is_empty());
        assert!(every(15, Missed::All).due(Some(last), at("2026-11-01T01:59:00Z")).is_empty());
    }

    #[test]
    fn jitter_follows_from_target_and_moment_and_stays_below_the_next_one() {
        let with = |target: &str, minutes: u64| {
            let schedule = Schedule::Cron("*/10 * * * *".to_owned());
            Timetable::new(target, &schedule, "UTC", Missed::Last, Duration::from_secs(minutes * 60))
        };
        let moment = at("2026-11-02T02:10:00Z");
        let delay = |target: &str, minutes: u64| with(target, minutes).begins(moment) - moment;
        assert_eq!(delay("notes", 5), delay("notes", 5));
        assert_ne!(delay("notes", 5), delay("photos", 5));
        assert_ne!(delay("notes", 5), with("notes", 5).begins(moment + 10 * MINUTE) - moment - 10 * MINUTE);
        let delays: Vec<Nanos> = (0..100).map(|number| delay(&format!("t{number}"), 60)).collect();
        assert!(delays.iter().all(|delay| (0..10 * MINUTE).contains(delay)), "{delays:?}");
        assert!(
            delays.iter().any(|delay| *delay > 5 * MINUTE) && delays.iter().any(|delay| *delay < 5 * MINUTE)
        );
        assert_eq!(delay("notes", 0), 0);
        // Not due before it begins.
        let (timetable, begins) = (with("notes", 5), with("notes", 5).begins(moment));
        assert!(timetable.due(Some(moment - 1), begins - 1).is_empty());
        assert_eq!(timetable.due(Some(moment - 1), begins), [moment]);
    }

    /// Schedules of every kind, in zones whose clocks change by an hour, by half an hour, and never.
    fn timetables() -> impl Strategy<Value = Timetable> {
        let fields = prop_oneof![
            (0..60u8, 0..24u8).prop_map(|(minute, hour)| format!("{minute} {hour} * * *")),
            (1..30u8).prop_map(|step| format!("*/{step} * * * *")),
            (0..60u8, 1..12u8).prop_map(|(minute, step)| format!("{minute} */{step} * * *")),
            Just("15,45 1-3 * * *".to_owned()),
        ];
        let cron = fields.prop_map(Schedule::Cron);
        let every = (1..180u64).prop_map(|minutes| Schedule::Every(Duration::from_secs(minutes * 60)));
        let zones = ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu"];
        let missed = [Missed::None, Missed::Last, Missed::All];
        let zone = prop::sample::select(zones.to_vec());
        (prop_oneof![cron, every], zone, prop::sample::select(missed.to_vec()), 0..900u64).prop_map(
            |(schedule, zone, missed, jitter)| {
                Timetable::new("notes", &schedule, zone, missed, Duration::from_secs(jitter))
            },
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

        /// A day of a process that looks every so often, over nights in which clocks change.
        #[test]
        fn in_a_day_no_moment_comes_twice_or_early_and_none_is_lost(
            timetable in timetables(),
            night in prop::sample::select(vec!["2026-03-28", "2026-10-24", "2026-04-04", "2026-10-31", "2026-06-01"]),
            start in 0..(24 * 60i64),
            look_every in 1..50i64,
        ) {
            let start = at(&format!("{night}T00:00:00Z")) + start * MINUTE;
            let end = start + 24 * 60 * MINUTE;
            let (mut last, mut now, mut begun) = (start, start, Vec::new());
            while now < end {
                for moment in timetable.due(Some(last), now) {
                    prop_assert!(moment > last, "{} after {}", shown(moment), shown(last));
                    prop_assert!(moment <= timetable.begins(moment) && timetable.begins(moment) <= now);
                    last = moment;
                    begun.push(moment);
                }
                let next = timetable.next(last);
                prop_assert!(next.is_none_or(|next| next > last));
                now += look_every * MINUTE;
            }
            if timetable.missed == Missed::All {
                let mut expected = Vec::new();
                let mut moment = start;
                while let Some(next) = timetable.next(moment).filter(|next| timetable.begins(*next) <= now - look_every * MINUTE) {
                    expected.push(next);
                    moment = next;
                }
                prop_assert_eq!(begun, expected);
            }
        }
    }
}
