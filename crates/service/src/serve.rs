//! Serving: the targets of a workspace run by their schedules and at changes, for as long as the process lives.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use syncline_config::Target as Configured;
use syncline_core::{Direction, Nanos};
use syncline_engine::Context;
use syncline_engine::scheduler::{Agenda, Due, Timetable};
use syncline_store::{RunQuery, SeenTo, WatchedTarget};
use tokio::sync::{Mutex, Notify, mpsc, watch as signal};

use crate::answering::{Listens, certificate, check_address};
use crate::asked::Asked;
use crate::live::{Following, Live};
use crate::lookout::Lookout;
use crate::monitoring::Watching;
use crate::notifying::{self, Notifying};
use crate::operations::start_run::start_due;
use crate::problem::{Class, Problem, Result};
use crate::runner::Done;
use crate::scheduling::{Stage, keep_to};
use crate::service::Service;
use crate::watch::{Configuration, WatchNews, Watches, told_to_end};
use crate::watch_post::{How, WatchPost};
use crate::wire::{LeftOut, News, TargetReport};

/// How long it is waited before another try while another process works in the workspace.
const LOCK_PAUSE: Duration = Duration::from_millis(200);

/// How often it is looked whether those were looked at that come first.
const FIRST_PAUSE: Duration = Duration::from_millis(50);

/// What is told as the cause of runs that are due.
const SCHEDULE: &str = "schedule";

/// What whoever started the process wants of it.
pub struct Orders {
    /// Turns true when it is to end.
    pub stop: signal::Receiver<bool>,
    /// Notified when the configuration is to be read anew.
    pub reload: Arc<Notify>,
    /// Learns which workspace is served, with each configuration that comes into force.
    pub served: signal::Sender<Option<Arc<Service>>>,
    /// Learns what goes on.
    pub live: Arc<Live>,
    /// Whether somebody can ask for something meanwhile over HTTP: then no target need run by itself.
    pub listens: Listens,
}

/// Runs targets by their schedules, and those with `triggers.watch` at changes, until `orders` or another process want
/// it to end; what is going on comes to its end first.
///
/// - The configuration is read anew with `reopen` when its file changes and when it is asked for. One that cannot be used
///   is told, and the old one stays in force.
/// - It takes the place of the one watch of the workspace, and gives the workspace free between its runs.
///
/// # Errors
/// When nothing can ever happen, a target that is watched cannot be opened, or another process watches the workspace.
pub async fn serve(
    service: Service,
    reopen: impl Fn() -> Result<Service>,
    told: mpsc::UnboundedSender<WatchNews>,
    orders: Orders,
) -> Result<()> {
    check(&service, orders.listens.address().is_some())?;
    let how = How { interval: None, serving: true };
    let post = Arc::new(WatchPost::take(&service, how, names(&service)).await?);
    let _ = told.send(WatchNews::Began);
    let configuration = Configuration::of(&service);
    let mut serving = Serving { reopen, told, orders, post, configuration, turns: Arc::default() };
    let mut next = Some(service);
    while let Some(service) = next.take() {
        let service = Arc::new(service.heard_by(&serving.orders.live));
        serving.post.renew(names(&service));
        serving.orders.served.send_replace(Some(Arc::clone(&service)));
        next = serving.go(&service).await?;
    }
    Ok(())
}

/// Refuses what [`serve`] would, before anything is begun that others might see; `listens` as in [`Orders`].
///
/// # Errors
/// The same.
pub async fn check_place(service: &Service, listens: &Listens) -> Result<()> {
    check(service, listens.address().is_some())?;
    // First what the file has wrong, for which nothing is made; then what others do.
    if let Some(address) = listens.address() {
        check_address(service, address).await?;
    }
    listens.tls().map_or(Ok(()), |tls| certificate(tls).map(drop))?;
    WatchPost::check_free(service).await
}

/// Whether anything can ever happen, and all of it can be begun.
fn check(service: &Service, listens: bool) -> Result<()> {
    let workspace = service.workspace();
    // Whoever is told of it, or listened for, waits for no run.
    let watches_over = !workspace.peers.nodes.is_empty() || workspace.alerts.dead_man.is_some();
    if !listens && !watches_over {
        check_names(service)?;
    }
    watched(service).map(drop)
}

