//! The tree that the memory endpoint holds.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use super::power::Volatile;
use bytes::Bytes;
use syncline_core::{
    Abilities, Action, Digest, Expected, Item, ItemPath, Kind, Mark, Nanos, Outcome, Problem,
};
use syncline_core::{Root, Step, Version};
use unicode_normalization::UnicodeNormalization as _;

/// What the memory endpoint makes versions from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tokens {
    /// A number that is never used twice and moves along with the item, like inode and time stamps of a file.
    #[default]
    Counter,
    /// A hash of kind and content, like the object identifiers of Git: the same content has the same version.
    Content,
}

/// One item as it lies in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Node {
    /// Its path as it was written; the key of the tree is this path folded.
    pub(super) path: ItemPath,
    pub(super) kind: Kind,
    pub(super) bytes: Bytes,
    pub(super) modified: Nanos,
    pub(super) mode: Option<u32>,
    serial: u64,
}

impl Node {
    pub(super) fn item(&self) -> Item {
        match self.kind {
            Kind::Directory => Item::directory(),
            kind => Item {
                kind,
                digest: (self.bytes.is_empty() || kind == Kind::Symlink).then(|| Digest::of(&self.bytes)),
                size: self.bytes.len() as u64,
                modified: self.modified,
            },
        }
    }
}

/// What a step that may be done needs before it is done.
pub(super) struct Ready {
    /// Old content that must be in history first.
    pub(super) keep: Option<(Digest, Bytes)>,
}

/// Everything that a memory endpoint holds.
#[derive(Debug)]
pub(super) struct Tree {
    pub(super) abilities: Abilities,
    pub(super) tokens: Tokens,
    pub(super) nodes: BTreeMap<ItemPath, Node>,
    pub(super) unreadable: BTreeSet<ItemPath>,
    pub(super) marks: BTreeMap<String, Mark>,
    pub(super) root: Root,
    pub(super) complete: bool,
    pub(super) mutations: u64,
    /// Directories that the batch at work made on the way to something else.
    pub(super) made: BTreeSet<ItemPath>,
    counter: u64,
    /// What a power loss would take back; `None` as long as none is simulated.
    pub(super) volatile: Option<Volatile>,
}

impl Tree {
    pub(super) fn new(abilities: Abilities, tokens: Tokens) -> Self {
        Self {
            abilities,
            tokens,
            nodes: BTreeMap::new(),
            unreadable: BTreeSet::new(),
            marks: BTreeMap::new(),
            root: Root::Present,
            complete: true,
            mutations: 0,
            made: BTreeSet::new(),
            counter: 0,
            volatile: None,
        }
    }

    /// The key of a path: two paths that the endpoint takes for the same have the same key.
    pub(super) fn key(&self, path: &ItemPath) -> ItemPath {
        if !self.abilities.folds_case && !self.abilities.folds_unicode {
            return path.clone();
        }
        let mut text = path.as_str().to_owned();
        if self.abilities.folds_unicode {
            text = text.nfc().collect();
        }
        if self.abilities.folds_case {
            text = text.to_lowercase();
        }
        ItemPath::parse(&text).unwrap_or_else(|_| path.clone())
    }

    /// The item at exactly this path.
    pub(super) fn get(&self, path: &ItemPath) -> Option<&Node> {
        self.nodes.get(&self.key(path)).filter(|node| node.path == *path)
    }

    pub(super) fn version(&self, node: &Node) -> Version {
        match (node.kind, self.tokens) {
            (Kind::Directory, _) => Version::none(),
            (_, Tokens::Counter) => Version::new(&node.serial.to_be_bytes()),
            (kind, Tokens::Content) => {
                let mut token = vec![match kind {
                    Kind::File { executable } => u8::from(executable),
                    _ => 2,
                }];
                token.extend_from_slice(&Digest::of(&node.bytes).0);
                Version::new(&token)
            }
        }
    }

    /// Everything below a directory, without the directory itself.
    pub(super) fn below(&self, directory: &ItemPath) -> impl Iterator<Item = &ItemPath> {
        let key = self.key(directory);
        let after = (Bound::Excluded(key.clone()), Bound::Unbounded);
        self.nodes.range(after).map(|(key, _)| key).take_while(move |other| other.is_below(key.as_str()))
    }

