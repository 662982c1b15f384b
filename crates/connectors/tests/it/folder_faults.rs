//! The folder endpoint where it lacks permission or space, or is killed: in processes of their own.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use syncline_connect::{Endpoint as _, ErrorKind, ScanRequest};
use syncline_core::{Action, Expected, Item, MemoryBaseline, Outcome, Seen, Source, Step};

use crate::support::{Folder, agreed, at, new, paths, present, put, remove, request, seen};

/// Runs one of the ignored tests below in a process of its own, under other circumstances.
fn in_child(test: &str, command: &mut Command) {
    let output = command
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", &format!("folder_faults::{test}"), "--ignored", "--nocapture"])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && text.contains("1 passed"),
        "{text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn a_folder_without_permission_is_unreadable_and_never_absent() {
    in_child(
        "without_permission",
        Command::new("setpriv").args(["--reuid=65534", "--regid=65534", "--clear-groups"]),
    );
}

#[tokio::test]
#[ignore = "runs in a process without privileges, started by the test above"]
async fn without_permission() {
    let folder = Folder::new();
    for path in ["open", "shut/a", "shut/b/c", "secret"] {
        folder.put(path, b"x");
    }
    let baseline = agreed(&folder.scan().await);
    let version = folder.version("secret").await;
    let shut = |mode| std::fs::set_permissions(folder.path("shut"), PermissionsExt::from_mode(mode)).unwrap();
    shut(0o000);
    let snapshot = folder.scan_against(baseline.clone()).await;
    assert_eq!(paths(&snapshot), ["shut"]);
    assert!(matches!(seen(&snapshot, "shut"), Some(Seen::Unreadable(_))) && snapshot.complete);
    let only = Some(vec![at("shut/a")]);
    let part = folder.endpoint.scan(ScanRequest { only, ..request(baseline) }).await.unwrap();
    assert!(matches!(seen(&part, "shut/a"), Some(Seen::Unreadable(_))), "{part:?}");
    let outcomes = folder.apply(vec![put("shut/new", Expected::Absent), put("fine", Expected::Absent)]).await;
    assert!(matches!(&outcomes[0], Outcome::Failed(problem) if problem.code == "denied"), "{outcomes:?}");
    assert!(matches!(&outcomes[1], Outcome::Applied { .. }), "{outcomes:?}");
    shut(0o700);
    std::fs::set_permissions(folder.path("secret"), PermissionsExt::from_mode(0o000)).unwrap();
    assert!(folder.endpoint.read(&at("secret"), &version).await.is_err());
    // A root that may not be listed is an error: there is no snapshot of it.
    std::fs::set_permissions(folder.path(""), PermissionsExt::from_mode(0o300)).unwrap();
    assert_eq!(
        folder.endpoint.scan(request(MemoryBaseline::default())).await.unwrap_err().kind(),
        ErrorKind::Denied
    );
    std::fs::set_permissions(folder.path(""), PermissionsExt::from_mode(0o700)).unwrap();
}

#[test]
fn a_full_disk_fails_the_step_and_leaves_everything_whole() {
    in_child("on_a_full_disk", Command::new("unshare").args(["--user", "--map-root-user", "--mount"]));
}

#[tokio::test]
#[ignore = "runs in a mount namespace of its own, started by the test above"]
async fn on_a_full_disk() {
    let directory = tempfile::tempdir().unwrap();
    let mounted = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=256k", "tmpfs"])
        .arg(directory.path())
        .status();
    assert!(mounted.unwrap().success());
    let folder = Folder::at(directory.path());
    folder.put("a", b"old");
    folder.put("filler", &[b'x'; 180 * 1024]);
    let version = folder.version("a").await;
    let root = directory.path().to_owned();
    let steps = vec![put("a", present(&version, b"old")), put("b", Expected::Absent)];
    let outcomes = folder
        .apply_while(steps, move |_| {
            // Somebody else takes the rest of the space.
            let _ = std::fs::write(root.join("more"), vec![b'x'; 1 << 20]);
        })
        .await;
    for outcome in &outcomes {
        assert!(matches!(outcome, Outcome::Failed(problem) if problem.code == "no_space"), "{outcomes:?}");
    }
    assert_eq!(folder.get("a").as_deref(), Some(&b"old"[..]));
    assert_eq!(folder.names(), [".syncline/", "a", "filler", "more"]);
    std::fs::remove_file(folder.path("more")).unwrap();
    let version = folder.version("a").await;
    let outcomes = folder.apply(vec![put("a", present(&version, b"old"))]).await;
    assert!(matches!(outcomes[0], Outcome::Applied { .. }), "{outcomes:?}");
}

