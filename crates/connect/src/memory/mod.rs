//! The memory endpoint: a deterministic place to hold items, for tests, simulation and demonstrations.
//!
//! It never blocks, never spawns and draws nothing at random. Besides the contract it has an outside: what a
//! user or another program does to a folder while Syncline is not looking.

mod power;
mod tree;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use syncline_core::{
    Abilities, Action, Digest, Found, Item, ItemPath, Kind, Mark, Nanos, Outcome, Problem, Root, Seen,
    Snapshot, Step, Version,
};

use crate::content::{ChangedWhileRead, Content};
use crate::endpoint::{Batch, Capabilities, Endpoint, Health, ScanRequest, Words};
use crate::error::{Error, ErrorKind, Result};
use crate::layers::fault::{Call, Fault, Hook, pass};
use crate::listing::{Listing, detect_moves, snapshot_from_listing};

pub use tree::Tokens;
use tree::Tree;

/// An endpoint in memory. Clones are the same endpoint.
#[derive(Clone)]
pub struct MemoryEndpoint {
    capabilities: Arc<Capabilities>,
    tree: Arc<Mutex<Tree>>,
    hook: Arc<Mutex<Hook>>,
}

/// One item as a memory endpoint holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemoryItem {
    /// What it is.
    pub kind: Kind,
    /// Its content; of a link, its target.
    pub bytes: Bytes,
    /// When it was modified.
    pub modified: Nanos,
}

impl Default for MemoryEndpoint {
    fn default() -> Self {
        Self::new("memory", Abilities::default(), Tokens::Counter)
    }
}

/// The contract's face.
#[async_trait]
impl Endpoint for MemoryEndpoint {
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    async fn check(&self) -> Result<Health> {
        let count = self.lock().nodes.len();
        Ok(Health { message: format!("{count} items in memory"), writable: true, warnings: Vec::new() })
    }

    async fn scan(&self, request: ScanRequest) -> Result<Snapshot> {
        let (listing, moves) = {
            let tree = self.lock();
            let listing = Listing {
                root: tree.root.clone(),
                complete: tree.complete,
                seen: listed(&tree),
                mark: tree.marks.get(&request.mark).cloned(),
                problems: Vec::new(),
            };
            (listing, tree.tokens == Tokens::Counter && tree.abilities.moves)
        };
        let mut snapshot = snapshot_from_listing(&request, listing)?;
        if moves {
            detect_moves(&mut snapshot, request.side);
        }
        Ok(snapshot)
    }

    async fn read(&self, path: &ItemPath, version: &Version) -> Result<Content> {
        let tree = self.lock();
        let hidden = tree.unreadable.iter().any(|top| path == top || path.is_below(top.as_str()));
        if hidden {
            return Err(Error::new(ErrorKind::Denied, format!("{path} may not be read")));
        }
        let node = tree
            .get(path)
            .filter(|node| !node.kind.is_directory() && tree.root == Root::Present)
            .ok_or_else(|| Error::new(ErrorKind::NotFound, format!("{path} is not there")))?;
        if tree.version(node) != *version {
            return Err(Error::new(ErrorKind::Changed, format!("{path} has changed")));
        }
        Ok(Content { mode: node.mode, ..Content::bytes(node.bytes.clone()) })
    }

    async fn apply(&self, batch: Batch) -> Result<Vec<Outcome>> {
        self.lock().made.clear();
        let mut outcomes: Vec<Option<Outcome>> = vec![None; batch.steps.len()];
        let mut kept = vec![None; batch.steps.len()];
        for (at, step) in batch.steps.iter().enumerate() {
            // A step may expect what an earlier one leaves: whether it is refused is decided when its turn comes.
            let ready = self.lock().check(step);
            if let Ok(ready) = ready
                && let Some((digest, bytes)) = ready.keep
            {
                match batch.history.keep(&digest, Content::bytes(bytes)).await {
                    Ok(()) => kept[at] = Some(digest),
                    Err(error) => outcomes[at] = Some(Outcome::Failed(error.to_problem(step.path.as_str()))),
                }
            }
        }
        batch.history.sync().await?;
        let mut done = Vec::with_capacity(outcomes.len());
        for (at, outcome) in outcomes.into_iter().enumerate() {
            done.push(match outcome {
                Some(outcome) => outcome,
                None => self.step(&batch, at, kept[at]).await?,
            });
        }
        if let Some((name, mark)) = batch.mark {
            pass(&self.hook(), Call::Mark).await?;
            let mut tree = self.lock();
            if tree.marks.get(&name) != Some(&mark) {
                let before = tree.state();
                tree.marks.insert(name, mark);
                tree.mutations += 1;
                tree.note(before);
            }
        }
        pass(&self.hook(), Call::Sync).await?;
        self.lock().settle();
        Ok(done)
    }
}

