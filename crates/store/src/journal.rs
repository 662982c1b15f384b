//! The journal: what a run did, appended while it runs, folded into the baseline when it ends.

use sqlx::{Row, SqliteConnection};
use syncline_core::{Digest, Mark, Nanos, Sides};

use crate::database::begin;
use crate::error::{Error, ErrorKind, Result};
use crate::fold::{Folded, fold};
use crate::layers::encode_deltas;
use crate::lease::{Claim, fence};
use crate::news;
use crate::records::{Delta, Layer, Lease, RunFinish, RunStart, RunState, TargetState};
use crate::runs::{RunRow, journal_of, journal_seal, unknown};
use crate::store::Store;
use crate::targets::{TargetRow, unknown as unknown_target};

/// By which right a run begins.
#[derive(Clone, Copy, Debug)]
pub enum Right<'a> {
    /// By a lease that is held.
    Held(&'a Lease),
    /// By one that is acquired, if nobody else has had the target since it was looked at.
    AsSeen {
        /// The target as it was when it was looked at.
        seen: &'a TargetState,
        /// Who acquires it.
        holder: &'a str,
        /// The moment.
        now: Nanos,
        /// For how many nanoseconds.
        ttl_ns: i64,
    },
}

/// What a run says of its target when it begins.
#[derive(Clone, Debug)]
pub struct Opening {
    /// Whether the baseline and the marks are forgotten, because they cannot be trusted. The history of runs stays; what
    /// unfinished runs had appended will not become baseline.
    pub forget: bool,
    /// What identifies the endpoint of the target.
    pub identity: String,
    /// The marks that the sides are known to carry.
    pub known: Sides<Option<Mark>>,
    /// The mark that is about to be left on them; [`Store::finish_run`] with marks settles it.
    pub pending: Mark,
}

impl Store {
    /// Begins a run of a target whose lease is held, or acquires it: all of it, or nothing, in one transaction.
    ///
    /// # Errors
    /// [`ErrorKind::Locked`] when the lease is stale, or when somebody has acquired the target since it was looked at or
    /// has it now; [`ErrorKind::Io`] when the identifier is taken.
    pub async fn open_run(&self, right: Right<'_>, opening: &Opening, run: &RunStart) -> Result<Lease> {
        let mut connection = self.database().writer().await;
        let mut transaction = begin(&mut connection).await?;
        let lease = match right {
            Right::Held(lease) => lease.clone(),
            Right::AsSeen { seen, holder, now, ttl_ns } => {
                // Every lease has an epoch of its own: what was seen still holds exactly when the epoch is the same.
                let (target, seen) = (&*seen.name, Some(seen.epoch));
                let claim = Claim { target, seen, holder, now, ttl_ns, force: false };
                self.lease_within(&mut transaction, claim).await?
            }
        };
        let mut row = fence(&mut transaction, &lease).await?;
        if opening.forget {
            row.forget_baseline(&mut transaction).await?;
        }
        row.state.identity = Some(opening.identity.clone());
        row.state.marks = opening.known.clone();
        row.state.pending_mark = Some(opening.pending.clone());
        row.save(&mut transaction).await?;
        insert_run(&mut transaction, &lease, run).await?;
        transaction.commit().await?;
        if opening.forget {
            self.cache().forget(&row.state.id);
        }
        Ok(lease)
    }

    /// Records a run that changes nothing about its target, such as one that was halted.
    ///
    /// # Errors
    /// [`ErrorKind::Locked`] when the lease is stale; [`ErrorKind::Io`] when the identifier is taken.
    pub async fn begin_run(&self, lease: &Lease, run: &RunStart) -> Result<()> {
        let mut connection = self.database().writer().await;
        let mut transaction = begin(&mut connection).await?;
        fence(&mut transaction, lease).await?;
        insert_run(&mut transaction, lease, run).await?;
        Ok(transaction.commit().await?)
    }

