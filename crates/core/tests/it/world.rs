//! A model world: two trees, a baseline and a history, changed only by the steps of plans.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use syncline_core::{
    Action, Baseline, Change, Choices, Digest, Entry, Expected, Found, Input, Item, ItemPath, Kind,
    MemoryBaseline, MergeNeed, MergeResult, Outcome, Plan, Policy, Seen, Side, Sides, Snapshot, Source, Step,
    Version, baseline, fold, plan,
};

use crate::random::Random;

pub fn path(text: &str) -> ItemPath {
    ItemPath::parse(text).unwrap()
}

/// An item of a model tree: its content is its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Thing {
    pub kind: Kind,
    pub text: String,
    pub modified: i64,
    pub version: u64,
}

#[derive(Clone, Default, Debug)]
pub struct Tree {
    pub things: BTreeMap<ItemPath, Thing>,
    pub ignored: BTreeSet<ItemPath>,
    pub mutations: u64,
}

impl Tree {
    pub fn shape(&self) -> BTreeMap<ItemPath, (Kind, String)> {
        self.things.iter().map(|(path, thing)| (path.clone(), (thing.kind, thing.text.clone()))).collect()
    }

    fn has_below(&self, path: &ItemPath) -> bool {
        self.things.keys().chain(&self.ignored).any(|other| other.is_below(path.as_str()))
    }

    /// Checks that a step has its directories above it; where nobody says which there are, they are made.
    fn make_parents(&mut self, step: &Step, directories: Sides<bool>) {
        for above in step.path.ancestors() {
            let kind = self.things.get(&above).map(|thing| thing.kind);
            let implied = !directories.local || !directories.remote;
            if directories[step.side] && kind.is_none() && implied {
                let thing = Thing { kind: Kind::Directory, text: String::new(), modified: 0, version: 0 };
                self.things.insert(above, thing);
            } else {
                let wanted = directories[step.side].then_some(Kind::Directory);
                assert_eq!(kind, wanted, "what is above {step:?}");
            }
        }
    }

    /// The directories in which there is nothing.
    pub fn empty_directories(&self) -> BTreeSet<ItemPath> {
        let directories = self.things.iter().filter(|(_, thing)| thing.kind.is_directory());
        directories.map(|(path, _)| path.clone()).filter(|path| !self.has_below(path)).collect()
    }

    pub fn contents(&self) -> BTreeSet<String> {
        self.things
            .values()
            .filter(|thing| !thing.kind.is_directory())
            .map(|thing| thing.text.clone())
            .collect()
    }
}

pub struct World {
    pub trees: Sides<Tree>,
    pub baseline: MemoryBaseline,
    pub history: BTreeSet<String>,
    pub policy: Policy,
    pub clock: u64,
    /// Whether scans leave out digests, as endpoints do that would have to read content.
    pub lazy: bool,
    /// Contents that were merged, by digest: the model's merging joins the texts, or gives up.
    pub merged: RefCell<BTreeMap<Digest, String>>,
    /// Whether scans tell renames by more than content.
    pub hints: bool,
}

pub fn digest(text: &str) -> Digest {
    Digest::of(text.as_bytes())
}

pub fn item(thing: &Thing) -> Item {
    if thing.kind.is_directory() {
        return Item::directory();
    }
    Item {
        kind: thing.kind,
        digest: Some(digest(&thing.text)),
        size: thing.text.len() as u64,
        modified: thing.modified,
    }
}

impl World {
    pub fn new(policy: Policy) -> Self {
        Self {
            trees: Sides::default(),
            baseline: MemoryBaseline::default(),
            history: BTreeSet::new(),
            policy,
            clock: 0,
            lazy: false,
            merged: RefCell::default(),
            hints: false,
        }
    }

