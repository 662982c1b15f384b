//! Single faults and promises, each told as a user would meet it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use syncline_connect::layers::fault::{Call, Fault};
use syncline_connect::{Error, ErrorKind};
use syncline_core::{
    Choices, Digest, Direction, Guard, Item, ItemPath, Kind, Merging, Policy, Resolution, Root, Rule, Side,
    Sides,
};
use syncline_engine::{Options, preview};
use syncline_store::{ConflictQuery, ConflictRecord, ErrorKind as StoreErrorKind, RunQuery, RunState};

use crate::world::{World, block_on, open_guard};

async fn pair(direction: Direction) -> World {
    let mut policy = Policy::new(direction);
    policy.guard = open_guard();
    World::new(policy).await
}

async fn agreed(files: usize) -> World {
    let world = pair(Direction::Bidirectional).await;
    for number in 0..files {
        world.sides.local.put(&format!("dir/{number}.txt"), format!("content {number}"), 1);
    }
    assert!(world.run().await.unwrap().is_success());
    world
}

#[test]
fn a_vanished_root_halts_and_nothing_is_removed() {
    block_on(async {
        for root in [Root::Missing, Root::WrongType("file")] {
            let world = agreed(4).await;
            world.sides.remote.set_root(root);
            let result = world.run().await.unwrap();
            assert_eq!(result.state, RunState::Halted);
            assert_eq!(world.shape(Side::Local).len(), 5);
            world.sides.remote.set_root(Root::Present);
            assert_eq!(world.run().await.unwrap().message(), "nothing to do");
        }
    });
}

#[test]
fn an_emptied_side_halts_until_that_one_plan_is_approved() {
    block_on(async {
        let world = agreed(4).await;
        world.sides.remote.remove("dir");
        let halted = world.run().await.unwrap();
        assert_eq!(halted.halts[0].code, "root_emptied");
        let approved = Choices { approved: Digest::from_hex(&halted.plan_hash), ..Choices::default() };
        world.sides.local.put("dir/new.txt", "added after the approval", 2);
        let moved = world.run_with(approved).await.unwrap();
        assert_eq!(moved.state, RunState::Halted, "the approval was for another plan");
        let approved = Choices { approved: Digest::from_hex(&moved.plan_hash), ..Choices::default() };
        let done = world.run_with(approved).await.unwrap();
        assert_eq!(done.state, RunState::Succeeded, "{:?}", done.problems);
        assert_eq!(world.shape(Side::Local).keys().collect::<Vec<_>>(), ["dir", "dir/new.txt"]);
    });
}

#[test]
fn a_replaced_remote_is_not_believed() {
    block_on(async {
        let world = agreed(3).await;
        let id = world.context.store.target("t").await.unwrap().id;
        // A backup from another time: one file older, one missing, and not the mark of the last run.
        world.sides.remote.put("dir/0.txt", "an older content", 1);
        world.sides.remote.remove("dir/1.txt");
        world.sides.remote.set_mark(&id, None);
        let result = world.run().await.unwrap();
        assert!(result.distrust.is_some());
        assert_eq!(result.tally.removed, 0, "I16: nothing is removed");
        let shape = world.shape(Side::Remote);
        assert!(shape.contains_key("dir/1.txt"), "{shape:?}");
        let text = format!("{shape:?}");
        assert!(
            text.contains("an older content") && text.contains("content 0"),
            "both versions stay: {text}"
        );
        assert!(world.run().await.unwrap().distrust.is_none(), "the next run trusts again");
    });
}

#[test]
fn a_dry_run_changes_nothing_and_tells_the_real_plan() {
    block_on(async {
        let world = agreed(3).await;
        world.sides.local.put("dir/0.txt", "edited", 2);
        world.sides.remote.remove("dir/1.txt");
        let mutations = Side::BOTH.map(|side| world.sides[side].mutations());
        let runs = world.context.store.runs(&RunQuery::default()).await.unwrap();
        let dry = preview(&world.context, &world.target, &Options::default()).await.unwrap();
        assert_eq!(Side::BOTH.map(|side| world.sides[side].mutations()), mutations);
        assert_eq!(world.context.store.runs(&RunQuery::default()).await.unwrap(), runs);
        let real = world.run().await.unwrap();
        assert_eq!(dry.plan_hash, real.plan_hash);
    });
}

