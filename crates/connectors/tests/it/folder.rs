//! The folder endpoint: what the conformance suite cannot know of.

use std::io::Read as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt, symlink};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use syncline_connect::{
    Batch, ChangedWhileRead, Content, Contents, Endpoint as _, ErrorKind, ScanRequest, WatchEvent,
};
use syncline_connectors::endpoints::folder::FolderEndpoint;
use syncline_core::{
    Action, Digest, Expected, Filter, Item, Kind, Mark, MemoryBaseline, Outcome, Root, Seen, Side, Source,
    Step, Version,
};

use crate::support::{Folder, OLD, agreed, at, new, paths, present, put, remove, request, seen};

#[tokio::test]
async fn a_root_that_is_missing_or_no_folder_is_a_snapshot() {
    let directory = tempfile::tempdir().unwrap();
    let missing = Folder::at(&directory.path().join("missing"));
    assert_eq!(missing.scan().await.root, Root::Missing);
    std::fs::write(directory.path().join("file"), b"x").unwrap();
    assert_eq!(Folder::at(&directory.path().join("file")).scan().await.root, Root::WrongType("file"));
    symlink(directory.path(), directory.path().join("link")).unwrap();
    let link = Folder::at(&directory.path().join("link"));
    assert_eq!(link.scan().await.root, Root::WrongType("symbolic link"));
    assert!(link.endpoint.apply(link.batch(vec![put("a", Expected::Absent)], |_| {})).await.is_err());
    assert!(!directory.path().join("a").exists());
}

#[tokio::test]
async fn a_missing_root_is_made_by_the_first_batch_and_nothing_else_stays() {
    let directory = tempfile::tempdir().unwrap();
    let folder = Folder::at(&directory.path().join("deep/root"));
    let outcomes = folder.apply(vec![put("a/b", Expected::Absent)]).await;
    assert!(matches!(outcomes[0], Outcome::Applied { .. }), "{outcomes:?}");
    assert_eq!(folder.names(), [".syncline/", "a/", "a/b"]);
}

#[tokio::test]
async fn special_files_are_reported_and_never_opened() {
    let folder = Folder::new();
    folder.put("dir/file", b"x");
    assert!(Command::new("mkfifo").arg(folder.path("dir/pipe")).status().unwrap().success());
    let _socket = std::os::unix::net::UnixListener::bind(folder.path("socket")).unwrap();
    let snapshot = tokio::time::timeout(Duration::from_secs(5), folder.scan()).await.unwrap();
    for path in ["dir/pipe", "socket"] {
        assert!(
            matches!(seen(&snapshot, path), Some(Seen::Unreadable(problem)) if problem.code == "special_file")
        );
    }
    assert!(snapshot.complete);
    let version = folder.version("dir/file").await;
    let outcomes =
        folder.apply(vec![put("dir/pipe", present(&version, b"x")), put("socket", Expected::Absent)]).await;
    assert!(outcomes.iter().all(|outcome| matches!(outcome, Outcome::Refused { .. })), "{outcomes:?}");
    let pipe = at("dir/pipe");
    let read = folder.endpoint.read(&pipe, &version);
    tokio::time::timeout(Duration::from_secs(5), read).await.unwrap().unwrap_err();
}

#[tokio::test]
async fn names_that_are_no_text_are_reported_and_left_alone() {
    use std::os::unix::ffi::OsStrExt as _;
    let folder = Folder::new();
    folder.put("dir/file", b"x");
    let name = folder.path("dir").join(std::ffi::OsStr::from_bytes(b"bad\xff"));
    std::fs::write(&name, b"kept").unwrap();
    let snapshot = folder.scan().await;
    assert!(matches!(
        seen(&snapshot, "dir/bad\\xff"),
        Some(Seen::Unreadable(problem)) if problem.code == "name_not_utf8"
    ));
    assert_eq!(std::fs::read(name).unwrap(), b"kept");
}

