//! Pruning: what is referred to stays.

use syncline_core::{Digest, Kind, Side};
use syncline_store::{Delta, Lost, RunQuery, Store};

use crate::helpers::{acquire, conflict, contents, created, entry, finish, path, run, start};

/// Prunes twice, because in memory an object has to have been there the first time.
async fn prune(store: &Store, keep_since: i64) -> (u64, u64) {
    let first = store.prune(keep_since).await.unwrap();
    let second = store.prune(keep_since).await.unwrap();
    (first.runs + second.runs, first.objects + second.objects)
}

#[tokio::test]
async fn what_is_referred_to_stays() {
    let store = Store::in_memory().await.unwrap();
    let objects = store.objects();
    let [old, lost, agreed, stray, of_conflict, of_journal] =
        [b"old".as_slice(), b"lost", b"agreed", b"stray", b"conflict", b"journal"]
            .map(|c| objects.put(c).unwrap());
    let lease = acquire(&store, "t").await;
    let with = |digest: Digest| syncline_core::Entry { digest, ..entry(1) };
    let first = Delta { path: path("x"), before: None, after: Some(with(old)), lost: Vec::new() };
    run(&store, &lease, "a", std::slice::from_ref(&first)).await;
    let second = Delta {
        before: first.after.clone(),
        after: Some(with(agreed)),
        lost: vec![Lost { side: Side::Local, kind: Kind::FILE, digest: lost, size: 4 }],
        ..first
    };
    store.begin_run(&lease, &start("b", "t")).await.unwrap();
    store.append(&lease, "b", &[second]).await.unwrap();
    let late = syncline_store::RunFinish { finished: 5_000, ..finish() };
    store.finish_run(&lease, "b", &late, None).await.unwrap();
    let mut record = conflict("c", "t");
    record.versions.local.digest = Some(of_conflict);
    store.put_conflicts(&lease, &[record]).await.unwrap();
    store.begin_run(&lease, &start("open", "t")).await.unwrap();
    let appended = Delta { path: path("y"), before: None, after: Some(with(of_journal)), lost: Vec::new() };
    store.append(&lease, "open", &[appended]).await.unwrap();

    assert_eq!(prune(&store, 0).await, (0, 1));
    assert!(!objects.contains(&stray));
    for kept in [old, lost, agreed, of_conflict, of_journal] {
        assert!(objects.contains(&kept));
    }
    // Without the first run; the second one still remembers what was before it.
    assert_eq!(prune(&store, 5_000).await.0, 1);
    assert!(objects.contains(&old) && objects.contains(&lost));
    assert_eq!(store.runs(&RunQuery::default()).await.unwrap().len(), 2);
    let state = store.target("t").await.unwrap();
    assert_eq!(contents(&*store.baseline(&state).await.unwrap()).len(), 1);
    // Without either; what is agreed on stays, and so do the layers that say so.
    store.finish_run(&lease, "open", &late, None).await.unwrap();
    assert_eq!(prune(&store, i64::MAX).await.0, 2);
    assert!(objects.contains(&agreed) && objects.contains(&of_journal) && objects.contains(&of_conflict));
    let state = store.target("t").await.unwrap();
    assert_eq!(contents(&*store.baseline(&state).await.unwrap()).len(), 2);
    let found = store.check().await.unwrap();
    assert!(found.is_empty(), "{found:?}");
}

#[tokio::test]
async fn what_was_put_lately_stays() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("state")).await.unwrap();
    let stray = store.objects().put(b"about to be referred to").unwrap();
    assert_eq!(prune(&store, i64::MAX).await, (0, 0));
    assert!(store.objects().contains(&stray));
}

#[tokio::test]
async fn damage_stops_a_sweep() {
    let store = Store::in_memory().await.unwrap();
    let lease = acquire(&store, "t").await;
    let stray = store.objects().put(b"stray").unwrap();
    run(&store, &lease, "a", &[created("x", 1)]).await;
    let delta = store.run("a").await.unwrap().unwrap().deltas[0];
    store.objects().remove(&delta).unwrap();
    store.prune(0).await.unwrap_err();
    store.prune(0).await.unwrap_err();
    assert!(store.objects().contains(&stray));
    assert!(!store.check().await.unwrap().is_empty());
}
