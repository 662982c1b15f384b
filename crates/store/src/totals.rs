//! Totals: how often each target ran, how that ended, and how long it took, counted for as long as the state exists.
//!
//! They outlive the runs that they count, which are forgotten after a while, and count also what leaves no record: a run
//! that found nothing to do, or that could not be carried out. Nothing is decided by them. So a damaged row counts as
//! none, and what is counted for a run need not be durable when that run ends.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};
use sqlx::sqlite::SqliteRow;
use sqlx::{Row as _, SqliteConnection};
use syncline_core::Nanos;

use crate::database::begin;
use crate::error::{Error, Result};
use crate::news;
use crate::records::RunState;
use crate::seal::Seal;
use crate::store::Store;

/// The upper bounds of the classes into which runs are counted by how long they took, in milliseconds; one more class
/// holds what took longer.
pub const DURATION_BOUNDS_MS: [u64; 14] =
    [10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000, 60_000, 300_000, 1_800_000];
/// How many of the last ends of a target are remembered.
pub const RECENT_MAX: usize = 16;

/// How a run ended, also one that left no record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// When it began; `None` when that tells nothing about how long it took.
    pub started: Option<Nanos>,
    /// When it ended.
    pub finished: Nanos,
    /// How it ended.
    pub state: RunState,
    /// Its identifier, when it left a record.
    pub run: Option<String>,
    /// What happened, in one line.
    pub message: String,
    /// How many steps were done.
    pub steps: u64,
    /// Bytes of content transferred.
    pub bytes: u64,
    /// How many changes it left undone; `None` when it did not get to know.
    pub pending: Option<u64>,
}

/// The totals of a target.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Totals {
    /// How many runs ended, by [`RunState::ALL`].
    runs: [u64; RunState::ALL.len()],
    /// How many runs took how long, by [`DURATION_BOUNDS_MS`], each in one class.
    pub durations: [u64; DURATION_BOUNDS_MS.len() + 1],
    /// How long they took together, in nanoseconds.
    pub duration_ns: u64,
    /// How many steps were done.
    pub steps: u64,
    /// Bytes of content transferred.
    pub bytes: u64,
    /// How many conflicts were opened.
    pub conflicts_opened: u64,
    /// How many of them were settled.
    pub conflicts_resolved: u64,
    /// How many runs in a row failed, wholly or in part.
    pub failures_in_a_row: u64,
    /// How many changes wait, as far as the last run got to know.
    pub pending: u64,
    /// When the last run that did all that it was to do ended.
    pub last_success: Option<Nanos>,
    /// The last ends, the oldest first, at most [`RECENT_MAX`].
    pub recent: VecDeque<RecentEnd>,
}

/// An end that is remembered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecentEnd {
    /// When the run ended.
    pub finished: Nanos,
    /// How: one of the names of [`RunState`].
    pub state: String,
    /// Its identifier, when it left a record.
    pub run: Option<String>,
    /// What happened, in one line.
    pub message: String,
    /// How many steps were done.
    pub steps: u64,
    /// Bytes of content transferred.
    pub bytes: u64,
    /// How long it took, in nanoseconds, where that is known.
    pub duration_ns: Option<u64>,
}

impl Totals {
    /// How many runs ended like this.
    #[must_use]
    pub fn runs(&self, state: RunState) -> u64 {
        let index = RunState::ALL.iter().position(|known| *known == state);
        index.map_or(0, |index| self.runs[index])
    }

    /// How many runs ended.
    #[must_use]
    pub fn ends(&self) -> u64 {
        self.runs.iter().sum()
    }

    /// How many runs it is known of how long they took.
    #[must_use]
    pub fn timed(&self) -> u64 {
        self.durations.iter().sum()
    }

