//! Leases, runs, conflicts, approvals.

use syncline_core::{Mark, Sides};
use syncline_store::{
    ConflictQuery, ConflictRecord, Decided, ErrorKind, Lease, Opening, Pause, Right, RunQuery, RunState,
    Store,
};

use crate::helpers::{HOUR_NS, acquire, conflict, contents, created, finish, opening, path, run, start};

#[tokio::test]
async fn a_stale_lease_is_refused_everywhere() {
    let store = Store::in_memory().await.unwrap();
    let stale = acquire(&store, "t").await;
    store.begin_run(&stale, &start("a", "t")).await.unwrap();
    let fresh = store.acquire("t", "other", 0, HOUR_NS, true).await.unwrap();
    assert_eq!(fresh.epoch, stale.epoch + 1);
    refused_everywhere(&store, &stale).await;

    // The holder is part of the lease: a guessed epoch does not help.
    refused_everywhere(&store, &Lease { holder: "me".into(), ..fresh.clone() }).await;
    store.append(&fresh, "a", &[created("x", 1)]).await.unwrap();
    store.release(stale).await.unwrap();
    store.renew(&fresh, 5, HOUR_NS).await.unwrap();
    let released = fresh.clone();
    store.release(fresh).await.unwrap();
    refused_everywhere(&store, &released).await;
}

async fn refused_everywhere(store: &Store, lease: &Lease) {
    let deltas = [created("x", 1)];
    let results = [
        store.begin_run(lease, &start("b", "t")).await,
        store.append(lease, "a", &deltas).await,
        store.append(lease, "a", &[]).await,
        store.finish_run(lease, "a", &finish(), None).await,
        store.recover(lease, 1).await.map(drop),
        store.put_conflicts(lease, &[conflict("c", "t")]).await,
        store.open_run(Right::Held(lease), &opening("i"), &start("b", "t")).await.map(drop),
        store.renew(lease, 1, 1).await,
    ];
    for (index, result) in results.into_iter().enumerate() {
        assert_eq!(result.unwrap_err().kind(), ErrorKind::Locked, "call {index}");
    }
}

#[tokio::test]
async fn a_lease_excludes_others_until_it_expires() {
    let store = Store::in_memory().await.unwrap();
    let first = store.acquire("t", "one", 100, 50, false).await.unwrap();
    let error = store.acquire("t", "two", 149, 50, false).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Locked);
    assert!(error.to_string().contains("one"), "{error}");
    store.renew(&first, 140, 50).await.unwrap();
    assert!(store.acquire("t", "two", 160, 50, false).await.is_err());
    store.acquire("t", "one", 160, 50, false).await.unwrap();
    store.acquire("t", "two", 210, 50, false).await.unwrap();
    store.acquire("other target", "one", 0, 50, false).await.unwrap();
}

#[tokio::test]
async fn whoever_looked_without_a_lease_gets_one_only_while_nothing_has_changed() {
    let store = Store::in_memory().await.unwrap();
    assert!(!store.is_at_rest("t").await.unwrap(), "a target that was never seen is to be made first");
    let lease = acquire(&store, "t").await;
    assert!(!store.is_at_rest("t").await.unwrap(), "somebody has it");
    store.begin_run(&lease, &start("a", "t")).await.unwrap();
    store.release(lease).await.unwrap();
    assert!(!store.is_at_rest("t").await.unwrap(), "a run was cut short");
    let lease = acquire(&store, "t").await;
    store.recover(&lease, 1).await.unwrap();
    store.release(lease).await.unwrap();

    assert!(store.is_at_rest("t").await.unwrap());
    let seen = store.target("t").await.unwrap();
    let as_seen = |holder| Right::AsSeen { seen: &seen, holder, now: 0, ttl_ns: HOUR_NS };
    let taken = store.open_run(as_seen("me"), &opening("i"), &start("a", "t")).await.unwrap_err();
    assert_eq!(taken.kind(), ErrorKind::Io, "there is such a run");
    assert!(store.is_at_rest("t").await.unwrap(), "all of it or nothing");
    let lease = store.open_run(as_seen("me"), &opening("i"), &start("b", "t")).await.unwrap();
    assert_eq!(lease.epoch, seen.epoch + 1);
    for holder in ["me", "other"] {
        let error = store.open_run(as_seen(holder), &opening("i"), &start("c", "t")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Locked, "{holder}");
    }
    store.finish_run(&lease, "b", &finish(), None).await.unwrap();
    store.release(lease).await.unwrap();
    let late = store.open_run(as_seen("me"), &opening("i"), &start("d", "t")).await.unwrap_err();
    assert_eq!(late.kind(), ErrorKind::Locked, "what was seen is not what is there any more");
    assert!(store.is_at_rest("t").await.unwrap());
}

