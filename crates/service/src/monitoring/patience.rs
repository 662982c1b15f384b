//! How long without success a target may be, from its schedule.

use std::collections::BTreeMap;
use std::time::Duration;

use syncline_config::Target;
use syncline_core::Nanos;
use syncline_engine::scheduler::Timetable;

/// Even one that runs every second is not told of before so long.
const LEAST: Duration = Duration::from_secs(60);

/// What is known of how long each target may be without success.
pub(super) struct Patience {
    /// Where the file says it for all of them.
    said: Option<Duration>,
    waited: BTreeMap<String, Waited>,
}

/// Since when something is expected of a target.
struct Waited {
    /// Its last success, by which another one is told from it.
    agreed: Option<Nanos>,
    from: Nanos,
    /// How long it may take; what a schedule says of it is asked once.
    at_most: Option<Option<Duration>>,
}

impl Patience {
    pub(super) const fn new(said: Option<Duration>) -> Self {
        Self { said, waited: BTreeMap::new() }
    }

    /// How long without success a target may be; `None` where that is no sign of trouble. `agreed` is its last success.
    pub(super) fn with(
        &mut self,
        target: &Target,
        paused: bool,
        agreed: Option<Nanos>,
        now: Nanos,
    ) -> Option<Duration> {
        let fresh = |from| Waited { agreed, from, at_most: None };
        if !self.waited.contains_key(&target.name) {
            self.waited.insert(target.name.clone(), fresh(agreed.unwrap_or(now)));
        }
        let waited = self.waited.get_mut(&target.name)?;
        if paused {
            *waited = fresh(now);
            return None;
        }
        if waited.agreed != agreed {
            *waited = fresh(agreed.unwrap_or(now));
        }
        let from = waited.from;
        *waited.at_most.get_or_insert_with(|| at_most(target, self.said, from))
    }
}

/// How long after `from` a target may be without success: two runs of its schedule may fail to come, and the second one is
/// waited for by half the pause beside it, the shorter one. For a target that runs every so often, that is two and a half
/// of its intervals; one that rests at night or over a weekend is not waited for then.
fn at_most(target: &Target, said: Option<Duration>, from: Nanos) -> Option<Duration> {
    // A time at which it may not run by itself is no sign of trouble.
    let schedule = target.schedule.as_ref().filter(|_| target.windows.is_empty())?;
    if said.is_some() {
        return said;
    }
    let timetable = Timetable::new(&target.name, schedule, &target.timezone, target.missed, target.jitter);
    let first = timetable.next(from)?;
    let second = timetable.next(first)?;
    let before = second - first;
    let after = timetable.next(second).map_or(before, |third| third - second);
    let time = second - from + before.min(after) / 2;
    Some((Duration::from_nanos(u64::try_from(time).ok()?) + target.jitter).max(LEAST))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use syncline_config::{KindSchema, Role};

    use super::*;

    const MINUTE: Nanos = 60 * 1_000_000_000;
    const DAY: Nanos = 24 * 60 * MINUTE;
    /// Monday, 2 November 2026, 00:00 UTC.
    const MONDAY: Nanos = 1_793_577_600 * 1_000_000_000;

    fn target(triggers: &str) -> Target {
        let text = format!(
            "version: \"1.0\"\nnode: {{ name: here }}\ntargets:\n  main:\n    remote: {{ kind: folder }}\n    \
             {triggers}\n"
        );
        let schema = serde_json::json!({ "type": "object" });
        let kind = KindSchema { role: Role::Endpoint, name: "folder", summary: "A folder.", schema };
        let read = syncline_config::parse(&text, Path::new("syncline.yaml"), &BTreeMap::new(), &[kind]);
        read.unwrap().targets.remove(0)
    }

    fn minutes(target: &Target, from: Nanos) -> Option<i64> {
        at_most(target, None, from)
            .map(|time| i64::try_from(time.as_nanos()).unwrap() / (MINUTE / 2))
            .map(|halves| halves / 2)
    }

    #[test]
    fn as_long_as_the_runs_come_nothing_is_told_and_soon_when_they_do_not() {
        for (triggers, longest) in [
            ("schedule: every 5m", 13),
            ("schedule: \"0 * * * *\"", 150),
            ("schedule: \"*/5 9-17 * * 1-5\"", 64 * 60),
            ("schedule: \"0 3 * * 1-5\"", 4 * 24 * 60 + 12 * 60),
            ("schedule: \"0 0,12 * * *\"", 30 * 60),
            ("schedule: \"0 4 1 * *\"", 78 * 24 * 60),
        ] {
            let target = target(triggers);
            let (mut moment, end) = (MONDAY, MONDAY + 70 * DAY);
            let schedule = target.schedule.clone().unwrap();
            let timetable = Timetable::new("main", &schedule, "UTC", target.missed, target.jitter);
            while let Some(next) = timetable.next(moment).filter(|next| *next < end) {
                // A run takes its time.
                let agreed = moment + MINUTE / 6;
                let at_most = at_most(&target, None, agreed).unwrap();
                let until = agreed + i64::try_from(at_most.as_nanos()).unwrap();
                assert!(until > next + MINUTE, "{triggers}: it ran at {moment} and will at {next}");
                assert!(minutes(&target, agreed) <= Some(longest), "{triggers}: {:?}", at_most);
                moment = next;
            }
        }
    }

    #[test]
    fn nights_and_weekends_are_not_waited_for() {
        let target = target("schedule: \"*/5 9-17 * * 1-5\"");
        let at = |day: i64, hour: i64, minute: i64| MONDAY + day * DAY + (hour * 60 + minute) * MINUTE;
        // In the middle of a day, after its last run, and after the last one of the week.
        assert_eq!(minutes(&target, at(0, 10, 0)), Some(12));
        assert_eq!(minutes(&target, at(0, 17, 55)), Some(15 * 60 + 12));
        assert_eq!(minutes(&target, at(4, 17, 55)), Some((2 * 24 + 15) * 60 + 12));
        assert_eq!(minutes(&target, at(0, 17, 50)), Some(15 * 60 + 12));
    }

    #[test]
    fn time_counts_from_the_last_success_and_from_the_end_of_a_pause() {
        let target = target("schedule: \"*/5 9-17 * * *\"");
        let at = |hour: i64, minute: i64| MONDAY + (hour * 60 + minute) * MINUTE;
        let mut patience = Patience::new(None);
        let whole = |time: Option<Duration>| time.map(|time| time.as_secs() / 60);
        assert_eq!(whole(patience.with(&target, false, None, at(10, 0))), Some(12));
        assert_eq!(
            whole(patience.with(&target, false, None, at(17, 55))),
            Some(12),
            "since it was first seen"
        );
        let agreed = Some(at(17, 55));
        assert_eq!(whole(patience.with(&target, false, agreed, at(18, 0))), Some(15 * 60 + 12));
        assert_eq!(patience.with(&target, true, agreed, at(20, 0)), None);
        assert_eq!(whole(patience.with(&target, false, agreed, at(20, 1))), Some(13 * 60 + 7));
        assert_eq!(Patience::new(Some(LEAST)).with(&target, false, None, at(10, 0)), Some(LEAST));
    }
}
