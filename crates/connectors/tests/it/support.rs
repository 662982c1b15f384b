//! What the tests share: a folder under test, its outside, and short ways to make steps.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use syncline_connect::conformance::MemoryHistory;
use syncline_connect::{
    Batch, Content, Contents, Endpoint as _, Error, ErrorKind, Progress, Result, ScanRequest,
};
use syncline_connectors::endpoints::folder::FolderEndpoint;
use syncline_core::{
    Action, Baseline, Digest, Entry, Expected, Filter, Found, Item, ItemPath, Kind, MemoryBaseline, Outcome,
    Seen, Side, Sides, Snapshot, Source, Step, Version,
};

/// Long ago, so that no version is in doubt.
pub(crate) const OLD: i64 = 1_600_000_000_123_000_000;

/// A folder endpoint in a temporary folder.
pub(crate) struct Folder {
    pub(crate) endpoint: FolderEndpoint,
    pub(crate) history: Arc<MemoryHistory>,
    root: PathBuf,
    _guard: Option<tempfile::TempDir>,
}

/// Gives each step the content `new:<path>`, after doing what the test wants done at that moment.
pub(crate) struct NewContents(pub(crate) Box<dyn Fn(&Step) + Send + Sync>);

#[async_trait]
impl Contents for NewContents {
    async fn open(&self, step: &Step) -> Result<Content> {
        (self.0)(step);
        match step.item().digest {
            Some(digest) if digest == Digest::of(&new(step.path.as_str())) => {
                Ok(Content::bytes(new(step.path.as_str())))
            }
            _ => Err(Error::new(ErrorKind::NotFound, "no such content")),
        }
    }
}

impl Folder {
    pub(crate) fn new() -> Self {
        let guard = tempfile::tempdir().unwrap();
        let root = guard.path().join("root");
        std::fs::create_dir(&root).unwrap();
        Self { _guard: Some(guard), ..Self::at(&root) }
    }

    pub(crate) fn at(root: &Path) -> Self {
        let endpoint = FolderEndpoint::open(root, false);
        Self { endpoint, history: Arc::default(), root: root.to_owned(), _guard: None }
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }

    /// Writes a file from outside, with a modification time of long ago.
    pub(crate) fn put(&self, path: &str, bytes: &[u8]) {
        let path = self.path(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, bytes).unwrap();
        let moment = std::time::UNIX_EPOCH + std::time::Duration::from_nanos(OLD.unsigned_abs());
        std::fs::File::options().write(true).open(&path).unwrap().set_modified(moment).unwrap();
    }

    pub(crate) fn get(&self, path: &str) -> Option<Vec<u8>> {
        std::fs::read(self.path(path)).ok()
    }

    pub(crate) async fn scan(&self) -> Snapshot {
        self.scan_against(MemoryBaseline::default()).await
    }

    pub(crate) async fn scan_against(&self, baseline: impl Baseline + 'static) -> Snapshot {
        self.endpoint.scan(request(baseline)).await.unwrap()
    }

    pub(crate) async fn found(&self, path: &str) -> Found {
        let snapshot = self.scan().await;
        seen(&snapshot, path).and_then(Seen::found).unwrap_or_else(|| panic!("{path} is not there")).clone()
    }

    pub(crate) async fn version(&self, path: &str) -> Version {
        self.found(path).await.version
    }

    pub(crate) async fn apply(&self, steps: Vec<Step>) -> Vec<Outcome> {
        self.apply_while(steps, |_| {}).await
    }

    /// Applies steps; `meanwhile` is called whenever the content of one is opened.
    pub(crate) async fn apply_while(
        &self,
        steps: Vec<Step>,
        meanwhile: impl Fn(&Step) + Send + Sync + 'static,
    ) -> Vec<Outcome> {
        self.endpoint.apply(self.batch(steps, meanwhile)).await.unwrap()
    }

    pub(crate) fn batch(&self, steps: Vec<Step>, meanwhile: impl Fn(&Step) + Send + Sync + 'static) -> Batch {
        Batch {
            run: "run-1".into(),
            steps: steps.into(),
            contents: Arc::new(NewContents(Box::new(meanwhile))),
            history: Arc::clone(&self.history) as _,
            mark: None,
            progress: Arc::new(Progress::default()),
        }
    }

    /// All names below the root, sorted, directories with a slash.
    pub(crate) fn names(&self) -> Vec<String> {
        let (mut names, mut waiting) = (Vec::new(), vec![self.root.clone()]);
        while let Some(directory) = waiting.pop() {
            for entry in std::fs::read_dir(directory).unwrap() {
                let entry = entry.unwrap();
                let is_directory = entry.file_type().unwrap().is_dir();
                let name = entry.path().strip_prefix(&self.root).unwrap().to_str().unwrap().to_owned();
                names.push(if is_directory { format!("{name}/") } else { name });
                if is_directory {
                    waiting.push(entry.path());
                }
            }
        }
        names.sort();
        names
    }
}

/// The content that [`NewContents`] gives.
pub(crate) fn new(path: &str) -> Vec<u8> {
    format!("new:{path}").into_bytes()
}

pub(crate) fn at(path: &str) -> ItemPath {
    ItemPath::parse(path).unwrap()
}

pub(crate) fn request(baseline: impl Baseline + 'static) -> ScanRequest {
    ScanRequest {
        side: Side::Remote,
        baseline: Arc::new(baseline),
        filter: Arc::new(Filter::default()),
        mark: "test".into(),
        sentinel: None,
        only: None,
        durable: false,
        again: false,
        directories: true,
        progress: Arc::new(Progress::default()),
    }
}

pub(crate) fn seen<'a>(snapshot: &'a Snapshot, path: &str) -> Option<&'a Seen> {
    snapshot.changes.iter().find(|change| change.path.as_str() == path).map(|change| &change.now)
}

/// The paths of all changes that are not ignored.
pub(crate) fn paths(snapshot: &Snapshot) -> Vec<&str> {
    let changes = snapshot.changes.iter().filter(|change| change.now != Seen::Ignored);
    changes.map(|change| change.path.as_str()).collect()
}

/// The baseline on which both sides agree when this side holds what a snapshot against nothing saw.
pub(crate) fn agreed(snapshot: &Snapshot) -> MemoryBaseline {
    let mut baseline = MemoryBaseline::default();
    for change in &snapshot.changes {
        if let Seen::Present(found) = &change.now {
            let versions = Sides { local: Version::none(), remote: found.version.clone() };
            let digest = found.item.digest.unwrap_or(Digest([7; 32]));
            let entry = Entry { kind: found.item.kind, digest, size: found.item.size, versions };
            baseline.set(&change.path, Some(entry));
        }
    }
    baseline
}

/// A step that puts `new:<path>`.
pub(crate) fn put(path: &str, expected: Expected) -> Step {
    let bytes = new(path);
    let digest = Digest::of(&bytes);
    let item = Item { kind: Kind::FILE, digest: Some(digest), size: bytes.len() as u64, modified: OLD };
    let action = Action::Write { item, source: Source::Object(digest) };
    Step { side: Side::Remote, path: at(path), expected, action }
}

pub(crate) fn remove(path: &str, version: &Version, old: &[u8]) -> Step {
    let item =
        Item { kind: Kind::FILE, digest: Some(Digest::of(old)), size: old.len() as u64, modified: OLD };
    Step {
        side: Side::Remote,
        path: at(path),
        expected: present(version, old),
        action: Action::Remove { item },
    }
}

pub(crate) fn present(version: &Version, old: &[u8]) -> Expected {
    Expected::Present { version: version.clone(), keep: Some(Box::new(Digest::of(old))) }
}