#[tokio::test]
async fn a_target_remembers_identity_and_marks() {
    let store = Store::in_memory().await.unwrap();
    let made = store.target("t").await.unwrap();
    let lease = acquire(&store, "t").await;
    let known = Sides { local: None, remote: Some(Mark("r".into())) };
    let opening = Opening { known: known.clone(), ..opening("bucket 7") };
    store.open_run(Right::Held(&lease), &opening, &start("a", "t")).await.unwrap();
    let state = store.target("t").await.unwrap();
    assert_eq!((state.id, state.identity), (made.id, Some("bucket 7".into())));
    assert_eq!((state.pending_mark, state.marks), (Some(Mark("p".into())), known.clone()));
    assert!(!state.has_baseline);

    store.append(&lease, "a", &[created("x", 1)]).await.unwrap();
    let marks = Sides { local: Some(Mark("p".into())), remote: None };
    store.finish_run(&lease, "a", &finish(), Some(marks.clone())).await.unwrap();
    let state = store.target("t").await.unwrap();
    assert_eq!((state.marks, state.pending_mark, state.has_baseline), (marks, None, true));

    let distrusting = Opening { forget: true, ..opening };
    store.open_run(Right::Held(&lease), &distrusting, &start("b", "t")).await.unwrap();
    let state = store.target("t").await.unwrap();
    assert_eq!((&state.marks, state.has_baseline), (&known, false));
    assert!(contents(&*store.baseline(&state).await.unwrap()).is_empty());
    assert_eq!(store.deltas("a").await.unwrap(), [created("x", 1)]);
}

