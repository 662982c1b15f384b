//! What is due next, over all targets of a workspace.

use std::collections::VecDeque;

use syncline_core::Nanos;

use super::timetable::{MOMENTS_MAX, Timetable};

/// A moment that was seen to and lies this much ahead was told by a clock that was wrong.
const AHEAD_MAX: Nanos = 3_600_000_000_000;

/// The schedules of all targets, and up to where each was seen to.
///
/// A run takes its time; what becomes due meanwhile waits here, one moment after the other.
#[derive(Clone, Debug, Default)]
pub struct Agenda {
    entries: Vec<Entry>,
}

#[derive(Clone, Debug)]
struct Entry {
    timetable: Timetable,
    /// The last moment that was looked at, or from which the schedule counts.
    seen: Nanos,
    /// Moments whose runs have still to begin, oldest first.
    waiting: VecDeque<Nanos>,
}

/// A target that is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Due {
    /// The target.
    pub target: String,
    /// The moment of its schedule.
    pub moment: Nanos,
}

impl Agenda {
    /// The agenda of these timetables at `now`, each with the last moment that was seen to, if any ever was.
    ///
    /// A moment that lies far ahead of `now` was told by a clock that was wrong: then the schedule counts from `now`, or
    /// nothing would run until that clock is right.
    #[must_use]
    pub fn new(timetables: impl IntoIterator<Item = (Timetable, Option<Nanos>)>, now: Nanos) -> Self {
        let entries = timetables.into_iter().map(|(timetable, last)| {
            let seen = last.map_or_else(|| timetable.start(now), |last| believed(last, now));
            Entry { timetable, seen, waiting: VecDeque::new() }
        });
        Self { entries: entries.collect() }
    }

    /// The targets whose runs are to begin now, each once and with its oldest moment, in the order in which they were
    /// given.
    #[must_use]
    pub fn due(&mut self, now: Nanos) -> Vec<Due> {
        let due = self.entries.iter_mut().filter_map(|entry| {
            let moment = entry.look(now)?;
            Some(Due { target: entry.timetable.target().to_owned(), moment })
        });
        due.collect()
    }

    /// When the next run begins; `None` when there is none any more.
    #[must_use]
    pub fn next(&self) -> Option<Nanos> {
        self.entries.iter().filter_map(Entry::next).min()
    }

    /// When the next run of a target begins.
    #[must_use]
    pub fn next_of(&self, target: &str) -> Option<Nanos> {
        self.entries.iter().find(|entry| entry.timetable.target() == target)?.next()
    }

    /// Up to where the schedule of each target was seen to: what waits has still to be.
    pub fn seen_to(&self) -> impl Iterator<Item = (&str, Nanos)> {
        self.entries.iter().map(|entry| {
            let seen = entry.waiting.front().map_or(entry.seen, |first| first.saturating_sub(1));
            (entry.timetable.target(), seen)
        })
    }
}

impl Entry {
    /// Looks at what has become due, and takes the oldest of it.
    fn look(&mut self, now: Nanos) -> Option<Nanos> {
        self.seen = believed(self.seen, now);
        self.waiting.extend(self.timetable.due(Some(self.seen), now));
        // What is not made up for was seen to as well.
        self.seen = self.timetable.latest(self.seen, now).unwrap_or(self.seen);
        while self.waiting.len() > MOMENTS_MAX {
            self.waiting.pop_front();
        }
        self.waiting.pop_front()
    }

    fn next(&self) -> Option<Nanos> {
        let waiting = self.waiting.front().copied();
        waiting.or_else(|| self.timetable.next(self.seen).map(|moment| self.timetable.begins(moment)))
    }
}

