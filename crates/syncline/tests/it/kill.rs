//! Killed with SIGKILL at every system call that changes something, and run again, the result is that of no
//! kill at all: nothing lost, nothing half-written, no litter. Needs `strace`, which the test command installs.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::support::World;

/// System calls that change something. Each is counted by itself and for each thread: so a call in one thread
/// does not hide those of another kind in the others.
const CALLS: [&str; 21] = [
    "write",
    "pwrite64",
    "writev",
    "copy_file_range",
    "sendfile",
    "ftruncate",
    "fallocate",
    "rename",
    "renameat",
    "renameat2",
    "unlink",
    "unlinkat",
    "rmdir",
    "mkdir",
    "mkdirat",
    "linkat",
    "symlinkat",
    "utimensat",
    "fsync",
    "fdatasync",
    "syncfs",
];

/// What a path holds: its permissions as far as they are synced, and its content.
pub(crate) type Tree = BTreeMap<String, String>;

fn tree(root: &Path) -> Tree {
    let mut tree = Tree::new();
    let mut waiting = vec![root.to_path_buf()];
    while let Some(directory) = waiting.pop() {
        for entry in fs::read_dir(&directory).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
            if name == ".syncline" {
                continue;
            }
            let about = fs::symlink_metadata(&path).unwrap();
            let text = if about.is_dir() {
                waiting.push(path);
                "directory".to_owned()
            } else if about.is_symlink() {
                format!("link {}", fs::read_link(&path).unwrap().display())
            } else {
                let executable = about.permissions().mode() & 0o100 != 0;
                format!("file {executable} {}", fs::read_to_string(&path).unwrap())
            };
            tree.insert(name, text);
        }
    }
    tree
}

pub(crate) fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

/// A folder with a workspace `a` and a remote folder `b` beside it.
pub(crate) struct Place(pub(crate) PathBuf);

impl Place {
    pub(crate) fn a(&self) -> PathBuf {
        self.0.join("a")
    }

    pub(crate) fn b(&self) -> PathBuf {
        self.0.join("b")
    }

    fn syncline(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_syncline"));
        command.current_dir(self.a()).args(["run", "--ci"]).env_remove("SYNCLINE_CONFIG");
        command
    }

    pub(crate) fn run(&self) -> Output {
        self.syncline().output().unwrap()
    }

    /// Runs and is killed at a thread's `nth` such call; tells whether it was.
    fn run_killed(&self, call: &str, nth: usize) -> bool {
        let calm = self.syncline();
        let output = Command::new("strace")
            .args(["-f", "-qq", "-o", "/dev/null", "-e", &format!("trace={call}")])
            .args(["-e", &format!("inject={call}:signal=SIGKILL:when={nth}")])
            .arg(calm.get_program())
            .args(calm.get_args())
            .current_dir(self.a())
            .output()
            .expect("strace is installed by the test command");
        !output.status.success() && output.status.code() != Some(5)
    }

    pub(crate) fn copy_to(&self, to: &Path) -> Self {
        let _ = fs::remove_dir_all(to);
        let done = Command::new("cp").arg("-a").arg(&self.0).arg(to).status().unwrap();
        assert!(done.success());
        Self(to.to_path_buf())
    }

    /// Puts everything back to what a copy holds. The state folder itself stays: a copy of it would be taken for
    /// another workspace, which does not believe what this one had agreed on.
    pub(crate) fn restore(&self, from: &Self) {
        for (side, saved) in [(self.a(), from.a()), (self.b(), from.b())] {
            empty(&side, ".syncline");
            empty(&side.join(".syncline"), "");
            let done = Command::new("cp").arg("-a").arg(saved.join(".")).arg(&side).status().unwrap();
            assert!(done.success());
        }
    }

    pub(crate) fn trees(&self) -> [Tree; 2] {
        [tree(&self.a()), tree(&self.b())]
    }

    /// Changes both sides: creations, edits, renames, removals, a type change and a conflict.
    pub(crate) fn edit(&self) {
        let (a, b) = (self.a(), self.b());
        write(&a.join("edited-here.txt"), "second, edited here");
        write(&b.join("edited-there.txt"), "second, edited there");
        fs::remove_file(a.join("removed-here.txt")).unwrap();
        fs::remove_dir_all(b.join("gone")).unwrap();
        write(&a.join("both.txt"), "second, from here");
        write(&b.join("both.txt"), "second, from there");
        fs::remove_file(b.join("becomes-folder")).unwrap();
        write(&b.join("becomes-folder/inner.txt"), "inside what was a file");
        fs::rename(a.join("folder"), a.join("renamed")).unwrap();
        write(&a.join("new/deep/here.txt"), "new here");
        write(&b.join("new-there.txt"), "new there");
    }

