//! What is counted, and who looks on.

use sqlx::{Connection, Executor, SqliteConnection};
use std::collections::BTreeSet;

use syncline_store::{Ended, Onlooker, RECENT_MAX, RunState, Store};

use crate::helpers::{acquire, conflict, run, start};

const MS: i64 = 1_000_000;

fn ended(state: RunState, took_ms: i64, pending: Option<u64>) -> Ended {
    Ended {
        started: Some(100),
        finished: 100 + took_ms * MS,
        state,
        run: None,
        message: "done".to_owned(),
        steps: 2,
        bytes: 5,
        pending,
    }
}

#[tokio::test]
async fn what_is_counted_outlives_the_process_and_the_runs() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let store = Store::open(&state).await.unwrap();
    let lease = acquire(&store, "t").await;
    run(&store, &lease, "r", &[]).await;
    let ends = [
        ended(RunState::Failed, 3, None),
        ended(RunState::Partial, 40, Some(4)),
        ended(RunState::Halted, 9_000_000, Some(7)),
    ];
    store.count("t", &ends).await.unwrap();
    let totals = store.totals("t").await.unwrap();
    assert_eq!((totals.failures_in_a_row, totals.pending, totals.last_success), (2, 7, None));
    store.count("t", &[ended(RunState::Succeeded, 10, Some(0))]).await.unwrap();
    // Time went backwards, and it is not known when another one began.
    let odd = [
        ended(RunState::Succeeded, -50, None),
        Ended { started: None, ..ended(RunState::Interrupted, 0, None) },
    ];
    store.count("t", &odd).await.unwrap();
    store.prune(i64::MAX).await.unwrap();
    store.close().await.unwrap();

    let store = Store::open(&state).await.unwrap();
    let totals = store.totals("t").await.unwrap();
    let runs = RunState::ALL.map(|state| totals.runs(state));
    assert_eq!((runs, totals.ends(), totals.timed()), ([2, 1, 1, 1, 1], 6, 5));
    let mut classes = [0; 15];
    (classes[0], classes[2], classes[14]) = (3, 1, 1);
    assert_eq!(totals.durations, classes, "each bound belongs to its class");
    assert_eq!((totals.steps, totals.bytes, totals.pending), (12, 30, 0));
    assert_eq!((totals.failures_in_a_row, totals.last_success), (0, Some(100 - 50 * MS)));
    assert_eq!(totals.recent.len(), 6);
    assert_eq!(store.totals("unknown").await.unwrap().ends(), 0);
    let many = vec![ended(RunState::Succeeded, 1, None); 3 * RECENT_MAX];
    store.count("t", &many).await.unwrap();
    let totals = store.totals("t").await.unwrap();
    assert_eq!(
        (totals.recent.len(), totals.ends()),
        (RECENT_MAX, 54),
        "the memory is bounded, the count is not"
    );
}

#[tokio::test]
async fn damaged_totals_count_anew_and_stop_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let store = Store::open(&state).await.unwrap();
    store.count("t", &[ended(RunState::Succeeded, 1, None)]).await.unwrap();
    store.close().await.unwrap();
    let path = state.join("state.db");
    let mut connection = SqliteConnection::connect(&format!("sqlite://{}", path.display())).await.unwrap();
    connection
        .execute("UPDATE totals SET counts = replace(counts, '\"steps\":2', '\"steps\":3')")
        .await
        .unwrap();
    connection.close().await.unwrap();
    let store = Store::open(&state).await.unwrap();
    assert_eq!(store.totals("t").await.unwrap().steps, 0);
    store.count("t", &[ended(RunState::Succeeded, 1, None)]).await.unwrap();
    assert_eq!(store.totals("t").await.unwrap().ends(), 1);
}

#[tokio::test]
async fn a_conflict_is_counted_once_when_it_opens_and_once_when_it_is_settled() {
    let store = Store::in_memory().await.unwrap();
    let lease = acquire(&store, "t").await;
    let counts = async || {
        let totals = store.totals("t").await.unwrap();
        (totals.conflicts_opened, totals.conflicts_resolved)
    };
    let open = conflict("c1", "t");
    store.put_conflicts(&lease, std::slice::from_ref(&open)).await.unwrap();
    store.put_conflicts(&lease, std::slice::from_ref(&open)).await.unwrap();
    assert_eq!(counts().await, (1, 0), "it is the same one");
    store.resolve_conflict("c1", "by hand", 20).await.unwrap();
    store.resolve_conflict("c1", "by hand", 21).await.unwrap();
    assert_eq!(counts().await, (1, 1));
    store.put_conflicts(&lease, std::slice::from_ref(&open)).await.unwrap();
    assert_eq!(counts().await, (2, 1), "found open again");
    let settled = syncline_store::ConflictRecord { resolved: Some(30), ..open };
    store.replace_conflict(&settled, 9).await.unwrap();
    store.replace_conflict(&settled, 9).await.unwrap();
    assert_eq!(counts().await, (2, 2));
    let at_once = syncline_store::ConflictRecord { resolved: Some(30), ..conflict("c3", "t") };
    store.put_conflicts(&lease, &[at_once]).await.unwrap();
    assert_eq!(counts().await, (3, 3), "settled by its policy");
}

#[tokio::test]
async fn an_onlooker_sees_what_others_commit() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let store = Store::open(&state).await.unwrap();
    let mut onlooker = Onlooker::of(&store).await.unwrap();
    assert!(onlooker.has_changed().await.unwrap());
    assert!(!onlooker.has_changed().await.unwrap());
    // As another process does.
    let other = Store::open(&state).await.unwrap();
    let lease = acquire(&other, "t").await;
    run(&other, &lease, "r1", &[]).await;
    other.begin_run(&lease, &start("r2", "t")).await.unwrap();
    other.count("t", &[ended(RunState::Succeeded, 1, None)]).await.unwrap();
    other.put_conflicts(&lease, &[conflict("c1", "t")]).await.unwrap();
    assert!(onlooker.has_changed().await.unwrap());
    let overview = onlooker.overview().await.unwrap();
    let target = &overview.targets["t"];
    assert_eq!((target.totals.ends(), target.open_conflicts), (1, 1));
    assert_eq!(
        target.last_run.as_ref().map(|run| (run.start.id.as_str(), run.finish.is_none())),
        Some(("r2", true))
    );
    assert_eq!(overview.open_conflicts.keys().collect::<Vec<_>>(), ["c1"]);
    assert_eq!(onlooker.newest().await.unwrap(), (2, 1));
    let places = |runs: Vec<(i64, syncline_store::RunRecord)>| {
        runs.into_iter().map(|(place, run)| (place, run.start.id)).collect::<Vec<_>>()
    };
    assert_eq!(places(onlooker.runs_after(1).await.unwrap()), [(2, "r2".to_owned())]);
    let known = BTreeSet::from(["c1".to_owned()]);
    for (after, expected) in [(0, 1), (1, 1)] {
        assert_eq!(onlooker.conflicts(after, &known).await.unwrap().len(), expected, "{after}");
    }
    assert!(Onlooker::of(&Store::in_memory().await.unwrap()).await.is_err());
}
