//! The invariants of planning, over random worlds. A failing case prints its seed; run it alone with
//! `SYNCLINE_SEED=<seed> cargo test -p syncline-core --test it properties`.

use std::collections::{BTreeMap, BTreeSet};

use syncline_core::{Choices, Direction, Guard, ItemPath, Kind, Merging, Policy, Resolution, Rule, Side};

use crate::random::{Random, seeds};
use crate::world::{Tree, World, edit, path};

/// Cases in an ordinary test run; the soak run sets `SYNCLINE_CASES`.
const CASES: u64 = 24_000;

fn policy(random: &mut Random) -> Policy {
    let direction = [Direction::Bidirectional, Direction::Bidirectional, Direction::Pull, Direction::Push]
        [random.below(4)];
    let mut policy = Policy::new(direction);
    // The guard has tests of its own; here it would only hide what the planner does.
    policy.guard = Guard { deletes_max_percent: 100, deletes_max: u64::MAX, sentinel: None };
    for pattern in ["a/**", "b", "d.txt", "**"] {
        let resolution = match random.below(8) {
            0 => Resolution::Newest,
            1 => Resolution::Prefer(Side::Local),
            2 => Resolution::Prefer(Side::Remote),
            3 => Resolution::Manual,
            4 | 5 => Resolution::Merge(Merging::Auto),
            _ => Resolution::KeepBoth,
        };
        policy.rules.push(Rule::new(pattern, resolution).unwrap());
    }
    for side in Side::BOTH {
        policy.abilities[side].directory_moves = random.chance(70);
        policy.abilities[side].moves = random.chance(90);
    }
    if random.chance(30) {
        let side = Side::BOTH[random.below(2)];
        policy.abilities[side].directories = false;
        policy.abilities[side].directory_moves = false;
    }
    policy
}

fn world(random: &mut Random) -> World {
    let mut world = World::new(policy(random));
    world.lazy = random.chance(50);
    world.hints = random.chance(50);
    if random.chance(85) {
        // A shared past: one side fills, both agree.
        let direction = world.policy.direction;
        world.policy.direction = Direction::Bidirectional;
        let count = 1 + random.below(14);
        edit(&mut world, random, Side::Local, count);
        let plan = world.plan(&Choices::default());
        world.apply(&plan);
        world.policy.direction = direction;
    }
    for side in Side::BOTH {
        if random.chance(75) {
            let count = random.below(9);
            edit(&mut world, random, side, count);
        }
        if random.chance(10) {
            let existing: Vec<ItemPath> = world.trees[side].things.keys().cloned().collect();
            let directories: Vec<&ItemPath> =
                existing.iter().filter(|path| world.trees[side].things[*path].kind.is_directory()).collect();
            if let Some(directory) = random.pick(&directories) {
                let top = path(&format!("{directory}/ignored"));
                world.trees[side].ignored.insert(top);
            }
        }
    }
    world
}

#[test]
fn every_plan_keeps_the_invariants() {
    for seed in seeds("SYNCLINE_CASES", CASES) {
        let result = std::panic::catch_unwind(|| check(seed));
        assert!(
            result.is_ok(),
            "seed {seed} failed; replay: SYNCLINE_SEED={seed} cargo test -p syncline-core --test it properties"
        );
    }
}

