//! What becomes of what is wrong over time: what is told, once, and what is not.
//!
//! - *Gathering*: an alert waits a moment for others, and they are told as one incident.
//! - *Inhibition*: what follows from something else that is wrong is not told; it is when it stays after that is over. Of
//!   two that follow from each other, the one that was wrong first is told.
//! - *Calm*: something counts as right only when it has been so for a while.
//! - *Cooldown*: the same alert is told again only after a while. It is late then, and not lost.
//! - *Quiet hours*: all but the critical waits until they are over, also what is right again by then.
//! - *Acknowledged*: what somebody knows of is not told to them any more, but that it is over.

use std::time::Duration;

use syncline_core::Nanos;
use syncline_store::{AlertBook, AlertRecord, IncidentRecord, Inhibited, LineRecord};

use crate::conditions::{Condition, Moment, Verdict, conditions, was_observed};
use crate::observed::Observed;
use crate::rule::{Limits, Rule};

/// The alerts of one who watches.
#[derive(Clone, Debug)]
pub struct Alerts {
    /// What is known of them; what outlives the process.
    pub book: AlertBook,
    limits: Limits,
}

/// A moment at which everything is looked at.
#[derive(Clone, Copy, Debug)]
pub struct Look<'a> {
    /// How much time has passed since the last one, by a clock that does not jump.
    pub passed: Duration,
    /// The wall clock, for people.
    pub wall: Nanos,
    /// Whether people are not to be disturbed.
    pub quiet: bool,
    /// What was observed.
    pub observed: &'a Observed,
}

/// An incident as it is to be told now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// Its number.
    pub incident: u64,
    /// Whether something of it was told before.
    pub again: bool,
    /// Its alerts, those that are over as well.
    pub lines: Vec<LineRecord>,
}

impl Alerts {
    /// Goes on from a book, or begins one.
    #[must_use]
    pub const fn new(book: AlertBook, limits: Limits) -> Self {
        Self { book, limits }
    }

    /// Takes in what is observed, and returns what is to be told.
    pub fn look(&mut self, look: Look<'_>) -> Vec<Notice> {
        self.book.clock = self.book.clock.saturating_add(nanos(look.passed));
        let now = Moment { clock: self.book.clock, wall: look.wall };
        let found = conditions(look.observed, now, &self.limits, &mut self.book.ages);
        for condition in &found {
            self.judge(condition, now);
        }
        self.forget_what_is_gone(&found, look.observed, now);
        self.inhibit(&found, now);
        let mut notices = self.tell_over(look.quiet);
        notices.extend(self.tell_new(look.quiet, now));
        self.tidy(now);
        notices
    }

    /// Notes that somebody knows of an alert.
    pub fn acknowledge(&mut self, id: u64) {
        if let Some(alert) = self.book.alerts.iter_mut().find(|alert| alert.id == id) {
            alert.acknowledged = true;
        }
    }

    fn judge(&mut self, condition: &Condition, now: Moment) {
        let known = self.book.alerts.iter_mut().find(|alert| is_of(alert, condition));
        match (condition.verdict, known) {
            (Verdict::Wrong, Some(alert)) => {
                alert.message.clone_from(&condition.message);
                alert.calm = None;
            }
            (Verdict::Wrong, None) => {
                let id = self.book.number();
                let tell_from = now.clock.saturating_add(nanos(self.limits.gather.max(condition.delay)));
                self.book.alerts.push(AlertRecord { tell_from, ..raised(id, condition, now) });
            }
            (Verdict::Well, Some(alert)) => calm_down(alert, &self.limits, now),
            (Verdict::Unsure, Some(alert)) => alert.calm = None,
            (Verdict::Well | Verdict::Unsure, None) => {}
        }
    }

    /// What a rule could look at and mentions no more is well: a target or a peer that was taken out of the file.
    fn forget_what_is_gone(&mut self, found: &[Condition], observed: &Observed, now: Moment) {
        for alert in &mut self.book.alerts {
            let observed = Rule::named(&alert.rule).is_none_or(|rule| was_observed(rule, observed));
            if observed && !found.iter().any(|condition| is_of(alert, condition)) {
                calm_down(alert, &self.limits, now);
            }
        }
    }

    /// Holds back what follows from something else, and for a while after that is over.
    fn inhibit(&mut self, found: &[Condition], now: Moment) {
        let open = self.book.alerts.iter().filter(|alert| alert.cleared.is_none());
        let wrong: Vec<(u64, String, String)> =
            open.map(|alert| (alert.id, alert.rule.clone(), alert.subject.clone())).collect();
        for alert in &mut self.book.alerts {
            let Some(condition) = found.iter().find(|condition| is_of(alert, condition)) else { continue };
            let is_wrong = |(rule, subject): &&(Rule, String)| {
                let is_it = |(_, name, of): &&(u64, String, String)| name == rule.name() && of == subject;
                let is_first = |id: u64| id < alert.id || !follows_from(found, (*rule, subject), condition);
                wrong.iter().find(is_it).is_some_and(|(id, ..)| is_first(*id))
            };
            if let Some((rule, subject)) = condition.follows.iter().find(is_wrong) {
                let until = now.clock.saturating_add(nanos(condition.grace));
                alert.inhibited = Some(Inhibited { by: key(rule.name(), subject), until });
            }
        }
    }

