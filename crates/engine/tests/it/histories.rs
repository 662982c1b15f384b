//! Random histories: edits, runs, faults, again and again, and at the end both sides agree and nothing is lost.
//! A failing seed is printed with the command that replays it.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use syncline_connect::layers::fault::{Call, Fault, Hook};
use syncline_connect::{Error, ErrorKind};
use syncline_core::{Digest, Direction, Side};
use syncline_store::RunState;

use crate::random::{Random, seeds};
use crate::world::{World, block_on, random_policy};

/// Histories in an ordinary test run; the soak run sets `SYNCLINE_HISTORIES`.
const HISTORIES: u64 = 2_000;

#[test]
fn histories_keep_the_invariants() {
    for seed in seeds("SYNCLINE_HISTORIES", HISTORIES) {
        let traces = std::panic::catch_unwind(|| (block_on(history(seed)), block_on(history(seed))));
        let replay =
            format!("replay: SYNCLINE_SEED={seed} cargo test -p syncline-engine --test it histories");
        let Ok((first, second)) = traces else { panic!("seed {seed} failed; {replay}") };
        assert_eq!(first, second, "I9: seed {seed} gave two traces; {replay}");
    }
}

/// Plays one history; the trace tells plans and results.
async fn history(seed: u64) -> String {
    let mut random = Random(seed);
    let mut world = World::new(random_policy(&mut random)).await;
    let mut trace = String::new();
    for _ in 0..1 + random.below(4) {
        for side in Side::BOTH {
            let count = random.below(7);
            world.edit(&mut random, side, count);
        }
        episode(&mut world, &mut random, &mut trace).await;
    }
    settle(&world, &mut trace).await;
    trace
}

/// One run, with whatever goes wrong.
async fn episode(world: &mut World, random: &mut Random, trace: &mut String) {
    let before = world.contents();
    let shapes = Side::BOTH.map(|side| world.shape(side));
    let mutations = Side::BOTH.map(|side| world.sides[side].mutations());
    let edited = Arc::new(std::sync::Mutex::new(BTreeSet::new()));
    let fault = random.below(8);
    let ended = match fault {
        0..=2 => Some(world.run().await),
        3 => {
            let ended = world.run_hooked(at(random.below(30) as u64, || Fault::Crash)).await;
            if ended.is_none() && random.chance(50) {
                // Killed again while it recovers.
                world.run_hooked(at(random.below(10) as u64, || Fault::Crash)).await
            } else {
                ended
            }
        }
        4 => {
            let error = || Fault::Error(Error::new(ErrorKind::NoSpace, "injected"));
            world.run_hooked(at(random.below(20) as u64, error)).await
        }
        5 => world.run_hooked(incomplete(Side::BOTH[random.below(2)])).await,
        6 => world.run_hooked(user(world, random.below(12) as u64, random.next(), &edited)).await,
        _ => unreadable(world, random).await,
    };
    if fault == 6 {
        // What the user overwrote during the run was the user's to overwrite.
        let exempt: BTreeSet<Digest> = edited.lock().unwrap().clone();
        world.assert_nothing_lost(&before.difference(&exempt).copied().collect(), "after a concurrent edit");
    } else {
        world.assert_nothing_lost(&before, &format!("after fault {fault}"));
    }
    for (index, side) in Side::BOTH.into_iter().enumerate() {
        if !world.target.policy.direction.may_write(side) && fault != 6 {
            assert_eq!(world.sides[side].mutations(), mutations[index], "I24: {side} was written");
            assert_eq!(world.shape(side), shapes[index], "I24: {side} changed");
        }
    }
    if let Some(Ok(result)) = &ended {
        let _ = writeln!(trace, "{} {} {}", result.plan_hash, result.state, result.message());
        if result.state == RunState::Halted && result.tally.steps() == 0 {
            assert_eq!(
                Side::BOTH.map(|side| world.sides[side].mutations()),
                mutations,
                "I15: a halt mutates nothing, fault {fault}: {result:#?}"
            );
        }
    }
}

/// The `nth` call that changes something or opens content meets the fault.
fn at(nth: u64, fault: impl Fn() -> Fault + Send + Sync + 'static) -> Hook {
    let count = AtomicU64::new(0);
    Arc::new(move |call: &Call<'_>| {
        let counts = call.is_mutation() || matches!(call, Call::Open(_) | Call::Applied | Call::Apply(_));
        if counts && count.fetch_add(1, Ordering::Relaxed) == nth { fault() } else { Fault::None }
    })
}

/// One side's listing ends early. The hook hears both sides, local first.
fn incomplete(side: Side) -> Hook {
    let scans = AtomicU64::new(0);
    Arc::new(move |call: &Call<'_>| {
        if matches!(call, Call::Scan) && scans.fetch_add(1, Ordering::Relaxed) % 2 == (side as u64) {
            Fault::Incomplete
        } else {
            Fault::None
        }
    })
}

