//! News, the messages that are made of it, and what becomes of them.

use std::collections::BTreeSet;

use sqlx::{Connection, Executor, SqliteConnection};
use syncline_store::{
    AttemptRecord, Ended, Happening, MessageQuery, MessageRecord, MessageState, NEWS_MAX, NewMessage, Pause,
    RunState, Store, Subscriber, Told, Verdict,
};

use crate::helpers::{acquire, conflict, run, start};

fn ended(state: RunState, id: Option<&str>, started: i64) -> Ended {
    Ended {
        started: Some(started),
        finished: started + 5,
        state,
        run: id.map(str::to_owned),
        message: "done".to_owned(),
        steps: 2,
        bytes: 5,
        pending: None,
    }
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

/// What a piece of news says, in a word or two.
fn said(told: Told<'_>) -> String {
    match told {
        Told::Lost(count) => format!("lost {count}"),
        Told::News(news) => match &news.happening {
            Happening::RunEnded { run, state, .. } => {
                format!("{} {state} {}", news.target, run.as_deref().unwrap_or("-"))
            }
            Happening::ConflictOpened { conflict, .. } => format!("opened {conflict}"),
            Happening::ConflictResolved { conflict, .. } => format!("resolved {conflict}"),
            Happening::Paused { reason, .. } => format!("paused {reason}"),
            Happening::Resumed => "resumed".to_owned(),
        },
    }
}

/// A message whose body says what it is about; no two have the same identifier.
fn compose(subscriber: &Subscriber, told: Told<'_>) -> Option<NewMessage> {
    let place = match told {
        Told::News(news) => news.seq,
        Told::Lost(_) => 0,
    };
    Some(NewMessage {
        id: format!("{}-{place}", subscriber.webhook),
        target: matches!(told, Told::News(_)).then(|| "t".to_owned()),
        event: "test".to_owned(),
        body: said(told),
    })
}

async fn hand_on(store: &Store, now: i64) {
    while store.hand_on_news(compose, i64::MIN, now).await.unwrap() {}
}

async fn all(store: &Store) -> Vec<MessageRecord> {
    let mut all = store.messages(&MessageQuery { limit: 100_000, ..MessageQuery::default() }).await.unwrap();
    all.reverse();
    all
}

/// What was said to a webhook so far, the oldest first.
async fn told(store: &Store, webhook: &str) -> Vec<String> {
    let all = all(store).await.into_iter();
    all.filter(|record| record.webhook == webhook).map(|record| record.message.body).collect()
}

fn attempt(at: i64, status: u16, error: Option<&str>) -> AttemptRecord {
    AttemptRecord { at, duration_ms: 3, status: Some(status), error: error.map(str::to_owned) }
}

#[tokio::test]
async fn what_did_nothing_and_ended_as_before_is_told_once_and_each_failure_is() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("state")).await.unwrap();
    store.subscribe(&names(&["a"])).await.unwrap();
    let idle = |state, id, message: &str| Ended {
        message: message.to_owned(),
        steps: 0,
        ..ended(state, Some(id), 1_000)
    };
    let ends = [
        // A conflict that waits for people, in one run after the other.
        idle(RunState::Succeeded, "r1", "1 open conflict"),
        idle(RunState::Succeeded, "r2", "1 open conflict"),
        idle(RunState::Succeeded, "r3", "2 open conflicts"),
        // Something is done, and then the conflicts are all that there is once more.
        ended(RunState::Succeeded, Some("r4"), 1_000),
        ended(RunState::Succeeded, Some("r5"), 1_000),
        idle(RunState::Halted, "r6", "97 removals"),
        idle(RunState::Halted, "r7", "97 removals"),
        idle(RunState::Failed, "r8", "no answer"),
        idle(RunState::Failed, "r9", "no answer"),
    ];
    let (first, rest) = ends.split_at(2);
    for end in first {
        store.count("t", std::slice::from_ref(end)).await.unwrap();
    }
    store.count("t", rest).await.unwrap();
    hand_on(&store, 2_000).await;
    let expected = [
        "t succeeded r1",
        "t succeeded r3",
        "t succeeded r4",
        "t succeeded r5",
        "t halted r6",
        "t failed r8",
        "t failed r9",
    ];
    assert_eq!(told(&store, "a").await, expected);
}

