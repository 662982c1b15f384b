//! Many repositories as the folders of one place.

use std::path::PathBuf;

use serde_json::{Value, json};
use syncline_connect::{Endpoint as _, ErrorKind, OpenRequest, ScanRequest};
use syncline_connectors::endpoints::repositories::RepositoriesEndpoint;
use syncline_core::{Baseline, Change, ItemPath, MemoryBaseline, Seen, Snapshot};

use crate::git_support::{git, git_with};
use crate::support::{agreed, request, seen};

/// More than anybody asks at once by default.
const COUNT: usize = 30;

/// Bare repositories in a temporary folder, and an endpoint over them.
struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    /// A place with repositories `r00`, `r01`, …, each with a file of its own and one that all have.
    fn new(count: usize) -> Self {
        let made = Self { folder: tempfile::tempdir().unwrap() };
        std::fs::create_dir(made.path("work")).unwrap();
        for at in 0..count {
            made.init(&name(at));
            made.commit(&name(at), &[("own.txt", &format!("of {at}\n")), ("sub/same.txt", "same\n")], true);
        }
        made
    }

    fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    fn init(&self, name: &str) {
        git(&self.path("."), &["init", "--quiet", "--bare", "--initial-branch=main", &format!("{name}.git")]);
    }

    /// Commits files; without `onward`, in place of the whole history.
    fn commit(&self, name: &str, files: &[(&str, &str)], onward: bool) {
        let bare = self.path(&format!("{name}.git"));
        let mut stream =
            "commit refs/heads/main\ncommitter Other <other@example.org> 1700000000 +0000\n".to_owned();
        stream.push_str("data 5\nother\n");
        if onward && bare.join("refs/heads/main").is_file() {
            stream.push_str("from refs/heads/main^0\n");
        }
        for (path, content) in files {
            stream.push_str(&format!("M 100644 inline {path}\ndata {}\n{content}\n", content.len()));
        }
        git_with(&bare, &["fast-import", "--quiet", "--force"], stream.as_bytes());
    }

    fn tip(&self, name: &str) -> String {
        git(&self.path(&format!("{name}.git")), &["rev-parse", "main"]).trim().to_owned()
    }

    /// The list of all that are there, with settings that replace or add to it.
    fn open(&self, names: &[String], more: Value) -> RepositoriesEndpoint {
        let urls: Vec<String> = names.iter().map(|name| format!("../{name}.git")).collect();
        let mut settings = json!({ "urls": urls });
        settings.as_object_mut().unwrap().append(&mut more.as_object().unwrap().clone());
        self.open_with(&settings).unwrap()
    }

    fn open_with(&self, settings: &Value) -> syncline_connect::Result<RepositoriesEndpoint> {
        let (workspace, state) = (self.path("work"), self.path("state"));
        RepositoriesEndpoint::open(&OpenRequest {
            settings,
            workspace: &workspace,
            folder: &workspace,
            state: &state,
        })
    }
}

fn name(at: usize) -> String {
    format!("r{at:02}")
}

fn names(count: usize) -> Vec<String> {
    (0..count).map(name).collect()
}

async fn scan(endpoint: &RepositoriesEndpoint, baseline: impl Baseline + 'static) -> Snapshot {
    endpoint.scan(request(baseline)).await.unwrap()
}

async fn content(endpoint: &RepositoriesEndpoint, snapshot: &Snapshot, path: &str) -> String {
    let found = seen(snapshot, path).and_then(Seen::found).unwrap_or_else(|| panic!("{path} is not there"));
    let content = endpoint.read(&ItemPath::parse(path).unwrap(), &found.version).await.unwrap();
    let mut text = String::new();
    std::io::Read::read_to_string(&mut content.into_reader(), &mut text).unwrap();
    text
}