#[test]
fn a_saved_plan_is_refused_when_the_world_moved() {
    block_on(async {
        let world = agreed(3).await;
        world.sides.local.put("dir/0.txt", "edited", 2);
        let dry = preview(&world.context, &world.target, &Options::default()).await.unwrap();
        world.sides.remote.put("dir/2.txt", "edited too", 2);
        let options = Options { plan: Some(dry.plan_hash.clone()), ..Options::default() };
        let refused = syncline_engine::run(&world.context, &world.target, &options).await;
        assert!(matches!(refused, Err(syncline_engine::Error::PlanMoved { .. })), "{refused:?}");
        world.sides.remote.put("dir/2.txt", "content 2", 2);
        let again = syncline_engine::run(&world.context, &world.target, &options).await;
        assert!(again.is_ok(), "the same content again, though another version: {again:?}");
    });
}

#[test]
fn a_stale_lease_cannot_journal() {
    block_on(async {
        let world = agreed(1).await;
        let store = &world.context.store;
        let now = world.context.clock.now();
        let stale = store.acquire("t", "first", now, 1_000_000_000_000, false).await.unwrap();
        let busy = store.acquire("t", "second", now, 1_000_000_000, false).await.unwrap_err();
        assert_eq!(busy.kind(), StoreErrorKind::Locked);
        let fresh = store.acquire("t", "second", now, 1_000_000_000, true).await.unwrap();
        let refused = store.append(&stale, "run", &[]).await.unwrap_err();
        assert_eq!(refused.kind(), StoreErrorKind::Locked, "I22: the fenced holder's next write fails");
        store.release(fresh).await.unwrap();
    });
}

#[test]
fn manual_conflicts_wait_for_a_decision_and_then_settle() {
    block_on(async {
        for take in [syncline_core::Take::Side(Side::Local), syncline_core::Take::Side(Side::Remote)] {
            let mut policy = Policy::new(Direction::Bidirectional);
            policy.rules = vec![Rule::new("**", Resolution::Manual).unwrap()];
            let world = World::new(policy).await;
            world.sides.local.put("x.txt", "base", 1);
            world.run().await.unwrap();
            world.sides.local.put("x.txt", "from local", 2);
            world.sides.remote.put("x.txt", "from remote", 3);
            for _ in 0..2 {
                let result = world.run().await.unwrap();
                assert_eq!(result.conflicts.len(), 1);
                assert_eq!(result.tally.steps(), 0);
            }
            let open = ConflictQuery { open_only: true, ..ConflictQuery::default() };
            let records = world.context.store.conflicts(&open).await.unwrap();
            assert_eq!(records.len(), 1, "the same conflict is one record");
            let choices = Choices { takes: [(records[0].id.clone(), take)].into(), ..Choices::default() };
            let settled = world.run_with(choices).await.unwrap();
            assert_eq!(settled.tally.updated, 1);
            let syncline_core::Take::Side(winner) = take else { unreachable!() };
            let text = format!("from {winner}");
            for side in Side::BOTH {
                assert_eq!(world.sides[side].get("x.txt").unwrap(), text.as_bytes());
            }
            world.assert_nothing_lost(
                &[Digest::of(b"from local"), Digest::of(b"from remote")].into(),
                "by the decision",
            );
        }
    });
}

