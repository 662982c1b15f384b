//! Calls that make things durable, or put them in their place, and fail: the run says so, nothing is lost, nothing is
//! claimed, and the next run writes into new files again instead of trusting what is there.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use super::trace::{self, Call};
use crate::kill::{Place, Tree, assert_whole, beginning};

/// The call that is made to fail, and which of them: each n-th.
const CALLS: [(&str, usize); 7] = [
    ("syncfs", 1),
    ("fsync", 1),
    ("fdatasync", 1),
    ("renameat2", 1),
    ("renameat", 1),
    ("rename", 1),
    // There are hundreds, and nobody looks at what they return: what was written is synced before it is closed.
    ("close", 29),
];

/// Runs the program, watched; with `fault`, a thread's n-th such call fails with an input/output error.
fn run_watched(place: &Place, log: &Path, fault: Option<(&str, usize)>) -> (i32, String, Vec<Call>) {
    let mut command = Command::new("strace");
    command.args(trace::OPTIONS).arg("-o").arg(log);
    if let Some((call, nth)) = fault {
        command.args(["-e", &format!("inject={call}:error=EIO:when={nth}")]);
    }
    let output = command
        .arg(env!("CARGO_BIN_EXE_syncline"))
        .args(["run", "--ci"])
        .current_dir(place.a())
        .env_remove("SYNCLINE_CONFIG")
        .output()
        .expect("strace is installed by the test command");
    let told = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap()).concat();
    let calls = trace::calls(&fs::read_to_string(log).unwrap());
    (output.status.code().unwrap_or(-1), told, calls)
}

/// The files that a run makes, by what is known of their durability.
#[derive(Default)]
struct Files {
    /// Made by this run, and not synced since.
    young: BTreeSet<String>,
    /// Made by this run, and a sync since then ended well.
    sound: BTreeSet<String>,
    /// Made by this run, and the first sync since then failed. Another one that ends well proves nothing.
    doomed: BTreeSet<String>,
    /// The same, where that was a sync of a whole file system. A sync of the file itself that ends well makes it sound
    /// then: it tells of all that could not be written since the file was opened (`fsync(2)`), whoever was told before.
    doubted: BTreeSet<String>,
}

impl Files {
    fn synced(&mut self, call: &Call, path: &str) {
        let whole = call.name == "syncfs";
        // The content store lies on the disk of its side, but only its own sync counts for it.
        let objects = path.ends_with(OBJECTS);
        let reached = |other: &str| {
            other == path || whole && other.starts_with(path) && other.contains(OBJECTS) == objects
        };
        let (synced, young) = std::mem::take(&mut self.young).into_iter().partition(|file| reached(file));
        self.young = young;
        let set = match (call.injected, whole) {
            (true, true) => &mut self.doubted,
            (true, false) => &mut self.doomed,
            (false, _) => &mut self.sound,
        };
        set.extend::<BTreeSet<String>>(synced);
        if !whole && self.doubted.remove(path) {
            if call.injected { &mut self.doomed } else { &mut self.sound }.insert(path.to_owned());
        }
    }

    fn renamed(&mut self, from: &str, to: &str, when: &str) {
        let within = |path: &&String| *path == from || path.starts_with(&format!("{from}/"));
        if from.contains(STAGING) && !to.contains("/.syncline/") {
            let unsound = self.doomed.iter().chain(&self.doubted).find(within);
            assert!(unsound.is_none(), "{unsound:?} landed at {to} although its sync failed {when}");
            let known = self.young.iter().chain(&self.sound).any(|path| within(&path));
            assert!(known, "{from} landed at {to}, but was not made by this run {when}");
        }
        for set in self.sets() {
            if set.remove(from) {
                set.insert(to.to_owned());
            }
        }
    }

    fn sets(&mut self) -> [&mut BTreeSet<String>; 4] {
        [&mut self.young, &mut self.sound, &mut self.doomed, &mut self.doubted]
    }

    fn removed(&mut self, path: &str) {
        for set in self.sets() {
            set.remove(path);
        }
    }
}

const STAGING: &str = "/.syncline/staging/";
const OBJECTS: &str = "/.syncline/objects";

