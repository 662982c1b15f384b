//! Values to store.

use std::collections::BTreeMap;

use syncline_core::{
    Baseline, Digest, Direction, Entry, Item, ItemPath, Kind, Mark, MemoryBaseline, Sides, Version, baseline,
};
use syncline_store::{ConflictRecord, Delta, Lease, Opening, RunFinish, RunStart, RunState, Store};

pub(crate) const HOUR_NS: i64 = 3_600_000_000_000;

pub(crate) fn path(text: &str) -> ItemPath {
    ItemPath::parse(text).unwrap()
}

pub(crate) fn entry(seed: u64) -> Entry {
    let digest = Digest::of(&seed.to_le_bytes());
    let version = |salt: u8| Version::new(&[&[salt; 24][..], &seed.to_le_bytes()].concat());
    Entry {
        kind: Kind::File { executable: seed.is_multiple_of(7) },
        digest,
        size: seed * 31,
        versions: Sides { local: version(1), remote: version(2) },
    }
}

pub(crate) fn directory() -> Entry {
    let versions = Sides { local: Version::none(), remote: Version::none() };
    Entry { kind: Kind::Directory, digest: Digest([0; 32]), size: 0, versions }
}

pub(crate) fn created(text: &str, seed: u64) -> Delta {
    Delta { path: path(text), before: None, after: Some(entry(seed)), lost: Vec::new() }
}

pub(crate) fn start(id: &str, target: &str) -> RunStart {
    RunStart {
        id: id.to_owned(),
        target: target.to_owned(),
        direction: Direction::Bidirectional,
        started: 1_000,
        cause: "test".to_owned(),
        plan_hash: "hash".to_owned(),
        steps: 3,
    }
}

pub(crate) fn opening(identity: &str) -> Opening {
    let (identity, pending) = (identity.to_owned(), Mark("p".into()));
    Opening { forget: false, identity, known: Sides::default(), pending }
}

pub(crate) fn finish() -> RunFinish {
    RunFinish {
        finished: 2_000,
        state: RunState::Succeeded,
        message: String::new(),
        steps: 3,
        bytes: 10,
        conflicts: 0,
        report: "{\"version\":1}".to_owned(),
    }
}

pub(crate) async fn acquire(store: &Store, target: &str) -> Lease {
    store.acquire(target, "me", 0, HOUR_NS, false).await.unwrap()
}

/// Begins, appends and finishes a run.
pub(crate) async fn run(store: &Store, lease: &Lease, id: &str, deltas: &[Delta]) {
    store.begin_run(lease, &start(id, &lease.target)).await.unwrap();
    store.append(lease, id, deltas).await.unwrap();
    store.finish_run(lease, id, &finish(), None).await.unwrap();
}

/// Everything in a baseline, and that its parts agree with each other.
pub(crate) fn contents(baseline: &dyn Baseline) -> BTreeMap<ItemPath, Entry> {
    let mut all = BTreeMap::new();
    baseline::visit_all(baseline, &mut |path, entry| {
        assert!(all.insert(path, entry).is_none());
    })
    .unwrap();
    assert_eq!(all.len() as u64, baseline.count());
    all
}

/// Asserts that two baselines say the same in every way that there is to ask.
pub(crate) fn assert_same(found: &dyn Baseline, model: &MemoryBaseline) {
    let all = contents(model);
    assert_eq!(contents(found), all);
    let directories = |baseline: &dyn Baseline| {
        let mut directories = Vec::new();
        baseline.directories(&mut |directory| directories.push(directory.to_owned()));
        directories
    };
    assert_eq!(directories(found), directories(model));
    for (path, entry) in all.iter().step_by(1 + all.len() / 100) {
        assert_eq!(found.get(path).unwrap().as_ref(), Some(entry));
    }
    assert_eq!(found.get(&path("nowhere/at/all")).unwrap(), None);
}

pub(crate) fn conflict(id: &str, target: &str) -> ConflictRecord {
    let item = |seed: u64| Item {
        kind: Kind::FILE,
        digest: Some(Digest::of(&seed.to_le_bytes())),
        size: seed,
        modified: -5,
    };
    ConflictRecord {
        id: id.to_owned(),
        target: target.to_owned(),
        run: "r".to_owned(),
        path: path("a/b.txt"),
        kind: "edit-edit".to_owned(),
        policy: "keep-both".to_owned(),
        base: Some(item(1)),
        versions: Sides { local: item(2), remote: Item::directory() },
        winner: Some(syncline_core::Side::Remote),
        merged: id.ends_with('2').then(|| item(3)),
        copy: Some(path("a/b.conflict.txt")),
        action: "kept both".to_owned(),
        clamped: true,
        opened: 10,
        resolved: None,
        resolution: None,
        pending: None,
    }
}