    /// Puts an item, and the directories above it; whatever was there is gone.
    pub(super) fn put(
        &mut self,
        path: &ItemPath,
        kind: Kind,
        bytes: Bytes,
        modified: Nanos,
        mode: Option<u32>,
    ) {
        self.root = Root::Present;
        if self.abilities.directories {
            for above in path.ancestors() {
                let key = self.key(&above);
                if !self.nodes.get(&key).is_some_and(|node| node.kind.is_directory()) {
                    let node = self.node(above.clone(), Kind::Directory, Bytes::new(), 0, None);
                    self.nodes.insert(key, node);
                    self.made.insert(above);
                }
            }
        }
        let node = self.node(path.clone(), kind, bytes, modified, mode);
        self.nodes.insert(self.key(path), node);
    }

    fn node(&mut self, path: ItemPath, kind: Kind, bytes: Bytes, modified: Nanos, mode: Option<u32>) -> Node {
        self.counter += 1;
        let kind = match kind {
            Kind::File { .. } if !self.abilities.executable => Kind::FILE,
            kind => kind,
        };
        Node { path, kind, bytes, modified, mode, serial: self.counter }
    }

    /// Removes an item and everything below it; tells whether anything was there.
    pub(super) fn remove(&mut self, path: &ItemPath) -> bool {
        let mut doomed: Vec<ItemPath> = self.below(path).cloned().collect();
        doomed.push(self.key(path));
        doomed.iter().filter(|key| self.nodes.remove(key).is_some()).count() > 0
    }

    /// Moves an item with everything below it; versions stay as they are.
    pub(super) fn rename(&mut self, from: &ItemPath, to: &ItemPath) {
        let mut keys: Vec<ItemPath> = self.below(from).cloned().collect();
        keys.push(self.key(from));
        let moving: Vec<Node> = keys.iter().filter_map(|key| self.nodes.remove(key)).collect();
        for mut node in moving {
            if let Some(path) = node.path.moved(from, to) {
                node.path = path;
                self.nodes.insert(self.key(&node.path), node);
            }
        }
    }

    /// Checks everything that a step asks for; what cannot be done has its outcome already.
    pub(super) fn check(&self, step: &Step) -> Result<Ready, Outcome> {
        if let Root::WrongType(what) = self.root {
            return Err(Outcome::Refused { found: format!("the root is a {what}") });
        }
        self.check_able(step)?;
        let moves_away =
            |above: &ItemPath| matches!(&step.action, Action::Move { from, .. } if from == above);
        for above in step.path.ancestors() {
            match self.nodes.get(&self.key(&above)) {
                Some(node) if node.path != above => return Err(same_name(node)),
                Some(node) if !node.kind.is_directory() && !moves_away(&above) => {
                    return Err(Outcome::Refused { found: format!("{above} is a {}", node.kind.name()) });
                }
                _ => {}
            }
        }
        // A move that only spells the name anew finds itself at its destination.
        let is_itself =
            |node: &&Node| matches!(&step.action, Action::Move { from, .. } if *from == node.path);
        let there = self.nodes.get(&self.key(&step.path)).filter(|node| !is_itself(node));
        self.check_expected(step, there)?;
        if let Action::Move { from, version, item } = &step.action {
            match self.get(from) {
                Some(node) if self.version(node) == *version && node.kind.is_same_type(item.kind) => {}
                other => {
                    return Err(Outcome::Refused { found: format!("at {from}: {}", self.describe(other)) });
                }
            }
        }
        // Without directories, what holds something is none of its own, and nothing can be put in its place either.
        let replaces_directory = there.map_or(!self.abilities.directories, |node| node.kind.is_directory())
            && !matches!(&step.action, Action::Write { item, .. } if item.kind.is_directory());
        if replaces_directory && self.below(&step.path).next().is_some() {
            return Err(Outcome::Refused { found: "a directory that is not empty".into() });
        }
        let keep = there.filter(|node| !node.kind.is_directory()).map(|node| {
            let digest = step.expected.keep().unwrap_or_else(|| Digest::of(&node.bytes));
            (digest, node.bytes.clone())
        });
        Ok(Ready { keep })
    }

