//! Answers that are given again: what a request came to that names itself, so that a repeated one acts once.

use sqlx::Row;
use syncline_core::{Digest, Nanos};

use crate::database::begin;
use crate::error::Result;
use crate::store::Store;

/// How long an answer is kept.
pub const KEEP_ANSWERS: Nanos = 24 * 3_600 * 1_000_000_000;

/// A request that names itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// Who asks: others may use the same key.
    pub caller: String,
    /// The key that the caller chose.
    pub key: String,
    /// The digest of what is asked.
    pub request: Digest,
    /// The process that answers: what another one began, and did not end, has ended with it.
    pub process: String,
    /// When it is asked.
    pub at: Nanos,
}

/// What is known of a request that names itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answered {
    /// Nothing: it is noted that it was begun, and it is to be carried out now.
    Never,
    /// It is being carried out.
    Meanwhile,
    /// It was begun by a process that ended before it told what came of it.
    Unknown,
    /// The key was used for something else.
    Otherwise,
    /// It was carried out, and this was the answer.
    Before {
        /// The status.
        status: u16,
        /// The body.
        body: String,
    },
}

impl Store {
    /// Notes that a request is carried out now, unless it is known already; forgets what is older than a day.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn begin_answer(&self, question: &Question) -> Result<Answered> {
        const FORGET: &str = "DELETE FROM answers WHERE at < ?1";
        const SELECT: &str =
            "SELECT request, process, status, body FROM answers WHERE caller = ?1 AND key = ?2";
        const INSERT: &str =
            "INSERT INTO answers (caller, key, request, process, at) VALUES (?1, ?2, ?3, ?4, ?5)";
        let mut connection = self.database().writer().await;
        let mut transaction = begin(&mut connection).await?;
        sqlx::query(FORGET).bind(question.at.saturating_sub(KEEP_ANSWERS)).execute(&mut *transaction).await?;
        let known = sqlx::query(SELECT)
            .bind(&question.caller)
            .bind(&question.key)
            .fetch_optional(&mut *transaction)
            .await?;
        let answered = match known {
            Some(row) if row.try_get::<Vec<u8>, _>(0)? != question.request.0 => Answered::Otherwise,
            Some(row) => match (row.try_get(2)?, row.try_get(3)?) {
                (Some(status), Some(body)) => Answered::Before { status, body },
                _ if row.try_get::<String, _>(1)? == question.process => Answered::Meanwhile,
                _ => Answered::Unknown,
            },
            None => {
                sqlx::query(INSERT)
                    .bind(&question.caller)
                    .bind(&question.key)
                    .bind(question.request.0.as_slice())
                    .bind(&question.process)
                    .bind(question.at)
                    .execute(&mut *transaction)
                    .await?;
                Answered::Never
            }
        };
        transaction.commit().await?;
        Ok(answered)
    }

    /// Remembers what came of a request that was begun.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn keep_answer(&self, question: &Question, status: u16, body: &str) -> Result<()> {
        const UPDATE: &str = "UPDATE answers SET status = ?3, body = ?4 WHERE caller = ?1 AND key = ?2";
        let mut connection = self.database().writer().await;
        let update = sqlx::query(UPDATE).bind(&question.caller).bind(&question.key);
        update.bind(status).bind(body).execute(&mut *connection).await?;
        Ok(())
    }

    /// Forgets a request that was begun and has done nothing, so that it may be asked again.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn forget_answer(&self, question: &Question) -> Result<()> {
        const FORGET: &str = "DELETE FROM answers WHERE caller = ?1 AND key = ?2";
        let mut connection = self.database().writer().await;
        sqlx::query(FORGET).bind(&question.caller).bind(&question.key).execute(&mut *connection).await?;
        Ok(())
    }
}
