//! I11, power loss: the built program is watched once, call by call, and then power is lost again and again on a model
//! of the disks: whatever was not made durable is dropped, reordered and torn. Whatever is left of the world then, the
//! next run of the program must make of it what it would have become without.

mod disk;
mod states;
mod trace;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::kill::{Place, Tree, assert_whole, scenario};
use crate::random::seeds;
use disk::{Disks, Image, Node};
use states::State;

/// States that are tried in an ordinary test run; the soak run sets `SYNCLINE_POWER_STATES`.
const STATES: u64 = 240;
/// How many are tried at once.
const THREADS: usize = 2;

/// A run of the program on the scenario, call by call.
struct Recording {
    disks: Disks,
    before: [Tree; 2],
    after: [Tree; 2],
    contents: BTreeSet<String>,
}

impl Recording {
    /// Records a run in a folder; one that was recorded there before is read again.
    fn of(folder: &Path) -> Self {
        let trace = folder.join("trace");
        if !trace.exists() {
            let start = scenario(folder);
            let ran = start.copy_to(&folder.join("ran"));
            let status = Command::new("strace")
                .args(trace::OPTIONS)
                .arg("-o")
                .arg(&trace)
                .arg(env!("CARGO_BIN_EXE_syncline"))
                .args(["run", "--ci"])
                .current_dir(ran.a())
                .env_remove("SYNCLINE_CONFIG")
                .stdout(std::process::Stdio::null())
                .status()
                .expect("strace is installed by the test command");
            assert_eq!(status.code(), Some(5), "the conflict stays open");
        }
        let (start, ran) = (Place(folder.join("start")), Place(folder.join("ran")));
        let log = fs::read_to_string(trace).unwrap();
        let root = trace::working_directory(&log).strip_suffix("/a").unwrap().to_owned();
        let mut disks = Disks::of(&start.0, root);
        disks.play(&trace::calls(&log));
        let before = start.trees();
        let is_file = |text: &&String| text.starts_with("file");
        let contents = before.iter().flat_map(|tree| tree.values().filter(is_file).cloned()).collect();
        let after = ran.trees();
        assert_eq!(trees(&disks.image()), after, "the model is not what the program left");
        Self { disks, before, after, contents }
    }

    /// Loses power, runs the program again, and looks at what became of everything.
    fn check(&self, state: &State, number: u64, folder: &Path) {
        let now = trees(&state.image);
        assert_whole(&now, &self.before, &self.after, "after the power loss");
        self.assert_nothing_lost(&state.image);
        state.image.write_to(folder);
        let place = Place(folder.to_owned());
        // The second run has nothing left to do.
        for _ in 0..=u8::from(number % 4 == 0) {
            let ran = place.run();
            let code = ran.status.code();
            let [out, err] = [&ran.stdout, &ran.stderr].map(|text| String::from_utf8_lossy(text));
            assert!(matches!(code, Some(0 | 5)), "{code:?}: {out}{err}");
            assert_eq!(place.trees(), self.after, "the next run ends elsewhere");
        }
        place.assert_no_litter("after the next run");
        place.assert_nothing_lost(&self.contents, "after the next run");
    }

    /// Every content is on a side or, whole, in history or among what was changing places.
    fn assert_nothing_lost(&self, image: &Image) {
        let mut there = BTreeSet::new();
        image.visit(&mut |path, node| {
            let Node::File { bytes, .. } = node else { return };
            let packed = path.contains(".syncline/objects/") && path.ends_with(".zst");
            let bytes = if packed { zstd::decode_all(&bytes[..]).unwrap_or_default() } else { bytes.clone() };
            let ours = path.contains("/.syncline/") && !path.contains("/.syncline/objects/");
            if !ours {
                there.insert(String::from_utf8_lossy(&bytes).into_owned());
            }
        });
        for content in &self.contents {
            let text = content.splitn(3, ' ').nth(2).unwrap();
            assert!(there.contains(text), "{content:?} is lost after the power loss");
        }
    }
}

/// Both sides as [`crate::kill::tree`] tells them.
fn trees(image: &Image) -> [Tree; 2] {
    let mut trees = [Tree::new(), Tree::new()];
    image.visit(&mut |path, node| {
        let Some((side, path)) = path.split_once('/') else { return };
        if path == ".syncline" || path.starts_with(".syncline/") {
            return;
        }
        let text = match node {
            Node::Directory { .. } => "directory".to_owned(),
            Node::Link { target } => format!("link {target}"),
            Node::File { bytes, mode, .. } => {
                format!("file {} {}", mode & 0o100 != 0, String::from_utf8_lossy(bytes))
            }
        };
        trees[usize::from(side == "b")].insert(path.to_owned(), text);
    });
    trees
}

/// A place for worlds: in memory where there is one, since here nothing has to survive anything.
fn worlds() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

#[test]
fn power_lost_anywhere_equals_not_lost() {
    let recorded = std::env::var_os("SYNCLINE_POWER_RECORDING").map(PathBuf::from);
    let own = tempfile::tempdir().unwrap();
    let folder = recorded.clone().unwrap_or_else(|| own.path().to_owned());
    let recording = Recording::of(&folder);
    let seeds = seeds("SYNCLINE_POWER_STATES", STATES);
    let (next, tried) = (AtomicU64::new(seeds.start), AtomicU64::new(0));
    let work = || {
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= seeds.end {
                return None;
            }
            let Some(state) = State::of(&recording.disks, number) else { continue };
            let world = worlds();
            let checked = std::panic::AssertUnwindSafe(|| recording.check(&state, number, world.path()));
            if std::panic::catch_unwind(checked).is_err() {
                next.store(seeds.end, Ordering::Relaxed);
                return Some((number, state.told));
            }
            tried.fetch_add(1, Ordering::Relaxed);
        }
    };
    let failed = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(work)).collect();
        threads.into_iter().filter_map(|thread| thread.join().unwrap()).min()
    });
    let Some((number, told)) = failed else {
        let tried = tried.into_inner();
        assert!(tried * 10 >= (seeds.end - seeds.start) * 8, "only {tried} states could be told");
        return;
    };
    // Another recording would mix the calls of both sides anew: this one is kept for the replay.
    let kept = recorded.unwrap_or_else(|| own.keep());
    panic!(
        "{told}\nstate {number} failed; replay: SYNCLINE_SEED={number} SYNCLINE_POWER_RECORDING={} cargo test -p \
         syncline --test it power",
        kept.display()
    );
}
