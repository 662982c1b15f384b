//! The cases.

use std::future::Future;
use std::pin::Pin;

use syncline_core::{Digest, Expected, Item, Kind, Mark, Outcome, Root, Seen, Version};

use super::{Bench, applied, at, directory, file, lock, present, remove, rename};
use crate::endpoint::ScanRequest;
use crate::error::ErrorKind;

/// One thing that every endpoint must do.
pub(super) struct Case {
    pub(super) name: &'static str,
    /// Whether it applies to the endpoint at hand.
    pub(super) applies: fn(&Bench) -> bool,
    pub(super) run: for<'a> fn(&'a Bench) -> Pin<Box<dyn Future<Output = ()> + 'a>>,
}

macro_rules! cases {
    ($($name:ident if $applies:expr;)*) => {
        /// Every case, in the order in which they run.
        pub(super) const CASES: &[Case] = &[$(Case {
            name: stringify!($name),
            applies: $applies,
            run: |bench| Box::pin($name(bench)),
        }),*];
    };
}

cases! {
    an_empty_place_has_no_items if |_| true;
    a_check_succeeds_and_changes_nothing if |_| true;
    what_was_written_can_be_read_back if writable;
    a_version_that_is_gone_is_not_read if writable;
    an_update_replaces_and_keeps_the_old_content if writable;
    an_unexpected_item_is_not_overwritten if writable;
    an_unexpected_version_is_not_touched if writable;
    a_removal_keeps_the_old_content if writable;
    a_refused_step_does_not_stop_the_others if writable;
    content_that_cannot_be_opened_leaves_its_path_untouched if writable;
    content_that_breaks_off_leaves_its_path_untouched if writable;
    content_of_another_digest_is_not_written if writable;
    a_scan_after_a_batch_finds_no_changes if writable;
    a_scan_reports_each_kind_of_change if writable;
    a_removal_of_much_is_seen_as_absent if writable;
    a_partial_scan_looks_only_where_it_is_told if writable;
    odd_names_are_kept_as_they_are if writable;
    protected_paths_are_refused if writable;
    a_large_item_arrives_whole if |bench| writable(bench) && holds(bench, 5 << 20);
    an_empty_item_has_its_digest_at_once if writable;
    the_sentinel_is_seen if writable;
    a_mark_stays if |bench| writable(bench) && bench.capabilities().marks;
    empty_directories_are_kept if directories;
    a_directory_that_is_not_empty_is_not_removed if directories;
    an_empty_directory_gives_way_to_a_file if directories;
    a_directory_that_is_not_empty_does_not_give_way if directories;
    a_file_gives_way_to_a_directory if directories;
    a_directory_that_the_batch_made_on_the_way_is_no_surprise if |bench| directories(bench) && bench.capabilities().abilities.moves;
    a_new_directory_meets_one_that_is_there if directories;
    children_go_before_their_directory if directories;
    a_link_is_kept_and_not_followed if |bench| writable(bench) && bench.capabilities().abilities.symlinks;
    nothing_is_written_through_a_link if |bench| writable(bench) && bench.capabilities().abilities.symlinks;
    the_executable_bit_is_kept if |bench| writable(bench) && bench.capabilities().abilities.executable;
    an_item_is_moved if |bench| writable(bench) && bench.capabilities().abilities.moves;
    a_move_never_overwrites if |bench| writable(bench) && bench.capabilities().abilities.moves;
    a_directory_is_moved_with_its_items if |bench| directories(bench) && bench.capabilities().abilities.directory_moves;
    names_that_fold_together_do_not_overwrite if |bench| writable(bench) && bench.capabilities().abilities.folds_case;
    unreadable_is_not_absent if |bench| writable(bench) && bench.make_unreadable.is_some();
}

/// Whether it can be written under the names that the suite chooses.
fn writable(bench: &Bench) -> bool {
    bench.capabilities().writable && bench.capabilities().only.is_none()
}

fn directories(bench: &Bench) -> bool {
    writable(bench) && bench.capabilities().abilities.directories
}

fn holds(bench: &Bench, size: u64) -> bool {
    bench.capabilities().abilities.size_max.is_none_or(|max| max >= size)
}

