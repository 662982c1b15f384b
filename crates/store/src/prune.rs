//! Forgetting what is old, and checking what is left.

use std::collections::HashSet;
use std::time::{Duration, SystemTime};

use sqlx::SqliteConnection;
use syncline_core::{Digest, Nanos, baseline};

use crate::baseline_file::{BaseFile, BaseFrames};
use crate::conflicts;
use crate::database::{begin, check_integrity};
use crate::error::{BASELINE_HINT, Error, Result};
use crate::layers::visit_contents;
use crate::merge::merge;
use crate::objects::Objects;
use crate::overlay::{Layered, digests};
use crate::records::Pointer;
use crate::runs::{RunRow, journal_of};
use crate::store::Store;
use crate::targets::TargetRow;

/// An object is never removed sooner than this after it was put: a run may be about to refer to it.
const AGE_MIN: Duration = Duration::from_secs(3600);

/// What to do about a row that stands for itself.
const ROW_HINT: &str =
    "`syncline scrub` tells what to do about it; with `--repair` it sets aside what nobody decided on";
/// What to do about the record of what a run changed.
const CHANGES_HINT: &str =
    "`syncline scrub --repair` mends it or sets it aside; then that run cannot be rolled back any more";

/// What [`Store::prune`] removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Runs forgotten.
    pub runs: u64,
    /// Objects removed.
    pub objects: u64,
    /// Bytes that they took.
    pub bytes: u64,
}

/// What the database points at.
struct Roots {
    /// Baselines, each with the name of its target.
    pointers: Vec<(String, Pointer)>,
    /// Delta objects of runs and of the journal, each with the identifier of its run.
    deltas: Vec<(String, Digest)>,
    /// Contents of conflicts.
    contents: HashSet<Digest>,
}

impl Roots {
    async fn load(connection: &mut SqliteConnection) -> Result<Self> {
        let targets = TargetRow::load_all(connection).await?;
        let pointers = targets.into_iter().map(|row| (row.state.name, row.state.pointer)).collect();
        let mut deltas = Vec::new();
        for run in RunRow::load_all(connection).await? {
            let journal = journal_of(connection, run.seq).await?;
            deltas.extend(
                digests(&run.layers).chain(digests(&journal)).map(|digest| (run.start.id.clone(), *digest)),
            );
        }
        let conflicts = conflicts::load_all(connection).await?;
        let items = conflicts.iter().flat_map(|record| {
            record
                .base
                .iter()
                .chain([&record.versions.local, &record.versions.remote])
                .chain(record.merged_or_pending())
        });
        Ok(Self { pointers, deltas, contents: items.filter_map(|item| item.digest).collect() })
    }

    /// Takes everything that the roots refer to out of `candidates`. Blocks.
    ///
    /// What was set aside refers to nothing that anybody could still ask for through it.
    fn spare(&self, objects: &Objects, candidates: &mut HashSet<Digest>) -> Result<()> {
        candidates.retain(|digest| !self.contents.contains(digest));
        let layers = self.pointers.iter().flat_map(|(_, pointer)| digests(&pointer.layers));
        let deltas: HashSet<Digest> =
            self.deltas.iter().map(|(_, digest)| digest).chain(layers).copied().collect();
        for delta in deltas.iter().filter(|delta| !objects.is_set_aside(delta)) {
            candidates.remove(delta);
            visit_contents(objects, delta, &mut |digest| {
                candidates.remove(&digest);
            })?;
        }
        let bases = self.pointers.iter().filter_map(|(_, pointer)| pointer.base.as_ref());
        for base in bases.filter(|base| !objects.is_set_aside(base)) {
            candidates.remove(base);
            let base = std::sync::Arc::new(BaseFile::open(objects, base)?);
            merge(vec![BaseFrames::boxed(base)], |group| {
                if let Some(entry) = group.newest().record()?.after {
                    candidates.remove(&entry.digest);
                }
                Ok(())
            })?;
        }
        Ok(())
    }
}

