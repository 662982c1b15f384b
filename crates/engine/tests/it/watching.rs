//! A watch whose remote goes away and comes back: on a clock that runs only while everybody waits.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use syncline_connect::layers::fault::{Call, Fault, FaultLayer, Hook};
use syncline_connect::layers::retry::Retries;
use syncline_connect::{Endpoint, Error, ErrorKind};
use syncline_core::{Direction, Policy, Root, Side};
use syncline_engine::{Options, Told, Watching, watch};
use syncline_store::RunQuery;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::taken_back::refusing;
use crate::world::{World, open_guard};

/// What a watch told, and how many milliseconds after its beginning.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Heard {
    Ran(bool),
    Away(u32, String),
    Back(u32),
    Halted,
}

/// The delays of a watch in these tests; the seed makes them the same each time.
fn retries() -> Retries {
    Retries { attempts_max: 6, seed: Some(7), ..Retries::default() }
}

async fn agreed() -> World {
    let mut policy = Policy::new(Direction::Bidirectional);
    policy.guard = open_guard();
    let world = World::new(policy).await;
    world.sides.local.put("a.txt", "agreed", 1);
    assert!(world.run().await.unwrap().is_success());
    world
}

/// Watches `world` until `until` says that enough was heard; `meanwhile` is asked after each thing that was.
async fn heard(
    world: &World,
    watching: Watching,
    mut meanwhile: impl FnMut(&Heard) -> bool,
) -> Vec<(Duration, Heard)> {
    let began = Instant::now();
    let (tell, mut told) = mpsc::unbounded_channel();
    let mut listen = move |news: Told<'_>| {
        let news = match news {
            Told::Run(result, _) => Heard::Ran(result.as_ref().is_ok_and(|result| result.is_success())),
            Told::Away(away) => Heard::Away(away.tries, away.reason.clone()),
            Told::Back(away) => Heard::Back(away.tries),
            Told::Halted(_) => Heard::Halted,
            Told::Held(..) | Told::GoesOn | Told::Limited(..) => return,
        };
        tell.send((began.elapsed(), news)).unwrap();
    };
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let until = async { stopped.await.unwrap_or_default() };
    let options = Options::default();
    let watched = watch(&world.context, &world.target, &options, watching, &mut listen, until);
    let mut all = Vec::new();
    let listening = async {
        while let Some((when, news)) = told.recv().await {
            let enough = meanwhile(&news);
            all.push((when, news));
            if enough {
                break;
            }
        }
        drop(stop);
    };
    tokio::join!(watched, listening);
    all
}

fn paused() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap()
}

/// When the tries come after the first run: the doubling delays with their jitter, then every `then`.
fn expected_waits(then: Duration, count: usize) -> Vec<Duration> {
    retries().delays().chain(std::iter::repeat(then)).take(count).collect()
}

#[test]
fn a_remote_that_is_away_is_tried_five_times_and_then_at_the_interval() {
    paused().block_on(async {
        for (interval, then) in [(None, 60), (Some(Duration::from_secs(900)), 900)] {
            let mut world = agreed().await;
            let gone = Arc::new(AtomicBool::new(true));
            let flag = Arc::clone(&gone);
            let hook: Hook = Arc::new(move |call: &Call<'_>| match call {
                Call::Scan if flag.load(Ordering::Relaxed) => {
                    Fault::Error(Error::new(ErrorKind::Unreachable, "no route"))
                }
                _ => Fault::None,
            });
            let inner = Arc::new(world.sides.remote.clone()) as Arc<dyn Endpoint>;
            world.target.endpoints[Side::Remote] = Arc::new(FaultLayer::new(inner, hook));
            let watching = Watching { retries: retries(), interval, ..Watching::default() };
            let all = heard(&world, watching, |news| {
                match news {
                    // What changes here meanwhile waits.
                    Heard::Away(3, _) => world.sides.local.put("b.txt", "written while it was away", 2),
                    Heard::Away(7, _) => gone.store(false, Ordering::Relaxed),
                    _ => {}
                }
                *news == Heard::Ran(true)
            })
            .await;
            let told: Vec<Heard> = all.iter().map(|(_, news)| news.clone()).collect();
            let mut expected = vec![Heard::Ran(false)];
            expected.extend((0..=7).map(|tries| Heard::Away(tries, "no route".into())));
            expected.extend([Heard::Back(7), Heard::Ran(true)]);
            assert_eq!(told, expected);
            let tries: Vec<Duration> = all[1..=9].iter().map(|(when, _)| *when).collect();
            let waits = tries.windows(2).map(|pair| pair[1] - pair[0]);
            for (wait, expected) in waits.zip(expected_waits(Duration::from_secs(then), 8)) {
                // The clock of the runtime counts milliseconds.
                assert!(wait.abs_diff(expected) <= Duration::from_millis(2), "{wait:?}, not {expected:?}");
            }
            assert_eq!(world.shape(Side::Remote), world.shape(Side::Local));
            assert!(world.shape(Side::Remote).contains_key("b.txt"));
        }
    });
}