async fn an_empty_place_has_no_items(bench: &Bench) {
    let snapshot = bench.scan().await;
    assert_eq!(snapshot.root, Root::Present);
    assert!(snapshot.complete && snapshot.changes.is_empty() && snapshot.count == 0, "{snapshot:?}");
    assert_eq!(snapshot.mark, None);
    assert_eq!(snapshot.sentinel, None);
}

async fn a_check_succeeds_and_changes_nothing(bench: &Bench) {
    bench.endpoint.check().await.expect("the check succeeds");
    assert!(bench.scan().await.changes.is_empty());
}

async fn what_was_written_can_be_read_back(bench: &Bench) {
    let outcomes = bench.apply(vec![bench.put("a/b/note.txt", b"hello", Expected::Absent)]).await;
    let [Outcome::Applied { version, digest, size }] = outcomes.as_slice() else { panic!("{outcomes:?}") };
    assert_eq!((*digest, *size), (Some(Digest::of(b"hello")), 5));
    assert_eq!(bench.version("a/b/note.txt").await.as_ref(), Some(version));
    assert_eq!(bench.content("a/b/note.txt").await.as_deref(), Some(&b"hello"[..]));
    let tree = bench.tree().await;
    let found = tree["a/b/note.txt"].found().expect("it is present");
    assert_eq!((found.item.kind, found.item.size), (Kind::FILE, 5));
    assert_eq!(tree.contains_key("a/b"), bench.capabilities().abilities.directories);
}

async fn a_version_that_is_gone_is_not_read(bench: &Bench) {
    let first = bench.given(&[("a", Some(b"one"))]).await.remove(0);
    bench.apply(vec![bench.put("a", b"two", present(&first, b"one"))]).await;
    let error = bench.endpoint.read(&at("a"), &first).await.expect_err("the version is gone");
    assert!(matches!(error.kind(), ErrorKind::Changed | ErrorKind::NotFound), "{error:?}");
    let error = bench.endpoint.read(&at("b"), &first).await.expect_err("there is no such item");
    assert_eq!(error.kind(), ErrorKind::NotFound);
}

async fn an_update_replaces_and_keeps_the_old_content(bench: &Bench) {
    let first = bench.given(&[("a", Some(b"one"))]).await.remove(0);
    let second = applied(&bench.apply(vec![bench.put("a", b"two!", present(&first, b"one"))]).await[0]);
    assert_ne!(first, second);
    assert_eq!(bench.content("a").await.as_deref(), Some(&b"two!"[..]));
    assert_eq!(bench.history.durable(&Digest::of(b"one")).as_deref(), Some(&b"one"[..]));
}

async fn an_unexpected_item_is_not_overwritten(bench: &Bench) {
    bench.given(&[("a", Some(b"one"))]).await;
    let before = bench.tree().await;
    let outcomes = bench.apply(vec![bench.put("a", b"two", Expected::Absent)]).await;
    assert!(matches!(outcomes[0], Outcome::Refused { .. }), "{outcomes:?}");
    assert_eq!(bench.tree().await, before);
}

async fn an_unexpected_version_is_not_touched(bench: &Bench) {
    let first = bench.given(&[("a", Some(b"one"))]).await.remove(0);
    applied(&bench.apply(vec![bench.put("a", b"two", present(&first, b"one"))]).await[0]);
    let before = bench.tree().await;
    let outcomes = bench
        .apply(vec![
            bench.put("a", b"three", present(&first, b"one")),
            remove("a", file(b"one"), present(&first, b"one")),
            bench.put("gone", b"three", present(&first, b"one")),
            remove("gone", file(b"one"), present(&first, b"one")),
        ])
        .await;
    for outcome in &outcomes {
        assert!(matches!(outcome, Outcome::Refused { .. }), "{outcomes:?}");
    }
    assert_eq!(bench.tree().await, before);
}

async fn a_removal_keeps_the_old_content(bench: &Bench) {
    let version = bench.given(&[("a", Some(b"one"))]).await.remove(0);
    let outcomes = bench.apply(vec![remove("a", file(b"one"), present(&version, b"one"))]).await;
    assert_eq!(outcomes, [Outcome::Applied { version: Version::none(), digest: None, size: 0 }]);
    assert_eq!(bench.content("a").await, None);
    assert_eq!(bench.history.durable(&Digest::of(b"one")).as_deref(), Some(&b"one"[..]));
}

