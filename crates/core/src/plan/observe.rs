//! Joins the two snapshots: one node for each path at which anything is to be considered.

use std::collections::{BTreeMap, HashSet};
use std::ops::Deref;

use crate::baseline::{Damaged, Entry};
use crate::item::{Item, Kind, Version};
use crate::path::{ItemPath, compare};
use crate::side::{Side, Sides};
use crate::snapshot::{Change, Found, Seen};
use crate::step::{Need, Plan};

use super::Input;
use super::conflict::Settled;

/// An item as a snapshot holds it. A first run has one for each item of the tree, so it is not copied without need.
#[derive(Clone, Debug)]
pub(super) enum Held<'a> {
    Seen(&'a Found),
    /// The side cannot tell all of it: the rest was put in.
    Completed(Box<Found>),
}

impl Deref for Held<'_> {
    type Target = Found;

    fn deref(&self) -> &Found {
        match self {
            Self::Seen(found) => found,
            Self::Completed(found) => found,
        }
    }
}

impl PartialEq for Held<'_> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

/// What a side holds at a path, compared with what was agreed.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Now<'a> {
    /// The agreed item, perhaps with another version.
    Same(Option<Held<'a>>),
    /// An item that was not agreed: new, or edited.
    Other(Held<'a>),
    /// Nothing.
    Absent,
    /// Nothing of its own, but there is something below: what a directory is on a side that keeps none.
    Implied,
    /// Unknown: ignored or unreadable, here or above.
    Unseen,
}

impl Now<'_> {
    /// Whether the side holds something here.
    pub(super) const fn is_there(&self) -> bool {
        !matches!(self, Self::Absent | Self::Implied)
    }

    /// The item that was found, when the scan reported one.
    pub(super) fn found(&self) -> Option<&Found> {
        match self {
            Self::Same(found) => found.as_deref(),
            Self::Other(found) => Some(&**found),
            Self::Absent | Self::Implied | Self::Unseen => None,
        }
    }
}

/// What is to be done at a path.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Decision {
    /// Nothing; the baseline keeps what it says.
    Leave,
    /// Nothing; both sides agree on what they hold, and the baseline learns it.
    Settle,
    /// Nothing; the baseline forgets the path.
    Forget,
    /// The item of the opposite side comes to this one.
    Flow(Side),
    /// The item is removed from this side.
    Remove(Side),
    /// The item at the other path, of the version given, is moved here on this side.
    MoveHere(Side, ItemPath, Version),
    /// The item was or will be moved from here to there on this side.
    MovedAway(Side, ItemPath),
    /// A directory above is moved on this side and takes the item along; its version stays the one given.
    Carried(Side, Version),
    /// The opposite side moved the item here, and this side edited it at the other path: what it has there is moved
    /// here, and then comes to the opposite side.
    Follow(Side, ItemPath, Box<Found>),
    /// A conflict.
    Conflict(Box<Settled>),
    /// What a person asked for, or what is taken back.
    Desired(Box<Wish>),
}

/// What a path shall hold, whatever is there now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wish {
    /// What both sides are to agree on.
    pub(super) agreed: Option<Item>,
    /// What each side shall hold; `None` for a side that is left alone.
    pub(super) sides: Sides<Option<Option<Item>>>,
}

impl Wish {
    fn of(input: &Input<'_>, path: &ItemPath, agreed: &Option<Item>) -> Decision {
        let sides = input.choices.retracted.get(path).cloned();
        let sides = sides.unwrap_or_else(|| Sides::from_fn(|_| Some(agreed.clone())));
        Decision::Desired(Box::new(Self { agreed: agreed.clone(), sides }))
    }

    /// Whether nothing shall be on `side`.
    pub(super) fn empties(&self, side: Side) -> bool {
        self.sides[side] == Some(None)
    }
}

/// One path at which something is to be considered.
#[derive(Clone, Debug)]
pub(super) struct Node<'a> {
    pub(super) path: ItemPath,
    pub(super) was: Option<Box<Entry>>,
    pub(super) now: Sides<Now<'a>>,
    pub(super) decision: Decision,
}

impl Node<'_> {
    /// The item on `side`, with its version, when there is one and it is known.
    pub(super) fn held(&self, side: Side) -> Option<Found> {
        match &self.now[side] {
            Now::Other(found) | Now::Same(Some(found)) => Some(Found::clone(found)),
            Now::Same(None) => self.was.as_ref().map(|was| Found {
                item: was.item(),
                version: was.versions[side].clone(),
                moved_from: None,
            }),
            Now::Absent | Now::Implied | Now::Unseen => None,
        }
    }

    /// Whether `side` holds a directory here.
    pub(super) fn is_directory(&self, side: Side) -> bool {
        match &self.now[side] {
            Now::Same(_) => self.was.as_ref().is_some_and(|was| was.kind.is_directory()),
            Now::Other(found) => found.item.kind.is_directory(),
            Now::Implied => true,
            Now::Absent | Now::Unseen => false,
        }
    }
}