impl MemoryEndpoint {
    /// An empty endpoint; `location` is its name for people.
    #[must_use]
    pub fn new(location: &str, abilities: Abilities, tokens: Tokens) -> Self {
        let capabilities = Capabilities {
            kind: "memory",
            location: location.to_owned(),
            writable: true,
            abilities,
            only: None,
            marks: true,
            disturbs: false,
            consistent_listing: true,
            watch: false,
            batch_max: 1_000,
            words: Words::default(),
        };
        Self {
            capabilities: Arc::new(capabilities),
            tree: Arc::new(Mutex::new(Tree::new(abilities, tokens))),
            hook: Arc::new(Mutex::new(Arc::new(|_: &Call<'_>| Fault::None))),
        }
    }

    /// Asks `hook` before every mutation inside a batch; see [`Call::Mutate`] and [`Call::Mark`].
    pub fn set_hook(&self, hook: Hook) {
        *self.hook.lock().unwrap_or_else(PoisonError::into_inner) = hook;
    }

    /// Does one step, all checks included.
    async fn step(&self, batch: &Batch, at: usize, kept: Option<Digest>) -> Result<Outcome> {
        let step = &batch.steps[at];
        let (bytes, mode) = match self.content(batch, step).await {
            Ok(content) => content,
            Err(error) => return Ok(Outcome::Failed(error.to_problem(step.path.as_str()))),
        };
        if let Err(error) = pass(&self.hook(), Call::Mutate(at, step)).await {
            return Ok(Outcome::Failed(error.to_problem(step.path.as_str())));
        }
        let ready = match self.lock().check(step) {
            Ok(ready) => ready,
            Err(outcome) => return Ok(outcome),
        };
        if let Some((digest, old)) = ready.keep
            && kept != Some(digest)
        {
            if let Err(error) = batch.history.keep(&digest, Content::bytes(old)).await {
                return Ok(Outcome::Failed(error.to_problem(step.path.as_str())));
            }
            batch.history.sync().await?;
        }
        let mut tree = self.lock();
        // Keeping may have waited, and somebody may have been here meanwhile.
        if let Err(outcome) = tree.check(step) {
            return Ok(outcome);
        }
        let before = tree.state();
        let outcome = tree.perform(step, bytes, mode);
        tree.note(before);
        batch.progress.add(1, step.bytes());
        Ok(outcome)
    }

    async fn content(&self, batch: &Batch, step: &Step) -> Result<(Bytes, Option<u32>)> {
        let Action::Write { item, .. } = &step.action else {
            return Ok((Bytes::new(), None));
        };
        // Nothing is transferred for a step that is refused anyway.
        if item.kind.is_directory() || self.lock().check(step).is_err() {
            return Ok((Bytes::new(), None));
        }
        let content = batch.contents.open(step).await?;
        let mode = content.mode;
        let mut bytes = Vec::new();
        std::io::copy(&mut content.into_reader(), &mut bytes).map_err(|error| {
            if error.get_ref().is_some_and(|inner| inner.is::<ChangedWhileRead>()) {
                Error::new(
                    ErrorKind::Changed,
                    format!("the source of {} changed while it was read", step.path),
                )
            } else {
                Error::io(error, format_args!("reading the source of {}", step.path))
            }
        })?;
        verify(step, item, &bytes)?;
        Ok((bytes.into(), mode))
    }

    fn lock(&self) -> MutexGuard<'_, Tree> {
        self.tree.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hook(&self) -> Hook {
        Arc::clone(&self.hook.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The outside: what users and other programs do, and what tests look at. Paths are taken as they are written.
///
/// # Panics
/// Every function here does when given a text that is not an [`ItemPath`].
impl MemoryEndpoint {
    /// Writes a file, and the directories above it.
    pub fn put(&self, path: &str, bytes: impl Into<Bytes>, modified: Nanos) {
        self.lock().put(&parse(path), Kind::FILE, bytes.into(), modified, None);
    }

    /// Writes an executable file, and the directories above it.
    pub fn put_executable(&self, path: &str, bytes: impl Into<Bytes>, modified: Nanos) {
        self.lock().put(&parse(path), Kind::File { executable: true }, bytes.into(), modified, None);
    }

    /// Makes a directory, and the directories above it; one that is there stays.
    pub fn put_dir(&self, path: &str) {
        let (path, mut tree) = (parse(path), self.lock());
        if !tree.get(&path).is_some_and(|node| node.kind.is_directory()) {
            tree.put(&path, Kind::Directory, Bytes::new(), 0, None);
        }
    }

    /// Makes a symbolic link, and the directories above it.
    pub fn put_symlink(&self, path: &str, target: &str, modified: Nanos) {
        let target = Bytes::copy_from_slice(target.as_bytes());
        self.lock().put(&parse(path), Kind::Symlink, target, modified, None);
    }

    /// Removes an item and everything below it; tells whether it was there.
    pub fn remove(&self, path: &str) -> bool {
        self.lock().remove(&parse(path))
    }

    /// Moves an item with everything below it, over whatever is there.
    pub fn rename(&self, from: &str, to: &str) {
        let (from, to, mut tree) = (parse(from), parse(to), self.lock());
        if let Ok(parent) = ItemPath::parse(to.parent())
            && tree.abilities.directories
            && tree.get(&parent).is_none()
        {
            tree.put(&parent, Kind::Directory, Bytes::new(), 0, None);
        }
        tree.remove(&to);
        tree.rename(&from, &to);
    }

    /// Makes a path and everything below it unreadable, or readable again.
    pub fn set_unreadable(&self, path: &str, unreadable: bool) {
        let (path, mut tree) = (parse(path), self.lock());
        if unreadable {
            tree.unreadable.insert(path);
        } else {
            tree.unreadable.remove(&path);
        }
    }

    /// Sets the state of the root; items stay, but are not seen unless it is present.
    pub fn set_root(&self, root: Root) {
        self.lock().root = root;
    }

    /// Makes listings incomplete, or complete again.
    pub fn set_complete(&self, complete: bool) {
        self.lock().complete = complete;
    }

    /// Forgets the mark of this name, as a replaced folder would.
    pub fn set_mark(&self, name: &str, mark: Option<Mark>) {
        let mut tree = self.lock();
        match mark {
            Some(mark) => tree.marks.insert(name.to_owned(), mark),
            None => tree.marks.remove(name),
        };
    }

    /// The mark of this name.
    #[must_use]
    pub fn mark(&self, name: &str) -> Option<Mark> {
        self.lock().marks.get(name).cloned()
    }

    /// The content of a file or link.
    #[must_use]
    pub fn get(&self, path: &str) -> Option<Bytes> {
        self.lock().get(&parse(path)).filter(|node| !node.kind.is_directory()).map(|node| node.bytes.clone())
    }

    /// The version of an item.
    #[must_use]
    pub fn version(&self, path: &str) -> Option<Version> {
        let tree = self.lock();
        tree.get(&parse(path)).map(|node| tree.version(node))
    }

    /// Everything there is, unreadable or not.
    #[must_use]
    pub fn tree(&self) -> BTreeMap<String, MemoryItem> {
        let tree = self.lock();
        tree.nodes
            .values()
            .map(|node| {
                let item = MemoryItem { kind: node.kind, bytes: node.bytes.clone(), modified: node.modified };
                (node.path.as_str().to_owned(), item)
            })
            .collect()
    }

    /// How many calls from inside, that is through the contract, changed something so far.
    #[must_use]
    pub fn mutations(&self) -> u64 {
        self.lock().mutations
    }
}

fn parse(path: &str) -> ItemPath {
    ItemPath::parse(path).expect("the outside of a memory endpoint takes item paths")
}

fn listed(tree: &Tree) -> BTreeMap<ItemPath, Seen> {
    let mut seen: BTreeMap<ItemPath, Seen> = tree
        .nodes
        .values()
        .map(|node| {
            let found = Found { item: node.item(), version: tree.version(node), moved_from: None };
            (node.path.clone(), Seen::Present(found))
        })
        .collect();
    for path in &tree.unreadable {
        if seen.contains_key(path) || tree.below(path).next().is_some() {
            let problem = Problem::new(path.as_str(), "unreadable", "permission to read it was refused");
            seen.insert(path.clone(), Seen::Unreadable(problem));
        }
    }
    seen
}

/// Content that is not what the step says must not be written.
fn verify(step: &Step, item: &Item, bytes: &[u8]) -> Result<()> {
    let differs = match item.digest {
        Some(digest) => digest != Digest::of(bytes),
        None => item.size != bytes.len() as u64,
    };
    if differs {
        return Err(Error::new(
            ErrorKind::Damaged,
            format!("the source of {} is not what was planned", step.path),
        ));
    }
    Ok(())
}
