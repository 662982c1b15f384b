//! What becomes of one alert: gathered, held back in quiet hours, acknowledged, not told again too soon.

use std::time::Duration;

use syncline_monitor::{Alerts, Limits, Look, Notice, Observed, Room, TargetSeen, outbox};
use syncline_store::AlertBook;

struct Watch {
    alerts: Alerts,
    wall: i64,
}

impl Watch {
    fn new() -> Self {
        Self { alerts: Alerts::new(AlertBook::default(), Limits::default()), wall: 0 }
    }

    /// Looks after `seconds`, with a memory that is full or not.
    fn after(&mut self, seconds: u64, full: bool, quiet: bool) -> Vec<Notice> {
        let passed = Duration::from_secs(seconds);
        self.wall += i64::try_from(passed.as_nanos()).unwrap();
        let memory = Some(Room { free: if full { 1 } else { 90 }, total: 100 });
        let observed = Observed { memory, ..Observed::default() };
        self.alerts.look(Look { passed, wall: self.wall, quiet, observed: &observed })
    }
}

#[test]
fn the_same_alert_is_not_told_again_too_soon_but_later() {
    let mut watch = Watch::new();
    assert_eq!(watch.after(1, true, false), []);
    assert_eq!(watch.after(30, true, false).len(), 1, "told after it was gathered");
    assert_eq!(watch.after(30, true, false), [], "told once");
    assert_eq!(watch.after(5, false, false), []);
    assert_eq!(watch.after(60, false, false).len(), 1, "over after a while of calm");
    assert_eq!(watch.after(5, true, false), []);
    assert_eq!(watch.after(60, true, false), [], "too soon");
    assert_eq!(watch.after(300, true, false).len(), 1, "late, and not lost");
}

#[test]
fn what_begins_and_ends_in_quiet_hours_is_told_in_the_morning() {
    let mut watch = Watch::new();
    for (full, times) in [(true, 100), (false, 100)] {
        for _ in 0..times {
            assert_eq!(watch.after(15, full, true), []);
        }
    }
    let morning = watch.after(15, false, false);
    assert_eq!(morning.len(), 1);
    assert!(morning[0].lines[0].cleared.is_some(), "{morning:?}");
    assert_eq!(watch.after(15, false, false), []);
}

#[test]
fn what_is_acknowledged_before_it_is_told_is_not_told() {
    let mut watch = Watch::new();
    watch.after(1, true, false);
    let id = watch.alerts.book.alerts[0].id;
    watch.alerts.acknowledge(id);
    assert_eq!(watch.after(600, true, false), []);
    watch.after(1, false, false);
    assert_eq!(watch.after(600, false, false), []);
    assert!(watch.alerts.book.alerts.is_empty());
}

fn channels() -> [String; 2] {
    ["team", "pager"].map(str::to_owned)
}

/// A book in which something new waits for both channels, and what that is.
fn posted() -> (AlertBook, Vec<Notice>) {
    let mut watch = Watch::new();
    watch.after(1, true, false);
    let notices = watch.after(30, true, false);
    let mut book = watch.alerts.book;
    assert_eq!(outbox::post(&mut book, &notices, &channels(), 0), []);
    (book, notices)
}

#[test]
fn a_delivery_that_fails_is_tried_later_and_later_and_one_channel_does_not_hold_up_another() {
    let (mut book, _) = posted();
    let book = &mut book;
    let due = outbox::due(book);
    assert_eq!(due.len(), 2);
    outbox::arrived(book, &due[1].id, None);
    let mut pauses = Vec::new();
    for _ in 0..9 {
        assert_eq!(outbox::failed(book, &due[0].id, "away", None, false), None);
        assert!(outbox::due(book).is_empty());
        pauses.push((book.deliveries[0].next - book.clock) / 1_000_000_000);
        book.clock = book.deliveries[0].next;
        assert_eq!(outbox::due(book).len(), 1);
    }
    assert_eq!(pauses, [10, 20, 40, 80, 160, 320, 640, 900, 900]);
}

#[test]
fn what_is_new_is_a_reason_to_try_again_unless_the_receiver_has_said_when() {
    let (mut book, notices) = posted();
    let book = &mut book;
    for (delivery, asked) in outbox::due(book).iter().zip([false, true]) {
        let pause = Some(Duration::from_secs(600));
        assert_eq!(outbox::failed(book, &delivery.id, "refused", pause, asked), None);
    }
    assert_eq!(outbox::due(book), []);
    assert_eq!(outbox::post(book, &notices, &channels(), 0), []);
    let due = outbox::due(book);
    assert_eq!(due.iter().map(|one| (one.channel.as_str(), one.tries)).collect::<Vec<_>>(), [("team", 1)]);
}

/// The rules that are told of a target that never succeeds, within 300 s: it fails or is away every 10 s, and people have
/// said that 30 s without success are too long.
fn told_of(limits: Limits, fails: bool, is_away: bool) -> Vec<String> {
    let mut alerts = Alerts::new(AlertBook::default(), limits);
    let mut told = Vec::new();
    for second in 0..300_u32 {
        let failures = if fails || is_away { second / 10 } else { 0 };
        let target = TargetSeen {
            name: "job".to_owned(),
            remote: "the remote of job".to_owned(),
            failures,
            failed: (failures > 0).then(|| "job.sh ended with exit code 3".to_owned()),
            away: (is_away && failures > 0).then(|| ("no answer".to_owned(), failures)),
            stale_after: Some(Duration::from_secs(30)),
            stale_is_said: true,
            ..TargetSeen::default()
        };
        let observed = Observed { targets: Some(vec![target]), ..Observed::default() };
        let wall = i64::from(second) * 1_000_000_000;
        let notices =
            alerts.look(Look { passed: Duration::from_secs(1), wall, quiet: false, observed: &observed });
        told.extend(notices.into_iter().flat_map(|notice| notice.lines).map(|line| line.rule));
    }
    told
}

#[test]
fn the_time_that_people_have_said_counts_for_what_fails_and_one_outage_is_one_message() {
    let limits =
        |failures, gather| Limits { failures, gather: Duration::from_secs(gather), ..Limits::default() };
    for (failures, fails, is_away, expected) in [
        // Runs that do not come, that fail, and whose remote is away, before any of that is too often.
        (1000, false, false, "stale"),
        (1000, true, false, "stale"),
        (1000, false, true, "unreachable"),
        // Too often only after it was told, and before that.
        (6, true, false, "stale"),
        (6, false, true, "unreachable"),
        (2, true, false, "failing"),
        (2, false, true, "unreachable"),
    ] {
        for gather in [1, 30] {
            let told = told_of(limits(failures, gather), fails, is_away);
            assert_eq!(
                told,
                [expected],
                "{failures} failures, fails: {fails}, away: {is_away}, gather: {gather}"
            );
        }
    }
}