fn check(seed: u64) {
    let mut random = Random(seed);
    let mut world = world(&mut random);
    let before = world.trees.clone();
    let contents: BTreeSet<String> = Side::BOTH.iter().flat_map(|&side| before[side].contents()).collect();
    let shown = world.show();

    let plan = world.plan(&Choices::default());
    assert_eq!(plan, world.plan(&Choices::default()), "I9: the same input gives the same plan");
    // Only an emptied root may halt here.
    if !plan.halts.is_empty() {
        assert!(plan.halts.iter().all(|halt| halt.code == "root_emptied"), "{:?}", plan.halts);
        return;
    }
    for step in &plan.steps {
        assert!(world.policy.direction.may_write(step.side), "I24: {step:?}");
    }
    for side in Side::BOTH {
        // Exceptions: what is ignored below a removed directory brings the directory back, and a directory of which
        // the other side knows nothing keeps its name against a file.
        let plain = before[side].ignored.is_empty()
            && (keeps_directories(&world) || before[side].empty_directories().is_empty())
            && world.policy.direction == Direction::Bidirectional;
        if plain && shape(&world, &before[side]) == agreed_shape(&world) {
            assert!(
                plan.steps.iter().all(|step| step.side == side),
                "I4: only the other side changed, so only this one is touched\n{shown}\n{:?}",
                plan.steps
            );
        }
    }
    world.apply(&plan);
    for content in &contents {
        let live = Side::BOTH.iter().any(|&side| world.trees[side].contents().contains(content));
        assert!(
            live || world.history.contains(content),
            "I2: {content:?} is lost\n{shown}\n{:?}",
            plan.steps
        );
    }
    for side in Side::BOTH {
        let now = world.trees[side].contents();
        assert!(now.iter().all(|text| contents.contains(text) || world.history.contains(text)), "I3");
        let kept = keeps_directories(&world);
        let files_below = |top: &ItemPath| {
            let below = before[side].things.iter().filter(|(path, _)| path.is_below(top.as_str()));
            below.filter(|(_, thing)| !thing.kind.is_directory()).count()
        };
        for left in world.trees[side].empty_directories().iter().filter(|_| !kept) {
            assert_eq!(files_below(left), 0, "{left} was emptied on the {side} side and is left\n{shown}");
        }
        for empty in before[side].empty_directories().iter().filter(|_| !kept) {
            let there = world.trees[side].things.contains_key(empty);
            assert!(there, "{empty}, which a user left empty on the {side} side, is gone\n{shown}");
        }
        for top in &before[side].ignored {
            let parent = path(top.parent());
            let moved = plan.steps.iter().any(|step| step.verb() == "move");
            assert!(
                moved || world.trees[side].things.contains_key(&parent),
                "I5: {top} lost its directory\n{shown}"
            );
        }
    }
    settle(&mut world, &shown);
}

fn keeps_directories(world: &World) -> bool {
    Side::BOTH.iter().all(|&side| world.policy.abilities[side].directories)
}

/// What a tree holds, as far as both sides can: directories count only where each side keeps them.
fn shape(world: &World, tree: &Tree) -> BTreeMap<ItemPath, (Kind, String)> {
    let mut shape = tree.shape();
    shape.retain(|_, (kind, _)| keeps_directories(world) || !kind.is_directory());
    shape
}

fn agreed_shape(world: &World) -> BTreeMap<ItemPath, (Kind, String)> {
    // The shape that the baseline stands for cannot be told from digests: look it up among known contents.
    let mut shape = BTreeMap::new();
    let texts: Vec<String> = Side::BOTH.iter().flat_map(|&side| world.trees[side].contents()).collect();
    let _ = syncline_core::baseline::visit_all(&world.baseline, &mut |path, entry| {
        let text = texts.iter().find(|text| crate::world::digest(text) == entry.digest).cloned();
        shape.insert(path, (entry.kind, text.unwrap_or_default()));
    });
    shape
}

/// I1 and I8: after at most one more round both sides agree, and then nothing is left to do.
fn settle(world: &mut World, shown: &str) {
    let second = world.plan(&Choices::default());
    world.apply(&second);
    let third = world.plan(&Choices::default());
    assert!(third.steps.is_empty(), "I8: still steps after two runs: {:?}\n{shown}", third.steps);
    if world.policy.direction != Direction::Bidirectional {
        return;
    }
    let mut open: Vec<ItemPath> = third
        .conflicts
        .iter()
        .filter(|conflict| conflict.is_untouched())
        .map(|conflict| conflict.path.clone())
        .collect();
    open.extend(Side::BOTH.iter().flat_map(|&side| world.trees[side].ignored.iter().cloned()));
    let apart = |path: &ItemPath| open.iter().any(|top| path == top || path.is_below(top.as_str()));
    let shapes = world.trees.as_ref().map(|tree| {
        let mut shape = shape(world, tree);
        shape.retain(|path, _| !apart(path));
        shape
    });
    assert_eq!(shapes.local, shapes.remote, "I1: the sides differ\n{shown}\nsecond: {:?}", second.steps);
}
