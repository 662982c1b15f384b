//! Conflicts: records with a life of their own.

use std::collections::{BTreeMap, HashSet};

use sqlx::sqlite::SqliteRow;
use sqlx::types::Json;
use sqlx::{Row, SqliteConnection};
use syncline_core::{Item, ItemPath, Nanos, Side, Sides};

use crate::codec::{Reader, malformed, read_item, write_item};
use crate::database::begin;
use crate::error::{Error, Result};
use crate::lease::fence;
use crate::news::{self, Happening};
use crate::records::{ConflictQuery, ConflictRecord, Decided, Lease};
use crate::runs::one;
use crate::seal::Seal;
use crate::store::Store;
use crate::totals;

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT id, target, run, path, kind, policy, items, winner, copy, action, clamped, opened, resolved, ",
            "resolution, seal FROM conflicts ",
            $rest
        )
    };
}

const UPSERT: &str = "INSERT INTO conflicts (id, target, run, path, kind, policy, items, winner, copy, action, \
     clamped, opened, resolved, resolution, seal) \
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15) \
     ON CONFLICT (id) DO UPDATE SET target = excluded.target, run = excluded.run, path = excluded.path, \
     kind = excluded.kind, policy = excluded.policy, items = excluded.items, winner = excluded.winner, \
     copy = excluded.copy, action = excluded.action, clamped = excluded.clamped, opened = excluded.opened, \
     resolved = excluded.resolved, resolution = excluded.resolution, seal = excluded.seal";

/// The bits of the first byte of encoded items: which of those that may be missing are there; whether the winner, the
/// copy, the merged item and the action of the row are only decided, and not carried out; and whether that would settle
/// the conflict.
const HAS_BASE: u8 = 1;
const HAS_MERGED: u8 = 2;
const IS_PENDING: u8 = 4;
const SETTLES: u8 = 8;

/// Encodes the items of a conflict: which are there (1 byte), the base, the local, the remote and the merged one.
fn write_items(record: &ConflictRecord) -> Vec<u8> {
    let bit = |there: bool, bit: u8| if there { bit } else { 0 };
    let merged = record.merged_or_pending();
    let bits = [
        bit(record.base.is_some(), HAS_BASE),
        bit(merged.is_some(), HAS_MERGED),
        bit(record.pending.is_some(), IS_PENDING),
        bit(record.pending.as_ref().is_some_and(|decided| decided.settles), SETTLES),
    ];
    let mut out = vec![bits.into_iter().sum()];
    let sides = [&record.versions.local, &record.versions.remote];
    for item in record.base.iter().chain(sides).chain(merged) {
        write_item(item, &mut out);
    }
    out
}

/// The base, the version of each side, the merged one, and the bits.
type Items = (Option<Item>, Sides<Item>, Option<Item>, u8);

fn read_items(bytes: &[u8]) -> Result<Items> {
    let mut reader = Reader(bytes);
    let there = reader.byte()?;
    let base = (there & HAS_BASE != 0).then(|| read_item(&mut reader)).transpose()?;
    let versions = Sides { local: read_item(&mut reader)?, remote: read_item(&mut reader)? };
    let merged = (there & HAS_MERGED != 0).then(|| read_item(&mut reader)).transpose()?;
    if reader.is_empty() { Ok((base, versions, merged, there)) } else { Err(malformed()) }
}

/// The row of a conflict whose decision is pending holds what is to be, marked as such.
fn as_decided(record: &ConflictRecord) -> ConflictRecord {
    let mut row = record.clone();
    if let Some(decided) = &record.pending {
        (row.winner, row.copy) = (decided.winner, decided.copy.clone());
        row.action.clone_from(&decided.action);
    }
    row
}

/// Takes what is only decided out of a record that was read.
fn as_pending(mut record: ConflictRecord, settles: bool) -> ConflictRecord {
    let action = std::mem::replace(&mut record.action, ConflictRecord::PENDING.to_owned());
    record.pending = Some(Box::new(Decided {
        winner: record.winner.take(),
        copy: record.copy.take(),
        merged: record.merged.take(),
        action,
        settles,
    }));
    record
}

