//! The Git endpoint over bare repositories in folders: what others do to a branch, and hostile repositories.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::json;
use syncline_connect::{Endpoint as _, ErrorKind, ScanRequest};
use syncline_connectors::endpoints::git::GitEndpoint;
use syncline_core::{
    Action, Digest, Expected, Item, ItemPath, Kind, Mark, MemoryBaseline, Outcome, Root, Seen, Source, Step,
};

use crate::git_support::{Repository, git_with};
use crate::support::{agreed, at, new, paths, present, put, remove, request, seen};

fn is_applied(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Applied { .. })
}

/// A step that puts `new:<path>` as another kind of item.
fn put_as(kind: Kind, path: &str) -> Step {
    let mut step = put(path, Expected::Absent);
    if let Action::Write { item, .. } = &mut step.action {
        item.kind = kind;
    }
    step
}

fn rename(from: &str, to: &str, version: &syncline_core::Version, content: &[u8]) -> Step {
    let item = Item {
        kind: Kind::FILE,
        digest: Some(Digest::of(content)),
        size: content.len() as u64,
        modified: crate::support::OLD,
    };
    let action = Action::Move { from: at(from), version: version.clone(), item };
    Step { path: at(to), expected: Expected::Absent, action, ..put(to, Expected::Absent) }
}

#[tokio::test]
async fn the_first_push_makes_the_branch_in_one_commit() {
    let repository = Repository::new();
    let git = repository.open(json!({ "message": "Sync of {files} by {run}" }));
    let snapshot = git.scan().await;
    assert!(snapshot.root == Root::Present && snapshot.complete && snapshot.changes.is_empty());
    let steps = vec![
        put("a/b", Expected::Absent),
        put_as(Kind::File { executable: true }, "run.sh"),
        put_as(Kind::Symlink, "link"),
    ];
    assert!(git.apply(steps).await.iter().all(is_applied));
    assert_eq!(repository.listed(), ["100644 a/b", "120000 link", "100755 run.sh"]);
    assert_eq!(repository.content("a/b"), "new:a/b");
    let told = repository.git(&["log", "--format=%an <%ae> %cn %s", "main"]);
    assert_eq!(told, "Tester <tester@example.org> Tester Sync of 3 by run-1\n");
    repository.git(&["fsck", "--strict"]);
}

#[tokio::test]
async fn a_known_tip_is_not_listed_again_and_a_damaged_mirror_is_made_anew() {
    let repository = Repository::new();
    repository.commit(&[("a", Some("one")), ("b/c", Some("two"))]);
    let git = repository.open(json!({}));
    let baseline = agreed(&git.scan().await);
    assert_eq!(git.scan_against(baseline.clone()).await.changes, []);
    let objects = repository.mirror().join("repository.git/objects");
    std::fs::remove_dir_all(&objects).unwrap();
    let snapshot = git.scan_against(baseline.clone()).await;
    assert_eq!((snapshot.changes.len(), snapshot.count, snapshot.complete), (0, 2, true));
    assert!(!objects.exists(), "nothing needed an object");
    // Another baseline has not been compared with this commit.
    assert_eq!(paths(&git.scan().await), ["a", "b/c"]);
    assert_eq!(git.read("b/c", &git.version("b/c").await).await, "two");
    // Rules count too.
    let filter = syncline_core::Filter::new(&[], &["b".into()], None, Vec::new()).unwrap();
    let snapshot = git.scan_with(ScanRequest { filter: Arc::new(filter), ..request(baseline) }).await;
    assert_eq!(seen(&snapshot, "b"), Some(&Seen::Ignored));
}

#[tokio::test]
async fn what_the_rules_leave_out_is_told_each_time() {
    let repository = Repository::new();
    repository.commit(&[("a", Some("one")), ("out/c", Some("two"))]);
    let git = repository.open(json!({}));
    let filter = Arc::new(syncline_core::Filter::new(&[], &["out".into()], None, Vec::new()).unwrap());
    let with = |baseline: MemoryBaseline| ScanRequest { filter: Arc::clone(&filter), ..request(baseline) };
    let baseline = agreed(&git.scan_with(with(MemoryBaseline::default())).await);
    for _ in 0..3 {
        let snapshot = git.scan_with(with(baseline.clone())).await;
        assert_eq!((snapshot.changes.len(), snapshot.count), (1, 1));
        assert_eq!(seen(&snapshot, "out"), Some(&Seen::Ignored));
    }
}