/// Whether a target runs by itself.
pub(crate) fn check_names(service: &Service) -> Result<()> {
    if names(service).next().is_some() {
        return Ok(());
    }
    let message =
        format!("no target of {} has a `schedule` or is watched", service.workspace().file.display());
    Err(Problem::usage("nothing_to_serve", message).with_hint(
        "write `schedule: every 15m`, `triggers: { watch: true }` or `triggers: { events: [deploy] }` for one; \
         `syncline serve --listen` answers over HTTP without any",
    ))
}

/// The targets that run by themselves.
pub(crate) fn names(service: &Service) -> impl Iterator<Item = String> {
    let targets = service.workspace().targets.iter();
    let hooks = &service.workspace().webhooks;
    let is_hooked = |target: &Configured| hooks.iter().any(|hook| hook.targets.contains(&target.name));
    let by_itself = move |target: &&Configured| {
        target.watch || target.schedule.is_some() || !target.events.is_empty() || is_hooked(target)
    };
    targets.filter(by_itself).map(|target| target.name.clone())
}

/// The targets that are watched, opened.
fn watched(service: &Service) -> Result<Watches<'_>> {
    let targets = service.workspace().targets.iter().filter(|target| target.watch);
    Watches::open(service, targets.map(|target| (target, target.direction)).collect())
}

/// What outlives a configuration.
struct Serving<R> {
    reopen: R,
    told: mpsc::UnboundedSender<WatchNews>,
    orders: Orders,
    post: Arc<WatchPost>,
    /// Its file as it was before it was read last: it may change again while what goes on comes to its end.
    configuration: Configuration,
    turns: Arc<Mutex<()>>,
}

impl<R: Fn() -> Result<Service>> Serving<R> {
    /// Serves until the end, or until there is another configuration, which is returned.
    async fn go(&mut self, service: &Arc<Service>) -> Result<Option<Service>> {
        let store = service.stored().await?;
        store.subscribe(&notifying::names(service)).await?;
        service.leave_out_of_git();
        let context = Context { turns: Some(Arc::clone(&self.turns)), ..service.context(&store) };
        let (end, ending) = signal::channel(false);
        let (live, post) = (Arc::clone(&self.orders.live), Arc::clone(&self.post));
        let lookout = Lookout::begin(service, &store, &post, &live)?;
        let signs = || lookout.signs.clone();
        let watching = Watching::begin(
            Arc::clone(service),
            Arc::clone(&post),
            Arc::clone(&live),
            signs(),
            ending.clone(),
        );
        let notifying = Notifying::begin(Arc::clone(service), signs(), ending.clone());
        let mut runs = Runs {
            service,
            post: Arc::clone(&self.post),
            told: self.told.clone(),
            live: Arc::clone(&live),
            turns: Arc::clone(&self.turns),
            stop: ending.clone(),
            held: BTreeMap::new(),
            halted: Halted::default(),
            asked: Asked::new(service, &store, signs()),
        };
        let agenda = agenda(service).await?;
        runs.note(&agenda);
        let scheduled = async {
            keep_to(agenda, &mut runs, ending.clone()).await;
            Ok(())
        };
        let watches = watched(service)?;
        let watched =
            watches.go(context, None, self.told.clone(), Arc::clone(&post), (signs(), ending.clone()));
        let work = async { tokio::try_join!(scheduled, watched) };
        tokio::pin!(work);
        let mut following = Following::new(&live, service, &post);
        let next = {
            let wanted = async {
                let next = self.wanted(service, &lookout).await;
                if next.is_none() {
                    live.drain();
                }
                end.send_replace(true);
                next
            };
            tokio::pin!(wanted);
            let both = async {
                let wanted = tokio::select! {
                    ended = &mut work => return ended.map(|_| None),
                    next = &mut wanted => next,
                };
                work.await?;
                Ok(wanted)
            };
            tokio::select! {
                next = both => next,
                never = following.go(signs()) => match never {},
            }
        };
        end.send_replace(true);
        tokio::join!(watching.ended(), notifying.ended());
        following.finish().await;
        next
    }

    /// Waits until this is to end, or to go on with another configuration, which is returned.
    async fn wanted(&mut self, service: &Service, lookout: &Lookout) -> Option<Service> {
        let (mut signs, mut asked_to_end) = (lookout.signs.clone(), lookout.asked_to_end.clone());
        let mut reload = false;
        loop {
            // Looked at before it is read, so that a change meanwhile is noticed.
            reload |= self.configuration.has_changed(service);
            if reload && let Some(next) = self.read_anew() {
                return Some(next);
            }
            reload = tokio::select! {
                // A sender that is gone counts as a stop.
                _ = self.orders.stop.wait_for(|stop| *stop) => return None,
                Ok(_) = asked_to_end.wait_for(|asked| *asked) => {
                    let _ = self.told.send(told_to_end());
                    return None;
                }
                () = self.orders.reload.notified() => true,
                Ok(()) = signs.changed() => false,
            };
        }
    }