impl Store {
    /// Forgets runs that ended before `keep_since`, approvals given before it, and every object that nothing
    /// refers to any more: no remembered run, baseline, conflict or journal.
    ///
    /// - An object stays for an hour after it was put, and while a run goes on that began before it was put.
    /// - In memory, where there is no clock, what was put since the last call stays.
    ///
    /// # Errors
    /// When the database fails, or something that refers to objects is damaged; then no object is removed.
    pub async fn prune(&self, keep_since: Nanos) -> Result<Pruned> {
        const FORGET: &str = "DELETE FROM runs WHERE state IS NOT NULL AND finished < ?1";
        const EXPIRE: &str = "DELETE FROM approvals WHERE given < ?1";
        let (roots, age_min, runs) = {
            let mut connection = self.database().writer().await;
            let mut transaction = begin(&mut connection).await?;
            let forgotten = sqlx::query(FORGET).bind(keep_since).execute(&mut *transaction).await?;
            sqlx::query(EXPIRE).bind(keep_since).execute(&mut *transaction).await?;
            let roots = Roots::load(&mut transaction).await?;
            let age_min = age_min(Self::oldest_unfinished(&mut transaction).await?);
            transaction.commit().await?;
            (roots, age_min, forgotten.rows_affected())
        };
        let sweep = move |store: &Self| {
            let objects = store.objects();
            let mut candidates = HashSet::new();
            objects.list(&mut |digest, _| {
                candidates.insert(digest);
            })?;
            let bases = store.bases().list()?;
            candidates.extend(&bases);
            roots.spare(objects, &mut candidates)?;
            store.bases().forget(&bases.intersection(&candidates).copied().collect())?;
            let mut pruned = Pruned { runs, ..Pruned::default() };
            for digest in candidates {
                if let Some(bytes) = objects.remove_older(&digest, age_min)? {
                    pruned.objects += 1;
                    pruned.bytes += bytes;
                }
            }
            objects.age();
            Ok(pruned)
        };
        self.blocking(sweep).await
    }

    /// Checks the database and everything that it points at; returns what was found, each with what to do about it.
    ///
    /// # Errors
    /// When it could not be checked.
    pub async fn check(&self) -> Result<Vec<Error>> {
        let mut findings = Vec::new();
        let rows = self.damaged_rows().await?.1.into_iter();
        findings.extend(rows.map(|row| Error::damaged(row.message).with_hint(ROW_HINT)));
        let roots = {
            let mut connection = self.database().reader().await?;
            if let Err(error) = check_integrity(&mut connection).await {
                findings.push(error);
            }
            match Roots::load(&mut connection).await {
                Ok(roots) => roots,
                Err(error) => {
                    findings.push(error);
                    return Ok(findings);
                }
            }
        };
        let check = move |store: &Self| {
            for (target, pointer) in &roots.pointers {
                if let Err(error) = check_baseline(store.objects(), pointer) {
                    let message = format!("the baseline of {target:?}: {error}");
                    findings.push(Error::damaged(message).with_hint(BASELINE_HINT));
                }
            }
            for (run, delta) in &roots.deltas {
                if store.objects().is_set_aside(delta) {
                    continue;
                }
                if let Err(error) = visit_contents(store.objects(), delta, &mut |_| {}) {
                    let message = format!("the changes of the run {run:?}: {error}");
                    findings.push(Error::damaged(message).with_hint(CHANGES_HINT));
                }
            }
            Ok(findings)
        };
        self.blocking(check).await
    }
}

/// Reads all of a baseline and counts its items.
fn check_baseline(objects: &Objects, pointer: &Pointer) -> Result<()> {
    let layered = Layered::open(objects, pointer, None)?;
    let mut count = 0;
    baseline::visit_all(&layered, &mut |_, _| count += 1)
        .map_err(|error| Error::damaged(error.to_string()))?;
    if count == pointer.count {
        return Ok(());
    }
    Err(Error::damaged(format!("it holds {count} items instead of {}", pointer.count)))
}

/// How old an object must be so that no run can be about to refer to it.
fn age_min(oldest_run: Option<Nanos>) -> Duration {
    let Some(started) = oldest_run.and_then(|started| u64::try_from(started).ok()) else {
        return AGE_MIN;
    };
    let started = SystemTime::UNIX_EPOCH + Duration::from_nanos(started);
    SystemTime::now().duration_since(started).unwrap_or_default() + AGE_MIN
}