#[tokio::test]
async fn a_mirror_with_a_broken_object_is_made_anew_while_reading() {
    let repository = Repository::new();
    repository.commit(&[("a", Some("one"))]);
    let git = repository.open(json!({}));
    let version = git.version("a").await;
    let objects = repository.mirror().join("repository.git/objects");
    std::fs::remove_dir_all(&objects).unwrap();
    std::fs::create_dir(&objects).unwrap();
    let again = repository.open(json!({}));
    assert_eq!(again.read("a", &version).await, "one");
}

#[tokio::test]
async fn a_mirror_with_a_broken_object_is_made_anew_while_writing() {
    let repository = Repository::new();
    repository.commit(&[("a", Some("one"))]);
    let git = repository.open(json!({}));
    let version = git.version("a").await;
    // The tip is known and can be listed, but the old content cannot be had.
    let mirror = repository.mirror().join("repository.git");
    for entry in std::fs::read_dir(mirror.join("objects/pack")).unwrap() {
        let file = entry.unwrap().path();
        let bytes = std::fs::read(&file).unwrap();
        std::fs::remove_file(&file).unwrap();
        if file.extension().is_some_and(|extension| extension == "pack") {
            git_with(&mirror, &["unpack-objects", "-q"], &bytes);
        }
    }
    let blob = repository.git(&["rev-parse", "main:a"]);
    let (folder, name) = blob.trim().split_at(2);
    std::fs::remove_file(mirror.join("objects").join(folder).join(name)).unwrap();
    let git = repository.open(json!({}));
    let outcomes = git.apply(vec![put("a", present(&version, b"one"))]).await;
    assert!(is_applied(&outcomes[0]), "{outcomes:?}");
    assert_eq!(git.history.durable(&Digest::of(b"one")).as_deref(), Some(&b"one"[..]));
}

#[tokio::test]
async fn what_others_push_meanwhile_stays_and_their_paths_are_refused() {
    let repository = Arc::new(Repository::new());
    repository.commit(&[("mine", Some("one")), ("theirs", Some("one"))]);
    let git = repository.open(json!({}));
    let (mine, theirs) = (git.version("mine").await, git.version("theirs").await);
    let (other, once) = (Arc::clone(&repository), AtomicBool::new(false));
    let steps = vec![
        put("mine", present(&mine, b"one")),
        put("theirs", present(&theirs, b"one")),
        put("new", Expected::Absent),
    ];
    let batch = git.batch(steps, move |_| {
        if !once.swap(true, Ordering::Relaxed) {
            other.commit(&[("theirs", Some("two")), ("more", Some("more"))]);
        }
    });
    let outcomes = git.endpoint.apply(batch).await.unwrap();
    assert!(is_applied(&outcomes[0]) && is_applied(&outcomes[2]), "{outcomes:?}");
    assert!(matches!(outcomes[1], Outcome::Refused { .. }), "{outcomes:?}");
    assert_eq!(repository.content("theirs"), "two");
    assert_eq!(repository.content("more"), "more");
    assert_eq!(repository.content("mine"), "new:mine");
    assert_eq!(repository.count(), 3, "one commit of the batch, on top of the other one");
    let told = repository.git(&["log", "-1", "--format=%s", "main"]);
    assert_eq!(told, "Batch sync: 2 files\n");
    assert_eq!(git.history.durable(&Digest::of(b"one")).as_deref(), Some(&b"one"[..]));
}

#[tokio::test]
async fn a_branch_that_is_rewritten_under_a_batch_is_not_written() {
    let repository = Arc::new(Repository::new());
    let first = repository.commit(&[("a", Some("one"))]);
    repository.commit(&[("a", Some("two"))]);
    let git = repository.open(json!({}));
    let version = git.version("a").await;
    let other = Arc::clone(&repository);
    let batch = git.batch(vec![put("a", present(&version, b"two")), put("b", Expected::Absent)], move |_| {
        other.git(&["update-ref", "refs/heads/main", &first]);
    });
    let outcomes = git.endpoint.apply(batch).await.unwrap();
    assert!(outcomes.iter().all(|outcome| matches!(outcome, Outcome::Refused { .. })), "{outcomes:?}");
    assert_eq!(repository.listed(), ["100644 a"]);
    assert_eq!(repository.content("a"), "one");
}