async fn a_refused_step_does_not_stop_the_others(bench: &Bench) {
    bench.given(&[("b", Some(b"there"))]).await;
    let steps = ["a", "b", "c"].map(|path| bench.put(path, b"new", Expected::Absent)).to_vec();
    let outcomes = bench.apply(steps).await;
    assert!(matches!(
        outcomes.as_slice(),
        [Outcome::Applied { .. }, Outcome::Refused { .. }, Outcome::Applied { .. }]
    ));
    assert_eq!(bench.content("b").await.as_deref(), Some(&b"there"[..]));
    assert_eq!(bench.content("c").await.as_deref(), Some(&b"new"[..]));
}

async fn content_that_cannot_be_opened_leaves_its_path_untouched(bench: &Bench) {
    let version = bench.given(&[("a", Some(b"one"))]).await.remove(0);
    let steps = vec![
        bench.put("a", b"two", present(&version, b"one")),
        bench.put("b", b"two", Expected::Absent),
        bench.put("c", b"two", Expected::Absent),
    ];
    lock(&bench.contents.failing).extend([at("a"), at("b")]);
    let outcomes = bench.apply(steps).await;
    assert!(matches!(outcomes.as_slice(), [Outcome::Failed(_), Outcome::Failed(_), Outcome::Applied { .. }]));
    assert_eq!(bench.content("a").await.as_deref(), Some(&b"one"[..]));
    assert_eq!(bench.files().await, ["a", "c"]);
}

async fn content_that_breaks_off_leaves_its_path_untouched(bench: &Bench) {
    let version = bench.given(&[("a", Some(b"one"))]).await.remove(0);
    let steps = vec![
        bench.put("a", b"a longer text", present(&version, b"one")),
        bench.put("b", b"a longer text", Expected::Absent),
    ];
    lock(&bench.contents.torn).extend([at("a"), at("b")]);
    let outcomes = bench.apply(steps).await;
    for outcome in &outcomes {
        assert!(matches!(outcome, Outcome::Failed(problem) if problem.code == "changed"), "{outcomes:?}");
    }
    assert_eq!(bench.content("a").await.as_deref(), Some(&b"one"[..]));
    assert_eq!(bench.files().await, ["a"]);
}

async fn content_of_another_digest_is_not_written(bench: &Bench) {
    let step = bench.put("a", b"as planned", Expected::Absent);
    lock(&bench.contents.bytes).insert(at("a"), (&b"otherwise!"[..]).into());
    let outcomes = bench.apply(vec![step]).await;
    assert!(matches!(&outcomes[0], Outcome::Failed(problem) if problem.code == "damaged"), "{outcomes:?}");
    assert!(bench.files().await.is_empty());
}

async fn a_scan_after_a_batch_finds_no_changes(bench: &Bench) {
    let mut steps = vec![
        bench.put("b/c", b"two", Expected::Absent),
        bench.put("a", b"one", Expected::Absent),
        bench.put("b/d/e", b"", Expected::Absent),
    ];
    if bench.capabilities().abilities.directories {
        steps.insert(0, directory("b"));
        steps.insert(1, directory("b/d"));
    }
    let count = steps.len() as u64;
    bench.apply(steps).await.iter().for_each(|outcome| drop(applied(outcome)));
    let mut snapshot = bench.scan().await;
    snapshot.changes.retain(|change| change.now != Seen::Ignored);
    assert_eq!(snapshot.changes, []);
    assert!(snapshot.complete);
    assert_eq!(snapshot.count, count);
}

async fn a_scan_reports_each_kind_of_change(bench: &Bench) {
    let versions =
        bench.given(&[("changed", Some(b"one")), ("gone", Some(b"two")), ("same", Some(b"3"))]).await;
    let agreed = lock(&bench.baseline).clone();
    bench
        .apply(vec![
            bench.put("added", b"new", Expected::Absent),
            bench.put("changed", b"other", present(&versions[0], b"one")),
            remove("gone", file(b"two"), present(&versions[1], b"two")),
        ])
        .await;
    *lock(&bench.baseline) = agreed;
    let snapshot = bench.scan().await;
    let seen: Vec<_> = snapshot
        .changes
        .iter()
        .filter(|change| change.now != Seen::Ignored)
        .map(|change| (change.path.as_str(), change.was.is_some(), change.now.found().is_some()))
        .collect();
    assert_eq!(seen, [("added", false, true), ("changed", true, true), ("gone", true, false)]);
    assert_eq!(snapshot.changes.iter().filter(|change| change.now == Seen::Absent).count(), 1);
    assert_eq!(snapshot.count, 3);
}

