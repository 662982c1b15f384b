//! A side that holds only what it is made for has no room for conflict copies.

use syncline_core::{Choices, Direction, Policy, Side, Take};

use crate::table::{fill, merging, words};
use crate::world::World;

/// A world in which both sides changed `x.md` beyond merging, and in which the remote takes no copies.
fn conflicting(direction: Direction) -> World {
    let mut world = World::new(merging());
    fill(&mut world, Side::Local, "x.md=1");
    let first = world.plan(&Choices::default());
    world.apply(&first);
    fill(&mut world, Side::Local, "x.md=3");
    fill(&mut world, Side::Remote, "x.md=4");
    world.policy = Policy { direction, ..merging() };
    world.policy.abilities.remote.copies = false;
    world
}

#[test]
fn both_versions_stay_until_a_person_decides() {
    let world = conflicting(Direction::Bidirectional);
    let plan = world.plan(&Choices::default());
    assert_eq!(words(&plan), ["! x.md edit-edit -"]);
    assert!(plan.conflicts[0].open);
    let id = plan.conflicts[0].id.clone();
    let take = |take| {
        let mut choices = Choices::default();
        choices.takes.insert(id.clone(), take);
        choices
    };
    let taken = world.plan(&take(Take::Side(Side::Local)));
    assert_eq!(words(&taken), ["remote update x.md", "! x.md edit-edit local"]);
    let both = world.plan(&take(Take::Both));
    assert_eq!(words(&both), ["! x.md edit-edit -"], "there is no room for both");
}

#[test]
fn one_way_the_source_wins_and_history_keeps_the_other() {
    for (direction, expected) in [
        (Direction::Push, ["remote update x.md", "! x.md edit-edit local"]),
        (Direction::Pull, ["local update x.md", "! x.md edit-edit remote"]),
    ] {
        let world = conflicting(direction);
        let plan = world.plan(&Choices::default());
        assert_eq!(words(&plan), expected);
        assert!(!plan.conflicts[0].open && plan.conflicts[0].copy.is_none());
    }
}