#[tokio::test]
async fn very_deep_folders_neither_overflow_nor_hide_the_rest() {
    let folder = Folder::new();
    folder.put("file", b"x");
    // Far deeper than any path can be: made and removed one level at a time.
    let script = "import os,sys\nos.chdir(sys.argv[1])\nfor i in range(6000):\n os.mkdir('d');os.chdir('d')";
    assert!(Command::new("python3").args(["-c", script]).arg(folder.path("")).status().unwrap().success());
    let snapshot = folder.scan().await;
    assert!(snapshot.complete);
    assert!(seen(&snapshot, "file").is_some());
    assert!(snapshot.problems.iter().any(|problem| problem.code == "path_too_long"));
    assert!(Command::new("rm").arg("-rf").arg(folder.path("d")).status().unwrap().success());
}

#[tokio::test]
async fn a_racy_version_is_never_taken_as_known() {
    let folder = Folder::new();
    std::fs::write(folder.path("fresh"), b"one").unwrap();
    folder.put("old", b"one");
    let baseline = agreed(&folder.scan().await);
    assert_eq!(paths(&folder.scan_against(baseline.clone()).await), ["fresh"]);
    tokio::time::sleep(Duration::from_millis(80)).await;
    let settled = agreed(&folder.scan().await);
    assert!(paths(&folder.scan_against(settled).await).is_empty());
    // The version still serves as the condition of a write.
    let entry = syncline_core::Baseline::get(&baseline, &at("fresh")).unwrap().unwrap();
    let outcomes = folder.apply(vec![put("fresh", present(&entry.versions.remote, b"one"))]).await;
    assert!(matches!(outcomes[0], Outcome::Applied { .. }), "{outcomes:?}");
}

#[tokio::test]
async fn what_changed_is_found_even_with_size_and_time_restored() {
    let folder = Folder::new();
    folder.put("a", b"one");
    folder.put("run", b"x");
    let baseline = agreed(&folder.scan().await);
    folder.put("a", b"two");
    std::fs::set_permissions(folder.path("run"), PermissionsExt::from_mode(0o755)).unwrap();
    assert_eq!(paths(&folder.scan_against(baseline).await), ["a", "run"]);
}

#[tokio::test]
async fn a_renamed_folder_tells_where_its_files_come_from() {
    let folder = Folder::new();
    folder.put("from/a", b"one");
    folder.put("from/sub/b", b"two");
    folder.put("from/same", b"one");
    let baseline = agreed(&folder.scan().await);
    std::fs::rename(folder.path("from"), folder.path("to")).unwrap();
    std::fs::copy(folder.path("to/a"), folder.path("to/copy")).unwrap();
    let snapshot = folder.scan_against(baseline).await;
    let from =
        |path: &str| seen(&snapshot, path).and_then(Seen::found).and_then(|found| found.moved_from.clone());
    assert_eq!(from("to/a"), Some(at("from/a")));
    assert_eq!(from("to/sub/b"), Some(at("from/sub/b")));
    assert_eq!(from("to/same"), Some(at("from/same")));
    assert_eq!(from("to/copy"), None);
    assert!(seen(&snapshot, "to/a").and_then(Seen::found).unwrap().item.digest.is_some());
    assert_eq!(seen(&snapshot, "from/sub/b"), Some(&Seen::Absent));
}

#[tokio::test]
async fn the_filter_is_honoured_at_the_topmost_path() {
    let folder = Folder::new();
    for path in ["build/x/y", "src/a.rs", "src/a.o", ".git/config", "docs/note.md"] {
        folder.put(path, b"x");
    }
    let baseline = agreed(&folder.scan().await);
    let filter = |include: &[&str], exclude: &[&str]| {
        let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        Arc::new(Filter::new(&owned(include), &owned(exclude), None, Vec::new()).unwrap())
    };
    let scan =
        |filter, baseline: MemoryBaseline| folder.endpoint.scan(ScanRequest { filter, ..request(baseline) });
    let snapshot = scan(filter(&[], &["build", "*.o"]), baseline.clone()).await.unwrap();
    let ignored: Vec<_> = snapshot.changes.iter().map(|change| change.path.as_str()).collect();
    assert_eq!(ignored, [".git", "build", "src/a.o"]);
    assert!(snapshot.changes.iter().all(|change| change.now == Seen::Ignored));
    let snapshot = scan(filter(&["src/*.rs"], &[]), MemoryBaseline::default()).await.unwrap();
    assert_eq!(paths(&snapshot), ["src/a.rs"]);
    // A folder that is looked into without being an item is never reported as absent.
    let snapshot = scan(filter(&["src/*.rs"], &[]), baseline).await.unwrap();
    assert!(snapshot.changes.iter().all(|change| change.now == Seen::Ignored));
}