    /// Every content is on a side or in history.
    pub(crate) fn assert_nothing_lost(&self, contents: &BTreeSet<String>, when: &str) {
        let live: BTreeSet<String> = self.trees().into_iter().flat_map(Tree::into_values).collect();
        for content in contents {
            let text = content.splitn(3, ' ').nth(2).unwrap();
            let hex = blake3::hash(text.as_bytes()).to_hex();
            let object = self.a().join(".syncline/objects").join(&hex[..2]).join(&hex[2..]);
            let kept = object.exists() || object.with_extension("zst").exists();
            let there = live.iter().any(|other| other.ends_with(text));
            assert!(kept || there, "{content:?} is lost {when}");
        }
    }

    pub(crate) fn assert_no_litter(&self, when: &str) {
        for side in [self.a(), self.b()] {
            let staging = side.join(".syncline/staging");
            let left: Vec<_> =
                fs::read_dir(&staging).into_iter().flatten().map(|entry| entry.unwrap().path()).collect();
            assert!(left.is_empty(), "litter {when}: {left:?}");
        }
    }
}

/// Removes everything in a folder but what is called `but`.
pub(crate) fn empty(folder: &Path, but: &str) {
    for entry in fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap()) {
        match entry.file_type().unwrap().is_dir() {
            true if entry.file_name() == but => {}
            true => fs::remove_dir_all(entry.path()).unwrap(),
            false => fs::remove_file(entry.path()).unwrap(),
        }
    }
}

/// Both sides agree, and then both change.
fn scenario(root: &Path) -> Place {
    let place = beginning(root);
    assert!(place.run().status.success());
    place.edit();
    place
}

/// A workspace that was never run, with files.
pub(crate) fn beginning(root: &Path) -> Place {
    let place = Place(root.join("start"));
    let (a, b) = (place.a(), place.b());
    write(
        &a.join("syncline.yaml"),
        "version: \"1.0\"\nnode: { name: here }\ntargets:\n  t:\n    remote: { kind: folder, path: ../b }\n    \
         guard: { deletes_max_percent: 100 }\n",
    );
    fs::create_dir_all(&b).unwrap();
    for name in ["edited-here.txt", "edited-there.txt", "removed-here.txt", "both.txt", "becomes-folder"] {
        write(&a.join(name), &format!("first {name}"));
    }
    for number in 0..4 {
        write(&a.join(format!("folder/sub/{number}.txt")), &format!("inside {number}"));
        write(&a.join(format!("gone/{number}.txt")), &format!("to be removed {number}"));
    }
    std::os::unix::fs::symlink("edited-here.txt", a.join("link")).unwrap();
    place
}

#[test]
fn killed_at_every_call_equals_not_killed() {
    let root = tempfile::tempdir().unwrap();
    let place = scenario(root.path());
    let before = place.trees();
    let start = place.copy_to(&root.path().join("saved"));
    let is_file = |text: &&String| text.starts_with("file");
    let contents: BTreeSet<String> =
        before.iter().flat_map(|tree| tree.values().filter(is_file).cloned()).collect();

    assert_eq!(place.run().status.code(), Some(5), "the conflict stays open");
    let after = place.trees();
    place.assert_nothing_lost(&contents, "without a kill");

    let mut kills = 0;
    for call in CALLS {
        for nth in 1.. {
            place.restore(&start);
            if !place.run_killed(call, nth) {
                break;
            }
            kills += 1;
            let when = format!("after the kill at {call} {nth}");
            place.assert_nothing_lost(&contents, &when);
            assert_whole(&place.trees(), &before, &after, &when);
            if kills % 4 == 0 {
                // Killed again while it recovers.
                place.run_killed(call, 1 + nth / 2);
            }
            let again = place.run();
            let code = again.status.code();
            assert!(
                matches!(code, Some(0 | 5)),
                "{when}: {code:?} {}",
                String::from_utf8_lossy(&again.stderr)
            );
            assert_eq!(place.trees(), after, "{when}");
            place.assert_nothing_lost(&contents, &when);
            place.assert_no_litter(&when);
        }
    }
    assert!(kills > 60, "only {kills} calls were met: is the list of calls still right?");
}