    /// Appends what a run did; it is durable when this returns. A path may be appended again.
    ///
    /// # Errors
    /// [`ErrorKind::Locked`] when the lease is stale; then, and on any other failure, nothing was appended.
    pub async fn append(&self, lease: &Lease, run: &str, entries: &[Delta]) -> Result<()> {
        const INSERT: &str =
            "INSERT INTO journal (run, position, digest, records, seal) VALUES (?1, ?2, ?3, ?4, ?5)";
        const NEXT: &str = "SELECT count(*) FROM journal WHERE run = ?1";
        let layer = if entries.is_empty() {
            None
        } else {
            // Encoding here spares a copy of the entries; only making it durable takes long enough to wait for.
            let writer = encode_deltas(self.objects(), entries)?;
            Some(self.blocking(move |_| writer.finish(false)).await?)
        };
        let mut connection = self.database().writer().await;
        let mut transaction = begin(&mut connection).await?;
        fence(&mut transaction, lease).await?;
        let row = unfinished(&mut transaction, lease, run).await?;
        if let Some(Layer { digest, records, .. }) = layer {
            let position: i64 =
                sqlx::query(NEXT).bind(row.seq).fetch_one(&mut *transaction).await?.try_get(0)?;
            let records = records.cast_signed();
            sqlx::query(INSERT)
                .bind(row.seq)
                .bind(position)
                .bind(&digest.0[..])
                .bind(records)
                .bind(journal_seal(row.seq, position, &digest.0, records).finish())
                .execute(&mut *transaction)
                .await?;
        }
        Ok(transaction.commit().await?)
    }

    /// Ends a run: folds what it appended into the next baseline and, when `marks` are given, remembers that
    /// each side shows its mark (or none) and that none is pending.
    ///
    /// # Errors
    /// [`ErrorKind::Locked`] when the lease is stale; [`ErrorKind::Damaged`] when the baseline or the journal
    /// is. The run then has not ended.
    pub async fn finish_run(
        &self,
        lease: &Lease,
        run: &str,
        finish: &RunFinish,
        marks: Option<Sides<Option<Mark>>>,
    ) -> Result<()> {
        let (row, target, pieces) = {
            let mut connection = self.database().reader().await?;
            let target = TargetRow::load(&mut connection, &lease.target).await?;
            let target = target.ok_or_else(|| unknown_target(&lease.target))?;
            let row = unfinished(&mut connection, lease, run).await?;
            let pieces = journal_of(&mut connection, row.seq).await?;
            (row, target, pieces)
        };
        let folded = self.fold_pieces(&target, pieces.clone()).await?;
        let obsolete = self.end_run(lease, row, &target, &pieces, folded, finish.clone(), marks).await?;
        self.remove_obsolete(obsolete).await;
        Ok(())
    }

    async fn fold_pieces(&self, target: &TargetRow, pieces: Vec<Layer>) -> Result<Folded> {
        let (id, pointer) = (target.state.id.clone(), target.state.pointer.clone());
        if pieces.is_empty() {
            return Ok(Folded { pieces, pointer, obsolete: Vec::new() });
        }
        self.blocking(move |store| fold(store.cache(), store.objects(), &id, &pointer, pieces)).await
    }

    /// Moves the pointer and ends the run in one transaction; returns what may be removed afterwards.
    #[expect(clippy::too_many_arguments, reason = "everything that one transaction compares and writes")]
    async fn end_run(
        &self,
        lease: &Lease,
        mut row: RunRow,
        seen: &TargetRow,
        pieces: &[Layer],
        folded: Folded,
        finish: RunFinish,
        marks: Option<Sides<Option<Mark>>>,
    ) -> Result<Vec<Digest>> {
        const CLEAR: &str = "DELETE FROM journal WHERE run = ?1";
        let mut connection = self.database().writer().await;
        let mut transaction = begin(&mut connection).await?;
        let mut target = fence(&mut transaction, lease).await?;
        unfinished(&mut transaction, lease, &row.start.id).await?;
        let moved = target.state.pointer != seen.state.pointer;
        if moved || journal_of(&mut transaction, row.seq).await? != pieces {
            return Err(Error::locked(format!(
                "the target {:?} was changed while the run {:?} ended",
                lease.target, row.start.id
            )));
        }
        target.state.pointer = folded.pointer;
        if let Some(marks) = marks {
            target.state.marks = marks;
            target.state.pending_mark = None;
        }
        target.save(&mut transaction).await?;
        row.layers = folded.pieces;
        row.finish = Some(finish);
        row.save_finish(&mut transaction).await?;
        news::note_untold(&mut transaction, &row.start.id).await?;
        sqlx::query(CLEAR).bind(row.seq).execute(&mut *transaction).await?;
        let obsolete = unreferenced(&mut transaction, folded.obsolete).await?;
        transaction.commit().await?;
        Ok(obsolete)
    }

