//! An onlooker: sees what any process does to the state, with a connection of its own that waits for nobody.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::{Row, SqliteConnection};

use crate::conflicts;
use crate::error::{Error, Result};
use crate::records::{ConflictRecord, Pause, RunRecord};
use crate::runs::RunRow;
use crate::store::Store;
use crate::targets::TargetRow;
use crate::totals::{self, Totals};
use crate::writes::Writes;

/// Most rows that are told of at once; a burst beyond it is told in part.
const NEWS_MAX: i64 = 1_000;

/// Looks at the state for as long as a process lives.
pub struct Onlooker {
    connection: SqliteConnection,
    /// Grows with every commit of another connection: <https://www.sqlite.org/pragma.html#pragma_data_version>.
    version: i64,
    writes: Writes,
    /// Whether there may be commits that it was not asked for yet.
    is_due: bool,
}

/// How every target is doing, at one moment.
#[derive(Clone, Debug, Default)]
pub struct Overview {
    /// By the names of targets that were ever seen, also those that are no longer configured.
    pub targets: BTreeMap<String, TargetOverview>,
    /// Open conflicts, by their identifiers: each with its target. Some are left out when there are very many.
    pub open_conflicts: BTreeMap<String, String>,
}

/// How a target is doing.
#[derive(Clone, Debug, Default)]
pub struct TargetOverview {
    /// How many items are agreed on.
    pub agreed: u64,
    /// Whether there is anything that was agreed on.
    pub has_baseline: bool,
    /// What was counted.
    pub totals: Totals,
    /// How many conflicts are open.
    pub open_conflicts: u64,
    /// Its pause, also one that has come to its end.
    pub pause: Option<Pause>,
    /// The last run that left a record.
    pub last_run: Option<RunRecord>,
}

impl Onlooker {
    /// Begins to look on.
    ///
    /// # Errors
    /// When the database cannot be opened, or the store is in memory, where there is only one connection.
    pub async fn of(store: &Store) -> Result<Self> {
        let connection = store.database().another().await?;
        let connection = connection.ok_or_else(|| Error::not_found("a state in memory has no onlookers"))?;
        Ok(Self { connection, version: -1, writes: Writes::to(store), is_due: true })
    }

    /// Whether anything was committed since the last call; true at the first one. Costs next to nothing.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn has_changed(&mut self) -> Result<bool> {
        self.is_due |= self.writes.may_have_come();
        if !self.is_due {
            return Ok(false);
        }
        let version: i64 = sqlx::query_scalar("PRAGMA data_version").fetch_one(&mut self.connection).await?;
        let changed = version != self.version;
        (self.version, self.is_due) = (version, false);
        Ok(changed)
    }

    /// How every target is doing.
    ///
    /// # Errors
    /// When the database fails or a row is damaged.
    pub async fn overview(&mut self) -> Result<Overview> {
        const COUNTS: &str = "SELECT target, count(*) FROM conflicts WHERE resolved IS NULL GROUP BY target";
        const OPEN: &str =
            "SELECT id, target FROM conflicts WHERE resolved IS NULL ORDER BY seq DESC LIMIT 10000";
        let connection = &mut self.connection;
        let mut targets: BTreeMap<String, TargetOverview> = BTreeMap::new();
        for row in TargetRow::load_all(connection).await? {
            let target = targets.entry(row.state.name.clone()).or_default();
            (target.agreed, target.has_baseline) = (row.state.count(), row.state.has_baseline);
        }
        for (name, totals) in totals::load_all(connection).await? {
            targets.entry(name).or_default().totals = totals;
        }
        for pause in Pause::load_all(connection).await? {
            let target = targets.entry(pause.target.clone()).or_default();
            target.pause = Some(pause);
        }
        for row in sqlx::query(COUNTS).fetch_all(&mut *connection).await? {
            let count: i64 = row.try_get(1)?;
            targets.entry(row.try_get(0)?).or_default().open_conflicts = count.cast_unsigned();
        }
        for run in RunRow::last_of_each(connection).await? {
            let target = targets.entry(run.start.target.clone()).or_default();
            target.last_run = Some(run.told());
        }
        let open: Vec<(String, String)> = sqlx::query_as(OPEN).fetch_all(connection).await?;
        Ok(Overview { targets, open_conflicts: open.into_iter().collect() })
    }

    /// The runs behind the place `after` in the order of all runs, the oldest first, each with its place. What they
    /// changed is not told.
    ///
    /// # Errors
    /// When the database fails or a row is damaged.
    pub async fn runs_after(&mut self, after: i64) -> Result<Vec<(i64, RunRecord)>> {
        let rows = RunRow::after(&mut self.connection, after, NEWS_MAX).await?;
        Ok(rows.into_iter().map(|row| (row.seq, row.told())).collect())
    }

    /// The place of the newest run, and that of the newest conflict; 0 where there is none.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn newest(&mut self) -> Result<(i64, i64)> {
        const SELECT: &str =
            "SELECT (SELECT coalesce(max(seq), 0) FROM runs), (SELECT coalesce(max(seq), 0) FROM conflicts)";
        Ok(sqlx::query_as(SELECT).fetch_one(&mut self.connection).await?)
    }

    /// The conflicts behind the place `after` in the order of all conflicts, and those of `known`, as they are now.
    ///
    /// # Errors
    /// When the database fails or a row is damaged.
    pub async fn conflicts(&mut self, after: i64, known: &BTreeSet<String>) -> Result<Vec<ConflictRecord>> {
        let mut found = conflicts::after(&mut self.connection, after, NEWS_MAX).await?;
        for id in known.iter().take(usize::try_from(NEWS_MAX).unwrap_or_default()) {
            if !found.iter().any(|record| record.id == *id) {
                found.extend(conflicts::load(&mut self.connection, id).await?);
            }
        }
        Ok(found)
    }
}