    /// The configuration as it is now; what is wrong with it is told.
    fn read_anew(&self) -> Option<Service> {
        let live = &self.orders.live;
        let opened = (self.reopen)()
            .and_then(|service| check(&service, self.orders.listens.address().is_some()).map(|()| service));
        let (message, next) = match opened {
            Ok(service) => {
                let targets = service.workspace().targets.iter().map(|target| target.name.clone());
                live.feed().tell(News::ConfigurationReloaded { targets: targets.collect() });
                let mut message = "the configuration was read anew".to_owned();
                let later = self.orders.listens.left_for_the_next_start(&service);
                if !later.is_empty() {
                    message
                        .push_str(&format!("; changes of {} count from the next start", later.join(" and ")));
                }
                (message, Some(service))
            }
            Err(problem) => {
                // Logs are one line each: the excerpt of the file would be none.
                let why = problem.in_one_line();
                live.feed().tell(News::ConfigurationRefused { message: why.clone() });
                (format!("the old configuration stays in force: {why}"), None)
            }
        };
        let _ = self.told.send(WatchNews::Note { target: None, message });
        next
    }
}

/// What is due when.
pub(crate) async fn agenda(service: &Service) -> Result<Agenda> {
    let store = service.stored().await?;
    let seen = SeenTo::read(service.state());
    let mut timetables = Vec::new();
    for target in &service.workspace().targets {
        let Some(schedule) = &target.schedule else { continue };
        let timetable =
            Timetable::new(&target.name, schedule, &target.timezone, target.missed, target.jitter);
        let mut last = seen.0.get(&target.name).copied();
        if last.is_none() {
            let query = RunQuery { target: Some(target.name.clone()), before: None, limit: Some(1) };
            last = store.runs(&query).await?.first().map(|run| run.start.started);
        }
        timetables.push((timetable, last));
    }
    Ok(Agenda::new(timetables, service.clock().now()))
}

/// Real runs, in real time.
pub(crate) struct Runs<'a> {
    pub(crate) service: &'a Service,
    pub(crate) post: Arc<WatchPost>,
    pub(crate) told: mpsc::UnboundedSender<WatchNews>,
    pub(crate) live: Arc<Live>,
    pub(crate) turns: Arc<Mutex<()>>,
    pub(crate) stop: signal::Receiver<bool>,
    /// Why a target was left out the last time, so that it is told once.
    pub(crate) held: BTreeMap<String, String>,
    pub(crate) halted: Halted,
    pub(crate) asked: Asked<'a>,
}

/// What each target was halted for the last time, so that it is told once.
#[derive(Default)]
pub(crate) struct Halted(BTreeMap<String, (Option<String>, String)>);

impl Halted {
    /// Takes in how a target ran; whether it is halted for just what it was halted for before.
    fn stays(&mut self, report: &TargetReport) -> bool {
        if report.halts.is_empty() {
            self.0.remove(&report.target);
            return false;
        }
        let why = (report.plan_hash.clone(), report.message.clone());
        self.0.insert(report.target.clone(), why.clone()).is_some_and(|before| before == why)
    }
}

impl Stage for Runs<'_> {
    fn now(&self) -> Nanos {
        self.service.clock().now()
    }

    async fn wait(&mut self, time: Duration) -> bool {
        tokio::time::timeout(time, self.asked.arrival()).await.is_ok()
    }

    async fn run(&mut self, due: &[Due], agenda: &Agenda) {
        if !self.come_first(due).await {
            return;
        }
        let Some((results, left_out)) = self.meet(due, agenda).await else { return };
        for report in results {
            self.held.remove(&report.target);
            let is_asked_for = !due.iter().any(|due| due.target == report.target);
            if self.halted.stays(&report) && !is_asked_for {
                continue;
            }
            // Nobody listening is no reason to stop.
            let _ = self.told.send(WatchNews::Ran(Box::new(report)));
        }
        for LeftOut { target, message, .. } in left_out {
            let before = self.held.insert(target.clone(), message.clone());
            if before.as_ref() != Some(&message) {
                let message = format!("left alone: {message}");
                let _ = self.told.send(WatchNews::Note { target: Some(target), message });
            }
        }
    }
}