#[tokio::test]
async fn hard_links_are_replaced_and_not_written_through() {
    let folder = Folder::new();
    folder.put("a", b"one");
    let outside = folder.path("../outside");
    std::fs::hard_link(folder.path("a"), &outside).unwrap();
    let version = folder.version("a").await;
    let outcomes = folder.apply(vec![put("a", present(&version, b"one"))]).await;
    assert!(matches!(outcomes[0], Outcome::Applied { .. }), "{outcomes:?}");
    assert_eq!(std::fs::read(outside).unwrap(), b"one");
    assert_eq!(folder.get("a"), Some(new("a")));
}

#[tokio::test]
async fn an_edit_between_plan_and_swap_survives() {
    let folder = Folder::new();
    for path in ["edited", "replaced", "gone", "kept"] {
        folder.put(path, b"old");
    }
    let mut steps = Vec::new();
    for path in ["edited", "replaced", "gone", "kept"] {
        steps.push(put(path, present(&folder.version(path).await, b"old")));
    }
    steps.push(put("appeared", Expected::Absent));
    let root = folder.path("");
    let outcomes = folder
        .apply_while(steps, move |step| match step.path.as_str() {
            // All of this happens after the old content was looked at and before anything is swapped.
            "edited" => std::fs::write(root.join("edited"), b"user").unwrap(),
            "replaced" => {
                std::fs::write(root.join("tmp"), b"user").unwrap();
                std::fs::rename(root.join("tmp"), root.join("replaced")).unwrap();
            }
            "gone" => std::fs::remove_file(root.join("gone")).unwrap(),
            "appeared" => std::fs::write(root.join("appeared"), b"user").unwrap(),
            _ => {}
        })
        .await;
    for (at, outcome) in outcomes.iter().enumerate() {
        assert_eq!(matches!(outcome, Outcome::Refused { .. }), at != 3, "{at}: {outcome:?}");
    }
    for path in ["edited", "replaced", "appeared"] {
        assert_eq!(folder.get(path).as_deref(), Some(&b"user"[..]), "{path}");
    }
    assert_eq!((folder.get("gone"), folder.get("kept")), (None, Some(new("kept"))));
    assert_eq!(folder.names(), [".syncline/", "appeared", "edited", "kept", "replaced"]);
    assert_eq!(folder.history.durable(&Digest::of(b"old")).as_deref(), Some(&b"old"[..]));
}

#[tokio::test]
async fn a_new_folder_lands_whole_without_what_failed() {
    let folder = Folder::new();
    folder.put("taken/mine", b"mine");
    let directory = |path: &str| {
        let action = Action::Write { item: Item::directory(), source: Source::Nothing };
        Step { action, ..put(path, Expected::Absent) }
    };
    let mut steps = Vec::new();
    for top in ["new", "taken"] {
        steps.extend([directory(top), put(&format!("{top}/a"), Expected::Absent)]);
        let mut wrong = put(&format!("{top}/wrong"), Expected::Absent);
        if let Action::Write { item, .. } = &mut wrong.action {
            item.digest = Some(Digest([9; 32]));
        }
        steps.extend([
            wrong,
            directory(&format!("{top}/sub")),
            put(&format!("{top}/sub/b"), Expected::Absent),
        ]);
        steps.push(put(&format!("{top}/.git/hook"), Expected::Absent));
    }
    let outcomes = folder.apply(steps).await;
    let done: Vec<bool> = outcomes.iter().map(|outcome| matches!(outcome, Outcome::Applied { .. })).collect();
    assert_eq!(
        done,
        [true, true, false, true, true, false, false, true, false, true, true, false],
        "{outcomes:?}"
    );
    let below =
        |top: &str| [format!("{top}/"), format!("{top}/a"), format!("{top}/sub/"), format!("{top}/sub/b")];
    let mut expected = vec![".syncline/".to_owned(), "taken/mine".to_owned()];
    expected.extend(below("new"));
    expected.extend(below("taken"));
    expected.sort();
    assert_eq!(folder.names(), expected);
    // The versions in the outcomes are those that the next scan finds.
    let Outcome::Applied { version, .. } = &outcomes[4] else { panic!("{outcomes:?}") };
    assert_eq!(folder.version("new/sub/b").await, *version);
}

