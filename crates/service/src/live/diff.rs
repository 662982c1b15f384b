//! What happened between two looks.

use std::collections::{BTreeMap, BTreeSet};

use syncline_core::Nanos;
use syncline_store::{ConflictRecord, Onlooker, Overview, RecentEnd, RunState, TargetOverview, WatchRecord};

use super::feed::Feed;
use crate::problem::Result;
use crate::wire::{News, timestamp};

/// What was told already.
pub(super) struct Told {
    /// The place of the newest run.
    run: i64,
    /// The place of the newest conflict.
    conflict: i64,
    /// How many runs of each target ended, and how many conflicts were opened or settled.
    counts: BTreeMap<String, (u64, u64)>,
    open: BTreeSet<String>,
    paused: BTreeSet<String>,
    offline: BTreeSet<String>,
}

impl Told {
    /// Nothing that was before is news.
    pub(super) async fn at(onlooker: &mut Onlooker, now: Nanos) -> Result<Self> {
        let (run, conflict) = onlooker.newest().await?;
        let overview = onlooker.overview().await?;
        Ok(Self {
            run,
            conflict,
            counts: counts(&overview),
            open: overview.open_conflicts.keys().cloned().collect(),
            paused: paused(&overview, now),
            offline: BTreeSet::new(),
        })
    }

    /// Whether the same targets are paused at a moment as were when it was told last.
    pub(super) fn is_paused_alike(&self, overview: &Overview, now: Nanos) -> bool {
        let mut paused = 0;
        let all_known =
            overview.targets.iter().filter(|(_, known)| is_paused(known, now)).all(|(name, _)| {
                paused += 1;
                self.paused.contains(name)
            });
        all_known && paused == self.paused.len()
    }

    /// Tells what happened since, in the order in which it makes sense: begun, conflicts, ended, pauses.
    pub(super) async fn tell(
        &mut self,
        onlooker: &mut Onlooker,
        overview: &Overview,
        record: &WatchRecord,
        now: Nanos,
        feed: &Feed,
    ) -> Result<()> {
        self.runs_begun(onlooker, feed).await?;
        let counts = counts(overview);
        let of = |counts: &BTreeMap<String, (u64, u64)>, target: &str| {
            counts.get(target).copied().unwrap_or_default()
        };
        if counts.iter().any(|(target, (_, turns))| of(&self.counts, target).1 != *turns) {
            self.conflicts(onlooker, overview, feed).await?;
        }
        for (target, known) in &overview.targets {
            let new = known.totals.ends().saturating_sub(of(&self.counts, target).0);
            let recent = &known.totals.recent;
            let told = usize::try_from(new).map_or(0, |new| recent.len().saturating_sub(new));
            for end in recent.iter().skip(told) {
                feed.tell(ended(target, end));
            }
        }
        self.counts = counts;
        self.pauses(overview, now, feed);
        self.offline(record, feed);
        Ok(())
    }

    async fn runs_begun(&mut self, onlooker: &mut Onlooker, feed: &Feed) -> Result<()> {
        // When the newest runs were forgotten, their places are given again.
        self.run = self.run.min(onlooker.newest().await?.0);
        for (place, run) in onlooker.runs_after(self.run).await? {
            self.run = place;
            let start = run.start;
            feed.tell(News::RunStarted {
                target: start.target,
                run: start.id,
                direction: start.direction.into(),
                cause: start.cause,
                steps: start.steps,
            });
        }
        Ok(())
    }

    async fn conflicts(&mut self, onlooker: &mut Onlooker, overview: &Overview, feed: &Feed) -> Result<()> {
        let open: BTreeSet<String> = overview.open_conflicts.keys().cloned().collect();
        self.conflict = self.conflict.min(onlooker.newest().await?.1);
        let turned: BTreeSet<String> = self.open.symmetric_difference(&open).cloned().collect();
        let newest = onlooker.newest().await?.1;
        for record in onlooker.conflicts(self.conflict, &turned).await? {
            if !self.open.contains(&record.id) {
                feed.tell(opened(&record));
            }
            if record.resolved.is_some() {
                feed.tell(resolved(record));
            }
        }
        (self.conflict, self.open) = (newest, open);
        Ok(())
    }

    fn pauses(&mut self, overview: &Overview, now: Nanos, feed: &Feed) {
        let paused = paused(overview, now);
        for target in paused.difference(&self.paused) {
            if let Some(pause) = overview.targets.get(target).and_then(|known| known.pause.as_ref()) {
                let (reason, until) = (pause.reason.clone(), pause.until.map(timestamp));
                feed.tell(News::TargetPaused { target: target.clone(), reason, until });
            }
        }
        for target in self.paused.difference(&paused) {
            feed.tell(News::TargetResumed { target: target.clone() });
        }
        self.paused = paused;
    }

    fn offline(&mut self, record: &WatchRecord, feed: &Feed) {
        let away = record.targets.iter().filter_map(|target| Some((&target.name, target.away.as_ref()?)));
        let away: BTreeMap<&String, _> = away.collect();
        for (target, away) in &away {
            if !self.offline.contains(*target) {
                feed.tell(News::TargetOffline { target: (*target).clone(), reason: away.reason.clone() });
            }
        }
        for target in self.offline.iter().filter(|target| !away.contains_key(target)) {
            feed.tell(News::TargetOnline { target: target.clone() });
        }
        self.offline = away.into_keys().cloned().collect();
    }
}

fn counts(overview: &Overview) -> BTreeMap<String, (u64, u64)> {
    let counts = overview.targets.iter().map(|(target, known)| {
        let totals = &known.totals;
        (target.clone(), (totals.ends(), totals.conflicts_opened + totals.conflicts_resolved))
    });
    counts.collect()
}

fn paused(overview: &Overview, now: Nanos) -> BTreeSet<String> {
    let targets = overview.targets.iter().filter(|(_, known)| is_paused(known, now));
    targets.map(|(name, _)| name.clone()).collect()
}

fn is_paused(known: &TargetOverview, now: Nanos) -> bool {
    known.pause.as_ref().is_some_and(|pause| pause.is_on(now))
}

fn ended(target: &str, end: &RecentEnd) -> News {
    News::RunEnded {
        target: target.to_owned(),
        run: end.run.clone(),
        state: end.state.clone(),
        success: end.state == RunState::Succeeded.name(),
        message: end.message.clone(),
        steps: end.steps,
        bytes: end.bytes,
        duration: end.duration_ns.map(|ns| std::time::Duration::from_nanos(ns).as_millis()).map(in_seconds),
    }
}

#[expect(clippy::cast_precision_loss, reason = "milliseconds of a run are far below 2^52")]
fn in_seconds(milliseconds: u128) -> f64 {
    milliseconds as f64 / 1000.0
}

fn opened(record: &ConflictRecord) -> News {
    News::ConflictOpened {
        target: record.target.clone(),
        conflict: record.id.clone(),
        path: record.path.to_string(),
        kind: record.kind.clone(),
    }
}

fn resolved(record: ConflictRecord) -> News {
    News::ConflictResolved {
        target: record.target,
        conflict: record.id,
        path: record.path.to_string(),
        resolution: record.resolution,
    }
}