#[test]
fn rollback_and_restore_are_runs_and_can_be_undone() {
    block_on(async {
        let world = agreed(4).await;
        let before = world.shape(Side::Local);
        world.sides.local.put("dir/0.txt", "edited", 2);
        world.sides.local.remove("dir/1.txt");
        world.sides.remote.rename("dir/2.txt", "renamed.txt");
        world.sides.remote.put("new.txt", "new", 2);
        let run = world.run().await.unwrap().run.unwrap();
        let after = world.shape(Side::Local);
        let record = world.context.store.run(&run).await.unwrap().unwrap();
        let desired = syncline_engine::before_run(&world.context.store, &record).await.unwrap();
        let undone = world.run_with(Choices { desired, ..Choices::default() }).await.unwrap();
        assert!(undone.is_success(), "{:?}", undone.problems);
        for side in Side::BOTH {
            assert_eq!(world.shape(side), before, "rolled back on the {side} side");
        }
        let record = world.context.store.run(&undone.run.unwrap()).await.unwrap().unwrap();
        let desired = syncline_engine::before_run(&world.context.store, &record).await.unwrap();
        world.run_with(Choices { desired, ..Choices::default() }).await.unwrap();
        for side in Side::BOTH {
            assert_eq!(world.shape(side), after, "the rollback is undone on the {side} side");
        }
        let path = syncline_core::ItemPath::parse("dir/1.txt").unwrap();
        let desired = syncline_engine::version_at(&world.context.store, "t", &path, None).await.unwrap();
        world.run_with(Choices { desired, ..Choices::default() }).await.unwrap();
        assert_eq!(world.sides.remote.get("dir/1.txt").unwrap(), "content 1".as_bytes());
    });
}

#[test]
fn the_guard_halts_before_any_change() {
    block_on(async {
        let mut world = agreed(10).await;
        world.target.policy.guard = Guard::default();
        for number in 0..6 {
            world.sides.local.remove(&format!("dir/{number}.txt"));
        }
        world.sides.local.put("dir/9.txt", "edited", 2);
        let mutations = world.sides.remote.mutations();
        let halted = world.run().await.unwrap();
        assert_eq!(halted.halts[0].code, "too_many_removals");
        assert_eq!(world.sides.remote.mutations(), mutations);
        let runs = world.context.store.runs(&RunQuery::default()).await.unwrap();
        assert_eq!(runs[0].finish.as_ref().unwrap().state, RunState::Halted);
    });
}

#[test]
fn a_rollback_undoes_only_what_a_run_did() {
    block_on(async {
        let world = pair(Direction::Bidirectional).await;
        for side in Side::BOTH {
            world.sides[side].put("same.txt", "on both sides from the start", 1);
        }
        let learned = world.run().await.unwrap();
        assert_eq!(learned.tally.steps(), 0);
        let record = world.context.store.run(&learned.run.unwrap()).await.unwrap().unwrap();
        let desired = syncline_engine::before_run(&world.context.store, &record).await.unwrap();
        assert!(desired.is_empty(), "a run that only learned has nothing to undo: {desired:?}");
    });
}

#[test]
fn what_people_ask_for_waits_until_the_sides_agree_again() {
    block_on(async {
        let world = agreed(3).await;
        world.sides.local.put("dir/0.txt", "edited", 2);
        let run = world.run().await.unwrap().run.unwrap();
        let id = world.context.store.target("t").await.unwrap().id;
        world.sides.remote.set_mark(&id, None);
        let record = world.context.store.run(&run).await.unwrap().unwrap();
        let desired = syncline_engine::before_run(&world.context.store, &record).await.unwrap();
        let mutations = Side::BOTH.map(|side| world.sides[side].mutations());
        let refused = world.run_with(Choices { desired, ..Choices::default() }).await.unwrap();
        assert_eq!(refused.halts[0].code, "distrusted");
        assert_eq!(Side::BOTH.map(|side| world.sides[side].mutations()), mutations);
    });
}

