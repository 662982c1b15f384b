//! I11: power lost at every call that changes something, with any of what was not made durable: run again, the result
//! is that of no power loss at all.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use syncline_connect::layers::fault::{Call, Fault};
use syncline_connect::{Error, ErrorKind};
use syncline_core::Side;

use crate::crash::{finish, killer, world};
use crate::random::{Random, seeds};
use crate::world::{World, block_on};

/// Worlds that lose power at every step in an ordinary test run; the soak run sets `SYNCLINE_POWER_WORLDS`.
const WORLDS: u64 = 40;

impl World {
    /// Runs until power is lost at the n-th call; tells whether it was reached.
    async fn lose_power(&self, nth: u64, random: &mut Random) -> bool {
        Side::BOTH.iter().for_each(|&side| self.sides[side].set_volatile());
        let ended = self.run_hooked(killer(nth, &Arc::default())).await;
        // Nothing, all, or any half of it.
        let percent = [0, 50, 50, 90, 100][random.below(5)];
        let mut survives = || random.chance(percent);
        Side::BOTH.iter().for_each(|&side| self.sides[side].lose_power(&mut survives));
        self.context.store.objects().lose_power(&mut survives);
        ended.is_none()
    }
}

#[test]
fn power_lost_anywhere_equals_not_lost() {
    for seed in seeds("SYNCLINE_POWER_WORLDS", WORLDS) {
        let result = std::panic::catch_unwind(|| block_on(every_loss(seed)));
        assert!(
            result.is_ok(),
            "seed {seed} failed; replay: SYNCLINE_SEED={seed} cargo test -p syncline-engine --test it power"
        );
    }
}

async fn every_loss(seed: u64) {
    let calm = world(seed).await;
    let before = calm.contents();
    let start = calm.show();
    let calls = Arc::new(AtomicU64::new(0));
    calm.run_hooked(killer(u64::MAX, &calls)).await.unwrap().unwrap();
    let calls = calls.load(Ordering::Relaxed);
    let expected = finish(&calm).await;
    for nth in 0..calls {
        let mut random = Random(seed ^ nth << 32);
        let dark = world(seed).await;
        assert!(dark.lose_power(nth, &mut random).await, "call {nth} of {calls} was not reached");
        dark.assert_nothing_lost(&before, &format!("right after the power loss at call {nth}"));
        if nth % 3 == 0 {
            // Lost again while recovering.
            dark.lose_power(nth / 3, &mut random).await;
            dark.assert_nothing_lost(&before, &format!("after two power losses, the first at call {nth}"));
        }
        let found = finish(&dark).await;
        assert_eq!(expected, found, "I11: power lost at call {nth} of {calls}\n{start}");
        dark.assert_nothing_lost(&before, &format!("after the power loss at call {nth} and recovery"));
    }
}

/// A barrier that fails, and then the power loss that shows what it had not done.
#[test]
fn nothing_is_agreed_on_after_a_failed_sync() {
    for seed in 0..WORLDS {
        block_on(async {
            let calm = world(seed).await;
            let before = calm.contents();
            calm.run().await.unwrap();
            let expected = finish(&calm).await;
            let failing = world(seed).await;
            Side::BOTH.iter().for_each(|&side| failing.sides[side].set_volatile());
            let nth = AtomicU64::new(seed % 4);
            let hook = move |call: &Call<'_>| match call {
                Call::Sync if nth.fetch_sub(1, Ordering::Relaxed) == 0 => {
                    Fault::Error(Error::new(ErrorKind::Io, "the disk is broken"))
                }
                _ => Fault::None,
            };
            let _ = failing.run_hooked(Arc::new(hook)).await.unwrap();
            Side::BOTH.iter().for_each(|&side| failing.sides[side].lose_power(&mut || false));
            failing.context.store.objects().lose_power(&mut || false);
            failing.assert_nothing_lost(&before, &format!("after a failed sync, seed {seed}"));
            assert_eq!(expected, finish(&failing).await, "after a failed sync, seed {seed}");
        });
    }
}
