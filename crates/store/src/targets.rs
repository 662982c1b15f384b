//! Rows of targets: identity, marks, lease, and the pointer to the baseline.

use std::sync::Arc;

use sqlx::{Row, SqliteConnection};
use syncline_core::{Baseline, Digest, Mark, MemoryBaseline, Sides};

use crate::codec::{Reader, malformed, write_varint};
use crate::database::begin;
use crate::error::{BASELINE_HINT, Error, ErrorKind, Result};
use crate::records::{Layer, Lease, Pointer, TargetState};
use crate::seal::Seal;
use crate::store::Store;

/// A target's row.
pub(crate) struct TargetRow {
    pub(crate) state: TargetState,
    /// Who holds the lease, and until when.
    pub(crate) holder: Option<String>,
    pub(crate) expires: Option<i64>,
}

const SELECT: &str = "SELECT name, id, identity, epoch, holder, expires, mark_local, mark_remote, mark_pending, \
     pointer, seal FROM targets WHERE name = ?1";
const SELECT_ALL: &str = "SELECT name, id, identity, epoch, holder, expires, mark_local, mark_remote, \
     mark_pending, pointer, seal FROM targets ORDER BY name";
const INSERT: &str = "INSERT INTO targets (name, id, epoch, pointer, seal) VALUES (?1, ?2, 0, x'', x'')";
const UPDATE: &str = "UPDATE targets SET id = ?2, identity = ?3, epoch = ?4, holder = ?5, expires = ?6, mark_local = ?7, \
     mark_remote = ?8, mark_pending = ?9, pointer = ?10, seal = ?11 WHERE name = ?1";

impl TargetRow {
    /// The row of a target; `None` when it was never seen.
    pub(crate) async fn load(connection: &mut SqliteConnection, name: &str) -> Result<Option<Self>> {
        let row = sqlx::query(SELECT).bind(name).fetch_optional(connection).await?;
        row.as_ref().map(Self::read).transpose()
    }

    /// The rows of all targets, by name.
    pub(crate) async fn load_all(connection: &mut SqliteConnection) -> Result<Vec<Self>> {
        sqlx::query(SELECT_ALL).fetch_all(connection).await?.iter().map(Self::read).collect()
    }

    /// The row of a target, made when it was never seen.
    pub(crate) async fn load_or_make(
        connection: &mut SqliteConnection,
        name: &str,
        id: String,
    ) -> Result<Self> {
        if let Some(row) = Self::load(connection, name).await? {
            return Ok(row);
        }
        sqlx::query(INSERT).bind(name).bind(&id).execute(&mut *connection).await?;
        let state = TargetState {
            name: name.to_owned(),
            id,
            identity: None,
            epoch: 0,
            marks: Sides::default(),
            pending_mark: None,
            has_baseline: false,
            pointer: Pointer::default(),
        };
        let row = Self { state, holder: None, expires: None };
        row.save(connection).await?;
        Ok(row)
    }

    fn read(row: &sqlx::sqlite::SqliteRow) -> Result<Self> {
        let mark = |column: usize| Ok::<_, sqlx::Error>(row.try_get::<Option<String>, _>(column)?.map(Mark));
        let pointer: Vec<u8> = row.try_get(9)?;
        let found = Self {
            state: TargetState {
                name: row.try_get(0)?,
                id: row.try_get(1)?,
                identity: row.try_get(2)?,
                epoch: row.try_get(3)?,
                marks: Sides { local: mark(6)?, remote: mark(7)? },
                pending_mark: mark(8)?,
                has_baseline: false,
                pointer: Pointer::default(),
            },
            holder: row.try_get(4)?,
            expires: row.try_get(5)?,
        };
        let seal: Vec<u8> = row.try_get(10)?;
        found.seal(&pointer).check(&seal, &format!("the row of the target {:?}", found.state.name))?;
        let pointer = read_pointer(&pointer)?;
        let has_baseline = pointer.base.is_some() || !pointer.layers.is_empty();
        Ok(Self { state: TargetState { has_baseline, pointer, ..found.state }, ..found })
    }