#[test]
fn a_winner_that_may_not_travel_leaves_the_conflict_open() {
    block_on(async {
        let mut policy = Policy::new(Direction::Push);
        policy.rules = vec![Rule::new("**", Resolution::Newest).unwrap()];
        let world = World::new(policy).await;
        world.sides.local.put("x.txt", "base", 1);
        world.run().await.unwrap();
        world.sides.local.put("x.txt", "from local", 2);
        world.sides.remote.put("x.txt", "from remote, newer", 3);
        let result = world.run().await.unwrap();
        assert!(result.conflicts[0].open && result.conflicts[0].winner.is_none(), "{:?}", result.conflicts);
        assert_eq!(world.sides.remote.get("x.txt").unwrap(), "from remote, newer".as_bytes());
    });
}

#[test]
fn the_guard_counts_files_and_not_the_directories_above_them() {
    block_on(async {
        let mut world = pair(Direction::Bidirectional).await;
        for number in 0..5 {
            world.sides.local.put(&format!("a/b/c/d/e/{number}.txt"), format!("content {number}"), 1);
        }
        world.run().await.unwrap();
        world.target.policy.guard = Guard::default();
        for number in 0..5 {
            world.sides.local.remove(&format!("a/b/c/d/e/{number}.txt"));
        }
        let halted = world.run().await.unwrap();
        assert_eq!(halted.halts[0].code, "too_many_removals");
        let options = Options { removed_before: 1000, ..Options::default() };
        world.sides.local.put("a/b/c/d/e/0.txt", "content 0", 1);
        world.target.policy.guard.deletes_max_percent = 100;
        let slice = syncline_engine::run(&world.context, &world.target, &options).await.unwrap();
        assert_eq!(slice.halts[0].code, "too_many_removals", "removals of the last minute count as well");
    });
}

#[test]
fn a_remote_rewound_past_a_run_that_only_learned_is_noticed() {
    block_on(async {
        let world = agreed(1).await;
        let id = world.context.store.target("t").await.unwrap().id;
        let old = world.sides.remote.mark(&id);
        for side in Side::BOTH {
            world.sides[side].put("dir/0.txt", "the same edit on both sides", 2);
        }
        world.run().await.unwrap();
        world.sides.remote.put("dir/0.txt", "content 0", 1);
        world.sides.remote.set_mark(&id, old);
        let result = world.run().await.unwrap();
        assert!(result.distrust.is_some(), "the backup carries an older mark");
        assert!(format!("{:?}", world.shape(Side::Local)).contains("the same edit on both sides"));
    });
}

#[test]
fn a_failed_step_tells_the_side_that_failed() {
    block_on(async {
        let world = pair(Direction::Bidirectional).await;
        world.sides.local.put("cannot-be-read.txt", "one", 1);
        world.sides.local.put("cannot-be-written.txt", "other", 1);
        let hook = |call: &Call<'_>| match call {
            Call::Read(path) if path.as_str() == "cannot-be-read.txt" => {
                Fault::Error(Error::new(ErrorKind::Io, "reading failed"))
            }
            Call::Mutate(_, step) if step.path.as_str() == "cannot-be-written.txt" => {
                Fault::Error(Error::new(ErrorKind::NoSpace, "writing failed"))
            }
            _ => Fault::None,
        };
        let result = world.run_hooked(Arc::new(hook)).await.unwrap().unwrap();
        let mut told: Vec<_> =
            result.problems.iter().map(|problem| (problem.path.as_str(), problem.side)).collect();
        told.sort();
        // Both steps were to write the remote: that the source could not be read is no fault of the remote.
        let expected =
            [("cannot-be-read.txt", Some(Side::Local)), ("cannot-be-written.txt", Some(Side::Remote))];
        assert_eq!(told, expected, "{:?}", result.problems);
    });
}