impl Entry {
    /// The agreed item; its time is not part of the agreement.
    #[must_use]
    pub fn item(&self) -> Item {
        let digest = (!self.kind.is_directory()).then_some(self.digest);
        Item { kind: self.kind, digest, size: self.size, modified: 0 }
    }
}

/// Joins the two snapshots into nodes, in path order. Content that must be known for it goes to `plan.needs`.
pub(super) fn join<'a>(input: &Input<'a>, plan: &mut Plan) -> Result<Vec<Node<'a>>, Damaged> {
    let most = Side::BOTH.iter().map(|&side| input.snapshots[side].changes.len()).max().unwrap_or_default();
    let mut nodes = Vec::with_capacity(most);
    let unseen = Sides::from_fn(|side| unseen_paths(&input.snapshots[side].changes));
    let mut changes = input.snapshots.map(|snapshot| snapshot.changes.iter().peekable());
    loop {
        let path = match (changes.local.peek(), changes.remote.peek()) {
            (None, None) => break,
            (Some(local), Some(remote)) => (&local.path).min(&remote.path).clone(),
            (Some(only), None) | (None, Some(only)) => only.path.clone(),
        };
        let at = Sides::from_fn(|side| changes[side].next_if(|change| change.path == path));
        nodes.push(node(input, path, at, &unseen, plan));
    }
    for side in Side::BOTH {
        if !input.policy.abilities[side].directories {
            imply_directories(&mut nodes, side);
        }
    }
    for side in Side::BOTH {
        let problems = input.snapshots[side].problems.iter();
        plan.problems.extend(problems.map(|problem| problem.clone().on(side)));
    }
    add_desired(input, &mut nodes)?;
    forget_ignored(input, &mut nodes)?;
    Ok(nodes)
}