#[tokio::test]
async fn edits_at_full_speed_are_never_lost() {
    let folder = Folder::new();
    folder.put("a", b"start");
    let (stop, root) = (Arc::new(AtomicBool::new(false)), folder.path(""));
    let stopped = Arc::clone(&stop);
    let user = std::thread::spawn(move || {
        let mut written = 0_u64;
        while !stopped.load(Ordering::Relaxed) {
            written += 1;
            std::fs::write(root.join("tmp"), format!("user {written}")).unwrap();
            std::fs::rename(root.join("tmp"), root.join("a")).unwrap();
            std::thread::sleep(Duration::from_micros(written % 300));
        }
        written
    });
    let (end, mut applied) = (Instant::now() + Duration::from_secs(1), 0);
    while Instant::now() < end {
        let Ok(bytes) = std::fs::read(folder.path("a")) else { continue };
        let version = folder.version("a").await;
        let outcomes = folder.apply(vec![put("a", present(&version, &bytes))]).await;
        applied += usize::from(matches!(outcomes[0], Outcome::Applied { .. }));
        if matches!(outcomes[0], Outcome::Applied { .. }) {
            assert!(folder.history.durable(&Digest::of(&bytes)).is_some());
        }
    }
    stop.store(true, Ordering::Relaxed);
    let last = user.join().unwrap();
    let now = folder.get("a").unwrap();
    let kept = folder.history.durable(&Digest::of(format!("user {last}").as_bytes())).is_some();
    assert!(now == format!("user {last}").into_bytes() || (kept && now == new("a")), "{applied} applied");
}

#[tokio::test]
async fn a_file_that_changes_while_it_is_read_ends_in_an_error() {
    let folder = Folder::new();
    folder.put("a", &vec![b'x'; 1 << 20]);
    let version = folder.version("a").await;
    let read = async || {
        let mut reader = folder.endpoint.read(&at("a"), &version).await.unwrap().into_reader();
        reader.read_exact(&mut vec![0; 1000]).unwrap();
        reader
    };
    let mut reader = read().await;
    std::fs::write(folder.path("a"), vec![b'y'; 1 << 20]).unwrap();
    let error = reader.read_to_end(&mut Vec::new()).unwrap_err();
    assert!(error.get_ref().is_some_and(|inner| inner.is::<ChangedWhileRead>()), "{error:?}");
    let error = folder.endpoint.read(&at("a"), &version).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Changed);
}

#[tokio::test]
async fn modes_follow_the_original_or_what_is_replaced() {
    let folder = Folder::new();
    folder.put("private", b"old");
    std::fs::set_permissions(folder.path("private"), PermissionsExt::from_mode(0o600)).unwrap();
    let version = folder.version("private").await;
    folder.apply(vec![put("private", present(&version, b"old")), put("public", Expected::Absent)]).await;
    let mode = |path: &str| std::fs::metadata(folder.path(path)).unwrap().mode() & 0o777;
    assert_eq!(mode("private"), 0o600);
    assert_eq!(mode("public") & 0o111, 0);
    assert_eq!(folder.found("public").await.item.modified, crate::support::OLD);
}

#[tokio::test]
async fn what_a_dead_run_left_is_cleared_and_what_may_be_a_users_is_kept() {
    let folder = Folder::new();
    folder.put(".syncline/staging/dead/new0/0", b"half of something new");
    folder.put(".syncline/staging/dead/swap/7", b"written by a user a moment before the crash");
    folder.put(".syncline/staging/dead/swap/8/inside", b"a whole folder");
    std::fs::create_dir(folder.path(".syncline/staging/dead/swap/9")).unwrap();
    folder.apply(vec![put("a", Expected::Absent)]).await;
    let rescued = [
        ".syncline/",
        ".syncline/rescued/",
        ".syncline/rescued/dead-8/",
        ".syncline/rescued/dead-8/inside",
        "a",
    ];
    assert_eq!(folder.names(), rescued);
    assert!(folder.history.durable(&Digest::of(b"written by a user a moment before the crash")).is_some());
    assert!(folder.history.durable(&Digest::of(b"half of something new")).is_none());
}

