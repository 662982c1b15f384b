//! Messages to programs elsewhere: made of news, kept until they have arrived, and what became of every try.
//!
//! A message is durable before it is sent, under an identifier that stays the same: whoever is killed between a try and its
//! record tries again.

use std::collections::BTreeMap;

use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};
use syncline_core::Nanos;

use crate::codec::malformed;
use crate::database::begin;
use crate::error::Result;
use crate::news::NewsRecord;
use crate::seal::Seal;
use crate::store::Store;
use crate::subscribers::{self, Subscriber};

/// Most messages that wait for one webhook; of more, the oldest are given up.
pub const MESSAGES_WAITING_MAX: i64 = 10_000;
/// Most messages that are remembered when they no longer wait; of more, the oldest are forgotten.
pub const MESSAGES_KEPT_MAX: i64 = 50_000;
/// Most pieces of news that are handed to a webhook at once.
const NEWS_AT_ONCE: i64 = 500;

/// What has become of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageState {
    /// It is to be sent, for the first time or again.
    Waiting,
    /// Its receiver has taken it.
    Delivered,
    /// It was given up.
    Failed,
}

impl MessageState {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Waiting, Self::Delivered, Self::Failed];

    /// Its word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Delivered => "delivered",
            Self::Failed => "failed",
        }
    }

    /// The state of a word.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }
}

/// A message that is to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewMessage {
    /// Tells it from every other message, however often it is sent.
    pub id: String,
    /// The target that it is about; `None` when it is about none.
    pub target: Option<String>,
    /// The type of what it tells.
    pub event: String,
    /// What is sent, byte by byte.
    pub body: String,
}

/// A message, and how far it has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageRecord {
    /// Its place in the order in which messages were made.
    pub seq: i64,
    /// The webhook.
    pub webhook: String,
    /// What is sent.
    pub message: NewMessage,
    /// When it was made.
    pub made: Nanos,
    /// What has become of it.
    pub state: MessageState,
    /// How often it was tried since it began to wait.
    pub tries: u32,
    /// Since when it waits: since it was made, or asked for again.
    pub since: Nanos,
    /// When it is tried next, as long as it waits.
    pub next: Nanos,
}

/// A try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttemptRecord {
    /// When it began.
    pub at: Nanos,
    /// How long it took, in milliseconds.
    pub duration_ms: i64,
    /// The status of the answer, when there was one.
    pub status: Option<u16>,
    /// Why it failed, in one line without an address.
    pub error: Option<String>,
}

/// What a try comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It has arrived.
    Delivered,
    /// It is tried again then.
    Again(Nanos),
    /// It is given up.
    GivenUp,
    /// It is given up, and so is the webhook: its receiver wants nothing any more.
    Gone,
}

/// Which messages to list.
#[derive(Clone, Debug, Default)]
pub struct MessageQuery {
    /// Only those of these webhooks; of all when there are none.
    pub webhooks: Vec<String>,
    /// Only those of these targets.
    pub targets: Option<Vec<String>>,
    /// Only those of which this has become.
    pub state: Option<MessageState>,
    /// Only those that began to wait then or later.
    pub since: Option<Nanos>,
    /// Only the one of this identifier.
    pub id: Option<String>,
    /// Only those before this place.
    pub before: Option<i64>,
    /// At most so many.
    pub limit: u32,
}

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT seq, id, webhook, target, event, body, made, state, tries, since, next, seal FROM messages ",
            $rest
        )
    };
}

fn seal(webhook: &str, message: &NewMessage, made: Nanos) -> Seal {
    Seal::of("messages")
        .text(&message.id)
        .text(webhook)
        .text_option(message.target.as_deref())
        .text(&message.event)
        .text(&message.body)
        .number(made)
}

impl MessageRecord {
    /// Reads a row of all columns, as they stand in its table.
    pub(crate) fn read(row: &SqliteRow) -> Result<Self> {
        let message = NewMessage {
            id: row.try_get(1)?,
            target: row.try_get(3)?,
            event: row.try_get(4)?,
            body: row.try_get(5)?,
        };
        let state: String = row.try_get(7)?;
        let record = Self {
            seq: row.try_get(0)?,
            webhook: row.try_get(2)?,
            message,
            made: row.try_get(6)?,
            state: MessageState::from_name(&state).ok_or_else(malformed)?,
            tries: u32::try_from(row.try_get::<i64, _>(8)?).map_err(|_| malformed())?,
            since: row.try_get(9)?,
            next: row.try_get(10)?,
        };
        let stored: Vec<u8> = row.try_get(11)?;
        let seal = seal(&record.webhook, &record.message, record.made);
        seal.check(&stored, &format!("the message {:?}", record.message.id))?;
        Ok(record)
    }
}