#[test]
fn what_has_no_conflict_copy_is_not_overwritten() {
    block_on(async {
        let world = agreed(1).await;
        world.sides.local.put("dir/0.txt", "from here", 3);
        world.sides.remote.put("dir/0.txt", "from there", 2);
        let hook = |call: &Call<'_>| match call {
            Call::Mutate(_, step) if step.path.as_str().contains("conflict") => {
                Fault::Error(Error::new(ErrorKind::NoSpace, "no room for the copy"))
            }
            _ => Fault::None,
        };
        let result = world.run_hooked(Arc::new(hook)).await.unwrap().unwrap();
        assert_eq!(result.state, RunState::Partial);
        let live = |side: Side| world.sides[side].get("dir/0.txt").unwrap();
        assert_eq!(Side::BOTH.map(live), ["from here", "from there"], "{}", world.show());
        world.run().await.unwrap();
        assert_eq!(world.shape(Side::Local).len(), 3, "the copy is there now: {}", world.show());
        assert_eq!(world.shape(Side::Local), world.shape(Side::Remote));
    });
}

/// Both sides agree on a text, then both edit it; while both edits are merged, the remote cannot be written.
async fn half_merged(resolution: Resolution, [base, local, remote]: [&str; 3]) -> World {
    let mut policy = Policy::new(Direction::Bidirectional);
    policy.guard = open_guard();
    policy.rules = vec![Rule::new("**", resolution).unwrap()];
    let world = World::new(policy).await;
    world.sides.local.put("notes.txt", base.to_owned(), 1);
    assert!(world.run().await.unwrap().is_success());
    world.sides.local.put("notes.txt", local.to_owned(), 2);
    world.sides.remote.put("notes.txt", remote.to_owned(), 3);
    let hook = |call: &Call<'_>| match call {
        Call::Mutate(_, step) if step.side == Side::Remote => {
            Fault::Error(Error::new(ErrorKind::NoSpace, "no room"))
        }
        _ => Fault::None,
    };
    let result = world.run_hooked(Arc::new(hook)).await.unwrap().unwrap();
    assert_eq!(result.state, RunState::Partial);
    assert_eq!(world.sides.remote.get("notes.txt").unwrap(), remote.as_bytes());
    world
}

/// Lines that repeat themselves, so that the result differs from a side in more ways than one.
const REPEATED: [&str; 3] =
    ["b\nc\nd\nx\nx\nc\nend\n", "b\nc\nc\nd\nx\nx\nc\nend\n", "b\nx\nc\nd\nx\nx\nc\nend\n"];

#[test]
fn a_merge_that_one_side_could_not_take_is_finished_and_not_made_again() {
    block_on(async {
        let world = half_merged(Resolution::default(), REPEATED).await;
        let merged = world.sides.local.get("notes.txt").unwrap();
        assert_eq!(merged, "b\nx\nc\nc\nd\nx\nx\nc\nend\n", "{}", world.show());
        assert!(world.run().await.unwrap().is_success());
        for side in Side::BOTH {
            assert_eq!(world.sides[side].get("notes.txt").unwrap(), merged, "no line is there twice");
        }
        assert_eq!(world.shape(Side::Local).len(), 1, "{}", world.show());
        assert_eq!(world.run().await.unwrap().message(), "nothing to do");
    });
}

#[test]
fn what_is_edited_between_the_two_halves_of_a_merge_is_merged_too_or_kept_twice() {
    block_on(async {
        let base = "1\n2\n3\n4\n5\n6\n7\n";
        let remote = base.replace('7', "seven");
        let world = half_merged(Resolution::default(), [base, &base.replace('1', "one"), &remote]).await;
        world.sides.remote.put("notes.txt", remote.replace('4', "four"), 4);
        assert!(world.run().await.unwrap().is_success());
        for side in Side::BOTH {
            assert_eq!(world.sides[side].get("notes.txt").unwrap(), "one\n2\n3\nfour\n5\n6\nseven\n");
        }
        // Where it cannot be told what is an edit and what was one before, both stay.
        let world = half_merged(Resolution::default(), REPEATED).await;
        let merged = world.sides.local.get("notes.txt").unwrap();
        let edited = format!("{}more\n", REPEATED[2]);
        world.sides.remote.put("notes.txt", edited.clone(), 4);
        world.run().await.unwrap();
        assert_eq!(world.shape(Side::Local), world.shape(Side::Remote));
        let texts: Vec<String> = world
            .sides
            .local
            .tree()
            .into_values()
            .map(|item| String::from_utf8(item.bytes.to_vec()).unwrap())
            .collect();
        assert!(texts.contains(&edited) && texts.iter().any(|text| text.as_bytes() == merged), "{texts:?}");
    });
}