    /// Counts an end.
    fn count(&mut self, ended: &Ended) {
        if let Some(index) = RunState::ALL.iter().position(|known| *known == ended.state) {
            self.runs[index] += 1;
        }
        // A clock that was put back makes no run shorter than nothing.
        let took = ended.started.map(|started| u64::try_from(ended.finished - started).unwrap_or(0));
        if let Some(took) = took {
            let class = DURATION_BOUNDS_MS.iter().position(|bound| took <= bound * 1_000_000);
            self.durations[class.unwrap_or(DURATION_BOUNDS_MS.len())] += 1;
            self.duration_ns = self.duration_ns.saturating_add(took);
        }
        self.steps = self.steps.saturating_add(ended.steps);
        self.bytes = self.bytes.saturating_add(ended.bytes);
        self.pending = ended.pending.unwrap_or(self.pending);
        match ended.state {
            RunState::Succeeded => {
                self.failures_in_a_row = 0;
                self.last_success = Some(ended.finished);
            }
            RunState::Failed | RunState::Partial => self.failures_in_a_row += 1,
            RunState::Halted | RunState::Interrupted => {}
        }
        while self.recent.len() >= RECENT_MAX {
            self.recent.pop_front();
        }
        self.recent.push_back(RecentEnd {
            finished: ended.finished,
            state: ended.state.name().to_owned(),
            run: ended.run.clone(),
            message: ended.message.clone(),
            steps: ended.steps,
            bytes: ended.bytes,
            duration_ns: took,
        });
    }
}

/// Reads a row.
fn parse(target: &str, text: &str, stored: &[u8]) -> Result<Totals> {
    let seal = Seal::of("totals").text(target).text(text);
    seal.check(stored, &format!("the totals of the target {target:?}"))?;
    serde_json::from_str(text).map_err(|_| crate::codec::malformed())
}

/// Checks a row.
pub(crate) fn check(row: &SqliteRow) -> Result<()> {
    let (target, text, stored): (String, String, Vec<u8>) =
        (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
    parse(&target, &text, &stored).map(drop)
}

/// Reads a row; a damaged one is as good as none.
fn read(target: &str, text: &str, stored: &[u8]) -> Option<Totals> {
    match parse(target, text, stored) {
        Ok(totals) => Some(totals),
        Err(error) => {
            tracing::warn!(%error, "it is counted anew");
            None
        }
    }
}

async fn load(connection: &mut SqliteConnection, target: &str) -> Result<Totals> {
    const SELECT: &str = "SELECT counts, seal FROM totals WHERE target = ?1";
    let row: Option<(String, Vec<u8>)> =
        sqlx::query_as(SELECT).bind(target).fetch_optional(connection).await?;
    Ok(row.and_then(|(text, seal)| read(target, &text, &seal)).unwrap_or_default())
}

/// The totals of every target that ever ran.
pub(crate) async fn load_all(connection: &mut SqliteConnection) -> Result<BTreeMap<String, Totals>> {
    const SELECT: &str = "SELECT target, counts, seal FROM totals";
    let rows: Vec<(String, String, Vec<u8>)> = sqlx::query_as(SELECT).fetch_all(connection).await?;
    let read = |(target, text, seal): (String, String, Vec<u8>)| {
        let totals = read(&target, &text, &seal)?;
        Some((target, totals))
    };
    Ok(rows.into_iter().filter_map(read).collect())
}

/// Changes the totals of a target, inside of a transaction.
pub(crate) async fn change(
    connection: &mut SqliteConnection,
    target: &str,
    change: impl FnOnce(&mut Totals),
) -> Result<()> {
    const UPSERT: &str = "INSERT INTO totals (target, counts, seal) VALUES (?1, ?2, ?3) \
         ON CONFLICT (target) DO UPDATE SET counts = excluded.counts, seal = excluded.seal";
    let mut totals = load(connection, target).await?;
    change(&mut totals);
    let text = serde_json::to_string(&totals)
        .map_err(|error| Error::damaged(format!("the totals of the target {target:?}: {error}")))?;
    let seal = Seal::of("totals").text(target).text(&text).finish();
    sqlx::query(UPSERT).bind(target).bind(text).bind(seal).execute(connection).await?;
    Ok(())
}

impl Store {
    /// Counts how runs of a target ended, and tells it as news. A power loss may take the last counts back, and the news of
    /// runs that left no record.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn count(&self, target: &str, ends: &[Ended]) -> Result<()> {
        let mut connection = self.database().counter().await?;
        let mut transaction = begin(&mut connection).await?;
        let mut before = None;
        let count = |totals: &mut Totals| {
            before = totals.recent.back().cloned();
            ends.iter().for_each(|end| totals.count(end));
        };
        change(&mut transaction, target, count).await?;
        news::tell_ends(&mut transaction, target, ends, before.as_ref()).await?;
        Ok(transaction.commit().await?)
    }

    /// The totals of a target; nothing is counted for one that never ran.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn totals(&self, target: &str) -> Result<Totals> {
        let mut connection = self.database().reader().await?;
        load(&mut connection, target).await
    }
}