#[tokio::test]
async fn each_webhook_is_told_of_everything_from_when_it_was_named_once() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let store = Store::open(&state).await.unwrap();
    store.count("t", &[ended(RunState::Failed, None, 1)]).await.unwrap();
    store.subscribe(&names(&["a"])).await.unwrap();
    // Another process than the one that sends.
    let other = Store::open(&state).await.unwrap();
    let lease = acquire(&other, "t").await;
    run(&other, &lease, "r1", &[]).await;
    other.count("t", &[ended(RunState::Succeeded, Some("r1"), 1_000)]).await.unwrap();
    other.count("t", &[ended(RunState::Succeeded, None, 2_000)]).await.unwrap();
    other.count("t", &[ended(RunState::Failed, None, 3_000)]).await.unwrap();
    other.put_conflicts(&lease, &[conflict("c1", "t")]).await.unwrap();
    other.put_conflicts(&lease, &[conflict("c1", "t")]).await.unwrap();
    other.resolve_conflict("c1", "by hand", 20).await.unwrap();
    let at_once = syncline_store::ConflictRecord { resolved: Some(30), ..conflict("c3", "t") };
    other.put_conflicts(&lease, &[at_once]).await.unwrap();
    let pause = Pause { target: "t".to_owned(), reason: "why".to_owned(), since: 1, until: None };
    other.pause(&pause).await.unwrap();
    store.subscribe(&names(&["a", "b"])).await.unwrap();
    assert!(other.resume("t", 2).await.unwrap() && !other.resume("t", 3).await.unwrap());
    store.close().await.unwrap();

    let store = Store::open(&state).await.unwrap();
    hand_on(&store, 50).await;
    hand_on(&store, 51).await;
    let expected = [
        "t succeeded r1",
        "t failed -",
        "opened c1",
        "resolved c1",
        // Settled as soon as it was found: nobody had to look at it.
        "resolved c3",
        "paused why",
        "resumed",
    ];
    assert_eq!(told(&store, "a").await, expected);
    assert_eq!(told(&store, "b").await, ["resumed"]);
    assert!(store.subscribers().await.unwrap().iter().all(|subscriber| subscriber.after == 7));
    let found = store.check().await.unwrap();
    assert!(found.is_empty(), "{found:?}");
}

#[tokio::test]
async fn a_run_is_told_once_its_checks_were_made_and_also_when_nobody_came_to_that() {
    let store = Store::in_memory().await.unwrap();
    store.subscribe(&names(&["a"])).await.unwrap();
    let lease = acquire(&store, "t").await;
    // Its process was killed while the checks were made.
    run(&store, &lease, "killed", &[]).await;
    hand_on(&store, 1).await;
    assert!(told(&store, "a").await.is_empty(), "it may still be taken back");
    // A run that fails its checks, and the one that takes it back.
    let later = syncline_store::RunStart { started: 5_000, ..start("failed", "t") };
    for id in ["failed", "taken-back"] {
        let begun = syncline_store::RunStart { id: id.to_owned(), ..later.clone() };
        store.begin_run(&lease, &begun).await.unwrap();
        store.finish_run(&lease, id, &crate::helpers::finish(), None).await.unwrap();
    }
    store.count("t", &[ended(RunState::Failed, Some("failed"), 5_000)]).await.unwrap();
    hand_on(&store, 1).await;
    assert_eq!(told(&store, "a").await, ["t succeeded killed", "t failed failed"]);

    run(&store, &lease, "last", &[]).await;
    let working = store.lock().unwrap();
    store.tell_untold().await.unwrap();
    hand_on(&store, 1).await;
    assert_eq!(told(&store, "a").await.len(), 2, "somebody may still be at it");
    drop(working);
    store.tell_untold().await.unwrap();
    store.tell_untold().await.unwrap();
    hand_on(&store, 1).await;
    assert_eq!(told(&store, "a").await[2..], ["t succeeded last"]);
}