/// Puts a message into the outbox.
async fn put(
    connection: &mut SqliteConnection,
    webhook: &str,
    message: &NewMessage,
    state: MessageState,
    now: Nanos,
) -> Result<i64> {
    const INSERT: &str = "INSERT INTO messages (id, webhook, target, event, body, made, state, tries, since, \
         next, seal) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 0, ?6, ?6, ?8)";
    let inserted = sqlx::query(INSERT)
        .bind(&message.id)
        .bind(webhook)
        .bind(&message.target)
        .bind(&message.event)
        .bind(&message.body)
        .bind(now)
        .bind(state.name())
        .bind(seal(webhook, message, now).finish())
        .execute(connection)
        .await?;
    Ok(inserted.last_insert_rowid())
}

impl AttemptRecord {
    fn seal(&self, message: i64) -> Seal {
        let seal = Seal::of("attempts").number(message).number(self.at).number(self.duration_ms);
        seal.number_option(self.status.map(i64::from)).text_option(self.error.as_deref())
    }

    /// Reads a row of all columns, as they stand in its table.
    pub(crate) fn read(row: &SqliteRow) -> Result<Self> {
        let (message, status): (i64, Option<i64>) = (row.try_get(1)?, row.try_get(4)?);
        let attempt = Self {
            at: row.try_get(2)?,
            duration_ms: row.try_get(3)?,
            status: status.map(u16::try_from).transpose().map_err(|_| malformed())?,
            error: row.try_get(5)?,
        };
        // There is none on what was recorded before tries were sealed.
        if let Some(stored) = row.try_get::<Option<Vec<u8>>, _>(6)? {
            attempt.seal(message).check(&stored, "a try to deliver a message")?;
        }
        Ok(attempt)
    }
}

async fn log(connection: &mut SqliteConnection, message: i64, attempt: &AttemptRecord) -> Result<()> {
    const INSERT: &str = "INSERT INTO attempts (message, at, duration_ms, status, error, seal) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
    sqlx::query(INSERT)
        .bind(message)
        .bind(attempt.at)
        .bind(attempt.duration_ms)
        .bind(attempt.status.map(i64::from))
        .bind(&attempt.error)
        .bind(attempt.seal(message).finish())
        .execute(connection)
        .await?;
    Ok(())
}

/// Gives up messages that wait, and says so in their log.
pub(crate) async fn give_up(
    connection: &mut SqliteConnection,
    places: &[i64],
    why: &str,
    now: Nanos,
) -> Result<()> {
    const UPDATE: &str = "UPDATE messages SET state = 'failed' WHERE seq = ?1";
    for place in places {
        sqlx::query(UPDATE).bind(place).execute(&mut *connection).await?;
        let error = Some(format!("given up: {why}"));
        let attempt = AttemptRecord { at: now, duration_ms: 0, status: None, error };
        log(connection, *place, &attempt).await?;
    }
    Ok(())
}

