//! The shared conformance suite: what every endpoint must do, whatever is behind it.
//!
//! [`run`] runs every case against a fresh place each. A case is left out only when the capabilities of the
//! endpoint, or of the test's means, say that it cannot apply; the names of those are returned.

mod cases;

use std::any::Any;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::io::Read as _;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use syncline_core::{
    Action, Digest, Entry, Expected, Filter, Item, ItemPath, Kind, Mark, MemoryBaseline, Outcome, Seen, Side,
    Sides, Snapshot, Source, Step, Version,
};

use crate::content::Content;
use crate::endpoint::{Batch, Capabilities, Contents, Endpoint, History, Progress, ScanRequest};
use crate::error::{Error, ErrorKind, Result};

/// Does something to a path as another program would.
pub type FromOutside = Box<dyn Fn(&str)>;

/// An empty place, ready to be used by one case.
pub struct Place {
    /// The endpoint; it holds nothing yet.
    pub endpoint: Arc<dyn Endpoint>,
    /// Makes a path unreadable from outside, where the test can.
    pub make_unreadable: Option<FromOutside>,
    /// Kept until the case is over, such as a temporary folder.
    pub guard: Box<dyn Any>,
}

/// Runs every case, each against its own fresh place; returns the names of those that do not apply.
///
/// # Panics
/// When a case fails.
pub async fn run(fresh: impl Fn() -> Place) -> Vec<&'static str> {
    let mut left_out = Vec::new();
    for case in cases::CASES {
        let bench = Bench::new(fresh());
        if (case.applies)(&bench) {
            (case.run)(&bench).await;
        } else {
            left_out.push(case.name);
        }
    }
    left_out
}

/// What a case works with.
pub(crate) struct Bench {
    endpoint: Arc<dyn Endpoint>,
    make_unreadable: Option<FromOutside>,
    history: Arc<MemoryHistory>,
    contents: Arc<MapContents>,
    baseline: Mutex<MemoryBaseline>,
    _guard: Box<dyn Any>,
}

impl Bench {
    fn new(place: Place) -> Self {
        Self {
            endpoint: place.endpoint,
            make_unreadable: place.make_unreadable,
            history: Arc::default(),
            contents: Arc::default(),
            baseline: Mutex::default(),
            _guard: place.guard,
        }
    }

    fn capabilities(&self) -> &Capabilities {
        self.endpoint.capabilities()
    }

    fn request(&self) -> ScanRequest {
        ScanRequest {
            side: Side::Remote,
            baseline: Arc::new(lock(&self.baseline).clone()),
            filter: Arc::new(Filter::default()),
            mark: "conformance".into(),
            sentinel: None,
            only: None,
            durable: false,
            again: false,
            directories: true,
            progress: Arc::new(Progress::default()),
        }
    }

    async fn scan(&self) -> Snapshot {
        self.endpoint.scan(self.request()).await.expect("a scan succeeds")
    }

    /// What a scan against an empty baseline finds, without what is ignored.
    async fn tree(&self) -> BTreeMap<String, Seen> {
        let request = ScanRequest { baseline: Arc::new(MemoryBaseline::default()), ..self.request() };
        let snapshot = self.endpoint.scan(request).await.expect("a scan succeeds");
        assert!(snapshot.complete, "the listing is complete");
        snapshot
            .changes
            .into_iter()
            .filter(|change| change.now != Seen::Ignored)
            .map(|change| (change.path.as_str().to_owned(), change.now))
            .collect()
    }

    /// The paths of all items, directories left out.
    async fn files(&self) -> Vec<String> {
        let is_file = |seen: &Seen| seen.found().is_some_and(|found| !found.item.kind.is_directory());
        self.tree().await.into_iter().filter(|(_, seen)| is_file(seen)).map(|(path, _)| path).collect()
    }