    fn check_expected(&self, step: &Step, there: Option<&Node>) -> Result<(), Outcome> {
        match (&step.expected, there) {
            (_, Some(node)) if node.path != step.path => Err(same_name(node)),
            (Expected::Absent, None) => Ok(()),
            (Expected::Absent, Some(node))
                if node.kind.is_directory()
                    && step.item().kind.is_directory()
                    && matches!(step.action, Action::Write { .. })
                    && self.made.contains(&step.path) =>
            {
                Ok(())
            }
            (Expected::Present { version, .. }, Some(node)) if self.version(node) == *version => Ok(()),
            (_, there) => Err(Outcome::Refused { found: self.describe(there) }),
        }
    }

    /// Checks what does not depend on what is there.
    fn check_able(&self, step: &Step) -> Result<(), Outcome> {
        let failed =
            |code, message: &str| Err(Outcome::Failed(Problem::new(step.path.as_str(), code, message)));
        let mut paths = vec![&step.path];
        if let Action::Move { from, .. } = &step.action {
            paths.push(from);
        }
        if let Some(reason) = paths.iter().find_map(|path| path.protected()) {
            return failed("protected", reason);
        }
        let hidden =
            |path: &ItemPath| self.unreadable.iter().any(|top| path == top || path.is_below(top.as_str()));
        if paths.iter().any(|path| hidden(path)) {
            return failed("denied", "permission was refused; check the owner and the permissions");
        }
        match &step.action {
            Action::Write { item, .. } => match item.kind {
                Kind::Directory if !self.abilities.directories => {
                    failed("unsupported", "directories are not kept")
                }
                Kind::Symlink if !self.abilities.symlinks => failed("unsupported", "links are not kept"),
                _ if self.abilities.size_max.is_some_and(|max| item.size > max) => {
                    failed("unsupported", "the item is larger than this side takes")
                }
                _ => Ok(()),
            },
            Action::Move { item, .. } if item.kind.is_directory() && !self.abilities.directory_moves => {
                failed("unsupported", "directories cannot be moved")
            }
            Action::Move { .. } if !self.abilities.moves => failed("unsupported", "items cannot be moved"),
            _ => Ok(()),
        }
    }

    /// Does a step that [`Tree::check`] let through; `bytes` is the content of a write.
    pub(super) fn perform(&mut self, step: &Step, bytes: Bytes, mode: Option<u32>) -> Outcome {
        self.mutations += 1;
        let nothing = |version| Outcome::Applied { version, digest: None, size: 0 };
        match &step.action {
            Action::Remove { .. } => {
                self.remove(&step.path);
                nothing(Version::none())
            }
            Action::Move { from, item, .. } => {
                if self.abilities.directories
                    && let Ok(parent) = ItemPath::parse(step.path.parent())
                    && self.get(&parent).is_none()
                {
                    self.put(&parent, Kind::Directory, Bytes::new(), 0, None);
                    self.made.insert(parent);
                }
                self.rename(from, &step.path);
                self.set_executable(&step.path, item.kind);
                nothing(self.get(&step.path).map_or_else(Version::none, |node| self.version(node)))
            }
            Action::Write { item, .. } => {
                let was_directory = self.get(&step.path).is_some_and(|node| node.kind.is_directory());
                if !(was_directory && item.kind.is_directory()) {
                    let mode = mode.or_else(|| self.get(&step.path).and_then(|node| node.mode));
                    self.put(&step.path, item.kind, bytes.clone(), item.modified, mode);
                }
                let version = self.get(&step.path).map_or_else(Version::none, |node| self.version(node));
                let digest = (!item.kind.is_directory()).then(|| Digest::of(&bytes));
                Outcome::Applied { version, digest, size: bytes.len() as u64 }
            }
        }
    }

    /// A moved file keeps its version unless its executable bit has to change.
    fn set_executable(&mut self, path: &ItemPath, kind: Kind) {
        let Some(node) = self.get(path) else { return };
        if node.kind != kind && self.abilities.executable {
            let node = node.clone();
            self.put(path, kind, node.bytes, node.modified, node.mode);
        }
    }

    fn describe(&self, node: Option<&Node>) -> String {
        match node {
            None => "nothing".into(),
            Some(node) if node.kind.is_directory() => "a directory".into(),
            Some(node) => format!(
                "a {} of {} bytes with version {:?}",
                node.kind.name(),
                node.bytes.len(),
                self.version(node)
            ),
        }
    }
}

fn same_name(node: &Node) -> Outcome {
    Outcome::Refused { found: format!("{}, which this side takes for the same name", node.path) }
}
