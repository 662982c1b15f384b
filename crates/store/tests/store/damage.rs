//! What the disk does to files, and that nobody believes it.

use std::fs;
use std::path::{Path, PathBuf};

use syncline_core::Digest;
use syncline_store::{ErrorKind, Store};

use crate::helpers::{acquire, assert_same, conflict, contents, created, finish, run, start};

fn file_of(folder: &Path, digest: &Digest) -> PathBuf {
    let hex = digest.to_string();
    folder.join("objects").join(&hex[..2]).join(&hex[2..])
}

/// Every way to damage a file that tests try: a flip of each byte, each length, a zero tail from each byte.
fn damages(sound: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    let flips = (0..sound.len()).map(|at| {
        let mut damaged = sound.to_vec();
        damaged[at] ^= 1 << (at % 8);
        damaged
    });
    let cuts = (0..sound.len()).map(|at| sound[..at].to_vec());
    let tails = (0..sound.len()).filter(|at| sound[*at..].iter().any(|byte| *byte != 0)).map(|at| {
        let mut damaged = sound.to_vec();
        damaged[at..].fill(0);
        damaged
    });
    flips.chain(cuts).chain(tails)
}

#[tokio::test]
async fn a_damaged_base_is_never_believed() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("state");
    let store = Store::open(&folder).await.unwrap();
    let lease = acquire(&store, "t").await;
    let many: Vec<_> = (0..4200).map(|n| created(&format!("{}/{n}", n % 3), n)).collect();
    run(&store, &lease, "a", &many).await;
    // The base is made anew with few entries: all but four are removed again.
    let removed: Vec<_> = many[4..]
        .iter()
        .map(|delta| syncline_store::Delta { before: delta.after.clone(), after: None, ..delta.clone() })
        .collect();
    run(&store, &lease, "b", &removed).await;
    let state = store.target("t").await.unwrap();
    let baseline = store.baseline(&state).await.unwrap();
    let expected = contents(&*baseline);
    assert_eq!(expected.len(), 4);
    let known =
        [store.run("a").await.unwrap().unwrap().deltas, store.run("b").await.unwrap().unwrap().deltas]
            .concat();
    let mut base = Vec::new();
    store
        .objects()
        .list(&mut |digest, _| {
            if !known.contains(&digest) {
                base.push(digest);
            }
        })
        .unwrap();
    let [base] = base[..] else { panic!("{base:?}") };
    let file = file_of(&folder, &base);
    let sound = fs::read(&file).unwrap();
    assert!(sound.len() < 1500, "{}", sound.len());

    let fresh = Store::open(&folder).await.unwrap();
    for damaged in damages(&sound) {
        fs::write(&file, &damaged).unwrap();
        assert_eq!(fresh.baseline(&state).await.err().unwrap().kind(), ErrorKind::Damaged);
        // A baseline that was open already says what it said, or that it is damaged.
        let mut said = Vec::new();
        baseline.directories(&mut |directory| said.push(directory.to_owned()));
        assert_eq!(said, ["0", "1", "2"]);
        for directory in said {
            let mut names = 0;
            if baseline.visit(&directory, &mut |_| names += 1).is_ok() {
                assert_eq!(names, expected.keys().filter(|path| path.parent() == directory).count());
            }
        }
    }
    fs::remove_file(&file).unwrap();
    assert_eq!(fresh.baseline(&state).await.err().unwrap().kind(), ErrorKind::Damaged);
    assert!(!fresh.check().await.unwrap().is_empty());
    fs::write(&file, &sound).unwrap();
    assert_eq!(contents(&*fresh.baseline(&state).await.unwrap()), expected);
}

#[tokio::test]
async fn a_damaged_layer_is_never_believed() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("state");
    let store = Store::open(&folder).await.unwrap();
    let lease = acquire(&store, "t").await;
    let mut changed = created("a/b", 1);
    changed.lost.push(syncline_store::Lost {
        side: syncline_core::Side::Remote,
        kind: syncline_core::Kind::FILE,
        digest: Digest::of(b"lost"),
        size: 4,
    });
    run(&store, &lease, "r", &[changed.clone(), created("a/c", 2), created("z", 3)]).await;
    let file = file_of(&folder, &store.run("r").await.unwrap().unwrap().deltas[0]);
    let sound = fs::read(&file).unwrap();
    let state = store.target("t").await.unwrap();
    let fresh = Store::open(&folder).await.unwrap();
    for damaged in damages(&sound) {
        fs::write(&file, &damaged).unwrap();
        assert_eq!(fresh.baseline(&state).await.err().unwrap().kind(), ErrorKind::Damaged);
        assert_eq!(fresh.deltas("r").await.unwrap_err().kind(), ErrorKind::Damaged);
    }
    fs::write(&file, &sound).unwrap();
    assert_eq!(fresh.deltas("r").await.unwrap()[0], changed);
    assert_eq!(contents(&*fresh.baseline(&state).await.unwrap()).len(), 3);
}

