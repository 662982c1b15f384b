//! Pauses: targets that people have asked to be left alone.

use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};
use syncline_core::Nanos;

use crate::database::begin;
use crate::error::Result;
use crate::news::{self, Happening};
use crate::records::Pause;
use crate::seal::Seal;
use crate::store::Store;

impl Pause {
    /// Whether it counts at a moment: its end is part of it no more.
    #[must_use]
    pub fn is_on(&self, now: Nanos) -> bool {
        self.until.is_none_or(|until| now < until)
    }

    fn seal(&self) -> Seal {
        Seal::of("pauses").text(&self.target).text(&self.reason).number(self.since).number_option(self.until)
    }

    pub(crate) fn read(row: &SqliteRow) -> Result<Self> {
        let pause = Self {
            target: row.try_get(0)?,
            reason: row.try_get(1)?,
            since: row.try_get(2)?,
            until: row.try_get(3)?,
        };
        let seal: Vec<u8> = row.try_get(4)?;
        pause.seal().check(&seal, &format!("the pause of the target {:?}", pause.target))?;
        Ok(pause)
    }

    /// All pauses, by target.
    pub(crate) async fn load_all(connection: &mut SqliteConnection) -> Result<Vec<Self>> {
        const SELECT: &str = "SELECT target, reason, since, until, seal FROM pauses ORDER BY target";
        sqlx::query(SELECT).fetch_all(connection).await?.iter().map(Self::read).collect()
    }
}

impl Store {
    /// Remembers a pause; one that the target has already is replaced.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn pause(&self, pause: &Pause) -> Result<()> {
        const UPSERT: &str = "INSERT INTO pauses (target, reason, since, until, seal) VALUES (?1, ?2, ?3, ?4, ?5) \
             ON CONFLICT (target) DO UPDATE SET reason = excluded.reason, since = excluded.since, \
             until = excluded.until, seal = excluded.seal";
        let mut connection = self.database().writer().await;
        let mut transaction = begin(&mut connection).await?;
        sqlx::query(UPSERT)
            .bind(&pause.target)
            .bind(&pause.reason)
            .bind(pause.since)
            .bind(pause.until)
            .bind(pause.seal().finish())
            .execute(&mut *transaction)
            .await?;
        news::tell(&mut transaction, &pause.target, pause.since, &Happening::from(pause)).await?;
        Ok(transaction.commit().await?)
    }

    /// Forgets the pause of a target, also a damaged one; whether there was any.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn resume(&self, target: &str, now: Nanos) -> Result<bool> {
        const FORGET: &str = "DELETE FROM pauses WHERE target = ?1";
        let mut connection = self.database().writer().await;
        let mut transaction = begin(&mut connection).await?;
        let forgotten = sqlx::query(FORGET).bind(target).execute(&mut *transaction).await?;
        let was_paused = forgotten.rows_affected() > 0;
        if was_paused {
            news::tell(&mut transaction, target, now, &Happening::Resumed).await?;
        }
        transaction.commit().await?;
        Ok(was_paused)
    }

    /// The pause of a target, also one that has come to its end.
    ///
    /// # Errors
    /// When the database fails or the row is damaged.
    pub async fn paused(&self, target: &str) -> Result<Option<Pause>> {
        const SELECT: &str = "SELECT target, reason, since, until, seal FROM pauses WHERE target = ?1";
        let mut connection = self.database().reader().await?;
        let row = sqlx::query(SELECT).bind(target).fetch_optional(&mut *connection).await?;
        row.as_ref().map(Pause::read).transpose()
    }

    /// All pauses, by target.
    ///
    /// # Errors
    /// When the database fails or a row is damaged.
    pub async fn pauses(&self) -> Result<Vec<Pause>> {
        let mut connection = self.database().reader().await?;
        Pause::load_all(&mut connection).await
    }
}
