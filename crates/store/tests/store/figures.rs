//! Figures, to be looked at in release: `cargo test --release -p syncline-store -- --ignored figures --nocapture`.

use std::time::{Duration, Instant};

use syncline_store::{Delta, Store};

use crate::helpers::{acquire, created, entry, finish, path, run, start};

fn tree(count: u64) -> Vec<Delta> {
    let mut deltas: Vec<Delta> =
        (0..count).map(|n| created(&format!("dir{:05}/file-{n:07}.txt", n / 20), n)).collect();
    deltas.sort_by(|a, b| a.path.cmp(&b.path));
    deltas
}

fn report(what: &str, since: Instant) -> Duration {
    let took = since.elapsed();
    println!("{what}: {:.2} ms", took.as_secs_f64() * 1e3);
    took
}

fn resident_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/statm").unwrap();
    status.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4 / 1024
}

async fn first_sync(count: u64, batch: usize) {
    println!("--- {count} items, appended by {batch}");
    let folder = tempfile::tempdir_in("/tmp").unwrap();
    let state = folder.path().join("state");
    let begun = Instant::now();
    let store = Store::open(&state).await.unwrap();
    report("open, new", begun);
    let lease = acquire(&store, "t").await;
    let deltas = tree(count);
    store.begin_run(&lease, &start("r", "t")).await.unwrap();
    let begun = Instant::now();
    for batch in deltas.chunks(batch) {
        store.append(&lease, "r", batch).await.unwrap();
    }
    report("append, all", begun);
    drop(deltas);
    let begun = Instant::now();
    store.finish_run(&lease, "r", &finish(), None).await.unwrap();
    report("finish_run", begun);
    drop(store);

    let resident = resident_mib();
    let begun = Instant::now();
    let store = Store::open(&state).await.unwrap();
    report("open", begun);
    let begun = Instant::now();
    let target = store.target("t").await.unwrap();
    report("target", begun);
    let begun = Instant::now();
    let baseline = store.baseline(&target).await.unwrap();
    report("baseline, opened and hashed", begun);
    let begun = Instant::now();
    let mut directories = Vec::new();
    baseline.directories(&mut |directory| directories.push(directory.to_owned()));
    let mut bytes = 0;
    for directory in &directories {
        baseline.visit(directory, &mut |entry| bytes += entry.size).unwrap();
    }
    report("visit, all", begun);
    println!(
        "resident: {} MiB more; objects {:?}",
        resident_mib().saturating_sub(resident),
        store.objects().total()
    );
}

async fn watch(count: u64) {
    println!("--- watch, {count} items");
    let folder = tempfile::tempdir_in("/tmp").unwrap();
    let store = Store::open(&folder.path().join("state")).await.unwrap();
    let lease = acquire(&store, "t").await;
    run(&store, &lease, "first", &tree(count)).await;
    let mut took = Vec::new();
    for n in 0..200 {
        let begun = Instant::now();
        let id = format!("w{n}");
        let state = store.target("t").await.unwrap();
        let baseline = store.baseline(&state).await.unwrap();
        let path = path(&format!("dir{:05}/file-{:07}.txt", n % 50, n % 50 * 20));
        let before = baseline.get(&path).unwrap();
        let delta = Delta { path, before, after: Some(entry(n + 7)), lost: Vec::new() };
        store.begin_run(&lease, &start(&id, "t")).await.unwrap();
        store.append(&lease, &id, &[delta]).await.unwrap();
        store.finish_run(&lease, &id, &finish(), None).await.unwrap();
        took.push(begun.elapsed());
    }
    took.sort();
    println!("a run of one change: median {:?}, worst {:?}", took[100], took[199]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "figures, for people"]
async fn figures() {
    let begun = Instant::now();
    for _ in 0..100 {
        Store::in_memory().await.unwrap();
    }
    println!("open in memory: {:?}", begun.elapsed() / 100);
    first_sync(100_000, 100_000).await;
    first_sync(100_000, 1000).await;
    first_sync(1_000_000, 100_000).await;
    watch(20_000).await;
}