    pub fn put(&mut self, side: Side, at: &str, kind: Kind, text: &str) {
        self.clock += 1;
        let at = path(at);
        for above in at.ancestors().collect::<Vec<_>>().into_iter().rev() {
            let missing = !self.trees[side].things.get(&above).is_some_and(|thing| thing.kind.is_directory());
            if missing && !self.policy.abilities[side].directories {
                self.trees[side].things.remove(&above);
            } else if missing {
                self.remove(side, above.as_str());
                let thing = Thing { kind: Kind::Directory, text: String::new(), modified: 0, version: 0 };
                self.trees[side].things.insert(above, thing);
            }
        }
        let is_directory = self.trees[side].things.get(&at).is_some_and(|thing| thing.kind.is_directory());
        if !kind.is_directory() {
            self.remove(side, at.as_str());
        } else if is_directory || !self.policy.abilities[side].directories {
            return;
        }
        let version = if kind.is_directory() { 0 } else { self.clock };
        let thing = Thing { kind, text: text.into(), modified: self.clock as i64, version };
        self.trees[side].things.insert(at, thing);
    }

    /// What a side holds at a path.
    pub fn item(&self, side: Side, at: &str) -> Option<Item> {
        self.trees[side].things.get(&path(at)).map(item)
    }

    pub fn remove(&mut self, side: Side, at: &str) {
        self.trees[side].things.retain(|path, _| path.as_str() != at && !path.is_below(at));
    }

    pub fn rename(&mut self, side: Side, from: &str, to: &str) {
        let (from, to) = (path(from), path(to));
        let tree = &self.trees[side];
        if from == to || to.is_below(from.as_str()) || tree.things.contains_key(&to) {
            return;
        }
        let parent_ok = if self.policy.abilities[side].directories {
            to.parent().is_empty()
                || tree.things.get(&path(to.parent())).is_some_and(|thing| thing.kind.is_directory())
        } else {
            !tree.has_below(&to) && to.ancestors().all(|above| !tree.things.contains_key(&above))
        };
        if !parent_ok {
            return;
        }
        let moved: Vec<(ItemPath, Thing)> = self.trees[side]
            .things
            .iter()
            .filter_map(|(path, thing)| Some((path.moved(&from, &to)?, thing.clone())))
            .collect();
        self.remove(side, from.as_str());
        self.trees[side].things.extend(moved);
    }

    pub fn scan(&self, side: Side) -> Snapshot {
        let tree = &self.trees[side];
        let mut agreed = BTreeMap::new();
        baseline::visit_all(&self.baseline, &mut |path, entry| {
            agreed.insert(path, entry);
        })
        .unwrap();
        let mut changes = Vec::new();
        for (path, thing) in &tree.things {
            let was: Option<Entry> = agreed.remove(path);
            let version = version(thing);
            if was.as_ref().is_some_and(|was| was.versions[side] == version && was.kind == thing.kind) {
                continue;
            }
            let mut item = item(thing);
            if self.lazy && thing.kind != Kind::Symlink {
                item.digest = None;
            }
            let moved_from = was.is_none().then(|| self.moved_from(side, &version)).flatten();
            let now = Seen::Present(Found { item, version, moved_from });
            changes.push(Change { path: path.clone(), was: was.map(Box::new), now });
        }
        let unseen =
            |path: &ItemPath| tree.ignored.iter().any(|top| path == top || path.is_below(top.as_str()));
        for (path, was) in agreed {
            if !unseen(&path) {
                changes.push(Change { path, was: Some(Box::new(was)), now: Seen::Absent });
            }
        }
        for path in &tree.ignored {
            changes.push(Change { path: path.clone(), was: None, now: Seen::Ignored });
        }
        changes.sort_by(|a, b| a.path.cmp(&b.path));
        let count = tree.things.len() as u64;
        Snapshot { complete: true, changes, count, ..Snapshot::default() }
    }

    /// Where an item of this version was agreed on and is no more: what an endpoint with inodes knows.
    fn moved_from(&self, side: Side, version: &Version) -> Option<ItemPath> {
        let mut from = None;
        if self.hints && !version.as_bytes().is_empty() {
            let gone = |path: &ItemPath| !self.trees[side].things.contains_key(path);
            let _ = baseline::visit_all(&self.baseline, &mut |path, entry| {
                if entry.versions[side] == *version && gone(&path) {
                    from = Some(path);
                }
            });
        }
        from
    }