#[tokio::test]
async fn without_anybody_to_tell_nothing_is_kept() {
    let store = Store::in_memory().await.unwrap();
    let lease = acquire(&store, "t").await;
    run(&store, &lease, "r1", &[]).await;
    store.count("t", &[ended(RunState::Failed, Some("r1"), 1)]).await.unwrap();
    assert!(!store.has_news().await.unwrap());
    store.subscribe(&names(&["a"])).await.unwrap();
    store.tell_untold().await.unwrap();
    hand_on(&store, 1).await;
    assert!(all(&store).await.is_empty());
    // What waits for a webhook that is gone from the file is given up, and said so.
    store.count("t", &[ended(RunState::Failed, None, 1)]).await.unwrap();
    hand_on(&store, 2).await;
    store.count("t", &[ended(RunState::Failed, None, 1)]).await.unwrap();
    store.keep_subscribers(&[], 9).await.unwrap();
    assert!(!store.has_news().await.unwrap());
    let left = all(&store).await;
    assert_eq!((left.len(), left[0].state), (1, MessageState::Failed));
    let log = store.attempts(left[0].seq).await.unwrap();
    assert!(log[0].error.as_deref().unwrap().contains("no longer names"), "{log:?}");
}

#[tokio::test]
async fn a_message_waits_until_it_has_arrived_or_is_given_up_and_may_be_sent_again() {
    let store = Store::in_memory().await.unwrap();
    store.subscribe(&names(&["a", "b"])).await.unwrap();
    store.count("t", &[ended(RunState::Failed, None, 1)]).await.unwrap();
    hand_on(&store, 10).await;
    let waiting = store.waiting_messages("a", 9, 10).await.unwrap();
    let [first] = waiting.as_slice() else { panic!("{waiting:?}") };
    assert_eq!((first.tries, first.next, first.state), (0, 10, MessageState::Waiting));
    let place = first.seq;
    let tried = |attempt: AttemptRecord, verdict: Verdict| [(place, attempt, verdict)];
    store.attempted("a", &tried(attempt(11, 500, Some("oops")), Verdict::Again(99))).await.unwrap();
    let again = store.waiting_messages("a", 9, 10).await.unwrap();
    assert_eq!((again[0].tries, again[0].next, &again[0].message), (1, 99, &first.message));
    store.attempted("a", &tried(attempt(99, 200, None), Verdict::Delivered)).await.unwrap();
    assert!(store.waiting_messages("a", 9, 10).await.unwrap().is_empty());
    assert_eq!(store.attempts(place).await.unwrap().len(), 2);

    assert_eq!(store.replay(&[place], 200).await.unwrap(), 1);
    let again = store.waiting_messages("a", 9, 10).await.unwrap();
    assert_eq!((again[0].tries, again[0].next, &again[0].message), (0, 200, &first.message));
    store.attempted("a", &tried(attempt(201, 410, Some("gone")), Verdict::Gone)).await.unwrap();
    let gone = |subscribers: Vec<Subscriber>| subscribers.into_iter().map(|one| one.gone).collect::<Vec<_>>();
    assert_eq!(gone(store.subscribers().await.unwrap()), [Some(201), None]);
    let counts = store.message_counts(None).await.unwrap();
    assert_eq!(counts[&("a".to_owned(), "failed")], 1);
    assert_eq!(counts[&("b".to_owned(), "waiting")], 1);
    assert!(store.message_counts(Some(&names(&["other"]))).await.unwrap().is_empty());
    let test =
        NewMessage { id: "test".into(), target: None, event: "webhook.test".into(), body: "{}".into() };
    store.record_message("a", &test, &attempt(300, 204, None)).await.unwrap();
    assert_eq!(gone(store.subscribers().await.unwrap()), [None, None], "it is there");

    // Old ones are forgotten, with their tries; one that waits never is.
    assert_eq!(store.prune_messages(250).await.unwrap(), 1);
    assert!(store.attempts(place).await.unwrap().is_empty());
    let left: BTreeSet<String> = all(&store).await.into_iter().map(|record| record.message.id).collect();
    assert_eq!(left, BTreeSet::from(["b-1".to_owned(), "test".to_owned()]));
    store.hand_on_news(compose, i64::MAX, 400).await.unwrap();
    let query = MessageQuery { id: Some("b-1".into()), limit: 1, ..MessageQuery::default() };
    let old = store.messages(&query).await.unwrap().pop().unwrap();
    assert_eq!(old.state, MessageState::Failed);
    let log = store.attempts(old.seq).await.unwrap();
    assert_eq!(log[0].error.as_deref(), Some("given up: it waited for too long"));
}

