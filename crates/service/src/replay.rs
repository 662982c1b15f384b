//! Requests that name themselves with a key: one that is repeated acts once, and is given the same answer again.

use std::sync::LazyLock;

use serde_json::Value;
use syncline_core::Digest;
use syncline_store::{Answered, Question};

use crate::operation::Operation;
use crate::problem::{Class, Problem, Result};
use crate::service::Service;

/// Longest key.
const KEY_MAX: usize = 200;
/// Most bytes of an answer that is kept.
const BODY_BYTES_MAX: usize = 16 << 20;

/// This process, as no other one is called.
static PROCESS: LazyLock<String> = LazyLock::new(|| uuid::Uuid::now_v7().to_string());

/// What is to be done with a request that names itself.
pub enum Replay {
    /// It is new: carry it out, and tell what came of it.
    New(Ticket),
    /// It was carried out before, and this was the answer.
    Again {
        /// The status.
        status: u16,
        /// The body.
        body: String,
    },
}

/// The right to answer a request that names itself.
pub struct Ticket(Question);

impl Service {
    /// Looks whether a request that names itself was carried out before.
    ///
    /// # Errors
    /// When the key is none, was used for something else, or what came of the request cannot be known; then nothing may be
    /// done.
    pub async fn replay(&self, key: &str, operation: &Operation, request: &Value) -> Result<Replay> {
        let is_visible = |byte: u8| byte.is_ascii_graphic() || byte == b' ';
        if key.is_empty() || key.len() > KEY_MAX || !key.bytes().all(is_visible) {
            let message = format!("a key of a request has 1 to {KEY_MAX} characters of ASCII");
            return Err(Problem::usage("bad_key", message));
        }
        let question = Question {
            caller: self.caller().id.clone(),
            key: key.to_owned(),
            request: Digest::of(format!("{}\n{request}", operation.name).as_bytes()),
            process: PROCESS.clone(),
            at: self.clock().now(),
        };
        match self.stored().await?.begin_answer(&question).await? {
            Answered::Never => Ok(Replay::New(Ticket(question))),
            Answered::Before { status, body } => Ok(Replay::Again { status, body }),
            Answered::Otherwise => {
                Err(Problem::usage("key_reused", "the key was used for another request in the last 24 hours")
                    .with_hint("take a new key for each request"))
            }
            Answered::Meanwhile => {
                Err(Problem::new(Class::Stale, "in_progress", "the request of this key is being carried out")
                    .with_hint("ask again later: its answer is given then"))
            }
            Answered::Unknown => {
                let message = "the request of this key was begun, and what came of it is not known";
                Err(Problem::new(Class::Stale, "outcome_unknown", message)
                    .with_hint("see the history of runs; then ask again with a new key"))
            }
        }
    }

    /// Remembers the answer of a request. One that was refused has done nothing, and may be asked again.
    pub async fn answered(&self, Ticket(question): Ticket, status: u16, body: &str) {
        let kept = async {
            let store = self.stored().await?;
            match status {
                400..500 => store.forget_answer(&question).await?,
                // Then it stays begun, and nobody is given half an answer.
                _ if body.len() > BODY_BYTES_MAX => {}
                _ => store.keep_answer(&question, status, body).await?,
            }
            Ok::<_, Problem>(())
        };
        if let Err(error) = kept.await {
            tracing::warn!(%error, "an answer could not be kept");
        }
    }
}
