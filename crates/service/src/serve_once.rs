//! Serving once: what is due now runs, and that is all, for those whose system starts programs at their times.

use std::collections::BTreeMap;
use std::sync::Arc;

use syncline_core::Nanos;
use syncline_engine::scheduler::Due;
use tokio::sync::{mpsc, watch as signal};

use crate::asked::Asked;
use crate::live::Live;
use crate::problem::Result;
use crate::serve::{Halted, Runs, agenda, check_names, names};
use crate::service::Service;
use crate::watch::WatchNews;
use crate::watch_post::{How, WatchPost};
use crate::wire::{self, LeftOut, Report, TargetReport, seconds, timestamp};

/// Runs what [`crate::serve()`] would run right at its start, until it is through, or until `stop` turns true; what is
/// going on comes to its end first.
///
/// - What was missed counts as `missed` says, and what events ask for runs too.
/// - Those that are watched run as well: nobody has looked at them since the last time.
/// - It takes the place of the one watch of the workspace meanwhile.
///
/// # Errors
/// When no target runs by itself, or another process watches the workspace. What befalls single targets is in the
/// report.
pub async fn serve_once(
    service: Service,
    told: mpsc::UnboundedSender<WatchNews>,
    stop: signal::Receiver<bool>,
) -> Result<Report> {
    check_names(&service)?;
    let started = service.clock().now();
    let how = How { interval: None, serving: true };
    let post = Arc::new(WatchPost::take(&service, how, names(&service)).await?);
    let store = service.stored().await?;
    service.leave_out_of_git();
    let mut agenda = agenda(&service).await?;
    let mut runs = Runs {
        service: &service,
        post,
        told,
        live: Arc::new(Live::default()),
        turns: Arc::default(),
        stop: stop.clone(),
        held: BTreeMap::new(),
        halted: Halted::default(),
        // Nothing is waited for.
        asked: Asked::new(&service, &store, signal::channel(0).1),
    };
    let (mut results, mut left_out): (Vec<TargetReport>, Vec<LeftOut>) = Default::default();
    // Not before the moment from which the schedules of targets that never ran count.
    let now = service.clock().now();
    let mut due = with_watched(&service, agenda.due(now), now);
    // Of one target everything that was missed may have to be made up for, one moment after the other.
    loop {
        match runs.meet(&due, &agenda).await {
            Some((ran, held)) => {
                results.extend(ran);
                left_out.extend(held);
            }
            None if *stop.borrow() => break,
            // The next time is told from when on moments count.
            None => runs.note(&agenda),
        }
        if *stop.borrow() {
            break;
        }
        due = agenda.due(now);
        if due.is_empty() {
            break;
        }
    }
    let successful = results.iter().filter(|result| result.success).count() as u64;
    Ok(Report {
        version: wire::VERSION,
        timestamp: timestamp(started),
        dry_run: service.workspace().dry_run,
        total_targets: results.len() as u64,
        successful,
        failed: results.len() as u64 - successful,
        total_duration: seconds(started, service.clock().now()),
        results,
        left_out,
    })
}

/// What is due, and what is watched: nobody tells what has changed there.
fn with_watched(service: &Service, mut due: Vec<Due>, now: Nanos) -> Vec<Due> {
    for target in service.workspace().targets.iter().filter(|target| target.watch) {
        if !due.iter().any(|due| due.target == target.name) {
            due.push(Due { target: target.name.clone(), moment: now });
        }
    }
    due
}
