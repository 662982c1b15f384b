//! What somebody had changed is written to the audit log, also when it was cut short.

use std::collections::BTreeSet;
use std::future::Future;
use std::sync::Arc;

use syncline_engine::Clock;
use syncline_store::{AuditEntry, AuditLog};

use crate::problem::{Class, Result};
use crate::service::Service;
use crate::wire::{Report, TargetReport};

/// What is told of a record that cannot be written, by what it would have said.
const UNWRITTEN_CHANGE: &str = "what was changed could not be written to the audit log";
const UNWRITTEN_FAILURE: &str = "that a request failed could not be written to the audit log";
const UNWRITTEN_CUT: &str = "that a request was cut short could not be written to the audit log";

/// What is asked for, before anything of it is done.
pub(crate) struct Asked<'a> {
    /// The use case.
    pub(crate) operation: &'static str,
    /// The targets that were named.
    pub(crate) targets: &'a [String],
    /// What it is about besides.
    pub(crate) about: String,
}

/// What came of it.
pub(crate) struct Became {
    /// The targets that it concerned.
    pub(crate) targets: Vec<String>,
    /// What came of it, in a few words.
    pub(crate) outcome: String,
}

/// Carries out `work`, and writes down what came of it, as `became` tells; nothing is written when it tells of nothing,
/// or when the request was refused before anything was done.
///
/// - Work that is dropped before it has ended is written down as cut short: some of it may be done.
/// - When it cannot be written, what was done is done: that is logged as an error, and the answer is given.
pub(crate) async fn audited<T>(
    service: &Service,
    asked: Asked<'_>,
    became: impl FnOnce(&T) -> Option<Became>,
    work: impl Future<Output = Result<T>>,
) -> Result<T> {
    service.check_owner()?;
    let mut record = Record::of(service, asked);
    let result = work.await;
    match &result {
        Ok(done) => match became(done) {
            Some(became) => {
                record.entry.targets = became.targets;
                record.write(became.outcome, UNWRITTEN_CHANGE).await;
            }
            None => record.open = false,
        },
        Err(problem) if matches!(problem.class, Class::Usage | Class::NotFound | Class::Busy) => {
            record.open = false;
        }
        Err(problem) => record.write(format!("failed: {}", problem.code), UNWRITTEN_FAILURE).await,
    }
    result
}

/// What a run came to; nothing, when it had nothing to do anywhere, or was a dry one.
pub(crate) fn of_report(report: &Report) -> Option<Became> {
    let concerned = |result: &&TargetReport| !result.success || result.run.is_some();
    let concerned: Vec<&TargetReport> = report.results.iter().filter(concerned).collect();
    if report.dry_run || concerned.is_empty() {
        return None;
    }
    let told = concerned.iter().map(|result| match &result.run {
        Some(run) => format!("{} {} (run {run})", result.target, result.state),
        None => format!("{} {}", result.target, result.state),
    });
    let outcome = told.collect::<Vec<_>>().join(", ");
    Some(Became { targets: concerned.iter().map(|result| result.target.clone()).collect(), outcome })
}

/// Each of `targets` once, in order.
pub(crate) fn each<'a>(targets: impl Iterator<Item = &'a String>) -> Vec<String> {
    targets.cloned().collect::<BTreeSet<_>>().into_iter().collect()
}

/// A record that is still to be written.
struct Record {
    log: AuditLog,
    entry: AuditEntry,
    clock: Arc<dyn Clock>,
    open: bool,
}

impl Record {
    fn of(service: &Service, asked: Asked<'_>) -> Self {
        let entry = AuditEntry {
            at: 0,
            caller: service.caller().name.clone(),
            face: service.face().to_owned(),
            operation: asked.operation.to_owned(),
            targets: asked.targets.to_vec(),
            about: asked.about,
            outcome: "cut short".to_owned(),
        };
        Self { log: AuditLog::of(service.state()), entry, clock: service.shared_clock(), open: true }
    }

    /// Writes it down; `otherwise` is told when that cannot be done.
    async fn write(&mut self, outcome: String, otherwise: &'static str) {
        self.open = false;
        let entry = AuditEntry { at: self.clock.now(), outcome, ..self.entry.clone() };
        let (log, operation) = (self.log.clone(), self.entry.operation.clone());
        let written = tokio::task::spawn_blocking(move || append(&log, entry, otherwise)).await;
        if let Err(error) = written {
            tracing::error!(operation, %error, "{otherwise}");
        }
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        if self.open {
            let entry = AuditEntry { at: self.clock.now(), ..self.entry.clone() };
            append(&self.log, entry, UNWRITTEN_CUT);
        }
    }
}

fn append(log: &AuditLog, entry: AuditEntry, otherwise: &'static str) {
    let operation = entry.operation.clone();
    if let Err(error) = log.append(entry) {
        tracing::error!(operation, %error, "{otherwise}");
    }
}
