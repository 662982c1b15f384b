//! Times scans and a first copy of the folder endpoint: `folder_bench SOURCE DESTINATION`.
//!
//! DESTINATION must not exist. Make SOURCE with `bench/gen.py small`. Prints seconds.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use syncline_connect::conformance::MemoryHistory;
use syncline_connect::{Batch, Content, Contents, Endpoint, Error, ErrorKind, Progress, Result, ScanRequest};
use syncline_connectors::endpoints::folder::FolderEndpoint;
use syncline_core::{
    Action, Baseline, Digest, Entry, Expected, Filter, MemoryBaseline, Outcome, Seen, Side, Sides, Snapshot,
    Source, Step, Version,
};

struct Opposite(Arc<FolderEndpoint>);

#[async_trait]
impl Contents for Opposite {
    async fn open(&self, step: &Step) -> Result<Content> {
        match &step.action {
            Action::Write { source: Source::Opposite { path, version }, .. } => {
                self.0.read(path, version).await
            }
            _ => Err(Error::new(ErrorKind::Invalid, "no such source")),
        }
    }
}

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [source, destination] = arguments.as_slice() else {
        panic!("usage: folder_bench SOURCE DESTINATION")
    };
    let from = Arc::new(FolderEndpoint::open(Path::new(source), false));
    let to = FolderEndpoint::open(Path::new(destination), false);

    let first = timed("first scan", scan(&from, Arc::new(MemoryBaseline::default()))).await;
    let baseline = Arc::new(agreed(&first));
    for _ in 0..7 {
        let snapshot = timed("no-op scan", scan(&from, Arc::clone(&baseline) as Arc<dyn Baseline>)).await;
        assert!(snapshot.changes.iter().all(|change| change.now == Seen::Ignored), "nothing changed");
        assert_eq!(snapshot.count, baseline.count());
    }
    let steps: Vec<Step> =
        first.changes.iter().filter_map(|change| step(&change.path, &change.now)).collect();
    let began = Instant::now();
    for (number, part) in steps.chunks(to.capabilities().batch_max).enumerate() {
        let batch = Batch {
            run: format!("bench-{number}"),
            steps: part.into(),
            contents: Arc::new(Opposite(Arc::clone(&from))),
            history: Arc::new(MemoryHistory::default()),
            mark: None,
            progress: Arc::new(Progress::default()),
        };
        let outcomes = timed("batch", async { to.apply(batch).await.expect("the batch succeeds") }).await;
        let applied = |outcome: &Outcome| matches!(outcome, Outcome::Applied { .. });
        assert!(outcomes.iter().all(applied), "{:?}", outcomes.iter().find(|outcome| !applied(outcome)));
    }
    report("first copy", began);
    report_memory();
}

async fn scan(endpoint: &FolderEndpoint, baseline: Arc<dyn Baseline>) -> Snapshot {
    let request = ScanRequest {
        side: Side::Local,
        baseline,
        filter: Arc::new(Filter::default()),
        mark: "bench".into(),
        sentinel: None,
        only: None,
        durable: false,
        again: false,
        directories: true,
        progress: Arc::new(Progress::default()),
    };
    endpoint.scan(request).await.expect("the scan succeeds")
}

fn agreed(snapshot: &Snapshot) -> MemoryBaseline {
    let mut baseline = MemoryBaseline::default();
    for change in &snapshot.changes {
        if let Seen::Present(found) = &change.now {
            let versions = Sides { local: found.version.clone(), remote: Version::none() };
            let digest = Digest([0; 32]);
            let entry = Entry { kind: found.item.kind, digest, size: found.item.size, versions };
            baseline.set(&change.path, Some(entry));
        }
    }
    baseline
}

fn step(path: &syncline_core::ItemPath, seen: &Seen) -> Option<Step> {
    let found = seen.found()?;
    let source = if found.item.kind.is_directory() {
        Source::Nothing
    } else {
        Source::Opposite { path: path.clone(), version: found.version.clone() }
    };
    let action = Action::Write { item: found.item.clone(), source };
    Some(Step { side: Side::Remote, path: path.clone(), expected: Expected::Absent, action })
}

async fn timed<T>(what: &str, work: impl Future<Output = T>) -> T {
    let began = Instant::now();
    let done = work.await;
    report(what, began);
    done
}

#[expect(clippy::print_stdout, reason = "this is a program for people")]
fn report(what: &str, began: Instant) {
    println!("{what:12} {:.3}", began.elapsed().as_secs_f64());
}

#[expect(clippy::print_stdout, reason = "this is a program for people")]
fn report_memory() {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    for line in status.lines().filter(|line| line.starts_with("VmHWM")) {
        println!("{line}");
    }
}