#[tokio::test]
async fn a_mark_is_written_whole_and_is_no_item() {
    let folder = Folder::new();
    let mut batch = folder.batch(vec![put("a", Expected::Absent)], |_| {});
    batch.mark = Some(("test".into(), Mark("word".into())));
    folder.endpoint.apply(batch).await.unwrap();
    assert_eq!(folder.scan().await.mark, Some(Mark("word".into())));
    assert_eq!(folder.names(), [".syncline/", ".syncline/marks/", ".syncline/marks/test", "a"]);
    let mut batch = folder.batch(Vec::new(), |_| {});
    batch.mark = Some(("../../escape".into(), Mark("word".into())));
    folder.endpoint.apply(batch).await.unwrap_err();
}

#[tokio::test]
async fn a_state_folder_that_is_a_link_is_not_followed() {
    let folder = Folder::new();
    std::fs::create_dir(folder.path("../elsewhere")).unwrap();
    symlink(folder.path("../elsewhere"), folder.path(".syncline")).unwrap();
    folder.endpoint.apply(folder.batch(vec![put("a", Expected::Absent)], |_| {})).await.unwrap_err();
    assert_eq!(std::fs::read_dir(folder.path("../elsewhere")).unwrap().count(), 0);
    assert_eq!(folder.get("a"), None);
}

/// Somebody swaps a folder for a link to the outside and back, as fast as possible, while everything is used.
#[tokio::test]
async fn nothing_leaves_the_root_while_links_are_swapped_in() {
    let folder = Folder::new();
    let outside = folder.path("../outside");
    std::fs::create_dir(&outside).unwrap();
    std::fs::write(outside.join("canary"), b"alive").unwrap();
    folder.put("d/canary", b"inside");
    symlink(&outside, folder.path("link")).unwrap();
    let (stop, root) = (Arc::new(AtomicBool::new(false)), folder.path(""));
    let stopped = Arc::clone(&stop);
    let swapper = std::thread::spawn(move || {
        while !stopped.load(Ordering::Relaxed) {
            for (from, to) in [("d", "aside"), ("link", "d"), ("d", "link"), ("aside", "d")] {
                // The batch may have made a folder of that name meanwhile.
                while std::fs::rename(root.join(from), root.join(to)).is_err() {
                    let _ = std::fs::remove_dir_all(root.join(to));
                }
            }
        }
    });
    let end = Instant::now() + Duration::from_secs(2);
    let mut round = 0_u64;
    while Instant::now() < end {
        round += 1;
        let snapshot = folder.scan().await;
        for change in &snapshot.changes {
            let Some(found) = change.now.found() else { continue };
            if let Ok(content) = folder.endpoint.read(&change.path, &found.version).await {
                let mut bytes = Vec::new();
                let _ = content.into_reader().read_to_end(&mut bytes);
                assert_ne!(bytes, b"alive", "read through a link at {}", change.path);
            }
        }
        let canary = seen(&snapshot, "d/canary").and_then(Seen::found).map(|found| found.version.clone());
        let mut steps = vec![put(&format!("d/new{round}"), Expected::Absent)];
        steps.extend(canary.map(|version| remove("d/canary", &version, b"inside")));
        steps.push(put(&format!("d/deep{round}/x"), Expected::Absent));
        let outcomes = folder.apply(steps).await;
        if matches!(outcomes.get(1), Some(Outcome::Applied { .. })) && outcomes.len() == 3 {
            let _ = std::fs::write(folder.path("aside/canary"), b"inside");
        }
        let names: Vec<_> =
            std::fs::read_dir(&outside).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["canary"]);
        assert_ne!(std::fs::read(outside.join("canary")).unwrap(), b"");
    }
    stop.store(true, Ordering::Relaxed);
    swapper.join().unwrap();
    assert!(round > 10, "{round} rounds");
}