    /// The content of an item as it is now; `None` when there is none.
    async fn content(&self, path: &str) -> Option<Vec<u8>> {
        let version = self.version(path).await?;
        let content = self.endpoint.read(&at(path), &version).await.expect("the item can be read");
        let mut bytes = Vec::new();
        content.into_reader().read_to_end(&mut bytes).expect("the content can be read to its end");
        Some(bytes)
    }

    async fn version(&self, path: &str) -> Option<Version> {
        self.tree().await.get(path).and_then(Seen::found).map(|found| found.version.clone())
    }

    async fn apply(&self, steps: Vec<Step>) -> Vec<Outcome> {
        self.apply_with_mark(steps, None).await
    }

    /// Applies steps and folds what was applied into the baseline.
    async fn apply_with_mark(&self, steps: Vec<Step>, mark: Option<Mark>) -> Vec<Outcome> {
        let batch = Batch {
            run: "conformance-run".into(),
            steps: steps.clone().into(),
            contents: Arc::clone(&self.contents) as Arc<dyn Contents>,
            history: Arc::clone(&self.history) as Arc<dyn History>,
            mark: mark.map(|mark| ("conformance".into(), mark)),
            progress: Arc::new(Progress::default()),
        };
        let outcomes = self.endpoint.apply(batch).await.expect("the batch succeeds");
        assert_eq!(outcomes.len(), steps.len(), "one outcome for each step");
        for (step, outcome) in steps.iter().zip(&outcomes) {
            self.fold(step, outcome);
        }
        outcomes
    }

    fn fold(&self, step: &Step, outcome: &Outcome) {
        let Outcome::Applied { version, digest, size } = outcome else {
            return;
        };
        let mut baseline = lock(&self.baseline);
        let entry = |kind, digest, size| Entry {
            kind,
            digest,
            size,
            versions: Sides { local: Version::none(), remote: version.clone() },
        };
        match &step.action {
            Action::Write { item, .. } => {
                let digest = digest.unwrap_or(Digest([0; 32]));
                baseline.set(&step.path, Some(entry(item.kind, digest, *size)));
            }
            Action::Move { from, item, .. } => {
                let digest = item.digest.unwrap_or(Digest([0; 32]));
                baseline.set(from, None);
                baseline.set(&step.path, Some(entry(item.kind, digest, item.size)));
            }
            Action::Remove { .. } => baseline.set(&step.path, None),
        }
    }

    /// A step that puts a file; its content is ready to be opened.
    fn put(&self, path: &str, bytes: &[u8], expected: Expected) -> Step {
        self.put_kind(path, Kind::FILE, bytes, expected)
    }

    fn put_kind(&self, path: &str, kind: Kind, bytes: &[u8], expected: Expected) -> Step {
        lock(&self.contents.bytes).insert(at(path), Bytes::copy_from_slice(bytes));
        let digest = Digest::of(bytes);
        let item = Item { kind, digest: Some(digest), size: bytes.len() as u64, modified: MODIFIED };
        write(path, item, Source::Object(digest), expected)
    }

    /// Puts files and directories (those without content) and expects success.
    async fn given(&self, items: &[(&str, Option<&[u8]>)]) -> Vec<Version> {
        let step = |&(path, bytes): &(&str, Option<&[u8]>)| match bytes {
            Some(bytes) => self.put(path, bytes, Expected::Absent),
            None => directory(path),
        };
        let outcomes = self.apply(items.iter().map(step).collect()).await;
        outcomes.iter().map(applied).collect()
    }
}

/// When the items of the suite were modified: long ago, so that no version is in doubt.
const MODIFIED: i64 = 1_600_000_000_123_000_000;

fn at(path: &str) -> ItemPath {
    ItemPath::parse(path).expect("the suite uses item paths")
}

fn write(path: &str, item: Item, source: Source, expected: Expected) -> Step {
    Step { side: Side::Remote, path: at(path), expected, action: Action::Write { item, source } }
}

fn directory(path: &str) -> Step {
    write(path, Item::directory(), Source::Nothing, Expected::Absent)
}

fn remove(path: &str, item: Item, expected: Expected) -> Step {
    Step { side: Side::Remote, path: at(path), expected, action: Action::Remove { item } }
}

