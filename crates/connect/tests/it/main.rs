//! One binary for all integration tests of the contracts: layers, listing, and the memory endpoint's outside.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod sanitize;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use syncline_connect::conformance::MemoryHistory;
use syncline_connect::layers::fault::{Call, Fault, FaultLayer, Hook};
use syncline_connect::layers::read_only::ReadOnlyLayer;
use syncline_connect::layers::retry::{Retries, RetryLayer};
use syncline_connect::layers::timeout::{TimeoutLayer, Timeouts};
use syncline_connect::{
    Batch, Content, Contents, Endpoint, Error, ErrorKind, MemoryEndpoint, Progress, Result, Retry,
    ScanRequest,
};
use syncline_core::{
    Action, Baseline, Digest, Entry, Expected, Filter, Item, ItemPath, Kind, MemoryBaseline, Outcome, Root,
    Seen, Side, Sides, Snapshot, Source, Step, Version,
};

const BYTES: &[u8] = b"new";

struct Constant;

#[async_trait]
impl Contents for Constant {
    async fn open(&self, _step: &Step) -> Result<Content> {
        Ok(Content::bytes(BYTES))
    }
}

fn at(path: &str) -> ItemPath {
    ItemPath::parse(path).unwrap()
}

fn put(path: &str) -> Step {
    let digest = Digest::of(BYTES);
    let item = Item { kind: Kind::FILE, digest: Some(digest), size: BYTES.len() as u64, modified: 1 };
    let action = Action::Write { item, source: Source::Object(digest) };
    Step { side: Side::Remote, path: at(path), expected: Expected::Absent, action }
}

fn batch(steps: Vec<Step>) -> Batch {
    Batch {
        run: "run".into(),
        steps: steps.into(),
        contents: Arc::new(Constant),
        history: Arc::new(MemoryHistory::default()),
        mark: None,
        progress: Arc::new(Progress::default()),
    }
}

fn request(baseline: MemoryBaseline) -> ScanRequest {
    ScanRequest {
        side: Side::Remote,
        baseline: Arc::new(baseline),
        filter: Arc::new(Filter::default()),
        mark: "mark".into(),
        sentinel: None,
        only: None,
        durable: false,
        again: false,
        directories: true,
        progress: Arc::new(Progress::default()),
    }
}

fn agreed(snapshot: &Snapshot) -> MemoryBaseline {
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

fn changes(snapshot: &Snapshot) -> Vec<(&str, &'static str)> {
    let word = |seen: &Seen| match seen {
        Seen::Present(_) => "present",
        Seen::Absent => "absent",
        Seen::Ignored => "ignored",
        Seen::Unreadable(_) => "unreadable",
    };
    snapshot.changes.iter().map(|change| (change.path.as_str(), word(&change.now))).collect()
}

/// A hook that fails the first calls with the given errors.
fn failing(errors: Vec<Error>) -> (Hook, Arc<AtomicUsize>) {
    let (errors, calls) = (Mutex::new(errors.into_iter()), Arc::new(AtomicUsize::new(0)));
    let counted = Arc::clone(&calls);
    let hook: Hook = Arc::new(move |_: &Call<'_>| {
        counted.fetch_add(1, Ordering::Relaxed);
        errors.lock().unwrap().next().map_or(Fault::None, Fault::Error)
    });
    (hook, calls)
}

fn unreachable() -> Error {
    Error::new(ErrorKind::Unreachable, "no route")
}

#[tokio::test(start_paused = true)]
async fn what_may_help_is_tried_five_times_and_nothing_else() {
    for (errors, succeeds, calls_expected) in [
        (vec![unreachable(), unreachable(), unreachable(), unreachable()], true, 5),
        (vec![unreachable(), unreachable(), unreachable(), unreachable(), unreachable()], false, 5),
        (vec![Error::new(ErrorKind::Denied, "no")], false, 1),
        (vec![unreachable().with_retry(Retry::Soon(Some(Duration::from_secs(36_000))))], false, 1),
    ] {
        let (hook, calls) = failing(errors);
        let inner = Arc::new(FaultLayer::new(Arc::new(MemoryEndpoint::default()), hook));
        let layer = RetryLayer::new(inner, Retries::default());
        assert_eq!(layer.check().await.is_ok(), succeeds);
        assert_eq!(calls.load(Ordering::Relaxed), calls_expected);
    }
}