    /// Tells what is over of what was told.
    fn tell_over(&mut self, quiet: bool) -> Vec<Notice> {
        let mut changed = Vec::new();
        self.book.alerts.retain(|alert| {
            let (Some(cleared), Some(incident)) = (alert.cleared, alert.incident) else { return true };
            if quiet && !alert.critical {
                return true;
            }
            changed.push((incident, alert.id, cleared));
            false
        });
        let mut notices: Vec<Notice> = Vec::new();
        for incident in &mut self.book.incidents {
            let over: Vec<_> = changed.iter().filter(|(id, ..)| *id == incident.id).collect();
            for (_, id, cleared) in &over {
                if let Some(line) = incident.lines.iter_mut().find(|line| line.alert == *id) {
                    line.cleared = Some(*cleared);
                }
            }
            if !over.is_empty() {
                notices.push(Notice { incident: incident.id, again: true, lines: incident.lines.clone() });
            }
        }
        self.book.incidents.retain(|incident| incident.lines.iter().any(|line| line.cleared.is_none()));
        notices
    }

    /// Tells what is new, all of it as one incident.
    fn tell_new(&mut self, quiet: bool, now: Moment) -> Option<Notice> {
        let cooldown = nanos(self.limits.cooldown);
        let mut due = Vec::new();
        for (index, alert) in self.book.alerts.iter_mut().enumerate() {
            if alert.incident.is_some() || alert.acknowledged {
                continue;
            }
            let key = key(&alert.rule, &alert.subject);
            let told = self.book.cooling.get(&key).filter(|_| !alert.held);
            let is_cooling = told.is_some_and(|told| now.clock < told.saturating_add(cooldown));
            let is_inhibited = alert.inhibited.as_ref().is_some_and(|inhibited| now.clock < inhibited.until);
            let is_gathering = now.clock < alert.tell_from;
            if is_cooling || is_inhibited || is_gathering {
                continue;
            }
            if quiet && !alert.critical {
                if !alert.held {
                    self.book.cooling.insert(key, now.clock);
                }
                alert.held = true;
            } else if alert.cleared.is_none() || alert.held {
                due.push(index);
            }
        }
        if due.is_empty() {
            return None;
        }
        let incident = self.book.number();
        let mut lines = Vec::new();
        for index in due {
            let alert = &mut self.book.alerts[index];
            alert.incident = Some(incident);
            self.book.cooling.insert(key(&alert.rule, &alert.subject), now.clock);
            lines.push(line(alert));
        }
        // What is over already was told with this.
        self.book.alerts.retain(|alert| alert.incident != Some(incident) || alert.cleared.is_none());
        if lines.iter().any(|line| line.cleared.is_none()) {
            self.book.incidents.push(IncidentRecord { id: incident, lines: lines.clone() });
        }
        Some(Notice { incident, again: false, lines })
    }

    /// Forgets what is over and was never to be told, and cooldowns that have passed.
    fn tidy(&mut self, now: Moment) {
        let cooldown = nanos(self.limits.cooldown);
        self.book.cooling.retain(|_, told| now.clock < told.saturating_add(cooldown));
        let is_to_be_told =
            |alert: &AlertRecord| alert.incident.is_some() || alert.held && !alert.acknowledged;
        self.book.alerts.retain(|alert| alert.cleared.is_none() || is_to_be_told(alert));
    }
}

fn is_of(alert: &AlertRecord, condition: &Condition) -> bool {
    // What is over and has still to be told stays as it was: the same trouble is another alert then.
    alert.cleared.is_none() && alert.rule == condition.rule.name() && alert.subject == condition.subject
}

/// Whether something, by its rule and subject, follows from `cause`.
fn follows_from(found: &[Condition], (rule, subject): (Rule, &str), cause: &Condition) -> bool {
    let is_it = |condition: &&Condition| condition.rule == rule && condition.subject == subject;
    let is_cause = |(rule, subject): &(Rule, String)| *rule == cause.rule && *subject == cause.subject;
    found.iter().find(is_it).is_some_and(|condition| condition.follows.iter().any(is_cause))
}

fn key(rule: &str, subject: &str) -> String {
    format!("{rule} {subject}")
}

/// Notes that an alert seems to be over, and that it is when it has seemed so for long enough.
fn calm_down(alert: &mut AlertRecord, limits: &Limits, now: Moment) {
    let since = *alert.calm.get_or_insert(now.clock);
    if alert.cleared.is_none() && now.clock >= since.saturating_add(nanos(limits.calm)) {
        alert.cleared = Some(now.wall);
    }
}

fn raised(id: u64, condition: &Condition, now: Moment) -> AlertRecord {
    AlertRecord {
        id,
        rule: condition.rule.name().to_owned(),
        subject: condition.subject.clone(),
        critical: condition.rule.is_critical(),
        message: condition.message.clone(),
        since: now.wall,
        tell_from: now.clock,
        calm: None,
        cleared: None,
        incident: None,
        inhibited: None,
        held: false,
        acknowledged: false,
    }
}

fn line(alert: &AlertRecord) -> LineRecord {
    LineRecord {
        alert: alert.id,
        rule: alert.rule.clone(),
        subject: alert.subject.clone(),
        critical: alert.critical,
        message: alert.message.clone(),
        since: alert.since,
        cleared: alert.cleared,
    }
}

pub(crate) fn nanos(time: Duration) -> Nanos {
    Nanos::try_from(time.as_nanos()).unwrap_or(Nanos::MAX)
}