fn seal(record: &ConflictRecord, items: &[u8]) -> Seal {
    Seal::of("conflicts")
        .text(&record.id)
        .text(&record.target)
        .text(&record.run)
        .text(record.path.as_str())
        .text(&record.kind)
        .text(&record.policy)
        .bytes(items)
        .text_option(record.winner.map(Side::name))
        .text_option(record.copy.as_ref().map(ItemPath::as_str))
        .text(&record.action)
        .number(i64::from(record.clamped))
        .number(record.opened)
        .number_option(record.resolved)
        .text_option(record.resolution.as_deref())
}

fn read(row: &SqliteRow) -> Result<ConflictRecord> {
    let path = |text: String| ItemPath::parse(&text).map_err(|_| malformed());
    let items: Vec<u8> = row.try_get(6)?;
    let (base, versions, merged, bits) = read_items(&items)?;
    let winner: Option<String> = row.try_get(7)?;
    let winner = match winner.as_deref() {
        None => None,
        Some(name) => Some(Side::BOTH.into_iter().find(|side| side.name() == name).ok_or_else(malformed)?),
    };
    let record = ConflictRecord {
        id: row.try_get(0)?,
        target: row.try_get(1)?,
        run: row.try_get(2)?,
        path: path(row.try_get(3)?)?,
        kind: row.try_get(4)?,
        policy: row.try_get(5)?,
        base,
        versions,
        winner,
        copy: row.try_get::<Option<String>, _>(8)?.map(path).transpose()?,
        merged,
        action: row.try_get(9)?,
        clamped: row.try_get::<i64, _>(10)? != 0,
        opened: row.try_get(11)?,
        resolved: row.try_get(12)?,
        resolution: row.try_get(13)?,
        pending: None,
    };
    let stored: Vec<u8> = row.try_get(14)?;
    seal(&record, &items).check(&stored, &format!("the row of the conflict {:?}", record.id))?;
    Ok(if bits & IS_PENDING == 0 { record } else { as_pending(record, bits & SETTLES != 0) })
}

/// At most `limit` conflicts behind a place in their order, the oldest first.
pub(crate) async fn after(
    connection: &mut SqliteConnection,
    seq: i64,
    limit: i64,
) -> Result<Vec<ConflictRecord>> {
    let rows = sqlx::query(select!("WHERE seq > ?1 ORDER BY seq LIMIT ?2"));
    rows.bind(seq).bind(limit).fetch_all(connection).await?.iter().map(read).collect()
}

/// The conflict of an identifier.
pub(crate) async fn load(connection: &mut SqliteConnection, id: &str) -> Result<Option<ConflictRecord>> {
    let row = sqlx::query(select!("WHERE id = ?1")).bind(id).fetch_optional(connection).await?;
    row.as_ref().map(read).transpose()
}

/// What becomes of a conflict when its row is written: whether it is opened, or opened again, and whether it is settled.
fn turns(known: Option<&ConflictRecord>, record: &ConflictRecord) -> (bool, bool) {
    let was_open = known.map(|known| known.resolved.is_none());
    let is_open = record.resolved.is_none();
    (was_open.is_none() || was_open == Some(false) && is_open, was_open != Some(false) && !is_open)
}

/// Whether somebody has to look at a conflict: one that a policy is about to settle needs nobody.
fn waits(record: &ConflictRecord) -> bool {
    record.resolved.is_none() && !record.pending.as_ref().is_some_and(|decided| decided.settles)
}

fn is_opened(record: &ConflictRecord) -> Happening {
    Happening::ConflictOpened {
        conflict: record.id.clone(),
        path: record.path.to_string(),
        what: record.kind.clone(),
    }
}

fn is_resolved(record: &ConflictRecord) -> Happening {
    Happening::ConflictResolved {
        conflict: record.id.clone(),
        path: record.path.to_string(),
        resolution: record.resolution.clone(),
    }
}

/// How many conflicts of a target were opened, and how many settled, in one transaction; and what of that is news.
#[derive(Default)]
struct Turns {
    counts: BTreeMap<String, (u64, u64)>,
    news: Vec<(String, Nanos, Happening)>,
}

impl Turns {
    fn note(&mut self, known: Option<&ConflictRecord>, record: &ConflictRecord, now: Nanos) {
        let (opened, settled) = turns(known, record);
        if opened || settled {
            let counts = self.counts.entry(record.target.clone()).or_default();
            counts.0 += u64::from(opened);
            counts.1 += u64::from(settled);
        }
        if waits(record) && !known.is_some_and(waits) {
            self.news.push((record.target.clone(), now, is_opened(record)));
        }
        if settled {
            self.news.push((record.target.clone(), record.resolved.unwrap_or(now), is_resolved(record)));
        }
    }

