//! Deliveries of webhooks: which ones have come already, so that each has its effect once.

use std::path::{Path, PathBuf};
use std::time::Duration;

use syncline_core::Nanos;

use crate::database::begin;
use crate::error::{Error, Result};
use crate::requests::ask_for;
use crate::store::Store;
use crate::watching::replace;

/// How long a delivery is remembered.
pub const DELIVERY_TIME: Duration = Duration::from_secs(30 * 24 * 3600);
/// Most deliveries that are remembered; of more, the oldest are forgotten.
pub const DELIVERIES_MAX: i64 = 100_000;

/// The folder for tokens that senders have told.
const TOKENS: &str = "webhooks";

/// What a webhook brought, and what it asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// The webhook.
    pub hook: String,
    /// What tells this delivery from all others of the webhook.
    pub id: String,
    /// The targets that are to run.
    pub targets: Vec<String>,
}

/// What came of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// It is recorded, and its targets are asked for.
    New,
    /// It had come before: nothing has changed.
    Known,
}

impl Store {
    /// Records deliveries and asks for the runs of those that are new, all in one transaction.
    ///
    /// # Errors
    /// When the database fails; then nothing is recorded.
    pub async fn deliver(&self, deliveries: &[Delivery], now: Nanos) -> Result<Vec<Arrival>> {
        self.deliver_within(deliveries, now, DELIVERIES_MAX).await
    }

    async fn deliver_within(
        &self,
        deliveries: &[Delivery],
        now: Nanos,
        deliveries_max: i64,
    ) -> Result<Vec<Arrival>> {
        const INSERT: &str = "INSERT OR IGNORE INTO deliveries (hook, id, received) VALUES (?1, ?2, ?3)";
        // Only the oldest rows are looked at, so that it costs the same however many there are.
        const FORGET: &str = "DELETE FROM deliveries WHERE seq <= (SELECT max(seq) FROM deliveries) - ?2 \
             OR received < ?1 AND seq <= (SELECT min(seq) FROM deliveries) + 500";
        let mut connection = self.database().writer().await;
        let mut transaction = begin(&mut connection).await?;
        let mut arrivals = Vec::with_capacity(deliveries.len());
        for delivery in deliveries {
            let inserted = sqlx::query(INSERT)
                .bind(&delivery.hook)
                .bind(&delivery.id)
                .bind(now)
                .execute(&mut *transaction)
                .await?;
            if inserted.rows_affected() == 0 {
                arrivals.push(Arrival::Known);
                continue;
            }
            let cause = format!("webhook {}", delivery.hook);
            for target in &delivery.targets {
                ask_for(&mut transaction, target, &cause, now).await?;
            }
            arrivals.push(Arrival::New);
        }
        let oldest = now.saturating_sub(Nanos::try_from(DELIVERY_TIME.as_nanos()).unwrap_or(Nanos::MAX));
        sqlx::query(FORGET).bind(oldest).bind(deliveries_max).execute(&mut *transaction).await?;
        transaction.commit().await?;
        Ok(arrivals)
    }
}

/// Keeps the token that the sender of a webhook has told, for whoever sets it up: in `webhooks/NAME.token` of the state
/// folder, which nobody else may look into. The path.
///
/// # Errors
/// When it cannot be written.
pub fn keep_token(folder: &Path, hook: &str, token: &str) -> Result<PathBuf> {
    let folder = folder.join(TOKENS);
    std::fs::create_dir_all(&folder).map_err(|error| Error::io("make", &folder, &error))?;
    let path = folder.join(format!("{hook}.token"));
    replace(&path, format!("{token}\n").as_bytes()).map_err(|error| Error::io("write", &path, &error))?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delivery(hook: &str, id: impl ToString) -> Delivery {
        Delivery { hook: hook.to_owned(), id: id.to_string(), targets: vec!["notes".to_owned()] }
    }

    #[tokio::test]
    async fn a_delivery_has_its_effect_once_also_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("state");
        let store = Store::open(&state).await.unwrap();
        let twice = [delivery("github", 1), delivery("github", 1), delivery("gitea", 1)];
        let came = store.deliver(&twice, 5).await.unwrap();
        assert_eq!(came, [Arrival::New, Arrival::Known, Arrival::New]);
        let asked = store.requests().await.unwrap();
        assert_eq!((asked.len(), asked[0].times, asked[0].cause.as_str()), (1, 2, "webhook gitea"));
        store.fulfil(&asked).await.unwrap();
        store.close().await.unwrap();

        let store = Store::open(&state).await.unwrap();
        assert_eq!(store.deliver(&twice[..1], 6).await.unwrap(), [Arrival::Known]);
        assert_eq!(store.requests().await.unwrap(), []);
        let month = Nanos::try_from(DELIVERY_TIME.as_nanos()).unwrap();
        store.deliver(&[delivery("github", 2)], month + 6).await.unwrap();
        assert_eq!(store.deliver(&twice[..1], month + 7).await.unwrap(), [Arrival::New], "it was forgotten");
    }

    #[tokio::test]
    async fn only_so_many_are_remembered() {
        let store = Store::in_memory().await.unwrap();
        let all: Vec<Delivery> = (0..110).map(|id| delivery("github", id)).collect();
        store.deliver_within(&all, 1, 100).await.unwrap();
        let newest = [delivery("github", 109), delivery("github", 10)];
        assert_eq!(store.deliver_within(&newest, 2, 100).await.unwrap(), [Arrival::Known; 2]);
        assert_eq!(store.deliver_within(&all[..1], 2, 100).await.unwrap(), [Arrival::New]);
    }
}