/// Somebody edits, adds or removes something on either side in the middle of the run.
fn user(world: &World, nth: u64, choice: u64, edited: &Arc<std::sync::Mutex<BTreeSet<Digest>>>) -> Hook {
    let (sides, edited, count) = (world.sides.clone(), Arc::clone(edited), AtomicU64::new(0));
    Arc::new(move |call: &Call<'_>| {
        let Call::Mutate(_, step) = call else { return Fault::None };
        if count.fetch_add(1, Ordering::Relaxed) == nth {
            let mut random = Random(choice);
            let side = Side::BOTH[random.below(2)];
            let endpoint = &sides[side];
            let path = step.path.as_str();
            let note = |path: &str| {
                let below = format!("{path}/");
                for (other, item) in endpoint.tree() {
                    if other == path || other.starts_with(&below) || path.starts_with(&format!("{other}/")) {
                        edited.lock().unwrap().insert(Digest::of(&item.bytes));
                    }
                }
            };
            note(path);
            let folded = path.to_lowercase();
            if endpoint.tree().keys().any(|other| other != path && folded.starts_with(&other.to_lowercase()))
            {
                // On a case-folding side this would be another item's path.
                return Fault::None;
            }
            if random.chance(70) {
                crate::world::make_way(endpoint, path);
                endpoint.put(path, format!("by the user {choice}"), 5_000_000_000);
            } else {
                endpoint.remove(path);
            }
        }
        Fault::None
    })
}

/// A directory cannot be read while the run goes on.
async fn unreadable(
    world: &World,
    random: &mut Random,
) -> Option<syncline_engine::Result<syncline_engine::RunResult>> {
    let side = Side::BOTH[random.below(2)];
    let paths: Vec<String> = world.sides[side].tree().into_keys().collect();
    let Some(path) = random.pick(&paths).cloned() else { return Some(world.run().await) };
    let below = format!("{path}/");
    let on_other = |shape: std::collections::BTreeMap<String, String>| {
        shape.into_iter().filter(|(other, _)| *other == path || other.starts_with(&below)).collect::<Vec<_>>()
    };
    let before = on_other(world.shape(side.other()));
    world.sides[side].set_unreadable(&path, true);
    let result = world.run().await;
    world.sides[side].set_unreadable(&path, false);
    let after = on_other(world.shape(side.other()));
    for (path, _) in &before {
        let moved = result.as_ref().is_ok_and(|result| result.tally.moved > 0);
        let there = after.iter().any(|(other, _)| other == path);
        assert!(
            there || moved,
            "I14: {path} was removed because the other side could not be read\n{}",
            world.show()
        );
    }
    Some(result)
}

/// Once faults stop, at most three runs bring agreement, and then nothing is left to do.
async fn settle(world: &World, trace: &mut String) {
    let before = world.contents();
    let mut last = None;
    for _ in 0..3 {
        let result = world.run().await.unwrap();
        let _ = writeln!(trace, "{} {}", result.plan_hash, result.message());
        last = Some(result);
    }
    world.assert_nothing_lost(&before, "while settling");
    let mutations = Side::BOTH.map(|side| world.sides[side].mutations());
    let result = world.run().await.unwrap();
    assert_eq!(
        Side::BOTH.map(|side| world.sides[side].mutations()),
        mutations,
        "I8: a run after agreement changes something: {:?}\n{}",
        result.plan.steps,
        world.show()
    );
    let last = last.unwrap();
    if last.state == RunState::Halted {
        assert!(result.halts.iter().all(|halt| halt.code == "root_emptied"), "{:?}", result.halts);
        return;
    }
    assert!(result.plan.steps.is_empty(), "I8: steps are left: {:?}\n{}", result.plan.steps, world.show());
    if world.target.policy.direction == Direction::Bidirectional {
        let apart = |path: &str| {
            let open = result.conflicts.iter().filter(|conflict| conflict.is_untouched());
            let paths = open.map(|conflict| conflict.path.as_str());
            let told = result.problems.iter().map(|problem| problem.path.as_str());
            paths.chain(told).any(|top| path == top || path.starts_with(&format!("{top}/")))
        };
        let shapes = Side::BOTH.map(|side| {
            let mut shape = world.agreeable(side);
            shape.retain(|path, _| !apart(path));
            if !world.target.policy.abilities.local.executable
                || !world.target.policy.abilities.remote.executable
            {
                for item in shape.values_mut() {
                    *item = item.replace("executable: true", "executable: false");
                }
            }
            shape
        });
        assert_eq!(shapes[0], shapes[1], "I1: the sides differ\n{}", trace);
    }
    for side in Side::BOTH {
        let _ = writeln!(trace, "{:?}", world.shape(side));
    }
}