#[tokio::test]
async fn a_mark_counts_until_something_is_taken_back() {
    let repository = Repository::new();
    let first = repository.commit(&[("a", Some("one"))]);
    repository.commit(&[("a", Some("two"))]);
    let git = repository.open(json!({}));
    git.scan().await;
    git.leave("word").await;
    let word = Some(Mark("word".into()));
    assert_eq!(git.scan().await.mark, word);
    let third = repository.commit(&[("b", Some("three"))]);
    assert_eq!(git.scan().await.mark, word, "the branch went on");
    repository.git(&["update-ref", "refs/heads/main", &first]);
    assert_eq!(git.scan().await.mark, None, "a backup was restored");
    repository.git(&["update-ref", "refs/heads/main", &third]);
    assert_eq!(git.scan().await.mark, word);
    repository.git(&["update-ref", "-d", "refs/heads/main"]);
    repository.commit(&[("b", Some("other"))]);
    assert_eq!(git.scan().await.mark, None, "the history is another one");
}

#[tokio::test]
async fn a_mark_belongs_to_its_folder_of_the_repository() {
    let repository = Repository::new();
    repository.commit(&[("docs/a", Some("one")), ("notes/b", Some("one"))]);
    let docs = repository.open(json!({ "path": "docs" }));
    docs.scan().await;
    docs.leave("word").await;
    assert_eq!(docs.scan().await.mark, Some(Mark("word".into())));
    for other in ["notes", ""] {
        assert_eq!(repository.open(json!({ "path": other })).scan().await.mark, None, "{other:?}");
    }
}

#[test]
fn a_bare_repository_inside_the_workspace_is_refused() {
    let repository = Repository::new();
    let work = repository.path("work");
    for (name, refused) in [("hub.git", true), ("a/hub", true), (".git", false)] {
        git_with(&work, &["init", "--quiet", "--bare", name], b"");
        let settings = json!({ "url": name });
        let opened = GitEndpoint::open(&repository.request(&settings));
        assert_eq!(opened.is_err(), refused, "{name}");
    }
}

#[tokio::test]
async fn a_mark_outlives_a_damaged_mirror_but_not_a_lost_one() {
    let repository = Repository::new();
    repository.commit(&[("a", Some("one"))]);
    let git = repository.open(json!({}));
    git.scan().await;
    git.leave("word").await;
    repository.commit(&[("a", Some("two"))]);
    std::fs::remove_dir_all(repository.mirror().join("repository.git")).unwrap();
    repository.commit(&[("a", Some("three"))]);
    let git = repository.open(json!({}));
    assert_eq!(git.scan().await.mark, Some(Mark("word".into())));
    std::fs::remove_dir_all(repository.path("state")).unwrap();
    let git = repository.open(json!({}));
    assert_eq!(git.scan().await.mark, None);
}

#[tokio::test]
async fn a_branch_that_is_gone_is_a_missing_root_and_never_absence() {
    let repository = Repository::new();
    let tip = repository.commit(&[("a", Some("one"))]);
    let git = repository.open(json!({ "branch": "main" }));
    let baseline = agreed(&git.scan().await);
    repository.git(&["update-ref", "-d", "refs/heads/main"]);
    let snapshot = git.scan_against(baseline.clone()).await;
    assert!(snapshot.root == Root::Missing && snapshot.changes.is_empty(), "{snapshot:?}");
    // Also for one who has lost the mirror.
    std::fs::remove_dir_all(repository.path("state")).unwrap();
    let again = repository.open(json!({ "branch": "main" }));
    assert_eq!(again.scan_against(baseline.clone()).await.root, Root::Missing);
    // A commit that empties the branch is another matter: that is what somebody committed.
    repository.git(&["update-ref", "refs/heads/main", &tip]);
    repository.commit(&[("a", None)]);
    let snapshot = git.scan_against(baseline.clone()).await;
    assert!(snapshot.root == Root::Present && snapshot.complete && snapshot.count == 0);
    assert_eq!(seen(&snapshot, "a"), Some(&Seen::Absent));
    std::fs::remove_dir_all(repository.bare()).unwrap();
    let error = git.endpoint.scan(request(baseline)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.hint().is_some() && git.endpoint.check().await.is_err());
}