#[tokio::test(start_paused = true)]
async fn an_asked_for_delay_is_a_floor() {
    let (hook, _) = failing(vec![unreachable().with_retry(Retry::Soon(Some(Duration::from_secs(60))))]);
    let inner = Arc::new(FaultLayer::new(Arc::new(MemoryEndpoint::default()), hook));
    let began = tokio::time::Instant::now();
    RetryLayer::new(inner, Retries::default()).check().await.unwrap();
    assert!(began.elapsed() >= Duration::from_secs(60));
}

#[test]
fn delays_double_and_are_jittered() {
    use backon::BackoffBuilder as _;
    let delays: Vec<f64> =
        Retries { seed: Some(7), ..Retries::default() }.build().map(|d| d.as_secs_f64()).collect();
    assert_eq!(delays.len(), 4);
    for (number, delay) in delays.iter().enumerate() {
        let base = f64::from(1 << number);
        assert!((base..=base + 1.0).contains(delay), "{delays:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_never_returns_times_out() {
    let hook: Hook = Arc::new(|_: &Call<'_>| Fault::Crash);
    let inner = Arc::new(FaultLayer::new(Arc::new(MemoryEndpoint::default()), hook));
    let layer = TimeoutLayer::new(inner, Timeouts::default());
    assert_eq!(layer.check().await.unwrap_err().kind(), ErrorKind::TimedOut);
    assert_eq!(layer.scan(request(MemoryBaseline::default())).await.unwrap_err().kind(), ErrorKind::TimedOut);
}

#[tokio::test]
async fn a_read_only_endpoint_is_never_written() {
    let memory = MemoryEndpoint::default();
    let layer = ReadOnlyLayer::new(Arc::new(memory.clone()));
    assert!(!layer.capabilities().writable);
    assert_eq!(layer.apply(batch(vec![put("a")])).await.unwrap_err().kind(), ErrorKind::Unsupported);
    assert_eq!((memory.mutations(), memory.tree().len()), (0, 0));
}

#[tokio::test]
async fn a_cut_listing_proves_no_absence() {
    let memory = MemoryEndpoint::default();
    for path in ["a", "b", "c"] {
        memory.put(path, BYTES, 1);
    }
    let baseline = agreed(&memory.scan(request(MemoryBaseline::default())).await.unwrap());
    memory.remove("b");
    let hook: Hook = Arc::new(|_: &Call<'_>| Fault::Incomplete);
    let snapshot =
        FaultLayer::new(Arc::new(memory.clone()), hook).scan(request(baseline.clone())).await.unwrap();
    assert!(!snapshot.complete && snapshot.changes.is_empty());
    memory.set_complete(false);
    let snapshot = memory.scan(request(baseline)).await.unwrap();
    assert!(!snapshot.complete && snapshot.changes.is_empty());
}

#[tokio::test]
async fn a_crash_leaves_a_batch_half_done() {
    for survivors in 0..=3 {
        let memory = MemoryEndpoint::default();
        let steps: Vec<Step> = ["a", "b", "c"].map(put).to_vec();
        memory.set_hook(Arc::new(move |call: &Call<'_>| match call {
            Call::Mutate(at, _) if *at == survivors => Fault::Crash,
            _ => Fault::None,
        }));
        let applied = tokio::time::timeout(Duration::from_millis(20), memory.apply(batch(steps))).await;
        assert_eq!(applied.is_ok(), survivors == 3);
        assert_eq!(memory.tree().len(), survivors);
        assert_eq!(memory.mutations(), survivors as u64);
    }
}

#[tokio::test]
async fn an_edit_just_before_a_step_is_not_overwritten() {
    let memory = MemoryEndpoint::default();
    let user = memory.clone();
    memory.set_hook(Arc::new(move |call: &Call<'_>| {
        if let Call::Mutate(1, _) = call {
            user.put("b", "user", 2);
        }
        Fault::None
    }));
    let outcomes = memory.apply(batch(["a", "b", "c"].map(put).to_vec())).await.unwrap();
    let refused: Vec<bool> =
        outcomes.iter().map(|outcome| matches!(outcome, Outcome::Refused { .. })).collect();
    assert_eq!(refused, [false, true, false]);
    assert_eq!(memory.get("b").as_deref(), Some(&b"user"[..]));
}

#[tokio::test]
async fn a_failed_step_leaves_the_others_alone() {
    let memory = MemoryEndpoint::default();
    let hook: Hook = Arc::new(|call: &Call<'_>| match call {
        Call::Open(step) if step.path.as_str() == "b" => Fault::Error(unreachable()),
        _ => Fault::None,
    });
    let layer = FaultLayer::new(Arc::new(memory.clone()), hook);
    let outcomes = layer.apply(batch(["a", "b", "c"].map(put).to_vec())).await.unwrap();
    assert!(
        matches!(&outcomes[1], Outcome::Failed(problem) if problem.code == "unreachable"),
        "{outcomes:?}"
    );
    assert_eq!(memory.tree().into_keys().collect::<Vec<_>>(), ["a", "c"]);
}

#[tokio::test]
async fn the_outside_of_a_memory_endpoint_is_seen() {
    let memory = MemoryEndpoint::default();
    memory.put("dir/a", "one", 1);
    memory.put("dir/b", "two", 1);
    memory.put_symlink("link", "dir/a", 1);
    memory.put_dir("empty");
    let baseline = agreed(&memory.scan(request(MemoryBaseline::default())).await.unwrap());
    assert_eq!(baseline.count(), 5);
    memory.rename("dir", "moved");
    memory.put("moved/b", "edited", 2);
    let snapshot = memory.scan(request(baseline.clone())).await.unwrap();
    assert_eq!(
        changes(&snapshot),
        [
            ("dir", "absent"),
            ("dir/a", "absent"),
            ("dir/b", "absent"),
            ("moved", "present"),
            ("moved/a", "present"),
            ("moved/b", "present"),
        ]
    );
    let from = |at: usize| snapshot.changes[at].now.found().unwrap().moved_from.clone();
    assert_eq!((from(4), from(5)), (Some(at("dir/a")), None));
    memory.set_root(Root::Missing);
    let snapshot = memory.scan(request(baseline)).await.unwrap();
    assert_eq!((snapshot.root, snapshot.changes.len()), (Root::Missing, 0));
}

#[tokio::test]
async fn a_listing_honours_the_filter_and_what_covers() {
    let memory = MemoryEndpoint::default();
    for path in ["build/x/y", "src/a.rs", "src/a.o", "docs/note", "shut/a", ".git/config"] {
        memory.put(path, "x", 1);
    }
    let baseline = agreed(&memory.scan(request(MemoryBaseline::default())).await.unwrap());
    assert_eq!(baseline.count(), 10, "what is protected is no item");
    let with = |include: &[&str], exclude: &[&str]| {
        let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        let filter = Arc::new(Filter::new(&owned(include), &owned(exclude), None, Vec::new()).unwrap());
        ScanRequest { filter, ..request(baseline.clone()) }
    };
    let snapshot = memory.scan(with(&[], &["build", "*.o"])).await.unwrap();
    assert_eq!(changes(&snapshot), [(".git", "ignored"), ("build", "ignored"), ("src/a.o", "ignored")]);
    memory.set_unreadable("shut", true);
    memory.remove("docs");
    let snapshot = memory.scan(with(&["src/*.rs"], &[])).await.unwrap();
    assert!(snapshot.complete);
    assert!(!changes(&snapshot).iter().any(|(path, _)| *path == "src" || *path == "docs"), "{snapshot:?}");
    let snapshot = memory.scan(with(&[], &[])).await.unwrap();
    let expected = [(".git", "ignored"), ("docs", "absent"), ("docs/note", "absent"), ("shut", "unreadable")];
    assert_eq!(changes(&snapshot), expected);
}

#[test]
fn an_error_of_reading_is_told_apart_from_one_of_writing() {
    /// A source that breaks off.
    struct Broken;
    impl std::io::Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            Err(std::io::Error::other("the disk is broken"))
        }
    }
    let mut reader = Content::reader(Broken).on(Side::Local).into_reader();
    let failed = std::io::copy(&mut reader, &mut std::io::sink()).unwrap_err();
    let problem = Error::io(failed, "writing a.md").on(Side::Remote).to_problem("a.md");
    assert_eq!(problem.side, Some(Side::Local));
    assert_eq!(problem.message, "writing a.md: reading it on the local side: the disk is broken");
}
