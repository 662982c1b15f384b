//! Watching: every chosen target runs whenever something changes on one of its sides.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use syncline_core::{Direction, ItemPath, Nanos};
use syncline_engine::{Away, Context, Options, Reach, Target, Told, Watching};
use syncline_store::WatchRecord;
use tokio::sync::{mpsc, watch as signal};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::ignore_file::{self, Stamp};
use crate::lookout::{Lookout, Signs};
use crate::operations::start_run;
use crate::problem::{Problem, Result};
use crate::runner::Done;
use crate::service::Service;
use crate::targets;
use crate::watch_post::{How, WatchPost};
use crate::wire::{Offline, Side, TargetReport};

/// News of a watch.
#[derive(Clone, Debug)]
pub enum WatchNews {
    /// The workspace is watched from now on.
    Began,
    /// The remote of a target is away; told once, when it is found to be.
    Away {
        /// The target.
        target: String,
        /// What is known of it.
        offline: Offline,
    },
    /// The remote of a target is there again: what waited is synced now.
    Back {
        /// The target.
        target: String,
        /// What was known of it.
        offline: Offline,
    },
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
    /// Something changed about what is watched, or how.
    Note {
        /// The target; `None` when it is about the whole workspace.
        target: Option<String>,
        /// What, for people.
        message: String,
    },
}

/// How often the ignore files of targets are looked at while nothing happens: whoever changes one starts a run, after which they
/// are looked at anyway.
const LOOK_AT_REST: Duration = Duration::from_secs(300);

/// Watches the targets that `request` chooses until `stop` turns true, and tells what happens.
///
/// - With an `interval`, they run every so often instead of whenever something changes.
/// - A target whose ignore file changes is opened anew: with the new rules, and scanned in full.
/// - A changed configuration is told; it counts from the next start.
/// - It also ends when another process asks it to, as the operation `stop_watch` does.
///
/// # Errors
/// When a target cannot be opened, another process changes the workspace, or one watches it already.
pub async fn watch(
    service: &Service,
    request: &start_run::Request,
    interval: Option<Duration>,
    told: mpsc::UnboundedSender<WatchNews>,
    mut stop: signal::Receiver<bool>,
) -> Result<()> {
    let mut chosen = start_run::choose(service, request)?;
    // Where the file says which targets to watch, it is they, unless others are named.
    if request.targets.is_empty() && chosen.iter().any(|(target, _)| target.watch) {
        chosen.retain(|(target, _)| target.watch);
    }
    let watches = Watches::open(service, chosen)?;
    let how = How { interval, serving: false };
    let post = Arc::new(WatchPost::take(service, how, watches.names()).await?);
    // Each run takes the workspace for itself: other commands can work in between.
    let store = service.writing().await?.store;
    let _ = told.send(WatchNews::Began);
    let context = Context { turns: Some(Arc::default()), ..service.context(&store) };
    let mut configuration = Configuration::of(service);
    let (end, ending) = signal::channel(false);
    let lookout = Lookout::begin(service, &store, &post, &Arc::default())?;
    let (mut signs, mut asked_to_end) = (lookout.signs.clone(), lookout.asked_to_end.clone());
    let watching = watches.go(context, interval, told.clone(), post, (signs.clone(), ending));
    tokio::pin!(watching);
    let is_ending = || *end.borrow();
    loop {
        tokio::select! {
            result = &mut watching => return result,
            // A sender that is gone counts as a stop.
            _ = stop.wait_for(|stop| *stop), if !is_ending() => {
                end.send_replace(true);
            }
            Ok(_) = asked_to_end.wait_for(|asked| *asked), if !is_ending() => {
                let _ = told.send(told_to_end());
                end.send_replace(true);
            }
            Ok(()) = signs.changed() => {
                if configuration.has_changed(service) {
                    let message = "the configuration changed: start the watch again to use it".to_owned();
                    let _ = told.send(WatchNews::Note { target: None, message });
                }
            }
        }
    }
}

/// What is told when another process asks a watch to end.
pub(crate) fn told_to_end() -> WatchNews {
    let message = "asked to end: what is going on comes to its end first".to_owned();
    WatchNews::Note { target: None, message }
}

/// The configuration file as it was when it was last looked at.
pub(crate) struct Configuration(Stamp);

