//! Requests: targets that somebody wants to run, for whichever process serves the workspace.
//!
//! A request says no more than that a target is to run, so that any number of them before the run begins come to one. It is
//! forgotten only when a run that began after it has come to its end: a kill loses none.

use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};
use syncline_core::Nanos;

use crate::database::begin;
use crate::error::Result;
use crate::seal::Seal;
use crate::store::Store;

/// A target that is to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Its place in the order in which requests were made; another request for the target takes a new one.
    pub seq: i64,
    /// The target.
    pub target: String,
    /// Who or what asked last, for the records of runs.
    pub cause: String,
    /// When it was asked for first.
    pub asked: Nanos,
    /// How often it was asked for since then.
    pub times: i64,
}

impl Request {
    fn seal(&self) -> Seal {
        Seal::of("requests").text(&self.target).text(&self.cause).number(self.asked).number(self.times)
    }

    pub(crate) fn read(row: &SqliteRow) -> Result<Self> {
        let request = Self {
            seq: row.try_get(0)?,
            target: row.try_get(1)?,
            cause: row.try_get(2)?,
            asked: row.try_get(3)?,
            times: row.try_get(4)?,
        };
        let seal: Vec<u8> = row.try_get(5)?;
        request.seal().check(&seal, &format!("the request for the target {:?}", request.target))?;
        Ok(request)
    }
}

impl Store {
    /// Asks for runs of targets, all of them or none.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn ask_for(&self, targets: &[String], cause: &str, now: Nanos) -> Result<()> {
        let mut connection = self.database().writer().await;
        let mut transaction = begin(&mut connection).await?;
        for target in targets {
            ask_for(&mut transaction, target, cause, now).await?;
        }
        transaction.commit().await?;
        Ok(())
    }

    /// What is asked for, the oldest request first. One that is damaged is left out, and told of once: it hides no other,
    /// and stays for [`Store::damaged_rows`] to find.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn requests(&self) -> Result<Vec<Request>> {
        const SELECT: &str = "SELECT seq, target, cause, asked, times, seal FROM requests ORDER BY seq";
        let rows = {
            let mut connection = self.database().reader().await?;
            sqlx::query(SELECT).fetch_all(&mut *connection).await?
        };
        let mut requests = Vec::with_capacity(rows.len());
        for row in &rows {
            match Request::read(row) {
                Ok(request) => requests.push(request),
                Err(error) => {
                    if self.is_untold(row.try_get(0)?) {
                        let hint = "`syncline scrub --repair` forgets it; run once what it may have been for";
                        tracing::warn!(%error, hint, "something is asked for that cannot be read");
                    }
                }
            }
        }
        Ok(requests)
    }

    /// Forgets requests whose runs have come to their end, or whose targets are gone; one that was made again since it was
    /// read stays.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn fulfil(&self, requests: &[Request]) -> Result<()> {
        const FORGET: &str = "DELETE FROM requests WHERE seq = ?1";
        let mut connection = self.database().writer().await;
        let mut transaction = begin(&mut connection).await?;
        for request in requests {
            sqlx::query(FORGET).bind(request.seq).execute(&mut *transaction).await?;
        }
        transaction.commit().await?;
        Ok(())
    }
}

/// Asks for a run of a target, as part of a transaction.
pub(crate) async fn ask_for(
    connection: &mut SqliteConnection,
    target: &str,
    cause: &str,
    now: Nanos,
) -> Result<()> {
    // What is replaced takes a new `seq`, which no row ever had: so a request is told from an earlier one.
    const REPLACE: &str =
        "INSERT OR REPLACE INTO requests (target, cause, asked, times, seal) VALUES (?1, ?2, ?3, ?4, ?5)";
    const SELECT: &str = "SELECT seq, target, cause, asked, times, seal FROM requests WHERE target = ?1";
    let before = sqlx::query(SELECT).bind(target).fetch_optional(&mut *connection).await?;
    // Nothing of one that is damaged is taken over under a new seal.
    let before = before.and_then(|row| Request::read(&row).ok());
    let (asked, times) = before.map_or((now, 1), |before| (before.asked, before.times.saturating_add(1)));
    let request = Request { seq: 0, target: target.to_owned(), cause: cause.to_owned(), asked, times };
    sqlx::query(REPLACE)
        .bind(target)
        .bind(cause)
        .bind(asked)
        .bind(times)
        .bind(request.seal().finish())
        .execute(connection)
        .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    #[tokio::test]
    async fn any_number_of_requests_for_a_target_is_one_until_its_run_has_ended() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("state");
        let store = Store::open(&state).await.unwrap();
        for now in 1..=10 {
            store.ask_for(&names(&["notes"]), "event deploy", now).await.unwrap();
        }
        store.ask_for(&names(&["photos"]), "webhook github", 11).await.unwrap();
        store.close().await.unwrap();

        // They outlive the process.
        let store = Store::open(&state).await.unwrap();
        let seen = store.requests().await.unwrap();
        let told: Vec<_> = seen.iter().map(|seen| (seen.target.as_str(), seen.asked, seen.times)).collect();
        assert_eq!(told, [("notes", 1, 10), ("photos", 11, 1)]);

        // What is asked for while the run goes on is another request, although nothing else tells them apart.
        store.ask_for(&names(&["notes"]), "event deploy", 1).await.unwrap();
        store.fulfil(&seen).await.unwrap();
        let left = store.requests().await.unwrap();
        assert_eq!((left.len(), left[0].target.as_str()), (1, "notes"));
        store.fulfil(&left).await.unwrap();
        assert_eq!(store.requests().await.unwrap(), []);
        store.ask_for(&names(&["notes"]), "event deploy", 12).await.unwrap();
        store.fulfil(&left).await.unwrap();
        assert_eq!(store.requests().await.unwrap().len(), 1, "an old one never stands for a new one");
    }

    #[tokio::test]
    async fn a_damaged_request_hides_no_other_and_is_replaced_by_the_next_one_for_its_target() {
        let store = Store::in_memory().await.unwrap();
        store.ask_for(&names(&["code", "notes", "photos"]), "event deploy", 7).await.unwrap();
        {
            let mut connection = store.database().writer().await;
            let rot = "UPDATE requests SET cause = 'event deplox', asked = 9000 WHERE target = 'notes'";
            sqlx::query(rot).execute(&mut *connection).await.unwrap();
        }
        let told = async || {
            let requests = store.requests().await.unwrap();
            requests.into_iter().map(|request| (request.target, request.asked)).collect::<Vec<_>>()
        };
        let sound = [("code".to_owned(), 7), ("photos".to_owned(), 7)];
        assert_eq!(told().await, sound);
        assert!(!store.is_untold(2), "it was told of");
        assert_eq!(told().await, sound);
        assert_eq!(store.damaged_rows().await.unwrap().1.len(), 1, "and it is still found");
        store.ask_for(&names(&["notes"]), "event deploy", 8).await.unwrap();
        assert_eq!(told().await[2], ("notes".to_owned(), 8));
        assert_eq!(store.damaged_rows().await.unwrap().1, []);
    }
}