#[tokio::test]
async fn messages_are_listed_in_pages_and_by_what_they_are_about() {
    let store = Store::in_memory().await.unwrap();
    store.subscribe(&names(&["a"])).await.unwrap();
    for _ in 0..5 {
        store.count("t", &[ended(RunState::Failed, None, 1)]).await.unwrap();
    }
    hand_on(&store, 10).await;
    let ids = async |query: MessageQuery| {
        let found = store.messages(&query).await.unwrap();
        found.into_iter().map(|record| record.seq).collect::<Vec<_>>()
    };
    let page = |before| MessageQuery { before, limit: 2, ..MessageQuery::default() };
    assert_eq!(ids(page(None)).await, [5, 4]);
    assert_eq!(ids(page(Some(4))).await, [3, 2]);
    assert_eq!(ids(page(Some(2))).await, [1]);
    let of = |targets: &[&str]| MessageQuery { targets: Some(names(targets)), ..page(None) };
    assert_eq!(ids(of(&["t", "other"])).await.len(), 2);
    assert_eq!(ids(of(&[])).await, [] as [i64; 0], "whoever sees no target sees no message");
    assert_eq!(ids(MessageQuery { webhooks: names(&["b"]), ..page(None) }).await, [] as [i64; 0]);
    assert_eq!(ids(MessageQuery { since: Some(11), ..page(None) }).await, [] as [i64; 0]);
    assert_eq!(ids(MessageQuery { state: Some(MessageState::Failed), ..page(None) }).await, [] as [i64; 0]);
}

#[tokio::test]
async fn what_is_damaged_stops_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let store = Store::open(&state).await.unwrap();
    store.subscribe(&names(&["a"])).await.unwrap();
    for _ in 0..2 {
        store.count("t", &[ended(RunState::Failed, None, 1)]).await.unwrap();
    }
    hand_on(&store, 10).await;
    for _ in 0..2 {
        store.count("t", &[ended(RunState::Halted, None, 1)]).await.unwrap();
    }
    store.close().await.unwrap();
    let url = format!("sqlite://{}", state.join("state.db").display());
    let mut connection = SqliteConnection::connect(&url).await.unwrap();
    connection.execute("UPDATE messages SET body = 'forged' WHERE seq = 1").await.unwrap();
    connection.execute("UPDATE news SET target = 'forged' WHERE seq = 3").await.unwrap();
    connection.close().await.unwrap();

    let store = Store::open(&state).await.unwrap();
    hand_on(&store, 11).await;
    let waiting = store.waiting_messages("a", 9, 12).await.unwrap();
    let bodies: Vec<&str> = waiting.iter().map(|waits| waits.message.body.as_str()).collect();
    assert_eq!(bodies, ["t failed -", "t halted -"], "each is one of two");
    let log = store.attempts(1).await.unwrap();
    assert_eq!(log[0].error.as_deref(), Some("given up: its row is damaged"));
    let mut connection = SqliteConnection::connect(&url).await.unwrap();
    connection.execute("UPDATE subscribers SET after = 0").await.unwrap();
    connection.close().await.unwrap();
    assert_eq!(store.subscribers().await.unwrap(), []);
    store.keep_subscribers(&names(&["a"]), 13).await.unwrap();
    assert_eq!(store.subscribers().await.unwrap()[0].after, 4, "nothing is left that it was not told");
}