/// Marks where a side that keeps no directories has something below a path at which it has nothing itself.
fn imply_directories(nodes: &mut [Node<'_>], side: Side) {
    let mut above = Above::default();
    for node in nodes.iter_mut().rev() {
        if node.now[side] == Now::Absent && above.contains(node.path.as_str()) {
            node.now[side] = Now::Implied;
        }
        if node.now[side].is_there() {
            above.note(node.path.parent());
        }
    }
}

/// The directories above some paths.
#[derive(Default)]
pub(super) struct Above(HashSet<String>);

impl Above {
    /// Notes a directory, with all that are above it.
    pub(super) fn note(&mut self, directory: &str) {
        let mut text = directory;
        while !text.is_empty() && !self.contains(text) {
            self.0.insert(text.to_owned());
            text = text.rsplit_once('/').map_or("", |(parent, _)| parent);
        }
    }

    pub(super) fn contains(&self, directory: &str) -> bool {
        self.0.contains(directory)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

fn unseen_paths(changes: &[Change]) -> HashSet<&str> {
    changes
        .iter()
        .filter(|change| matches!(change.now, Seen::Ignored | Seen::Unreadable(_)))
        .map(|change| change.path.as_str())
        .collect()
}

/// Whether the path or a directory above it is in the set.
fn covers(set: &HashSet<&str>, path: &str) -> bool {
    if set.is_empty() {
        return false;
    }
    let mut text = path;
    loop {
        if set.contains(text) {
            return true;
        }
        match text.rsplit_once('/') {
            Some((parent, _)) => text = parent,
            None => return false,
        }
    }
}

fn node<'a>(
    input: &Input<'a>,
    path: ItemPath,
    at: Sides<Option<&'a Change>>,
    unseen: &Sides<HashSet<&str>>,
    plan: &mut Plan,
) -> Node<'a> {
    let was = Side::BOTH.iter().find_map(|&side| at[side].and_then(|change| change.was.clone()));
    let mut now = Sides::from_fn(|side| match at[side] {
        None if covers(&unseen[side], path.as_str()) => Now::Unseen,
        None if was.is_some() => Now::Same(None),
        None => Now::Absent,
        Some(change) => match &change.now {
            Seen::Ignored => Now::Unseen,
            Seen::Unreadable(problem) => {
                plan.problems.push(problem.clone().on(side));
                Now::Unseen
            }
            Seen::Absent if input.snapshots[side].complete => Now::Absent,
            // An incomplete listing proves nothing: what was agreed is taken to be there, untouched.
            Seen::Absent => Now::Unseen,
            Seen::Present(found) => Now::Other(Held::Seen(found)),
        },
    });
    for side in Side::BOTH {
        normalise(input, side, was.as_deref(), &mut now);
    }
    for side in Side::BOTH {
        if let (Now::Other(found), Some(was)) = (&now[side], &was) {
            match differs(&found.item, was) {
                Some(true) => {}
                Some(false) => now[side] = Now::Same(Some(found.clone())),
                None => plan.needs.push(Need { side, path: path.clone() }),
            }
        }
    }
    if both_ignored(&at) {
        return Node { path, was, now, decision: Decision::Forget };
    }
    Node { path, was, now, decision: Decision::Leave }
}

/// The agreed item left the target on both sides by a rule: it is forgotten, never removed.
fn both_ignored(at: &Sides<Option<&Change>>) -> bool {
    let seen = at.map(|change| change.map(|change| &change.now));
    matches!(
        (seen.local, seen.remote),
        (Some(Seen::Ignored), Some(Seen::Ignored | Seen::Absent)) | (Some(Seen::Absent), Some(Seen::Ignored))
    )
}

/// A side that cannot keep the executable bit says nothing about it: the other side does, or else the baseline.
fn normalise(input: &Input<'_>, side: Side, was: Option<&Entry>, now: &mut Sides<Now<'_>>) {
    if input.policy.abilities[side].executable {
        return;
    }
    let told = now[side.other()].found().map(|found| found.item.kind);
    let known = told.or_else(|| was.map(|was| was.kind));
    if let Now::Other(held) = &mut now[side]
        && let (Kind::File { executable }, Some(Kind::File { executable: known })) = (held.item.kind, known)
        && executable != known
    {
        let mut found = Found::clone(held);
        found.item.kind = Kind::File { executable: known };
        *held = Held::Completed(Box::new(found));
    }
}

/// Whether the item is another one than agreed; `None` when only its content can tell.
fn differs(item: &Item, was: &Entry) -> Option<bool> {
    if item.kind != was.kind || item.size != was.size && !item.kind.is_directory() {
        return Some(true);
    }
    if item.kind.is_directory() {
        return Some(false);
    }
    item.digest.map(|digest| digest != was.digest)
}

/// Adds nodes for the paths that people decided about and that did not change.
fn add_desired(input: &Input<'_>, nodes: &mut Vec<Node<'_>>) -> Result<(), Damaged> {
    for (path, item) in &input.choices.desired {
        match nodes.binary_search_by(|node| node.path.cmp(path)) {
            Ok(at) => nodes[at].decision = Wish::of(input, path, item),
            Err(at) => {
                let was = input.baseline.get(path)?.map(Box::new);
                let now = Sides::from_fn(|_| if was.is_some() { Now::Same(None) } else { Now::Absent });
                let decision = Wish::of(input, path, item);
                nodes.insert(at, Node { path: path.clone(), was, now, decision });
            }
        }
    }
    Ok(())
}

/// What lies below an ignored directory is forgotten too: were it kept, un-ignoring the directory later would
/// compare against an agreement that is long out of date, and could remove what nobody removed.
fn forget_ignored(input: &Input<'_>, nodes: &mut Vec<Node<'_>>) -> Result<(), Damaged> {
    let ignored: HashSet<&str> = Side::BOTH
        .iter()
        .flat_map(|&side| &input.snapshots[side].changes)
        .filter(|change| change.now == Seen::Ignored)
        .map(|change| change.path.as_str())
        .collect();
    if ignored.is_empty() || input.baseline.count() == 0 {
        return Ok(());
    }
    let mut below = Vec::new();
    input.baseline.directories(&mut |directory| {
        if covers(&ignored, directory) {
            below.push(directory.to_owned());
        }
    });
    let mut forgotten = BTreeMap::new();
    for directory in below {
        input.baseline.visit(&directory, &mut |entry| {
            if let Ok(path) = ItemPath::child(&directory, entry.name) {
                forgotten.insert(path, entry.to_entry());
            }
        })?;
    }
    if forgotten.is_empty() {
        return Ok(());
    }
    let known: HashSet<&str> = nodes.iter().map(|node| node.path.as_str()).collect();
    let missing: Vec<Node> = forgotten
        .into_iter()
        .filter(|(path, _)| !known.contains(path.as_str()))
        .map(|(path, was)| Node {
            path,
            was: Some(Box::new(was)),
            now: Sides { local: Now::Unseen, remote: Now::Unseen },
            decision: Decision::Forget,
        })
        .collect();
    nodes.extend(missing);
    nodes.sort_by(|a, b| compare(a.path.as_str(), b.path.as_str()));
    Ok(())
}