    async fn save(self, connection: &mut SqliteConnection) -> Result<()> {
        for (target, at, happening) in &self.news {
            news::tell(connection, target, *at, happening).await?;
        }
        for (target, (opened, settled)) in self.counts {
            totals::change(connection, &target, |totals| {
                totals.conflicts_opened += opened;
                totals.conflicts_resolved += settled;
            })
            .await?;
        }
        Ok(())
    }
}

async fn save(connection: &mut SqliteConnection, record: &ConflictRecord) -> Result<()> {
    let items = write_items(record);
    let record = &as_decided(record);
    let seal = seal(record, &items).finish();
    sqlx::query(UPSERT)
        .bind(&record.id)
        .bind(&record.target)
        .bind(&record.run)
        .bind(record.path.as_str())
        .bind(&record.kind)
        .bind(&record.policy)
        .bind(items)
        .bind(record.winner.map(Side::name))
        .bind(record.copy.as_ref().map(ItemPath::as_str))
        .bind(&record.action)
        .bind(i64::from(record.clamped))
        .bind(record.opened)
        .bind(record.resolved)
        .bind(&record.resolution)
        .bind(seal)
        .execute(connection)
        .await?;
    Ok(())
}

/// Closes the open conflicts at the path of `record` of which nothing came: what they were about has become another
/// conflict.
async fn supersede(
    connection: &mut SqliteConnection,
    record: &ConflictRecord,
    turns: &mut Turns,
) -> Result<()> {
    let earlier = sqlx::query(select!("WHERE target = ?1 AND path = ?2 AND resolved IS NULL AND id <> ?3"))
        .bind(&record.target)
        .bind(record.path.as_str())
        .bind(&record.id)
        .fetch_all(&mut *connection)
        .await?;
    for row in &earlier {
        // What is damaged is left to whoever reads it.
        let Ok(mut earlier) = read(row) else { continue };
        if earlier.is_untouched() {
            let known = earlier.clone();
            earlier.resolved = Some(record.opened);
            earlier.resolution = Some(format!("superseded by {}", record.id));
            turns.note(Some(&known), &earlier, record.opened);
            save(connection, &earlier).await?;
        }
    }
    Ok(())
}

/// Every conflict, the oldest first.
pub(crate) async fn load_all(connection: &mut SqliteConnection) -> Result<Vec<ConflictRecord>> {
    sqlx::query(select!("ORDER BY seq")).fetch_all(connection).await?.iter().map(read).collect()
}

impl Store {
    /// Records conflicts, or refreshes them by their identifiers: the time when they were first seen stays, and
    /// so does a resolution, unless the conflict is found open again. Earlier conflicts at the same paths of which
    /// nothing came are superseded.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Locked`] when the lease is stale; otherwise when the database fails.
    pub async fn put_conflicts(&self, lease: &Lease, records: &[ConflictRecord]) -> Result<()> {
        let mut connection = self.database().writer().await;
        let mut transaction = begin(&mut connection).await?;
        fence(&mut transaction, lease).await?;
        let mut turns = Turns::default();
        for record in records {
            supersede(&mut transaction, record, &mut turns).await?;
            let (mut record, seen) = (record.clone(), record.opened);
            let known = load(&mut transaction, &record.id).await?;
            if let Some(known) = &known {
                // One that is found open again, after it was settled, waits for a decision again.
                if record.resolved.is_some() || known.resolved.is_none() {
                    record.opened = known.opened;
                }
                if record.resolved.is_some() && known.resolved.is_some() {
                    record.resolved = known.resolved;
                    record.resolution.clone_from(&known.resolution);
                }
            }
            turns.note(known.as_ref(), &record, seen);
            save(&mut transaction, &record).await?;
        }
        turns.save(&mut transaction).await?;
        Ok(transaction.commit().await?)
    }

    /// Lists conflicts, the oldest first.
    ///
    /// # Errors
    /// When the database fails or a row is damaged.
    pub async fn conflicts(&self, query: &ConflictQuery) -> Result<Vec<ConflictRecord>> {
        let mut connection = self.database().reader().await?;
        let rows = match (&query.target, query.open_only) {
            (None, false) => sqlx::query(select!("ORDER BY seq")),
            (None, true) => sqlx::query(select!("WHERE resolved IS NULL ORDER BY seq")),
            (Some(target), false) => sqlx::query(select!("WHERE target = ?1 ORDER BY seq")).bind(target),
            (Some(target), true) => {
                sqlx::query(select!("WHERE target = ?1 AND resolved IS NULL ORDER BY seq")).bind(target)
            }
        };
        rows.fetch_all(&mut *connection).await?.iter().map(read).collect()
    }