/// Everything that a store says, as text; the first error instead when there is one.
async fn all_of(folder: &Path) -> Result<String, ErrorKind> {
    let said = async {
        let store = Store::open(folder).await?;
        let state = store.target("t").await?;
        let baseline = store.baseline(&state).await?;
        let runs = store.runs(&syncline_store::RunQuery::default()).await?;
        let conflicts = store.conflicts(&syncline_store::ConflictQuery::default()).await?;
        let deltas = store.deltas("a").await?;
        let one = store.run("b").await?;
        let other = store.conflict("c").await?;
        let approved = store.take_approval("t", "nothing").await?;
        let text = format!(
            "{state:?} {:?} {runs:?} {conflicts:?} {deltas:?} {one:?} {other:?} {approved}",
            contents(&*baseline)
        );
        store.close().await?;
        Ok::<_, syncline_store::Error>(text)
    };
    said.await.map_err(|error| error.kind())
}

async fn sound_state(folder: &Path) -> Vec<u8> {
    let store = Store::open(folder).await.unwrap();
    let lease = acquire(&store, "t").await;
    run(&store, &lease, "a", &[created("x", 1), created("y/z", 2)]).await;
    store.begin_run(&lease, &start("b", "t")).await.unwrap();
    store.append(&lease, "b", &[created("w", 3)]).await.unwrap();
    store.put_conflicts(&lease, &[conflict("c", "t")]).await.unwrap();
    store.approve("t", "plan", 5).await.unwrap();
    store.close().await.unwrap();
    fs::read(folder.join("state.db")).unwrap()
}

/// Damages the database in every `step`-th byte; returns how often it went unnoticed because it did no harm.
async fn flip_state(step: usize) -> (usize, usize) {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("state");
    let sound = sound_state(&folder).await;
    let expected = all_of(&folder).await.unwrap();
    let file = folder.join("state.db");
    let (mut noticed, mut harmless, mut wrong) = (0, 0, Vec::new());
    for at in (0..sound.len()).step_by(step) {
        let mut damaged = sound.clone();
        damaged[at] ^= 1 << (at / step % 8);
        fs::write(&file, &damaged).unwrap();
        match all_of(&folder).await {
            Ok(said) if said == expected => harmless += 1,
            Ok(said) => wrong.push(format!("byte {at}: {said}")),
            Err(ErrorKind::Damaged | ErrorKind::NewerVersion) => noticed += 1,
            Err(kind) => wrong.push(format!("byte {at}: {kind:?}")),
        }
        for suffix in ["-wal", "-shm", "-journal"] {
            let _ = fs::remove_file(folder.join(format!("state.db{suffix}")));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    (noticed, harmless)
}

#[tokio::test]
async fn a_damaged_database_is_noticed_or_unharmed() {
    let (noticed, harmless) = flip_state(401).await;
    assert!(noticed > 0 && harmless > 0);
}

#[tokio::test]
#[ignore = "takes minutes: every byte"]
async fn a_database_damaged_anywhere_is_noticed_or_unharmed() {
    let (noticed, harmless) = flip_state(1).await;
    println!("{noticed} noticed, {harmless} harmless");
}

#[tokio::test]
async fn a_truncated_database_is_noticed() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("state");
    let sound = sound_state(&folder).await;
    let expected = all_of(&folder).await.unwrap();
    for at in (1..sound.len()).step_by(1777) {
        let mut zeroed = sound.clone();
        zeroed[at..].fill(0);
        for damaged in [&sound[..at], &zeroed] {
            fs::write(folder.join("state.db"), damaged).unwrap();
            match all_of(&folder).await {
                Ok(said) => assert_eq!(said, expected, "byte {at}"),
                Err(kind) => assert!(matches!(kind, ErrorKind::Damaged), "byte {at}: {kind:?}"),
            }
            for suffix in ["-wal", "-shm", "-journal"] {
                let _ = fs::remove_file(folder.join(format!("state.db{suffix}")));
            }
        }
    }
}

#[tokio::test]
async fn a_run_cut_short_is_recovered_by_the_next_process() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("state");
    let mut model = syncline_core::MemoryBaseline::default();
    {
        let store = Store::open(&folder).await.unwrap();
        let lease = acquire(&store, "t").await;
        store.begin_run(&lease, &start("a", "t")).await.unwrap();
        store.append(&lease, "a", &[created("x", 1)]).await.unwrap();
        store.append(&lease, "a", &[created("x", 2), created("y", 3)]).await.unwrap();
        // Neither finished nor released: the process is gone.
    }
    for delta in [created("x", 2), created("y", 3)] {
        model.set(&delta.path, delta.after);
    }
    let store = Store::open(&folder).await.unwrap();
    assert!(store.acquire("t", "next", 0, 1, false).await.is_err());
    let lease = store.acquire("t", "next", i64::MAX, 1, false).await.unwrap();
    assert_eq!(store.recover(&lease, 77).await.unwrap(), ["a"]);
    let state = store.target("t").await.unwrap();
    assert_same(&*store.baseline(&state).await.unwrap(), &model);
    let record = store.run("a").await.unwrap().unwrap();
    assert_eq!(record.finish.as_ref().unwrap().finished, 77);
    assert_ne!(record.finish, Some(finish()));
}