    /// Plans, answering what the plan needs.
    pub fn plan(&self, choices: &Choices) -> Plan {
        let mut snapshots = Sides::from_fn(|side| self.scan(side));
        let mut choices = choices.clone();
        for _ in 0..200 {
            let input = Input {
                baseline: &self.baseline,
                agreed_count: self.baseline.count(),
                snapshots: snapshots.as_ref(),
                partial: false,
                removed_before: 0,
                policy: &self.policy,
                choices: &choices,
                now: 1_000_000,
            };
            let made = plan(&input).unwrap();
            if made.needs.is_empty() && made.merges.is_empty() {
                return made;
            }
            for need in &made.merges {
                let known = choices.merges.insert(need.conflict.clone(), self.merge(need));
                assert!(known.is_none(), "asked twice to merge {}", need.path);
            }
            for need in &made.needs {
                let text = self.trees[need.side].things[&need.path].text.clone();
                let change =
                    snapshots[need.side].changes.iter_mut().find(|change| change.path == need.path).unwrap();
                let Seen::Present(found) = &mut change.now else {
                    panic!("a need for nothing at {}", need.path)
                };
                assert!(found.item.digest.is_none(), "asked twice for {}", need.path);
                found.item.digest = Some(digest(&text));
            }
        }
        panic!("the planner never stops asking");
    }

    fn merge(&self, need: &MergeNeed) -> MergeResult {
        let text = |side: Side| self.trees[side].things[&need.path].text.clone();
        if text(Side::Local).ends_with(['3', '6', '9']) {
            return MergeResult::Unclean("the model does not merge these".into());
        }
        let text = format!("{} + {}", text(Side::Local), text(Side::Remote));
        let merged =
            MergeResult::Merged { digest: digest(&text), size: text.len() as u64, marked: false, note: None };
        self.merged.borrow_mut().insert(digest(&text), text);
        merged
    }

    /// Applies a plan to the trees. In a quiet world every step must find what it expects.
    pub fn apply(&mut self, plan: &Plan) {
        for conflict in &plan.conflicts {
            if let Some(item) = &conflict.merged {
                self.history.insert(self.merged.borrow()[&item.digest.unwrap()].clone());
            }
            if let Some(winner) = conflict.winner {
                let thing = self.trees[winner.other()].things[&conflict.path].clone();
                if !thing.kind.is_directory() {
                    self.history.insert(thing.text);
                }
            }
        }
        if std::env::var_os("SYNCLINE_SEED").is_some() {
            println!(
                "{}{:#?}",
                self.show(),
                plan.steps.iter().map(|step| (step.side, step.verb(), &step.path)).collect::<Vec<_>>()
            );
        }
        let mut outcomes = vec![None; plan.steps.len()];
        for (index, step) in plan.steps.iter().enumerate() {
            outcomes[index] = Some(self.step(step));
        }
        for (path, entry) in fold(plan, &outcomes) {
            self.baseline.set(&path, entry);
        }
    }