impl Configuration {
    pub(crate) fn of(service: &Service) -> Self {
        Self(ignore_file::stamp(&service.workspace().file))
    }

    /// Whether it has changed since the last look.
    pub(crate) fn has_changed(&mut self, service: &Service) -> bool {
        let now = ignore_file::stamp(&service.workspace().file);
        let changed = now != self.0;
        self.0 = now;
        changed
    }
}

/// Targets that are opened to be watched.
pub(crate) struct Watches<'a> {
    rules: Rules<'a>,
    opened: Vec<(signal::Receiver<Arc<Target>>, Option<ItemPath>)>,
}

impl<'a> Watches<'a> {
    /// Opens targets, each in its direction.
    pub(crate) fn open(
        service: &'a Service,
        chosen: Vec<(&'a syncline_config::Target, Direction)>,
    ) -> Result<Self> {
        let mut rules = Rules::of(service);
        let mut opened = Vec::new();
        for (configured, direction) in chosen {
            opened.push((rules.open(configured, direction)?, configured.path.clone()));
        }
        Ok(Self { rules, opened })
    }

    fn names(&self) -> impl Iterator<Item = String> {
        self.opened.iter().map(|(target, _)| target.borrow().name.clone())
    }

    /// Watches until `ending` turns true and what was going on is through; at once when nothing is watched.
    pub(crate) async fn go(
        self,
        context: Context,
        interval: Option<Duration>,
        told: mpsc::UnboundedSender<WatchNews>,
        post: Arc<WatchPost>,
        (mut signs, ending): (Signs, signal::Receiver<bool>),
    ) -> Result<()> {
        let Self { mut rules, opened } = self;
        let watching = Watching { interval, ..Watching::default() };
        let options = Options { cause: "watch".to_owned(), ..Options::default() };
        let mut tasks = JoinSet::new();
        for (target, folder) in opened {
            let (context, told, post) = (context.clone(), told.clone(), Arc::clone(&post));
            let watched = Watched { target, folder, context, watching, told, post };
            tasks.spawn(watched.go(options.clone(), ending.clone()));
        }
        loop {
            let ended = tokio::select! {
                ended = tasks.join_next() => Some(ended),
                Ok(()) = signs.changed() => None,
                () = tokio::time::sleep(LOOK_AT_REST) => None,
            };
            let Some(ended) = ended else {
                rules.look(&post.record(), &told);
                continue;
            };
            let Some(ended) = ended else { return Ok(()) };
            ended.map_err(|error| {
                let message = format!("a watch ended unexpectedly: {error}");
                Problem::new(crate::Class::Failed, "watch_died", message)
            })?;
        }
    }
}

/// The files that say what belongs to the targets that are watched, as they were when they were last looked at.
struct Rules<'a> {
    service: &'a Service,
    targets: Vec<Ruled<'a>>,
    /// The file of the workspace, which counts where a target has none.
    of_workspace: Stamp,
    /// What the watch told of itself when all were looked at, and when that was.
    looked: Option<(Arc<WatchRecord>, Instant)>,
}

/// A target whose ignore files are looked at.
struct Ruled<'a> {
    configured: &'a syncline_config::Target,
    direction: Direction,
    /// Its folder.
    root: PathBuf,
    file: Stamp,
    /// Hands the target that is opened anew to its watch.
    renew: signal::Sender<Arc<Target>>,
}

impl<'a> Rules<'a> {
    fn of(service: &'a Service) -> Self {
        // Looked at before any is read, so that a change meanwhile is noticed.
        let of_workspace = ignore_file::stamp_in(&service.workspace().root);
        Self { service, targets: Vec::new(), of_workspace, looked: None }
    }

    /// Opens a target; what is received later is that target with other rules.
    fn open(
        &mut self,
        configured: &'a syncline_config::Target,
        direction: Direction,
    ) -> Result<signal::Receiver<Arc<Target>>> {
        let root = targets::local_root(self.service, configured);
        let file = ignore_file::stamp_in(&root);
        let target = self.service.target_to_run(configured, direction, &Options::default())?;
        let (renew, renewed) = signal::channel(Arc::new(target));
        self.targets.push(Ruled { configured, direction, root, file, renew });
        Ok(renewed)
    }

