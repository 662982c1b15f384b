//! Rows of runs, and reading the history.

use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};
use syncline_core::{Direction, Nanos};

use crate::codec::{Reader, malformed};
use crate::error::{Error, ErrorKind, Result};
use crate::layers::read_deltas;
use crate::records::{Delta, Layer, RunFinish, RunQuery, RunRecord, RunStart, RunState};
use crate::seal::Seal;
use crate::store::Store;
use crate::targets::{read_layers, write_layers};

/// A run's row.
pub(crate) struct RunRow {
    /// Its place in the order of all runs.
    pub(crate) seq: i64,
    pub(crate) start: RunStart,
    pub(crate) finish: Option<RunFinish>,
    /// The delta objects of a finished run, oldest first; those of an unfinished one are in the journal.
    pub(crate) layers: Vec<Layer>,
}

/// The columns in the order in which [`RunRow`] reads and writes them.
macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT seq, id, target, direction, started, cause, plan_hash, planned, finished, state, message, ",
            "steps, bytes, conflicts, deltas, seal, report FROM runs ",
            $rest
        )
    };
}

const NEXT: &str = "SELECT coalesce(max(seq), 0) + 1 FROM runs";
const INSERT: &str = "INSERT INTO runs (seq, id, target, direction, started, cause, plan_hash, planned, finished, \
     state, message, steps, bytes, conflicts, deltas, seal, report) \
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)";
const UPDATE: &str = "UPDATE runs SET finished = ?2, state = ?3, message = ?4, steps = ?5, bytes = ?6, \
     conflicts = ?7, deltas = ?8, seal = ?9, report = ?10 WHERE seq = ?1";

impl RunRow {
    /// The next free place in the order of runs.
    pub(crate) async fn next_seq(connection: &mut SqliteConnection) -> Result<i64> {
        Ok(sqlx::query_scalar(NEXT).fetch_one(connection).await?)
    }

    /// The row of a run by its whole identifier.
    pub(crate) async fn load(connection: &mut SqliteConnection, id: &str) -> Result<Option<Self>> {
        let row = sqlx::query(select!("WHERE id = ?1")).bind(id).fetch_optional(connection).await?;
        row.as_ref().map(Self::read).transpose()
    }

    /// The runs of a target that have not ended, the oldest first.
    pub(crate) async fn unfinished(connection: &mut SqliteConnection, target: &str) -> Result<Vec<Self>> {
        let rows = sqlx::query(select!("WHERE target = ?1 AND state IS NULL ORDER BY seq"))
            .bind(target)
            .fetch_all(connection)
            .await?;
        rows.iter().map(Self::read).collect()
    }

    /// All runs, the oldest first.
    pub(crate) async fn load_all(connection: &mut SqliteConnection) -> Result<Vec<Self>> {
        sqlx::query(select!("ORDER BY seq")).fetch_all(connection).await?.iter().map(Self::read).collect()
    }

    /// The last run of each target.
    pub(crate) async fn last_of_each(connection: &mut SqliteConnection) -> Result<Vec<Self>> {
        let rows = sqlx::query(select!("WHERE seq IN (SELECT max(seq) FROM runs GROUP BY target)"));
        rows.fetch_all(connection).await?.iter().map(Self::read).collect()
    }

    /// The row at a place in the order of runs.
    pub(crate) async fn at(connection: &mut SqliteConnection, seq: i64) -> Result<Option<Self>> {
        let row = sqlx::query(select!("WHERE seq = ?1")).bind(seq).fetch_optional(connection).await?;
        row.as_ref().map(Self::read).transpose()
    }

    /// At most `limit` rows behind a place in the order of runs, the oldest first.
    pub(crate) async fn after(connection: &mut SqliteConnection, seq: i64, limit: i64) -> Result<Vec<Self>> {
        let rows = sqlx::query(select!("WHERE seq > ?1 ORDER BY seq LIMIT ?2"));
        rows.bind(seq).bind(limit).fetch_all(connection).await?.iter().map(Self::read).collect()
    }

    async fn load_last(connection: &mut SqliteConnection) -> Result<Option<Self>> {
        let row = sqlx::query(select!("ORDER BY seq DESC LIMIT 1")).fetch_optional(connection).await?;
        row.as_ref().map(Self::read).transpose()
    }

    /// The runs whose identifiers begin with `prefix`, at most two.
    async fn load_prefix(connection: &mut SqliteConnection, prefix: &str) -> Result<Vec<Self>> {
        let rows =
            sqlx::query(select!("WHERE id >= ?1 AND substr(id, 1, length(?1)) = ?1 ORDER BY id LIMIT 2"))
                .bind(prefix)
                .fetch_all(connection)
                .await?;
        rows.iter().map(Self::read).collect()
    }

