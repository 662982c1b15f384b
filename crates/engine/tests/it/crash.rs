//! I10: killed at every call that changes something, and run again, the result is that of no kill at all.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use syncline_connect::layers::fault::{Call, Fault, Hook};
use syncline_core::Side;

use crate::random::{Random, seeds};
use crate::world::{World, block_on, random_policy};

/// Worlds that are killed at every step in an ordinary test run; the soak run sets `SYNCLINE_CRASHES`.
const WORLDS: u64 = 120;

/// A world with a past, and unsynced changes on both sides.
pub async fn world(seed: u64) -> World {
    let mut random = Random(seed ^ 0xc0ff_ee00);
    let mut world = World::new(random_policy(&mut random)).await;
    world.edit(&mut random, Side::Local, 8);
    world.run().await.unwrap();
    for side in Side::BOTH {
        let count = 1 + random.below(5);
        world.edit(&mut random, side, count);
    }
    world
}

pub fn killer(nth: u64, calls: &Arc<AtomicU64>) -> Hook {
    let calls = Arc::clone(calls);
    Arc::new(move |call: &Call<'_>| {
        let counts = call.is_mutation() || matches!(call, Call::Open(_) | Call::Applied | Call::Apply(_));
        if counts && calls.fetch_add(1, Ordering::Relaxed) == nth { Fault::Crash } else { Fault::None }
    })
}

pub async fn finish(world: &World) -> [std::collections::BTreeMap<String, String>; 2] {
    for _ in 0..3 {
        let result = world.run().await.unwrap();
        if result.halts.iter().any(|halt| halt.code == "root_emptied") {
            // The last item of a side went just before the kill: that the side is empty now looks like an
            // unmounted folder, so a person is asked, and says yes.
            let approved = syncline_core::Digest::from_hex(&result.plan_hash);
            world.run_with(syncline_core::Choices { approved, ..Default::default() }).await.unwrap();
        }
    }
    // A folder that was to go as the last step, and of which no side keeps a memory, may be left empty by a kill.
    Side::BOTH.map(|side| world.agreeable(side))
}

#[test]
fn killed_anywhere_equals_not_killed() {
    for seed in seeds("SYNCLINE_CRASHES", WORLDS) {
        let result = std::panic::catch_unwind(|| block_on(every_kill(seed)));
        assert!(
            result.is_ok(),
            "seed {seed} failed; replay: SYNCLINE_SEED={seed} cargo test -p syncline-engine --test it crash"
        );
    }
}

async fn every_kill(seed: u64) {
    let calm = world(seed).await;
    let before = calm.contents();
    let start = calm.show();
    let calls = Arc::new(AtomicU64::new(0));
    calm.run_hooked(killer(u64::MAX, &calls)).await.unwrap().unwrap();
    let calls = calls.load(Ordering::Relaxed);
    let expected = finish(&calm).await;
    for nth in 0..calls {
        let killed = world(seed).await;
        let ended = killed.run_hooked(killer(nth, &Arc::default())).await;
        assert!(ended.is_none(), "the kill at call {nth} of {calls} did not happen");
        killed.assert_nothing_lost(&before, &format!("right after the kill at call {nth}"));
        if nth % 3 == 0 {
            // Killed again while recovering.
            killed.run_hooked(killer(nth / 3, &Arc::default())).await;
        }
        let found = finish(&killed).await;
        assert_eq!(expected, found, "I10: killed at call {nth} of {calls}\n{start}");
        killed.assert_nothing_lost(&before, &format!("after the kill at call {nth} and recovery"));
    }
}