    /// Opens targets anew whose rules changed; rules that cannot be understood leave the old ones in force.
    ///
    /// The file of a target is a file in its folder: whoever changes it starts a run there. So they are looked at after
    /// runs, and only now and then while nothing happens, where nobody may be watching.
    fn look(&mut self, record: &Arc<WatchRecord>, told: &mpsc::UnboundedSender<WatchNews>) {
        let now = Instant::now();
        let of_workspace = ignore_file::stamp_in(&self.service.workspace().root);
        let is_quiet = self.looked.as_ref().is_some_and(|(before, at)| {
            Arc::ptr_eq(before, record) && now.duration_since(*at) < LOOK_AT_REST
        });
        if is_quiet && of_workspace == self.of_workspace {
            return;
        }
        self.looked = Some((Arc::clone(record), now));
        let all_are_new = std::mem::replace(&mut self.of_workspace, of_workspace) != of_workspace;
        let note = |target: &str, message: String| {
            let _ = told.send(WatchNews::Note { target: Some(target.to_owned()), message });
        };
        for ruled in &mut self.targets {
            let file = ignore_file::stamp_in(&ruled.root);
            if std::mem::replace(&mut ruled.file, file) == file && !all_are_new {
                continue;
            }
            let name = ruled.configured.name.as_str();
            match self.service.target_to_run(ruled.configured, ruled.direction, &Options::default()) {
                Ok(target) => {
                    note(name, "the ignore rules changed: everything is looked at anew".to_owned());
                    ruled.renew.send_replace(Arc::new(target));
                }
                Err(problem) => note(name, format!("the old ignore rules stay in force: {problem}")),
            }
        }
    }
}

struct Watched {
    target: signal::Receiver<Arc<Target>>,
    folder: Option<ItemPath>,
    context: Context,
    watching: Watching,
    told: mpsc::UnboundedSender<WatchNews>,
    post: Arc<WatchPost>,
}

impl Watched {
    async fn go(self, options: Options, mut stop: signal::Receiver<bool>) {
        let Self { target: mut renewed, folder, context, watching, told, post } = self;
        let clock = Arc::clone(&context.clock);
        loop {
            let target = Arc::clone(&renewed.borrow_and_update());
            let mut listen = |news: Told<'_>| {
                let name = target.name.clone();
                let news = match news {
                    Told::Run(result, next) => {
                        let report = done(&target, folder.clone(), result, clock.now()).report();
                        post.ran(&report, clock.now(), Some(next));
                        WatchNews::Ran(Box::new(report))
                    }
                    Told::Away(away) => {
                        let offline = offline(away);
                        if !post.away(&name, away) {
                            return;
                        }
                        WatchNews::Away { target: name, offline }
                    }
                    Told::Back(away) => {
                        post.back(&name);
                        WatchNews::Back { target: name, offline: offline(away) }
                    }
                    Told::Halted(next) => return post.waits(&name, Some(next)),
                    Told::Held(hold, next) => {
                        post.waits(&name, Some(next));
                        let message = format!("left alone: {}", hold.message);
                        WatchNews::Note { target: Some(name), message }
                    }
                    Told::GoesOn => WatchNews::Note {
                        target: Some(name),
                        message: "no longer left alone: everything is looked at".to_owned(),
                    },
                    Told::Limited(side, message) => {
                        WatchNews::Limited { target: name, side: side.into(), message: message.to_owned() }
                    }
                };
                // Nobody listening is no reason to stop.
                let _ = told.send(news);
            };
            let mut ended = false;
            let until = async {
                // A sender that is gone counts as a stop.
                ended = tokio::select! {
                    biased;
                    _ = stop.wait_for(|stop| *stop) => true,
                    changed = renewed.changed() => changed.is_err(),
                };
            };
            syncline_engine::watch(&context, &target, &options, watching, &mut listen, until).await;
            if ended {
                return;
            }
        }
    }
}

fn offline(away: &Away) -> Offline {
    Offline::new(away.since, away.tries, Some(away.next), &away.reason, away.waiting)
}

fn done(
    target: &Target,
    folder: Option<ItemPath>,
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
        // Whether the remote is away is told by the watch itself.
        reach: Reach::Unknown,
        result,
    }
}
