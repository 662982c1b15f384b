//! Programs of others: whatever they do, they end, and nothing of them stays behind.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use syncline_engine::process::{Call, End, Finished, Limits, What};

fn shell(folder: &Path, line: &str) -> Call {
    let path = std::env::var("PATH").unwrap();
    Call {
        what: What::Shell(line.to_owned()),
        folder: folder.to_owned(),
        environment: BTreeMap::from([("PATH".to_owned(), path)]),
        limits: Limits::default(),
        writable: None,
        held: None,
    }
}

async fn run(line: &str, limits: Limits) -> Finished {
    let folder = tempfile::tempdir().unwrap();
    Call { limits, ..shell(folder.path(), line) }.run().await.unwrap()
}

/// Whether a process that wrote its number to `file` is still there.
fn lives(file: &Path) -> bool {
    let number = std::fs::read_to_string(file).unwrap();
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", number.trim()));
    stat.is_ok_and(|stat| !stat.contains(") Z "))
}

async fn comes_true(holds: impl Fn() -> bool) -> bool {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !holds() {
        if Instant::now() > deadline {
            return false;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    true
}

#[tokio::test]
async fn a_program_tells_how_it_ended_and_what_it_said() {
    let done = run("echo out; echo err >&2; exit 7", Limits::default()).await;
    assert_eq!((done.end, &done.out[..], &done.err[..]), (End::Exited(7), &b"out\n"[..], &b"err\n"[..]));
    assert_eq!(run("kill -TERM $$", Limits::default()).await.end, End::Signal(15));
    assert!(run("true", Limits::default()).await.is_success());
}

#[tokio::test]
async fn its_environment_is_what_it_is_given_and_its_input_is_empty() {
    let folder = tempfile::tempdir().unwrap();
    let mut call = shell(folder.path(), "cat; env; pwd");
    call.environment.insert("GRANTED".to_owned(), "yes".to_owned());
    let said = String::from_utf8(call.run().await.unwrap().out).unwrap();
    let own = ["PATH=", "GRANTED=yes", "PWD=", "OLDPWD=", "SHLVL=", "_="];
    let others: Vec<&str> = said
        .lines()
        .filter(|line| line.contains('=') && !own.iter().any(|own| line.starts_with(own)))
        .collect();
    assert_eq!(others, [""; 0]);
    assert!(said.contains("GRANTED=yes"), "{said}");
    assert_eq!(said.lines().last().map(Path::new), Some(folder.path().canonicalize().unwrap().as_path()));
}

#[tokio::test]
async fn one_that_hangs_is_ended_with_all_that_it_started() {
    let folder = tempfile::tempdir().unwrap();
    let limits = Limits { time: Duration::from_millis(800), ..Limits::default() };
    let line = "trap '' TERM HUP INT; sh -c 'echo $$ > child; while :; do sleep 1; done' & while :; do sleep 1; done";
    let done = Call { limits, ..shell(folder.path(), line) }.run().await.unwrap();
    assert_eq!(done.end, End::TimedOut);
    assert!(comes_true(|| !lives(&folder.path().join("child"))).await);
}

#[tokio::test]
async fn what_it_leaves_running_is_ended_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let line =
        "sh -c 'echo $$ > child; exec sleep 1000' & while [ ! -s child ]; do sleep 0.01; done; echo done";
    let done = shell(folder.path(), line).run().await.unwrap();
    assert_eq!((done.end, &done.out[..]), (End::Exited(0), &b"done\n"[..]));
    assert!(comes_true(|| !lives(&folder.path().join("child"))).await);
}

#[tokio::test]
async fn what_escapes_from_its_group_keeps_nobody_waiting() {
    let folder = tempfile::tempdir().unwrap();
    let line =
        "setsid sh -c 'echo $$ > escaped; exec sleep 60' & while [ ! -s escaped ]; do sleep 0.01; done";
    let done = shell(folder.path(), line).run().await.unwrap();
    assert_eq!(done.end, End::Exited(0));
    let number = std::fs::read_to_string(folder.path().join("escaped")).unwrap();
    std::process::Command::new("kill").arg(number.trim()).status().unwrap();
}

#[tokio::test]
async fn too_much_output_ends_it_and_does_not_fill_the_memory() {
    let limits = Limits { output_bytes: 1 << 20, ..Limits::default() };
    let done = run("yes all work and no play", limits).await;
    assert_eq!(done.end, End::TooMuchOutput);
    assert!(done.out.len() <= 1 << 20);
    // The limit comes a moment after the start.
    let line = "for i in $(seq 1000); do head -c 2000000 /dev/zero > file || exit 1; done";
    let done = run(line, limits).await;
    assert!(!done.is_success(), "no file grows beyond the limit: {done:?}");
}

#[tokio::test]
async fn a_fork_bomb_goes_off_and_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let limits = Limits { processes: 30, ..Limits::default() };
    // It stops by itself at a thousand: where it is not seen, the machine shall survive the test.
    let line = "echo $$ > group; bomb() { if [ $1 -gt 0 ]; then bomb $(($1 - 1)) & bomb $(($1 - 1)) & wait; fi; sleep 1000; }; bomb 9";
    let done = Call { limits, ..shell(folder.path(), line) }.run().await.unwrap();
    assert_eq!(done.end, End::TooManyProcesses);
    let group = std::fs::read_to_string(folder.path().join("group")).unwrap();
    let left = || {
        let stats = std::fs::read_dir("/proc").unwrap().flatten();
        let stats = stats.filter_map(|entry| std::fs::read_to_string(entry.path().join("stat")).ok());
        stats.filter(|stat| stat.split(' ').nth(4) == Some(group.trim()) && !stat.contains(") Z ")).count()
    };
    assert!(comes_true(|| left() == 0).await);
}

#[tokio::test]
async fn a_glutton_for_memory_is_ended() {
    let limits = Limits { memory_bytes: 64 << 20, ..Limits::default() };
    let line = "dd if=/dev/zero of=/dev/null bs=400000000 count=100000";
    assert_eq!(run(line, limits).await.end, End::TooMuchMemory);
}

#[tokio::test]
async fn it_ends_when_nobody_waits_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let child = folder.path().join("child");
    let running = tokio::spawn(shell(folder.path(), "echo $$ > child; exec sleep 1000").run());
    assert!(comes_true(|| std::fs::read_to_string(&child).is_ok_and(|text| text.ends_with('\n'))).await);
    assert!(lives(&child));
    running.abort();
    assert!(comes_true(|| !lives(&child)).await);
}

#[tokio::test]
async fn a_program_that_is_not_there_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let call = Call { what: What::Program("./missing".into(), Vec::new()), ..shell(folder.path(), "") };
    assert_eq!(call.run().await.unwrap_err().kind(), std::io::ErrorKind::NotFound);
}
