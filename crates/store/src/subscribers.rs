//! Subscribers: the webhooks that are told of news, and how far each has been told.

use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};
use syncline_core::Nanos;

use crate::database::begin;
use crate::error::Result;
use crate::outgoing::give_up;
use crate::rows;
use crate::seal::Seal;
use crate::store::Store;

/// Somebody who is told of news.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscriber {
    /// The webhook.
    pub webhook: String,
    /// The place of the last piece of news that it was told of, or that is none of its business.
    pub after: i64,
    /// When its receiver said that it wants nothing any more.
    pub gone: Option<Nanos>,
}

impl Subscriber {
    /// Reads a row of all columns, as they stand in its table.
    pub(crate) fn read(row: &SqliteRow) -> Result<Self> {
        let subscriber = Self { webhook: row.try_get(0)?, after: row.try_get(1)?, gone: row.try_get(2)? };
        let stored: Vec<u8> = row.try_get(3)?;
        let what = format!("what the webhook {:?} was told", subscriber.webhook);
        subscriber.seal().check(&stored, &what)?;
        Ok(subscriber)
    }

    fn seal(&self) -> Seal {
        Seal::of("subscribers").text(&self.webhook).number(self.after).number_option(self.gone)
    }

    /// Writes its row.
    pub(crate) async fn save(&self, connection: &mut SqliteConnection) -> Result<()> {
        const UPSERT: &str = "INSERT INTO subscribers (webhook, after, gone, seal) VALUES (?1, ?2, ?3, ?4) \
             ON CONFLICT (webhook) DO UPDATE SET after = excluded.after, gone = excluded.gone, seal = excluded.seal";
        sqlx::query(UPSERT)
            .bind(&self.webhook)
            .bind(self.after)
            .bind(self.gone)
            .bind(self.seal().finish())
            .execute(connection)
            .await?;
        Ok(())
    }
}

/// The place of the newest piece of news: what was given out last counts, also when nothing of it is left.
const NEWEST: &str = "SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'news'), 0)";

/// Those who are told, by name. One whose row is damaged is left out, so that it holds up nobody else.
pub(crate) async fn load_all(connection: &mut SqliteConnection) -> Result<Vec<Subscriber>> {
    const SELECT: &str = "SELECT webhook, after, gone, seal FROM subscribers ORDER BY webhook";
    let rows = sqlx::query(SELECT).fetch_all(connection).await?;
    Ok(rows.iter().filter_map(|row| Subscriber::read(row).ok()).collect())
}

/// Begins anew with those whose rows are damaged: they are told of everything that is still there, since nobody knows what
/// they were told, and news are there until everybody was.
pub(crate) async fn mend(connection: &mut SqliteConnection) -> Result<()> {
    const SELECT: &str = "SELECT webhook, after, gone, seal, rowid FROM subscribers";
    const OLDEST: &str = "SELECT min(seq) FROM news";
    let rows = sqlx::query(SELECT).fetch_all(&mut *connection).await?;
    for row in rows.iter().filter(|row| Subscriber::read(row).is_err()) {
        rows::set_aside(connection, "subscribers", row.try_get(4)?).await?;
        // One whose name is lost as well comes back with the next start, as a new one.
        let Ok(webhook) = row.try_get::<String, _>(0) else { continue };
        let oldest: Option<i64> = sqlx::query_scalar(OLDEST).fetch_one(&mut *connection).await?;
        let after = match oldest {
            Some(oldest) => oldest - 1,
            None => sqlx::query_scalar(NEWEST).fetch_one(&mut *connection).await?,
        };
        tracing::warn!(webhook, "what it was told could not be read: it may be told of the same twice");
        Subscriber { webhook, after, gone: None }.save(connection).await?;
    }
    Ok(())
}

/// The names of all, damaged or not.
async fn names(connection: &mut SqliteConnection) -> Result<Vec<String>> {
    const SELECT: &str = "SELECT webhook FROM subscribers";
    let rows = sqlx::query(SELECT).fetch_all(connection).await?;
    Ok(rows.iter().filter_map(|row| row.try_get(0).ok()).collect())
}

/// Remembers whether the receiver of a webhook wants nothing any more.
pub(crate) async fn set_gone(
    connection: &mut SqliteConnection,
    webhook: &str,
    gone: Option<Nanos>,
) -> Result<()> {
    let known = load_all(connection).await?;
    match known.into_iter().find(|subscriber| subscriber.webhook == webhook) {
        Some(subscriber) if subscriber.gone.is_some() != gone.is_some() => {
            Subscriber { gone, ..subscriber }.save(connection).await
        }
        _ => Ok(()),
    }
}

impl Store {
    /// Lets webhooks be told of what happens from now on. Those that are known already go on where they are.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn subscribe(&self, webhooks: &[String]) -> Result<()> {
        if webhooks.is_empty() {
            return Ok(());
        }
        let known = names(&mut *self.database().reader().await?).await?;
        if webhooks.iter().all(|webhook| known.contains(webhook)) {
            return Ok(());
        }
        let mut connection = self.database().writer().await;
        let mut transaction = begin(&mut connection).await?;
        let after: i64 = sqlx::query_scalar(NEWEST).fetch_one(&mut *transaction).await?;
        let known = names(&mut transaction).await?;
        for webhook in webhooks.iter().filter(|webhook| !known.contains(webhook)) {
            Subscriber { webhook: webhook.clone(), after, gone: None }.save(&mut transaction).await?;
        }
        Ok(transaction.commit().await?)
    }

    /// Forgets webhooks other than these: nothing more is made for them, and what waits is given up. Those whose rows are
    /// damaged are begun with anew.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn keep_subscribers(&self, webhooks: &[String], now: Nanos) -> Result<()> {
        const FORGET: &str = "DELETE FROM subscribers WHERE webhook = ?1";
        const WAITING: &str = "SELECT seq FROM messages WHERE webhook = ?1 AND state = 'waiting'";
        const CLEAR: &str = "DELETE FROM news WHERE NOT EXISTS (SELECT 1 FROM subscribers)";
        const CLEAR_UNTOLD: &str = "DELETE FROM untold WHERE NOT EXISTS (SELECT 1 FROM subscribers)";
        let mut connection = self.database().writer().await;
        let mut transaction = begin(&mut connection).await?;
        for webhook in names(&mut transaction).await?.iter().filter(|webhook| !webhooks.contains(webhook)) {
            sqlx::query(FORGET).bind(webhook).execute(&mut *transaction).await?;
            let waiting: Vec<i64> =
                sqlx::query_scalar(WAITING).bind(webhook).fetch_all(&mut *transaction).await?;
            give_up(&mut transaction, &waiting, "the file no longer names this webhook", now).await?;
        }
        mend(&mut transaction).await?;
        sqlx::query(CLEAR).execute(&mut *transaction).await?;
        sqlx::query(CLEAR_UNTOLD).execute(&mut *transaction).await?;
        transaction.commit().await?;
        drop(connection);
        self.subscribe(webhooks).await
    }

    /// Begins anew with those whose rows are damaged, which are told of everything that is still there.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn mend_subscribers(&self) -> Result<()> {
        let mut connection = self.database().writer().await;
        let mut transaction = begin(&mut connection).await?;
        mend(&mut transaction).await?;
        Ok(transaction.commit().await?)
    }

    /// Those who are told of news, by name. One whose row is damaged is left out until it is begun with anew.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn subscribers(&self) -> Result<Vec<Subscriber>> {
        let mut connection = self.database().reader().await?;
        load_all(&mut connection).await
    }
}