#[tokio::test]
async fn a_refusal_of_the_repository_is_told_in_its_words() {
    let repository = Repository::new();
    repository.commit(&[("a", Some("one"))]);
    let git = repository.open(json!({}));
    git.scan().await;
    hook(&repository.bare().join("hooks/pre-receive"), "echo 'no pushes on \u{1b}[31mSunday' >&2; exit 1");
    let error = git.endpoint.apply(git.batch(vec![put("b", Expected::Absent)], |_| {})).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied);
    assert!(error.to_string().contains("Sunday") && !error.to_string().contains('\u{1b}'), "{error}");
    assert_eq!(repository.count(), 1);
    std::fs::remove_file(repository.bare().join("hooks/pre-receive")).unwrap();
    assert!(git.apply(vec![put("b", Expected::Absent)]).await.iter().all(is_applied), "nothing is stuck");
}

#[tokio::test]
async fn a_push_whose_answer_is_lost_has_happened_once() {
    let repository = Repository::new();
    repository.commit(&[("a", Some("one"))]);
    let git = repository.open(json!({}));
    git.scan().await;
    hook(&repository.bare().join("hooks/post-update"), "kill -9 $PPID");
    let outcomes = git.apply(vec![put("b", Expected::Absent)]).await;
    assert!(is_applied(&outcomes[0]), "{outcomes:?}");
    assert_eq!((repository.count(), repository.content("b")), (2, "new:b".to_owned()));
}

#[tokio::test]
async fn hooks_in_the_mirror_never_run() {
    let repository = Repository::new();
    repository.commit(&[("a", Some("one"))]);
    let git = repository.open(json!({}));
    git.scan().await;
    let canary = repository.path("canary");
    let hooks = repository.mirror().join("repository.git/hooks");
    std::fs::create_dir_all(&hooks).unwrap();
    for name in
        ["reference-transaction", "pre-push", "pre-commit", "commit-msg", "post-commit", "pre-auto-gc"]
    {
        hook(&hooks.join(name), &format!("touch '{}'", canary.display()));
    }
    repository.commit(&[("a", Some("two"))]);
    git.scan().await;
    assert!(git.apply(vec![put("b", Expected::Absent)]).await.iter().all(is_applied));
    assert!(!canary.exists());
}

#[tokio::test]
async fn hostile_names_are_told_and_never_items() {
    let repository = Repository::new();
    let blob = git_with(&repository.bare(), &["hash-object", "-w", "--stdin"], b"evil");
    let (blob, mut names) = (blob.trim(), Vec::new());
    let below = tree(&repository, &format!("100755 blob {blob}\tpost-checkout\0"));
    let inner = tree(&repository, &format!("040000 tree {below}\thooks\0"));
    let mut lines = String::new();
    for name in ["..", ".GIT", ".git", ".git ", ".g\u{200c}it", "GIT~1"] {
        names.push((name, format!("040000 tree {inner}\t{name}\0")));
    }
    for name in [".git::$DATA", "sub\\.git\\config", "..\\up"] {
        names.push((name, format!("100644 blob {blob}\t{name}\0")));
    }
    for name in [".gitmodules", ".GitAttributes", "gitmod~1"] {
        names.push((name, format!("120000 blob {blob}\t{name}\0")));
    }
    names.iter().for_each(|(_, line)| lines.push_str(line));
    lines.push_str(&format!("100644 blob {blob}\tfine\0"));
    let top = tree(&repository, &lines);
    let commit = repository.git(&["commit-tree", "-m", "hostile", &top]);
    repository.git(&["update-ref", "refs/heads/main", commit.trim()]);
    let git = repository.open(json!({}));
    let snapshot = git.scan().await;
    let items: Vec<&str> = snapshot
        .changes
        .iter()
        .filter(|change| change.now.found().is_some())
        .map(|change| change.path.as_str())
        .collect();
    assert_eq!(items, ["fine"]);
    let unreadable = snapshot.changes.iter().filter_map(|change| match &change.now {
        Seen::Unreadable(problem) => Some(problem),
        _ => None,
    });
    let told: Vec<&str> =
        snapshot.problems.iter().chain(unreadable).map(|problem| problem.path.as_str()).collect();
    for (name, _) in &names {
        assert!(told.iter().any(|path| path.starts_with(name)), "{name:?} is not told: {told:?}");
    }
    // What is there stays as it is beside a commit.
    assert!(git.apply(vec![put("more", Expected::Absent)]).await.iter().all(is_applied));
    assert_eq!(repository.git(&["ls-tree", "--name-only", "main"]).lines().count(), names.len() + 2);
}