async fn a_removal_of_much_is_seen_as_absent(bench: &Bench) {
    let paths: Vec<String> = (0..40).map(|number| format!("d/{}/f{number:02}", number % 3)).collect();
    let items: Vec<(&str, Option<&[u8]>)> =
        paths.iter().map(|path| (path.as_str(), Some(&b"x"[..]))).collect();
    let versions = bench.given(&items).await;
    let agreed = lock(&bench.baseline).clone();
    let steps =
        paths.iter().zip(&versions).map(|(path, version)| remove(path, file(b"x"), present(version, b"x")));
    bench.apply(steps.collect()).await.iter().for_each(|outcome| drop(applied(outcome)));
    *lock(&bench.baseline) = agreed;
    let snapshot = bench.scan().await;
    let absent = snapshot.changes.iter().filter(|change| change.now == Seen::Absent).count();
    assert!(snapshot.complete);
    assert_eq!(absent, 40);
    assert!(snapshot.changes.is_sorted_by(|a, b| a.path < b.path), "in path order, one for each path");
}

async fn a_partial_scan_looks_only_where_it_is_told(bench: &Bench) {
    bench
        .given(&[("a/one", Some(b"1")), ("a/two", Some(b"2")), ("b/one", Some(b"1")), ("c", Some(b"c"))])
        .await;
    let agreed = lock(&bench.baseline).clone();
    let version = bench.version("a/two").await.expect("it is there");
    let other = bench.version("b/one").await.expect("it is there");
    bench
        .apply(vec![
            bench.put("a/new/deep", b"n", Expected::Absent),
            bench.put("b/one", b"changed", present(&other, b"1")),
            remove("a/two", file(b"2"), present(&version, b"2")),
        ])
        .await;
    *lock(&bench.baseline) = agreed;
    let only = Some(vec![at("a/new"), at("a/two"), at("c"), at("nothing/here")]);
    let snapshot =
        bench.endpoint.scan(ScanRequest { only, ..bench.request() }).await.expect("a scan succeeds");
    let is_item = |seen: &Seen| seen.found().is_none_or(|found| !found.item.kind.is_directory());
    let changes = snapshot.changes.iter().filter(|change| is_item(&change.now));
    let paths: Vec<&str> = changes.map(|change| change.path.as_str()).collect();
    assert_eq!(paths, ["a/new/deep", "a/two"]);
    assert!(snapshot.complete);
    let only = Some(vec![at("a"), at("a/new")]);
    let snapshot =
        bench.endpoint.scan(ScanRequest { only, ..bench.request() }).await.expect("a scan succeeds");
    let changes =
        snapshot.changes.iter().filter(|change| is_item(&change.now) && change.path.as_str() != "a");
    assert_eq!(changes.count(), 2);
}

async fn odd_names_are_kept_as_they_are(bench: &Bench) {
    let long = "x".repeat(255);
    let names = [
        "with space",
        "line\nbreak",
        "quote\"'`$&|;<>*?",
        "-dash",
        "тест",
        "emoji-🦀",
        "back\\slash",
        "..dots..",
        " leading",
        "e\u{301}-decomposed",
        "\u{202e}rtl",
        "tab\t",
        "%2e%2e",
        "~",
        "#",
        &long,
    ];
    let items: Vec<(&str, Option<&[u8]>)> = names.iter().map(|name| (*name, Some(name.as_bytes()))).collect();
    bench.given(&items).await;
    let mut expected: Vec<&str> = names.to_vec();
    expected.sort_unstable();
    assert_eq!(bench.files().await, expected);
    for name in names {
        assert_eq!(bench.content(name).await.as_deref(), Some(name.as_bytes()), "{name:?}");
    }
}