/// Kills a batch at every system call that changes something, one after the other.
#[tokio::test]
async fn a_batch_killed_at_any_call_leaves_every_path_whole() {
    let directory = tempfile::tempdir().unwrap();
    let mut kills = 0;
    for call in ["renameat2", "unlinkat", "mkdirat", "syncfs", "utimensat", "flock"] {
        for when in 1..100 {
            let folder = Folder::at(&directory.path().join(format!("{call}{when}")));
            for path in ["update", "remove", "from", "type"] {
                folder.put(path, b"old");
            }
            let done = run_killed_at(&format!("inject={call}:signal=KILL:when={when}"), &folder);
            check_whole(&format!("{call} {when}"), &folder).await;
            if done {
                break;
            }
            kills += 1;
        }
    }
    assert!(kills >= 20, "the batch was killed {kills} times only");
}

/// Runs the test below under `strace` with an injected fault; tells whether it came to its end.
fn run_killed_at(inject: &str, folder: &Folder) -> bool {
    let mut strace = Command::new("strace");
    strace.args(["-f", "-qqq", "-o", "/dev/null", "-e", inject]).arg(std::env::current_exe().unwrap());
    strace.args(["--exact", "folder_faults::batch_to_be_killed", "--ignored"]).env("FOLDER", folder.path(""));
    strace.stdout(std::process::Stdio::null()).status().unwrap().success()
}

/// Checks that every path is whole-old or whole-new, and that the next batch leaves no litter.
async fn check_whole(what: &str, folder: &Folder) {
    let whole = |path: &str| matches!(folder.get(path), Some(bytes) if bytes == b"old" || bytes == new(path));
    assert!(whole("update"), "{what}: {:?}", folder.get("update"));
    assert!(whole("type") || folder.path("type").is_dir(), "{what}");
    assert!(folder.get("remove").is_none_or(|bytes| bytes == b"old"), "{what}");
    assert!(folder.get("from").is_some() != folder.get("moved/to").is_some(), "{what}");
    assert!(folder.get("create").is_none_or(|bytes| bytes == new("create")), "{what}");
    assert_eq!(
        folder.path("fresh").exists(),
        folder.get("fresh/deep/a").is_some(),
        "{what}: a folder lands whole"
    );
    folder.apply(vec![put("after", Expected::Absent)]).await;
    let litter: Vec<_> = folder.names().into_iter().filter(|name| name.starts_with(".syncline/")).collect();
    assert_eq!(litter, [".syncline/"], "{what}");
}

#[tokio::test]
#[ignore = "is killed again and again by the test above"]
async fn batch_to_be_killed() {
    let folder = Folder::at(std::path::Path::new(&std::env::var_os("FOLDER").unwrap()));
    let mut moved = put("moved/to", Expected::Absent);
    let item = moved.item().clone();
    moved.action = Action::Move { from: at("from"), version: folder.version("from").await, item };
    let mut steps = vec![moved, remove("remove", &folder.version("remove").await, b"old")];
    let directory = |path: &str, expected| {
        let action = Action::Write { item: Item::directory(), source: Source::Nothing };
        Step { action, ..put(path, expected) }
    };
    steps.push(put("create", Expected::Absent));
    steps.push(directory("fresh", Expected::Absent));
    steps.push(directory("fresh/deep", Expected::Absent));
    steps.push(put("fresh/deep/a", Expected::Absent));
    steps.push(directory("type", present(&folder.version("type").await, b"old")));
    steps.push(put("update", present(&folder.version("update").await, b"old")));
    let outcomes = folder.apply(steps).await;
    assert!(outcomes.iter().all(|outcome| matches!(outcome, Outcome::Applied { .. })), "{outcomes:?}");
}