fn tree(repository: &Repository, lines: &str) -> String {
    git_with(&repository.bare(), &["mktree", "-z", "--missing"], lines.as_bytes()).trim().to_owned()
}

#[tokio::test]
async fn links_that_git_obeys_are_not_written() {
    let repository = Repository::new();
    let git = repository.open(json!({}));
    for path in [".gitmodules", "a/.gitattributes", ".GitIgnore"] {
        let outcomes = git.apply(vec![put_as(Kind::Symlink, path)]).await;
        assert!(matches!(&outcomes[0], Outcome::Failed(problem) if problem.code == "protected"), "{path}");
    }
    assert_eq!(repository.tip(), None, "nothing was pushed");
    assert!(git.apply(vec![put(".gitmodules", Expected::Absent)]).await.iter().all(is_applied));
}

#[tokio::test]
async fn repositories_that_break_the_format_are_refused_whole() {
    let repository = Repository::new();
    let blob = git_with(&repository.bare(), &["hash-object", "-w", "--stdin"], b"x");
    let blob = blob.trim();
    let lines = format!("100644 blob {blob}\ta\0100644 blob {blob}\ta\0");
    let top = tree(&repository, &lines);
    let commit = repository.git(&["commit-tree", "-m", "twice", &top]);
    repository.git(&["update-ref", "refs/heads/main", commit.trim()]);
    let git = repository.open(json!({}));
    let error = git.endpoint.scan(request(MemoryBaseline::default())).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error:?}");
}

#[tokio::test]
async fn submodules_and_lfs_pointers_travel_as_they_are() {
    let repository = Repository::new();
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n";
    repository.commit(&[("large.bin", Some(pointer))]);
    let other = "1234567890123456789012345678901234567890";
    let listed = repository.git(&["ls-tree", "-z", "main"]);
    let top = tree(&repository, &format!("{listed}160000 commit {other}\tvendor\0"));
    let parent = repository.tip().unwrap();
    let commit = repository.git(&["commit-tree", "-m", "submodule", "-p", &parent, &top]);
    repository.git(&["update-ref", "refs/heads/main", commit.trim()]);
    let git = repository.open(json!({}));
    let snapshot = git.scan().await;
    assert!(
        matches!(seen(&snapshot, "vendor"), Some(Seen::Unreadable(problem)) if problem.code == "special_file")
    );
    assert_eq!(git.read("large.bin", &git.version("large.bin").await).await, pointer);
    let outcomes = git
        .apply(vec![
            put("vendor", Expected::Absent),
            put("vendor/inside", Expected::Absent),
            put("beside", Expected::Absent),
        ])
        .await;
    assert!(matches!(outcomes[0], Outcome::Refused { .. }) && matches!(outcomes[1], Outcome::Refused { .. }));
    assert!(is_applied(&outcomes[2]));
    assert!(repository.git(&["ls-tree", "main", "vendor"]).contains(&format!("160000 commit {other}")));
}