    async fn query(connection: &mut SqliteConnection, query: &RunQuery) -> Result<Vec<Self>> {
        let before = match &query.before {
            None => i64::MAX,
            Some(id) => Self::load(connection, id).await?.ok_or_else(|| unknown(id))?.seq,
        };
        let limit = query.limit.map_or(-1, i64::from);
        let rows = match &query.target {
            None => {
                let all = sqlx::query(select!("WHERE seq < ?1 ORDER BY seq DESC LIMIT ?2"));
                all.bind(before).bind(limit).fetch_all(connection).await?
            }
            Some(target) => {
                let some = sqlx::query(select!("WHERE seq < ?1 AND target = ?3 ORDER BY seq DESC LIMIT ?2"));
                some.bind(before).bind(limit).bind(target).fetch_all(connection).await?
            }
        };
        rows.iter().map(Self::read).collect()
    }

    fn read(row: &SqliteRow) -> Result<Self> {
        let direction: String = row.try_get(3)?;
        let state: Option<String> = row.try_get(9)?;
        let deltas: Vec<u8> = row.try_get(14)?;
        let start = RunStart {
            id: row.try_get(1)?,
            target: row.try_get(2)?,
            direction: direction_of(&direction).ok_or_else(malformed)?,
            started: row.try_get(4)?,
            cause: row.try_get(5)?,
            plan_hash: row.try_get(6)?,
            steps: row.try_get::<i64, _>(7)?.cast_unsigned(),
        };
        let finish = match state {
            None => None,
            Some(state) => Some(RunFinish {
                finished: row.try_get(8)?,
                state: RunState::from_name(&state).ok_or_else(malformed)?,
                message: row.try_get(10)?,
                steps: row.try_get::<i64, _>(11)?.cast_unsigned(),
                bytes: row.try_get::<i64, _>(12)?.cast_unsigned(),
                conflicts: row.try_get::<i64, _>(13)?.cast_unsigned(),
                report: row.try_get(16)?,
            }),
        };
        let mut reader = Reader(&deltas);
        let layers = read_layers(&mut reader)?;
        let run = Self { seq: row.try_get(0)?, start, finish, layers };
        let seal: Vec<u8> = row.try_get(15)?;
        run.seal(&deltas).check(&seal, &format!("the row of the run {:?}", run.start.id))?;
        Ok(run)
    }

    fn seal(&self, deltas: &[u8]) -> Seal {
        let start = &self.start;
        let seal = Seal::of("runs")
            .number(self.seq)
            .text(&start.id)
            .text(&start.target)
            .text(start.direction.name())
            .number(start.started)
            .text(&start.cause)
            .text(&start.plan_hash)
            .number(start.steps.cast_signed())
            .bytes(deltas);
        match &self.finish {
            None => seal,
            Some(finish) => seal
                .number(finish.finished)
                .text(finish.state.name())
                .text(&finish.message)
                .number(finish.steps.cast_signed())
                .number(finish.bytes.cast_signed())
                .number(finish.conflicts.cast_signed())
                .text(&finish.report),
        }
    }

    /// Adds the row.
    pub(crate) async fn insert(&self, connection: &mut SqliteConnection) -> Result<()> {
        let mut deltas = Vec::new();
        write_layers(&self.layers, &mut deltas);
        let seal = self.seal(&deltas).finish();
        let (start, finish) = (&self.start, self.finish.as_ref());
        sqlx::query(INSERT)
            .bind(self.seq)
            .bind(&start.id)
            .bind(&start.target)
            .bind(start.direction.name())
            .bind(start.started)
            .bind(&start.cause)
            .bind(&start.plan_hash)
            .bind(start.steps.cast_signed())
            .bind(finish.map(|finish| finish.finished))
            .bind(finish.map(|finish| finish.state.name()))
            .bind(finish.map(|finish| &finish.message))
            .bind(finish.map(|finish| finish.steps.cast_signed()))
            .bind(finish.map(|finish| finish.bytes.cast_signed()))
            .bind(finish.map(|finish| finish.conflicts.cast_signed()))
            .bind(deltas)
            .bind(seal)
            .bind(finish.map(|finish| &finish.report))
            .execute(connection)
            .await?;
        Ok(())
    }

    /// Writes how the run ended.
    pub(crate) async fn save_finish(&self, connection: &mut SqliteConnection) -> Result<()> {
        let mut deltas = Vec::new();
        write_layers(&self.layers, &mut deltas);
        let seal = self.seal(&deltas).finish();
        let finish = self.finish.as_ref();
        sqlx::query(UPDATE)
            .bind(self.seq)
            .bind(finish.map(|finish| finish.finished))
            .bind(finish.map(|finish| finish.state.name()))
            .bind(finish.map(|finish| &finish.message))
            .bind(finish.map(|finish| finish.steps.cast_signed()))
            .bind(finish.map(|finish| finish.bytes.cast_signed()))
            .bind(finish.map(|finish| finish.conflicts.cast_signed()))
            .bind(deltas)
            .bind(seal)
            .bind(finish.map(|finish| &finish.report))
            .execute(connection)
            .await?;
        Ok(())
    }

    /// The record without what the run changed.
    pub(crate) fn told(self) -> RunRecord {
        RunRecord { start: self.start, finish: self.finish, deltas: Vec::new() }
    }

    /// The record, with what the journal holds when the run has not ended.
    async fn into_record(self, connection: &mut SqliteConnection) -> Result<RunRecord> {
        let layers = match self.finish {
            Some(_) => self.layers,
            None => journal_of(connection, self.seq).await?,
        };
        let deltas = layers.into_iter().map(|layer| layer.digest).collect();
        Ok(RunRecord { start: self.start, finish: self.finish, deltas })
    }
}

