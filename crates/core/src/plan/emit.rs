//! Turns decisions into ordered steps, and into the goals that the next baseline is made of.
//!
//! Order: conflict copies, moves together with the directories that they need (parents first), removals that
//! make way for something of another type, writes (parents first), the other removals (children first).

use std::collections::{HashMap, HashSet};

use crate::baseline::{Damaged, Entry};
use crate::item::{Item, Version};
use crate::path::ItemPath;
use crate::side::{Side, Sides};
use crate::snapshot::{Found, Problem};
use crate::step::{Action, Conflict, Expected, Goal, Need, Plan, Source, Step};

use super::Input;
use super::conflict::Settled;
use super::observe::{Decision, Node, Now, Wish};

/// The order of steps.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    /// Before anything is overwritten: were it cut short in between, no conflict would be found again.
    Copy,
    Move,
    Clearing,
    Write,
    Remove,
}

#[derive(Default)]
struct Emitter {
    /// Steps with their phase, and the index by which goals know them.
    steps: Vec<(Phase, usize, Step)>,
    goals: Vec<Goal>,
    /// Goals that are reached by a move: the goal's path, the side, and where the move ends or what is below it.
    awaiting: Vec<(ItemPath, Side, ItemPath)>,
    /// Directories above the destinations of moves, by side.
    above_moves: Sides<HashSet<String>>,
    /// What gives way to something of another type, by side.
    giving_way: Sides<HashSet<String>>,
    /// The sides that keep directories.
    directories: Sides<bool>,
}

/// Fills in the plan's steps, goals and conflicts.
pub(super) fn steps_and_goals(
    input: &Input<'_>,
    nodes: Vec<Node<'_>>,
    plan: &mut Plan,
) -> Result<(), Damaged> {
    let directories = Sides::from_fn(|side| input.policy.abilities[side].directories);
    let mut emitter = Emitter { directories, ..Emitter::default() };
    // Most nodes of a large plan become a step and a goal: growing by doubling would hold them twice.
    emitter.steps.reserve_exact(nodes.len());
    emitter.goals.reserve_exact(nodes.len());
    emitter.prepare(&nodes);
    for node in nodes {
        emitter.node(input, node, plan)?;
    }
    emitter.finish(plan);
    Ok(())
}