#[tokio::test]
async fn one_whose_row_is_damaged_holds_up_nobody_and_is_told_twice_rather_than_never() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let store = Store::open(&state).await.unwrap();
    store.subscribe(&names(&["a", "b"])).await.unwrap();
    store.count("t", &[ended(RunState::Failed, None, 1)]).await.unwrap();
    hand_on(&store, 10).await;
    store.count("t", &[ended(RunState::Halted, None, 1)]).await.unwrap();
    let url = format!("sqlite://{}", state.join("state.db").display());
    let mut connection = SqliteConnection::connect(&url).await.unwrap();
    // As if it had been told already of what is yet to be told.
    connection.execute("UPDATE subscribers SET after = 2 WHERE webhook = 'a'").await.unwrap();
    hand_on(&store, 11).await;
    assert_eq!(told(&store, "a").await, ["t failed -", "t halted -"]);
    assert_eq!(told(&store, "b").await, ["t failed -", "t halted -"]);

    // What was taken out can be put back as it was, however little of it is text.
    let aside = store.rows_aside().await.unwrap();
    assert_eq!(aside[0].origin, "subscribers");
    connection.execute("DELETE FROM subscribers; ").await.unwrap();
    connection.execute(sqlx::AssertSqlSafe(aside[0].statement.clone())).await.unwrap();
    let after: i64 =
        sqlx::query_scalar("SELECT after FROM subscribers").fetch_one(&mut connection).await.unwrap();
    assert_eq!(after, 2);
    store.count("t", &[ended(RunState::Halted, None, 1)]).await.unwrap();
    connection.execute("UPDATE news SET happening = CAST(X'FF0041' AS TEXT)").await.unwrap();
    let (_, damaged) = store.damaged_rows().await.unwrap();
    let news = damaged.iter().find(|row| row.table == syncline_store::Table::News).unwrap();
    store.set_row_aside(news).await.unwrap();
    let aside = store.rows_aside().await.unwrap();
    connection.execute(sqlx::AssertSqlSafe(aside[1].statement.clone())).await.unwrap();
    let hex: String = sqlx::query_scalar("SELECT hex(CAST(happening AS BLOB)) FROM news")
        .fetch_one(&mut connection)
        .await
        .unwrap();
    assert_eq!(hex, "FF0041");
}

#[tokio::test]
async fn what_nobody_hands_on_is_bounded_and_the_gap_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let store = Store::open(&state).await.unwrap();
    store.subscribe(&names(&["a"])).await.unwrap();
    let most = usize::try_from(NEWS_MAX).unwrap();
    let many = vec![ended(RunState::Failed, None, 1); most + 7];
    store.count("t", &many).await.unwrap();
    hand_on(&store, 10).await;
    let said = told(&store, "a").await;
    assert_eq!((said[0].as_str(), said.len()), ("lost 7", most + 1));
    // One more than may wait: the oldest, which is the one about the gap, is given up, and the log says so.
    let all = all(&store).await;
    let failed: Vec<i64> =
        all.iter().filter(|one| one.state == MessageState::Failed).map(|one| one.seq).collect();
    assert_eq!(failed, [all[0].seq]);
    let log = store.attempts(failed[0]).await.unwrap();
    assert_eq!(log[0].error.as_deref(), Some("given up: too many wait for this webhook"));
}