    fn seal(&self, pointer: &[u8]) -> Seal {
        let state = &self.state;
        Seal::of("targets")
            .text(&state.name)
            .text(&state.id)
            .text_option(state.identity.as_deref())
            .number(state.epoch)
            .text_option(self.holder.as_deref())
            .number_option(self.expires)
            .text_option(text_of(state.marks.local.as_ref()))
            .text_option(text_of(state.marks.remote.as_ref()))
            .text_option(text_of(state.pending_mark.as_ref()))
            .bytes(pointer)
    }

    /// Forgets the baseline and the marks. The history of runs stays; what unfinished runs had appended will not become
    /// baseline.
    pub(crate) async fn forget_baseline(&mut self, connection: &mut SqliteConnection) -> Result<()> {
        const FORGET: &str =
            "DELETE FROM journal WHERE run IN (SELECT seq FROM runs WHERE target = ?1 AND state IS NULL)";
        self.state.pointer = Pointer::default();
        self.state.marks = Sides::default();
        self.state.pending_mark = None;
        sqlx::query(FORGET).bind(&self.state.name).execute(connection).await?;
        Ok(())
    }

    /// Writes the row back.
    pub(crate) async fn save(&self, connection: &mut SqliteConnection) -> Result<()> {
        let state = &self.state;
        let pointer = write_pointer(&state.pointer);
        let seal = self.seal(&pointer).finish();
        sqlx::query(UPDATE)
            .bind(&state.name)
            .bind(&state.id)
            .bind(&state.identity)
            .bind(state.epoch)
            .bind(&self.holder)
            .bind(self.expires)
            .bind(text_of(state.marks.local.as_ref()))
            .bind(text_of(state.marks.remote.as_ref()))
            .bind(text_of(state.pending_mark.as_ref()))
            .bind(pointer)
            .bind(seal)
            .execute(connection)
            .await?;
        Ok(())
    }
}

fn text_of(mark: Option<&Mark>) -> Option<&str> {
    mark.map(|mark| mark.0.as_str())
}

/// Encodes a pointer: whether there is a base (1 byte) and its digest, the number of items, the number of
/// layers, and for each its digest, whether it is lean (1 byte), and its number of records; numbers are varints.
fn write_pointer(pointer: &Pointer) -> Vec<u8> {
    let mut out = vec![u8::from(pointer.base.is_some())];
    if let Some(base) = &pointer.base {
        out.extend_from_slice(&base.0);
    }
    write_varint(pointer.count, &mut out);
    write_layers(&pointer.layers, &mut out);
    out
}

fn read_pointer(bytes: &[u8]) -> Result<Pointer> {
    let mut reader = Reader(bytes);
    let base = match reader.byte()? {
        0 => None,
        _ => Some(Digest(reader.array()?)),
    };
    let count = reader.varint()?;
    let layers = read_layers(&mut reader)?;
    if reader.is_empty() { Ok(Pointer { base, layers, count }) } else { Err(malformed()) }
}

/// Encodes delta objects; see [`write_pointer`].
pub(crate) fn write_layers(layers: &[Layer], out: &mut Vec<u8>) {
    write_varint(layers.len() as u64, out);
    for layer in layers {
        out.extend_from_slice(&layer.digest.0);
        out.push(u8::from(layer.lean));
        write_varint(layer.records, out);
    }
}

/// Reads what [`write_layers`] wrote.
pub(crate) fn read_layers(reader: &mut Reader<'_>) -> Result<Vec<Layer>> {
    let count = reader.varint()?;
    (0..count)
        .map(|_| {
            Ok(Layer {
                digest: Digest(reader.array()?),
                lean: reader.byte()? != 0,
                records: reader.varint()?,
            })
        })
        .collect()
}