async fn protected_paths_are_refused(bench: &Bench) {
    let version = bench.given(&[("a", Some(b"one"))]).await.remove(0);
    let names =
        [".git/config", "sub/.GIT/hooks/post-checkout", ".syncline/state.db", "git~1", ".g\u{200c}it", ".hg"];
    let mut steps: Vec<_> = names.iter().map(|name| bench.put(name, b"evil", Expected::Absent)).collect();
    steps.push(rename("a", ".git/a", &version, file(b"one")));
    for outcome in bench.apply(steps).await {
        assert!(matches!(outcome, Outcome::Failed(_) | Outcome::Refused { .. }), "{outcome:?}");
    }
    assert_eq!(bench.files().await, ["a"]);
}

async fn a_large_item_arrives_whole(bench: &Bench) {
    let bytes: Vec<u8> =
        (0..(5_u32 << 20) / 4).flat_map(|number| number.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    bench.given(&[("large", Some(&bytes))]).await;
    assert_eq!(bench.content("large").await.map(|read| Digest::of(&read)), Some(Digest::of(&bytes)));
}

async fn an_empty_item_has_its_digest_at_once(bench: &Bench) {
    bench.given(&[("empty", Some(b""))]).await;
    let tree = bench.tree().await;
    let item = &tree["empty"].found().expect("it is present").item;
    assert_eq!((item.digest, item.size), (Some(Digest::of(b"")), 0));
}

async fn the_sentinel_is_seen(bench: &Bench) {
    let request = || ScanRequest { sentinel: Some(at("guards/sentinel")), ..bench.request() };
    assert_eq!(bench.endpoint.scan(request()).await.expect("a scan succeeds").sentinel, Some(false));
    bench.given(&[("guards/sentinel", Some(b""))]).await;
    assert_eq!(bench.endpoint.scan(request()).await.expect("a scan succeeds").sentinel, Some(true));
}

async fn a_mark_stays(bench: &Bench) {
    for word in ["first", "second", "second"] {
        bench.apply_with_mark(Vec::new(), Some(Mark(word.into()))).await;
        let snapshot = bench.scan().await;
        assert_eq!(snapshot.mark, Some(Mark(word.into())));
        assert!(snapshot.changes.iter().all(|change| change.now == Seen::Ignored), "a mark is no item");
    }
    let other = ScanRequest { mark: "another".into(), ..bench.request() };
    assert_eq!(bench.endpoint.scan(other).await.expect("a scan succeeds").mark, None);
}

async fn empty_directories_are_kept(bench: &Bench) {
    bench.given(&[("a", None), ("a/b", None)]).await;
    let tree = bench.tree().await;
    assert_eq!(tree.keys().collect::<Vec<_>>(), ["a", "a/b"]);
    assert!(tree.values().all(|seen| seen.found().is_some_and(|found| found.version == Version::none())));
    let outcomes = bench.apply(vec![directory("a")]).await;
    assert!(matches!(outcomes[0], Outcome::Refused { .. }), "{outcomes:?}");
}

/// What is expected of a directory.
fn there() -> Expected {
    Expected::Present { version: Version::none(), keep: None }
}

async fn a_directory_that_is_not_empty_is_not_removed(bench: &Bench) {
    bench.given(&[("a", None), ("a/b", Some(b"work"))]).await;
    let outcomes = bench.apply(vec![remove("a", Item::directory(), there())]).await;
    assert!(matches!(outcomes[0], Outcome::Refused { .. }), "{outcomes:?}");
    assert_eq!(bench.content("a/b").await.as_deref(), Some(&b"work"[..]));
}

async fn an_empty_directory_gives_way_to_a_file(bench: &Bench) {
    bench.given(&[("a", None)]).await;
    applied(&bench.apply(vec![bench.put("a", b"file", there())]).await[0]);
    assert_eq!(bench.content("a").await.as_deref(), Some(&b"file"[..]));
}

async fn a_directory_that_is_not_empty_does_not_give_way(bench: &Bench) {
    bench.given(&[("a", None), ("a/b", Some(b"work"))]).await;
    let outcomes = bench.apply(vec![bench.put("a", b"file", there())]).await;
    assert!(matches!(outcomes[0], Outcome::Refused { .. }), "{outcomes:?}");
    assert_eq!(bench.content("a/b").await.as_deref(), Some(&b"work"[..]));
}

async fn a_file_gives_way_to_a_directory(bench: &Bench) {
    let version = bench.given(&[("a", Some(b"file"))]).await.remove(0);
    let mut step = directory("a");
    step.expected = present(&version, b"file");
    let outcomes = bench.apply(vec![step, bench.put("a/b", b"below", Expected::Absent)]).await;
    outcomes.iter().for_each(|outcome| drop(applied(outcome)));
    assert_eq!(bench.content("a/b").await.as_deref(), Some(&b"below"[..]));
    assert_eq!(bench.history.durable(&Digest::of(b"file")).as_deref(), Some(&b"file"[..]));
}

async fn children_go_before_their_directory(bench: &Bench) {
    let versions = bench.given(&[("a", None), ("a/b", None), ("a/b/c", Some(b"c"))]).await;
    let outcomes = bench
        .apply(vec![
            remove("a/b/c", file(b"c"), present(&versions[2], b"c")),
            remove("a/b", Item::directory(), there()),
            remove("a", Item::directory(), there()),
        ])
        .await;
    outcomes.iter().for_each(|outcome| drop(applied(outcome)));
    assert!(bench.tree().await.is_empty());
}

async fn a_link_is_kept_and_not_followed(bench: &Bench) {
    let target = b"../outside/\xc3\xbc";
    let link = bench.put_kind("link", Kind::Symlink, target, Expected::Absent);
    let version = applied(&bench.apply(vec![link]).await[0]);
    let tree = bench.tree().await;
    let found = tree["link"].found().expect("it is present");
    assert_eq!((found.item.kind, found.item.digest), (Kind::Symlink, Some(Digest::of(target))));
    assert_eq!(bench.content("link").await.as_deref(), Some(&target[..]));
    let link = bench.put_kind("link", Kind::Symlink, b"elsewhere", present(&version, target));
    let version = applied(&bench.apply(vec![link]).await[0]);
    assert_eq!(bench.history.durable(&Digest::of(target)).as_deref(), Some(&target[..]));
    applied(&bench.apply(vec![bench.put("link", b"a file now", present(&version, b"elsewhere"))]).await[0]);
    assert_eq!(bench.content("link").await.as_deref(), Some(&b"a file now"[..]));
}

async fn nothing_is_written_through_a_link(bench: &Bench) {
    bench.given(&[("real/kept", Some(b"kept"))]).await;
    let link = bench.put_kind("link", Kind::Symlink, b"real", Expected::Absent);
    applied(&bench.apply(vec![link]).await[0]);
    let outcomes = bench.apply(vec![bench.put("link/new", b"evil", Expected::Absent)]).await;
    assert!(!matches!(outcomes[0], Outcome::Applied { .. }), "{outcomes:?}");
    assert_eq!(bench.files().await, ["link", "real/kept"]);
    let version = bench.version("real/kept").await.expect("it is there");
    bench.endpoint.read(&at("link/kept"), &version).await.expect_err("nothing is read through a link");
}

async fn the_executable_bit_is_kept(bench: &Bench) {
    let script = Kind::File { executable: true };
    let step = bench.put_kind("run.sh", script, b"#!/bin/sh\n", Expected::Absent);
    let version = applied(&bench.apply(vec![step]).await[0]);
    assert_eq!(bench.tree().await["run.sh"].found().expect("it is present").item.kind, script);
    let step = bench.put("run.sh", b"#!/bin/sh\n", present(&version, b"#!/bin/sh\n"));
    applied(&bench.apply(vec![step]).await[0]);
    assert_eq!(bench.tree().await["run.sh"].found().expect("it is present").item.kind, Kind::FILE);
}

async fn an_item_is_moved(bench: &Bench) {
    let version = bench.given(&[("a", Some(b"one"))]).await.remove(0);
    let moved = applied(&bench.apply(vec![rename("a", "deep/down/b", &version, file(b"one"))]).await[0]);
    assert_eq!(bench.files().await, ["deep/down/b"]);
    assert_eq!(bench.content("deep/down/b").await.as_deref(), Some(&b"one"[..]));
    let step = bench.put("deep/down/b", b"two", present(&moved, b"one"));
    applied(&bench.apply(vec![step]).await[0]);
    let outcomes = bench.apply(vec![rename("gone", "c", &version, file(b"one"))]).await;
    assert!(matches!(outcomes[0], Outcome::Refused { .. }), "{outcomes:?}");
}

async fn a_move_never_overwrites(bench: &Bench) {
    let version = bench.given(&[("a", Some(b"one")), ("b", Some(b"two"))]).await.remove(0);
    let outcomes = bench.apply(vec![rename("a", "b", &version, file(b"one"))]).await;
    assert!(matches!(outcomes[0], Outcome::Refused { .. }), "{outcomes:?}");
    assert_eq!(bench.content("a").await.as_deref(), Some(&b"one"[..]));
    assert_eq!(bench.content("b").await.as_deref(), Some(&b"two"[..]));
}

async fn a_directory_is_moved_with_its_items(bench: &Bench) {
    let versions = bench.given(&[("a", None), ("a/b", Some(b"one"))]).await;
    let outcomes = bench.apply(vec![rename("a", "z/a", &Version::none(), Item::directory())]).await;
    assert_eq!(applied(&outcomes[0]), Version::none());
    assert_eq!(bench.version("z/a/b").await.as_ref(), Some(&versions[1]), "versions below stay as they were");
    assert_eq!(bench.files().await, ["z/a/b"]);
}

async fn names_that_fold_together_do_not_overwrite(bench: &Bench) {
    bench.given(&[("foo", Some(b"one"))]).await;
    let outcomes = bench.apply(vec![bench.put("Foo", b"two", Expected::Absent)]).await;
    assert!(matches!(outcomes[0], Outcome::Refused { .. }), "{outcomes:?}");
    assert_eq!(bench.content("foo").await.as_deref(), Some(&b"one"[..]));
}

async fn unreadable_is_not_absent(bench: &Bench) {
    bench.given(&[("open", Some(b"1")), ("shut/a", Some(b"2")), ("shut/b/c", Some(b"3"))]).await;
    if let Some(make_unreadable) = &bench.make_unreadable {
        make_unreadable("shut");
    }
    let snapshot = bench.scan().await;
    let shut = snapshot.changes.iter().find(|change| change.path == at("shut")).expect("it is reported");
    assert!(matches!(shut.now, Seen::Unreadable(_)), "{shut:?}");
    assert!(!snapshot.changes.iter().any(|change| change.now == Seen::Absent), "{snapshot:?}");
    let modified = snapshot.changes.iter().find(|change| change.path.is_below("shut"));
    assert_eq!(modified, None, "nothing below it is reported");
}

async fn a_directory_that_the_batch_made_on_the_way_is_no_surprise(bench: &Bench) {
    let version = bench.given(&[("a", Some(b"one"))]).await.remove(0);
    let steps = vec![
        rename("a", "new/sub/a", &version, file(b"one")),
        directory("new"),
        directory("new/sub"),
        bench.put("new/b", b"two", Expected::Absent),
    ];
    bench.apply(steps).await.iter().for_each(|outcome| drop(applied(outcome)));
    assert_eq!(bench.files().await, ["new/b", "new/sub/a"]);
}

async fn a_new_directory_meets_one_that_is_there(bench: &Bench) {
    bench
        .given(&[("d", None), ("d/sub", None), ("d/sub/mine", Some(b"mine")), ("d/same", Some(b"mine"))])
        .await;
    let steps = vec![
        directory("d"),
        directory("d/sub"),
        directory("d/other"),
        bench.put("d/same", b"theirs", Expected::Absent),
        bench.put("d/sub/new", b"new", Expected::Absent),
        bench.put("d/other/new", b"new", Expected::Absent),
    ];
    let outcomes = bench.apply(steps).await;
    let done: Vec<bool> = outcomes.iter().map(|outcome| matches!(outcome, Outcome::Applied { .. })).collect();
    assert_eq!(done, [false, false, true, false, true, true], "{outcomes:?}");
    assert_eq!(bench.files().await, ["d/other/new", "d/same", "d/sub/mine", "d/sub/new"]);
    assert_eq!(bench.content("d/same").await.as_deref(), Some(&b"mine"[..]));
}