fn believed(seen: Nanos, now: Nanos) -> Nanos {
    if seen.saturating_sub(now) > AHEAD_MAX { now } else { seen }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use syncline_core::{Missed, Schedule};

    use super::*;

    const SECOND: Nanos = 1_000_000_000;
    const MINUTE: Nanos = 60 * SECOND;
    const DAY: Nanos = 24 * 60 * MINUTE;
    /// 2026-11-02T00:00:00Z.
    const MIDNIGHT: Nanos = 1_793_577_600 * SECOND;

    fn every(target: &str, minutes: u64, missed: Missed) -> Timetable {
        let schedule = Schedule::Every(Duration::from_secs(minutes * 60));
        Timetable::new(target, &schedule, "UTC", missed, Duration::ZERO)
    }

    fn daily(missed: Missed) -> Timetable {
        Timetable::new("notes", &Schedule::Cron("0 2 * * *".to_owned()), "UTC", missed, Duration::ZERO)
    }

    fn due(agenda: &mut Agenda, now: Nanos) -> Vec<(String, Nanos)> {
        agenda.due(now).into_iter().map(|due| (due.target, (due.moment - MIDNIGHT) / MINUTE)).collect()
    }

    #[test]
    fn each_target_is_due_once_at_a_time_and_what_waits_comes_in_its_order() {
        let last = Some(MIDNIGHT);
        let timetables = [
            (every("all", 10, Missed::All), last),
            (every("last", 10, Missed::Last), last),
            (daily(Missed::All), last),
        ];
        let mut agenda = Agenda::new(timetables, MIDNIGHT);
        assert_eq!(agenda.next(), Some(MIDNIGHT + 10 * MINUTE));
        assert_eq!(agenda.next_of("notes"), Some(MIDNIGHT + 120 * MINUTE));
        assert!(due(&mut agenda, MIDNIGHT + 10 * MINUTE - 1).is_empty());
        // A run took half an hour: of one everything is made up for, of the other the last.
        let now = MIDNIGHT + 31 * MINUTE;
        assert_eq!(due(&mut agenda, now), [("all".into(), 10), ("last".into(), 30)]);
        assert!(agenda.next().is_some_and(|next| next <= now), "the rest is due at once");
        let seen: Vec<_> = agenda.seen_to().map(|(_, seen)| (seen + 1 - MIDNIGHT) / MINUTE).collect();
        assert_eq!(seen, [20, 30, 0], "whoever is killed now still owes the second moment");
        assert_eq!(due(&mut agenda, now), [("all".into(), 20)]);
        assert_eq!(due(&mut agenda, now), [("all".into(), 30)]);
        assert!(due(&mut agenda, now).is_empty());
        assert_eq!(agenda.next(), Some(MIDNIGHT + 40 * MINUTE));
    }

    #[test]
    fn what_is_not_made_up_for_is_not_waited_for_either() {
        let mut agenda = Agenda::new([(daily(Missed::None), Some(MIDNIGHT - DAY))], MIDNIGHT + 180 * MINUTE);
        assert!(due(&mut agenda, MIDNIGHT + 180 * MINUTE).is_empty());
        assert_eq!(agenda.next(), Some(MIDNIGHT + DAY + 120 * MINUTE), "no moment of the past");
        // Asleep over the moment, and woken hours later.
        assert!(due(&mut agenda, MIDNIGHT + DAY + 300 * MINUTE).is_empty());
        assert_eq!(agenda.next(), Some(MIDNIGHT + 2 * DAY + 120 * MINUTE));
    }

    #[test]
    fn a_target_that_never_ran_begins_with_an_interval_and_waits_for_a_time_of_day() {
        let fresh = [(every("often", 10, Missed::All), None), (daily(Missed::All), None)];
        let mut agenda = Agenda::new(fresh, MIDNIGHT);
        assert_eq!(due(&mut agenda, MIDNIGHT), [("often".into(), 0)]);
        assert_eq!(agenda.next_of("notes"), Some(MIDNIGHT + 120 * MINUTE));
        assert_eq!(agenda.seen_to().map(|(_, seen)| seen).collect::<Vec<_>>(), [MIDNIGHT, MIDNIGHT - MINUTE]);
    }

    #[test]
    fn a_clock_that_jumps_brings_neither_a_storm_nor_silence() {
        let mut agenda = Agenda::new([(every("notes", 10, Missed::Last), Some(MIDNIGHT))], MIDNIGHT);
        // Ten years ahead, and back again.
        assert_eq!(due(&mut agenda, MIDNIGHT + 3650 * DAY).len(), 1);
        assert!(due(&mut agenda, MIDNIGHT + 3650 * DAY).is_empty());
        assert!(due(&mut agenda, MIDNIGHT).is_empty());
        assert_eq!(due(&mut agenda, MIDNIGHT + 10 * MINUTE), [("notes".into(), 10)]);
        // A few minutes back make nothing due twice.
        assert!(due(&mut agenda, MIDNIGHT + 5 * MINUTE).is_empty());
        assert!(due(&mut agenda, MIDNIGHT + 15 * MINUTE).is_empty());
        assert_eq!(due(&mut agenda, MIDNIGHT + 20 * MINUTE), [("notes".into(), 20)]);
        // What a wrong clock has written to disk is no reason to wait for ten years.
        let again = Agenda::new([(every("notes", 10, Missed::Last), Some(MIDNIGHT + 3650 * DAY))], MIDNIGHT);
        assert_eq!(again.next(), Some(MIDNIGHT + 10 * MINUTE));
    }
}