impl Store {
    /// What is known of the target `name`; it is made, with an identifier of its own, when it was never seen.
    ///
    /// # Errors
    /// When the database fails or the row is damaged.
    pub async fn target(&self, name: &str) -> Result<TargetState> {
        if let Some(row) = TargetRow::load(&mut *self.database().reader().await?, name).await? {
            return Ok(self.doubted(row.state));
        }
        let id = self.new_id(name);
        let mut connection = self.database().writer().await;
        let mut transaction = begin(&mut connection).await?;
        let row = TargetRow::load_or_make(&mut transaction, name, id).await?;
        transaction.commit().await?;
        Ok(row.state)
    }

    /// What is known of the target `name`, without making it: a dry run changes nothing.
    ///
    /// # Errors
    /// When the database fails or the row is damaged.
    pub async fn peek_target(&self, name: &str) -> Result<TargetState> {
        let row = TargetRow::load(&mut *self.database().reader().await?, name).await?;
        Ok(row.map_or_else(|| TargetState::unseen(name), |row| self.doubted(row.state)))
    }

    /// The baseline of a target; an empty one while there is none.
    ///
    /// - Its objects are checked against their digests; what this process has checked is not read again.
    /// - When another process moved the pointer since `state` was read, it is the newer baseline.
    ///
    /// # Errors
    /// [`ErrorKind::Damaged`] when an object is missing or is not what it was.
    pub async fn baseline(&self, state: &TargetState) -> Result<Arc<dyn Baseline>> {
        let mut pointer = state.pointer.clone();
        loop {
            if pointer.base.is_none() && pointer.layers.is_empty() {
                return Ok(Arc::new(MemoryBaseline::default()));
            }
            let (id, wanted) = (state.id.clone(), pointer.clone());
            let opened = self.blocking(move |store| store.cache().open(store.objects(), &id, &wanted)).await;
            let error = match opened {
                Ok(baseline) => return Ok(baseline),
                Err(error) => error,
            };
            let row = TargetRow::load(&mut *self.database().reader().await?, &state.name).await?;
            match row.map(|row| row.state.pointer) {
                Some(moved) if error.kind() == ErrorKind::Damaged && moved != pointer => pointer = moved,
                _ if error.kind() == ErrorKind::Damaged => return Err(error.with_hint(BASELINE_HINT)),
                _ => return Err(error),
            }
        }
    }

    pub(crate) async fn change_target(
        &self,
        lease: &Lease,
        change: impl FnOnce(&mut TargetRow) + Send,
    ) -> Result<()> {
        let mut connection = self.database().writer().await;
        let mut transaction = begin(&mut connection).await?;
        let mut row = crate::lease::fence(&mut transaction, lease).await?;
        change(&mut row);
        row.save(&mut transaction).await?;
        Ok(transaction.commit().await?)
    }

    /// A new identifier: random, and with the place of the state folder, by which a copy of it is noticed. In memory
    /// it follows from the name, so that a simulation repeats itself.
    pub(crate) fn new_id(&self, name: &str) -> String {
        if self.dir().is_none() {
            return Digest::of(name.as_bytes()).short();
        }
        let random = uuid::Uuid::now_v7();
        self.place().map_or_else(|| random.to_string(), |place| format!("{random}-{place}"))
    }

    /// Whether an identifier was given at another place: then the state was copied together with its workspace.
    pub(crate) fn is_copied(&self, id: &str) -> bool {
        let given = id.get(uuid::fmt::Hyphenated::LENGTH + 1..);
        given.zip(self.place()).is_some_and(|(given, place)| given != place)
    }

    /// What is known of a target; when it was copied, with marks that no side carries. What the original agreed on
    /// is not this workspace's: it must not remove anything because of that.
    pub(crate) fn doubted(&self, mut state: TargetState) -> TargetState {
        if self.is_copied(&state.id) {
            let nowhere = || Some(Mark("of the workspace that this is a copy of".to_owned()));
            state.marks = Sides { local: nowhere(), remote: nowhere() };
            state.pending_mark = None;
        }
        state
    }
}

/// The error for a target that was never seen.
pub(crate) fn unknown(name: &str) -> Error {
    Error::not_found(format!("the state knows no target {name:?}"))
}
