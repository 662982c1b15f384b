//! News: what happened, for programs elsewhere that want to be told, in the order in which it happened.
//!
//! A piece of news is written in the transaction that makes it true, by whichever process that is, as long as there is a
//! subscriber. It is forgotten when every subscriber has gone by it. A run has ended only when the checks after it have been
//! made, so between the two it is *untold*: whoever finds it so after a kill tells it as far as it is known.

use serde::{Deserialize, Serialize};
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};
use syncline_core::Nanos;

use crate::database::begin;
use crate::error::{Error, Result};
use crate::records::{Pause, RunState};
use crate::runs::RunRow;
use crate::seal::Seal;
use crate::store::Store;
use crate::totals::{Ended, RecentEnd};

/// Most pieces of news that are kept while nobody hands them on; of more, the oldest are forgotten.
pub const NEWS_MAX: i64 = 10_000;

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewsRecord {
    /// Its place in the order of all news.
    pub seq: i64,
    /// When it happened.
    pub at: Nanos,
    /// The target that it is about.
    pub target: String,
    /// What happened.
    pub happening: Happening,
}

/// What can happen to a target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Happening {
    /// A run ended that did something, or not all that it was to do, or otherwise than the one before it.
    RunEnded {
        /// The run, when it left a record.
        run: Option<String>,
        /// How: one of the names of [`RunState`].
        state: String,
        /// What happened, in one line.
        message: String,
        /// How many steps were done.
        steps: u64,
        /// Bytes of content transferred.
        bytes: u64,
        /// How long it took, in nanoseconds, where that is known.
        duration_ns: Option<u64>,
    },
    /// A conflict waits for a decision.
    ConflictOpened {
        /// The conflict.
        conflict: String,
        /// Its path.
        path: String,
        /// Its kind.
        what: String,
    },
    /// A conflict was settled.
    ConflictResolved {
        /// The conflict.
        conflict: String,
        /// Its path.
        path: String,
        /// How.
        resolution: Option<String>,
    },
    /// Somebody paused the target.
    Paused {
        /// Why.
        reason: String,
        /// When that ends by itself.
        until: Option<Nanos>,
    },
    /// Somebody ended the pause of the target.
    Resumed,
}

impl From<&Pause> for Happening {
    fn from(pause: &Pause) -> Self {
        Self::Paused { reason: pause.reason.clone(), until: pause.until }
    }
}

impl From<&Ended> for Happening {
    fn from(ended: &Ended) -> Self {
        Self::RunEnded {
            run: ended.run.clone(),
            state: ended.state.name().to_owned(),
            message: ended.message.clone(),
            steps: ended.steps,
            bytes: ended.bytes,
            duration_ns: ended.started.map(|started| duration(started, ended.finished)),
        }
    }
}

/// A clock that was put back makes no run shorter than nothing.
fn duration(started: Nanos, finished: Nanos) -> u64 {
    u64::try_from(finished.saturating_sub(started)).unwrap_or(0)
}

fn seal(at: Nanos, target: &str, text: &str) -> Seal {
    Seal::of("news").number(at).text(target).text(text)
}

impl NewsRecord {
    /// Reads a row of all columns, as they stand in its table.
    pub(crate) fn read(row: &SqliteRow) -> Result<Self> {
        let (seq, at): (i64, Nanos) = (row.try_get(0)?, row.try_get(1)?);
        let (target, text): (String, String) = (row.try_get(2)?, row.try_get(3)?);
        let stored: Vec<u8> = row.try_get(4)?;
        seal(at, &target, &text).check(&stored, "a piece of news")?;
        let happening = serde_json::from_str(&text).map_err(|_| crate::codec::malformed())?;
        Ok(Self { seq, at, target, happening })
    }

    /// At most `limit` pieces of news behind a place, the oldest first; what is damaged is left out. And the place of the
    /// last one that was looked at.
    pub(crate) async fn after(
        connection: &mut SqliteConnection,
        after: i64,
        limit: i64,
    ) -> Result<(Vec<Self>, Option<i64>)> {
        const SELECT: &str =
            "SELECT seq, at, target, happening, seal FROM news WHERE seq > ?1 ORDER BY seq LIMIT ?2";
        let rows = sqlx::query(SELECT).bind(after).bind(limit).fetch_all(connection).await?;
        let last = rows.last().map(|row| row.try_get(0)).transpose()?;
        let read = |row: &SqliteRow| {
            Self::read(row).inspect_err(|error| tracing::warn!(%error, "it is told to nobody")).ok()
        };
        Ok((rows.iter().filter_map(read).collect(), last))
    }
}

/// Whether there is anybody to whom news matters.
async fn is_listened_to(connection: &mut SqliteConnection) -> Result<bool> {
    const SELECT: &str = "SELECT EXISTS (SELECT 1 FROM subscribers)";
    Ok(sqlx::query_scalar(SELECT).fetch_one(connection).await?)
}

