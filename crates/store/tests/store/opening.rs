//! Opening, locking, versions.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Stdio};

use sqlx::{Connection, Executor, SqliteConnection};
use syncline_core::{Mark, Sides};
use syncline_store::{ErrorKind, Opening, Right, Store};

use crate::helpers::{acquire, contents, created, opening, run, start};

/// Set for the process that holds the lock in `another_process_holds_the_lock`.
const HOLD: &str = "SYNCLINE_TEST_HOLD_LOCK";

async fn refused(folder: &Path) -> syncline_store::Error {
    Store::open(folder).await.err().unwrap()
}

#[tokio::test]
async fn the_folder_is_made_private_and_stays() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("deep/down/.syncline");
    Store::open(&folder).await.unwrap();
    assert_eq!(fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700);
    Store::open(&folder).await.unwrap();
}

#[tokio::test]
async fn an_exposed_folder_is_refused() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("state");
    fs::create_dir(&folder).unwrap();
    for mode in [0o777, 0o770, 0o702, 0o755] {
        fs::set_permissions(&folder, fs::Permissions::from_mode(mode)).unwrap();
        let error = refused(&folder).await;
        assert_eq!(error.kind(), ErrorKind::Denied);
        assert!(error.hint().starts_with("chmod 700"), "{}", error.hint());
    }
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o700)).unwrap();
    let link = parent.path().join("link");
    symlink(&folder, &link).unwrap();
    assert_eq!(refused(&link).await.kind(), ErrorKind::Denied);
    let file = parent.path().join("file");
    fs::write(&file, b"").unwrap();
    assert_eq!(refused(&file).await.kind(), ErrorKind::Denied);
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
}

#[tokio::test]
async fn a_newer_state_is_refused_untouched() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("state");
    Store::open(&folder).await.unwrap().close().await.unwrap();
    let file = folder.join("state.db");
    let mut newer = fs::read(&file).unwrap();
    newer[60..64].copy_from_slice(&99_u32.to_be_bytes());
    fs::write(&file, &newer).unwrap();
    let error = refused(&folder).await;
    assert_eq!(error.kind(), ErrorKind::NewerVersion);
    assert!(error.to_string().contains("99"), "{error}");
    assert_eq!(fs::read(&file).unwrap(), newer);
    assert!(!folder.join("state.db-wal").exists());
}

#[tokio::test]
async fn a_migration_that_is_not_known_is_refused() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("state");
    Store::open(&folder).await.unwrap().close().await.unwrap();
    let url = format!("sqlite://{}", folder.join("state.db").display());
    let mut connection = SqliteConnection::connect(&url).await.unwrap();
    connection
        .execute(
            "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
             VALUES (999, 'later', 1, x'00', 0); PRAGMA user_version = 0;",
        )
        .await
        .unwrap();
    connection.close().await.unwrap();
    assert_eq!(refused(&folder).await.kind(), ErrorKind::NewerVersion);
}

#[tokio::test]
async fn something_else_than_a_database_is_damage() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("state");
    Store::open(&folder).await.unwrap().close().await.unwrap();
    for bytes in [&b"short"[..], &[0; 4096], &b"not a database at all ".repeat(400)] {
        fs::write(folder.join("state.db"), bytes).unwrap();
        let error = refused(&folder).await;
        assert_eq!(error.kind(), ErrorKind::Damaged, "{error}");
        assert!(error.to_string().contains("state.db"), "{error}");
        assert!(error.hint().contains("move"), "{}", error.hint());
    }
    // An empty file is what a crash while it was made leaves.
    fs::write(folder.join("state.db"), b"").unwrap();
    Store::open(&folder).await.unwrap();
}

