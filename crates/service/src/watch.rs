//! Watching: every chosen target runs whenever something changes on one of its sides.

use std::sync::Arc;

use syncline_core::{Direction, Nanos};
use syncline_engine::{Context, Options, Target, Told, Watching};
use tokio::sync::{mpsc, watch as signal};
use tokio::task::JoinSet;

use crate::operations::start_run;
use crate::problem::{Problem, Result};
use crate::runner::Done;
use crate::service::Service;
use crate::wire::{Side, TargetReport};

/// News of a watch.
#[derive(Clone, Debug)]
pub enum WatchNews {
    /// A target ran, or could not be run.
    Ran(Box<TargetReport>),
    /// A side cannot be watched, wholly or in part, so that its changes are found by scanning.
    Limited {
        /// The target.
        target: String,
        /// The side.
        side: Side,
        /// Why, for people.
        message: String,
    },
}

/// Watches the targets that `request` chooses until `stop` turns true, and tells what happens.
///
/// # Errors
/// When a target cannot be opened, or another process changes the workspace.
pub async fn watch(
    service: &Service,
    request: &start_run::Request,
    told: mpsc::UnboundedSender<WatchNews>,
    stop: signal::Receiver<bool>,
) -> Result<()> {
    let mut chosen = start_run::choose(service, request)?;
    // Where the file says which targets to watch, it is they, unless others are named.
    if request.targets.is_empty() && chosen.iter().any(|(target, _)| target.watch) {
        chosen.retain(|(target, _)| target.watch);
    }
    let mut opened = Vec::new();
    for (configured, direction) in chosen {
        opened.push((service.target(configured, direction)?, configured.path.clone()));
    }
    // Each run takes the workspace for itself: other commands can work in between.
    let store = service.writing().await?.store;
    let context = Context { lock_each_run: true, ..service.context(&store) };
    let options = Options { cause: "watch".to_owned(), ..Options::default() };
    let mut tasks = JoinSet::new();
    for (target, folder) in opened {
        let watched = Watched { target, folder, context: context.clone(), told: told.clone() };
        tasks.spawn(watched.go(options.clone(), stop.clone()));
    }
    while let Some(ended) = tasks.join_next().await {
        ended.map_err(|error| {
            Problem::new(crate::Class::Failed, "watch_died", format!("a watch ended unexpectedly: {error}"))
        })?;
    }
    Ok(())
}

struct Watched {
    target: Target,
    folder: Option<syncline_core::ItemPath>,
    context: Context,
    told: mpsc::UnboundedSender<WatchNews>,
}

impl Watched {
    async fn go(self, options: Options, mut stop: signal::Receiver<bool>) {
        let Self { target, folder, context, told } = &self;
        let clock = Arc::clone(&context.clock);
        let mut listen = |news: Told<'_>| {
            let news = match news {
                Told::Run(result) => {
                    WatchNews::Ran(Box::new(done(target, folder.clone(), result, clock.now()).report()))
                }
                Told::Limited(side, message) => WatchNews::Limited {
                    target: target.name.clone(),
                    side: side.into(),
                    message: message.to_owned(),
                },
            };
            // Nobody listening is no reason to stop.
            let _ = told.send(news);
        };
        let stopped = async move {
            // A sender that is gone counts as a stop.
            let _ = stop.wait_for(|stop| *stop).await;
        };
        syncline_engine::watch(context, target, &options, Watching::default(), &mut listen, stopped).await;
    }
}

fn done(
    target: &Target,
    folder: Option<syncline_core::ItemPath>,
    result: &syncline_engine::Result<syncline_engine::RunResult>,
    now: Nanos,
) -> Done {
    let direction: Direction = target.policy.direction;
    let (started, finished, open) = match result {
        Ok(result) => {
            let open = result.conflicts.iter().filter(|conflict| conflict.open).count();
            (result.started, result.finished, open)
        }
        Err(_) => (now, now, 0),
    };
    let result = match result {
        Ok(result) => Ok(result.clone()),
        Err(error) => Err(error.into()),
    };
    Done {
        name: target.name.clone(),
        folder,
        direction,
        started,
        finished,
        dry_run: false,
        open_conflicts: open as u64,
        result,
    }
}
