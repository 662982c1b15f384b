//! A run whose check fails is taken back on the sides that it wrote, and the next run tries the same again.

use std::sync::Arc;

use syncline_core::{Choices, Digest, Expectation, Side};
use syncline_engine::Gates;
use syncline_engine::checks::{Check, Ground, Means};

use crate::random::{Random, seeds};
use crate::world::{World, block_on, open_guard, random_policy};

/// Worlds in an ordinary test run: each starts a program.
const WORLDS: u64 = 300;

/// A check after the run that always fails.
pub fn refusing() -> Gates {
    let check = Check {
        name: "never".into(),
        phase: "after",
        means: Means::Command("false".into()),
        expectation: Expectation { exit_code: Some(0), ..Expectation::default() },
        keep: false,
        in_copy: false,
    };
    let ground = Ground { root: std::env::temp_dir(), ..Ground::default() };
    Gates { after: vec![check], ground, ..Gates::default() }
}

#[test]
fn a_run_that_is_taken_back_leaves_both_sides_as_they_were() {
    for seed in seeds("SYNCLINE_TAKEN_BACK", WORLDS) {
        let played = std::panic::catch_unwind(|| block_on(play(seed)));
        assert!(
            played.is_ok(),
            "replay: SYNCLINE_SEED={seed} cargo test -p syncline-engine --test it taken_back"
        );
    }
}

async fn play(seed: u64) {
    let mut random = Random(seed);
    let mut policy = random_policy(&mut random);
    policy.guard = open_guard();
    let mut world = World::new(policy).await;
    for side in Side::BOTH {
        world.edit(&mut random, side, 5);
    }
    world.run().await.unwrap();
    for side in Side::BOTH {
        world.edit(&mut random, side, 4);
    }
    let (before, contents) = (Side::BOTH.map(|side| world.shape(side)), world.contents());
    world.target.gates = Some(Arc::new(refusing()));
    let result = world.run().await.unwrap();
    let told: Vec<&str> = result.problems.iter().map(|problem| problem.code).collect();
    assert!(told.contains(&"check_failed") || result.tally.steps() == 0, "{told:?}");
    for (side, before) in Side::BOTH.into_iter().zip(before) {
        let mut after = world.shape(side);
        if !world.target.policy.abilities[side.other()].directories {
            // Those that were made only to hold something stay: an empty one that a user made cannot be told from them.
            after.retain(|path, shape| before.contains_key(path) || !shape.starts_with("Directory"));
        }
        assert_eq!(after, before, "{side}: {:#?}", result.plan);
    }
    world.assert_nothing_lost(&contents, "by being taken back");

    world.target.gates = None;
    let mut result = world.run().await.unwrap();
    for _ in 0..3 {
        let choices = Choices { approved: Digest::from_hex(&result.plan_hash), ..Choices::default() };
        result = world.run_with(choices).await.unwrap();
    }
    assert!(result.plan.steps.is_empty(), "it settles: {:#?}", result.plan);
    world.assert_nothing_lost(&contents, "by the next run");
}
