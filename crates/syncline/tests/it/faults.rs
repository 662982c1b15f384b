//! The fault catalogue from the built program: full disks, unreadable folders, failing reads, unmounted roots,
//! edits under the hands of a run. Needs root for mounts, or user namespaces where the test is not run by root.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::support::World;

/// Runs a shell script in a mount namespace of its own, so that mounts vanish with it.
fn in_namespace(script: &str, world: &World) -> std::process::Output {
    let root = Command::new("id").arg("-u").output().unwrap().stdout == b"0\n";
    let flags = if root { "-m" } else { "-Urm" };
    Command::new("unshare")
        .args([flags, "sh", "-euc", script, "sh", env!("CARGO_BIN_EXE_syncline")])
        .current_dir(world.path(""))
        .env_remove("SYNCLINE_CONFIG")
        .output()
        .expect("unshare is part of util-linux")
}

fn told(output: &std::process::Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
fn a_full_remote_disk_fails_what_does_not_fit_and_a_later_run_finishes() {
    let world = World::new();
    world.write_local("small.txt", "fits");
    world.write_local("large.bin", &"x".repeat(3 << 20));
    let script = r#"
        mount -t tmpfs -o size=1m tmpfs remote
        set +e
        (cd local && "$1" run --ci); echo "code $?"
        set -e
        test "$(cat remote/small.txt)" = fits
        test ! -e remote/large.bin
        test -z "$(find remote/.syncline -type f -size +100k)"
        mount -o remount,size=16m remote
        (cd local && "$1" run --ci)
        cmp local/large.bin remote/large.bin
    "#;
    let output = in_namespace(script, &world);
    assert!(output.status.success(), "{}", told(&output));
    assert!(told(&output).contains("code 1"), "{}", told(&output));
    assert!(told(&output).contains("free some space"), "a hint says what to do: {}", told(&output));
}

#[test]
fn a_full_state_disk_stops_the_run_before_anything_is_changed() {
    let world = World::new();
    for number in 0..40 {
        world.write_local(&format!("{number}.txt"), &format!("content {number}"));
    }
    let script = r#"
        mkdir state
        mount -t tmpfs -o size=256k,mode=700 tmpfs state
        head -c 1m /dev/zero > state/filler 2>/dev/null || true
        set +e
        (cd local && "$1" --state ../state run --ci); echo "code $?"
        set -e
        test -z "$(ls remote)"
        rm state/filler
        mount -o remount,size=16m state
        (cd local && "$1" --state ../state run --ci)
        test "$(ls remote | wc -l)" = 40
    "#;
    let output = in_namespace(script, &world);
    assert!(output.status.success(), "{}", told(&output));
    assert!(told(&output).contains("code 1"), "{}", told(&output));
}

#[test]
fn an_unmounted_remote_halts_and_nothing_is_removed() {
    let world = World::new();
    world.write_local("precious.txt", "precious");
    world.write_local("second.txt", "second");
    let script = r#"
        mount -t tmpfs tmpfs remote
        (cd local && "$1" run --ci)
        umount remote
        set +e
        (cd local && "$1" run --ci); echo "code $?"
        test -e local/precious.txt && test -e local/second.txt && test -z "$(ls -A remote)" && echo intact
    "#;
    let output = in_namespace(script, &world);
    assert!(told(&output).contains("code 4"), "{}", told(&output));
    assert!(told(&output).contains("intact"), "{}", told(&output));
}

#[test]
fn a_root_that_became_a_file_halts() {
    let world = World::new();
    world.write_local("precious.txt", "precious");
    assert_eq!(world.run(&["run", "--ci"]).code, 0);
    fs::remove_dir_all(world.path("remote")).unwrap();
    fs::write(world.path("remote"), "not a folder").unwrap();
    let ran = world.run(&["run", "--ci"]);
    assert_eq!(ran.code, 4, "{}{}", ran.out, ran.err);
    assert_eq!(world.read_local("precious.txt").as_deref(), Some("precious"));
}

/// One read call of a thread fails with an input/output error, whichever it is: the file concerned is told,
/// the others arrive, and nothing is removed.
#[test]
fn a_failing_read_concerns_one_file_and_removes_nothing() {
    let mut failures = 0;
    for nth in 1..=6 {
        let world = World::new();
        for name in ["one", "two", "three"] {
            world.write_local(&format!("{name}.txt"), name);
        }
        let output = Command::new("strace")
            .args(["-f", "-qq", "-o", "/dev/null", "-P"])
            .arg(world.local("two.txt"))
            .args(["-e", "trace=read,pread64", "-e"])
            .arg(format!("inject=read,pread64:error=EIO:when={nth}"))
            .arg(env!("CARGO_BIN_EXE_syncline"))
            .args(["run", "--ci"])
            .current_dir(world.local(""))
            .output()
            .expect("strace is installed by the test command");
        if output.status.code() == Some(0) {
            break;
        }
        failures += 1;
        assert_eq!(output.status.code(), Some(1), "{}", told(&output));
        assert!(told(&output).contains("two.txt"), "{}", told(&output));
        assert_eq!(world.agreed("one.txt").as_deref(), Some("one"));
        assert_eq!(world.agreed("three.txt").as_deref(), Some("three"));
        assert_eq!(world.read_local("two.txt").as_deref(), Some("two"));
        assert_eq!(world.run(&["run", "--ci"]).code, 0);
        assert_eq!(world.agreed("two.txt").as_deref(), Some("two"));
    }
    assert!(failures > 0, "no read of the file was met");
}

#[test]
fn a_folder_without_permission_is_told_and_not_taken_for_empty() {
    let world = World::new();
    world.write_local("open/file.txt", "open");
    world.write_local("closed/file.txt", "closed");
    assert_eq!(world.run(&["run", "--ci"]).code, 0);
    world.write_local("open/file.txt", "open, edited");
    for side in ["local", "remote"] {
        chmod(&world.path(side), "a+rwX");
    }
    chmod(&world.path(""), "a+rx");
    // As nobody, since permissions say nothing to root.
    let root = Command::new("id").arg("-u").output().unwrap().stdout == b"0\n";
    let command = world.command(&["run", "--ci"]);
    let mut run = if root {
        let done = Command::new("chown").args(["-R", "65534:65534"]).arg(world.path("")).status().unwrap();
        assert!(done.success());
        let mut run = Command::new("setpriv");
        run.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(copy_for_all(&world));
        run.args(command.get_args()).current_dir(world.local(""));
        run
    } else {
        command
    };
    chmod(&world.local("closed"), "000");
    let output = run.output().unwrap();
    chmod(&world.local("closed"), "755");
    assert_eq!(output.status.code(), Some(1), "{}", told(&output));
    assert!(told(&output).contains("closed"), "{}", told(&output));
    assert_eq!(world.agreed("open/file.txt").as_deref(), Some("open, edited"));
    assert_eq!(world.read_remote("closed/file.txt").as_deref(), Some("closed"), "absence needs proof");
}

#[test]
fn root_changes_nothing_in_the_state_of_another_user() {
    let world = World::new();
    world.write_local("notes.txt", "notes");
    world.expect(0, &["run"]);
    // Whoever is not root is kept out by the system.
    if Command::new("id").arg("-u").output().unwrap().stdout != b"0\n" {
        return;
    }
    let state = world.local(".syncline");
    let done = Command::new("chown").args(["-R", "65534:65534"]).arg(&state).status().unwrap();
    assert!(done.success());
    world.write_local("notes.txt", "notes, edited");
    for refused in [
        &["run"][..],
        &["pause", "main", "--reason", "no"],
        &["serve", "--listen", "127.0.0.1:0"],
        &["scrub", "--repair"],
    ] {
        let ran = world.run(refused);
        assert_ne!(ran.code, 0, "{refused:?}");
        assert!(
            ran.err.contains("belongs to user 65534") && ran.err.contains("sudo -u"),
            "{refused:?}: {}",
            ran.err
        );
    }
    let foreign = Command::new("find").arg(&state).args(["-user", "root"]).output().unwrap().stdout;
    assert_eq!(String::from_utf8_lossy(&foreign), "", "nothing is left that its owner cannot change");
    world.expect(0, &["status"]);
}

fn chmod(path: &Path, mode: &str) {
    assert!(Command::new("chmod").arg(mode).arg(path).status().unwrap().success());
}

/// The program at a place where every user may run it.
fn copy_for_all(world: &World) -> std::path::PathBuf {
    let copy = world.path("syncline");
    fs::copy(env!("CARGO_BIN_EXE_syncline"), &copy).unwrap();
    chmod(&copy, "755");
    copy
}

#[test]
fn names_that_are_no_text_are_reported_and_left_alone() {
    use std::os::unix::ffi::OsStrExt;
    let world = World::new();
    world.write_local("plain.txt", "plain");
    let odd = world.local("").join(std::ffi::OsStr::from_bytes(b"odd-\xff-name"));
    fs::write(&odd, "odd").unwrap();
    let ran = world.run(&["run", "--ci"]);
    assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
    assert!(format!("{}{}", ran.out, ran.err).contains("odd-"), "{}{}", ran.out, ran.err);
    assert_eq!(world.agreed("plain.txt").as_deref(), Some("plain"));
    assert_eq!(fs::read_to_string(&odd).unwrap(), "odd");
}
