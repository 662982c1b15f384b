//! Keeping to the schedules of targets: the loop that waits for what is due and runs it.

use std::time::Duration;

use syncline_core::Nanos;
use syncline_engine::scheduler::{Agenda, Due};
use tokio::sync::watch as signal;

/// The longest wait before the clock is looked at again: it may have been put forward, or the machine have slept.
const WAIT_MAX: Duration = Duration::from_secs(20);
/// The same where nothing has a time: only what others ask for is waited for.
const WAIT_FOR_OTHERS: Duration = Duration::from_secs(3600);
/// The shortest one, so that a clock that stands still costs nothing.
const WAIT_MIN: Duration = Duration::from_millis(1);

/// Where the loop plays: real time and real runs, or those of a test.
pub(crate) trait Stage {
    /// The time.
    fn now(&self) -> Nanos;
    /// Lets time pass, until somebody asks for a run at the latest; whether somebody does.
    async fn wait(&mut self, time: Duration) -> bool;
    /// Runs targets that are due, and what is asked for, to their end; `agenda` knows what comes after.
    async fn run(&mut self, due: &[Due], agenda: &Agenda);
}

/// Runs what is due or asked for whenever it is, until `stop` turns true; a run that is going on comes to its end first.
///
/// What is due at once runs together, so that targets go in their order. What becomes due meanwhile follows then.
pub(crate) async fn keep_to(mut agenda: Agenda, stage: &mut impl Stage, mut stop: signal::Receiver<bool>) {
    while !*stop.borrow() {
        let due = agenda.due(stage.now());
        if !due.is_empty() {
            stage.run(&due, &agenda).await;
            continue;
        }
        let left = agenda.next().map(|next| next.saturating_sub(stage.now()));
        let left = left.and_then(|left| u64::try_from(left).ok()).map(Duration::from_nanos);
        let time = left.map_or(WAIT_FOR_OTHERS, |left| left.clamp(WAIT_MIN, WAIT_MAX));
        tokio::select! {
            biased;
            // A sender that is gone counts as a stop.
            _ = stop.wait_for(|stop| *stop) => return,
            is_asked = stage.wait(time) => {
                if is_asked {
                    let due = agenda.due(stage.now());
                    stage.run(&due, &agenda).await;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use syncline_core::{Missed, Schedule};
    use syncline_engine::scheduler::Timetable;

    use super::*;

    const MINUTE: Nanos = 60_000_000_000;
    const DAY: Nanos = 24 * 60 * MINUTE;
    /// 2026-10-24T22:00:00Z: the day on which clocks in Berlin are put back is about to begin.
    const START: Nanos = 1_792_879_200_000_000_000;

    /// A day in which time passes only by waiting and by running.
    struct Day {
        now: Nanos,
        end: Nanos,
        run_takes: Nanos,
        ran: Vec<(Nanos, Vec<Due>)>,
        waits: usize,
        stop: signal::Sender<bool>,
    }

    impl Stage for Day {
        fn now(&self) -> Nanos {
            self.now
        }

        async fn wait(&mut self, time: Duration) -> bool {
            self.waits += 1;
            self.pass(Nanos::try_from(time.as_nanos()).unwrap());
            false
        }

        async fn run(&mut self, due: &[Due], _: &Agenda) {
            self.ran.push((self.now, due.to_vec()));
            self.pass(self.run_takes);
        }
    }

    impl Day {
        fn pass(&mut self, time: Nanos) {
            self.now += time;
            if self.now >= self.end {
                self.stop.send_replace(true);
            }
        }
    }

    fn timetable(target: &str, schedule: Schedule, missed: Missed) -> Timetable {
        Timetable::new(target, &schedule, "Europe/Berlin", missed, Duration::ZERO)
    }

    async fn day(timetables: Vec<Timetable>, run_takes: Nanos) -> Day {
        let (stop, stopped) = signal::channel(false);
        let agenda = Agenda::new(timetables.into_iter().map(|timetable| (timetable, Some(START))), START);
        let mut day =
            Day { now: START, end: START + DAY + MINUTE, run_takes, ran: Vec::new(), waits: 0, stop };
        keep_to(agenda, &mut day, stopped).await;
        day
    }

    fn counted(day: &Day) -> BTreeMap<&str, usize> {
        let mut counts = BTreeMap::new();
        for due in day.ran.iter().flat_map(|(_, due)| due) {
            *counts.entry(due.target.as_str()).or_default() += 1;
        }
        counts
    }

    #[tokio::test]
    async fn in_a_day_everything_runs_when_it_is_due_and_what_is_due_at_once_runs_together() {
        let timetables = vec![
            timetable("quarter", Schedule::Every(Duration::from_secs(900)), Missed::Last),
            timetable("hourly", Schedule::Cron("0 * * * *".to_owned()), Missed::Last),
            // It comes twice on this night, and counts once.
            timetable("nightly", Schedule::Cron("30 2 * * *".to_owned()), Missed::Last),
        ];
        let day = day(timetables, 1_000_000_000).await;
        assert_eq!(counted(&day), [("hourly", 24), ("nightly", 1), ("quarter", 96)].into());
        for (began, due) in &day.ran {
            assert!(due.iter().all(|due| (0..1_000_000).contains(&(began - due.moment))), "{began}: {due:?}");
        }
        assert_eq!(day.ran.len(), 96, "what is due at the same moment is one run");
        assert!(day.waits < 24 * 60 * 4, "{} waits", day.waits);
    }

    #[tokio::test]
    async fn runs_that_take_longer_than_their_rhythm_make_up_for_what_they_are_told_to() {
        let minutes = |target, missed| timetable(target, Schedule::Every(Duration::from_secs(60)), missed);
        let slow = day(vec![minutes("last", Missed::Last)], 90 * 1_000_000_000).await;
        let count = counted(&slow)["last"];
        assert!((955..=965).contains(&count), "one after the other, as many as there is time for: {count}");
        let all = day(vec![minutes("all", Missed::All)], 30 * 1_000_000_000).await;
        let moments: Vec<Nanos> = all.ran.iter().map(|(_, due)| due[0].moment).collect();
        assert!(moments.windows(2).all(|pair| pair[1] - pair[0] == MINUTE), "each moment once, in order");
    }

    #[tokio::test]
    async fn nothing_that_is_due_is_begun_after_the_stop() {
        let (stop, stopped) = signal::channel(true);
        let often = timetable("often", Schedule::Every(Duration::from_secs(60)), Missed::All);
        let mut day =
            Day { now: START, end: START, run_takes: 0, ran: Vec::new(), waits: 0, stop: stop.clone() };
        keep_to(Agenda::new([(often, None)], START), &mut day, stopped).await;
        assert!(day.ran.is_empty() && day.waits == 0);
    }
}