/// Hands news to a subscriber as messages; whether there is more of it.
async fn hand_on(
    connection: &mut SqliteConnection,
    subscriber: &mut Subscriber,
    compose: &(impl Fn(&Subscriber, Told<'_>) -> Option<NewMessage> + Sync),
    now: Nanos,
) -> Result<bool> {
    const OLDEST: &str = "SELECT min(seq) FROM news";
    let oldest: Option<i64> = sqlx::query_scalar(OLDEST).fetch_one(&mut *connection).await?;
    let lost = oldest.map_or(0, |oldest| oldest - 1 - subscriber.after);
    if lost > 0
        && let Some(message) = compose(subscriber, Told::Lost(lost.unsigned_abs()))
    {
        put(connection, &subscriber.webhook, &message, MessageState::Waiting, now).await?;
    }
    let (news, last) = NewsRecord::after(connection, subscriber.after, NEWS_AT_ONCE).await?;
    let Some(last) = last else { return Ok(false) };
    for told in &news {
        if let Some(message) = compose(subscriber, Told::News(told)) {
            put(connection, &subscriber.webhook, &message, MessageState::Waiting, now).await?;
        }
    }
    subscriber.after = last;
    subscriber.save(connection).await?;
    Ok(news.len() >= usize::try_from(NEWS_AT_ONCE).unwrap_or(usize::MAX))
}

/// What a message is made of.
#[derive(Clone, Copy, Debug)]
pub enum Told<'a> {
    /// Something that happened.
    News(&'a NewsRecord),
    /// So many pieces of news were forgotten, since nobody handed them on for too long.
    Lost(u64),
}

impl Store {
    /// Whether there is anything that was not handed on, or waits.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn has_news(&self) -> Result<bool> {
        const SELECT: &str = "SELECT EXISTS (SELECT 1 FROM news) \
             OR EXISTS (SELECT 1 FROM messages WHERE state = 'waiting')";
        let mut connection = self.database().reader().await?;
        Ok(sqlx::query_scalar(SELECT).fetch_one(&mut *connection).await?)
    }

    /// Makes messages of news, as `compose` says for each subscriber, and forgets the news that nobody needs any more, all
    /// in one transaction; whether there is more to be handed on. What waits since before `waiting_since`, or is too
    /// much, is given up.
    ///
    /// # Errors
    /// When the database fails; then nothing is handed on.
    pub async fn hand_on_news(
        &self,
        compose: impl Fn(&Subscriber, Told<'_>) -> Option<NewMessage> + Sync,
        waiting_since: Nanos,
        now: Nanos,
    ) -> Result<bool> {
        const FORGET: &str = "DELETE FROM news WHERE seq <= (SELECT min(after) FROM subscribers)";
        const OLD: &str = "SELECT seq FROM messages WHERE state = 'waiting' AND since < ?1";
        const MANY: &str = "SELECT seq FROM messages WHERE webhook = ?1 AND state = 'waiting' \
             ORDER BY seq DESC LIMIT -1 OFFSET ?2";
        const OVER: &str = "DELETE FROM messages WHERE state <> 'waiting' \
             AND seq <= (SELECT max(seq) FROM messages) - ?1";
        let mut connection = self.database().writer().await;
        let mut transaction = begin(&mut connection).await?;
        subscribers::mend(&mut transaction).await?;
        let mut more = false;
        for mut subscriber in subscribers::load_all(&mut transaction).await? {
            more |= hand_on(&mut transaction, &mut subscriber, &compose, now).await?;
            let many = sqlx::query_scalar(MANY).bind(&subscriber.webhook).bind(MESSAGES_WAITING_MAX);
            let many: Vec<i64> = many.fetch_all(&mut *transaction).await?;
            give_up(&mut transaction, &many, "too many wait for this webhook", now).await?;
        }
        let old: Vec<i64> = sqlx::query_scalar(OLD).bind(waiting_since).fetch_all(&mut *transaction).await?;
        give_up(&mut transaction, &old, "it waited for too long", now).await?;
        sqlx::query(FORGET).execute(&mut *transaction).await?;
        sqlx::query(OVER).bind(MESSAGES_KEPT_MAX).execute(&mut *transaction).await?;
        transaction.commit().await?;
        Ok(more)
    }

    /// At most `limit` messages of a webhook that wait, the one first that is to be tried first. One that is damaged is given
    /// up.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn waiting_messages(
        &self,
        webhook: &str,
        limit: u32,
        now: Nanos,
    ) -> Result<Vec<MessageRecord>> {
        let rows = {
            let mut connection = self.database().reader().await?;
            let rows =
                sqlx::query(select!("WHERE webhook = ?1 AND state = 'waiting' ORDER BY next, seq LIMIT ?2"));
            rows.bind(webhook).bind(i64::from(limit)).fetch_all(&mut *connection).await?
        };
        let (mut messages, mut damaged) = (Vec::with_capacity(rows.len()), Vec::new());
        for row in &rows {
            match MessageRecord::read(row) {
                Ok(message) => messages.push(message),
                Err(_) => damaged.push(row.try_get(0)?),
            }
        }
        if !damaged.is_empty() {
            let mut connection = self.database().writer().await;
            let mut transaction = begin(&mut connection).await?;
            give_up(&mut transaction, &damaged, "its row is damaged", now).await?;
            transaction.commit().await?;
        }
        Ok(messages)
    }

    /// Records tries of messages of a webhook, and what they come to.
    ///
    /// # Errors
    /// When the database fails; then nothing of it is recorded.
    pub async fn attempted(&self, webhook: &str, attempts: &[(i64, AttemptRecord, Verdict)]) -> Result<()> {
        const UPDATE: &str = "UPDATE messages SET state = ?2, tries = tries + 1, next = coalesce(?3, next) \
             WHERE seq = ?1 AND state = 'waiting'";
        let mut connection = self.database().writer().await;
        let mut transaction = begin(&mut connection).await?;
        let mut gone = None;
        for (place, attempt, verdict) in attempts {
            log(&mut transaction, *place, attempt).await?;
            let (state, next) = match verdict {
                Verdict::Delivered => (MessageState::Delivered, None),
                Verdict::Again(next) => (MessageState::Waiting, Some(*next)),
                Verdict::GivenUp => (MessageState::Failed, None),
                Verdict::Gone => {
                    gone = Some(attempt.at);
                    (MessageState::Failed, None)
                }
            };
            sqlx::query(UPDATE).bind(place).bind(state.name()).bind(next).execute(&mut *transaction).await?;
        }
        if gone.is_some() {
            subscribers::set_gone(&mut transaction, webhook, gone).await?;
        }
        Ok(transaction.commit().await?)
    }

    /// Records a message that was sent once and is not tried again, such as a test; one that has arrived shows that the
    /// webhook is there.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn record_message(
        &self,
        webhook: &str,
        message: &NewMessage,
        attempt: &AttemptRecord,
    ) -> Result<()> {
        let state = if attempt.error.is_none() { MessageState::Delivered } else { MessageState::Failed };
        let mut connection = self.database().writer().await;
        let mut transaction = begin(&mut connection).await?;
        let place = put(&mut transaction, webhook, message, state, attempt.at).await?;
        log(&mut transaction, place, attempt).await?;
        if state == MessageState::Delivered {
            subscribers::set_gone(&mut transaction, webhook, None).await?;
        }
        Ok(transaction.commit().await?)
    }

    /// Lets messages wait again, to be tried at once; how many there were.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn replay(&self, places: &[i64], now: Nanos) -> Result<u64> {
        const UPDATE: &str =
            "UPDATE messages SET state = 'waiting', tries = 0, since = ?2, next = ?2 WHERE seq = ?1";
        let mut connection = self.database().writer().await;
        let mut transaction = begin(&mut connection).await?;
        let mut replayed = 0;
        for place in places {
            let update = sqlx::query(UPDATE).bind(place).bind(now);
            replayed += update.execute(&mut *transaction).await?.rows_affected();
        }
        transaction.commit().await?;
        Ok(replayed)
    }

    /// Lists messages, the newest first; what is damaged is left out.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn messages(&self, query: &MessageQuery) -> Result<Vec<MessageRecord>> {
        let rows = sqlx::query(select!(
            "WHERE (?1 IS NULL OR webhook IN (SELECT value FROM json_each(?1))) \
             AND (?2 IS NULL OR target IN (SELECT value FROM json_each(?2))) \
             AND (?3 IS NULL OR state = ?3) AND (?4 IS NULL OR since >= ?4) AND (?5 IS NULL OR id = ?5) \
             AND seq < ?6 ORDER BY seq DESC LIMIT ?7"
        ));
        let webhooks = (!query.webhooks.is_empty()).then(|| list(&query.webhooks));
        let mut connection = self.database().reader().await?;
        let rows = rows
            .bind(webhooks)
            .bind(query.targets.as_deref().map(list))
            .bind(query.state.map(MessageState::name))
            .bind(query.since)
            .bind(&query.id)
            .bind(query.before.unwrap_or(i64::MAX))
            .bind(i64::from(query.limit))
            .fetch_all(&mut *connection)
            .await?;
        Ok(rows.iter().filter_map(|row| MessageRecord::read(row).ok()).collect())
    }

    /// The tries of a message, the oldest first; what is damaged is left out.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn attempts(&self, message: i64) -> Result<Vec<AttemptRecord>> {
        const SELECT: &str = "SELECT seq, message, at, duration_ms, status, error, seal FROM attempts \
             WHERE message = ?1 ORDER BY seq";
        let mut connection = self.database().reader().await?;
        let rows = sqlx::query(SELECT).bind(message).fetch_all(&mut *connection).await?;
        Ok(rows.iter().filter_map(|row| AttemptRecord::read(row).ok()).collect())
    }

    /// How many messages of each webhook are in each state, of these targets alone when there are any given.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn message_counts(
        &self,
        targets: Option<&[String]>,
    ) -> Result<BTreeMap<(String, &'static str), u64>> {
        const SELECT: &str = "SELECT webhook, state, count(*) FROM messages \
             WHERE ?1 IS NULL OR target IN (SELECT value FROM json_each(?1)) GROUP BY webhook, state";
        let mut connection = self.database().reader().await?;
        let rows: Vec<(String, String, i64)> =
            sqlx::query_as(SELECT).bind(targets.map(list)).fetch_all(&mut *connection).await?;
        let counted = rows.into_iter().filter_map(|(webhook, state, count)| {
            Some(((webhook, MessageState::from_name(&state)?.name()), count.cast_unsigned()))
        });
        Ok(counted.collect())
    }

    /// Forgets messages that no longer wait and were made before a moment; how many.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn prune_messages(&self, made_before: Nanos) -> Result<u64> {
        const DELETE: &str = "DELETE FROM messages WHERE state <> 'waiting' AND since < ?1";
        let mut connection = self.database().writer().await;
        Ok(sqlx::query(DELETE).bind(made_before).execute(&mut *connection).await?.rows_affected())
    }
}

fn list(names: &[String]) -> String {
    serde_json::Value::from(names).to_string()
}