#[tokio::test]
async fn two_stores_work_on_one_folder() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("state");
    let (one, two) = tokio::join!(Store::open(&folder), Store::open(&folder));
    let (one, two) = (one.unwrap(), two.unwrap());
    let lease = acquire(&one, "t").await;
    let before = two.target("t").await.unwrap();
    for n in 0..70 {
        run(&one, &lease, &format!("r{n}"), &[created(&format!("f{n}"), n)]).await;
        if n == 20 {
            // What the other one has read is gone in the end, and it finds the newer baseline.
            let state = two.target("t").await.unwrap();
            assert_eq!(contents(&*two.baseline(&state).await.unwrap()).len(), 21);
        }
    }
    assert!(contents(&*two.baseline(&before).await.unwrap()).is_empty());
    let state = two.target("t").await.unwrap();
    assert_eq!(state.id, before.id);
    let bulk: Vec<_> = (0..5000).map(|n| created(&format!("bulk/{n}"), n)).collect();
    run(&one, &lease, "bulk", &bulk).await;
    assert_eq!(contents(&*two.baseline(&state).await.unwrap()).len(), 5070);
}

#[tokio::test]
async fn the_workspace_is_locked_once() {
    let parent = tempfile::tempdir().unwrap();
    for store in [Store::open(&parent.path().join("state")).await.unwrap(), Store::in_memory().await.unwrap()]
    {
        let lock = store.lock().unwrap();
        assert_eq!(store.lock().err().unwrap().kind(), ErrorKind::Locked);
        assert_eq!(store.clone().lock().err().unwrap().kind(), ErrorKind::Locked);
        drop(lock);
        drop(store.lock().unwrap());
    }
}

#[tokio::test]
async fn another_process_holds_the_lock() {
    if let Some(folder) = std::env::var_os(HOLD) {
        let store = Store::open(Path::new(&folder)).await.unwrap();
        let _lock = store.lock().unwrap();
        println!("locked");
        let _ = std::io::stdin().lock().read_line(&mut String::new());
        return;
    }
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("state");
    let store = Store::open(&folder).await.unwrap();
    let mut other = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--nocapture", "opening::another_process_holds_the_lock"])
        .env(HOLD, &folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let said = BufReader::new(other.stdout.take().unwrap());
    assert!(said.lines().any(|line| line.unwrap().contains("locked")));
    let error = store.lock().err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Locked);
    assert!(error.to_string().contains(&other.id().to_string()), "{error}");
    other.kill().unwrap();
    other.wait().unwrap();
    drop(store.lock().unwrap());
}

#[tokio::test]
async fn a_copied_state_is_another_workspace_and_a_moved_one_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let store = Store::open(&at("original")).await.unwrap();
    let lease = acquire(&store, "t").await;
    let known = Sides { local: Some(Mark("m".into())), remote: Some(Mark("m".into())) };
    let opening = Opening { known: known.clone(), ..opening("i") };
    store.open_run(Right::Held(&lease), &opening, &start("a", "t")).await.unwrap();
    let id = store.target("t").await.unwrap().id;
    store.close().await.unwrap();
    assert!(Command::new("cp").arg("-a").args([at("original"), at("copy")]).status().unwrap().success());
    std::fs::rename(at("original"), at("moved")).unwrap();

    let moved = Store::open(&at("moved")).await.unwrap();
    acquire(&moved, "t").await;
    let state = moved.target("t").await.unwrap();
    assert_eq!((state.id.as_str(), &state.marks), (id.as_str(), &known));

    let copy = Store::open(&at("copy")).await.unwrap();
    // Also a dry run, which changes nothing, must not believe what the original agreed on.
    for state in [copy.peek_target("t").await.unwrap(), copy.target("t").await.unwrap()] {
        assert!(state.marks.local.is_some() && state.marks != known && state.pending_mark.is_none());
    }
    acquire(&copy, "t").await;
    let state = copy.target("t").await.unwrap();
    assert!(state.id != id && state.marks != known, "{state:?}");
    acquire(&copy, "t").await;
    assert_eq!(copy.target("t").await.unwrap().id, state.id, "it is renamed once");
}
