//! What becomes of results that cannot be printed or written: told, and never half of them under a final name.

use std::fs::{self, File};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use crate::support::World;

/// Runs the program with a standard output on which nothing can be written.
fn on_a_full_disk(world: &World, arguments: &[&str]) -> Output {
    let full = File::options().write(true).open("/dev/full").unwrap();
    world.command(arguments).stdout(full).stderr(Stdio::piped()).output().unwrap()
}

#[test]
fn a_result_that_cannot_be_printed_is_a_failure() {
    let world = World::new();
    world.write_local("a.md", "a");
    let commands: [&[&str]; 10] = [
        &["plan"],
        &["plan", "--format", "json"],
        &["status"],
        &["status", "--format", "json"],
        &["call"],
        &["completions", "bash"],
        &["man"],
        &["config", "schema"],
        &["config", "reference"],
        &["--help"],
    ];
    for arguments in commands {
        let ended = on_a_full_disk(&world, arguments);
        let told = String::from_utf8_lossy(&ended.stderr);
        assert_eq!(ended.status.code(), Some(1), "{arguments:?}: {told}");
        assert!(told.contains("writing to standard output: No space left"), "{arguments:?}: {told}");
    }
    let ended = on_a_full_disk(&world, &["run"]);
    assert_eq!(ended.status.code(), Some(1));
    assert_eq!(world.agreed("a.md").as_deref(), Some("a"), "the run itself came to its end");
    // A worse reason keeps its exit code.
    assert_eq!(on_a_full_disk(&world, &["plan", "nothing", "--format", "json"]).status.code(), Some(2));
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let world = World::new();
    for number in 0..200 {
        world.write_local(&format!("{number}.md"), "text");
    }
    let commands: [&[&str]; 5] =
        [&["plan"], &["plan", "--format", "json"], &["completions", "zsh"], &["--help"], &["run"]];
    for arguments in commands {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let ended = world.command(arguments).stdout(writer).stderr(Stdio::piped()).output().unwrap();
        let told = String::from_utf8_lossy(&ended.stderr);
        assert_eq!((ended.status.code(), told.as_ref()), (Some(0), ""), "{arguments:?}");
    }
    assert_eq!(world.agreed("199.md").as_deref(), Some("text"), "the run itself came to its end");
}

/// Runs a shell script in a mount namespace of its own, so that mounts vanish with it.
fn in_namespace(world: &World, script: &str) -> Output {
    let root = Command::new("id").arg("-u").output().unwrap().stdout == b"0\n";
    let script = format!("program=$1\n{script}");
    Command::new("unshare")
        .args([if root { "-m" } else { "-Urm" }, "sh", "-euc", &script, "sh"])
        .arg(env!("CARGO_BIN_EXE_syncline"))
        .current_dir(world.local(""))
        .env_remove("SYNCLINE_CONFIG")
        .output()
        .unwrap()
}

#[test]
fn a_file_that_does_not_fit_never_gets_its_name() {
    let world = World::new();
    for number in 0..300 {
        world.write_local(&format!("{number}.md"), "text");
    }
    fs::create_dir(world.path("full")).unwrap();
    let script = r#"
        fails() {
            code=0
            "$program" "$@" > /dev/null 2> ../told || code=$?
            test $code = 1 || { echo "$* ended with $code"; exit 9; }
            grep -q "No space left" ../told || { echo "$* told:"; cat ../told; exit 9; }
        }
        mount -t tmpfs -o size=64k tmpfs ../full
        echo old > ../full/old.json
        head -c 56k /dev/zero > ../full/filler
        fails plan --out ../full/new.json
        fails plan --out ../full/old.json
        head -c 1m /dev/zero > ../full/more 2>&- || true
        fails run --report ../full/new.json
        fails run --report ../full/new.md
        fails man ../full/man
        test "$(cat ../full/old.json)" = old
        rmdir ../full/man
        rm ../full/filler ../full/more
        test "$(ls -A ../full)" = old.json
    "#;
    let ended = in_namespace(&world, script);
    let told =
        format!("{}{}", String::from_utf8_lossy(&ended.stdout), String::from_utf8_lossy(&ended.stderr));
    assert!(ended.status.success(), "{told}");
}

#[test]
fn a_device_and_a_link_stay_what_they_are() {
    let world = World::new();
    world.write_local("a.md", "a");
    let pipe = world.path("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let reading = {
        let pipe = pipe.clone();
        std::thread::spawn(move || fs::read_to_string(pipe).unwrap())
    };
    world.expect(0, &["plan", "--out", pipe.to_str().unwrap()]);
    assert!(reading.join().unwrap().contains("\"a.md\""));
    assert!(!fs::symlink_metadata(&pipe).unwrap().is_file(), "the pipe was replaced");

    fs::write(world.path("real.json"), "old").unwrap();
    std::os::unix::fs::symlink("real.json", world.path("link.json")).unwrap();
    world.expect(0, &["plan", "--out", "../link.json"]);
    assert!(fs::symlink_metadata(world.path("link.json")).unwrap().is_symlink());
    assert!(fs::read_to_string(world.path("real.json")).unwrap().contains("\"a.md\""));
}

#[test]
fn a_watch_that_nobody_reads_ends() {
    let world = World::new();
    world.write_local("a.md", "a");
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut watch = world.command(&["run", "--watch"]).stdout(writer).stderr(Stdio::null()).spawn().unwrap();
    let deadline = Instant::now() + Duration::from_secs(120);
    let ended = loop {
        match watch.try_wait().unwrap() {
            Some(ended) => break ended,
            None if Instant::now() > deadline => {
                watch.kill().unwrap();
                panic!("it goes on although nobody reads what it tells");
            }
            None => std::thread::sleep(Duration::from_millis(20)),
        }
    };
    assert_eq!(ended.code(), Some(0));
    assert_eq!(world.agreed("a.md").as_deref(), Some("a"));
}