fn direction_of(name: &str) -> Option<Direction> {
    [Direction::Pull, Direction::Push, Direction::Bidirectional]
        .into_iter()
        .find(|known| known.name() == name)
}

/// The error for a run that nobody knows.
pub(crate) fn unknown(id: &str) -> Error {
    Error::not_found(format!("the state knows no run {id:?}"))
}

/// The delta objects that an unfinished run has appended, oldest first.
pub(crate) async fn journal_of(connection: &mut SqliteConnection, run: i64) -> Result<Vec<Layer>> {
    const SELECT: &str =
        "SELECT position, digest, records, seal FROM journal WHERE run = ?1 ORDER BY position";
    let rows: Vec<(i64, Vec<u8>, i64, Vec<u8>)> =
        sqlx::query_as(SELECT).bind(run).fetch_all(connection).await?;
    rows.into_iter()
        .enumerate()
        .map(|(expected, (position, digest, records, seal))| {
            journal_seal(run, position, &digest, records).check(&seal, "a row of the journal")?;
            let digest: [u8; 32] = digest.try_into().map_err(|_| malformed())?;
            if usize::try_from(position) != Ok(expected) {
                return Err(Error::damaged(format!("the journal lacks row {expected} of run {run}")));
            }
            let digest = syncline_core::Digest(digest);
            Ok(Layer { digest, records: records.cast_unsigned(), lean: false })
        })
        .collect()
}

/// The seal of a row of the journal.
pub(crate) fn journal_seal(run: i64, position: i64, digest: &[u8], records: i64) -> Seal {
    Seal::of("journal").number(run).number(position).bytes(digest).number(records)
}

impl Store {
    /// Lists runs, the newest first.
    ///
    /// # Errors
    /// [`crate::ErrorKind::NotFound`] when the run `before` is unknown; otherwise when the database fails or a
    /// row is damaged.
    pub async fn runs(&self, query: &RunQuery) -> Result<Vec<RunRecord>> {
        let mut connection = self.database().reader().await?;
        let mut records = Vec::new();
        for row in RunRow::query(&mut connection, query).await? {
            records.push(row.into_record(&mut connection).await?);
        }
        Ok(records)
    }

    /// A run by its identifier or the beginning of it; `last` is the newest run.
    ///
    /// # Errors
    /// [`crate::ErrorKind::NotFound`] when several runs begin like this; otherwise when the database fails or
    /// the row is damaged.
    pub async fn run(&self, id: &str) -> Result<Option<RunRecord>> {
        let mut connection = self.database().reader().await?;
        let exact = match id {
            "" => return Ok(None),
            "last" => RunRow::load_last(&mut connection).await?,
            _ => RunRow::load(&mut connection, id).await?,
        };
        let found = match exact {
            Some(row) => Some(row),
            None => one(RunRow::load_prefix(&mut connection, id).await?, "runs", id)?,
        };
        match found {
            Some(row) => Ok(Some(row.into_record(&mut connection).await?)),
            None => Ok(None),
        }
    }

    /// What a run changed, sorted by path; empty when it changed nothing.
    ///
    /// # Errors
    /// [`crate::ErrorKind::NotFound`] when there is no such run, [`crate::ErrorKind::Damaged`] when its
    /// record is missing or damaged, [`crate::ErrorKind::SetAside`] when it was, and was set aside.
    pub async fn deltas(&self, run: &str) -> Result<Vec<Delta>> {
        let record = self.run(run).await?.ok_or_else(|| unknown(run))?;
        if record.deltas.iter().any(|digest| self.objects().is_set_aside(digest)) {
            return Err(Error::set_aside(format!(
                "the record of what the run {run} changed was damaged, and was set aside"
            )));
        }
        self.blocking(move |store| read_deltas(store.objects(), &record.deltas)).await
    }

    /// As [`Store::deltas`]; what was set aside tells of no change. For those who only look for what there is.
    ///
    /// # Errors
    /// As [`Store::deltas`].
    pub async fn known_deltas(&self, run: &str) -> Result<Vec<Delta>> {
        match self.deltas(run).await {
            Err(error) if error.kind() == ErrorKind::SetAside => Ok(Vec::new()),
            other => other,
        }
    }

    /// When the oldest run began that has not ended.
    pub(crate) async fn oldest_unfinished(connection: &mut SqliteConnection) -> Result<Option<Nanos>> {
        const SELECT: &str = "SELECT min(started) FROM runs WHERE state IS NULL";
        Ok(sqlx::query_scalar(SELECT).fetch_one(connection).await?)
    }
}

/// The only one of `found`, which all begin with `prefix`.
pub(crate) fn one<T>(mut found: Vec<T>, what: &str, prefix: &str) -> Result<Option<T>> {
    match found.len() {
        0 | 1 => Ok(found.pop()),
        _ => {
            Err(Error::not_found(format!("several {what} begin with {prefix:?}"))
                .with_hint("give more digits"))
        }
    }
}