    fn step(&mut self, step: &Step) -> Outcome {
        self.clock += 1;
        let clock = self.clock;
        let content = match &step.action {
            Action::Write { source: Source::Opposite { path, version: wanted }, .. } => {
                let thing = self.trees[step.side.other()].things.get(path);
                let thing = thing.unwrap_or_else(|| panic!("no source {path} for {step:?}"));
                assert_eq!(version(thing), *wanted, "source of {step:?}");
                thing.text.clone()
            }
            Action::Write { source: Source::Object(wanted), .. } => {
                // What is not there yet is fetched from the sides first.
                let live = Side::BOTH.iter().flat_map(|&side| self.trees[side].contents());
                let known = self.history.iter().cloned().chain(live).find(|text| digest(text) == *wanted);
                let text = known.expect("object in history or on a side");
                self.history.insert(text.clone());
                text
            }
            _ => String::new(),
        };
        let history = &mut self.history;
        let directories = self.policy.abilities.map(|abilities| abilities.directories);
        let tree = &mut self.trees[step.side];
        let there = tree.things.get(&step.path).cloned();
        match (&step.expected, &there) {
            (Expected::Absent, None) => {}
            (Expected::Present { version: wanted, keep }, Some(thing)) => {
                assert_eq!(version(thing), *wanted, "{step:?}");
                assert_eq!(keep.as_deref().copied(), item(thing).digest, "keeps what is there: {step:?}");
            }
            (expected, there) => panic!("{expected:?} but {there:?} at {step:?}"),
        }
        tree.mutations += 1;
        let keep = |history: &mut BTreeSet<String>, thing: &Thing| {
            if !thing.kind.is_directory() {
                history.insert(thing.text.clone());
            }
        };
        match &step.action {
            Action::Write { item, .. } => {
                if let Some(thing) = &there {
                    keep(history, thing);
                }
                assert!(item.kind.is_directory() || !tree.has_below(&step.path), "write over held {step:?}");
                tree.make_parents(step, directories);
                let version = if item.kind.is_directory() { 0 } else { clock };
                let thing = Thing { kind: item.kind, text: content, modified: item.modified, version };
                let outcome = applied(&thing);
                tree.things.insert(step.path.clone(), thing);
                outcome
            }
            Action::Move { from, version: wanted, .. } => {
                assert_eq!(version(&tree.things[from]), *wanted, "{step:?}");
                let moved: Vec<(ItemPath, ItemPath)> = tree
                    .things
                    .keys()
                    .filter_map(|old| Some((old.clone(), old.moved(from, &step.path)?)))
                    .collect();
                // An item may move into what was its own place.
                let itself = tree.things.remove(from).unwrap();
                tree.make_parents(step, directories);
                tree.things.insert(from.clone(), itself);
                for (old, new) in moved {
                    let thing = tree.things.remove(&old).unwrap();
                    tree.things.insert(new, thing);
                }
                let ignored = std::mem::take(&mut tree.ignored);
                tree.ignored =
                    ignored.into_iter().map(|old| old.moved(from, &step.path).unwrap_or(old)).collect();
                applied(&tree.things[&step.path])
            }
            Action::Remove { .. } => {
                assert!(!tree.has_below(&step.path), "removal of a held directory: {step:?}");
                let thing = tree.things.remove(&step.path).unwrap();
                keep(history, &thing);
                Outcome::Applied { version: Version::none(), digest: None, size: 0 }
            }
        }
    }

    pub fn show(&self) -> String {
        let mut text = String::new();
        for side in Side::BOTH {
            for (path, thing) in &self.trees[side].things {
                let _ = writeln!(text, "{side} {path} {:?} {:?} v{}", thing.kind, thing.text, thing.version);
            }
        }
        let _ = baseline::visit_all(&self.baseline, &mut |path, entry| {
            let _ = writeln!(text, "agreed {path} {:?} {}", entry.kind, entry.digest.short());
        });
        text
    }
}

pub fn version(thing: &Thing) -> Version {
    if thing.kind.is_directory() { Version::none() } else { Version::new(&thing.version.to_le_bytes()) }
}

fn applied(thing: &Thing) -> Outcome {
    let item = item(thing);
    Outcome::Applied { version: version(thing), digest: item.digest, size: item.size }
}

/// Changes one side at random: creations, edits, removals, renames, type changes.
pub fn edit(world: &mut World, random: &mut Random, side: Side, count: usize) {
    const NAMES: [&str; 4] = ["a", "b", "c", "d.txt"];
    for _ in 0..count {
        let depth = 1 + random.below(3);
        let target: Vec<&str> = (0..depth).map(|_| NAMES[random.below(4)]).collect();
        let target = target.join("/");
        let existing: Vec<ItemPath> = world.trees[side].things.keys().cloned().collect();
        let text = format!("text {}", random.below(12));
        match random.below(10) {
            0..=3 => {
                let kind = match random.below(8) {
                    0 => Kind::Symlink,
                    1 => Kind::File { executable: true },
                    2 => Kind::Directory,
                    _ => Kind::FILE,
                };
                let text = if kind.is_directory() { "" } else { &text };
                world.put(side, &target, kind, text);
            }
            4..=5 => {
                if let Some(at) = random.pick(&existing) {
                    let kind = world.trees[side].things[at].kind;
                    if !kind.is_directory() {
                        world.put(side, at.as_str(), kind, &text);
                    }
                }
            }
            6..=7 => {
                if let Some(at) = random.pick(&existing) {
                    world.remove(side, at.as_str());
                }
            }
            _ => {
                if let Some(at) = random.pick(&existing) {
                    let to = if random.chance(50) { target } else { format!("moved-{}", random.below(3)) };
                    world.rename(side, at.as_str(), &to);
                }
            }
        }
    }
}