#[tokio::test]
async fn runs_are_listed_newest_first() {
    let store = Store::in_memory().await.unwrap();
    let lease = acquire(&store, "t").await;
    let other = acquire(&store, "u").await;
    for n in 1..=3 {
        run(&store, &lease, &format!("t-{n}"), &[created("x", n)]).await;
        run(&store, &other, &format!("u-{n}"), &[]).await;
    }
    store.begin_run(&lease, &start("open", "t")).await.unwrap();
    store.append(&lease, "open", &[created("y", 1)]).await.unwrap();
    let list = async |query: RunQuery| -> Vec<String> {
        store.runs(&query).await.unwrap().into_iter().map(|run| run.start.id).collect()
    };
    assert_eq!(list(RunQuery::default()).await, ["open", "u-3", "t-3", "u-2", "t-2", "u-1", "t-1"]);
    let query = RunQuery { target: Some("t".into()), limit: Some(2), before: Some("t-3".into()) };
    assert_eq!(list(query).await, ["t-2", "t-1"]);

    let record = store.run("t-2").await.unwrap().unwrap();
    assert_eq!((record.start, record.finish), (start("t-2", "t"), Some(finish())));
    assert_eq!(store.run("ope").await.unwrap().unwrap().start.id, "open");
    assert_eq!(store.run("last").await.unwrap().unwrap().start.id, "open");
    assert_eq!(store.run("t-").await.unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(store.run("zzz").await.unwrap(), None);
    assert_eq!(store.run("").await.unwrap(), None);
    assert_eq!(store.deltas("open").await.unwrap(), [created("y", 1)]);
    assert_eq!(store.deltas("u-1").await.unwrap(), []);
    assert_eq!(store.deltas("zzz").await.unwrap_err().kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn a_run_ends_once_and_belongs_to_its_target() {
    let store = Store::in_memory().await.unwrap();
    let lease = acquire(&store, "t").await;
    run(&store, &lease, "a", &[created("x", 1)]).await;
    assert!(store.begin_run(&lease, &start("a", "t")).await.is_err());
    assert!(store.begin_run(&lease, &start("b", "u")).await.is_err());
    assert!(store.append(&lease, "a", &[created("y", 1)]).await.is_err());
    assert!(store.finish_run(&lease, "a", &finish(), None).await.is_err());
    assert_eq!(store.append(&lease, "zzz", &[]).await.unwrap_err().kind(), ErrorKind::NotFound);
    let other = acquire(&store, "u").await;
    store.begin_run(&lease, &start("c", "t")).await.unwrap();
    assert!(store.append(&other, "c", &[created("y", 1)]).await.is_err());

    let mut halted = finish();
    halted.state = RunState::Halted;
    store.finish_run(&lease, "c", &halted, None).await.unwrap();
    let record = store.run("c").await.unwrap().unwrap();
    assert_eq!((record.finish, record.deltas), (Some(halted), Vec::new()));
}

#[tokio::test]
async fn conflicts_live_until_they_are_settled_and_old() {
    let store = Store::in_memory().await.unwrap();
    let lease = acquire(&store, "t").await;
    let (first, second) = (conflict("c1", "t"), conflict("c2", "t"));
    store.put_conflicts(&lease, &[first.clone(), second.clone()]).await.unwrap();
    let all = ConflictQuery::default();
    let open = ConflictQuery { target: Some("t".into()), open_only: true };
    assert_eq!(store.conflicts(&all).await.unwrap(), [first.clone(), second.clone()]);
    assert_eq!(store.conflict("c1").await.unwrap(), Some(first.clone()));
    assert_eq!(store.conflict("c").await.unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(store.conflict("x").await.unwrap(), None);

    store.resolve_conflict("c1", "took local", 99).await.unwrap();
    store.resolve_conflict("c1", "again", 100).await.unwrap();
    assert_eq!(store.resolve_conflict("x", "", 1).await.unwrap_err().kind(), ErrorKind::NotFound);
    let mut refreshed = first.clone();
    (refreshed.run, refreshed.opened, refreshed.resolved) = ("r2".into(), 77, Some(78));
    store.put_conflicts(&lease, std::slice::from_ref(&refreshed)).await.unwrap();
    let known = store.conflict("c1").await.unwrap().unwrap();
    assert_eq!((known.run.as_str(), known.opened, known.resolved), ("r2", 10, Some(99)));
    assert_eq!(known.resolution.as_deref(), Some("took local"));
    assert_eq!(store.conflicts(&open).await.unwrap(), [second]);

    // The same conflict again: it waits for a decision again.
    let again = ConflictRecord { run: "r3".into(), opened: 200, resolved: None, ..first };
    store.put_conflicts(&lease, std::slice::from_ref(&again)).await.unwrap();
    assert_eq!(store.conflict("c1").await.unwrap().unwrap().opened, 200);
    assert_eq!(store.conflicts(&open).await.unwrap().len(), 2);
    store.resolve_conflict("c1", "took local", 99).await.unwrap();

    let settled = store.conflict("c1").await.unwrap().unwrap();
    let reopened = ConflictRecord { resolved: None, resolution: None, ..settled.clone() };
    store.replace_conflict(&reopened, 9).await.unwrap();
    assert_eq!(store.conflict("c1").await.unwrap(), Some(reopened));
    store.replace_conflict(&settled, 9).await.unwrap();
    let unknown = ConflictRecord { id: "x".into(), ..settled };
    assert_eq!(store.replace_conflict(&unknown, 9).await.unwrap_err().kind(), ErrorKind::NotFound);

    assert_eq!(store.prune_conflicts(99).await.unwrap(), 0);
    assert_eq!(store.prune_conflicts(i64::MAX).await.unwrap(), 1);
    assert_eq!(store.conflicts(&all).await.unwrap().len(), 1);
}

#[tokio::test]
async fn an_approval_serves_one_plan_once() {
    let store = Store::in_memory().await.unwrap();
    store.approve("t", "hash", 1).await.unwrap();
    store.approve("t", "hash", 2).await.unwrap();
    assert!(!store.take_approval("t", "other").await.unwrap());
    assert!(!store.take_approval("u", "hash").await.unwrap());
    assert!(store.take_approval("t", "hash").await.unwrap());
    assert!(!store.take_approval("t", "hash").await.unwrap());
}

#[tokio::test]
async fn a_damaged_journal_does_not_lock_out() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("state")).await.unwrap();
    let lease = acquire(&store, "t").await;
    run(&store, &lease, "a", &[created("x", 1)]).await;
    store.begin_run(&lease, &start("b", "t")).await.unwrap();
    store.append(&lease, "b", &[created("y", 1)]).await.unwrap();
    let journal = store.run("b").await.unwrap().unwrap().deltas[0];
    store.objects().remove(&journal).unwrap();
    assert_eq!(store.recover(&lease, 1).await.unwrap_err().kind(), ErrorKind::Damaged);
    let distrusting = Opening { forget: true, ..opening("i") };
    store.open_run(Right::Held(&lease), &distrusting, &start("c", "t")).await.unwrap();
    assert_eq!(store.recover(&lease, 1).await.unwrap(), ["b", "c"]);
    assert_eq!(store.recover(&lease, 1).await.unwrap(), Vec::<String>::new());
    let record = store.run("b").await.unwrap().unwrap();
    assert_eq!(record.finish.unwrap().state, RunState::Interrupted);
    assert_eq!(store.deltas("a").await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_decision_is_pending_until_it_is_carried_out() {
    let store = Store::in_memory().await.unwrap();
    let lease = acquire(&store, "t").await;
    for (id, settles) in [("c1", true), ("c2", false)] {
        let ConflictRecord { winner, copy, merged, action, .. } = conflict(id, "t");
        let decided = Decided { winner, copy, merged, action, settles };
        let pending = ConflictRecord {
            path: path(id),
            winner: None,
            copy: None,
            merged: None,
            action: ConflictRecord::PENDING.to_owned(),
            pending: Some(Box::new(decided)),
            ..conflict(id, "t")
        };
        store.put_conflicts(&lease, std::slice::from_ref(&pending)).await.unwrap();
        let mut read = store.conflict(id).await.unwrap().unwrap();
        assert_eq!(read, pending);
        read.carry_out(50, ConflictRecord::BY_POLICY);
        store.put_conflicts(&lease, std::slice::from_ref(&read)).await.unwrap();
        let done = store.conflict(id).await.unwrap().unwrap();
        let resolution = settles.then(|| ConflictRecord::BY_POLICY.to_owned());
        let resolved = settles.then_some(50);
        assert_eq!(done, ConflictRecord { path: path(id), resolved, resolution, ..conflict(id, "t") });
    }
}

#[tokio::test]
async fn a_conflict_of_which_nothing_came_gives_way_to_the_next_one_at_its_path() {
    let store = Store::in_memory().await.unwrap();
    let lease = acquire(&store, "t").await;
    let untouched = |id: &str, target: &str| ConflictRecord {
        winner: None,
        copy: None,
        merged: None,
        ..conflict(id, target)
    };
    let beside = conflict("beside", "t");
    let elsewhere = ConflictRecord { path: path("other"), ..untouched("elsewhere", "t") };
    let records = [untouched("first", "t"), beside.clone(), elsewhere, untouched("foreign", "u")];
    for record in &records {
        store.put_conflicts(&lease, std::slice::from_ref(record)).await.unwrap();
    }
    let next = ConflictRecord { opened: 77, ..untouched("next", "t") };
    store.put_conflicts(&lease, &[next]).await.unwrap();
    let first = store.conflict("first").await.unwrap().unwrap();
    assert_eq!((first.resolved, first.resolution.as_deref()), (Some(10), Some("superseded by beside")));
    let open = ConflictQuery { target: None, open_only: true };
    let open: Vec<String> =
        store.conflicts(&open).await.unwrap().into_iter().map(|record| record.id).collect();
    assert_eq!(open, ["beside", "elsewhere", "foreign", "next"], "what stands beside waits for a person");
}

#[tokio::test]
async fn a_pause_is_remembered_replaced_and_forgotten() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let store = Store::open(&state).await.unwrap();
    let pause = |target: &str, reason: &str, until| Pause {
        target: target.to_owned(),
        reason: reason.to_owned(),
        since: 5,
        until,
    };
    store.pause(&pause("a", "first", None)).await.unwrap();
    store.pause(&pause("b", "moved", Some(9))).await.unwrap();
    store.pause(&pause("a", "second", Some(7))).await.unwrap();
    store.close().await.unwrap();
    let store = Store::open(&state).await.unwrap();
    let known = store.pauses().await.unwrap();
    assert_eq!(known, [pause("a", "second", Some(7)), pause("b", "moved", Some(9))]);
    assert_eq!(store.paused("a").await.unwrap().as_ref(), known.first());
    assert_eq!(store.paused("c").await.unwrap(), None);
    assert!(known[0].is_on(6) && !known[0].is_on(7) && pause("c", "why", None).is_on(i64::MAX));
    assert!(store.resume("a", 9).await.unwrap() && !store.resume("a", 9).await.unwrap());
    assert_eq!(store.pauses().await.unwrap(), [pause("b", "moved", Some(9))]);
}