#[tokio::test]
async fn a_folder_of_the_repository_can_be_the_root() {
    let repository = Repository::new();
    repository.commit(&[("docs/a", Some("one")), ("docs/deep/b", Some("two")), ("src/c", Some("three"))]);
    let git = repository.open(json!({ "path": "docs" }));
    assert_eq!(paths(&git.scan().await), ["a", "deep/b"]);
    let version = git.version("a").await;
    let steps = vec![put("a", present(&version, b"one")), put("new/x", Expected::Absent)];
    assert!(git.apply(steps).await.iter().all(is_applied));
    assert_eq!(
        repository.listed(),
        ["100644 docs/a", "100644 docs/deep/b", "100644 docs/new/x", "100644 src/c"]
    );
    let file = repository.open(json!({ "path": "src/c" }));
    assert_eq!(file.scan().await.root, Root::WrongType("file"));
    let outcomes = file.apply(vec![put("x", Expected::Absent)]).await;
    assert!(matches!(outcomes[0], Outcome::Refused { .. }), "{outcomes:?}");
    let missing = repository.open(json!({ "path": "none/yet" }));
    let snapshot = missing.scan().await;
    assert!(snapshot.root == Root::Present && snapshot.count == 0);
}

#[tokio::test]
async fn a_rename_by_others_is_known_without_reading() {
    let repository = Repository::new();
    repository.commit(&[("old", Some("content"))]);
    let git = repository.open(json!({}));
    let baseline = agreed(&git.scan().await);
    repository.commit(&[("old", None), ("folder/new", Some("content"))]);
    let snapshot = git.scan_against(baseline).await;
    let found = seen(&snapshot, "folder/new").and_then(Seen::found).unwrap();
    assert_eq!(
        (found.item.digest, found.item.size),
        (Some(Digest([7; 32])), 7),
        "the digest of the baseline"
    );
    assert_eq!(found.item.modified, 1_700_000_000_000_000_000);
}

#[tokio::test]
async fn a_change_has_the_time_of_the_commit_that_made_it() {
    let repository = Repository::new();
    repository.commit(&[("docs/a", Some("one")), ("docs/b", Some("one"))]);
    let git = repository.open(json!({ "path": "docs" }));
    let baseline = agreed(&git.scan().await);
    git.leave("word").await;
    repository.commit(&[("docs/a", Some("two"))]);
    let parent = repository.tip().unwrap();
    let later = format!(
        "commit refs/heads/main\ncommitter Other <o@x> 1800000000 +0000\ndata 1\nx\nfrom {parent}\nM 100644 inline \
         docs/b\ndata 3\ntwo\n"
    );
    git_with(&repository.bare(), &["fast-import", "--quiet"], later.as_bytes());
    let snapshot = git.scan_against(baseline).await;
    let seconds = |path| seen(&snapshot, path).and_then(Seen::found).unwrap().item.modified / 1_000_000_000;
    assert_eq!((seconds("a"), seconds("b")), (1_700_000_000, 1_800_000_000));
}

#[tokio::test]
async fn files_and_folders_change_places() {
    let repository = Repository::new();
    repository.commit(&[("a", Some("one")), ("b/c", Some("two"))]);
    let git = repository.open(json!({}));
    let (a, c) = (git.version("a").await, git.version("b/c").await);
    let steps = vec![
        remove("a", &a, b"one"),
        remove("b/c", &c, b"two"),
        put("a/inside", Expected::Absent),
        put("b", Expected::Absent),
    ];
    let outcomes = git.apply(steps).await;
    assert!(outcomes.iter().all(is_applied), "{outcomes:?}");
    assert_eq!(repository.listed(), ["100644 a/inside", "100644 b"]);
    assert_eq!(git.history.durable(&Digest::of(b"two")).as_deref(), Some(&b"two"[..]));
}

#[tokio::test]
async fn names_that_fast_import_would_obey_are_kept_as_they_are() {
    let repository = Repository::new();
    let git = repository.open(json!({}));
    let odd = ["a b\"c", "line\nD victim", "back\\n", " lead", "tab\tx", "\"quoted\""];
    let mut steps = vec![put("victim", Expected::Absent)];
    steps.extend(odd.iter().map(|path| put(path, Expected::Absent)));
    assert!(git.apply(steps).await.iter().all(is_applied));
    let version = git.version("line\nD victim").await;
    let step = rename("line\nD victim", "moved \"x\"\n", &version, &new("line\nD victim"));
    assert!(is_applied(&git.apply(vec![step]).await[0]));
    let snapshot = git.scan().await;
    let mut expected = vec!["victim", "moved \"x\"\n"];
    expected.extend(odd.iter().filter(|path| !path.contains("victim")));
    expected.sort_by(|a, b| ItemPath::parse(a).unwrap().cmp(&ItemPath::parse(b).unwrap()));
    assert_eq!(paths(&snapshot), expected);
}