fn rename(from: &str, to: &str, version: &Version, item: Item) -> Step {
    let action = Action::Move { from: at(from), version: version.clone(), item };
    Step { side: Side::Remote, path: at(to), expected: Expected::Absent, action }
}

fn file(bytes: &[u8]) -> Item {
    let digest = Some(Digest::of(bytes));
    Item { kind: Kind::FILE, digest, size: bytes.len() as u64, modified: MODIFIED }
}

/// Expects this version, whose content is `old`.
fn present(version: &Version, old: &[u8]) -> Expected {
    Expected::Present { version: version.clone(), keep: Some(Box::new(Digest::of(old))) }
}

/// The version that a step left; the case fails when it was not done.
fn applied(outcome: &Outcome) -> Version {
    match outcome {
        Outcome::Applied { version, .. } => version.clone(),
        other => panic!("expected the step to be applied, got {other:?}"),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Content by path, some of which cannot be opened or is not what was promised.
#[derive(Default)]
struct MapContents {
    bytes: Mutex<HashMap<ItemPath, Bytes>>,
    failing: Mutex<HashSet<ItemPath>>,
    torn: Mutex<HashSet<ItemPath>>,
}

#[async_trait]
impl Contents for MapContents {
    async fn open(&self, step: &Step) -> Result<Content> {
        if lock(&self.failing).contains(&step.path) {
            return Err(Error::new(ErrorKind::Changed, format!("{} has changed", step.path)));
        }
        let bytes = lock(&self.bytes).get(&step.path).cloned();
        let bytes = bytes.ok_or_else(|| Error::new(ErrorKind::NotFound, "no such content"))?;
        if lock(&self.torn).contains(&step.path) {
            return Ok(Content::reader(Torn(std::io::Cursor::new(bytes.slice(..bytes.len() / 2)))));
        }
        Ok(Content::bytes(bytes))
    }
}

/// Content that breaks off.
struct Torn(std::io::Cursor<Bytes>);

impl std::io::Read for Torn {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        match self.0.read(buffer)? {
            0 => Err(std::io::Error::other(crate::content::ChangedWhileRead)),
            count => Ok(count),
        }
    }
}

/// A history in memory that holds every implementation to its contract.
#[derive(Debug, Default)]
pub struct MemoryHistory {
    kept: Mutex<HashMap<Digest, Bytes>>,
    synced: Mutex<HashSet<Digest>>,
}

impl MemoryHistory {
    /// The content of this digest, if it was kept and made durable.
    #[must_use]
    pub fn durable(&self, digest: &Digest) -> Option<Bytes> {
        let synced = lock(&self.synced).contains(digest);
        lock(&self.kept).get(digest).filter(|_| synced).cloned()
    }

    fn insert(&self, digest: &Digest, bytes: Vec<u8>) -> Result<()> {
        if Digest::of(&bytes) != *digest {
            return Err(Error::new(ErrorKind::Damaged, "the content to be kept does not have its digest"));
        }
        lock(&self.kept).insert(*digest, bytes.into());
        Ok(())
    }
}

#[async_trait]
impl History for MemoryHistory {
    async fn keep_file(&self, digest: &Digest, file: &std::fs::File) -> Result<()> {
        let mut bytes = Vec::new();
        let read = file.try_clone().and_then(|mut file| file.read_to_end(&mut bytes));
        read.map_err(|error| Error::io(error, "reading old content"))?;
        self.insert(digest, bytes)
    }

    async fn keep(&self, digest: &Digest, content: Content) -> Result<()> {
        let mut bytes = Vec::new();
        let read = content.into_reader().read_to_end(&mut bytes);
        read.map_err(|error| Error::io(error, "reading old content"))?;
        self.insert(digest, bytes)
    }

    async fn sync(&self) -> Result<()> {
        let kept: Vec<Digest> = lock(&self.kept).keys().copied().collect();
        lock(&self.synced).extend(kept);
        Ok(())
    }
}
