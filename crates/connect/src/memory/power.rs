//! Power loss in memory: what a batch changed is durable when the batch has ended; before that, any of its steps may
//! be lost, whatever came later.

use std::collections::{BTreeMap, BTreeSet};

use syncline_core::{ItemPath, Mark};

use super::MemoryEndpoint;
use super::tree::{Node, Tree};

/// Everything that a power loss concerns.
#[derive(Clone, Debug, Default)]
pub(super) struct State {
    nodes: BTreeMap<ItemPath, Node>,
    marks: BTreeMap<String, Mark>,
}

/// What is durable, and what was done since.
#[derive(Debug)]
pub(super) struct Volatile {
    durable: State,
    steps: Vec<Change>,
}

/// What one step made of the items that it touched, and of the marks.
#[derive(Debug)]
struct Change {
    nodes: BTreeMap<ItemPath, Option<Node>>,
    marks: BTreeMap<String, Mark>,
}

impl Tree {
    /// The state before a step; nothing while no power loss is simulated.
    pub(super) fn state(&self) -> Option<State> {
        self.volatile.as_ref().map(|_| State { nodes: self.nodes.clone(), marks: self.marks.clone() })
    }

    /// Notes what a step has changed since `before`.
    pub(super) fn note(&mut self, before: Option<State>) {
        let (Some(before), Some(volatile)) = (before, &mut self.volatile) else { return };
        let paths: BTreeSet<&ItemPath> = before.nodes.keys().chain(self.nodes.keys()).collect();
        let changed = paths.into_iter().filter(|path| before.nodes.get(*path) != self.nodes.get(*path));
        let nodes = changed.map(|path| (path.clone(), self.nodes.get(path).cloned())).collect();
        let marks = self.marks.iter().filter(|(name, mark)| before.marks.get(*name) != Some(*mark));
        let marks = marks.map(|(name, mark)| (name.clone(), mark.clone())).collect();
        volatile.steps.push(Change { nodes, marks });
    }

    /// Makes everything durable.
    pub(super) fn settle(&mut self) {
        let state = self.state();
        self.volatile = state.map(|durable| Volatile { durable, steps: Vec::new() });
    }
}

impl MemoryEndpoint {
    /// From now on a power loss can be simulated. What is there already is durable.
    pub fn set_volatile(&self) {
        let mut tree = self.lock();
        tree.volatile = Some(Volatile { durable: State::default(), steps: Vec::new() });
        tree.settle();
    }

    /// Loses power: of the steps of a batch that has not ended, only those survive of which `survives` says so. The
    /// simulation ends with it.
    pub fn lose_power(&self, survives: &mut dyn FnMut() -> bool) {
        let mut tree = self.lock();
        let Some(Volatile { durable, steps }) = tree.volatile.take() else { return };
        (tree.nodes, tree.marks) = (durable.nodes, durable.marks);
        for step in steps {
            if survives() {
                for (path, node) in step.nodes {
                    match node {
                        Some(node) => tree.nodes.insert(path, node),
                        None => tree.nodes.remove(&path),
                    };
                }
                tree.marks.extend(step.marks);
            }
        }
        if tree.abilities.directories {
            // What lies in a folder that was lost is lost with it. Parents come first in the order of paths.
            let mut kept: BTreeMap<ItemPath, Node> = BTreeMap::new();
            for (path, node) in std::mem::take(&mut tree.nodes) {
                let above = ItemPath::parse(path.parent()).ok();
                if above.is_none_or(|above| kept.get(&above).is_some_and(|node| node.kind.is_directory())) {
                    kept.insert(path, node);
                }
            }
            tree.nodes = kept;
        }
    }
}