#[tokio::test]
async fn an_untidy_mirror_is_packed_and_still_read() {
    let repository = Repository::new();
    repository.commit(&[("a", Some("one"))]);
    let git = repository.open(json!({}));
    let version = git.version("a").await;
    git.leave("word").await;
    // One of the 256 folders tells about all of them.
    let objects = repository.mirror().join("repository.git/objects");
    std::fs::create_dir_all(objects.join("17")).unwrap();
    for number in 0..40 {
        std::fs::write(objects.join(format!("17/tmp_obj_{number}")), b"").unwrap();
    }
    assert!(git.apply(vec![put("b", Expected::Absent)]).await.iter().all(is_applied));
    let packs = || {
        let names = std::fs::read_dir(objects.join("pack")).unwrap().map(|entry| entry.unwrap().path());
        names.filter(|path| path.extension().is_some_and(|extension| extension == "pack")).count()
    };
    assert_eq!(packs(), 1, "the objects were put together");
    // Who only ever fetches gets one pack after the other.
    for number in 0..60 {
        repository.commit(&[("c", Some(&format!("{number}")))]);
        git.scan().await;
    }
    assert!(packs() < 60, "{} packs", packs());
    assert_eq!(git.read("a", &version).await, "one");
    repository.commit(&[("a", Some("two"))]);
    let snapshot = git.scan().await;
    assert_eq!(snapshot.mark, Some(Mark("word".into())));
    assert_eq!(git.read("b", &git.version("b").await).await, "new:b");
}

#[tokio::test]
async fn a_repository_with_very_many_branches_is_asked_for_one() {
    let repository = Repository::new();
    let tip = repository.commit(&[("a", Some("one"))]);
    let mut packed = String::from("# pack-refs with: peeled fully-peeled sorted \n");
    (0..300_000).for_each(|number| packed.push_str(&format!("{tip} refs/heads/x{number:06}\n")));
    std::fs::write(repository.bare().join("packed-refs"), packed).unwrap();
    let git = repository.open(json!({}));
    assert_eq!(paths(&git.scan().await), ["a"]);
    let mirror = repository.mirror().join("repository.git");
    let held = git_with(&mirror, &["for-each-ref", "--format=%(refname)"], b"");
    assert_eq!(held, "refs/syncline/tip\n");
}

#[tokio::test]
async fn a_stale_lock_in_the_mirror_does_not_last() {
    let repository = Repository::new();
    repository.commit(&[("a", Some("one"))]);
    let git = repository.open(json!({}));
    git.scan().await;
    repository.commit(&[("a", Some("two"))]);
    std::fs::write(repository.mirror().join("repository.git/refs/syncline/tip.lock"), b"").unwrap();
    assert_eq!(git.read("a", &git.version("a").await).await, "two");
}

#[tokio::test]
async fn a_step_that_takes_content_from_nowhere_fails_alone() {
    let repository = Repository::new();
    let git = repository.open(json!({}));
    let mut lost = put("lost", Expected::Absent);
    if let Action::Write { item, source } = &mut lost.action {
        item.digest = Some(Digest([9; 32]));
        *source = Source::Object(Digest([9; 32]));
    }
    let outcomes = git.apply(vec![lost, put("b", Expected::Absent)]).await;
    assert!(matches!(&outcomes[0], Outcome::Failed(problem) if problem.code == "not_found"), "{outcomes:?}");
    assert!(is_applied(&outcomes[1]));
    assert_eq!(repository.listed(), ["100644 b"]);
}

fn hook(file: &Path, script: &str) {
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(file, format!("#!/bin/sh\n{script}\n")).unwrap();
    std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o755)).unwrap();
}