impl Runs<'_> {
    /// Lets watched targets that others are due `after` be looked at first, which each is when the process begins; false when
    /// it is to end before that.
    async fn come_first(&mut self, due: &[Due]) -> bool {
        let workspace = self.service.workspace();
        let mut first: BTreeSet<&String> = BTreeSet::new();
        let mut waiting: Vec<&String> = due.iter().map(|due| &due.target).collect();
        while let Some(target) = waiting.pop().and_then(|name| workspace.target(name)) {
            waiting.extend(target.after.iter().filter(|name| first.insert(name)));
        }
        let is_watched = |name: &&String| workspace.target(name).is_some_and(|target| target.watch);
        let first: BTreeSet<&String> = first.into_iter().filter(is_watched).collect();
        let is_new = |watched: &WatchedTarget| {
            first.contains(&watched.name)
                && (&watched.last, watched.next, &watched.away) == (&None, None, &None)
        };
        while self.post.record().targets.iter().any(is_new) {
            tokio::select! {
                biased;
                _ = self.stop.wait_for(|stop| *stop) => return false,
                () = tokio::time::sleep(FIRST_PAUSE) => {}
            }
        }
        true
    }

    /// Runs targets that are due, and those that are asked for, and remembers that this was seen to; `None` when there are
    /// none, or when it is to end before that.
    pub(crate) async fn meet(
        &mut self,
        due: &[Due],
        agenda: &Agenda,
    ) -> Option<(Vec<TargetReport>, Vec<LeftOut>)> {
        if let Some(first) = due.iter().map(|due| due.moment).min() {
            self.live.late_by(self.now().saturating_sub(first));
        }
        let requests = self.asked.take().await;
        let names: BTreeSet<&String> =
            due.iter().map(|due| &due.target).chain(requests.iter().map(|request| &request.target)).collect();
        let names: Vec<String> = names.into_iter().cloned().collect();
        if names.is_empty() {
            return None;
        }
        let cause = match requests.as_slice() {
            [first, ..] if due.is_empty() => &first.cause,
            _ => SCHEDULE,
        };
        let (results, left_out) = self.carry_out(names, cause).await?;
        self.asked.done(requests, &left_out).await;
        let now = self.now();
        for report in &results {
            self.post.ran(report, now, agenda.next_of(&report.target));
        }
        for LeftOut { target, .. } in &left_out {
            self.post.waits(target, agenda.next_of(target));
        }
        self.note(agenda);
        Some((results, left_out))
    }

    /// Runs what is due, as soon as no other process works in the workspace; `None` when it is to end before that.
    async fn carry_out(
        &mut self,
        names: Vec<String>,
        cause: &str,
    ) -> Option<(Vec<TargetReport>, Vec<LeftOut>)> {
        let _turn = tokio::select! {
            biased;
            // Whoever waits for others has not begun.
            _ = self.stop.wait_for(|stop| *stop) => return None,
            turn = self.turns.lock() => turn,
        };
        let mut waits = false;
        loop {
            match start_due(self.service, names.clone(), cause).await {
                Ok(report) => return Some((report.results, report.left_out)),
                Err(problem) if problem.class == Class::Busy => {
                    if !waits {
                        let message = format!("{} is due and waits: {problem}", names.join(", "));
                        let _ = self.told.send(WatchNews::Note { target: None, message });
                    }
                    waits = true;
                    tokio::select! {
                        _ = self.stop.wait_for(|stop| *stop) => return None,
                        () = tokio::time::sleep(LOCK_PAUSE) => {}
                    }
                }
                Err(problem) => {
                    let failed = |target: &&Configured| names.contains(&target.name);
                    let targets = self.service.workspace().targets.iter().filter(failed);
                    let report = |target: &Configured| {
                        let direction: Direction = target.direction;
                        Done::refused(self.service, target, direction, problem.clone()).report()
                    };
                    return Some((targets.map(report).collect(), Vec::new()));
                }
            }
        }
    }

    /// Remembers up to where schedules were seen to, and tells when each target is due next.
    pub(crate) fn note(&self, agenda: &Agenda) {
        let seen = SeenTo(agenda.seen_to().map(|(target, seen)| (target.to_owned(), seen)).collect());
        if let Err(error) = seen.write(self.service.state()) {
            // What was done is done; the next start may do some of it again.
            tracing::warn!(%error, "up to where the schedules were seen to could not be written");
        }
        for (target, _) in agenda.seen_to() {
            let is_watched = self.service.workspace().target(target).is_some_and(|target| target.watch);
            if !is_watched {
                self.post.waits(target, agenda.next_of(target));
            }
        }
    }
}