/// The one conflict that is recorded.
async fn conflict(world: &World) -> ConflictRecord {
    let mut all = world.context.store.conflicts(&ConflictQuery::default()).await.unwrap();
    assert_eq!(all.len(), 1, "{all:#?}");
    all.pop().unwrap()
}

#[test]
fn a_conflict_is_settled_only_when_its_steps_were_done() {
    block_on(async {
        let policies =
            [Resolution::Prefer(Side::Local), Resolution::default(), Resolution::Merge(Merging::Markers)];
        for resolution in policies {
            let world = half_merged(resolution.clone(), REPEATED).await;
            let record = conflict(&world).await;
            assert!(record.pending.is_some(), "{resolution:?}: {record:#?}");
            assert_eq!((record.resolved, &record.resolution), (None, &None), "{resolution:?}");
            assert_eq!((record.winner, record.merged.is_none()), (None, true), "{resolution:?}");
            assert_eq!(record.action, ConflictRecord::PENDING);
            assert!(world.run().await.unwrap().is_success());
            let all = world.context.store.conflicts(&ConflictQuery::default()).await.unwrap();
            let open: Vec<_> = all.iter().filter(|record| record.resolved.is_none()).collect();
            assert!(open.is_empty(), "{resolution:?}: {open:#?}");
            let last = all.last().unwrap();
            assert_eq!(last.resolution.as_deref(), Some(ConflictRecord::BY_POLICY), "{resolution:?}");
            assert!(last.pending.is_none() && !last.is_untouched(), "{last:#?}");
        }
    });
}

#[test]
fn a_run_tells_of_a_conflict_only_what_was_done() {
    block_on(async {
        let world = agreed(1).await;
        world.sides.local.put("dir/0.txt", "from here", 2);
        world.sides.remote.put("dir/0.txt", "from there", 3);
        let hook = |call: &Call<'_>| match call {
            Call::Mutate(..) => Fault::Error(Error::new(ErrorKind::NoSpace, "no room")),
            _ => Fault::None,
        };
        let result = world.run_hooked(Arc::new(hook)).await.unwrap().unwrap();
        assert!(result.conflicts[0].is_untouched() && result.conflicts[0].open, "{:#?}", result.conflicts);
        assert!(conflict(&world).await.is_untouched());
        let result = world.run().await.unwrap();
        assert!(result.conflicts[0].winner.is_some(), "{:#?}", result.conflicts);
        let record = conflict(&world).await;
        assert_eq!((record.winner, record.copy.is_some()), (Some(Side::Remote), true));
        assert_eq!((record.resolved, record.pending), (None, None), "a person has to look at the copy");
    });
}

#[test]
fn what_came_of_a_conflict_is_known_after_a_kill_at_any_call() {
    block_on(async {
        for nth in 0.. {
            let world = agreed(1).await;
            world.sides.local.put("dir/0.txt", "from here", 2);
            world.sides.remote.put("dir/0.txt", "from there", 3);
            if world.run_hooked(crate::crash::killer(nth, &Arc::default())).await.is_some() {
                assert!(nth > 3, "it was never killed");
                break;
            }
            world.run().await.unwrap();
            let record = conflict(&world).await;
            assert_eq!((record.winner, record.pending), (Some(Side::Remote), None), "killed at call {nth}");
            let copy = record.copy.unwrap();
            assert_eq!(world.sides.local.get(copy.as_str()).unwrap(), "from here", "killed at call {nth}");
            assert_eq!(record.resolved, None, "killed at call {nth}");
        }
    });
}