#[tokio::test]
async fn a_batch_that_nobody_waits_for_leaves_no_litter() {
    let folder = Arc::new(Folder::new());
    let steps: Vec<_> = (0..200).map(|number| put(&format!("f{number}"), Expected::Absent)).collect();
    let batch = folder.batch(steps, |_| std::thread::sleep(Duration::from_millis(5)));
    let given_up = tokio::time::timeout(Duration::from_millis(50), folder.endpoint.apply(batch)).await;
    assert!(given_up.is_err());
    let mut outcomes = Vec::new();
    for _ in 0..100 {
        tokio::time::sleep(Duration::from_millis(20)).await;
        // The run is locked until the batch in the background has noticed.
        match folder.endpoint.apply(folder.batch(vec![put("a", Expected::Absent)], |_| {})).await {
            Ok(done) => {
                outcomes = done;
                break;
            }
            Err(error) => assert_eq!(error.kind(), ErrorKind::Locked),
        }
    }
    assert!(matches!(outcomes.as_slice(), [Outcome::Applied { .. }]));
    assert_eq!(folder.names(), [".syncline/", "a"]);
}

#[tokio::test]
async fn watching_tells_of_changes_and_not_of_scans() {
    let folder = Folder::new();
    folder.put("old/a", b"x");
    folder.put("node_modules/x/y", b"x");
    let filter = Filter::new(&[], &["node_modules".into()], None, Vec::new()).unwrap();
    let mut watcher = folder.endpoint.watch().unwrap().start(Arc::new(filter)).unwrap();
    folder.scan().await;
    folder.put("node_modules/x/y", b"ignored");
    folder.put("old/a", b"changed");
    folder.put("new/deep/b", b"created");
    tokio::time::sleep(Duration::from_millis(100)).await;
    folder.put("new/deep/b", b"changed again");
    let mut changed = std::collections::BTreeSet::new();
    while let Ok(Some(event)) = tokio::time::timeout(Duration::from_millis(300), watcher.events.recv()).await
    {
        match event {
            WatchEvent::Changed(path) => changed.insert(path.as_str().to_owned()),
            other => panic!("{other:?}"),
        };
    }
    assert!(
        changed.contains("old/a") && changed.contains("new") && changed.contains("new/deep/b"),
        "{changed:?}"
    );
    assert!(
        !changed.iter().any(|path| path.contains("node_modules") || path.contains(".syncline")),
        "{changed:?}"
    );
}

#[tokio::test]
async fn a_check_warns_of_what_will_not_work() {
    let folder = Folder::new();
    let health = folder.endpoint.check().await.unwrap();
    assert!(health.warnings.is_empty(), "{health:?}");
    let missing = FolderEndpoint::open(&folder.path("missing"), false);
    assert_eq!(missing.check().await.unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(Version::none().as_bytes(), b"");
}

/// Gives every step the same content.
struct Fixed(Vec<u8>);

#[async_trait::async_trait]
impl Contents for Fixed {
    async fn open(&self, _step: &Step) -> syncline_connect::Result<Content> {
        Ok(Content::reader(std::io::Cursor::new(self.0.clone())))
    }
}

#[tokio::test]
async fn zeros_take_no_space() {
    const KIB: usize = 1024;
    let folder = Folder::new();
    // Data at the beginning, in the middle, at an odd place, and none at the end.
    let mut image = vec![0; 8 * 1024 * KIB + 5000];
    image[..10].copy_from_slice(b"boot block");
    image[3 * 1024 * KIB..][..200 * KIB].fill(7);
    image[5 * 1024 * KIB + 321] = 1;
    for (name, bytes) in [
        ("image", image.clone()),
        ("ends in data", [&image[..], b"end"].concat()),
        ("whole blocks", image[..8 * 1024 * KIB].to_vec()),
        ("only zeros", vec![0; 1024 * KIB]),
        ("small", vec![0; 100]),
        ("empty", Vec::new()),
    ] {
        let item = Item {
            kind: Kind::FILE,
            digest: Some(Digest::of(&bytes)),
            size: bytes.len() as u64,
            modified: OLD,
        };
        let action = Action::Write { item, source: Source::Object(Digest::of(&bytes)) };
        let step = Step { side: Side::Remote, path: at(name), expected: Expected::Absent, action };
        let contents = Arc::new(Fixed(bytes.clone()));
        let outcomes = folder.endpoint.apply(Batch { contents, ..folder.batch(vec![step], |_| {}) }).await;
        assert!(matches!(outcomes.unwrap()[0], Outcome::Applied { .. }), "{name}");
        assert!(folder.get(name).unwrap() == bytes, "{name} holds something else");
        let taken = std::fs::metadata(folder.path(name)).unwrap().blocks() * 512;
        assert!(taken <= 1024 * KIB as u64, "{name} takes {taken} bytes");
    }
}