/// Every path is as it was or as it will be, and none is absent in between.
pub(crate) fn assert_whole(now: &[Tree; 2], before: &[Tree; 2], after: &[Tree; 2], when: &str) {
    for (side, tree) in now.iter().enumerate() {
        for (path, text) in tree {
            let whole = [&before[side], &after[side]].iter().any(|tree| tree.get(path) == Some(text));
            assert!(whole, "{path} is neither old nor new {when}: {text:?}");
        }
        for path in before[side].keys().filter(|path| after[side].contains_key(*path)) {
            assert!(tree.contains_key(path), "{path} is absent {when}");
        }
    }
}

/// What a line of a trace says, as far as durability goes.
#[derive(Debug, PartialEq)]
enum Traced {
    /// New content for a path, or old content for history, was written.
    Content,
    /// Something took its place in a tree.
    Swap,
    /// Everything written so far was made durable.
    Sync,
    /// The state database was written.
    State,
}

fn traced(line: &str) -> Option<Traced> {
    let call = line.split_once(' ').map_or(line, |(_, call)| call.trim_start());
    let done = !call.contains("<unfinished") && !call.contains("= -1");
    match call.split('(').next()? {
        "write" | "pwrite64" if call.contains("/staging/") || call.contains("/objects/tmp") => {
            Some(Traced::Content)
        }
        "write" | "pwrite64" if call.contains("/state.db") => Some(Traced::State),
        // Out of staging into the tree: the second directory is none of Syncline's own.
        "renameat2" if done => {
            let target = call.split(", ").nth(2)?;
            let swap = call.contains("/staging/") && !target.contains("/.syncline") && target.contains('<');
            swap.then_some(Traced::Swap)
        }
        "syncfs" if done => Some(Traced::Sync),
        _ => None,
    }
}

/// I11 as far as it can be seen from outside: nothing takes its place in a tree, and no outcome is recorded, before
/// what it stands on was made durable. A power cut between any two calls then leaves what a kill leaves.
#[test]
fn nothing_is_claimed_before_it_is_durable() {
    let root = tempfile::tempdir().unwrap();
    let place = scenario(root.path());
    let log = root.path().join("trace");
    let status = Command::new("strace")
        .args(["-f", "-y", "-e", "trace=write,pwrite64,renameat2,syncfs", "-o"])
        .arg(&log)
        // One side only: two that are written at once would have their calls mixed.
        .args([env!("CARGO_BIN_EXE_syncline"), "run", "--ci", "--one-way", "push"])
        .current_dir(place.a())
        .status()
        .expect("strace is installed by the test command");
    assert_eq!(status.code(), Some(5));
    let (mut content, mut swapped, mut swaps, mut claims) = (false, false, 0, 0);
    for line in fs::read_to_string(&log).unwrap().lines() {
        match traced(line) {
            Some(Traced::Content) => content = true,
            Some(Traced::Swap) => {
                assert!(!content, "swapped in before a sync: {line}");
                (swapped, swaps) = (true, swaps + 1);
            }
            Some(Traced::Sync) => (content, swapped) = (false, false),
            Some(Traced::State) => {
                assert!(!swapped, "recorded before a sync: {line}");
                claims += 1;
            }
            None => {}
        }
    }
    assert!(
        swaps >= 4 && claims > 0,
        "{swaps} swaps and {claims} claims were seen: is the trace still understood?"
    );
}

#[test]
fn status_tells_of_a_run_that_was_cut_short() {
    let world = World::new();
    world.write_local("a.md", "one");
    world.expect(0, &["run"]);
    world.write_local("a.md", "two");
    let killed = Command::new("strace")
        .args(["-f", "-qq", "-e", "trace=renameat2", "-e", "inject=renameat2:signal=KILL:when=1", "-o"])
        .arg(world.path("trace"))
        .args([env!("CARGO_BIN_EXE_syncline"), "run", "--ci"])
        .current_dir(world.path("local"))
        .output()
        .expect("strace is installed by the test command");
    assert!(!killed.status.success());
    for arguments in [&["status", "--fast"][..], &["status"]] {
        let status = world.json(0, arguments);
        assert_eq!(status["targets"][0]["state"], "unfinished", "{status:#}");
        let told = world.expect(0, arguments).out;
        assert!(told.contains("was cut short") && !told.contains("in agreement"), "{told}");
    }
    world.expect(0, &["run"]);
    assert_eq!(world.json(0, &["status", "--fast"])["targets"][0]["state"], "in_agreement");
}