impl Emitter {
    fn prepare(&mut self, nodes: &[Node<'_>]) {
        for (at, node) in nodes.iter().enumerate() {
            if let Decision::MoveHere(side, ..) | Decision::Follow(side, ..) = &node.decision {
                let above = node.path.ancestors().map(|path| path.as_str().to_owned());
                self.above_moves[*side].extend(above);
            }
            for side in Side::BOTH {
                let to_other = match &node.decision {
                    Decision::Flow(to) => *to == side && !node.is_directory(side.other()),
                    Decision::Desired(wish) => {
                        wish.sides[side].iter().flatten().any(|item| !item.kind.is_directory())
                    }
                    _ => false,
                };
                // A file goes from where the other side has something below its path, with or without a directory.
                let below = || nodes.get(at + 1).is_some_and(|next| next.path.is_below(node.path.as_str()));
                let goes = match &node.decision {
                    Decision::Remove(on) => *on == side,
                    Decision::Desired(wish) => wish.empties(side),
                    _ => false,
                };
                let file = goes && !node.is_directory(side);
                if to_other && node.is_directory(side) || file && below() {
                    self.giving_way[side].insert(node.path.as_str().to_owned());
                }
            }
        }
    }

    fn node(&mut self, input: &Input<'_>, node: Node, plan: &mut Plan) -> Result<(), Damaged> {
        match node.decision.clone() {
            Decision::Leave => {}
            Decision::Forget if node.was.is_none() => {}
            Decision::Forget => self.goal(&node, None, Sides::default(), Sides::default()),
            Decision::Settle => self.settle(&node),
            Decision::Flow(to) => self.flow(&node, to),
            Decision::Remove(on) => {
                let step = self.removal(&node, on, Phase::Remove);
                self.goal(&node, None, Sides::default(), one(on, step));
            }
            Decision::MoveHere(on, from, version) => self.move_here(&node, on, from, version),
            Decision::MovedAway(on, to) => {
                self.awaiting.push((node.path.clone(), on, to));
                self.goal(&node, None, Sides::default(), Sides::default());
            }
            Decision::Carried(on, version) => self.carried(&node, on, version),
            Decision::Follow(on, from, edited) => self.follow(&node, on, from, *edited),
            Decision::Conflict(settled) => self.conflict(input, &node, *settled, plan)?,
            Decision::Desired(wish) => self.desired(input, &node, &wish, plan),
        }
        Ok(())
    }

    fn step(&mut self, phase: Phase, step: Step) -> Option<usize> {
        let index = self.steps.len();
        self.steps.push((phase, index, step));
        Some(index)
    }

    fn goal(
        &mut self,
        node: &Node<'_>,
        item: Option<Item>,
        versions: Sides<Option<Version>>,
        steps: Sides<Option<usize>>,
    ) {
        // A directory is agreed on only where both sides keep it.
        let kept = self.directories.local && self.directories.remote;
        let item = item.filter(|item| kept || !item.kind.is_directory());
        if item.is_some() || node.was.is_some() {
            self.goals.push(Goal { path: node.path.clone(), was: node.was.clone(), item, versions, steps });
        }
    }

    /// Both sides hold the same: the baseline learns it.
    fn settle(&mut self, node: &Node<'_>) {
        let held = Sides::from_fn(|side| node.held(side));
        if let Sides { local: Some(local), remote: Some(remote) } = held {
            let mut item = if local.item.digest.is_some() { local.item } else { remote.item };
            if item.digest.is_none() {
                item.digest = node.was.as_ref().map(|was| was.digest);
            }
            let versions = Sides { local: Some(local.version), remote: Some(remote.version) };
            self.goal(node, Some(item), versions, Sides::default());
        }
    }

    /// The item of the opposite side comes to `to`.
    fn flow(&mut self, node: &Node<'_>, to: Side) {
        let from = to.other();
        let implied = || Found { item: Item::directory(), version: Version::none(), moved_from: None };
        let Some(found) = node.held(from).or_else(|| node.is_directory(from).then(implied)) else { return };
        let step = if found.item.kind.is_directory() && !self.directories[to] {
            // All that this side needs for a directory is that nothing is in the way of what it holds.
            self.removal(node, to, Phase::Clearing)
        } else {
            self.write(node, to, &found)
        };
        let versions = one(from, Some(found.version));
        self.goal(node, Some(found.item), versions, one(to, step));
    }

    fn write(&mut self, node: &Node<'_>, to: Side, found: &Found) -> Option<usize> {
        let source = if found.item.kind.is_directory() {
            Source::Nothing
        } else {
            Source::Opposite { path: node.path.clone(), version: found.version.clone() }
        };
        self.put(node, to, found.item.clone(), source)
    }

    fn put(&mut self, node: &Node<'_>, to: Side, item: Item, source: Source) -> Option<usize> {
        let phase = if item.kind.is_directory() && self.above_moves[to].contains(node.path.as_str()) {
            Phase::Move
        } else {
            Phase::Write
        };
        let expected = expected(node, to);
        let action = Action::Write { item, source };
        self.step(phase, Step { side: to, path: node.path.clone(), expected, action })
    }

    fn removal(&mut self, node: &Node<'_>, on: Side, phase: Phase) -> Option<usize> {
        let held = node.held(on)?;
        let gives_way = |path: &ItemPath| self.giving_way[on].contains(path.as_str());
        let clears = gives_way(&node.path) || node.path.ancestors().any(|above| gives_way(&above));
        let phase = match phase {
            _ if self.above_moves[on].contains(node.path.as_str()) => Phase::Move,
            _ if clears => Phase::Clearing,
            phase => phase,
        };
        let expected = expected(node, on);
        let action = Action::Remove { item: held.item };
        self.step(phase, Step { side: on, path: node.path.clone(), expected, action })
    }

    fn move_here(&mut self, node: &Node<'_>, on: Side, from: ItemPath, version: Version) {
        let Some(found) = node.held(on.other()) else { return };
        let item = found.item.clone();
        let action = Action::Move { from, version, item: item.clone() };
        let step = Step { side: on, path: node.path.clone(), expected: Expected::Absent, action };
        let step = self.step(Phase::Move, step);
        self.goal(node, Some(item), one(on.other(), Some(found.version)), one(on, step));
    }

    /// The edited item is moved here on its side, and its content comes to the side that moved the former one. That
    /// goes through the content store, since at which path it can be read at that moment depends on the move.
    fn follow(&mut self, node: &Node<'_>, on: Side, from: ItemPath, edited: Found) {
        let Some(digest) = edited.item.digest else { return };
        let action = Action::Move { from, version: edited.version, item: edited.item.clone() };
        let step = Step { side: on, path: node.path.clone(), expected: Expected::Absent, action };
        let mut steps = one(on, self.step(Phase::Move, step));
        steps[on.other()] = self.put(node, on.other(), edited.item.clone(), Source::Object(digest));
        self.goal(node, Some(edited.item), Sides::default(), steps);
    }

    /// The item comes along with a directory that is moved.
    fn carried(&mut self, node: &Node<'_>, on: Side, version: Version) {
        let Some(found) = node.held(on.other()) else { return };
        let mut versions = one(on.other(), Some(found.version));
        versions[on] = Some(version);
        self.goal(node, Some(found.item), versions, Sides::default());
        self.awaiting.push((node.path.clone(), on, node.path.clone()));
    }

    fn conflict(
        &mut self,
        input: &Input<'_>,
        node: &Node<'_>,
        settled: Settled,
        plan: &mut Plan,
    ) -> Result<(), Damaged> {
        if let Some(item) = &settled.merged {
            self.merged(node, item);
        } else if let Some(winner) = settled.winner {
            let loser = winner.other();
            if let Some(copy) = &settled.copy {
                self.copies(input, copy, &settled.items[loser], plan)?;
            }
            if input.policy.direction.may_write(loser) {
                self.flow(node, loser);
            }
        }
        plan.conflicts.push(Conflict {
            id: settled.id,
            path: node.path.clone(),
            kind: settled.kind,
            policy: settled.policy,
            base: node.was.as_deref().map(Entry::item),
            versions: settled.items,
            winner: settled.winner,
            copy: settled.copy,
            merged: settled.merged,
            note: settled.note,
            open: settled.open,
            clamped: settled.clamped,
        });
        Ok(())
    }

    /// The one version that both became comes to each side that does not hold it yet.
    fn merged(&mut self, node: &Node<'_>, item: &Item) {
        let mut steps: Sides<Option<usize>> = Sides::default();
        let mut versions: Sides<Option<Version>> = Sides::default();
        for side in Side::BOTH {
            match node.held(side) {
                Some(held) if held.item.agrees_with(item) => versions[side] = Some(held.version),
                _ => steps[side] = self.put(node, side, item.clone(), source(item)),
            }
        }
        self.goal(node, Some(item.clone()), versions, steps);
    }

    /// Puts the losing version under its conflict name wherever the direction allows and it is not yet.
    fn copies(
        &mut self,
        input: &Input<'_>,
        path: &ItemPath,
        item: &Item,
        plan: &Plan,
    ) -> Result<(), Damaged> {
        let Some(digest) = item.digest else { return Ok(()) };
        let there = |side: Side| {
            input.snapshots[side].changes.binary_search_by(|change| change.path.cmp(path)).is_ok()
        };
        // The name is made of the content: whatever is there by this name holds that version already.
        let agreed = input.baseline.get(path)?.is_some();
        if agreed
            || Side::BOTH.into_iter().any(there)
            || plan.conflicts.iter().any(|c| c.copy.as_ref() == Some(path))
        {
            return Ok(());
        }
        let mut steps = Sides::default();
        for side in Side::BOTH.into_iter().filter(|&side| input.policy.direction.may_write(side)) {
            let action = Action::Write { item: item.clone(), source: Source::Object(digest) };
            let step = Step { side, path: path.clone(), expected: Expected::Absent, action };
            steps[side] = self.step(Phase::Copy, step);
        }
        if input.policy.direction.source().is_none() {
            let (path, item) = (path.clone(), Some(item.clone()));
            self.goals.push(Goal { path, was: None, item, versions: Sides::default(), steps });
        }
        Ok(())
    }

    /// What a person asked for or what is taken back, on every side that it is about and that may be written.
    fn desired(&mut self, input: &Input<'_>, node: &Node<'_>, wish: &Wish, plan: &mut Plan) {
        let mut steps: Sides<Option<usize>> = Sides::default();
        let mut versions: Sides<Option<Version>> = Sides::default();
        let (mut reached, mut forbidden) = (true, None);
        for side in Side::BOTH {
            let Some(item) = wish.sides[side].as_ref().map(Option::as_ref) else {
                // Whatever is there, nobody has agreed on it.
                versions[side] = Some(Version::none());
                continue;
            };
            let held = node.held(side);
            let unread =
                held.as_ref().filter(|held| held.item.digest.is_none() && !held.item.kind.is_directory());
            if node.now[side] == Now::Unseen {
                reached = false;
            } else if unread.is_some() {
                plan.needs.push(Need { side, path: node.path.clone() });
            } else if agrees(held.as_ref().map(|held| &held.item), item) {
                versions[side] = held.map(|held| held.version);
            } else if !self.directories[side] && item.is_some_and(|item| item.kind.is_directory()) {
                steps[side] = self.removal(node, side, Phase::Clearing);
            } else if !input.policy.direction.may_write(side) {
                forbidden = Some(side);
            } else if let Some(item) = item {
                steps[side] = self.put(node, side, item.clone(), source(item));
            } else {
                steps[side] = self.removal(node, side, Phase::Remove);
            }
        }
        let path = node.path.as_str();
        if !reached {
            let message =
                "cannot be brought to the version asked for on both sides: it is ignored or unreadable there";
            plan.problems.push(Problem::new(path, "not_reachable", message));
        } else if let Some(side) = forbidden {
            let message =
                format!("is as asked for on the {} side only: the direction forbids more", side.other());
            plan.problems.push(Problem::new(path, "one_sided", message));
        } else {
            // Where a side gets back what was never agreed on, there is no agreement to go back to.
            let agreed = wish.agreed.as_ref();
            let is_other = |held: &Option<Item>| !agrees(held.as_ref(), agreed);
            let forgets = Side::BOTH.iter().any(|&side| wish.sides[side].as_ref().is_some_and(is_other));
            self.goal(node, agreed.filter(|_| !forgets).cloned(), versions, steps);
        }
    }

    /// Brings steps and goals into their order and connects renames.
    fn finish(self, plan: &mut Plan) {
        // In place: a first run has as many steps as the tree has items.
        let mut steps = self.steps;
        steps.sort_unstable_by(|(phase, _, step), (other_phase, _, other)| {
            let paths = step.path.cmp(&other.path);
            let paths =
                if matches!(phase, Phase::Clearing | Phase::Remove) { paths.reverse() } else { paths };
            phase.cmp(other_phase).then(paths).then(step.side.cmp(&other.side))
        });
        let mut place = vec![0; steps.len()];
        for (at, (_, index, _)) in steps.iter().enumerate() {
            place[*index] = at;
        }
        plan.steps = steps.into_iter().map(|(_, _, step)| step).collect();
        plan.goals = self.goals;
        plan.goals.sort_unstable_by(|a, b| a.path.cmp(&b.path));
        for goal in &mut plan.goals {
            for side in Side::BOTH {
                goal.steps[side] = goal.steps[side].map(|index| place[index]);
            }
        }
        connect_moves(plan, &self.awaiting);
    }
}

/// Lets the goals of moved items wait for the step that moves them.
fn connect_moves(plan: &mut Plan, awaiting: &[(ItemPath, Side, ItemPath)]) {
    let moves: HashMap<(&ItemPath, Side), usize> = plan
        .steps
        .iter()
        .enumerate()
        .filter(|(_, step)| matches!(step.action, Action::Move { .. }))
        .map(|(index, step)| ((&step.path, step.side), index))
        .collect();
    for (path, on, to) in awaiting {
        // What a directory carries finds its step at the directory above.
        let step = std::iter::once(to.clone())
            .chain(to.ancestors())
            .find_map(|path| moves.get(&(&path, *on)).copied());
        let goal = |path: &ItemPath| plan.goals.binary_search_by(|goal| goal.path.cmp(path)).ok();
        // Where an edit follows, the old path is forgotten only when the edit has arrived on the other side too.
        let arrival = goal(to).and_then(|at| plan.goals[at].steps[on.other()]);
        if let Some(at) = goal(path) {
            plan.goals[at].steps[*on] = step;
            plan.goals[at].steps[on.other()] = arrival;
        }
    }
}

/// Where an item comes from that no side has to give.
fn source(item: &Item) -> Source {
    item.digest.map_or(Source::Nothing, Source::Object)
}

fn one<T>(side: Side, value: Option<T>) -> Sides<Option<T>> {
    let mut pair = Sides { local: None, remote: None };
    pair[side] = value;
    pair
}

fn agrees(held: Option<&Item>, wanted: Option<&Item>) -> bool {
    match (held, wanted) {
        (None, None) => true,
        (Some(held), Some(wanted)) => held.agrees_with(wanted),
        _ => false,
    }
}

/// What must be at the node's path on `side` when a step comes to change it.
fn expected(node: &Node<'_>, side: Side) -> Expected {
    match node.held(side) {
        None => Expected::Absent,
        Some(held) => Expected::Present { version: held.version, keep: held.item.digest.map(Box::new) },
    }
}