    /// Removes objects that nothing needs any more. What stays is left for [`Store::prune`].
    async fn remove_obsolete(&self, obsolete: Vec<Digest>) {
        if obsolete.is_empty() {
            return;
        }
        let remove = move |store: &Self| {
            obsolete.iter().try_for_each(|digest| store.objects().remove(digest).map(drop))
        };
        if let Err(error) = self.blocking(remove).await {
            tracing::warn!(%error, "obsolete objects could not be removed");
        }
    }

    /// Whether a run of the leased target was cut short and is still to be recovered.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Locked`] when the lease is stale; otherwise when the database fails.
    pub async fn is_interrupted(&self, lease: &Lease) -> Result<bool> {
        let mut connection = self.database().writer().await;
        fence(&mut connection, lease).await?;
        Ok(!RunRow::unfinished(&mut connection, &lease.target).await?.is_empty())
    }

    /// Ends the runs of a target that were cut short: what they appended is folded into the baseline. Returns
    /// their identifiers, the oldest first.
    ///
    /// # Errors
    /// As [`Store::finish_run`]; after damage, [`Store::reset_baseline`] lets them end without their journal.
    pub async fn recover(&self, lease: &Lease, now: Nanos) -> Result<Vec<String>> {
        let runs = {
            let mut connection = self.database().writer().await;
            fence(&mut connection, lease).await?;
            RunRow::unfinished(&mut connection, &lease.target).await?
        };
        let mut recovered = Vec::new();
        for run in runs {
            let records: u64 = {
                let mut connection = self.database().reader().await?;
                journal_of(&mut connection, run.seq).await?.iter().map(|layer| layer.records).sum()
            };
            let finish = RunFinish {
                finished: now,
                state: RunState::Interrupted,
                message: "the run was cut short; what it had done was recovered".to_owned(),
                steps: records,
                bytes: 0,
                conflicts: 0,
                report: "{}".to_owned(),
            };
            self.finish_run(lease, &run.start.id, &finish, None).await?;
            recovered.push(run.start.id);
        }
        Ok(recovered)
    }
}

/// The run of the leased target, which must not have ended.
async fn unfinished(connection: &mut SqliteConnection, lease: &Lease, run: &str) -> Result<RunRow> {
    let row = RunRow::load(connection, run).await?.ok_or_else(|| unknown(run))?;
    if row.start.target != lease.target {
        let message = format!("the run {run:?} is not one of the leased target {:?}", lease.target);
        return Err(Error::new(ErrorKind::Denied, message));
    }
    match &row.finish {
        None => Ok(row),
        // Only another holder can have ended it, by recovering it.
        Some(finish) => Err(Error::locked(format!("the run {run:?} has ended already: {}", finish.state))),
    }
}

/// Those of `digests` that no target's baseline and no run points at.
async fn unreferenced(connection: &mut SqliteConnection, digests: Vec<Digest>) -> Result<Vec<Digest>> {
    const REMEMBERED: &str = "SELECT EXISTS (SELECT 1 FROM runs WHERE instr(deltas, ?1) > 0) \
         OR EXISTS (SELECT 1 FROM journal WHERE digest = ?1)";
    if digests.is_empty() {
        return Ok(digests);
    }
    let targets = TargetRow::load_all(connection).await?;
    let mut free = Vec::new();
    for digest in digests {
        let pointed = targets.iter().any(|row| {
            let pointer = &row.state.pointer;
            pointer.base == Some(digest) || pointer.layers.iter().any(|layer| layer.digest == digest)
        });
        if pointed || sqlx::query_scalar(REMEMBERED).bind(&digest.0[..]).fetch_one(&mut *connection).await? {
            continue;
        }
        free.push(digest);
    }
    Ok(free)
}

async fn insert_run(connection: &mut SqliteConnection, lease: &Lease, run: &RunStart) -> Result<()> {
    if run.target != lease.target {
        let message = format!("the run {:?} is not one of the leased target {:?}", run.id, lease.target);
        return Err(Error::new(ErrorKind::Denied, message));
    }
    if RunRow::load(connection, &run.id).await?.is_some() {
        return Err(Error::new(ErrorKind::Io, format!("there is a run {:?} already", run.id)));
    }
    let seq = RunRow::next_seq(connection).await?;
    RunRow { seq, start: run.clone(), finish: None, layers: Vec::new() }.insert(connection).await
}