#[test]
fn a_conflict_of_which_nothing_came_is_superseded_by_the_next_one() {
    block_on(async {
        let mut policy = Policy::new(Direction::Bidirectional);
        policy.rules = vec![Rule::new("**", Resolution::Manual).unwrap()];
        let world = World::new(policy).await;
        world.sides.local.put("a.txt", "base", 1);
        world.run().await.unwrap();
        world.sides.local.put("a.txt", "from here", 2);
        world.sides.remote.put("a.txt", "from there", 3);
        world.run().await.unwrap();
        world.sides.local.put("a.txt", "from here, again", 4);
        world.run().await.unwrap();
        let all = world.context.store.conflicts(&ConflictQuery::default()).await.unwrap();
        assert_eq!(all.len(), 2);
        let how = format!("superseded by {}", all[1].id);
        assert_eq!((all[0].resolution.as_deref(), all[1].resolved), (Some(how.as_str()), None));
        assert!(all[0].resolved.is_some());
        // The earlier versions again: that is the earlier conflict, and it is open again.
        world.sides.local.put("a.txt", "from here", 5);
        world.run().await.unwrap();
        let open = ConflictQuery { open_only: true, ..ConflictQuery::default() };
        let open = world.context.store.conflicts(&open).await.unwrap();
        assert_eq!(open.iter().map(|record| &record.id).collect::<Vec<_>>(), [&all[0].id]);
    });
}

#[test]
fn a_hand_edit_while_a_wish_is_granted_stays_live() {
    block_on(async {
        let world = agreed(2).await;
        let path = |text: &str| ItemPath::parse(text).unwrap();
        let digest = |text: &str| Some(Digest::of(text.as_bytes()));
        let item = Item { kind: Kind::FILE, digest: digest("content 1"), size: 9, modified: 1 };
        let mut choices = Choices::default();
        choices.desired.insert(path("dir/0.txt"), Some(item));
        let seen = Sides { local: digest("content 0"), remote: digest("content 0") };
        choices.made_from.push([(path("dir/0.txt"), seen)].into());
        let remote = world.sides.remote.clone();
        let once = AtomicBool::new(true);
        world.sides.remote.set_hook(Arc::new(move |call: &Call<'_>| {
            if matches!(call, Call::Mutate(..)) && once.swap(false, Ordering::Relaxed) {
                remote.put("dir/0.txt", "by hand", 9);
            }
            Fault::None
        }));
        let result = world.run_with(choices).await.unwrap();
        assert_eq!(world.sides.remote.get("dir/0.txt").unwrap(), "by hand", "{result:#?}");
        assert!(result.problems.iter().any(|problem| problem.code == "changed"), "{:#?}", result.problems);
        world.run().await.unwrap();
        assert!(world.contents_of(Side::Local).contains(&digest("by hand").unwrap()), "{}", world.show());
        assert_eq!(world.shape(Side::Local), world.shape(Side::Remote));
    });
}

#[test]
fn an_open_conflict_goes_where_its_files_are_moved() {
    block_on(async {
        for sides in [&Side::BOTH[..], &[Side::Local], &[Side::Remote]] {
            let world = agreed(1).await;
            world.sides.local.put("dir/0.txt", "from here", 2);
            world.sides.remote.put("dir/0.txt", "from there", 3);
            world.run().await.unwrap();
            let copy = conflict(&world).await.copy.unwrap();
            for side in sides {
                world.sides[*side].put_dir("new");
                world.sides[*side].rename("dir/0.txt", "new/1.txt");
                world.sides[*side].rename(copy.as_str(), "new/copy.txt");
            }
            assert!(world.run().await.unwrap().is_success());
            let record = conflict(&world).await;
            assert_eq!((record.path.as_str(), record.resolved), ("new/1.txt", None), "{sides:?}");
            assert_eq!(record.copy.unwrap().as_str(), "new/copy.txt", "{sides:?}");
        }
    });
}