    /// The conflicts of a target at these paths whose versions were, or were to be, merged, the oldest first. What is damaged is left
    /// out: it tells nothing that could be relied on.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn merged_conflicts(
        &self,
        target: &str,
        paths: &HashSet<&ItemPath>,
    ) -> Result<Vec<ConflictRecord>> {
        if paths.is_empty() {
            return Ok(Vec::new());
        }
        let mut connection = self.database().reader().await?;
        let wanted: Vec<&str> = paths.iter().map(|path| path.as_str()).collect();
        // Whatever was merged in a long life is in this table: only what was asked for is read.
        let rows = sqlx::query(select!(
            "WHERE target = ?1 AND winner IS NULL AND path IN (SELECT value FROM json_each(?2)) ORDER BY seq"
        ));
        let rows = rows.bind(target).bind(Json(wanted)).fetch_all(&mut *connection).await?;
        Ok(rows
            .iter()
            .filter_map(|row| read(row).ok())
            .filter(|record| record.merged_or_pending().is_some())
            .collect())
    }

    /// A conflict by its identifier or the beginning of it.
    ///
    /// # Errors
    /// [`crate::ErrorKind::NotFound`] when several conflicts begin like this; otherwise when the database fails
    /// or the row is damaged.
    pub async fn conflict(&self, id: &str) -> Result<Option<ConflictRecord>> {
        let mut connection = self.database().reader().await?;
        if id.is_empty() {
            return Ok(None);
        }
        if let Some(record) = load(&mut connection, id).await? {
            return Ok(Some(record));
        }
        let rows =
            sqlx::query(select!("WHERE id >= ?1 AND substr(id, 1, length(?1)) = ?1 ORDER BY id LIMIT 2"))
                .bind(id)
                .fetch_all(&mut *connection)
                .await?;
        one(rows.iter().map(read).collect::<Result<_>>()?, "conflicts", id)
    }

    /// Settles a conflict; one that is settled already stays as it is.
    ///
    /// # Errors
    /// [`crate::ErrorKind::NotFound`] when there is none of this identifier; otherwise when the database fails.
    pub async fn resolve_conflict(&self, id: &str, how: &str, now: Nanos) -> Result<()> {
        let mut connection = self.database().writer().await;
        let mut transaction = begin(&mut connection).await?;
        let found = load(&mut transaction, id).await?;
        let mut record =
            found.ok_or_else(|| Error::not_found(format!("the state knows no conflict {id:?}")))?;
        if record.resolved.is_none() {
            let known = record.clone();
            record.resolved = Some(now);
            record.resolution = Some(how.to_owned());
            let mut turns = Turns::default();
            turns.note(Some(&known), &record, now);
            turns.save(&mut transaction).await?;
            save(&mut transaction, &record).await?;
        }
        Ok(transaction.commit().await?)
    }

    /// Puts a record in the place of the one that has its identifier; `now` is the moment.
    ///
    /// # Errors
    /// [`crate::ErrorKind::NotFound`] when there is none; otherwise when the database fails.
    pub async fn replace_conflict(&self, record: &ConflictRecord, now: Nanos) -> Result<()> {
        let mut connection = self.database().writer().await;
        let mut transaction = begin(&mut connection).await?;
        let Some(known) = load(&mut transaction, &record.id).await? else {
            return Err(Error::not_found(format!("the state knows no conflict {:?}", record.id)));
        };
        let mut turns = Turns::default();
        turns.note(Some(&known), record, now);
        turns.save(&mut transaction).await?;
        save(&mut transaction, record).await?;
        Ok(transaction.commit().await?)
    }

    /// Forgets conflicts that were settled before `resolved_before`, never open ones; returns how many.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn prune_conflicts(&self, resolved_before: Nanos) -> Result<u64> {
        const DELETE: &str = "DELETE FROM conflicts WHERE resolved < ?1";
        let mut connection = self.database().writer().await;
        Ok(sqlx::query(DELETE).bind(resolved_before).execute(&mut *connection).await?.rows_affected())
    }
}
