//! Leases: who may change a target, fenced by an epoch; and approvals.

use sqlx::SqliteConnection;
use syncline_core::Nanos;

use crate::database::begin;
use crate::error::{Error, Result};
use crate::records::{Lease, TargetState};
use crate::runs::RunRow;
use crate::seal::Seal;
use crate::store::Store;
use crate::targets::{TargetRow, unknown};

/// Who wants to change a target, and under which conditions.
pub(crate) struct Claim<'a> {
    pub(crate) target: &'a str,
    /// The epoch at which it was looked at, where nobody may have had it since.
    pub(crate) seen: Option<i64>,
    pub(crate) holder: &'a str,
    pub(crate) now: Nanos,
    pub(crate) ttl_ns: i64,
    pub(crate) force: bool,
}

/// The target's row, when `lease` is still the one that holds it. To be called inside the transaction that
/// changes something.
///
/// # Errors
/// [`crate::ErrorKind::Locked`] when somebody else acquired the target since, or the lease was released.
pub(crate) async fn fence(connection: &mut SqliteConnection, lease: &Lease) -> Result<TargetRow> {
    let row = TargetRow::load(connection, &lease.target).await?.ok_or_else(|| unknown(&lease.target))?;
    if row.state.epoch == lease.epoch && row.holder.as_ref() == Some(&lease.holder) {
        return Ok(row);
    }
    let holder = row.holder.as_deref().unwrap_or("nobody");
    Err(Error::locked(format!(
        "the lease of {} on the target {:?} is no longer valid: {holder} holds it now (epoch {}, not {})",
        lease.holder, lease.target, row.state.epoch, lease.epoch
    )))
}

impl Store {
    /// Acquires the right to change a target for `ttl_ns` nanoseconds from `now`; earlier leases end.
    ///
    /// - The same holder may acquire again; `force` takes it from another one.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Locked`] when another holder's lease has not expired and `force` is not set.
    pub async fn acquire(
        &self,
        target: &str,
        holder: &str,
        now: Nanos,
        ttl_ns: i64,
        force: bool,
    ) -> Result<Lease> {
        let mut connection = self.database().writer().await;
        let mut transaction = begin(&mut connection).await?;
        let claim = Claim { target, seen: None, holder, now, ttl_ns, force };
        let lease = self.lease_within(&mut transaction, claim).await?;
        transaction.commit().await?;
        Ok(lease)
    }

    /// Whether nobody changes a target, and no earlier run has left anything to take over. Whoever only looks needs no
    /// lease then: [`Store::open_run`] takes it when there is something to change after all.
    ///
    /// # Errors
    /// When the database fails or a row is damaged.
    pub async fn is_at_rest(&self, target: &str) -> Result<bool> {
        let mut connection = self.database().reader().await?;
        let Some(row) = TargetRow::load(&mut connection, target).await? else { return Ok(false) };
        let free = row.holder.is_none() && !self.is_copied(&row.state.id);
        Ok(free && RunRow::unfinished(&mut connection, target).await?.is_empty())
    }

    /// Acquires a target inside of a transaction.
    pub(crate) async fn lease_within(
        &self,
        transaction: &mut SqliteConnection,
        claim: Claim<'_>,
    ) -> Result<Lease> {
        let Claim { target, seen, holder, now, ttl_ns, force } = claim;
        let mut row = TargetRow::load_or_make(transaction, target, self.new_id(target)).await?;
        if self.is_copied(&row.state.id) {
            // From now on original and copy leave their marks beside each other.
            row.state = TargetState { id: self.new_id(target), ..self.doubted(row.state) };
        }
        let expired = row.expires.is_none_or(|expires| expires <= now);
        if let Some(other) = row.holder.as_deref().filter(|other| *other != holder && !expired && !force) {
            return Err(Error::locked(format!("the target {target:?} is being changed by {other}")));
        }
        if seen.is_some_and(|seen| seen != row.state.epoch) {
            let message =
                format!("the target {target:?} was changed by another run while this one looked at it");
            return Err(Error::locked(message).with_hint("run again"));
        }
        row.state.epoch += 1;
        row.holder = Some(holder.to_owned());
        row.expires = Some(now.saturating_add(ttl_ns));
        row.save(transaction).await?;
        Ok(Lease { target: target.to_owned(), holder: holder.to_owned(), epoch: row.state.epoch })
    }

    /// Gives a lease back. One that is stale already needs nothing.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn release(&self, lease: Lease) -> Result<()> {
        let mut connection = self.database().writer().await;
        let mut transaction = begin(&mut connection).await?;
        let row = TargetRow::load(&mut transaction, &lease.target).await?;
        let Some(mut row) = row.filter(|row| row.state.epoch == lease.epoch) else {
            return Ok(());
        };
        row.holder = None;
        row.expires = None;
        row.save(&mut transaction).await?;
        Ok(transaction.commit().await?)
    }

    /// Prolongs a lease to `ttl_ns` nanoseconds from `now`.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Locked`] when it is stale.
    pub async fn renew(&self, lease: &Lease, now: Nanos, ttl_ns: i64) -> Result<()> {
        self.change_target(lease, |row| row.expires = Some(now.saturating_add(ttl_ns))).await
    }

    /// Approves one plan of a target, once.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn approve(&self, target: &str, plan_hash: &str, now: Nanos) -> Result<()> {
        const UPSERT: &str = "INSERT INTO approvals (target, plan_hash, given, seal) VALUES (?1, ?2, ?3, ?4) \
             ON CONFLICT (target, plan_hash) DO UPDATE SET given = excluded.given, seal = excluded.seal";
        let seal = approval_seal(target, plan_hash, now).finish();
        let mut connection = self.database().writer().await;
        sqlx::query(UPSERT)
            .bind(target)
            .bind(plan_hash)
            .bind(now)
            .bind(seal)
            .execute(&mut *connection)
            .await?;
        Ok(())
    }

    /// Takes the approval of a plan; `false` when there is none (any more).
    ///
    /// # Errors
    /// When the database fails or the row is damaged.
    pub async fn take_approval(&self, target: &str, plan_hash: &str) -> Result<bool> {
        const TAKE: &str = "DELETE FROM approvals WHERE target = ?1 AND plan_hash = ?2 RETURNING given, seal";
        let mut connection = self.database().writer().await;
        let mut transaction = begin(&mut connection).await?;
        let taken: Option<(i64, Vec<u8>)> =
            sqlx::query_as(TAKE).bind(target).bind(plan_hash).fetch_optional(&mut *transaction).await?;
        if let Some((given, seal)) = &taken {
            approval_seal(target, plan_hash, *given).check(seal, "an approval")?;
        }
        transaction.commit().await?;
        Ok(taken.is_some())
    }
}

fn approval_seal(target: &str, plan_hash: &str, given: Nanos) -> Seal {
    Seal::of("approvals").text(target).text(plan_hash).number(given)
}