fn codes(snapshot: &Snapshot) -> Vec<(String, &'static str)> {
    let unreadable = snapshot.changes.iter().filter_map(|change| match &change.now {
        Seen::Unreadable(problem) => Some((problem.path.clone(), problem.code)),
        _ => None,
    });
    unreadable.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn thirty_repositories_are_one_place() {
    let place = Place::new(COUNT);
    let endpoint = place.open(&names(COUNT), json!({}));
    let first = scan(&endpoint, MemoryBaseline::default()).await;
    assert!(first.complete && first.changes.len() == 2 * COUNT, "{first:?}");
    for at in [0, 7, COUNT - 1] {
        assert_eq!(content(&endpoint, &first, &format!("{}/own.txt", name(at))).await, format!("of {at}\n"));
    }
    let sizes = first.changes.iter().filter_map(|change| change.now.found()).map(|found| found.item.size);
    assert!(sizes.min() > Some(0), "sizes are known");
    let told = |at: usize| format!("taken from commit {} of the branch main", place.tip(&name(at)));
    assert_eq!(first.problems.len(), COUNT);
    assert!(first.problems.iter().enumerate().all(|(at, problem)| problem.message == told(at)));
    let second = scan(&endpoint, agreed(&first)).await;
    assert!(
        second.changes.is_empty() && second.problems.is_empty() && second.count == first.count,
        "{second:?}"
    );
    place.commit("r03", &[("own.txt", "edited\n")], true);
    let third = scan(&endpoint, agreed(&first)).await;
    assert_eq!(third.changes.len(), 1, "{third:?}");
    assert_eq!(content(&endpoint, &third, "r03/own.txt").await, "edited\n");
}

#[tokio::test]
async fn one_that_cannot_be_reached_is_unreadable_and_the_others_go_on() {
    let place = Place::new(4);
    let endpoint = place.open(&names(4), json!({}));
    let first = scan(&endpoint, MemoryBaseline::default()).await;
    std::fs::rename(place.path("r01.git"), place.path("away.git")).unwrap();
    place.commit("r02", &[("own.txt", "edited\n")], true);
    let second = scan(&endpoint, agreed(&first)).await;
    assert!(second.complete, "the others prove what is absent");
    assert_eq!(codes(&second).len(), 1, "{second:?}");
    let (path, _) = &codes(&second)[0];
    assert_eq!(path, "r01");
    assert!(second.changes.iter().all(|change| change.now != Seen::Absent), "nothing is removed: {second:?}");
    assert_eq!(content(&endpoint, &second, "r02/own.txt").await, "edited\n");
    let health = endpoint.check().await.unwrap();
    assert!(health.message.contains("3 of 4") && health.warnings.len() == 1, "{health:?}");
    assert!(health.warnings[0].starts_with("r01: "), "{health:?}");
    std::fs::rename(place.path("away.git"), place.path("r01.git")).unwrap();
    assert!(codes(&scan(&endpoint, agreed(&first)).await).is_empty());
}

#[tokio::test]
async fn a_branch_that_is_gone_or_misspelt_removes_nothing() {
    let place = Place::new(2);
    let endpoint = place.open(&names(2), json!({}));
    let first = scan(&endpoint, MemoryBaseline::default()).await;
    git(&place.path("r00.git"), &["update-ref", "-d", "refs/heads/main"]);
    assert_eq!(codes(&scan(&endpoint, agreed(&first)).await), [("r00".to_owned(), "not_found")]);
    let misspelt = json!({ "urls": [{ "url": "../r01.git", "branch": "mian" }] });
    let snapshot = scan(&place.open_with(&misspelt).unwrap(), MemoryBaseline::default()).await;
    assert_eq!(codes(&snapshot), [("r01".to_owned(), "not_found")]);
}

#[tokio::test]
async fn a_rewritten_history_is_followed() {
    let place = Place::new(2);
    let endpoint = place.open(&names(2), json!({}));
    let first = scan(&endpoint, MemoryBaseline::default()).await;
    place.commit("r00", &[("other.txt", "rewritten\n")], false);
    let second = scan(&endpoint, agreed(&first)).await;
    assert_eq!(content(&endpoint, &second, "r00/other.txt").await, "rewritten\n");
    let gone: Vec<&str> = second
        .changes
        .iter()
        .filter(|change| change.now == Seen::Absent)
        .map(|change| change.path.as_str())
        .collect();
    assert_eq!(gone, ["r00/own.txt", "r00/sub/same.txt"]);
}

#[tokio::test]
async fn what_is_taken_from_the_list_is_absent_and_a_list_cut_short_is_refused() {
    let place = Place::new(3);
    let list = place.path("work/repos.txt");
    std::fs::write(&list, "../r00.git\n../r01.git\nx/two ../r02.git main # a remark\n").unwrap();
    let endpoint = place.open_with(&json!({ "file": "repos.txt", "expected_min": 2 })).unwrap();
    let first = scan(&endpoint, MemoryBaseline::default()).await;
    assert_eq!(content(&endpoint, &first, "x/two/own.txt").await, "of 2\n");
    let location = endpoint.capabilities().location.clone();
    std::fs::write(&list, "../r00.git\nx/two ../r02.git\n").unwrap();
    let second = scan(&endpoint, agreed(&first)).await;
    let absent = |change: &&Change| change.now == Seen::Absent && change.path.is_below("r01");
    assert_eq!(second.changes.iter().filter(absent).count(), second.changes.len(), "{second:?}");
    assert_eq!(second.changes.len(), 2);
    assert_eq!(endpoint.capabilities().location, location, "another list is not another place");
    std::fs::write(&list, "../r00.git\n").unwrap();
    let error = endpoint.scan(request(agreed(&first))).await.unwrap_err();
    assert!(error.kind() == ErrorKind::Invalid && error.to_string().contains("expected_min"), "{error}");
    std::fs::remove_file(&list).unwrap();
    assert_eq!(endpoint.scan(request(agreed(&first))).await.unwrap_err().kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn the_record_tells_every_commit_and_stays_while_one_is_unknown() {
    let place = Place::new(2);
    place.init("empty");
    let listed = [names(2), vec!["empty".to_owned()]].concat();
    let endpoint = place.open(&listed, json!({ "commits": "repositories.txt" }));
    let first = scan(&endpoint, MemoryBaseline::default()).await;
    let line = |name: &str, commit: &str| format!("{name} ../{name}.git main # {commit}\n");
    let expected: String =
        [line("empty", "nothing"), line("r00", &place.tip("r00")), line("r01", &place.tip("r01"))].concat();
    assert_eq!(content(&endpoint, &first, "repositories.txt").await, expected);
    assert!(scan(&endpoint, agreed(&first)).await.changes.is_empty());
    std::fs::rename(place.path("r01.git"), place.path("away.git")).unwrap();
    let paths: Vec<String> =
        codes(&scan(&endpoint, agreed(&first)).await).into_iter().map(|(path, _)| path).collect();
    assert_eq!(paths, ["r01", "repositories.txt"]);
}

#[tokio::test]
async fn a_damaged_mirror_is_made_anew_and_concerns_one_folder() {
    let place = Place::new(2);
    let first = scan(&place.open(&names(2), json!({})), MemoryBaseline::default()).await;
    for mirror in std::fs::read_dir(place.path("state/git")).unwrap() {
        let objects = mirror.unwrap().path().join("repository.git/objects");
        std::fs::remove_dir_all(&objects).unwrap();
        std::fs::create_dir(&objects).unwrap();
    }
    let endpoint = place.open(&names(2), json!({}));
    let second = scan(&endpoint, MemoryBaseline::default()).await;
    assert_eq!(second.changes, first.changes);
    assert_eq!(content(&endpoint, &second, "r01/own.txt").await, "of 1\n");
}

#[tokio::test]
async fn hostile_names_stay_where_they_are() {
    let place = Place::new(1);
    place.commit("r00", &[("a\\..\\b", "climbs\n")], true);
    let endpoint = place.open(&names(1), json!({}));
    let snapshot = scan(&endpoint, MemoryBaseline::default()).await;
    assert_eq!(codes(&snapshot), [("r00/a\\..\\b".to_owned(), "unsafe_name")]);
    assert!(seen(&snapshot, "r00/own.txt").is_some());
}

#[tokio::test]
async fn rules_leave_out_and_a_partial_scan_looks_only_where_it_is_asked_to() {
    let place = Place::new(3);
    let endpoint = place.open(&names(3), json!({}));
    let only = vec![ItemPath::parse("r01/sub").unwrap()];
    let request = ScanRequest { only: Some(only), ..request(MemoryBaseline::default()) };
    let snapshot = endpoint.scan(request).await.unwrap();
    let paths: Vec<&str> = snapshot.changes.iter().map(|change| change.path.as_str()).collect();
    assert_eq!(paths, ["r01/sub/same.txt"]);
}