/// Writes down what happened, as part of the transaction that makes it so.
pub(crate) async fn tell(
    connection: &mut SqliteConnection,
    target: &str,
    at: Nanos,
    happening: &Happening,
) -> Result<()> {
    const INSERT: &str = "INSERT INTO news (at, target, happening, seal) VALUES (?1, ?2, ?3, ?4)";
    const FORGET: &str = "DELETE FROM news WHERE seq <= (SELECT max(seq) FROM news) - ?1";
    if !is_listened_to(connection).await? {
        return Ok(());
    }
    let text = serde_json::to_string(happening)
        .map_err(|error| Error::damaged(format!("a piece of news of the target {target:?}: {error}")))?;
    let seal = seal(at, target, &text).finish();
    sqlx::query(INSERT).bind(at).bind(target).bind(text).bind(seal).execute(&mut *connection).await?;
    sqlx::query(FORGET).bind(NEWS_MAX).execute(connection).await?;
    Ok(())
}

/// Remembers a run whose end is recorded and still to be told, as part of the transaction that records it.
pub(crate) async fn note_untold(connection: &mut SqliteConnection, run: &str) -> Result<()> {
    const INSERT: &str =
        "INSERT OR IGNORE INTO untold (run) SELECT ?1 WHERE EXISTS (SELECT 1 FROM subscribers)";
    sqlx::query(INSERT).bind(run).execute(connection).await?;
    Ok(())
}

/// Tells how runs of a target ended, the last one of which before them is `before`.
pub(crate) async fn tell_ends(
    connection: &mut SqliteConnection,
    target: &str,
    ends: &[Ended],
    before: Option<&RecentEnd>,
) -> Result<()> {
    if !is_listened_to(connection).await? {
        return Ok(());
    }
    // What a failed check had taken back was a run of its own, and is part of what is told of the first one. Untold runs
    // from before are those of a process that was killed.
    let began = ends.iter().filter_map(|ended| ended.started).min();
    let told: Vec<&str> = ends.iter().filter_map(|ended| ended.run.as_deref()).collect();
    for run in untold(connection, Some(target)).await? {
        let is_part = began.is_some_and(|began| began <= run.start.started);
        if !is_part && !told.contains(&run.start.id.as_str()) {
            tell_of(connection, &run).await?;
        }
        forget(connection, &run).await?;
    }
    let mut before = before.map(|before| (before.state.as_str(), before.message.as_str()));
    for ended in ends {
        if is_news(ended, before) {
            tell(connection, target, ended.finished, &Happening::from(ended)).await?;
        }
        before = Some((ended.state.name(), &ended.message));
    }
    Ok(())
}

/// Whether the end of a run is news, after one that ended in `before`, a state and a message. One that had nothing to do is
/// none, nor is one that did nothing and came to what the one before it came to, such as the conflict that still waits for
/// people. Each failure is: when they stop is known by that.
fn is_news(ended: &Ended, before: Option<(&str, &str)>) -> bool {
    let is_idle = ended.run.is_none() && ended.state == RunState::Succeeded;
    let is_as_before = ended.steps == 0
        && ended.state != RunState::Failed
        && before == Some((ended.state.name(), ended.message.as_str()));
    !is_idle && !is_as_before
}

/// The runs that ended untold, the oldest first.
async fn untold(connection: &mut SqliteConnection, target: Option<&str>) -> Result<Vec<RunRow>> {
    const SELECT: &str = "SELECT runs.seq FROM untold JOIN runs ON runs.id = untold.run \
         WHERE ?1 IS NULL OR runs.target = ?1 ORDER BY runs.seq";
    let places: Vec<i64> = sqlx::query_scalar(SELECT).bind(target).fetch_all(&mut *connection).await?;
    let mut runs = Vec::with_capacity(places.len());
    for place in places {
        runs.extend(RunRow::at(connection, place).await?);
    }
    Ok(runs)
}

async fn tell_of(connection: &mut SqliteConnection, run: &RunRow) -> Result<()> {
    let Some(finish) = &run.finish else { return Ok(()) };
    let happening = Happening::RunEnded {
        run: Some(run.start.id.clone()),
        state: finish.state.name().to_owned(),
        message: finish.message.clone(),
        steps: finish.steps,
        bytes: finish.bytes,
        duration_ns: Some(duration(run.start.started, finish.finished)),
    };
    tell(connection, &run.start.target, finish.finished, &happening).await
}

async fn forget(connection: &mut SqliteConnection, run: &RunRow) -> Result<()> {
    const FORGET: &str = "DELETE FROM untold WHERE run = ?1";
    sqlx::query(FORGET).bind(&run.start.id).execute(connection).await?;
    Ok(())
}

impl Store {
    /// Tells of runs that ended in a process that was killed before it could. Whoever calls this holds the workspace, or
    /// a run that goes on could be told before its checks were made; nothing is done when another process does.
    ///
    /// # Errors
    /// When the database fails or a row is damaged.
    pub async fn tell_untold(&self) -> Result<()> {
        const SELECT: &str = "SELECT EXISTS (SELECT 1 FROM untold)";
        let is_needed: bool = {
            let mut connection = self.database().reader().await?;
            sqlx::query_scalar(SELECT).fetch_one(&mut *connection).await?
        };
        if !is_needed {
            return Ok(());
        }
        let Ok(_workspace) = self.lock() else { return Ok(()) };
        let mut connection = self.database().writer().await;
        let mut transaction = begin(&mut connection).await?;
        for run in untold(&mut transaction, None).await? {
            tell_of(&mut transaction, &run).await?;
            forget(&mut transaction, &run).await?;
        }
        Ok(transaction.commit().await?)
    }
}