#[test]
fn a_folder_that_is_not_mounted_is_waited_for_and_recorded_once() {
    paused().block_on(async {
        let world = agreed().await;
        world.sides.remote.set_root(Root::Missing);
        let watching = Watching { retries: retries(), ..Watching::default() };
        let all = heard(&world, watching, |news| {
            if matches!(news, Heard::Away(12, _)) {
                world.sides.remote.set_root(Root::Present);
            }
            *news == Heard::Ran(true)
        })
        .await;
        assert_eq!(all.len(), 1 + 13 + 2, "{all:?}");
        assert_eq!(all[all.len() - 2].1, Heard::Back(12));
        let runs = world.context.store.runs(&RunQuery::default()).await.unwrap();
        assert_eq!(runs.len(), 2, "the first run and one halt, not one for each try: {runs:#?}");
    });
}

#[test]
fn a_halt_that_waits_for_a_person_is_told_and_recorded_once() {
    paused().block_on(async {
        let world = agreed().await;
        world.sides.remote.set_root(Root::WrongType("file"));
        let watching = Watching { retries: retries(), ..Watching::default() };
        let mut looked = 0;
        let all = heard(&world, watching, |news| {
            looked += u32::from(*news == Heard::Halted);
            if looked == 5 {
                world.sides.remote.set_root(Root::Present);
            }
            *news == Heard::Ran(true)
        })
        .await;
        let told: Vec<Heard> = all.into_iter().map(|(_, news)| news).collect();
        let mut expected = vec![Heard::Ran(false)];
        expected.extend(vec![Heard::Halted; 5]);
        expected.push(Heard::Ran(true));
        assert_eq!(told, expected);
        let runs = world.context.store.runs(&RunQuery::default()).await.unwrap();
        assert_eq!(runs.len(), 2, "the first run and one halt: {runs:#?}");
    });
}

#[test]
fn a_run_whose_check_failed_is_tried_again_after_growing_delays() {
    paused().block_on(async {
        let mut world = World::new(Policy::new(Direction::Pull)).await;
        world.sides.remote.put("a.txt", "refused", 1);
        world.target.gates = Some(Arc::new(refusing()));
        let mut count = 0;
        let watching = Watching { retries: retries(), ..Watching::default() };
        let all = heard(&world, watching, |_| {
            count += 1;
            count == 5
        })
        .await;
        assert!(all.iter().all(|(_, news)| *news == Heard::Ran(false)), "{all:?}");
        let waits: Vec<u64> = all.windows(2).map(|two| (two[1].0 - two[0].0).as_secs()).collect();
        assert!(
            waits.is_sorted() && waits[0] >= 1 && waits[3] >= 14,
            "what it took back starts nothing: {waits:?}"
        );
        assert_eq!(world.sides.local.get("a.txt"), None, "what was done was taken back");
    });
}