/// Asserts that every file that takes its place in a tree was made by this very run, and that no sync of it failed
/// in between; returns what is left of the content store that a failed sync was to make durable.
fn assert_only_sound_files_land(calls: &[Call], when: &str) -> BTreeSet<String> {
    let mut files = Files::default();
    for call in calls {
        match call.name.as_str() {
            "syncfs" | "fsync" | "fdatasync" => {
                if let Some(path) = call.file(0) {
                    files.synced(call, &path);
                }
            }
            _ if call.injected => {}
            "openat" if call.shows("O_CREAT") => files.young.extend(call.opened()),
            "symlinkat" => drop(files.young.insert(call.at(1, 2))),
            "mkdirat" => drop(files.young.insert(call.at(0, 1))),
            "rename" => files.renamed(&call.path(0), &call.path(1), when),
            // An exchange leaves an old item in staging, which goes away.
            "renameat" | "renameat2" => files.renamed(&call.at(0, 1), &call.at(2, 3), when),
            "unlink" => files.removed(&call.path(0)),
            "unlinkat" => files.removed(&call.at(0, 1)),
            _ => {}
        }
    }
    files.doomed.append(&mut files.doubted);
    files.doomed.retain(|path| path.contains(OBJECTS));
    files.doomed
}

#[test]
fn a_failed_sync_or_rename_is_told_and_its_file_is_never_trusted() {
    let root = super::worlds();
    let place = beginning(root.path());
    assert!(place.run().status.success());
    place.edit();
    let before = place.trees();
    let start = place.copy_to(&root.path().join("saved"));
    let is_file = |text: &&String| text.starts_with("file");
    let contents: BTreeSet<String> =
        before.iter().flat_map(|tree| tree.values().filter(is_file).cloned()).collect();
    assert_eq!(place.run().status.code(), Some(5), "the conflict stays open");
    let after = place.trees();
    for (call, step) in CALLS {
        let mut met = 0;
        for nth in (1..).step_by(step) {
            place.restore(&start);
            if !one_fault(&place, (call, nth), [&before, &after], &contents) {
                break;
            }
            met += 1;
        }
        assert!(met > 0, "no {call} was met: is the list of calls still right?");
    }
}

/// Whether only files of the state database were met. SQLite tells of a commit that failed; that its log could not be
/// copied into the database, as when it is closed, costs nothing, since the log stays: the run may end well then.
fn is_in_the_database(calls: &[Call]) -> bool {
    let is_file = |call: &Call| call.file(0).is_some_and(|path| path.contains("/.syncline/state.db"));
    calls.iter().filter(|call| call.injected).all(is_file)
}

/// Lets one call fail, and then runs again without; tells whether the call was met.
fn one_fault(
    place: &Place,
    fault: (&str, usize),
    [before, after]: [&[Tree; 2]; 2],
    contents: &BTreeSet<String>,
) -> bool {
    let when = format!("when {} {} fails", fault.0, fault.1);
    let log = place.0.join("trace");
    let (code, told, calls) = run_watched(place, &log, Some(fault));
    let met: Vec<String> =
        calls.iter().filter(|call| call.injected).map(|call| call.file(0).unwrap_or_default()).collect();
    if met.is_empty() {
        assert_eq!(code, 5, "{when}: {told}");
        return false;
    }
    if code == 5 && met.iter().all(|path| path.ends_with("/.syncline/audit.jsonl")) {
        // What was done stays done; that its record is missing is told.
        assert!(fault.0 == "close" || told.contains("the audit log"), "{when} of {met:?}: {told}");
    } else if fault.0 != "close" && !(code == 5 && is_in_the_database(&calls)) {
        assert_eq!(code, 1, "{when} of {met:?}: {told}");
        let clear = ["Input/output error", "disk I/O error", "could not be made durable"]
            .iter()
            .any(|text| told.contains(text));
        assert!(clear, "{when} of {met:?}: {told}");
    }
    place.assert_nothing_lost(contents, &when);
    assert_whole(&place.trees(), before, after, &when);
    for object in assert_only_sound_files_land(&calls, &when) {
        assert!(!Path::new(&object).exists(), "{object} is still there {when}");
    }
    let (code, told, calls) = run_watched(place, &log, None);
    assert!(matches!(code, 0 | 5), "after {when}: {code} {told}");
    assert_only_sound_files_land(&calls, &when);
    assert_eq!(place.trees(), *after, "{when}");
    place.assert_nothing_lost(contents, &when);
    place.assert_no_litter(&when);
    true
}
